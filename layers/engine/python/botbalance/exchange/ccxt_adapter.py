"""The real adapter, over ccxt's synchronous classes. The only file that meets ccxt's objects.

ccxt can turn a garbage reply into an empty balance or an order without an id, raising nothing, so whatever
comes back is checked here before it counts as a fact. Numbers stay the exchange's strings until they are
Decimals. Requests are never repeated by ccxt: a repeated POST could be a second order.
"""

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from copy import copy, deepcopy
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from itertools import batched
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from botbalance.deadline import seconds_for_exchange
from botbalance.engine import Balance, Fill, MarketRules, Side
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.errors import (
    BotBalanceError,
    CredentialsRejectedError,
    InvalidRequestError,
    RateLimitedError,
    TransientError,
)
from botbalance.exchange.adapter import (
    KEY_REFUSED,
    RATE_LIMITED,
    WOULD_TAKE,
    Allowance,
    ExchangeOrder,
    ExchangeOrderStatus,
    Fees,
    KeyPermissions,
    MarketListing,
    MinuteRange,
    Placed,
    Placement,
    Quote,
    Refused,
    Trade,
    Unknown,
)
from botbalance.exchange.ccxt_errors import (
    Fate,
    classify_submit_error,
    is_revoked_key,
    is_unknown_order,
    is_wrong_clock,
    would_take,
)
from botbalance.exchange.ccxt_import import exchange_class
from botbalance.exchange.client_order_ids import client_id_on_exchange, client_id_params, lookup_on
from botbalance.exchange.http_pool import Connections
from botbalance.exchange.key_permissions import rights_of_key

_SETTINGS: dict[str, Any] = {
    "number": str,
    "enableRateLimit": False,
    "enableLastJsonResponse": True,
    "enableLastHttpResponse": True,
    "enableLastResponseHeaders": True,
    "options": {
        "maxRetriesOnFailure": 0,
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        "fetchMarkets": {"types": ["spot"], "fetchTickersFees": False},
        "fetchMargins": False,
        "fetchCurrencies": False,
        "defaultType": "spot",
    },
}

