"""An order is written before it is sent, and sent at most once, whatever became of it."""

import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from botbalance.errors import TransientError
from botbalance.exchange.adapter import OrderAccepted, OrderRequest
from botbalance.models.order import Order, OrderStatus
from botbalance.store.accounts import LEASE_S
from botbalance.trading import session
from botbalance.trading.cancellation import cancel_orders
from botbalance.trading.orders import cancel_one
from botbalance.trading.plan import preview
from botbalance.trading.rebalance import place_actions
from botbalance.trading.tick import strategy_tick

from tests.integration.trading.harness import TradingHarness
from workbench.faults.kinds import FaultKind, Where
from workbench.simulated_exchange.binance_api import Request


def lose_orders_for_btc(harness: TradingHarness) -> None:
    harness.injector.script(FaultKind.NOT_RECEIVED, Where.PLACE_ORDER, about="BTCUSDT", times=9)


def hide_btc(harness: TradingHarness) -> None:
    """The order arrives; its reply and every look-up of it are lost."""
    harness.injector.script(FaultKind.RESET_AFTER, Where.PLACE_ORDER, about="BTCUSDT", times=9)
    harness.injector.script(FaultKind.NOT_RECEIVED, Where.FIND_ORDER, about="BTCUSDT", times=99)


def test_a_tick_delivered_twice_trades_once(harness: TradingHarness) -> None:
    harness.now += 30
    message, due = harness.message(harness.user), harness.job()
    first = strategy_tick(harness.context, due, harness.now)
    assert first is not None
    assert len(first.placed) == 3

    assert strategy_tick(harness.context, due, harness.now) is None
    assert harness.work(message) == []

    assert len(harness.asked("POST")) == len(harness.booked()) == 3


def leave_open(harness: TradingHarness) -> None:
    pass


def fill(harness: TradingHarness) -> None:
    for symbol, price in (("BTCUSDT", "30000"), ("ETHUSDT", "2000"), ("XRPUSDT", "0.4")):
        harness.market.set_price(symbol, Decimal(price))


def cancel_by_hand(harness: TradingHarness) -> None:
    for order in harness.orders():
        cancel_one(harness.context, harness.user, order.client_order_id)


@pytest.mark.parametrize("then", [leave_open, fill, cancel_by_hand])
def test_an_intent_that_exists_is_never_sent_again(
    harness: TradingHarness, then: Callable[[TradingHarness], None]
) -> None:
    plan = preview(harness.context, harness.user)

    def place() -> list[Order]:
        return harness.place(plan)

    first = place()
    then(harness)
    again = place()

    assert [order.client_order_id for order in again] == [order.client_order_id for order in first]
    assert len(harness.asked("POST")) == len(harness.booked()) == 3


def test_a_refused_or_lost_intent_is_not_sent_again_either(harness: TradingHarness) -> None:
    plan = preview(harness.context, harness.user)
    harness.books.transfer(harness.key, "USDT", Decimal(-9_990))
    lose_orders_for_btc(harness)
    for _ in range(2):
        orders = harness.place(plan)
        assert {order.symbol: order.status for order in orders} == {
            "BTCUSDT": OrderStatus.PENDING,
            "ETHUSDT": OrderStatus.REJECTED,
            "XRPUSDT": OrderStatus.REJECTED,
        }
    assert len(harness.asked("POST")) == 3


def test_an_order_that_fills_at_once_is_not_sent_again(harness: TradingHarness) -> None:
    harness.set_strategy(post_only=False)
    plan = preview(harness.context, harness.user)
    harness.market.set_price("BTCUSDT", Decimal(39_000))
    for _ in range(2):
        orders = harness.place(plan, plan.evaluation.actions[:1])
    (order,) = orders
    assert order.status is OrderStatus.FILLED
    assert order.fills_complete
    assert len(order.fills) == 1
    assert len(harness.asked("POST")) == 1


