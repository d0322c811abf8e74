"""The real adapter, over ccxt's synchronous classes: what the port asks for, as requests to an exchange.

How a client is made is in ``ccxt_client``, what its replies are in ``ccxt_parsing``, and what its errors are in
``ccxt_errors``.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence, Sized
from itertools import batched
from typing import Any
from urllib.parse import urlsplit

from botbalance.deadline import seconds_for_exchange
from botbalance.engine import Balance, format_decimal
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.engine.durations import DAY_S
from botbalance.errors import BotBalanceError, InvalidRequestError
from botbalance.exchange.adapter import (
    ExchangeOrder,
    ExchangeOrderStatus,
    Fees,
    HourlyHigh,
    KeyPermissions,
    MarketGoneError,
    MarketListing,
    MinuteRange,
    OrderAccepted,
    OrderRejected,
    OrderRequest,
    OrderUnknown,
    Quote,
    RateLimiter,
    SubmitResult,
    Trade,
)
from botbalance.exchange.ccxt_client import (
    UnlimitedRateLimiter,
    find_profile,
    joined_markets,
    mended_secret,
    new_client,
    parsed_market,
)
from botbalance.exchange.ccxt_errors import (
    OrderNotFoundError,
    RetryableReadError,
    SubmitStatus,
    classify_submit_error,
    is_wrong_clock,
    limits_requests,
    malformed_reply,
    redacted_message,
    refusal_code,
    retry_after_s,
    submit_message,
    translate_ccxt_error,
)
from botbalance.exchange.ccxt_parsing import (
    amount,
    count_entries,
    ended_at_ms,
    holds_content,
    next_page,
    number_or_none,
    parse_balances,
    parse_listings,
    parse_open_order,
    parse_order,
    parse_trades,
    with_fee_as_a_cost,
)
from botbalance.exchange.client_order_ids import client_id_on_exchange, client_id_params
from botbalance.exchange.http_pool import HttpPool
from botbalance.exchange.key_permissions import read_key_permissions
from botbalance.exchange.profiles import Paging

_REPEATED_AFTER_S = (0.25, 1.0)
"""Waits before a read that failed is sent again. An order never is, nor a cancel."""
KRAKEN_TRADES = 19
"""So many are asked for at once: ccxt cuts them into twenties, and after a whole one asks for none: an error."""
_PAGE = 100
"""Orders on a page of a list: what every exchange with pages gives."""
_MOST_PAGES_OF_ORDERS = 10
"""Pages of a list of orders in which one is looked for."""
_MOST_PAGES = 50
"""Pages of open orders, or of one order's fills; more than any exchange lets an account have."""
_MOST_MINUTES = 120
"""Candles of a minute that are asked for at once: no exchange gives fewer."""
_A_WEEK_OF_HOURS = 169
"""Candles of an hour, the one that is not over included."""
_DAY_MS = DAY_S * 1000