_STATUS = {
    "open": ExchangeOrderStatus.OPEN,
    "closed": ExchangeOrderStatus.FILLED,
    "canceled": ExchangeOrderStatus.CANCELED,
    "canceling": ExchangeOrderStatus.OPEN,
    "rejected": ExchangeOrderStatus.REJECTED,
    "expired": ExchangeOrderStatus.EXPIRED,
    # Words of Coinbase's and Gate's own, which ccxt leaves as they are.
    **dict.fromkeys(("PENDING", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"), ExchangeOrderStatus.OPEN),
    **dict.fromkeys(
        (
            "poc",
            "fok",
            "stp",
            "small",
            "depth_not_enough",
            "trader_not_enough",
            "liquidate_cancelled",
            "price_protect_cancelled",
        ),
        ExchangeOrderStatus.CANCELED,
    ),
}

_SHARED = frozenset(
    {
        "api",
        "ecdsaCurves",
        "ecdsaPrehashedAlgorithms",
        "exceptions",
        "features",
        "fees",
        "has",
        "httpExceptions",
        "urls",
    }
)
"""What ccxt tells of an exchange and never changes: most of a client's 300 kB, kept once for all of them."""
_MARKETS_KEPT = 1000
"""Markets kept as ccxt has them, some 15 kB each, for all clients that trade them."""

_USED_WEIGHT = {"binance": "x-mbx-used-weight-1m"}
"""Headers that tell how much request weight this address has used in the current clock minute."""
_WEIGHT_PER_MS = {"binance": Decimal(6000) / 60_000}
"""What may be used of an exchange's weight, a millisecond."""
_DEFAULT_RETRY_AFTER_S = 60

_REPEATED_AFTER_S = (0.25, 1.0)
"""Waits before a read that failed is sent again. An order never is, nor a cancel."""

_CHARGE_QUOTE = {"coinbase", "kraken", "kucoin"}
"""Exchanges that take the fee of a buy in quote, on top of what it costs; of most ccxt does not tell."""
_BALANCE_PARAMETERS: dict[str, dict[str, Any]] = {
    "binance": {"omitZeroBalances": True},
    "coinbase": {"v3": True},  # the older list, which ccxt takes, does not tell what is locked
}
KRAKEN_TRADES = 19
"""So many are asked for at once: ccxt cuts them into twenties, and after a whole one asks for none: an error."""
_PAGE = 100
"""Orders on a page of a list: what every exchange with pages gives."""
_MOST_PAGES = 10
_MOST_MINUTES = 120
"""Candles of a minute that are asked for at once: no exchange gives fewer."""
_DAY_MS = 86_400_000
_ENVELOPES: dict[str, frozenset[str]] = {
    "bitget": frozenset({"code"}),
    "bybit": frozenset({"retCode"}),
    "coinbase": frozenset(),
    "htx": frozenset({"status", "code"}),
    "kraken": frozenset({"error"}),
    "kucoin": frozenset({"code"}),
    "okx": frozenset({"code"}),
}
"""Exchanges whose every reply is an object, with the list in it where one was asked for: what one of it must have."""
_GUESSES = ("uta", "unifiedAccount")
"""ccxt's options for what kind of account Bitget's and Gate's is; it guesses them where it could not ask."""


class UnlimitedRateLimiter:
    """The allowance of a connection on its own: nobody else is to learn of its limits."""

    def require(self) -> None:
        pass

    @contextmanager
    def request(self, *, sends: bool, weight: int) -> Iterator[None]:
        yield

    def used(self, weight: int) -> None:
        pass

    def limited(self, retry_after_s: int, *, whole_host: bool) -> None:
        pass


class CcxtAdapter:
    """An :class:`~botbalance.exchange.adapter.ExchangeAdapter`. For one thread at a time.

    Without keys it answers what is public. ``base_url`` stands in for the exchange's own REST host
    (``http://127.0.0.1:9000``): a simulated exchange. Raises InvalidRequestError for an exchange that ccxt lacks.

    ``allowance`` is asked before every request and told of every limit, ``public_allowance`` for those without the
    key. ``connections`` are shared with others, and closed by their owner; None: one of its own. A request may take
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
        allowance: Allowance | None = None,
        public_allowance: Allowance | None = None,
        connections: Connections | None = None,
        timeout_s: int | float = 10,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.exchange = exchange
        self._own_connections = None if connections else Connections(1)
        self._client = _new_client(exchange)
        self._client.apiKey, self._client.secret, self._client.password = api_key, secret, password
        self._client.longest_timeout_s = timeout_s
        self._client.session = (connections or self._own_connections or Connections(1)).session()
        self._client.rerouted_to = base_url
        self._client.allowance = allowance or UnlimitedRateLimiter()
        self._public_allowance = public_allowance or UnlimitedRateLimiter()
        self._lookup = lookup_on(exchange)
        self._sleep = sleep
        self._known: dict[str, MarketListing] = {}

    def close(self) -> None:
        """Forget the key, and close the connections to the exchange, save those that others share."""
        self._client.apiKey = self._client.secret = self._client.password = ""
        for trace in ("failure", "last_request_headers", "last_request_body", "last_request_url"):
            setattr(self._client, trace, None)
        if self._own_connections is not None:
            self._own_connections.close_all()

    def market_listings(self, symbols: Collection[str]) -> dict[str, MarketListing]:
        return self._read("markets", lambda: _listings(self.exchange, self._client.load_markets(True), symbols))

    def spot_pairs(self) -> list[tuple[str, str]]:
        markets = self._read("markets", lambda: self._client.load_markets(True))
        return sorted({(market["base"], market["quote"]) for market in markets.values() if market.get("spot")})

    def load_listings(self, listings: Collection[MarketListing]) -> None:
        known = {listing.rules.symbol: listing for listing in listings}
        if known == self._known:
            return
        self._known = known
        if not listings:
            self._client.set_markets({})
            return
        parsed = [_parsed(self.exchange, listing.document) for listing in listings]
        for name in parsed[0]:
            setattr(self._client, name, _joined([of_one[name] for of_one in parsed]))
        # Kraken's orders name their market otherwise than its requests do.
        self._client.options["marketsByAltname"] = {
            market["altname"]: market for market in self._client.markets.values() if market.get("altname")
        }

    def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        by_unified = {self._unified(symbol): symbol for symbol in symbols}

        def request() -> dict[str, Quote]:
            tickers = self._client.fetch_tickers(list(by_unified))
            self._require_list("tickers", tickers)
            return {
                by_unified[ticker["symbol"]]: Quote(*(_number_or_none(ticker[name]) for name in ("last", "bid", "ask")))
                for ticker in tickers.values()
                if ticker["symbol"] in by_unified
            }

        return self._read("tickers", request)

    def minute_ranges(self, symbol: str, since: int) -> list[MinuteRange]:
        def request() -> list[MinuteRange]:
            candles = self._client.fetch_ohlcv(self._unified(symbol), "1m", since * 1000, _MOST_MINUTES)
            minutes = [
                MinuteRange(int(candle[0]) // 1000, _amount("low", candle[3]), _amount("high", candle[2]))
                for candle in candles
            ]
            times = [minute.opens_at for minute in minutes]
            if not minutes or times != sorted(set(times)) or not all(0 < low <= high for _, low, high in minutes):
                raise malformed_reply("candles", str(candles)[:200])
            return [minute for minute in minutes if minute.opens_at >= since]

        return self._read("candles", request)

    def balances(self) -> dict[str, Balance]:
        def request() -> dict[str, Balance]:
            account = self._client.fetch_balance(_BALANCE_PARAMETERS.get(self.exchange, {}))
            self._require_balance(account)
            every = {
                asset: Balance(_amount("free", free), _amount("locked", account["used"].get(asset)))
                for asset, free in account["free"].items()
            }
            return {asset: balance for asset, balance in every.items() if balance.free or balance.locked}

        return self._read("balance", request)

    def key_permissions(self) -> KeyPermissions:
        return self._read("key's rights", lambda: rights_of_key(self.exchange, self._client))

    def clock_offset_ms(self) -> int:
        def request() -> int:
            asked_at: int = self._client.milliseconds()
            told = self._client.fetch_time()
            answered_at: int = self._client.milliseconds()
            if not isinstance(told, int) or told <= 0:
                raise malformed_reply("time", repr(told))
            return told - (asked_at + answered_at) // 2

        return self._read("time", request)

    def fees(self, symbol: str) -> Fees:
        def request() -> Fees:
            told = self._client.fetch_trading_fee(self._unified(symbol))
            maker, taker = (_number_or_none(told.get(name)) for name in ("maker", "taker"))
            if maker is None or taker is None or not maker.is_finite() or not taker.is_finite():
                raise malformed_reply("fees", told)
            with ExactArithmetic():
                return Fees(maker * 100, taker * 100)

        return self._read("fees", request)

    def supports_post_only(self, symbol: str) -> bool:
        if self.exchange == "binance":
            return "LIMIT_MAKER" in json.loads(self._known[symbol].document)["info"].get("orderTypes", [])
        orders = self._client.features["spot"]["createOrder"]
        return bool(orders["timeInForce"]["PO"])

    def open_orders(self) -> list[ExchangeOrder]:
        def request() -> list[ExchangeOrder]:
            orders = self._client.fetch_open_orders()
            self._require_list("open orders", orders)
            return [self._order(order) for order in orders]

        return self._read("open orders", request)

    def place_order(
        self,
        symbol: str,
        side: Side,
        limit_price: Decimal,
        base_qty: Decimal,
        client_order_id: str,
        *,
        post_only: bool,
    ) -> Placement:
        for field, number in (("limit_price", limit_price), ("base_qty", base_qty)):
            if not number.is_finite() or number <= 0:
                return Refused("invalid_number", f"{field} is {number}, expected a finite number > 0: not sent")
        params: dict[str, Any] = client_id_params(self.exchange, client_order_id)
        if post_only:
            params["postOnly"] = True
        self._client.order_was_sent = False
        self._client.failure = None
        try:
            unified, amount, price = self._unified(symbol), _plain(base_qty), _plain(limit_price)
            reply = self._client.create_order(unified, "limit", side, amount, price, params)
            # Some exchanges acknowledge with an id and say no more: the rest is then as it was asked for.
            asked = {"symbol": unified, "side": side, "price": price, "amount": amount, "filled": "0", "status": "open"}
            order = self._order_in(symbol, asked | {name: told for name, told in reply.items() if told is not None})
        except Exception as error:  # noqa: BLE001 - whatever it is, the table says what it means for the order
            if classify_submit_error(error, sent=self._client.order_was_sent) is Fate.UNKNOWN:
                return Unknown(
                    _words(error), _retry_after_s(self._client) if _limits_requests(error, self._client) else None
                )
            return Refused(_refusal_code(error, self._client), _words(error))
        return Placed(order)

    def find_order(self, symbol: str, client_order_id: str) -> ExchangeOrder | None:
        sent = client_id_on_exchange(self.exchange, client_order_id)
        for method in self._lookup.methods:
            if method == "fetch_order":
                found = self._order_by_client_id(symbol, sent)
            else:
                found = self._order_in_list(method, symbol, sent)
            if found is not None:
                return found
        return None

    def cancel_order(self, symbol: str, client_order_id: str) -> None:
        unified, sent = self._unified(symbol), client_id_on_exchange(self.exchange, client_order_id)
        order_id: str | None = None
        params: dict[str, str] = {}
        if self._lookup.canceled_by is None:
            seen = self.find_order(symbol, client_order_id)
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
        def request() -> list[Trade]:
            trades = self._fills_of(symbol, exchange_order_id)
            self._require_list("trades", trades)
            # A list that is not narrowed after all tells of every order's.
            ours = [trade for trade in trades if trade.get("order") in {None, exchange_order_id}]
            return [_trade(trade, self._known[symbol].rules) for trade in ours]

        return sorted(self._read("trades", request), key=lambda trade: trade.traded_at_ms)

    def _fills_of(self, symbol: str, exchange_order_id: str) -> list[dict[str, Any]]:
        """The fills of an order in ccxt's form."""
        unified = self._unified(symbol)
        fills: list[dict[str, Any]] = []
        if self.exchange == "kraken":  # whose orders name their trades
            order = self._client.fetch_order(exchange_order_id, unified, {"trades": True})
            for trade_ids in batched(order["info"].get("trades") or [], KRAKEN_TRADES, strict=False):
                fills += self._client.fetch_order_trades(
                    exchange_order_id, unified, None, None, {"trades": list(trade_ids)}
                )
            return fills
        if self._lookup.fills_by is None:
            fills = self._client.fetch_order_trades(exchange_order_id, unified)
        else:
            narrowed = {self._lookup.fills_by: exchange_order_id}
            fills = self._client.fetch_my_trades(unified, None, self._lookup.most_fills, narrowed)
        return [_with_fee_as_a_cost(fill) for fill in fills] if self.exchange == "bitget" else fills

    def exchange_client_order_id(self, client_order_id: str) -> str:
        return client_id_on_exchange(self.exchange, client_order_id)

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
            order = self._order_in(symbol, reply)
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
                    return self._order_in(symbol, order), None
            if limit is None and orders:
                raise malformed_reply("orders", f"they are not only those by the client id {sent}")
            if limit is None or _entries(self._client.last_json_response) < limit:
                return None, None
            return None, min(_ended_at_ms(order) for order in orders) + 1000  # Gate counts in whole seconds

        for _ in range(_MOST_PAGES):
            found, older_than = self._read("orders", page)
            if older_than is None:
                return found
            if older_than == params.get("until"):
                break
            params["until"] = older_than
        raise malformed_reply("orders", f"they do not end, and {sent} is not among them so far")

    def _order_in(self, symbol: str, reply: Mapping[str, Any]) -> ExchangeOrder:
        order = self._order(reply)
        if order.symbol != symbol:
            raise malformed_reply("order", f"it is in {order.symbol}, asked for was {symbol}")
        return order

    def _order(self, order: Mapping[str, Any]) -> ExchangeOrder:
        status = _STATUS.get(str(order.get("status")))
        if not order.get("id") or not order.get("symbol") or order.get("side") not in {"buy", "sell"} or not status:
            raise malformed_reply("order", {key: order.get(key) for key in ("id", "symbol", "side", "status")})
        filled_qty = _amount("filled", order.get("filled"))
        if status is ExchangeOrderStatus.FILLED and not filled_qty:
            raise malformed_reply("order", f"{order['id']} is filled, with a quantity of 0")
        base_qty = _amount("amount", order.get("amount"))
        if status is ExchangeOrderStatus.FILLED and filled_qty < base_qty:  # Bybit's that was cancelled half filled
            status = ExchangeOrderStatus.CANCELED
        client_id = order.get("clientOrderId")
        return ExchangeOrder(
            exchange_order_id=str(order["id"]),
            client_order_id=str(client_id) if client_id else None,
            symbol=str(order["symbol"]).replace("/", ""),
            side=order["side"],
            limit_price=_limit_price(order),
            base_qty=base_qty,
            filled_qty=filled_qty,
            status=status,
            reason=_rejection(order) if status is ExchangeOrderStatus.REJECTED else None,
        )

    def _require_list(self, what: str, parsed: Sized) -> None:
        """Raise where ccxt made a list of a reply that holds none: garbage becomes an empty list there."""
        reply = self._client.last_json_response
        if self.exchange == "binance":
            answered = isinstance(reply, list) and len(reply) == len(parsed)
        elif self.exchange in _ENVELOPES:
            answered = bool(parsed) or _holds_content(reply)
        else:  # MEXC tells one ticker, where only one was asked for, without a list around it
            answered = isinstance(reply, list) or (bool(parsed) and isinstance(reply, dict) and "symbol" in reply)
        if not answered:
            raise malformed_reply(what, self._client.last_http_response)

    def _require_balance(self, account: Mapping[str, Any]) -> None:
        """Raise where ccxt made an empty account of a reply that holds none."""
        reply = self._client.last_json_response
        if self.exchange == "binance":
            entries = reply.get("balances") if isinstance(reply, dict) else None
            answered = isinstance(entries, list) and all(isinstance(one, dict) and one.get("asset") for one in entries)
        else:
            answered = bool(account["free"]) or _holds_content(reply)
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
        self._client.allowance, of_key = self._public_allowance, self._client.allowance
        try:
            self._client.load_time_difference()
        finally:
            self._client.allowance = of_key


class RetryableReadError(TransientError):
    """What a moment may mend: no reply, the exchange's own trouble, or garbage."""


class OrderNotFoundError(TransientError):
    """The exchange knows no order by that id."""


def _new_client(exchange: str) -> Any:
    """ccxt's client without a key and a session, for a tenth of what making one anew takes."""
    original = _original_client(exchange)
    client = copy(original)
    for name, value in vars(original).items():
        if name not in _SHARED and isinstance(value, dict | list):
            setattr(client, name, deepcopy(value))
    return client


@cache
def _original_client(exchange: str) -> Any:
    """The client whose copies all the others are."""
    client = _client_class(exchange)(_SETTINGS)
    client.has["fetchCurrencies"] = False  # markets need none, and some exchanges want a key for them
    if exchange == "htx":  # where ccxt has another form for this
        client.options["fetchMarkets"] = {"types": {"spot": True}}
    client.session.close()
    client.session = None
    return client


@lru_cache(_MARKETS_KEPT)
def _parsed(exchange: str, document: str) -> dict[str, Any]:
    """What ccxt makes of one market, by the names of its attributes. Read by many clients, and changed by none.

    Where it finds several precisions of a currency, of which nothing is made here, the joined tables have any of them.
    """
    client = _new_client(exchange)
    before = dict(vars(client))
    market = json.loads(document)
    client.set_markets({market["symbol"]: market})
    return {name: value for name, value in vars(client).items() if value is not before.get(name)}


def _joined(parts: Sequence[Any]) -> Any:
    """One table or list of many markets, sorted as ccxt sorts it, from those of each."""
    if isinstance(parts[0], dict):
        joined = {key: value for part in parts for key, value in part.items()}
        return dict(sorted(joined.items()))
    return sorted({entry for part in parts for entry in part})


@cache
def _client_class(exchange: str) -> type[Any]:
    """ccxt's class, taught to reach a stand-in host and to tell whether an order was sent.

    ccxt picks its error table by the official host, so the host is swapped on the way out only and swapped
    back where errors are told apart.
    """
    try:
        original = exchange_class(exchange)
    except ModuleNotFoundError:
        raise InvalidRequestError(
            "unknown_exchange", f"exchange is {exchange!r}, expected one that ccxt knows"
        ) from None

    class Client(original):  # type: ignore[misc,valid-type]
        allowance: Allowance
        rerouted_to: str | None = None
        longest_timeout_s: int | float
        order_was_sent = False
        http_status: int | None = None
        failure: Exception | None = None
        request_weight = 1

        def fetch2(
            self, path: str, api: Any = "public", method: str = "GET", params: Any = None, config: Any = None
        ) -> Any:
            """As ccxt, and notes what the exchange counts the request for."""
            self.request_weight = _weight_of(self, path, api, method, params or {}, config or {})
            return super().fetch2(path, api, method, params or {}, config or {})

        def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            """As ccxt, within the allowance, and none of a call's failures is passed over.

            ccxt passes over that of the request by which it tells what kind of account this is, and guesses.
            """
            if self.failure is not None:
                for guess in _GUESSES:
                    self.options.pop(guess, None)
                raise self.failure
            self.timeout = seconds_for_exchange(self.longest_timeout_s) * 1000
            self.official_url = url
            self.http_status = self.last_http_response = self.last_json_response = self.last_response_headers = None
            try:
                with self.allowance.request(sends=method != "GET", weight=self.request_weight):
                    if method != "GET":
                        self.order_was_sent = True
                    if self.rerouted_to is not None:
                        host = urlsplit(self.rerouted_to)
                        url = urlunsplit(urlsplit(url)._replace(scheme=host.scheme, netloc=host.netloc))
                    return super().fetch(url, method, headers, body)
            except Exception as error:
                if not _is_answer(error, self):
                    self.failure = error
                if _limits_requests(error, self) and not is_revoked_key(error):
                    self.allowance.limited(_retry_after_s(self), whole_host=self.http_status == 418)
                raise

        def on_rest_response(self, code: int, reason: str, url: str, method: str, headers: Any, *rest: Any) -> Any:
            self.http_status = code
            used = headers.get(_USED_WEIGHT.get(self.id, ""), "")
            if used.isdecimal():
                self.allowance.used(int(used))
            if 300 <= code < 400:  # whatever stands there is no answer, and nobody goes where it points
                raise TransientError("exchange_redirects", f"{self.id} answers from another address (HTTP {code})")
            return super().on_rest_response(code, reason, url, method, headers, *rest)

        def handle_errors(self, code: int, reason: str, url: str, *rest: Any) -> Any:
            if code < 400 and not _is_content(self.id, self.last_json_response):
                raise malformed_reply("reply", self.last_http_response)
            return super().handle_errors(code, reason, self.official_url, *rest)

        # Orders come on the market's grid. ccxt would round what is off it, a buy above its limit too, through a
        # float and in the thread's own decimal context; as it is, the exchange refuses it.

        def price_to_precision(self, symbol: str, price: str) -> str:
            return price

        def amount_to_precision(self, symbol: str, amount: str) -> str:
            return amount

        def filter_by_symbol_since_limit(self, array: Any, *_: Any) -> Any:
            """Unlike ccxt, nothing is left out unseen of what came, for want of a time or of a symbol as expected."""
            return array

        def fetch_swap_markets(self, *_: Any) -> Any:
            """None are traded here; MEXC's are on another host."""
            return []

        def fetch_markets(self, *params: Any) -> Any:
            """As ccxt, but an exchange without markets is a garbage reply: it must not replace those known."""
            markets = super().fetch_markets(*params)
            if not markets:
                raise malformed_reply("markets", self.last_http_response)
            return markets

    Client.__name__ = original.__name__
    return Client


def _weight_of(client: Any, path: str, api: Any, method: str, params: Any, config: Any) -> int:
    """What the exchange counts a request for, where it counts weight at all.

    ccxt has costs instead: how often a request that costs 1 may be sent is ``rateLimit``, in milliseconds.
    """
    match client.id, path:  # where ccxt knows the most only that it may cost
        case "binance", "ticker/24hr" if "symbols" in params:
            symbols = params["symbols"].count(",") + 1
            return 2 if symbols <= 20 else 40 if symbols <= 100 else 80
        case "binance", "myTrades" if "orderId" in params:
            return 5
    if client.id not in _WEIGHT_PER_MS:
        return 1
    cost = Decimal(str(client.calculate_rate_limiter_cost(api, method, path, params, config)))
    per_cost: int = client.rateLimit
    return max(1, round(cost * per_cost * _WEIGHT_PER_MS[client.id]))


def translate_ccxt_error(what: str, error: Exception, client: Any) -> BotBalanceError:
    names = _class_names(error)
    if "BaseError" not in names:  # not one of ccxt's: it, or we, stumbled over what came back
        return malformed_reply(what, _words(error))
    if is_revoked_key(error):
        return CredentialsRejectedError(KEY_REFUSED, f"the exchange refuses the API key: {_words(error)}")
    if _limits_requests(error, client):
        wait = _retry_after_s(client)
        return RateLimitedError(RATE_LIMITED, f"the exchange limits requests for {wait} s", wait)
    # A cancel that is refused because of the order: it ended before, or never was.
    if is_unknown_order(error) or (what == "cancel" and "InvalidOrder" in names):
        return OrderNotFoundError("order_not_found", _words(error))
    if "BadSymbol" in names:
        return InvalidRequestError("unknown_market", _words(error))
    # Not its words: they hold the request's address and whatever page came back.
    kind = RetryableReadError if _may_pass(error, client) else TransientError
    return kind("exchange_unavailable", f"the exchange did not answer as expected ({type(error).__name__})")


def _may_pass(error: Exception, client: Any) -> bool:
    """Whether the same read may succeed in a moment. A timeout has cost its seconds already."""
    names, status = _class_names(error), client.http_status
    if status is None:
        return "NetworkError" in names and "RequestTimeout" not in names
    if is_wrong_clock(error):
        return False
    return status >= 500 or (status < 400 and "OperationFailed" in names)


def _is_answer(error: Exception, client: Any) -> bool:
    """Whether ``error`` is what the exchange says to a request, not that it could say nothing."""
    return "ExchangeError" in _class_names(error) and client.http_status is not None and client.http_status < 500


def _class_names(error: Exception) -> set[str]:
    return {error_class.__name__ for error_class in type(error).__mro__}


def _limits_requests(error: Exception, client: Any) -> bool:
    """Whether the exchange wants fewer requests: by the class of ``error``, or where its words have none by status."""
    return client.http_status in {418, 429} or bool(_class_names(error) & {"DDoSProtection", "RateLimitExceeded"})


def _retry_after_s(client: Any) -> int:
    headers = client.last_response_headers or {}
    text = next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), "")
    return int(text) if text.isdecimal() else _DEFAULT_RETRY_AFTER_S