def test_the_intent_is_written_before_the_request_goes_out(harness: TradingHarness) -> None:
    written: list[OrderStatus] = []

    def look(request: Request) -> None:
        if request.method == "POST":
            client_order_id = request.body.partition("newClientOrderId=")[2][:20]
            written.append(harness.context.orders.get(harness.user, client_order_id).status)

    harness.on_request = look
    harness.tick()
    assert written == [OrderStatus.PENDING] * 3


def test_an_order_of_unknown_fate_is_looked_up_and_stays_pending_while_others_go_on(harness: TradingHarness) -> None:
    lose_orders_for_btc(harness)
    decision = harness.tick()

    assert decision.outcome == "decided"
    assert harness.statuses() == {
        "BTCUSDT": OrderStatus.PENDING,
        "ETHUSDT": OrderStatus.OPEN,
        "XRPUSDT": OrderStatus.OPEN,
    }
    assert harness.slept == [0, 1, 2]
    assert len(harness.asked("GET", "BTCUSDT")) == 3


def test_a_pair_with_an_unknown_order_is_blocked_and_the_others_are_not(harness: TradingHarness) -> None:
    lose_orders_for_btc(harness)
    harness.tick()
    harness.market.set_price("ETHUSDT", Decimal(2_400))  # fills its order, so that another is due
    assert harness.tick().placed == [], "balances may not show that yet"
    decision = harness.tick()

    assert [order["symbol"] for order in decision.placed] == ["ETHUSDT"]
    assert len(harness.asked("POST", "BTCUSDT")) == 1


def test_an_order_whose_reply_was_lost_is_adopted_at_once(harness: TradingHarness) -> None:
    harness.injector.script(FaultKind.RESET_AFTER, Where.PLACE_ORDER, about="BTCUSDT")
    harness.tick()

    order = harness.order_on("BTCUSDT")
    assert order.status is OrderStatus.OPEN
    assert order.exchange_order_id == "1"
    assert order.reason is None
    assert len(harness.booked()) == 3


def test_an_order_that_cannot_be_looked_up_yet_is_adopted_by_a_later_tick(harness: TradingHarness) -> None:
    hide_btc(harness)
    harness.tick()
    assert harness.order_on("BTCUSDT").status is OrderStatus.PENDING

    harness.injector.active = False
    harness.tick()

    assert harness.order_on("BTCUSDT").status is OrderStatus.OPEN
    assert len(harness.booked()) == 3


def test_an_unknown_order_that_filled_meanwhile_is_booked(harness: TradingHarness) -> None:
    hide_btc(harness)
    harness.tick()
    harness.market.set_price("BTCUSDT", Decimal(39_000))
    harness.injector.active = False
    harness.tick()

    (first,) = [order for order in harness.orders() if order.symbol == "BTCUSDT" and order.ts_tick < harness.now]
    assert first.status is OrderStatus.FILLED
    assert first.fills_complete


def test_an_order_never_found_is_given_up_after_two_minutes_and_two_lookups_and_planned_anew(
    harness: TradingHarness,
) -> None:
    lose_orders_for_btc(harness)
    harness.tick()
    lost = harness.order_on("BTCUSDT")
    for _ in range(4):
        harness.tick()
        assert harness.order_on("BTCUSDT").status is OrderStatus.PENDING, "two minutes are not over"
    harness.injector.active = False

    decision = harness.tick()

    given_up = harness.context.orders.get(harness.user, lost.client_order_id)
    assert given_up.status is OrderStatus.CANCELED
    assert given_up.reason == "never_placed"
    assert decision.placed == []
    assert [order["symbol"] for order in harness.tick().placed] == ["BTCUSDT"]


def test_time_alone_does_not_give_an_order_up(harness: TradingHarness) -> None:
    lose_orders_for_btc(harness)
    harness.tick()
    harness.tick(seconds=300)
    assert harness.order_on("BTCUSDT").status is OrderStatus.PENDING
    harness.tick()
    assert "never_placed" in [order.reason for order in harness.orders()]


