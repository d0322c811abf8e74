"""The ten exchanges as far as looking an order up goes: their paths, and replies made by hand in their own forms.

Each holds at most our one order, in the lists that a test chooses; the rest of an exchange answers 404.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from botbalance.exchange.adapter import MarketListing
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.simulated import Exchange, running_exchange
from workbench.simulated_exchange.binance_api import NOT_FOUND, BinanceApi, Request, read_request
from workbench.simulated_exchange.matching_engine import MatchingEngine, epoch_ms
from workbench.simulated_exchange.server import ExchangeServer

CLIENT_ID = "0123456789abcdef0123"
OWN_ID = "7000001"
OPEN, FILLED, CANCELED = "open", "filled", "canceled"
FILLED_QTY = {OPEN: "0", FILLED: "0.01", CANCELED: "0.004"}
LEFT = {OPEN: "0.01", FILLED: "0", CANCELED: "0.006"}
NOW = epoch_ms() - 5_000
"""When our order was placed and last changed."""

type Body = dict[str, Any] | list[Any]


@dataclass(frozen=True)
class Place:
    """Where an exchange tells of orders: ``request`` is its method and path, and what of its query tells it apart.

    ``holding`` makes the reply of a place that holds those orders, ``empty`` that of one that holds none;
    ``tells`` are the states of the orders it can hold. ``all_orders`` says that it was not asked for ours alone.
    """

    request: str
    holding: Callable[[list[Any]], Body]
    empty: tuple[int, Body]
    tells: tuple[str, ...] = (OPEN, FILLED, CANCELED)
    all_orders: bool = False


@dataclass(frozen=True)
class StandIn:
    """One exchange: its name for the market, its form of our order in a state, its places in the order of asking.

    ``asides`` are the requests by which ccxt tells what kind of account this is, ``asides_of_orders`` those before
    an order is placed. ``cancel`` is the request that
    cancels, with how it names the order; ``canceled`` and ``gone`` are its replies. ``since`` and ``until`` are the
    parameters that say how far the last place's list goes back, and from when on.
    """

    market_id: str
    order: Callable[[str], dict[str, Any]]
    places: tuple[Place, ...]
    cancel: tuple[str, str]
    canceled: Body
    gone: tuple[int, Body]
    asides: Mapping[str, Body] = field(default_factory=dict)
    asides_of_orders: Mapping[str, Body] = field(default_factory=dict)
    sent_id: str = CLIENT_ID
    market: Mapping[str, str] = field(default_factory=dict)
    since: str | None = None
    until: str | None = None

    def other_order(self, placed_at_ms: int = NOW) -> dict[str, Any]:
        """An open order that is not ours."""
        text = json.dumps(self.order(OPEN)).replace(self.sent_id, "another").replace(OWN_ID, "8000002")
        for form in (str, lambda ms: str(ms // 1000), _iso):
            text = text.replace(form(NOW), form(placed_at_ms))
        return dict(json.loads(text))


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _binance_like(state: str, words: Mapping[str, str], own_id: str | int) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "orderId": own_id,
        "orderListId": -1,
        "clientOrderId": CLIENT_ID,
        "price": "39000.00",
        "origQty": "0.01",
        "executedQty": FILLED_QTY[state],
        "cummulativeQuoteQty": "0",
        "status": words[state],
        "timeInForce": "GTC",
        "type": "LIMIT_MAKER",
        "side": "BUY",
        "time": NOW,
        "updateTime": NOW,
    }


BINANCE = StandIn(
    "BTCUSDT",
    lambda state: _binance_like(state, {OPEN: "NEW", FILLED: "FILLED", CANCELED: "CANCELED"}, int(OWN_ID)),
    (
        Place(
            "GET /api/v3/order",
            lambda orders: orders[0],
            (400, {"code": -2013, "msg": "Order does not exist."}),
        ),
    ),
    cancel=("DELETE /api/v3/order", f"origClientOrderId={CLIENT_ID}"),
    canceled=_binance_like(CANCELED, {CANCELED: "CANCELED"}, int(OWN_ID)),
    gone=(400, {"code": -2011, "msg": "Unknown order sent."}),
)


def _okx_order(state: str) -> dict[str, Any]:
    return {
        "instType": "SPOT",
        "instId": "BTC-USDT",
        "ordId": OWN_ID,
        "clOrdId": CLIENT_ID,
        "px": "39000",
        "sz": "0.01",
        "ordType": "post_only",
        "side": "buy",
        "tdMode": "cash",
        "accFillSz": FILLED_QTY[state],
        "avgPx": "",
        "state": {OPEN: "live", FILLED: "filled", CANCELED: "canceled"}[state],
        "fee": "0",
        "feeCcy": "",
        "cTime": str(NOW),
        "uTime": str(NOW),
    }


def _okx(orders: list[Any]) -> Body:
    return {"code": "0", "msg": "", "data": orders}


OKX = StandIn(
    "BTC-USDT",
    _okx_order,
    (
        Place("GET /api/v5/trade/order", _okx, (200, {"code": "51603", "msg": "Order does not exist", "data": []})),
        Place("GET /api/v5/trade/orders-history?state=filled", _okx, (200, _okx([])), (FILLED,), all_orders=True),
        Place("GET /api/v5/trade/orders-history?state=canceled", _okx, (200, _okx([])), (CANCELED,), all_orders=True),
    ),
    cancel=("POST /api/v5/trade/cancel-order", f'"clOrdId":"{CLIENT_ID}"'),
    canceled=_okx([{"clOrdId": CLIENT_ID, "ordId": OWN_ID, "sCode": "0", "sMsg": ""}]),
    gone=(200, {"code": "1", "msg": "", "data": [{"sCode": "51400", "sMsg": "Cancellation failed"}]}),
    since="begin",
    until="end",
)


def _bybit(orders: list[Any]) -> Body:
    return {
        "retCode": 0,
        "retMsg": "OK",
        "result": {"nextPageCursor": "", "category": "spot", "list": orders},
        "retExtInfo": {},
        "time": NOW,
    }


def _bybit_order(state: str) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "orderId": OWN_ID,
        "orderLinkId": CLIENT_ID,
        "orderType": "Limit",
        "orderStatus": {OPEN: "New", FILLED: "Filled", CANCELED: "PartiallyFilledCanceled"}[state],
        "side": "Buy",
        "price": "39000",
        "qty": "0.01",
        "cumExecQty": FILLED_QTY[state],
        "cumExecValue": "0",
        "cumExecFee": "0",
        "leavesQty": LEFT[state],
        "avgPrice": "",
        "timeInForce": "PostOnly",
        "createdTime": str(NOW),
        "updatedTime": str(NOW),
    }


BYBIT = StandIn(
    "BTCUSDT",
    _bybit_order,
    (
        Place("GET /v5/order/realtime", _bybit, (200, _bybit([]))),
        Place("GET /v5/order/history", _bybit, (200, _bybit([])), (FILLED, CANCELED)),
    ),
    cancel=("POST /v5/order/cancel", f'"orderLinkId":"{CLIENT_ID}"'),
    canceled={"retCode": 0, "retMsg": "OK", "result": {"orderId": OWN_ID, "orderLinkId": CLIENT_ID}, "time": NOW},
    gone=(200, {"retCode": 170213, "retMsg": "Order does not exist.", "result": {}, "time": NOW}),
    asides_of_orders={
        "GET /v5/user/query-api": {"retCode": 0, "retMsg": "", "result": {"unified": 0, "uta": 1}, "time": NOW},
        "GET /v5/account/info": {"retCode": 0, "retMsg": "OK", "result": {"unifiedMarginStatus": 6}, "time": NOW},
    },
)


def _kraken_order(state: str) -> dict[str, Any]:
    return {
        "refid": None,
        "userref": None,
        "cl_ord_id": CLIENT_ID[:18],
        "status": {OPEN: "open", FILLED: "closed", CANCELED: "canceled"}[state],
        "opentm": NOW / 1000,
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": "XBTUSDT",
            "type": "buy",
            "ordertype": "limit",
            "price": "39000.0",
            "price2": "0",
            "leverage": "none",
            "order": "buy 0.01000000 XBTUSDT @ limit 39000.0",
            "close": "",
        },
        "vol": "0.01000000",
        "vol_exec": FILLED_QTY[state],
        "cost": "0.00000",
        "fee": "0.00000",
        "price": "0.00000",
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq,post",
    }


def _kraken(name: str) -> Callable[[list[Any]], Body]:
    return lambda orders: {
        "error": [],
        "result": {name: {OWN_ID if not at else f"{OWN_ID}-{at}": order for at, order in enumerate(orders)}},
    }


KRAKEN = StandIn(
    "XXBTZUSDT",  # as Kraken's oldest pairs are named, otherwise than in its orders
    _kraken_order,
    (
        Place("POST /0/private/OpenOrders", _kraken("open"), (200, {"error": [], "result": {"open": {}}}), (OPEN,)),
        Place(
            "POST /0/private/ClosedOrders",
            _kraken("closed"),
            (200, {"error": [], "result": {"closed": {}, "count": 0}}),
            (FILLED, CANCELED),
        ),
    ),
    cancel=("POST /0/private/CancelOrder", f"cl_ord_id={CLIENT_ID[:18]}"),
    canceled={"error": [], "result": {"count": 1}},
    gone=(200, {"error": ["EOrder:Unknown order"]}),
    sent_id=CLIENT_ID[:18],
    market={"altname": "XBTUSDT"},
)


def _kucoin_order(state: str) -> dict[str, Any]:
    return {
        "id": OWN_ID,
        "symbol": "BTC-USDT",
        "opType": "DEAL",
        "type": "limit",
        "side": "buy",
        "price": "39000",
        "size": "0.01",
        "funds": "0",
        "dealFunds": "0",
        "dealSize": FILLED_QTY[state],
        "fee": "0",
        "feeCurrency": "USDT",
        "timeInForce": "GTC",
        "postOnly": True,
        "clientOid": CLIENT_ID,
        "isActive": state == OPEN,
        "cancelExist": state == CANCELED,
        "createdAt": NOW,
        "tradeType": "TRADE",
    }


def _kucoin(data: Any) -> Body:
    return {"code": "200000", "data": data}


KUCOIN = StandIn(
    "BTC-USDT",
    _kucoin_order,
    (
        Place(
            f"GET /api/v1/order/client-order/{CLIENT_ID}",
            lambda orders: _kucoin(orders[0]),
            (200, {"code": "400100", "msg": "order not exist."}),
            (OPEN,),
        ),
        Place(
            "GET /api/v1/orders?status=done",
            lambda orders: _kucoin({"currentPage": 1, "pageSize": 100, "items": orders}),
            (200, _kucoin({"currentPage": 1, "pageSize": 100, "totalNum": 0, "totalPage": 0, "items": []})),
            (FILLED, CANCELED),
            all_orders=True,
        ),
    ),
    cancel=(f"DELETE /api/v1/order/client-order/{CLIENT_ID}", ""),
    canceled=_kucoin({"cancelledOrderId": OWN_ID, "clientOid": CLIENT_ID}),
    gone=(200, {"code": "400100", "msg": "order_not_exist_or_not_allow_to_cancel"}),
    asides={"GET /api/ua/v1/account/mode": _kucoin({"selfAccountMode": "CLASSIC"})},
    since="startAt",
    until="endAt",
)


def _gate_order(state: str) -> dict[str, Any]:
    return {
        "id": OWN_ID,
        "text": f"t-{CLIENT_ID}",
        "create_time": str(NOW // 1000),
        "update_time": str(NOW // 1000),
        "create_time_ms": NOW,
        "update_time_ms": NOW,
        "status": {OPEN: "open", FILLED: "closed", CANCELED: "cancelled"}[state],
        "currency_pair": "BTC_USDT",
        "type": "limit",
        "account": "spot",
        "side": "buy",
        "amount": "0.01",
        "price": "39000",
        "time_in_force": "poc",
        "left": LEFT[state],
        "filled_total": "0",
        "fee": "0",
        "fee_currency": "BTC",
        "point_fee": "0",
        "gt_fee": "0",
        "gt_discount": False,
        "rebated_fee": "0",
        "rebated_fee_currency": "USDT",
        "finish_as": {OPEN: "open", FILLED: "filled", CANCELED: "poc"}[state],
    }


GATE = StandIn(
    "BTC_USDT",
    _gate_order,
    (
        Place(
            f"GET /api/v4/spot/orders/t-{CLIENT_ID}",
            lambda orders: orders[0],
            (404, {"label": "ORDER_NOT_FOUND", "message": "Order not found"}),
        ),
        Place("GET /api/v4/spot/orders?status=finished", list, (200, []), (FILLED, CANCELED), all_orders=True),
    ),
    cancel=(f"DELETE /api/v4/spot/orders/t-{CLIENT_ID}", "currency_pair=BTC_USDT"),
    canceled=_gate_order(CANCELED),
    gone=(400, {"label": "ORDER_CLOSED", "message": "Order is closed"}),
    asides={"GET /api/v4/account/detail": {"user_id": 1, "key": {"mode": 1}}},
    sent_id=f"t-{CLIENT_ID}",
    since="from",
    until="to",
)


def _coinbase_order(state: str) -> dict[str, Any]:
    return {
        "order_id": OWN_ID,
        "product_id": "BTC-USDT",
        "order_configuration": {
            "limit_limit_gtc": {"base_size": "0.01", "limit_price": "39000", "post_only": True},
        },
        "side": "BUY",
        "client_order_id": CLIENT_ID,
        "status": {OPEN: "OPEN", FILLED: "FILLED", CANCELED: "CANCELLED"}[state],
        "time_in_force": "GOOD_UNTIL_CANCELLED",
        "created_time": _iso(NOW),
        "filled_size": FILLED_QTY[state],
        "average_filled_price": "0",
        "total_fees": "0",
        "order_type": "LIMIT",
        "product_type": "SPOT",
    }


def _coinbase(orders: list[Any]) -> Body:
    return {"orders": orders, "sequence": "0", "has_next": False, "cursor": ""}


COINBASE = StandIn(
    "BTC-USDT",
    _coinbase_order,
    (
        Place(
            "GET /api/v3/brokerage/orders/historical/batch?order_status=OPEN",
            _coinbase,
            (200, _coinbase([])),
            (OPEN,),
            all_orders=True,
        ),
        Place("GET /api/v3/brokerage/orders/historical/batch", _coinbase, (200, _coinbase([])), all_orders=True),
    ),
    cancel=("POST /api/v3/brokerage/orders/batch_cancel", f'"order_ids":["{OWN_ID}"]'),
    canceled={"results": [{"success": True, "failure_reason": "UNKNOWN_CANCEL_FAILURE_REASON", "order_id": OWN_ID}]},
    gone=(200, _coinbase([])),
    since="start_date",
    until="end_date",
)


def _bitget_order(state: str) -> dict[str, Any]:
    return {
        "userId": "1",
        "symbol": "BTCUSDT",
        "orderId": OWN_ID,
        "clientOid": CLIENT_ID,
        "price": "39000",
        "size": "0.01",
        "orderType": "limit",
        "side": "buy",
        "status": {OPEN: "live", FILLED: "filled", CANCELED: "cancelled"}[state],
        "priceAvg": "0",
        "baseVolume": FILLED_QTY[state],
        "quoteVolume": "0",
        "enterPointSource": "API",
        "feeDetail": "",
        "orderSource": "normal",
        "cTime": str(NOW),
        "uTime": str(NOW),
    }


def _bitget(data: Any) -> Body:
    return {"code": "00000", "msg": "success", "requestTime": NOW, "data": data}


_NO_UNIFIED_ACCOUNT = {"code": "40084", "msg": "You are in Classic Account mode", "requestTime": NOW, "data": None}

BITGET = StandIn(
    "BTCUSDT",
    _bitget_order,
    (
        Place("GET /api/v2/spot/trade/orderInfo", _bitget, (200, _bitget([])), (OPEN,)),
        Place(
            "GET /api/v2/spot/trade/history-orders",
            _bitget,
            (200, _bitget([])),
            (FILLED, CANCELED),
            all_orders=True,
        ),
    ),
    cancel=("POST /api/v2/spot/trade/cancel-order", f'"clientOid":"{CLIENT_ID}"'),
    canceled=_bitget({"orderId": OWN_ID, "clientOid": CLIENT_ID}),
    gone=(400, {"code": "43001", "msg": "The order does not exist", "requestTime": NOW, "data": None}),
    asides={"GET /api/v3/account/settings": _NO_UNIFIED_ACCOUNT},
    since="startTime",
    until="endTime",
)


def _bitget_unified_order(state: str) -> dict[str, Any]:
    return {
        "category": "SPOT",
        "symbol": "BTCUSDT",
        "orderId": OWN_ID,
        "clientOid": CLIENT_ID,
        "price": "39000",
        "qty": "0.01",
        "orderType": "limit",
        "side": "buy",
        "orderStatus": {OPEN: "live", FILLED: "filled", CANCELED: "cancelled"}[state],
        "cumExecQty": FILLED_QTY[state],
        "cumExecValue": "0",
        "timeInForce": "post_only",
        "avgPrice": "0",
        "feeDetail": [{"feeCoin": "BTC", "fee": "0"}],
        "createdTime": str(NOW),
        "updatedTime": str(NOW),
    }


BITGET_UNIFIED = StandIn(
    "BTCUSDT",
    _bitget_unified_order,
    (
        Place("GET /api/v3/trade/order-info", lambda orders: _bitget(orders[0]), (200, _bitget([]))),
        Place(
            "GET /api/v3/trade/history-orders",
            lambda orders: _bitget({"list": orders, "cursor": ""}),
            (200, _bitget({"list": [], "cursor": ""})),
            (FILLED, CANCELED),
            all_orders=True,
        ),
    ),
    cancel=("POST /api/v3/trade/cancel-order", f'"clientOid":"{CLIENT_ID}"'),
    canceled=_bitget({"orderId": OWN_ID, "clientOid": CLIENT_ID}),
    gone=(400, {"code": "43001", "msg": "The order does not exist", "requestTime": NOW, "data": None}),
    asides={"GET /api/v3/account/settings": _bitget({"uid": "1", "assetMode": "single"})},
    since="startTime",
    until="endTime",
)


def _htx_order(state: str) -> dict[str, Any]:
    return {
        "id": int(OWN_ID),
        "symbol": "btcusdt",
        "account-id": 1,
        "client-order-id": CLIENT_ID,
        "amount": "0.01",
        "price": "39000",
        "created-at": NOW,
        "type": "buy-limit-maker",
        "field-amount": FILLED_QTY[state],
        "field-cash-amount": "0",
        "field-fees": "0",
        "finished-at": 0 if state == OPEN else NOW,
        "source": "spot-api",
        "state": {OPEN: "submitted", FILLED: "filled", CANCELED: "partial-canceled"}[state],
        "canceled-at": NOW if state == CANCELED else 0,
    }


def _htx(data: Any) -> Body:
    return {"status": "ok", "data": data}


HTX = StandIn(
    "btcusdt",
    _htx_order,
    (
        Place(
            "GET /v1/order/orders/getClientOrder",
            lambda orders: _htx(orders[0]),
            (200, {"status": "error", "err-code": "base-record-invalid", "err-msg": "record invalid", "data": None}),
        ),
        Place("GET /v1/order/openOrders", _htx, (200, _htx([])), (OPEN,), all_orders=True),
        Place("GET /v1/order/orders", _htx, (200, _htx([])), all_orders=True),
    ),
    cancel=(f"POST /v1/order/orders/{OWN_ID}/submitcancel", ""),
    canceled=_htx(OWN_ID),
    gone=(200, {"status": "error", "err-code": "order-orderstate-error", "err-msg": "the order state is error"}),
    asides={"GET /v1/account/accounts": _htx([{"id": 1, "type": "spot", "subtype": "", "state": "working"}])},
    since="start-time",
    until="end-time",
)

MEXC = StandIn(
    "BTCUSDT",
    lambda state: _binance_like(state, {OPEN: "NEW", FILLED: "FILLED", CANCELED: "PARTIALLY_CANCELED"}, OWN_ID),
    (
        Place(
            "GET /api/v3/order",
            lambda orders: orders[0],
            (400, {"msg": "Order does not exist.", "code": -2013, "_extend": None}),
        ),
        Place("GET /api/v3/allOrders", list, (200, []), all_orders=True),
    ),
    cancel=("DELETE /api/v3/order", f"origClientOrderId={CLIENT_ID}"),
    canceled=_binance_like(CANCELED, {CANCELED: "CANCELED"}, OWN_ID),
    gone=(400, {"msg": "Unknown order sent.", "code": -2011, "_extend": None}),
    since="startTime",
    until="endTime",
)

STAND_INS = {
    "binance": BINANCE,
    "okx": OKX,
    "bybit": BYBIT,
    "kraken": KRAKEN,
    "kucoin": KUCOIN,
    "gate": GATE,
    "coinbase": COINBASE,
    "bitget": BITGET,
    "bitget, a unified account": BITGET_UNIFIED,
    "htx": HTX,
    "mexc": MEXC,
}


@dataclass(frozen=True)
class Broken:
    """What a place says instead: ``body`` with ``status``, or nothing, the connection closed, where that is None."""

    body: str | None
    status: int = 200


class Door(BinanceApi):
    """The door of one stand-in. ``asked`` are the places that were asked, with the requests themselves."""

    def __init__(self, books: MatchingEngine, exchange: StandIn) -> None:
        super().__init__(books)
        self.asked: list[tuple[str, Request]] = []
        self.broken: dict[str, Broken] = {}
        self.replies: dict[str, tuple[int, Body]] = {place.request: place.empty for place in exchange.places}
        asides = {**exchange.asides, **exchange.asides_of_orders}
        self.replies |= {aside: (200, reply) for aside, reply in asides.items()}
        self.pages: dict[str, list[Body]] = {}
        """Replies that come before the usual one, each once."""

    def requests_to(self, place: str) -> list[Request]:
        return [request for asked, request in self.asked if asked == place]

    async def serve(self, incoming: web.Request) -> web.StreamResponse:
        request = await read_request(incoming)
        place = self._find_place(request)
        self.asked.append((place, request))
        broken = self.broken.get(place)
        if broken is not None and broken.body is None:
            if incoming.transport is not None:
                incoming.transport.close()
            return web.Response()
        if broken is not None:
            return web.Response(status=broken.status, text=broken.body, content_type="application/json")
        if self.pages.get(place):
            return web.json_response(self.pages[place].pop(0))
        status, body = self.replies.get(place, (404, {}))
        return web.json_response(body, status=status) if body != {} else web.Response(status=404, text=NOT_FOUND)

    def _find_place(self, request: Request) -> str:
        plain = f"{request.method} {request.path}"
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        told_apart = (f"{plain}?{name}={query[name]}" for name in ("state", "status", "order_status") if name in query)
        return next((place for place in told_apart if place in self.replies), plain)


@cache
def _bitcoin_listing() -> MarketListing:
    """BTCUSDT as the simulated exchange lists it."""
    with running_exchange() as exchange:
        [listing] = exchange.connect("", "").market_listings(["BTCUSDT"]).values()
        return listing


@contextmanager
def run_stand_in(exchange: Exchange, name: str) -> Iterator[tuple[Door, CcxtAdapter]]:
    """An adapter of the exchange of that name, which knows the market BTCUSDT, and the door that it comes to."""
    stand_in = STAND_INS[name]
    listing = _bitcoin_listing()
    market = json.loads(listing.document) | {"id": stand_in.market_id} | stand_in.market
    door = Door(exchange.books, stand_in)
    with ExchangeServer(door) as server:
        adapter = replace(exchange, url=server.url).connect("key", "c2VjcmV0", name=name.partition(",")[0])
        adapter.load_listings([MarketListing(listing.rules, json.dumps(market))])
        yield door, adapter
