"""Placing: what the exchange answers is the result, and an order is over only after a definite refusal."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from botbalance.engine import Side
from botbalance.exchange.adapter import (
    ExchangeOrder,
    ExchangeOrderStatus,
    OrderAccepted,
    OrderRejected,
    OrderRequest,
    OrderUnknown,
    SubmitResult,
)
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.simulated import BALANCES, KEY, Exchange, Fault, running_exchange
from workbench.simulated_exchange.market import FrozenPrices, Market, MarketSpec

CLIENT_ID = "0123456789abcdef0123"
ORDER = ("POST", "/api/v3/order")
HTML = "<html><body>We are down for maintenance.</body></html>"


def place(
    trader: CcxtAdapter,
    *,
    symbol: str = "BTCUSDT",
    side: Side = "buy",
    price: str = "39000",
    qty: str = "0.01",
    client_order_id: str = CLIENT_ID,
    post_only: bool = True,
) -> SubmitResult:
    return trader.place_order(
        OrderRequest(symbol, side, Decimal(price), Decimal(qty), client_order_id, post_only=post_only)
    )


def only_order(exchange: Exchange) -> str:
    """The client id of the account's one order."""
    [order] = exchange.books.orders(KEY)
    return order.client_order_id


# accepted


def test_an_accepted_order_is_placed_as_it_was_asked_for(trader: CcxtAdapter, exchange: Exchange) -> None:
    assert place(trader) == OrderAccepted(
        ExchangeOrder(
            "1",
            CLIENT_ID,
            "BTCUSDT",
            "buy",
            Decimal(39_000),
            Decimal("0.01"),
            Decimal(0),
            ExchangeOrderStatus.OPEN,
        )
    )
    assert exchange.api.count(*ORDER) == 1
    assert only_order(exchange) == CLIENT_ID


def test_an_order_that_fills_at_once_is_placed_as_filled(trader: CcxtAdapter) -> None:
    placement = place(trader, price="41000", post_only=False)
    assert isinstance(placement, OrderAccepted)
    assert (placement.order.status, placement.order.filled_qty) == (ExchangeOrderStatus.FILLED, Decimal("0.01"))


def test_a_sell_is_sold(trader: CcxtAdapter, exchange: Exchange) -> None:
    placement = place(trader, side="sell", price="42000", qty="0.5")
    assert isinstance(placement, OrderAccepted)
    [order] = exchange.books.orders(KEY)
    assert (order.side, order.price, order.qty) == ("sell", Decimal(42_000), Decimal("0.5"))


def test_long_numbers_reach_the_exchange_digit_for_digit() -> None:
    spec = MarketSpec(
        "ABCUSDT",
        "ABC",
        "USDT",
        tick_size=Decimal("0.05"),
        lot_size=Decimal("1e-18"),
        min_price=Decimal("0.05"),
        max_price=Decimal(1_000_000),
        min_qty=Decimal("1e-18"),
        max_qty=Decimal(10**13),
        max_notional=Decimal(10**15),
    )
    market = Market([spec], {"ABCUSDT": Decimal(40)}, FrozenPrices(start_ms=0))
    with running_exchange(market) as exchange:
        exchange.books.transfer(KEY, "USDT", Decimal(10) ** 15)
        qty = "123456789012.123456789012345679"
        placement = place(exchange.trader(), symbol="ABCUSDT", price="39.95", qty=qty)
        assert isinstance(placement, OrderAccepted), placement
        [order] = exchange.books.orders(KEY)
    assert (order.price, order.qty) == (Decimal("39.95"), Decimal(qty))
    assert (placement.order.limit_price, placement.order.base_qty) == (Decimal("39.95"), Decimal(qty))


def test_a_price_off_the_grid_is_refused_and_never_rounded_past_its_limit(
    trader: CcxtAdapter, exchange: Exchange
) -> None:
    placement = place(trader, price="39000.006")
    assert isinstance(placement, OrderRejected)
    assert "price=39000.006&" in exchange.api.requests[0].body
    assert exchange.books.orders(KEY) == []


def test_trailing_zeros_are_not_sent(trader: CcxtAdapter, exchange: Exchange) -> None:
    assert isinstance(place(trader, price="39000.000000000000", qty="1.0E-2"), OrderAccepted)
    [request] = exchange.api.requests
    assert "quantity=0.01&price=39000&" in request.body


def test_placing_an_order_leaves_the_thread_s_decimal_context_alone(trader: CcxtAdapter) -> None:
    with localcontext() as context:
        context.rounding = ROUND_HALF_EVEN
        before = context.copy()
        place(trader)
        assert (context.rounding, context.traps, context.prec) == (before.rounding, before.traps, before.prec)


