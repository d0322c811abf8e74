"""An order is sent once and never lost from the books, whatever becomes of its request or of whoever sent it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from botbalance.engine import lock
from botbalance.models.order import OrderStatus
from botbalance.store.accounts import LEASE_S
from botbalance.trading.incidents import ORDER_UNKNOWN_AFTER_S
from botbalance.trading.order_updates import CHECK_ENDED_S
from botbalance.trading.orders import cancel_one, list_orders
from botbalance.trading.plan import preview

from tests.integration.reliability.worker_crash import death_at
from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness, new_harness
from workbench.faults.kinds import KINDS, FaultKind, Where
from workbench.simulated_exchange.matching_engine import Order as BookedOrder
from workbench.simulated_exchange.matching_engine import OrderStatus as BookedStatus

K = FaultKind
POST = "POST /api/v3/order"
BTC = "BTCUSDT"


def booked_on(harness: TradingHarness, symbol: str) -> BookedOrder:
    """The exchange's one order on ``symbol``."""
    (order,) = [order for order in harness.booked() if order.symbol == symbol]
    return order


def require_adopted_and_sent_once(harness: TradingHarness) -> None:
    """BTC's order, of which the exchange's word was lost, is known to rest; it stays the only one."""
    order = harness.order_on(BTC)
    assert (order.status, order.reason) == (OrderStatus.OPEN, None)
    assert order.exchange_order_id == str(booked_on(harness, BTC).order_id)
    assert harness.tick().outcome == "decided"
    assert len(harness.asked("POST", BTC)) == 1
    assert harness.differences() == []


# no word, or a wrong one


@pytest.mark.parametrize(
    ("kind", "variant"),
    [(K.RESET_AFTER, None), *((K.SERVER_ERROR_AFTER, variant) for variant in KINDS[K.SERVER_ERROR_AFTER].variants)],
    ids=str,
)
def test_an_accepted_order_whose_reply_is_lost_is_looked_up_adopted_and_never_sent_again(
    harness: TradingHarness, kind: FaultKind, variant: str | None
) -> None:
    harness.injector.script(kind, Where.PLACE_ORDER, about=BTC, variant=variant)
    harness.tick()
    assert len(harness.asked("GET", BTC)) == 1
    require_adopted_and_sent_once(harness)


def test_an_accepted_order_whose_reply_times_out_is_looked_up_adopted_and_never_sent_again(
    environment: Mapping[str, str],
) -> None:
    with new_harness(
        environment, f"user-{uuid4().hex[:12]}", PRICING_USE_CACHE="false", EXCHANGE_TIMEOUT_S="1"
    ) as harness:
        harness.open_account(harness.user, TEN_THOUSAND_USDT)
        harness.set_strategy()
        harness.injector.script(K.TIMEOUT_AFTER, Where.PLACE_ORDER, about=BTC)
        harness.tick()
        require_adopted_and_sent_once(harness)


@pytest.mark.parametrize(
    ("kind", "variant"),
    [(K.TRUNCATED, None), *((K.GARBAGE, variant) for variant in KINDS[K.GARBAGE].variants)],
    ids=str,
)
def test_an_order_answered_with_200_and_garbage_is_looked_up_adopted_and_never_sent_again(
    harness: TradingHarness, kind: FaultKind, variant: str | None
) -> None:
    harness.injector.script(kind, Where.PLACE_ORDER, about=BTC, variant=variant)
    harness.tick()
    assert len(harness.asked("GET", BTC)) == 1
    require_adopted_and_sent_once(harness)


def test_an_order_that_is_not_shown_at_first_stays_unknown_until_it_is(harness: TradingHarness) -> None:
    harness.injector.script(K.RESET_AFTER, Where.PLACE_ORDER, about=BTC)
    harness.injector.script(K.NOT_YET_SHOWN, Where.FIND_ORDER, about=BTC, times=3)
    harness.tick()
    assert harness.order_on(BTC).status is OrderStatus.PENDING
    assert harness.slept == [0, 1, 2]
    harness.tick()
    require_adopted_and_sent_once(harness)


def test_an_order_refused_as_a_duplicate_counts_as_placed_and_gets_no_other_id(harness: TradingHarness) -> None:
    harness.injector.script(K.DUPLICATE, Where.PLACE_ORDER, about=BTC)
    harness.tick()
    assert harness.order_on(BTC).client_order_id == booked_on(harness, BTC).client_order_id
    require_adopted_and_sent_once(harness)