class CcxtAdapter:
    """An :class:`~botbalance.exchange.adapter.ExchangeAdapter`. For one thread at a time.

    Without keys it answers what is public. ``base_url`` stands in for the exchange's own REST host
    (``http://127.0.0.1:9000``): a simulated exchange. Raises InvalidRequestError for an exchange that ccxt lacks.

    ``rate_limiter`` is asked before every request and told of every limit, ``public_rate_limiter`` for those without
    the key. ``connections`` are shared with others, and closed by their owner; None: one of its own. A request may take
    ``timeout_s`` seconds. A read that failed is sent again, twice at most, after waits for which ``sleep`` is called;
    one that ran into its timeout is not. Nothing else is.
    """

    def __init__(
        self,
        exchange: str,
        *,
        api_key: str = "",
        secret: str = "",
        password: str = "",
        base_url: str | None = None,
        rate_limiter: RateLimiter | None = None,
        public_rate_limiter: RateLimiter | None = None,
        connections: HttpPool | None = None,
        timeout_s: int | float = 10,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.exchange = exchange
        self._own_connections = None if connections else HttpPool(1)
        self._profile = find_profile(exchange)
        self._client = new_client(self._profile)
        self._client.apiKey, self._client.secret, self._client.password = (
            api_key.strip(),
            mended_secret(secret),
            password.strip(),
        )
        self._client.longest_timeout_s = timeout_s
        self._client.session = connections or self._own_connections
        self._client.rerouted_to = base_url
        self._client.rate_limiter = rate_limiter or UnlimitedRateLimiter()
        self._public_rate_limiter = public_rate_limiter or UnlimitedRateLimiter()
        self._lookup = self._profile.lookup
        self._sleep = sleep
        self._known: dict[str, MarketListing] = {}

    @property
    def host(self) -> str:
        """The host that was asked last, or would be; for whoever has to say why it does not answer."""
        return urlsplit(self._client.official_url).netloc or self.exchange

    def close(self) -> None:
        """Forget the key, and close the connections to the exchange, save those that others share."""
        self._client.apiKey = self._client.secret = self._client.password = ""  # nosec B105  # none any more
        for trace in ("failure", "last_request_headers", "last_request_body", "last_request_url"):
            setattr(self._client, trace, None)
        if self._own_connections is not None:
            self._own_connections.close_all()

    def market_listings(self, symbols: Collection[str]) -> dict[str, MarketListing]:
        """See the port. Downloads every market of the exchange."""
        return self._read("markets", lambda: parse_listings(self._profile, self._client.load_markets(True), symbols))

    def spot_pairs(self) -> list[tuple[str, str]]:
        """See the port. Downloads every market of the exchange."""
        markets = self._read("markets", lambda: self._client.load_markets(True))
        return sorted({(market["base"], market["quote"]) for market in markets.values() if market.get("spot")})

    def load_listings(self, listings: Collection[MarketListing]) -> None:
        """See the port. Sends nothing; ccxt is given these markets alone."""
        known = {listing.rules.symbol: listing for listing in listings}
        if known == self._known:
            return
        self._known = known
        if not listings:
            self._client.set_markets({})
            return
        parsed = [parsed_market(self.exchange, listing.document) for listing in listings]
        for name in parsed[0]:
            setattr(self._client, name, joined_markets([of_one[name] for of_one in parsed]))
        # Kraken's orders name their market otherwise than its requests do.
        self._client.options["marketsByAltname"] = {
            market["altname"]: market for market in self._client.markets.values() if market.get("altname")
        }

    def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        """See the port. One request for all of them."""
        by_unified = {self._unified(symbol): symbol for symbol in symbols}

        def request() -> dict[str, Quote]:
            tickers = self._client.fetch_tickers(list(by_unified))
            self._require_list("tickers", tickers)
            return {
                by_unified[ticker["symbol"]]: Quote(*(number_or_none(ticker[name]) for name in ("last", "bid", "ask")))
                for ticker in tickers.values()
                if ticker["symbol"] in by_unified
            }

        return self._read("tickers", request)

    def minute_ranges(self, symbol: str, since: int) -> list[MinuteRange]:
        """See the port. One request."""
        return self._ranges(symbol, "1m", since, _MOST_MINUTES)

    def hourly_highs(self, symbol: str, since: int) -> list[HourlyHigh]:
        """See the port. One request."""
        hours = self._ranges(symbol, "1h", since, _A_WEEK_OF_HOURS)
        return [HourlyHigh(hour.opens_at, hour.high) for hour in hours]

    def _ranges(self, symbol: str, timeframe: str, since: int, limit: int) -> list[MinuteRange]:
        """Candles of any ``timeframe`` from ``since`` (epoch seconds) on, oldest first."""

        def request() -> list[MinuteRange]:
            candles = self._client.fetch_ohlcv(self._unified(symbol), timeframe, since * 1000, limit)
            ranges = [
                MinuteRange(
                    int(candle[0]) // 1000,
                    amount("low", candle[3]),
                    amount("high", candle[2]),
                    amount("volume", candle[5]),
                )
                for candle in candles
            ]
            times = [each.opens_at for each in ranges]
            believed = all(0 < each.low <= each.high and each.volume >= 0 for each in ranges)
            missing = not ranges and not self._profile.candle_gaps
            if missing or times != sorted(set(times)) or not believed:
                raise malformed_reply("candles", str(candles)[:200])
            return [each for each in ranges if each.opens_at >= since]

        return self._read("candles", request)

    def balances(self) -> dict[str, Balance]:
        """See the port. A coin in a wrapping counts as the coin itself."""

        def request() -> dict[str, Balance]:
            account = self._client.fetch_balance(dict(self._profile.balance_parameters))
            self._require_balance(account)
            managed = {asset for listing in self._known.values() for asset in (listing.rules.base, listing.rules.quote)}
            return parse_balances(self._profile, account, managed)

        return self._read("balance", request)

    def key_permissions(self) -> KeyPermissions:
        """See the port. How an exchange tells them is a fact of its family."""
        return self._read("key's rights", lambda: read_key_permissions(self._profile.family, self._client))

    def clock_offset_ms(self) -> int:
        """See the port. Measured to the middle of the request."""

        def request() -> int:
            asked_at: int = self._client.milliseconds()
            told = self._client.fetch_time()
            answered_at: int = self._client.milliseconds()
            if not isinstance(told, int) or told <= 0:
                raise malformed_reply("time", repr(told))
            return told - (asked_at + answered_at) // 2

        return self._read("time", request)

    def fees(self, symbol: str) -> Fees:
        """See the port. In percent, from the fractions that ccxt tells."""

        def request() -> Fees:
            told = self._client.fetch_trading_fee(self._unified(symbol))
            maker, taker = (number_or_none(told.get(name)) for name in ("maker", "taker"))
            if maker is None or taker is None or not maker.is_finite() or not taker.is_finite():
                raise malformed_reply("fees", told)
            with ExactArithmetic():
                return Fees(maker * 100, taker * 100)

        return self._read("fees", request)

    def supports_post_only(self, symbol: str) -> bool:
        """See the port. As the market's listing says, else as ccxt knows of the exchange."""
        order_types = json.loads(self._known[symbol].document)["info"].get("orderTypes")
        if self._profile.post_only_type is not None and order_types is not None:
            return self._profile.post_only_type in order_types
        orders = self._client.features["spot"]["createOrder"]
        return bool(orders["timeInForce"]["PO"])

    def open_orders(self) -> list[ExchangeOrder]:
        """See the port. All pages of them."""

        def page(limit: int | None, params: dict[str, Any]) -> list[dict[str, Any]]:
            orders: list[dict[str, Any]] = self._client.fetch_open_orders(None, None, limit, params)
            return orders

        return self._all_pages(
            "open orders", self._profile.open_orders, page, lambda order: parse_open_order(self._profile, order)
        )

    def _all_pages[T](
        self,
        what: str,
        paging: Paging | None,
        page: Callable[[int | None, dict[str, Any]], list[dict[str, Any]]],
        parse: Callable[[dict[str, Any]], T],
    ) -> list[T]:
        """All entries of a list, parsed, each once; ``page`` asks for one, with a limit and further parameters.

        Raises RetryableReadError where the list does not end.
        """
        entries: dict[str, T] = {}
        params: dict[str, Any] = {}
        for number in range(1, _MOST_PAGES + 1):

            def request(params: dict[str, Any] = params) -> dict[str, T]:
                found = page(paging.size if paging else None, dict(params))
                self._require_list(what, found)
                return {_require_id(what, entry): parse(entry) for entry in found}

            known = len(entries)
            entries |= self._read(what, request)
            following = next_page(paging, self._client.last_json_response, number) if paging else None
            if paging is None or following is None:
                return list(entries.values())
            if len(entries) == known:
                raise malformed_reply(what, f"page {number} tells nothing that was not there, and is not the last")
            params = {**paging.more, paging.parameter: following}
        raise malformed_reply(what, f"they do not end after {_MOST_PAGES} pages")

    def place_order(self, order: OrderRequest) -> SubmitResult:
        """See the port. Sent once, whatever becomes of the connection."""
        refused = order.find_refusal()
        if refused is not None:
            return refused
        params: dict[str, Any] = client_id_params(self._profile, order.client_order_id)
        if order.post_only:
            params["postOnly"] = True
        self._client.order_was_sent = False
        self._client.failure = None
        try:
            unified = self._unified(order.symbol)
            qty, price = format_decimal(order.base_qty), format_decimal(order.limit_price)
            reply = self._client.create_order(unified, "limit", order.side, qty, price, params)
            # Some exchanges acknowledge with an id and say no more: the rest is then as it was asked for.
            asked = {"symbol": unified, "side": order.side, "price": price, "amount": qty}
            told = {name: value for name, value in reply.items() if value is not None}
            placed = self._read_order(order.symbol, asked | {"filled": "0", "status": "open"} | told)
        except Exception as error:  # noqa: BLE001 - whatever it is, the table says what it means for the order
            if classify_submit_error(error, self._profile, sent=self._client.order_was_sent) is SubmitStatus.UNKNOWN:
                limited = limits_requests(error, self._client)
                return OrderUnknown(redacted_message(error), retry_after_s(self._client) if limited else None)
            return OrderRejected(refusal_code(error, self._client), submit_message(error, self._client))
        return OrderAccepted(placed)

    def find_order(self, symbol: str, client_order_id: str) -> ExchangeOrder | None:
        """See the port. By the look-ups of the exchange's profile, one after the other."""
        sent = client_id_on_exchange(self._profile, client_order_id)
        for method in self._lookup.methods:
            if method == "fetch_order":
                found = self._order_by_client_id(symbol, sent)
            else:
                found = self._order_in_list(method, symbol, sent)
            if found is not None:
                return found
        return None

    def cancel_order(self, symbol: str, client_order_id: str) -> None:
        """See the port. By the exchange's own id where it cancels by no other."""
        unified, sent = self._unified(symbol), client_id_on_exchange(self._profile, client_order_id)
        order_id: str | None = None
        params: dict[str, str] = {}
        if self._lookup.canceled_by is None:
            try:
                seen = self.find_order(symbol, client_order_id)
            except MarketGoneError:
                return
            if seen is None or seen.status is not ExchangeOrderStatus.OPEN:
                return
            order_id = seen.exchange_order_id
        elif self._lookup.canceled_by == "id":
            order_id = sent
        else:
            params[self._lookup.canceled_by] = sent
        try:
            self._send("cancel", lambda: self._client.cancel_order(order_id, unified, params))
        except OrderNotFoundError:
            return

    def trades(self, symbol: str, exchange_order_id: str) -> Sequence[Trade]:
        """See the port. All pages of them."""
        unified, narrowed_by, rules = self._unified(symbol), self._lookup.fills_by, self._known[symbol].rules

        def page(limit: int | None, params: dict[str, Any]) -> list[dict[str, Any]]:
            fills: list[dict[str, Any]]
            if narrowed_by is not None:
                fills = self._client.fetch_my_trades(unified, None, limit, {narrowed_by: exchange_order_id, **params})
            elif self._profile.family == "kraken":
                fills = self._fills_by_their_ids(unified, exchange_order_id)
            else:
                fills = self._client.fetch_order_trades(exchange_order_id, unified)
            return [with_fee_as_a_cost(fill) for fill in fills] if self._profile.family == "bitget" else fills

        def parse(fill: dict[str, Any]) -> list[Trade]:
            # A list that is not narrowed after all tells of every order's.
            ours = fill.get("order") in {None, exchange_order_id}
            return parse_trades(self._profile, fill, rules) if ours else []

        booked = self._all_pages("trades", self._profile.fills, page, parse)
        return sorted((trade for trades in booked for trade in trades), key=lambda trade: trade.traded_at_ms)

    def _fills_by_their_ids(self, unified: str, exchange_order_id: str) -> list[dict[str, Any]]:
        """Those of an order on Kraken, whose orders name their trades."""
        order = self._client.fetch_order(exchange_order_id, unified, {"trades": True})
        fills: list[dict[str, Any]] = []
        for trade_ids in batched(order["info"].get("trades") or [], KRAKEN_TRADES, strict=False):
            asked = {"trades": list(trade_ids)}
            fills += self._client.fetch_order_trades(exchange_order_id, unified, None, None, asked)
        return fills

    def exchange_client_order_id(self, client_order_id: str) -> str:
        """See the port. In the form that the exchange's profile asks for."""
        return client_id_on_exchange(self._profile, client_order_id)

    def _unified(self, symbol: str) -> str:
        """ccxt's name of a market; its listing has to be in use."""
        listing = self._known.get(symbol)
        if listing is None:
            raise InvalidRequestError(
                "unknown_market", f"symbol is {symbol}, expected a spot market of {self.exchange}"
            )
        return f"{listing.rules.base}/{listing.rules.quote}"

    def _order_by_client_id(self, symbol: str, sent: str) -> ExchangeOrder | None:
        """The order, from the exchange's look-up by client id; None where that knows none."""

        def request() -> ExchangeOrder:
            # An empty own id, not None: ccxt would stumble over that where it says that Bitget has no such order.
            reply = self._client.fetch_order("", self._unified(symbol), {"clientOrderId": sent})
            order = self._read_order(symbol, reply)
            if order.client_order_id not in {None, sent}:
                raise malformed_reply("order", f"its client id is {order.client_order_id}, asked for was {sent}")
            return order

        try:
            return self._read("order", request)
        except OrderNotFoundError:
            return None

    def _order_in_list(self, method: str, symbol: str, sent: str) -> ExchangeOrder | None:
        """The order, from one of the exchange's lists; None where the whole list was read and has it not."""
        params: dict[str, Any] = {}
        since = limit = None
        if self._lookup.narrowed_by is not None:
            params[self._lookup.narrowed_by] = sent
        else:
            limit = _PAGE
            if method != "fetch_open_orders":
                # A minute less, because some refuse a longer time than their lists go back.
                since = self._client.milliseconds() - self._lookup.days * _DAY_MS + 60_000

        def page() -> tuple[ExchangeOrder | None, int | None]:
            """The order, and where it is not on this page the time from which on the next one goes back."""
            orders = getattr(self._client, method)(self._unified(symbol), since, limit, params)
            self._require_list("orders", orders)
            for order in orders:
                if not order.get("id"):
                    raise malformed_reply("orders", order)
                if order.get("clientOrderId") == sent:
                    return self._read_order(symbol, order), None
            if limit is None and orders:
                raise malformed_reply("orders", f"they are not only those by the client id {sent}")
            if limit is None or count_entries(self._client.last_json_response) < limit:
                return None, None
            return None, min(ended_at_ms(order) for order in orders) + 1000  # Gate counts in whole seconds

        for _ in range(_MOST_PAGES_OF_ORDERS):
            found, older_than = self._read("orders", page)
            if older_than is None:
                return found
            if older_than == params.get("until"):
                break
            params["until"] = older_than
        raise malformed_reply("orders", f"they do not end, and {sent} is not among them so far")

    def _read_order(self, symbol: str, reply: Mapping[str, Any]) -> ExchangeOrder:
        order = parse_order(self._profile, reply)
        if order.symbol != symbol:
            raise malformed_reply("order", f"it is in {order.symbol}, asked for was {symbol}")
        return order

    def _require_list(self, what: str, parsed: Sized) -> None:
        """Raise where ccxt made a list of a reply that holds none: garbage becomes an empty list there."""
        reply = self._client.last_json_response
        if self._profile.lists_are_bare:
            answered = isinstance(reply, list) and len(reply) == len(parsed)
        elif self._profile.envelope is not None:
            answered = bool(parsed) or holds_content(reply)
        else:  # MEXC tells one ticker, where only one was asked for, without a list around it
            answered = isinstance(reply, list) or (bool(parsed) and isinstance(reply, dict) and "symbol" in reply)
        if not answered:
            raise malformed_reply(what, self._client.last_http_response)

    def _require_balance(self, account: Mapping[str, Any]) -> None:
        """Raise where ccxt made an empty account of a reply that holds none."""
        reply = self._client.last_json_response
        if self._profile.lists_are_bare:
            entries = reply.get("balances") if isinstance(reply, dict) else None
            answered = isinstance(entries, list) and all(isinstance(one, dict) and one.get("asset") for one in entries)
        else:
            answered = any(told is not None for told in account["free"].values()) or holds_content(reply)
        if not answered:
            raise malformed_reply("balance", self._client.last_http_response)

    def _read[T](self, what: str, request: Callable[[], T]) -> T:
        """Run one request and check what came back; again where a moment may mend what failed."""
        for wait_s in _REPEATED_AFTER_S:
            try:
                return self._read_once(what, request)
            except RetryableReadError:
                self._sleep(seconds_for_exchange(wait_s))
        return self._read_once(what, request)

    def _send(self, what: str, request: Callable[[], Any]) -> None:
        """Run one request that changes something; never a second time, which would be signed anew, however late it is.

        What was signed before its sender was held up for longer than a lease is too old for the exchange, and must not
        become young again.
        """
        self._client.failure = None
        try:
            request()
        except BotBalanceError:
            raise
        except Exception as error:
            raise translate_ccxt_error(what, error, self._client) from error
        finally:
            self._client.failure = None

    def _read_once[T](self, what: str, request: Callable[[], T]) -> T:
        """Run one request and check what came back, its failures in our words."""
        try:
            return self._with_right_clock(request)
        except BotBalanceError:
            raise
        except Exception as error:
            raise translate_ccxt_error(what, error, self._client) from error
        finally:
            self._client.failure = None  # its traceback holds what was signed, and this adapter

    def _with_right_clock[T](self, request: Callable[[], T]) -> T:
        """Run one request; where the exchange finds the clock off, set it once and run it again."""
        self._client.failure = None
        try:
            return request()
        except Exception as error:
            if not is_wrong_clock(error):
                raise
        self._set_clock()
        return request()

    def _set_clock(self) -> None:
        """Ask for the exchange's time, as anybody may without a key, and go by it from now on."""
        self._client.failure = None
        self._client.rate_limiter, of_key = self._public_rate_limiter, self._client.rate_limiter
        try:
            self._client.load_time_difference()
        finally:
            self._client.rate_limiter = of_key


def _require_id(what: str, entry: Mapping[str, Any]) -> str:
    if not entry.get("id"):
        raise malformed_reply(what, entry)
    return str(entry["id"])
