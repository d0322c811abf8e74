"""What a fault makes of an order that is sent: whether it exists, what its sender is told, and what is left of it."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from botbalance.errors import TransientError
from botbalance.exchange.adapter import (
    KEY_REFUSED,
    ExchangeOrderStatus,
    OrderAccepted,
    OrderRejected,
    OrderRequest,
    OrderUnknown,
)
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.faults.conftest import CLIENT_ID, KEY, OTHER_KEY, Exchange, place
from workbench.faults.kinds import KINDS, FaultKind, Where
from workbench.simulated_exchange.errors import ExchangeError
from workbench.simulated_exchange.matching_engine import OrderStatus

NONE, ONE = 0, 1


@dataclass(frozen=True)
class Case:
    kind: FaultKind
    variant: str
    orders: int
    answer: type
    code: str | None = None


def each(kind: FaultKind, orders: int, answer: type, code: str | None = None) -> list[Case]:
    return [Case(kind, variant, orders, answer, code) for variant in KINDS[kind].variants]


K = FaultKind
CASES = [
    *each(K.NOT_RECEIVED, NONE, OrderUnknown),
    *each(K.RESET_AFTER, ONE, OrderUnknown),
    *each(K.TRUNCATED, ONE, OrderUnknown),
    *each(K.GARBAGE, ONE, OrderUnknown),
    *each(K.SERVER_ERROR, NONE, OrderUnknown),
    *each(K.SERVER_ERROR_AFTER, ONE, OrderUnknown),
    Case(K.MAINTENANCE, "page", NONE, OrderUnknown),
    Case(K.MAINTENANCE, "message", NONE, OrderUnknown),
    Case(K.MAINTENANCE, "shut_down", NONE, OrderRejected, "bad_request"),
    *each(K.LIMITED, NONE, OrderUnknown),
    *each(K.BANNED, NONE, OrderUnknown),
    *each(K.CLOCK_SKEW, NONE, OrderRejected, "invalid_nonce"),
    *each(K.REVOKED, NONE, OrderRejected, KEY_REFUSED),
    *each(K.NO_PERMISSION, NONE, OrderRejected, KEY_REFUSED),
    *each(K.DUPLICATE, ONE, OrderUnknown),
    *each(K.INSUFFICIENT_BALANCE, NONE, OrderRejected, "insufficient_funds"),
    *each(K.PRICE_BAND, NONE, OrderRejected, "invalid_order"),
    *each(K.TOO_MANY_ORDERS, NONE, OrderRejected, "invalid_order"),
    *each(K.WOULD_TAKE, NONE, OrderRejected, "order_immediately_fillable"),
    *each(K.LATE_FILL, ONE, OrderAccepted),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.variant}".removesuffix("-"))
def test_an_order_struck(exchange: Exchange, trader: CcxtAdapter, case: Case) -> None:
    exchange.injector.script(case.kind, Where.PLACE_ORDER, of=KEY, about="BTCUSDT", variant=case.variant)
    answer = place(trader)
    assert isinstance(answer, case.answer), answer
    assert getattr(answer, "code", None) == case.code
    assert [order.client_order_id for order in exchange.orders()] == [CLIENT_ID] * case.orders
    (hit,) = exchange.injector.hits()
    assert (hit.fault.kind, hit.fault.variant, hit.subject) == (case.kind, case.variant, KEY)
    assert (hit.path, hit.at) == ("POST /api/v3/order", exchange.now)
    assert exchange.injector.counts() == {case.kind: 1}
    assert exchange.injector.unplayed() == []


def test_every_fault_of_orders_is_among_these_cases() -> None:
    tested = {case.kind for case in CASES} | {K.TIMEOUT_AFTER}
    assert tested == {kind for kind in KINDS if Where.PLACE_ORDER in KINDS[kind].where}


def test_silence_after_the_effect_lasts_until_the_client_gives_up(exchange: Exchange) -> None:
    trader = exchange.connect(timeout_s=0.3)
    exchange.injector.script(K.TIMEOUT_AFTER, Where.PLACE_ORDER)
    answer = place(trader)
    assert isinstance(answer, OrderUnknown)
    assert "RequestTimeout" in answer.reason
    assert len(exchange.orders()) == 1


def test_a_limit_says_for_how_long(exchange: Exchange, trader: CcxtAdapter) -> None:
    exchange.injector.script(K.LIMITED, Where.PLACE_ORDER)
    answer = place(trader)
    assert isinstance(answer, OrderUnknown)
    assert answer.retry_after_s == 60


def test_only_the_order_that_the_script_names_is_struck(exchange: Exchange, trader: CcxtAdapter) -> None:
    other = exchange.connect(OTHER_KEY)
    exchange.injector.script(K.RESET_AFTER, Where.PLACE_ORDER, of=KEY, about="BTCUSDT")
    assert isinstance(place(other), OrderAccepted)
    assert isinstance(place(trader, "e" * 20, "ETHUSDT"), OrderAccepted)
    assert exchange.injector.unplayed() == [K.RESET_AFTER]
    assert isinstance(place(trader), OrderUnknown)
    assert isinstance(place(trader, "f" * 20), OrderAccepted)
    assert len(exchange.orders()) == 3
    assert len(exchange.orders(OTHER_KEY)) == 1


def test_a_line_of_the_script_strikes_as_often_as_it_says(exchange: Exchange, trader: CcxtAdapter) -> None:
    exchange.injector.script(K.WOULD_TAKE, Where.PLACE_ORDER, times=2)
    answers = [place(trader, letter * 20) for letter in "abc"]
    assert [type(answer) for answer in answers] == [OrderRejected, OrderRejected, OrderAccepted]


def test_nothing_is_a_duplicate_that_was_refused(exchange: Exchange, trader: CcxtAdapter) -> None:
    exchange.injector.script(K.DUPLICATE, Where.PLACE_ORDER)
    answer = trader.place_order(OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal(1), CLIENT_ID, post_only=True))
    assert isinstance(answer, OrderRejected)
    assert answer.code == "insufficient_funds"
    assert exchange.injector.unplayed() == [K.DUPLICATE]
    assert exchange.observed[-1].fault is None


@pytest.mark.parametrize(("variant", "filled"), [("whole", "0.02"), ("half", "0.01")])
def test_an_order_fills_right_after_it_was_accepted(
    exchange: Exchange, trader: CcxtAdapter, variant: str, filled: str
) -> None:
    place(trader, "a" * 20)
    exchange.injector.script(K.LATE_FILL, Where.PLACE_ORDER, variant=variant)
    answer = place(trader)
    assert isinstance(answer, OrderAccepted)
    assert (answer.order.status, answer.order.filled_qty) == (ExchangeOrderStatus.OPEN, Decimal(0))
    (trade,) = exchange.books.trades(KEY)
    assert (trade.price, trade.qty, trade.is_maker) == (Decimal(39_000), Decimal(filled), True)
    assert trade.client_order_id == CLIENT_ID
    seen = trader.find_order("BTCUSDT", CLIENT_ID)
    assert seen is not None
    assert seen.filled_qty == Decimal(filled)


@pytest.mark.parametrize(
    ("variant", "status", "filled"),
    [("whole", OrderStatus.FILLED, "0.02"), ("half", OrderStatus.CANCELED, "0.01")],
)
def test_an_order_fills_right_before_its_cancel(
    exchange: Exchange, trader: CcxtAdapter, variant: str, status: OrderStatus, filled: str
) -> None:
    place(trader, "a" * 20)
    place(trader)
    exchange.injector.script(K.LATE_FILL, Where.CANCEL_ORDER, variant=variant)
    trader.cancel_order("BTCUSDT", CLIENT_ID)
    other, order = exchange.orders()
    assert (order.status, order.executed_qty) == (status, Decimal(filled))
    assert other.status is OrderStatus.NEW
    assert exchange.books.balances(KEY)["USDT"].locked == 780


def test_what_does_not_rest_cannot_be_filled(exchange: Exchange, trader: CcxtAdapter) -> None:
    place(trader)
    trader.cancel_order("BTCUSDT", CLIENT_ID)
    for order_id in (exchange.orders()[0].order_id, 404):
        with pytest.raises(ExchangeError, match="Unknown order"):
            exchange.books.fill_now(KEY, order_id, whole=True)


def test_a_cancel_of_nothing_fills_nothing(exchange: Exchange, trader: CcxtAdapter) -> None:
    place(trader, "a" * 20)
    exchange.injector.script(K.LATE_FILL, Where.CANCEL_ORDER)
    trader.cancel_order("BTCUSDT", CLIENT_ID)
    assert exchange.books.trades(KEY) == []
    assert exchange.injector.unplayed() == [K.LATE_FILL]


@pytest.mark.parametrize("kind", [K.NOT_RECEIVED, K.SERVER_ERROR, K.NO_PERMISSION])
def test_a_cancel_that_has_no_effect(exchange: Exchange, trader: CcxtAdapter, kind: FaultKind) -> None:
    place(trader)
    exchange.injector.script(kind, Where.CANCEL_ORDER, times=9)
    with pytest.raises(Exception, match=r"exchange"):
        trader.cancel_order("BTCUSDT", CLIENT_ID)
    assert exchange.orders()[0].status is OrderStatus.NEW


def test_a_cancel_whose_reply_is_lost(exchange: Exchange, trader: CcxtAdapter) -> None:
    place(trader)
    exchange.injector.script(K.RESET_AFTER, Where.CANCEL_ORDER)
    with pytest.raises(TransientError):
        trader.cancel_order("BTCUSDT", CLIENT_ID)
    assert exchange.orders()[0].status is OrderStatus.CANCELED
    assert exchange.observed[-1].reply is None