@pytest.mark.parametrize("post_only", [True, False])
def test_post_only_is_what_was_asked_for(trader: CcxtAdapter, exchange: Exchange, post_only: bool) -> None:
    place(trader, post_only=post_only)
    [request] = exchange.api.requests
    assert ("type=LIMIT_MAKER" in request.body) is post_only
    assert ("timeInForce=GTC" in request.body) is not post_only


def test_an_acknowledgement_without_more_than_an_id_is_an_accepted_order(
    trader: CcxtAdapter, exchange: Exchange
) -> None:
    exchange.api.faults[ORDER] = Fault.body('{"symbol":"BTCUSDT","orderId":28,"transactTime":1700000000000}')
    placement = place(trader)
    assert isinstance(placement, OrderAccepted)
    assert (placement.order.exchange_order_id, placement.order.limit_price) == ("28", Decimal(39_000))
    assert (placement.order.filled_qty, placement.order.status) == (Decimal(0), ExchangeOrderStatus.OPEN)


# refused


def test_post_only_that_would_cross_is_refused(trader: CcxtAdapter, exchange: Exchange) -> None:
    placement = place(trader, price="41000")
    assert isinstance(placement, OrderRejected)
    assert placement.code == "order_immediately_fillable"
    assert exchange.books.orders(KEY) == []


def test_an_order_that_the_account_cannot_pay_is_refused(trader: CcxtAdapter) -> None:
    placement = place(trader, qty="100")
    assert isinstance(placement, OrderRejected)
    assert placement.code == "insufficient_funds"


@pytest.mark.parametrize(
    ("price", "qty", "filter_name"),
    [("39000", "0.0001", "NOTIONAL"), ("7000", "0.01", "PERCENT_PRICE_BY_SIDE"), ("39000", "100000000", "LOT_SIZE")],
)
def test_an_order_outside_the_market_s_filters_is_refused(
    trader: CcxtAdapter, exchange: Exchange, price: str, qty: str, filter_name: str
) -> None:
    placement = place(trader, price=price, qty=qty)
    assert isinstance(placement, OrderRejected), placement
    assert exchange.books.orders(KEY) == []
    assert placement.code in {"invalid_order", "bad_request"}
    assert filter_name.lower().split("_")[0] in placement.reason.lower()


def test_an_order_on_a_halted_market_is_refused(trader: CcxtAdapter, exchange: Exchange) -> None:
    exchange.market.halt("BTCUSDT")
    placement = place(trader)
    assert isinstance(placement, OrderRejected)
    assert "Market is closed" in placement.reason


def test_a_key_that_was_revoked_is_refused_with_the_code_that_calls_its_owner(
    trader: CcxtAdapter, exchange: Exchange
) -> None:
    exchange.books.revoke_key(KEY)
    placement = place(trader)
    assert isinstance(placement, OrderRejected)
    assert placement.code == "exchange_key_refused"


def test_a_key_without_trade_permission_is_refused_with_the_code_that_calls_its_owner(exchange: Exchange) -> None:
    exchange.books.open_account("r" * 64, "s", BALANCES, can_trade=False)
    placement = place(exchange.trader("r" * 64, "s"))
    assert isinstance(placement, OrderRejected)
    assert placement.code == "exchange_key_refused"


def test_a_revoked_key_that_looks_like_a_ban_is_refused(trader: CcxtAdapter, exchange: Exchange) -> None:
    exchange.api.faults[ORDER] = Fault.error(429, '{"code":-2015,"msg":"Invalid API-key, IP, or permissions."}')
    placement = place(trader)
    assert isinstance(placement, OrderRejected)
    assert placement.code == "exchange_key_refused"


def test_a_clock_that_is_off_refuses_the_order_and_it_is_not_sent_again(
    trader: CcxtAdapter, exchange: Exchange
) -> None:
    exchange.api.faults[ORDER] = Fault.error(400, '{"code":-1021,"msg":"Timestamp for this request is off."}', times=1)
    placement = place(trader)
    assert isinstance(placement, OrderRejected)
    assert placement.code == "invalid_nonce"
    assert exchange.api.count(*ORDER) == 1


# never sent


BAD_NUMBERS = ["NaN", "-NaN", "sNaN", "0", "-0", "0E-18", "-1", "-0.01", "Infinity", "-Infinity"]


@pytest.mark.parametrize("number", BAD_NUMBERS)
@pytest.mark.parametrize("field", ["price", "qty"])
def test_a_number_that_cannot_be_right_never_leaves(
    trader: CcxtAdapter, exchange: Exchange, field: str, number: str
) -> None:
    placement = place(trader, price=number) if field == "price" else place(trader, qty=number)
    assert isinstance(placement, OrderRejected)
    assert placement.code == "invalid_number"
    assert exchange.api.requests == []