def test_a_late_fill_of_an_order_given_up_for_lost_is_booked(harness: TradingHarness) -> None:
    lose_orders_for_btc(harness)
    harness.tick()
    lost = harness.order_on("BTCUSDT")
    for _ in range(5):
        harness.tick()
    assert harness.context.orders.get(harness.user, lost.client_order_id).status is OrderStatus.CANCELED

    harness.injector.active = False
    place_on_exchange(harness, lost)
    harness.market.set_price("BTCUSDT", Decimal(39_000))
    harness.tick()

    found = harness.context.orders.get(harness.user, lost.client_order_id)
    assert (found.status, found.reason) == (OrderStatus.FILLED, None)
    assert found.filled_qty == lost.base_qty
    assert [fill.base_qty for fill in found.fills] == [lost.base_qty]


def test_an_order_given_up_for_lost_is_forgotten_after_a_day(harness: TradingHarness) -> None:
    lose_orders_for_btc(harness)
    harness.tick()
    lost = harness.order_on("BTCUSDT").client_order_id
    for _ in range(5):
        harness.tick()
    harness.tick(seconds=80_000)
    assert lost in {order.client_order_id for order in harness.context.orders.unreconciled(harness.user)}
    harness.tick(seconds=6_400)
    assert lost not in {order.client_order_id for order in harness.context.orders.unreconciled(harness.user)}


def test_a_crash_between_accepted_and_saved_is_reconciled_before_anything_is_planned(harness: TradingHarness) -> None:
    intent = harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502")
    harness.create(intent)
    place_on_exchange(harness, intent)

    decision = harness.tick()

    assert harness.order_on("BTCUSDT").status is OrderStatus.OPEN
    assert sorted(order["symbol"] for order in decision.placed) == ["ETHUSDT", "XRPUSDT"]


def test_orders_go_on_where_booking_one_that_was_accepted_fails(harness: TradingHarness) -> None:
    """It fills on arrival and the exchange will not say how: the next tick books it."""
    harness.set_strategy(post_only=False)
    plan = preview(harness.context, harness.user)
    harness.market.set_price("BTCUSDT", Decimal(39_000))
    harness.injector.script(FaultKind.NOT_RECEIVED, Where.TRADES, times=9)
    orders = harness.place(plan)
    assert [order.status for order in orders] == [OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.OPEN]

    harness.injector.active = False
    harness.tick()
    booked = harness.context.orders.get(harness.user, orders[0].client_order_id)
    assert booked.status is OrderStatus.FILLED
    assert booked.fills_complete


def test_orders_go_on_where_somebody_else_has_written_one_that_is_being_recorded(harness: TradingHarness) -> None:
    """Its lease is still this run's, so the account is: the next tick books the order, and the others do not wait."""

    def write_over(request: Request) -> None:
        if request.method == "POST" and "symbol=BTCUSDT" in request.body:
            client_order_id = request.body.partition("newClientOrderId=")[2][:20]
            add_to_revision(harness, client_order_id)

    harness.on_request = write_over
    decision = harness.tick()
    assert decision.outcome == "decided"
    assert harness.statuses() == {
        "BTCUSDT": OrderStatus.PENDING,
        "ETHUSDT": OrderStatus.OPEN,
        "XRPUSDT": OrderStatus.OPEN,
    }
    assert harness.tick().placed == []
    assert harness.order_on("BTCUSDT").status is OrderStatus.OPEN
    assert len(harness.asked("POST")) == len(harness.booked()) == 3


def count_writes(harness: TradingHarness) -> list[str]:
    writes: list[str] = []
    harness.services.on_boundary = lambda name: (
        writes.append(name) if name == "before dynamodb.TransactWriteItems" else None
    )
    return writes


