"""An account's orders: placed, tried, queried, listed, cancelled, replaced."""

from collections.abc import Callable
from typing import NamedTuple, cast

from botbalance.engine import Side

from workbench.simulated_exchange import errors, responses
from workbench.simulated_exchange.errors import ExchangeError
from workbench.simulated_exchange.matching_engine import (
    Account,
    MatchingEngine,
    NewOrder,
    OrderStatus,
    OrderType,
    TimeInForce,
)
from workbench.simulated_exchange.parameters import CLIENT_ID_LEGAL, Parameters
from workbench.simulated_exchange.responses import Json
from workbench.simulated_exchange.routes import (
    DAY_MS,
    Routes,
    generated_id,
    known_symbol,
    page,
    parse_time_span,
    signed,
)

_RESPONSE_TYPES = ("ACK", "RESULT", "FULL")
_NEW_ORDER = (
    "symbol side type timeInForce quantity quoteOrderQty price newClientOrderId newOrderRespType"
    " stopPrice trailingDelta icebergQty selfTradePreventionMode"
)
_CANCEL_RESTRICTIONS = {"ONLY_NEW": OrderStatus.NEW, "ONLY_PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED}


class _Attempt(NamedTuple):
    """What became of one half of a replacement: what Binance calls it, and what it says."""

    result: str
    response: Json | None


_NOT_ATTEMPTED = _Attempt("NOT_ATTEMPTED", None)


class OrderRoutes:
    """Answers from ``books``, and changes them."""

    def __init__(self, books: MatchingEngine) -> None:
        self._books = books

    def routes(self) -> Routes:
        """How orders are placed, read and cancelled."""
        cancelling = "newClientOrderId cancelRestrictions"
        replacing = "cancelReplaceMode cancelOrderId cancelOrigClientOrderId cancelNewClientOrderId cancelRestrictions"
        return {
            ("POST", "/api/v3/order"): signed(self._place, 1, _NEW_ORDER, places_orders=True),
            ("POST", "/api/v3/order/test"): signed(self._test, _test_weight, f"{_NEW_ORDER} computeCommissionRates"),
            ("POST", "/api/v3/order/cancelReplace"): signed(
                self._replace, 1, f"{_NEW_ORDER} {replacing}", places_orders=True
            ),
            ("GET", "/api/v3/order"): signed(self._query, 4, "symbol orderId origClientOrderId"),
            ("DELETE", "/api/v3/order"): signed(self._cancel, 1, f"symbol orderId origClientOrderId {cancelling}"),
            ("GET", "/api/v3/openOrders"): signed(
                self._open_orders, lambda parameters: 6 if parameters.text("symbol") else 80, "symbol"
            ),
            ("DELETE", "/api/v3/openOrders"): signed(self._cancel_all, 1, "symbol"),
            ("GET", "/api/v3/allOrders"): signed(self._all_orders, 20, "symbol orderId startTime endTime limit"),
        }

    # placing

    def _place(self, parameters: Parameters, account: Account) -> Json:
        _require_trading(account)
        wanted = self._wanted_order(parameters)
        response_type = _response_type(parameters, wanted.type)
        return self._placed(account, wanted, response_type)

    def _placed(self, account: Account, wanted: NewOrder, response_type: str) -> Json:
        order, trades = self._books.place(account.api_key, wanted)
        if response_type == "ACK":
            return responses.acknowledged(order)
        if response_type == "RESULT":
            return responses.placed_result(order)
        return responses.placed_in_full(order, trades)

    def _test(self, parameters: Parameters, account: Account) -> Json:
        """Everything that is checked before the matching engine, which this order does not reach."""
        _require_trading(account)
        wanted = self._wanted_order(parameters)
        _response_type(parameters, wanted.type)
        self._books.validate(wanted)
        return responses.commission_of_test(self._books) if parameters.flag("computeCommissionRates") else {}

    def _replace(self, parameters: Parameters, account: Account) -> Json:
        """Cancel one order and place another; raises ExchangeError, with both answers, unless both succeed."""
        _require_trading(account)
        goes_on = _goes_on_after_a_failed_cancel(parameters)
        wanted = self._wanted_order(parameters)
        response_type = _response_type(parameters, wanted.type)
        order_id, client_order_id = _one_order(parameters, "cancelOrderId", "cancelOrigClientOrderId")
        cancel_id = parameters.matching("cancelNewClientOrderId", CLIENT_ID_LEGAL) or generated_id()
        only = _cancel_restriction(parameters)
        self._books.validate(wanted)

        def cancel() -> Json:
            found = self._books.cancel(
                account.api_key, wanted.symbol, order_id=order_id, client_order_id=client_order_id, only=only
            )
            return responses.cancelled(found, cancel_id)

        cancelled = _attempt(cancel)
        placed = _NOT_ATTEMPTED
        if cancelled.result == "SUCCESS" or goes_on:
            placed = _attempt(lambda: self._placed(account, wanted, response_type))
        told: Json = {
            "cancelResult": cancelled.result,
            "newOrderResult": placed.result,
            "cancelResponse": cancelled.response,
            "newOrderResponse": placed.response,
        }
        if cancelled.result == placed.result == "SUCCESS":
            return told
        if "SUCCESS" in {cancelled.result, placed.result}:
            raise ExchangeError(-2021, "Order cancel-replace partially failed.", 409, told)
        raise ExchangeError(-2022, "Order cancel-replace failed.", 400, told)

    def _wanted_order(self, parameters: Parameters) -> NewOrder:
        spec = self._books.market.specs[known_symbol(self._books.market, parameters)]
        side = parameters.word("side", ("BUY", "SELL"), ExchangeError(-1117, "Invalid side.")).lower()
        type_ = OrderType(parameters.word("type", responses.ORDER_TYPES, ExchangeError(-1116, "Invalid orderType.")))
        client_order_id = parameters.matching("newClientOrderId", CLIENT_ID_LEGAL) or generated_id()
        base_decimals, quote_decimals = responses.base_decimals(spec), responses.quote_decimals(spec)
        price = quote_qty = None
        time_in_force = TimeInForce.GTC
        if type_ is OrderType.LIMIT:
            refusal = ExchangeError(-1115, "Invalid timeInForce.")
            time_in_force = TimeInForce(parameters.word("timeInForce", tuple(TimeInForce), refusal))
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
        _require_plain_order(parameters)
        return NewOrder(
            spec.symbol, cast(Side, side), type_, client_order_id, qty, price, quote_qty, time_in_force=time_in_force
        )

    # queries and cancels

    def _query(self, parameters: Parameters, account: Account) -> Json:
        symbol = known_symbol(self._books.market, parameters)
        order_id, client_order_id = _one_order(parameters)
        found = self._books.find(account.api_key, symbol, order_id=order_id, client_order_id=client_order_id)
        return responses.order(found)

    def _cancel(self, parameters: Parameters, account: Account) -> Json:
        _require_trading(account)
        symbol = known_symbol(self._books.market, parameters)
        order_id, client_order_id = _one_order(parameters)
        cancel_id = parameters.matching("newClientOrderId", CLIENT_ID_LEGAL) or generated_id()
        only = _cancel_restriction(parameters)
        order = self._books.cancel(
            account.api_key, symbol, order_id=order_id, client_order_id=client_order_id, only=only
        )
        return responses.cancelled(order, cancel_id)

    def _cancel_all(self, parameters: Parameters, account: Account) -> list[Json]:
        _require_trading(account)
        cancelled = self._books.cancel_all(account.api_key, known_symbol(self._books.market, parameters))
        return [responses.cancelled(order, generated_id()) for order in cancelled]

    def _open_orders(self, parameters: Parameters, account: Account) -> list[Json]:
        named = parameters.text("symbol") is not None
        symbol = known_symbol(self._books.market, parameters) if named else None
        return [responses.order(order) for order in self._books.open_orders(account.api_key, symbol)]

    def _all_orders(self, parameters: Parameters, account: Account) -> list[Json]:
        symbol, limit = known_symbol(self._books.market, parameters), parameters.limit(500, 1_000)
        from_id, (start, end) = parameters.integer("orderId"), parse_time_span(parameters, longest_ms=DAY_MS)
        orders = [
            order
            for order in account.orders.values()
            if order.symbol == symbol
            and (from_id is None or order.order_id >= from_id)
            and (start is None or order.time >= start)
            and (end is None or order.time <= end)
        ]
        from_the_start = from_id is not None or start is not None
        return [responses.order(order) for order in page(orders, limit, from_the_start=from_the_start)]


def _require_trading(account: Account) -> None:
    if not account.can_trade:
        raise errors.unknown_key()


def _require_plain_order(parameters: Parameters) -> None:
    """Refuse what Binance knows of orders and these markets do not take."""
    parameters.absent("stopPrice", "trailingDelta")
    if parameters.decimal("icebergQty", 20) is not None:
        raise ExchangeError(-2010, "Iceberg orders are not supported for this symbol.")
    mode = parameters.text("selfTradePreventionMode", responses.NO_SELF_TRADE_PREVENTION)
    if mode != responses.NO_SELF_TRADE_PREVENTION:
        raise ExchangeError(-2010, "This symbol does not allow the specified self-trade prevention mode.")


def _response_type(parameters: Parameters, type_: OrderType) -> str:
    default = "ACK" if type_ is OrderType.LIMIT_MAKER else "FULL"
    wanted = parameters.text("newOrderRespType") or default
    if wanted not in _RESPONSE_TYPES:
        raise errors.invalid_data("newOrderRespType")
    return wanted


def _goes_on_after_a_failed_cancel(parameters: Parameters) -> bool:
    modes = ("STOP_ON_FAILURE", "ALLOW_FAILURE")
    return parameters.word("cancelReplaceMode", modes, errors.invalid_data("cancelReplaceMode")) == "ALLOW_FAILURE"


def _cancel_restriction(parameters: Parameters) -> OrderStatus | None:
    """The only state in which the order is to be cancelled; None: in any."""
    wanted = parameters.text("cancelRestrictions")
    if wanted is None:
        return None
    if wanted not in _CANCEL_RESTRICTIONS:
        raise ExchangeError(-1145, "cancelRestrictions has to be either ONLY_NEW or ONLY_PARTIALLY_FILLED.")
    return _CANCEL_RESTRICTIONS[wanted]


def _one_order(
    parameters: Parameters, own: str = "orderId", clients: str = "origClientOrderId"
) -> tuple[int | None, str | None]:
    """The id, the client id, or both, by which an order is named."""
    order_id = parameters.integer(own)
    client_order_id = parameters.matching(clients, CLIENT_ID_LEGAL)
    if order_id is None and client_order_id is None:
        raise errors.order_id_missing(clients, own)
    return order_id, client_order_id


def _attempt(action: Callable[[], Json]) -> _Attempt:
    try:
        return _Attempt("SUCCESS", action())
    except ExchangeError as refusal:
        return _Attempt("FAILURE", {"code": refusal.code, "msg": refusal.message})


def _test_weight(parameters: Parameters) -> int:
    return 20 if parameters.flag("computeCommissionRates") else 1