def _refusal_code(error: Exception, client: Any) -> str:
    """``InsufficientFunds`` → ``insufficient_funds``; every refusal of the key itself has one code."""
    if is_revoked_key(error):
        return KEY_REFUSED
    if _limits_requests(error, client):
        return RATE_LIMITED
    if isinstance(error, BotBalanceError):
        return error.code
    if is_wrong_clock(error):
        return "invalid_nonce"
    if would_take(f"{type(error).__name__}: {error}"):
        return WOULD_TAKE
    name = type(error).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _rejection(order: Mapping[str, Any]) -> str:
    """Why the exchange rejected an order that it had acknowledged, as far as it tells (Bybit does)."""
    told = str((order.get("info") or {}).get("rejectReason") or "no reason is told")
    return f"{WOULD_TAKE if would_take(told) else 'rejected'}: {told}"


def _words(error: Exception) -> str:
    """The error's class and words, without the address of the request, which is signed."""
    return re.sub(r"https?://\S+", "…", f"{type(error).__name__}: {error}")[:300]


def malformed_reply(what: str, found: object) -> RetryableReadError:
    return RetryableReadError("doubtful_reply", f"the exchange's {what} cannot be right: {str(found)[:200]}")


def _is_content(exchange: str, reply: Any) -> bool:
    """Whether ``exchange`` can have said ``reply``: not a text, nothing, or only a message."""
    envelope = _ENVELOPES.get(exchange)
    if not isinstance(reply, dict):
        return isinstance(reply, list) and envelope is None
    return not reply.keys() <= {"msg", "message"} and (not envelope or not envelope.isdisjoint(reply))