def test_orders_that_rest_are_written_together_with_the_end_of_the_run(harness: TradingHarness) -> None:
    writes = count_writes(harness)
    assert [order["status"] for order in harness.tick().placed] == ["OPEN"] * 3
    assert len(writes) == 3 + 1
    assert set(harness.statuses().values()) == {OrderStatus.OPEN}


def test_of_more_orders_than_end_a_run_together_the_others_are_written_at_once(
    harness: TradingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MOST_ACKNOWLEDGED", 1)
    writes = count_writes(harness)
    harness.tick()
    assert len(writes) == 3 + 2 + 1
    assert set(harness.statuses().values()) == {OrderStatus.OPEN}


def test_a_run_that_dies_before_its_end_leaves_orders_that_are_found_by_their_ids(harness: TradingHarness) -> None:
    class Dead(BaseException):
        pass

    def die_at_the_end(name: str) -> None:
        if name == "before dynamodb.TransactWriteItems" and len(harness.booked()) == 3:
            raise Dead

    harness.services.on_boundary = die_at_the_end
    with pytest.raises(Dead):
        harness.tick()
    harness.services = harness.another_process()
    assert set(harness.statuses().values()) == {OrderStatus.PENDING}
    decision = harness.tick(LEASE_S)
    assert (decision.outcome, decision.placed) == ("decided", [])
    assert set(harness.statuses().values()) == {OrderStatus.OPEN}
    assert len(harness.asked("POST")) == len(harness.booked()) == 3


def test_what_a_run_cancels_that_it_has_sent_is_canceled(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    plan = preview(harness.context, harness.user)
    with harness.session() as run:
        placed = place_actions(
            run,
            plan.strategy,
            plan.evaluation.actions,
            plan.snapshot.rules,
            ts_tick=harness.now,
            source="autopilot",
            prices_expire_at=harness.now,
        ).orders
        cancel_orders(run, placed[:1], {placed[0].client_order_id: "changed_mind"})
    assert sorted(harness.statuses().values()) == [OrderStatus.CANCELED, OrderStatus.OPEN, OrderStatus.OPEN]
    assert caplog.records == []


def test_a_tick_on_an_exchange_that_does_not_answer_is_skipped_with_the_reason(harness: TradingHarness) -> None:
    harness.injector.script(FaultKind.NOT_RECEIVED, Where.OPEN_ORDERS, times=9)
    decision = harness.tick()
    assert decision.outcome == "skipped"
    assert "did not answer" in (decision.reason or "")
    assert harness.orders() == []
    with pytest.raises(TransientError):
        preview(harness.context, harness.user)


def test_a_tick_older_than_its_period_is_dropped(harness: TradingHarness) -> None:
    decision = strategy_tick(harness.context, harness.job(), harness.now - 60)
    assert decision is not None
    assert (decision.outcome, decision.reason_code) == ("skipped", "tick_late")
    assert harness.context.decisions.get(harness.user, harness.now - 60) == decision
    assert harness.orders() == []


def place_on_exchange(harness: TradingHarness, order: Order) -> None:
    """As the request does, without this system's knowing."""
    account = harness.services.connect(
        "binance", harness.user, harness.services.credentials.decrypt(harness.user, "binance")
    )
    harness.context.portfolio.load_markets(account, [order.symbol])
    placement = account.place_order(
        OrderRequest(order.symbol, order.side, order.limit_price, order.base_qty, order.client_order_id, post_only=True)
    )
    account.close()
    assert isinstance(placement, OrderAccepted)


def add_to_revision(harness: TradingHarness, client_order_id: str) -> None:
    """As whoever writes the order does."""
    client, table = harness.services.dynamodb, harness.services.settings.orders_table
    key = {"user_id": {"S": harness.user}, "client_order_id": {"S": client_order_id}}
    item = client.get_item(TableName=table, Key=key)["Item"]
    document = json.loads(item["document"]["S"])
    document["revision"] += 1
    item["document"] = {"S": json.dumps(document)}
    item["revision"] = {"N": str(document["revision"])}
    client.put_item(TableName=table, Item=item)
