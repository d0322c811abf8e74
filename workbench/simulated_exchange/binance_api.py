"""Binance's REST API over the books: routes, signatures, weights, errors.

``BinanceApi.answer`` is the whole effect of a request and knows no network; ``BinanceApi.serve`` is the one door
through which every HTTP request goes in and every reply goes out. Faults belong between the two.
"""

import hmac
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from aiohttp import web
from botbalance.engine import Side

from workbench.simulated_exchange import errors, responses
from workbench.simulated_exchange.errors import ExchangeError
from workbench.simulated_exchange.matching_engine import Account, MatchingEngine, NewOrder, OrderType, epoch_ms
from workbench.simulated_exchange.parameters import CLIENT_ID_LEGAL, Parameters

KEY_FORMAT = re.compile(r"[A-Za-z0-9]{64}")
DEFAULT_RECV_WINDOW_MS = 5_000
LONGEST_RECV_WINDOW_MS = 60_000
ALLOWED_AHEAD_MS = 1_000
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
RESPONSE_TYPES = ("ACK", "RESULT", "FULL")
NOT_FOUND = "<html><head><title>404 Not Found</title></head><body><center><h1>404 Not Found</h1></center></body></html>"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it came: ``query`` and ``body`` still encoded, header names in lower case."""

    method: str
    path: str
    query: str = ""
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def api_key(self) -> str | None:
        """The key it was sent with; None on a public connection."""
        return self.headers.get("x-mbx-apikey")


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: ``text`` is the body."""

    status: int
    text: str
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a path. A handler of a signed route is given the account that signed; others are given None."""

    handler: Callable[[Parameters, Account], object] | Callable[[Parameters], object]
    weight: Callable[[Parameters], int]
    signed: bool


class BinanceApi:
    """Answers requests from ``books``.

    ``weight_limit`` is the request weight that a minute of the books' clock allows before 429 (Binance: 6,000), and
    what is used of it is told with each reply; whoever asks here asks from the same address. None allows and tells as
    if nothing was ever counted. ``weight_used`` is all that was used so far, by API key ("" without one).
    Signatures' timestamps are checked against the real time, whatever clock the books have.
    """

    def __init__(self, books: MatchingEngine, *, weight_limit: int | None = None) -> None:
        self.books = books
        self.market = books.market
        self.weight_used: Counter[str] = Counter()
        self.weight_limit = weight_limit
        self._minute = 0
        self._used_weight = 0
        self._routes: dict[tuple[str, str], Route] = {}
        self._add_public_routes()
        self._add_account_routes()
        self._add_order_routes()

    # the door

    def application(self) -> web.Application:
        """An aiohttp application in which every request goes through :meth:`serve`."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.serve)
        return app

    async def serve(self, incoming: web.Request) -> web.StreamResponse:
        """Read a request, have its effect, send its reply."""
        return to_response(self.answer(await read_request(incoming)))

    def answer(self, request: Request) -> Reply:
        """The request's whole effect, and what is to be said about it."""
        route = self._routes.get((request.method, request.path))
        if route is None:
            return Reply(404, NOT_FOUND, "text/html")
        with self.market.exclusive():
            headers: dict[str, str] = {}
            try:
                parameters = Parameters.parse(request.query, request.body)
                if request.path.startswith("/api/"):
                    headers = self._count_weight(route.weight(parameters), request.api_key)
                    self._require_weight()
                if route.signed:
                    account = self._authenticate(request, parameters)
                    content = cast(Callable[[Parameters, Account], object], route.handler)(parameters, account)
                else:
                    content = cast(Callable[[Parameters], object], route.handler)(parameters)
            except ExchangeError as refusal:
                if refusal.status == 429:
                    headers["Retry-After"] = str(60 - self.books.now_ms() // 1000 % 60)
                return refused(refusal, headers)
            return Reply(200, json.dumps(content), headers=headers)

    @property
    def weight_used_total(self) -> int:
        """All that was ever used, by whomever."""
        return self.weight_used.total()

    def _count_weight(self, weight: int, api_key: str | None) -> dict[str, str]:
        """Count a request, also one that is refused for it; returns the headers that tell, if any do."""
        minute = self.books.now_ms() // 60_000
        if minute != self._minute:
            self._minute, self._used_weight = minute, 0
        self._used_weight += weight
        self.weight_used[api_key or ""] += weight
        if self.weight_limit is None:
            return {}
        return {"X-MBX-USED-WEIGHT": str(self._used_weight), "X-MBX-USED-WEIGHT-1M": str(self._used_weight)}

    def _require_weight(self) -> None:
        if self.weight_limit is not None and self._used_weight > self.weight_limit:
            raise ExchangeError(
                -1003,
                f"Too much request weight used; current limit is {self.weight_limit} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API.",
                429,
            )

    # signatures

    def _authenticate(self, request: Request, parameters: Parameters) -> Account:
        api_key = request.api_key or ""
        account = self.books.account(api_key)
        if account is None:
            raise errors.unknown_key() if KEY_FORMAT.fullmatch(api_key) else errors.malformed_key()
        timestamp = parameters.integer("timestamp")
        if timestamp is None:
            raise errors.mandatory("timestamp")
        signature = parameters.text("signature")
        if not signature:
            raise errors.mandatory("signature")
        self._check_time(timestamp, parameters.integer("recvWindow"))
        signed, separator, sent = _signed_part(request)
        expected = hmac.digest(account.secret.encode(), signed.encode(), "sha256").hex()
        if not separator or not hmac.compare_digest(expected.encode(), sent.lower().encode()):
            raise ExchangeError(-1022, "Signature for this request is not valid.")
        return account

    def _check_time(self, timestamp: int, recv_window: int | None) -> None:
        now = epoch_ms()
        if recv_window is not None and recv_window > LONGEST_RECV_WINDOW_MS:
            raise ExchangeError(-1131, "recvWindow must be less than 60000.")
        if timestamp >= now + ALLOWED_AHEAD_MS:
            raise ExchangeError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - timestamp > (DEFAULT_RECV_WINDOW_MS if recv_window is None else recv_window):
            raise ExchangeError(-1021, "Timestamp for this request is outside of the recvWindow.")

    # routes: weights are Binance's

    def _add_public_routes(self) -> None:
        self._public("/api/v3/ping", lambda _: {}, lambda _: 1)
        self._public("/api/v3/time", lambda _: {"serverTime": epoch_ms()}, lambda _: 1)
        self._public("/api/v3/exchangeInfo", self._exchange_info, lambda _: 20)
        self._public("/api/v3/depth", self._depth, _depth_weight)
        self._public("/api/v3/klines", self._klines, lambda _: 2)
        self._public("/api/v3/ticker/24hr", lambda p: self._tickers(p, responses.day_ticker), _day_ticker_weight)
        self._public("/api/v3/ticker/price", lambda p: self._tickers(p, responses.price_ticker), _ticker_weight)
        self._public("/api/v3/ticker/bookTicker", lambda p: self._tickers(p, responses.book_ticker), _ticker_weight)

    def _add_account_routes(self) -> None:
        self._signed("GET", "/api/v3/account", self._account, lambda _: 20)
        self._signed("GET", "/api/v3/myTrades", self._my_trades, lambda p: 20 if p.text("orderId") is None else 5)
        self._signed("GET", "/sapi/v1/account/apiRestrictions", self._api_restrictions, lambda _: 1)
        self._signed("GET", "/sapi/v1/asset/tradeFee", self._trade_fee, lambda _: 1)

    def _add_order_routes(self) -> None:
        self._signed("POST", "/api/v3/order", self._place, lambda _: 1)
        self._signed("GET", "/api/v3/order", self._query, lambda _: 4)
        self._signed("DELETE", "/api/v3/order", self._cancel, lambda _: 1)
        self._signed("GET", "/api/v3/openOrders", self._open_orders, lambda p: 6 if p.text("symbol") else 80)
        self._signed("DELETE", "/api/v3/openOrders", self._cancel_all, lambda _: 1)
        self._signed("GET", "/api/v3/allOrders", self._all_orders, lambda _: 20)

    def _public(self, path: str, handler: Callable[[Parameters], object], weight: Callable[[Parameters], int]) -> None:
        self._routes["GET", path] = Route(handler, weight, signed=False)

    def _signed(
        self,
        method: str,
        path: str,
        handler: Callable[[Parameters, Account], object],
        weight: Callable[[Parameters], int],
    ) -> None:
        self._routes[method, path] = Route(handler, weight, signed=True)

    # the market

    def _exchange_info(self, parameters: Parameters) -> object:
        symbols = self._wanted_symbols(parameters)
        weight_limit = self.weight_limit or responses.REQUEST_WEIGHT_LIMIT
        return responses.exchange_info(self.market, symbols, epoch_ms(), weight_limit)

    def _tickers(self, parameters: Parameters, ticker: Callable[..., responses.Json]) -> object:
        found = [ticker(self.market, symbol) for symbol in self._wanted_symbols(parameters)]
        return found[0] if parameters.text("symbol") is not None else found

    def _depth(self, parameters: Parameters) -> object:
        return responses.depth(self.market, self._known_symbol(parameters), parameters.limit(100, 5_000))

    def _klines(self, parameters: Parameters) -> object:
        """The market's own candles, whatever the interval asked for."""
        symbol = self._known_symbol(parameters)
        parameters.word("interval", INTERVALS, ExchangeError(-1120, "Invalid interval."))
        start, end = parameters.integer("startTime"), parameters.integer("endTime")
        limit = parameters.limit(500, 1_000)
        candles = [
            candle
            for candle in self.market.candles(symbol)
            if (start is None or candle.open_time >= start) and (end is None or candle.open_time <= end)
        ]
        chosen = candles[-limit:] if start is None else candles[:limit]
        return [responses.kline(candle, self.market.candle_ms) for candle in chosen]

    # the account

    def _account(self, parameters: Parameters, account: Account) -> object:
        return responses.account(self.books, account, omit_zero=parameters.is_true("omitZeroBalances"))

    def _my_trades(self, parameters: Parameters, account: Account) -> object:
        symbol = self._known_symbol(parameters)
        order_id, from_id = parameters.integer("orderId"), parameters.integer("fromId")
        start, end = parameters.integer("startTime"), parameters.integer("endTime")
        if from_id is not None and (start is not None or end is not None):
            raise ExchangeError(-1128, "ParameterSet of optional parameters invalid.")
        limit = parameters.limit(500, 1_000)
        trades = [
            trade
            for trade in account.trades
            if trade.symbol == symbol
            and (order_id is None or trade.order_id == order_id)
            and (from_id is None or trade.trade_id >= from_id)
            and (start is None or trade.time >= start)
            and (end is None or trade.time <= end)
        ]
        chosen = trades[-limit:] if from_id is None and start is None else trades[:limit]
        return [responses.trade(trade) for trade in chosen]

    def _api_restrictions(self, _: Parameters, account: Account) -> object:
        return responses.api_restrictions(account)

    def _trade_fee(self, parameters: Parameters, _: Account) -> object:
        return [responses.trade_fee(self.books, symbol) for symbol in self._wanted_symbols(parameters)]

    # orders

    def _place(self, parameters: Parameters, account: Account) -> object:
        _require_trading(account)
        wanted = self._wanted_order(parameters)
        default = "ACK" if wanted.type is OrderType.LIMIT_MAKER else "FULL"
        response_type = parameters.text("newOrderRespType") or default
        if response_type not in RESPONSE_TYPES:
            raise ExchangeError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
        order, trades = self.books.place(account.api_key, wanted)
        if response_type == "ACK":
            return responses.acknowledged(order)
        if response_type == "RESULT":
            return responses.placed_result(order)
        return responses.placed_in_full(order, trades)

    def _wanted_order(self, parameters: Parameters) -> NewOrder:
        spec = self.market.specs[self._known_symbol(parameters)]
        side = parameters.word("side", ("BUY", "SELL"), ExchangeError(-1117, "Invalid side.")).lower()
        type_ = OrderType(parameters.word("type", responses.ORDER_TYPES, ExchangeError(-1116, "Invalid orderType.")))
        client_order_id = parameters.matching("newClientOrderId", CLIENT_ID_LEGAL) or _generated_id()
        base_decimals, quote_decimals = responses.base_decimals(spec), responses.quote_decimals(spec)
        price = quote_qty = None
        if type_ is OrderType.LIMIT:
            parameters.word("timeInForce", ("GTC",), ExchangeError(-1115, "Invalid timeInForce."))
        else:
            parameters.absent("timeInForce")
        if type_ is OrderType.MARKET:
            parameters.absent("price")
            quote_qty = parameters.decimal("quoteOrderQty", quote_decimals)
            if quote_qty is not None:
                parameters.absent("quantity")
        else:
            parameters.absent("quoteOrderQty")
            price = parameters.wanted_decimal("price", quote_decimals)
        qty = None if quote_qty is not None else parameters.wanted_decimal("quantity", base_decimals)
        return NewOrder(spec.symbol, cast(Side, side), type_, client_order_id, qty, price, quote_qty)

    def _query(self, parameters: Parameters, account: Account) -> object:
        symbol, order_id, client_order_id = self._one_order(parameters)
        found = self.books.find(account.api_key, symbol, order_id=order_id, client_order_id=client_order_id)
        return responses.order(found)

    def _cancel(self, parameters: Parameters, account: Account) -> object:
        _require_trading(account)
        symbol, order_id, client_order_id = self._one_order(parameters)
        cancel_id = parameters.matching("newClientOrderId", CLIENT_ID_LEGAL) or _generated_id()
        order = self.books.cancel(account.api_key, symbol, order_id=order_id, client_order_id=client_order_id)
        return responses.cancelled(order, cancel_id)

    def _cancel_all(self, parameters: Parameters, account: Account) -> object:
        _require_trading(account)
        cancelled = self.books.cancel_all(account.api_key, self._known_symbol(parameters))
        return [responses.cancelled(order, _generated_id()) for order in cancelled]

    def _open_orders(self, parameters: Parameters, account: Account) -> object:
        symbol = None if parameters.text("symbol") is None else self._known_symbol(parameters)
        return [responses.order(order) for order in self.books.open_orders(account.api_key, symbol)]

    def _all_orders(self, parameters: Parameters, account: Account) -> object:
        symbol = self._known_symbol(parameters)
        from_id = parameters.integer("orderId")
        start, end = parameters.integer("startTime"), parameters.integer("endTime")
        limit = parameters.limit(500, 1_000)
        orders = [
            order
            for order in account.orders.values()
            if order.symbol == symbol
            and (from_id is None or order.order_id >= from_id)
            and (start is None or order.time >= start)
            and (end is None or order.time <= end)
        ]
        chosen = orders[-limit:] if from_id is None and start is None else orders[:limit]
        return [responses.order(order) for order in chosen]

    # parameters

    def _known_symbol(self, parameters: Parameters) -> str:
        symbol = parameters.symbol()
        if symbol not in self.market.specs:
            raise errors.invalid_symbol()
        return symbol

    def _wanted_symbols(self, parameters: Parameters) -> list[str]:
        """The one of ``symbol``, those of ``symbols``, or all."""
        symbols = parameters.symbols()
        if parameters.text("symbol") is not None:
            if symbols is not None:
                raise ExchangeError(-1128, "ParameterSet of optional parameters invalid.")
            return [self._known_symbol(parameters)]
        if symbols is None:
            return list(self.market.specs)
        if not set(symbols) <= self.market.specs.keys():
            raise errors.invalid_symbol()
        return symbols

    def _one_order(self, parameters: Parameters) -> tuple[str, int | None, str | None]:
        symbol = self._known_symbol(parameters)
        order_id = parameters.integer("orderId")
        client_order_id = parameters.matching("origClientOrderId", CLIENT_ID_LEGAL)
        if order_id is None and client_order_id is None:
            raise errors.order_id_missing()
        return symbol, order_id, client_order_id


async def read_request(incoming: web.Request) -> Request:
    """The request, read whole."""
    path, _, query = incoming.raw_path.partition("?")
    body = (await incoming.read()).decode("utf-8", errors="replace")
    headers = {name.lower(): value for name, value in incoming.headers.items()}
    return Request(incoming.method, path, query, body, headers)


def to_response(reply: Reply) -> web.Response:
    """``reply`` as aiohttp sends it."""
    return web.Response(status=reply.status, text=reply.text, content_type=reply.content_type, headers=reply.headers)


def refused(refusal: ExchangeError, headers: Mapping[str, str] | None = None) -> Reply:
    """What Binance says when it refuses."""
    return Reply(
        refusal.status, json.dumps({"code": refusal.code, "msg": refusal.message}), headers=dict(headers or {})
    )


def _signed_part(request: Request) -> tuple[str, str, str]:
    """What was signed, a separator that is empty where none was found, and the signature that was sent.

    The signature is the last parameter; query and body are signed as one text, without anything between them.
    """
    in_body = "signature=" in request.body
    carrier = request.body if in_body else request.query
    signed, separator, sent = carrier.rpartition("signature=")
    signed = signed.removesuffix("&")
    return (request.query + signed if in_body else signed + request.body), separator, sent


def _require_trading(account: Account) -> None:
    if not account.can_trade:
        raise errors.unknown_key()


def _generated_id() -> str:
    return secrets.token_urlsafe(16)


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.limit(100, 5_000)
    return next(weight for most, weight in ((100, 5), (500, 25), (1_000, 50), (5_000, 250)) if limit <= most)


def _day_ticker_weight(parameters: Parameters) -> int:
    symbols = parameters.symbols()
    if parameters.text("symbol") is not None or (symbols is not None and len(symbols) <= 20):
        return 2
    return 80 if symbols is None or len(symbols) > 100 else 40


def _ticker_weight(parameters: Parameters) -> int:
    return 2 if parameters.text("symbol") is not None else 4