def _holds_content(reply: Any) -> bool:
    """Whether a reply has a list or an object where content could be, be it empty; ``{}`` and text have none."""
    if isinstance(reply, dict):
        return any(isinstance(value, list | dict) for name, value in reply.items() if name not in {"error", "errors"})
    return isinstance(reply, list)


def _entries(reply: Any) -> int:
    """How many entries the longest list in ``reply`` has, however deep it lies."""
    if isinstance(reply, dict):
        return max(map(_entries, reply.values()), default=0)
    return len(reply) if isinstance(reply, list) else 0


def _ended_at_ms(order: Mapping[str, Any]) -> int:
    """When the order last changed, as far as the exchange tells, else when it was placed."""
    return int(order.get("lastUpdateTimestamp") or order.get("lastTradeTimestamp") or order["timestamp"])


def _number_or_none(text: Any) -> Decimal | None:
    try:
        return None if text is None else Decimal(str(text))
    except InvalidOperation:
        return None


def _amount(field: str, text: Any) -> Decimal:
    number = _number_or_none(text)
    if number is None or not number.is_finite() or number < 0:
        raise malformed_reply(field, repr(text))
    return number


def _plain(number: Decimal) -> str:
    """``number`` in full, without an exponent or trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _amount_above_zero(field: str, text: Any) -> Decimal:
    number = _amount(field, text)
    if not number:
        raise malformed_reply(field, repr(text))
    return number


def _limit_price(order: Mapping[str, Any]) -> Decimal:
    """The order's limit in quote per base; 0 for somebody's order without one, as a stop order is."""
    if order.get("price") is None and order.get("type") not in {None, "limit"}:
        return Decimal(0)
    return _amount_above_zero("price", order.get("price"))


def _listings(
    exchange: str, markets: Mapping[str, Mapping[str, Any]], symbols: Collection[str]
) -> dict[str, MarketListing]:
    listings = {}
    for market in markets.values():
        symbol = f"{market['base']}{market['quote']}"
        if symbol in symbols and market.get("spot"):
            listings[symbol] = _listing(exchange, symbol, market)
    return listings


def _listing(exchange: str, symbol: str, market: Mapping[str, Any]) -> MarketListing:
    info = {key: value for key, value in market["info"].items() if key not in {"permissionSets", "permissions"}}
    document = json.dumps({**market, "info": info}, default=str, separators=(",", ":"))
    return MarketListing(_rules(exchange, symbol, market), document)


def _rules(exchange: str, symbol: str, market: Mapping[str, Any]) -> MarketRules:
    """The market's rules, the filters that ccxt leaves in ``info`` included."""
    precision, limits = market["precision"], market["limits"]
    filters = {entry.get("filterType"): entry for entry in market["info"].get("filters") or []}
    band = filters.get("PERCENT_PRICE_BY_SIDE", {})
    min_notional = _number_or_none(limits["cost"].get("min")) or _number_or_none(market["info"].get("costmin"))
    return MarketRules(
        symbol=symbol,
        base=market["base"],
        quote=market["quote"],
        tick_size=_amount("precision.price", precision["price"]),
        lot_size=_amount("precision.amount", precision["amount"]),
        min_qty=_number_or_none(limits["amount"].get("min")) or Decimal(0),
        max_qty=_number_or_none(limits["amount"].get("max")) or None,
        min_price=_number_or_none(limits["price"].get("min")) or Decimal(0),
        max_price=_number_or_none(limits["price"].get("max")) or None,
        min_notional=min_notional or Decimal(0),
        max_notional=_number_or_none(limits["cost"].get("max")) or None,
        trading=market.get("active") is not False,
        bid_multiplier_down=_number_or_none(band.get("bidMultiplierDown")),
        bid_multiplier_up=_number_or_none(band.get("bidMultiplierUp")),
        ask_multiplier_down=_number_or_none(band.get("askMultiplierDown")),
        ask_multiplier_up=_number_or_none(band.get("askMultiplierUp")),
        quote_fee_pct=_quote_fee_pct(exchange, market),
    )


