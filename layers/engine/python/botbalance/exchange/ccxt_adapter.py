"""The real adapter, over ccxt's synchronous classes. The only file that meets ccxt's objects.

ccxt can turn a garbage reply into an empty balance or an order without an id, raising nothing, so whatever
comes back is checked here before it counts as a fact. Numbers stay the exchange's strings until they are
Decimals. Requests are never repeated by ccxt: a repeated POST could be a second order.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from botbalance.engine import Balance, Fill, MarketRules, Side
from botbalance.errors import BotBalanceError, CallOwner, MendRequest, TryAgainLater, WaitUntilAllowed
from botbalance.exchange.adapter import (
    KEY_REFUSED,
    ExchangeOrder,
    ExchangeOrderStatus,
    MarketListing,
    Placed,
    Placement,
    Quote,
    Refused,
    Trade,
    Unknown,
)
from botbalance.exchange.ccxt_import import exchange_class
from botbalance.exchange.client_ids import client_id_on_exchange, client_id_params, client_id_reported_by
from botbalance.exchange.outcomes import Fate, fate_of_order, is_revoked_key

_SETTINGS: dict[str, Any] = {
    "number": str,
    "enableRateLimit": False,
    "timeout": 10_000,
    "enableLastJsonResponse": True,
    "enableLastHttpResponse": True,
    "enableLastResponseHeaders": True,
    "options": {
        "maxRetriesOnFailure": 0,
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        "fetchMarkets": {"types": ["spot"]},
        "fetchMargins": False,
        "fetchCurrencies": False,
        "defaultType": "spot",
    },
}

_STATUS = {
    "open": ExchangeOrderStatus.OPEN,
    "closed": ExchangeOrderStatus.FILLED,
    "canceled": ExchangeOrderStatus.CANCELED,
    "rejected": ExchangeOrderStatus.REJECTED,
    "expired": ExchangeOrderStatus.EXPIRED,
}

_DEFAULT_RETRY_AFTER_S = 60


class CcxtAdapter:
    """An :class:`~botbalance.exchange.adapter.ExchangeAdapter`. For one thread at a time.

    Without keys it answers what is public. ``base_url`` stands in for the exchange's own REST host
    (``http://127.0.0.1:9000``): a simulated exchange. Raises MendRequest for an exchange that ccxt lacks.
    """

    def __init__(
        self,
        exchange: str,
        *,
        api_key: str = "",
        secret: str = "",
        password: str = "",
        base_url: str | None = None,
    ) -> None:
        self.exchange = exchange
        self._client = _client_class(exchange)({**_SETTINGS, "apiKey": api_key, "secret": secret, "password": password})
        self._client.rerouted_to = base_url
        self._known: dict[str, MarketListing] = {}

    def close(self) -> None:
        """Close the connections to the exchange."""
        self._client.session.close()

    def market_listings(self, symbols: Collection[str]) -> dict[str, MarketListing]:
        markets = self._read(lambda: self._client.load_markets(True))
        listings = {}
        for market in markets.values():
            symbol = f"{market['base']}{market['quote']}"
            if symbol in symbols and market.get("spot"):
                listings[symbol] = _listing(symbol, market)
        return listings

    def use_listings(self, listings: Collection[MarketListing]) -> None:
        known = {listing.rules.symbol: listing for listing in listings}
        if known == self._known:
            return
        self._known = known
        markets = [json.loads(listing.document) for listing in listings]
        self._client.set_markets({market["symbol"]: market for market in markets})

    def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        by_unified = {self._unified(symbol): symbol for symbol in symbols}
        tickers = self._read(lambda: self._client.fetch_tickers(list(by_unified)))
        quotes = {}
        for ticker in tickers.values():
            symbol = by_unified.get(ticker.get("symbol"))
            if symbol is not None:
                quotes[symbol] = Quote(*(_number_or_none(ticker.get(field)) for field in ("last", "bid", "ask")))
        return quotes

    def balances(self) -> dict[str, Balance]:
        account = self._read(lambda: self._client.fetch_balance({"omitZeroBalances": True}))
        if not isinstance(account.get("info"), dict) or "free" not in account or "used" not in account:
            raise _doubtful("balance", account.get("info"))
        if self.exchange == "binance" and "balances" not in account["info"]:
            raise _doubtful("balance", account["info"])
        balances = {}
        for asset, free in account["free"].items():
            balance = Balance(_amount("free", free), _amount("locked", account["used"].get(asset)))
            if balance.free or balance.locked:
                balances[asset] = balance
        return balances

    def open_orders(self) -> list[ExchangeOrder]:
        orders = self._read(lambda: _checked_list(self._client.fetch_open_orders(), self._client, "open orders"))
        return [self._order(order) for order in orders]

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
        try:
            placed = self._client.create_order(
                self._unified(symbol), "limit", side, f"{base_qty:f}", f"{limit_price:f}", params
            )
            order = self._order({**placed, "clientOrderId": placed.get("clientOrderId")})
        except Exception as error:  # noqa: BLE001 - whatever it is, the table says what it means for the order
            if fate_of_order(error, sent=self._client.order_was_sent) is Fate.UNKNOWN:
                return Unknown(_words(error))
            return Refused(_refusal_code(error), _words(error))
        return Placed(order)

    def find_order(self, symbol: str, client_order_id: str) -> ExchangeOrder | None:
        sent = client_id_on_exchange(self.exchange, client_order_id)
        try:
            found = self._read(lambda: self._client.fetch_order(None, self._unified(symbol), {"clientOrderId": sent}))
        except _OrderNotThere:
            return None
        return self._order(found)

    def cancel_order(self, symbol: str, client_order_id: str) -> None:
        sent = client_id_on_exchange(self.exchange, client_order_id)
        try:
            self._read(lambda: self._client.cancel_order(None, self._unified(symbol), {"clientOrderId": sent}))
        except _OrderNotThere:
            return

    def trades(self, symbol: str, exchange_order_id: str) -> Sequence[Trade]:
        trades = self._read(
            lambda: _checked_list(
                self._client.fetch_my_trades(self._unified(symbol), None, None, {"orderId": exchange_order_id}),
                self._client,
                "trades",
            )
        )
        rules = self._known[symbol].rules
        return sorted((_trade(trade, rules) for trade in trades), key=lambda trade: trade.traded_at_ms)

    def reported_client_id(self, client_order_id: str) -> str:
        return client_id_on_exchange(self.exchange, client_order_id)

    def _unified(self, symbol: str) -> str:
        """ccxt's name of a market; its listing has to be in use."""
        listing = self._known.get(symbol)
        if listing is None:
            raise MendRequest("unknown_market", f"symbol is {symbol}, expected a spot market of {self.exchange}")
        return f"{listing.rules.base}/{listing.rules.quote}"

    def _order(self, order: Mapping[str, Any]) -> ExchangeOrder:
        status = _STATUS.get(str(order.get("status") or "open"))
        if not order.get("id") or not order.get("symbol") or order.get("side") not in {"buy", "sell"} or not status:
            raise _doubtful("order", {key: order.get(key) for key in ("id", "symbol", "side", "status")})
        client_id = order.get("clientOrderId")
        return ExchangeOrder(
            exchange_order_id=str(order["id"]),
            client_order_id=client_id_reported_by(self.exchange, str(client_id)) if client_id else None,
            symbol=str(order["symbol"]).replace("/", ""),
            side=order["side"],
            limit_price=_amount("price", order.get("price")),
            base_qty=_amount("amount", order.get("amount")),
            filled_qty=_amount("filled", order.get("filled")),
            status=status,
        )

    def _read[T](self, request: Callable[[], T]) -> T:
        """Run one request, its failures in our words. A clock that is off is set once, and the read repeated."""
        try:
            return request()
        except Exception as error:
            if type(error).__name__ != "InvalidNonce":
                raise _in_our_words(error, self._client) from error
        try:
            self._client.load_time_difference()
            return request()
        except Exception as error:
            raise _in_our_words(error, self._client) from error


class _OrderNotThere(BotBalanceError):
    """The exchange knows no order by that id."""


def _client_class(exchange: str) -> type[Any]:
    """ccxt's class, taught to reach a stand-in host and to tell whether an order was sent.

    ccxt picks its error table by the official host, so the host is swapped on the way out only and swapped
    back where errors are told apart.
    """
    try:
        original = exchange_class(exchange)
    except ModuleNotFoundError:
        raise MendRequest("unknown_exchange", f"exchange is {exchange!r}, expected one that ccxt knows") from None

    class Client(original):  # type: ignore[misc,valid-type]
        rerouted_to: str | None = None
        order_was_sent = False

        def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            self.official_url = url
            if method == "POST":
                self.order_was_sent = True
            if self.rerouted_to is not None:
                host = urlsplit(self.rerouted_to)
                url = urlunsplit(urlsplit(url)._replace(scheme=host.scheme, netloc=host.netloc))
            return super().fetch(url, method, headers, body)

        def handle_errors(self, code: int, reason: str, url: str, *rest: Any) -> Any:
            return super().handle_errors(code, reason, self.official_url, *rest)

    Client.__name__ = original.__name__
    return Client


def _in_our_words(error: Exception, client: Any) -> BotBalanceError:
    if isinstance(error, BotBalanceError):
        return error
    names = {error_class.__name__ for error_class in type(error).__mro__}
    if is_revoked_key(error):
        return CallOwner(KEY_REFUSED, f"the exchange refuses the API key: {_words(error)}")
    if names & {"DDoSProtection", "RateLimitExceeded"}:
        wait = _retry_after_s(client)
        return WaitUntilAllowed("exchange_rate_limit", f"the exchange limits requests for {wait} s", wait)
    if "OrderNotFound" in names:
        return _OrderNotThere("order_not_found", _words(error))
    if "BadSymbol" in names:
        return MendRequest("unknown_market", _words(error))
    return TryAgainLater("exchange_unavailable", f"the exchange did not answer as expected: {_words(error)}")


def _retry_after_s(client: Any) -> int:
    headers = client.last_response_headers or {}
    text = next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), "")
    return int(text) if text.isdecimal() else _DEFAULT_RETRY_AFTER_S


