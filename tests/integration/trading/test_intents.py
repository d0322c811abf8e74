"""An order is written before it is sent, and sent at most once, whatever became of it."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from botbalance.errors import TryAgainLater
from botbalance.exchange.adapter import Placed
from botbalance.store.orders import Order, OrderStatus
from botbalance.trading.orders import cancel_one
from botbalance.trading.placement import place_actions
from botbalance.trading.plan import preview
from botbalance.trading.tick import strategy_tick

from tests.integration.trading.world import World
from workbench.exchange.binance_api import Request
from workbench.faults.kinds import FaultKind, Where


def lose_orders_for_btc(world: World) -> None:
    world.injector.script(FaultKind.NOT_RECEIVED, Where.PLACE_ORDER, about="BTCUSDT", times=9)


def hide_btc(world: World) -> None:
    """The order arrives; its reply and every look-up of it are lost."""
    world.injector.script(FaultKind.RESET_AFTER, Where.PLACE_ORDER, about="BTCUSDT", times=9)
    world.injector.script(FaultKind.NOT_RECEIVED, Where.FIND_ORDER, about="BTCUSDT", times=99)


def test_a_tick_delivered_twice_trades_once(world: World) -> None:
    world.now += 30
    message, due = world.message(world.user), world.due()
    first = strategy_tick(world.desk, due, world.now)
    assert first is not None
    assert len(first.placed) == 3

    assert strategy_tick(world.desk, due, world.now) is None
    assert world.work(message) == []

    assert len(world.asked("POST")) == len(world.booked()) == 3


def leave_open(world: World) -> None:
    pass


def fill(world: World) -> None:
    for symbol, price in (("BTCUSDT", "30000"), ("ETHUSDT", "2000"), ("XRPUSDT", "0.4")):
        world.market.set_price(symbol, Decimal(price))


def cancel_by_hand(world: World) -> None:
    for order in world.orders():
        cancel_one(world.desk, world.user, order.client_order_id)


@pytest.mark.parametrize("then", [leave_open, fill, cancel_by_hand])
def test_an_intent_that_exists_is_never_sent_again(world: World, then: Callable[[World], None]) -> None:
    plan = preview(world.desk, world.user)
    account = world.desk.accounts.of(world.user, "binance")

    def place() -> list[Order]:
        with world.lease() as lease:
            return place_actions(
                world.desk,
                lease,
                account,
                plan.strategy,
                plan.evaluation.actions,
                plan.snapshot.rules,
                ts_tick=world.now,
                source="autopilot",
            ).orders

    first = place()
    then(world)
    again = place()

    assert [order.client_order_id for order in again] == [order.client_order_id for order in first]
    assert len(world.asked("POST")) == len(world.booked()) == 3


def test_a_refused_or_lost_intent_is_not_sent_again_either(world: World) -> None:
    plan = preview(world.desk, world.user)
    world.books.transfer(world.key, "USDT", Decimal(-9_990))
    lose_orders_for_btc(world)
    account = world.desk.accounts.of(world.user, "binance")
    for _ in range(2):
        with world.lease() as lease:
            orders = place_actions(
                world.desk,
                lease,
                account,
                plan.strategy,
                plan.evaluation.actions,
                plan.snapshot.rules,
                ts_tick=world.now,
                source="autopilot",
            ).orders
        assert {order.symbol: order.status for order in orders} == {
            "BTCUSDT": OrderStatus.PENDING,
            "ETHUSDT": OrderStatus.REJECTED,
            "XRPUSDT": OrderStatus.REJECTED,
        }
    assert len(world.asked("POST")) == 3


def test_an_order_that_fills_at_once_is_not_sent_again(world: World) -> None:
    world.set_strategy(post_only=False)
    plan = preview(world.desk, world.user)
    world.market.set_price("BTCUSDT", Decimal(39_000))
    account = world.desk.accounts.of(world.user, "binance")
    for _ in range(2):
        with world.lease() as lease:
            orders = place_actions(
                world.desk,
                lease,
                account,
                plan.strategy,
                plan.evaluation.actions[:1],
                plan.snapshot.rules,
                ts_tick=world.now,
                source="autopilot",
            ).orders
    (order,) = orders
    assert order.status is OrderStatus.FILLED
    assert order.fills_complete
    assert len(order.fills) == 1
    assert len(world.asked("POST")) == 1


def test_the_intent_is_written_before_the_request_goes_out(world: World) -> None:
    written: list[OrderStatus] = []

    def look(request: Request) -> None:
        if request.method == "POST":
            client_order_id = request.body.partition("newClientOrderId=")[2][:20]
            written.append(world.desk.orders.get(world.user, client_order_id).status)

    world.on_request = look
    world.tick()
    assert written == [OrderStatus.PENDING] * 3


def test_an_order_of_unknown_fate_is_looked_up_and_stays_pending_while_others_go_on(world: World) -> None:
    lose_orders_for_btc(world)
    decision = world.tick()

    assert decision.outcome == "decided"
    assert world.statuses() == {
        "BTCUSDT": OrderStatus.PENDING,
        "ETHUSDT": OrderStatus.OPEN,
        "XRPUSDT": OrderStatus.OPEN,
    }
    assert world.slept == [0, 1, 2]
    assert len(world.asked("GET", "BTCUSDT")) == 3


def test_a_pair_with_an_unknown_order_is_blocked_and_the_others_are_not(world: World) -> None:
    lose_orders_for_btc(world)
    world.tick()
    world.market.set_price("ETHUSDT", Decimal(2_400))  # fills its order, so that another is due
    decision = world.tick()

    assert [order["symbol"] for order in decision.placed] == ["ETHUSDT"]
    assert len(world.asked("POST", "BTCUSDT")) == 1


def test_an_order_whose_reply_was_lost_is_adopted_at_once(world: World) -> None:
    world.injector.script(FaultKind.RESET_AFTER, Where.PLACE_ORDER, about="BTCUSDT")
    world.tick()

    order = world.order_on("BTCUSDT")
    assert order.status is OrderStatus.OPEN
    assert order.exchange_order_id == "1"
    assert order.reason is None
    assert len(world.booked()) == 3


def test_an_order_that_cannot_be_looked_up_yet_is_adopted_by_a_later_tick(world: World) -> None:
    hide_btc(world)
    world.tick()
    assert world.order_on("BTCUSDT").status is OrderStatus.PENDING

    world.injector.active = False
    world.tick()

    assert world.order_on("BTCUSDT").status is OrderStatus.OPEN
    assert len(world.booked()) == 3


def test_an_unknown_order_that_filled_meanwhile_is_booked(world: World) -> None:
    hide_btc(world)
    world.tick()
    world.market.set_price("BTCUSDT", Decimal(39_000))
    world.injector.active = False
    world.tick()

    (first,) = [order for order in world.orders() if order.symbol == "BTCUSDT" and order.ts_tick < world.now]
    assert first.status is OrderStatus.FILLED
    assert first.fills_complete


def test_an_order_never_found_is_given_up_after_two_minutes_and_two_lookups_and_planned_anew(world: World) -> None:
    lose_orders_for_btc(world)
    world.tick()
    lost = world.order_on("BTCUSDT")
    for _ in range(4):
        world.tick()
        assert world.order_on("BTCUSDT").status is OrderStatus.PENDING, "two minutes are not over"
    world.injector.active = False

    decision = world.tick()

    given_up = world.desk.orders.get(world.user, lost.client_order_id)
    assert given_up.status is OrderStatus.CANCELED
    assert given_up.reason == "never_placed"
    assert [order["symbol"] for order in decision.placed] == ["BTCUSDT"]


def test_time_alone_does_not_give_an_order_up(world: World) -> None:
    lose_orders_for_btc(world)
    world.tick()
    world.tick(seconds=300)
    assert world.order_on("BTCUSDT").status is OrderStatus.PENDING
    world.tick()
    assert "never_placed" in [order.reason for order in world.orders()]


def test_a_late_fill_of_an_order_given_up_for_lost_is_booked(world: World) -> None:
    lose_orders_for_btc(world)
    world.tick()
    lost = world.order_on("BTCUSDT")
    for _ in range(5):
        world.tick()
    assert world.desk.orders.get(world.user, lost.client_order_id).status is OrderStatus.CANCELED

    world.injector.active = False
    place_on_exchange(world, lost)
    world.market.set_price("BTCUSDT", Decimal(39_000))
    world.tick()

    found = world.desk.orders.get(world.user, lost.client_order_id)
    assert (found.status, found.reason) == (OrderStatus.FILLED, None)
    assert found.filled_qty == lost.base_qty
    assert [fill.base_qty for fill in found.fills] == [lost.base_qty]


def test_an_order_given_up_for_lost_is_forgotten_after_a_day(world: World) -> None:
    lose_orders_for_btc(world)
    world.tick()
    lost = world.order_on("BTCUSDT").client_order_id
    for _ in range(5):
        world.tick()
    world.tick(seconds=80_000)
    assert lost in {order.client_order_id for order in world.desk.orders.watched(world.user)}
    world.tick(seconds=6_400)
    assert lost not in {order.client_order_id for order in world.desk.orders.watched(world.user)}


def test_a_crash_between_accepted_and_saved_is_reconciled_before_anything_is_planned(world: World) -> None:
    intent = world.intent("BTCUSDT", limit_price="39840", base_qty="0.00502")
    with world.lease() as lease:
        assert world.desk.orders.create(intent, lease)
    place_on_exchange(world, intent)

    decision = world.tick()

    assert world.order_on("BTCUSDT").status is OrderStatus.OPEN
    assert sorted(order["symbol"] for order in decision.placed) == ["ETHUSDT", "XRPUSDT"]


def test_orders_go_on_where_booking_one_that_was_accepted_fails(world: World) -> None:
    """It fills on arrival and the exchange will not say how: the next tick books it."""
    world.set_strategy(post_only=False)
    plan = preview(world.desk, world.user)
    world.market.set_price("BTCUSDT", Decimal(39_000))
    world.injector.script(FaultKind.NOT_RECEIVED, Where.TRADES, times=9)
    account = world.desk.accounts.of(world.user, "binance")
    with world.lease() as lease:
        orders = place_actions(
            world.desk,
            lease,
            account,
            plan.strategy,
            plan.evaluation.actions,
            plan.snapshot.rules,
            ts_tick=world.now,
            source="autopilot",
        ).orders
    assert [order.status for order in orders] == [OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.OPEN]

    world.injector.active = False
    world.tick()
    booked = world.desk.orders.get(world.user, orders[0].client_order_id)
    assert booked.status is OrderStatus.FILLED
    assert booked.fills_complete


def test_a_tick_on_an_exchange_that_does_not_answer_is_skipped_with_the_reason(world: World) -> None:
    world.injector.script(FaultKind.NOT_RECEIVED, Where.OPEN_ORDERS, times=9)
    decision = world.tick()
    assert decision.outcome == "skipped"
    assert "did not answer" in (decision.reason or "")
    assert world.orders() == []
    with pytest.raises(TryAgainLater):
        preview(world.desk, world.user)


def test_a_tick_older_than_its_period_is_dropped(world: World) -> None:
    assert strategy_tick(world.desk, world.due(), world.now - 60) is None
    assert world.orders() == []


def place_on_exchange(world: World, order: Order) -> None:
    """As the request does, without this system's knowing."""
    account = world.services.connect("binance", world.user, world.services.credentials.reveal(world.user, "binance"))
    world.desk.portfolio.make_known(account, [order.symbol])
    placement = account.place_order(
        order.symbol, order.side, order.limit_price, order.base_qty, order.client_order_id, post_only=True
    )
    account.close()
    assert isinstance(placement, Placed)