def _quote_fee_pct(exchange: str, market: Mapping[str, Any]) -> Decimal:
    """What a buy costs in quote on top of its notional, in percent; ccxt gives the fee as a fraction."""
    if exchange not in _CHARGE_QUOTE and market.get("feeSide") != "quote":
        return Decimal(0)
    with ExactArithmetic():
        return (_number_or_none(market.get("taker")) or Decimal(0)) * 100


def _with_fee_as_a_cost(fill: dict[str, Any]) -> dict[str, Any]:
    """A fill of Bitget's; ccxt turns the sign of every fee, but only classic accounts tell them as negative numbers."""
    told = fill["info"].get("feeDetail")
    if not isinstance(told, list) or not told or "fee" not in told[0]:
        return fill
    return fill | {"fee": {"cost": told[0]["fee"], "currency": told[0].get("feeCoin")}}


def _trade(trade: Mapping[str, Any], rules: MarketRules) -> Trade:
    if not trade.get("id") or not trade.get("order") or trade.get("side") not in {"buy", "sell"}:
        raise malformed_reply("trade", {key: trade.get(key) for key in ("id", "order", "side")})
    fee = trade.get("fee") or {}
    cost = _number_or_none(fee.get("cost") or "0")  # negative where the exchange pays for making the market
    if cost is None or not cost.is_finite() or (cost and not fee.get("currency")):
        raise malformed_reply("fee", fee)
    fill = Fill(
        base=rules.base,
        quote=rules.quote,
        side=trade["side"],
        price=_amount_above_zero("price", trade.get("price")),
        base_qty=_amount_above_zero("amount", trade.get("amount")),
        fee=cost,
        fee_asset=str(fee.get("currency") or rules.quote),
    )
    return Trade(str(trade["id"]), str(trade["order"]), rules.symbol, fill, int(trade["timestamp"]))