def _refusal_code(error: Exception) -> str:
    """``InsufficientFunds`` → ``insufficient_funds``; every refusal of the key itself has one code."""
    if is_revoked_key(error):
        return KEY_REFUSED
    name = type(error).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _doubtful(what: str, found: object) -> TryAgainLater:
    return TryAgainLater("doubtful_reply", f"the exchange's {what} cannot be right: {str(found)[:200]}")


def _checked_list(parsed: list[Any], client: Any, what: str) -> list[Any]:
    """``parsed``, if the reply was a list at all: ccxt makes an empty one of garbage."""
    if not parsed and not isinstance(client.last_json_response, list):
        raise _doubtful(what, client.last_http_response)
    return parsed


def _number_or_none(text: Any) -> Decimal | None:
    try:
        return None if text is None else Decimal(str(text))
    except InvalidOperation:
        return None


def _amount(field: str, text: Any) -> Decimal:
    number = _number_or_none(text)
    if number is None or not number.is_finite() or number < 0:
        raise _doubtful(field, repr(text))
    return number


def _listing(symbol: str, market: Mapping[str, Any]) -> MarketListing:
    info = {key: value for key, value in market["info"].items() if key not in {"permissionSets", "permissions"}}
    document = json.dumps({**market, "info": info}, default=str, separators=(",", ":"))
    return MarketListing(_rules(symbol, market), document)


def _rules(symbol: str, market: Mapping[str, Any]) -> MarketRules:
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
        quote_fee_pct=_quote_fee_pct(market),
    )


def _quote_fee_pct(market: Mapping[str, Any]) -> Decimal:
    """What a buy costs in quote on top of its notional, in percent; ccxt gives the fee as a fraction."""
    if market.get("feeSide") != "quote":
        return Decimal(0)
    return (_number_or_none(market.get("taker")) or Decimal(0)) * 100


def _trade(trade: Mapping[str, Any], rules: MarketRules) -> Trade:
    if not trade.get("id") or not trade.get("order") or trade.get("side") not in {"buy", "sell"}:
        raise _doubtful("trade", {key: trade.get(key) for key in ("id", "order", "side")})
    fee = trade.get("fee") or {}
    cost = _amount("fee", fee.get("cost") or "0")
    fill = Fill(
        base=rules.base,
        quote=rules.quote,
        side=trade["side"],
        price=_amount("price", trade.get("price")),
        base_qty=_amount("amount", trade.get("amount")),
        fee=cost,
        fee_asset=str(fee.get("currency") or rules.quote),
    )
    return Trade(str(trade["id"]), str(trade["order"]), rules.symbol, fill, int(trade["timestamp"]))