def test_an_order_on_a_market_that_is_not_in_use_never_leaves(trader: CcxtAdapter, exchange: Exchange) -> None:
    placement = place(trader, symbol="NOSUCHUSDT")
    assert isinstance(placement, OrderRejected)
    assert placement.code == "unknown_market"
    assert exchange.api.requests == []


# unknown


def test_a_duplicate_client_id_is_to_be_looked_up_and_is_there(trader: CcxtAdapter, exchange: Exchange) -> None:
    first = place(trader)
    assert isinstance(first, OrderAccepted)
    assert isinstance(place(trader), OrderUnknown)
    assert trader.find_order("BTCUSDT", CLIENT_ID) == first.order
    assert len(exchange.books.orders(KEY)) == 1


GARBAGE = {
    "html": HTML,
    "empty": "",
    "{}": "{}",
    "null": "null",
    "a list": "[]",
    "a list of {}": "[{}]",
    "a number": "0",
    "a message": '{"msg":"maintenance"}',
    "without an id": '{"symbol":"BTCUSDT","status":"NEW","side":"BUY"}',
    "an empty id": '{"symbol":"BTCUSDT","orderId":"","status":"NEW"}',
    "null id": '{"symbol":"BTCUSDT","orderId":null,"status":"NEW"}',
    "another market": '{"symbol":"ETHUSDT","orderId":5,"status":"NEW"}',
    "a status of its own": '{"symbol":"BTCUSDT","orderId":5,"status":"SOMETHING_NEW"}',
    "a negative fill": '{"symbol":"BTCUSDT","orderId":5,"status":"NEW","executedQty":"-1"}',
    "truncated": '{"symbol":"BTCUSDT","orderId":5,"sta',
    "deeply nested": "[" * 100_000,
}


@pytest.mark.parametrize("after_effect", [True, False], ids=["accepted", "lost"])
@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_garbage_with_http_200_leaves_the_order_unknown(
    trader: CcxtAdapter, exchange: Exchange, body: str, after_effect: bool
) -> None:
    exchange.api.faults[ORDER] = Fault.body(body, after_effect=after_effect)
    assert isinstance(place(trader), OrderUnknown)
    assert exchange.api.count(*ORDER) == 1
    assert exchange.slept == []
    assert (trader.find_order("BTCUSDT", CLIENT_ID) is not None) is after_effect


@pytest.mark.parametrize("after_effect", [True, False], ids=["accepted", "lost"])
def test_a_closed_connection_leaves_the_order_unknown(
    trader: CcxtAdapter, exchange: Exchange, after_effect: bool
) -> None:
    exchange.api.faults[ORDER] = Fault(after_effect=after_effect)
    assert isinstance(place(trader), OrderUnknown)
    assert exchange.api.count(*ORDER) == 1
    assert exchange.slept == []
    assert len(exchange.books.orders(KEY)) == after_effect


@pytest.mark.parametrize("status", [403, 404, 408, 418, 429, 500, 502, 503, 504, 520])
def test_an_http_error_leaves_the_order_unknown(trader: CcxtAdapter, exchange: Exchange, status: int) -> None:
    exchange.api.faults[ORDER] = Fault.error(status, HTML)
    assert isinstance(place(trader), OrderUnknown)
    assert exchange.api.count(*ORDER) == 1
    assert exchange.slept == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-1000, "An unknown error occurred while processing the request."),
        (-1001, "Internal error; unable to process your request. Please try again."),
        (-1003, "Too many requests queued."),
        (-1006, "An unexpected response was received from the message bus. Execution status unknown."),
        (-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
        (-1008, "Server is currently overloaded with other requests."),
        (-1015, "Too many new orders; current limit is 50 orders per 10 SECOND."),
        (-9999, "A code that nobody has heard of."),
    ],
)
def test_an_error_that_is_no_definite_refusal_leaves_the_order_unknown(
    trader: CcxtAdapter, exchange: Exchange, code: int, message: str
) -> None:
    exchange.api.faults[ORDER] = Fault.error(400, f'{{"code":{code},"msg":"{message}"}}')
    assert isinstance(place(trader), OrderUnknown)
    assert exchange.api.count(*ORDER) == 1
    assert exchange.slept == []


def test_an_order_of_unknown_fate_names_no_secret(trader: CcxtAdapter, exchange: Exchange) -> None:
    exchange.api.faults[ORDER] = Fault()
    placement = place(trader)
    assert isinstance(placement, OrderUnknown)
    assert "secret" not in placement.reason
    assert "signature" not in placement.reason