# the sender dies


def stay_open(_: TradingHarness) -> None:
    pass


def fill_meanwhile(harness: TradingHarness) -> None:
    harness.books.fill_now(harness.key, booked_on(harness, BTC).order_id, whole=True)


@pytest.mark.parametrize(("meanwhile", "status"), [(stay_open, OrderStatus.OPEN), (fill_meanwhile, OrderStatus.FILLED)])
def test_who_dies_between_accepted_and_saved_leaves_an_order_that_is_resolved_before_anything_is_planned(
    harness: TradingHarness, meanwhile: Callable[[TradingHarness], None], status: OrderStatus
) -> None:
    with death_at(harness, f"after {POST}"):
        harness.tick()
    assert harness.statuses() == {BTC: OrderStatus.PENDING}
    assert booked_on(harness, BTC).status is BookedStatus.NEW
    meanwhile(harness)
    harness.requests.clear()

    for _ in range(LEASE_S // 30 - 1):
        assert "another run" in (harness.tick().reason or ""), "the lease of the dead stays until it ends"
    assert harness.signed() == []
    decision = harness.tick()

    assert decision.outcome == "decided"
    assert harness.order_on(BTC).status is status
    assert sorted(placed["symbol"] for placed in decision.placed) == ["ETHUSDT", "XRPUSDT"]
    sent = [request.method for request in harness.requests_to("/order")]
    assert sent == ["POST"] * 2 if status is OrderStatus.OPEN else ["GET", "POST", "POST"]
    assert harness.differences() == []


def test_who_dies_between_intent_and_request_leaves_an_order_that_is_given_up_in_time_and_planned_anew(
    harness: TradingHarness,
) -> None:
    with death_at(harness, f"before {POST}"):
        harness.tick()
    intent = harness.order_on(BTC)
    assert intent.status is OrderStatus.PENDING
    assert harness.booked() == []

    for seconds, times_not_found in ((LEASE_S, 1), (120 - LEASE_S, 2)):  # two minutes are not over
        decision = harness.tick(seconds)
        unknown = harness.order_on(BTC)
        assert (unknown.status, unknown.times_not_found) == (OrderStatus.PENDING, times_not_found)
        assert BTC not in {placed["symbol"] for placed in decision.placed}
    decision = harness.tick()

    given_up = harness.context.orders.get(harness.user, intent.client_order_id)
    assert (given_up.status, given_up.reason) == (OrderStatus.CANCELED, "never_placed")
    assert decision.placed == []
    (anew,) = harness.tick().placed
    assert anew["symbol"] == BTC
    assert anew["client_order_id"] != intent.client_order_id
    assert len(harness.asked("POST", BTC)) == 1
    assert harness.differences() == []


def test_an_order_whose_fate_stays_unknown_for_minutes_calls_a_person(
    harness: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    with death_at(harness, f"before {POST}"):
        harness.tick()
    harness.injector.script(FaultKind.SERVER_ERROR, Where.FIND_ORDER, times=100)
    placed_at = harness.order_on(BTC).placed_at
    while harness.now < placed_at + ORDER_UNKNOWN_AFTER_S:
        harness.tick()
    assert harness.order_on(BTC).status is OrderStatus.PENDING
    assert alarms() == []
    harness.tick()
    assert alarms() == [("order_unknown", harness.user)]


WRITE = "dynamodb.TransactWriteItems"


@pytest.mark.parametrize(
    ("boundary", "nth"),
    [
        (f"before {WRITE}", 1),
        (f"after {WRITE}", 1),
        (f"before {POST}", 2),
        (f"after {POST}", 2),
        (f"before {WRITE}", 4),
        (f"after {WRITE}", 4),
        (f"after {POST}", 3),
        ("before dynamodb.UpdateItem", 2),
    ],
    ids=str,
)
def test_wherever_a_worker_dies_each_pair_has_one_order_in_the_end_and_the_books_agree(
    harness: TradingHarness, boundary: str, nth: int
) -> None:
    """The first order is written before and after it is sent, then the second; at last the log with the lease's end."""
    with death_at(harness, boundary, nth):
        harness.tick()
    for seconds in (LEASE_S, 30, 30, 30):
        assert harness.tick(seconds).outcome == "decided"
    assert sorted(order.symbol for order in harness.booked()) == [BTC, "ETHUSDT", "XRPUSDT"]
    assert len(harness.asked("POST")) == 3
    assert harness.differences() == []


# filled, cancelled, refused


def test_an_order_that_fills_at_once_is_not_sent_again_when_its_message_comes_again(harness: TradingHarness) -> None:
    harness.injector.script(K.LATE_FILL, Where.PLACE_ORDER, about=BTC)
    harness.now += 30
    for _ in range(2):
        assert harness.work(harness.message(harness.user)) == []
    assert booked_on(harness, BTC).status is BookedStatus.FILLED
    assert len(harness.asked("POST")) == 3
    harness.tick()
    (first, *_) = [order for order in reversed(harness.orders()) if order.symbol == BTC]
    assert first.status is OrderStatus.FILLED
    assert harness.differences() == []


@pytest.mark.parametrize(("variant", "status"), [("whole", OrderStatus.FILLED), ("half", OrderStatus.CANCELED)])
def test_a_fill_that_overtakes_the_cancel_is_booked(harness: TradingHarness, variant: str, status: OrderStatus) -> None:
    harness.tick()
    harness.injector.script(K.LATE_FILL, Where.CANCEL_ORDER, variant=variant)
    ended = cancel_one(harness.context, harness.user, harness.order_on(BTC).client_order_id)
    assert ended.status is status
    assert ended.filled_qty == booked_on(harness, BTC).executed_qty > 0
    assert harness.differences() == []


def fill_after_all(harness: TradingHarness, order: BookedOrder) -> None:
    """The exchange finds that half of a cancelled order had filled, after it has said that nothing did."""
    account = harness.books.account(harness.key)
    assert account is not None
    with harness.market.exclusive():
        account.orders[order.order_id] = replace(order, status=BookedStatus.NEW)
        account.open_ids[order.symbol].add(order.order_id)
        account.balances |= lock(account.balances, "USDT", order.qty * order.price)
    harness.books.fill_now(harness.key, order.order_id, whole=False)
    harness.books.cancel(harness.key, order.symbol, order_id=order.order_id)


def test_a_fill_that_is_told_of_after_the_cancel_is_booked_once(harness: TradingHarness) -> None:
    harness.tick()
    canceled = cancel_one(harness.context, harness.user, harness.order_on(BTC).client_order_id)
    assert (canceled.status, canceled.filled_qty) == (OrderStatus.CANCELED, Decimal(0))
    first, *_ = harness.booked()
    harness.tick()
    fill_after_all(harness, first)
    harness.tick(CHECK_ENDED_S - 30)
    harness.tick()
    found = harness.context.orders.get(harness.user, canceled.client_order_id)
    assert (found.status, len(found.fills)) == (OrderStatus.CANCELED, 1)
    assert found.filled_qty > 0
    assert harness.differences() == []


def test_a_trade_that_is_listed_late_is_booked_when_it_is_listed(harness: TradingHarness) -> None:
    harness.tick()
    harness.injector.script(K.LATE_FILL, Where.CANCEL_ORDER, variant="half")
    harness.injector.script(K.LATE_REPORT, Where.TRADES)
    canceled = cancel_one(harness.context, harness.user, harness.order_on(BTC).client_order_id)
    assert canceled.filled_qty > 0
    assert canceled.fills == ()
    harness.tick()
    assert harness.context.orders.get(harness.user, canceled.client_order_id).fills_complete
    assert harness.differences() == []


def test_a_filled_quantity_that_goes_down_is_not_believed_and_raises_an_alarm(
    harness: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    harness.tick()
    harness.set_strategy(autopilot=False)

    def look() -> None:
        list_orders(harness.context, harness.user, limit=1, cursor=None)

    for _ in range(2):
        harness.books.fill_now(harness.key, booked_on(harness, BTC).order_id, whole=False)
        look()
    known = booked_on(harness, BTC).executed_qty
    assert harness.order_on(BTC).filled_qty == known > 0
    assert alarms() == []

    harness.injector.script(K.STALE_ORDER, Where.OPEN_ORDERS)  # as it was before its second fill
    look()

    assert harness.injector.unplayed() == []
    assert (harness.order_on(BTC).filled_qty, harness.order_on(BTC).status) == (known, OrderStatus.PARTIALLY_FILLED)
    assert alarms() == [("filled_quantity", harness.user)]
    look()
    assert harness.differences() == []


def test_more_filled_than_was_ordered_is_not_booked_and_raises_an_alarm(
    harness: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    harness.tick()
    harness.injector.script(K.OVERFILLED, Where.OPEN_ORDERS)
    decision = harness.tick()
    assert harness.injector.unplayed() == []
    assert (harness.order_on(BTC).filled_qty, len(harness.order_on(BTC).fills)) == (Decimal(0), 0)
    assert alarms() == [("filled_quantity", harness.user)]
    assert decision.outcome == "decided"
    assert BTC in (decision.inputs or {})["active_symbols"]

    fill_meanwhile(harness)
    harness.tick()
    assert harness.context.orders.get(harness.user, harness.orders()[-1].client_order_id).status is OrderStatus.FILLED
    assert harness.differences() == []


def test_a_cancel_of_which_the_exchange_knows_nothing_is_not_taken_for_cancelled(harness: TradingHarness) -> None:
    harness.tick()
    order = harness.order_on(BTC)
    fill_meanwhile(harness)  # so that there is nothing to cancel
    harness.injector.script(K.NOT_YET_SHOWN, Where.FIND_ORDER, about=BTC)
    asked = cancel_one(harness.context, harness.user, order.client_order_id)
    assert harness.injector.unplayed() == []
    assert (len(harness.asked("DELETE", BTC)), len(harness.asked("GET", BTC))) == (1, 1)
    assert (asked.status, asked.reason) == (OrderStatus.OPEN, None)
    harness.tick()
    assert harness.context.orders.get(harness.user, order.client_order_id).status is OrderStatus.FILLED
    assert harness.differences() == []


def test_a_post_only_order_that_would_take_is_final_no_failure_and_priced_anew_by_the_next_tick(
    harness: TradingHarness,
) -> None:
    harness.injector.script(K.WOULD_TAKE, Where.PLACE_ORDER, about=BTC)
    decision = harness.tick()
    assert (decision.outcome, decision.reason, len(decision.placed)) == ("decided", None, 3)
    refused = harness.order_on(BTC)
    assert refused.status is OrderStatus.REJECTED
    assert (refused.reason or "").startswith("order_immediately_fillable: ")
    harness.market.set_price(BTC, Decimal(39_500))
    (anew,) = harness.tick().placed
    assert (anew["symbol"], anew["status"]) == (BTC, OrderStatus.OPEN)
    assert Decimal(anew["limit_price"]) < refused.limit_price
    assert harness.context.strategies.get(harness.user).autopilot_enabled
    assert harness.differences() == []


def raise_the_least_notional(harness: TradingHarness) -> None:
    """After the market's rules were read."""
    preview(harness.context, harness.user)
    harness.market.specs[BTC] = replace(harness.market.specs[BTC], min_notional=Decimal(100_000))


def always(kind: FaultKind) -> Callable[[TradingHarness], None]:
    return lambda harness: harness.injector.script(kind, Where.PLACE_ORDER, about=BTC, times=9)


@pytest.mark.parametrize(
    ("refuse", "reason"),
    [
        (always(K.INSUFFICIENT_BALANCE), "insufficient_funds: .*insufficient balance"),
        (always(K.PRICE_BAND), "invalid_order: .*PERCENT_PRICE_BY_SIDE"),
        (always(K.TOO_MANY_ORDERS), "invalid_order: .*MAX_NUM_ORDERS"),
        (raise_the_least_notional, "bad_request: .*NOTIONAL"),
    ],
    ids=["funds", "price band", "too many", "notional"],
)
def test_a_definite_refusal_is_final_recorded_with_its_reason_and_met_once_a_tick(
    harness: TradingHarness, refuse: Callable[[TradingHarness], None], reason: str
) -> None:
    refuse(harness)
    for ticks in (1, 2, 3):
        decision = harness.tick()
        assert decision.outcome == "decided"
        (refused,) = [placed for placed in decision.placed if placed["symbol"] == BTC]
        assert refused["status"] == OrderStatus.REJECTED
        assert re.match(reason, refused["reason"]), refused["reason"]
        assert len(harness.asked("POST", BTC)) == ticks
    assert harness.asked("GET") == []
    assert harness.slept == []
    assert {order.symbol for order in harness.context.orders.unreconciled(harness.user)} == {"ETHUSDT", "XRPUSDT"}
    assert harness.differences() == []
