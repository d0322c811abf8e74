"""Two runs on one account never work at once, and a run that was killed does not block for ever."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from botbalance.engine import InvalidStrategy
from botbalance.errors import Conflict
from botbalance.store.leases import LEASE_S
from botbalance.store.orders import OrderStatus
from botbalance.trading.desk import tick_of
from botbalance.trading.execute import execute_once
from botbalance.trading.orders import cancel_every
from botbalance.trading.reconcile import NEVER_PLACED_AFTER_S
from botbalance.trading.strategy import change_strategy, stop
from botbalance.trading.tick import strategy_tick

from tests.integration.trading.world import World
from workbench.template import read_template

RECV_WINDOW_S = 10


def test_a_tick_beside_another_run_decides_nothing_and_says_why(world: World) -> None:
    with world.lease():
        decision = world.tick()
    assert decision.outcome == "skipped"
    assert "another run" in (decision.reason or "")
    assert world.orders() == []
    assert world.tick().placed


def test_execute_and_cancel_are_refused_beside_another_run(world: World) -> None:
    world.set_strategy(autopilot=False)
    with world.lease():
        with pytest.raises(Conflict, match="another run"):
            execute_once(world.desk, world.user)
        with pytest.raises(Conflict, match="another run"):
            cancel_every(world.desk, world.user)
    assert execute_once(world.desk, world.user).orders


def test_a_lease_of_a_run_that_was_killed_expires(world: World) -> None:
    killed = world.lease()
    killed.__enter__()
    assert world.tick().outcome == "skipped"
    assert world.tick(seconds=LEASE_S).outcome == "decided"


def test_a_lease_that_expired_and_was_taken_over_is_not_given_back_by_its_first_holder(world: World) -> None:
    late = world.lease()
    late.__enter__()
    world.now += LEASE_S
    with world.lease():
        late.__exit__(None, None, None)
        with pytest.raises(Conflict), world.lease():
            pass


def test_nothing_is_traded_by_a_strategy_that_was_changed_since_the_message_was_read(world: World) -> None:
    due = world.due()
    world.set_strategy(autopilot=False)
    decision = strategy_tick(world.desk, due, tick_of(world.now))
    assert decision is not None
    assert decision.outcome == "skipped"
    assert "changed during this tick" in (decision.reason or "")
    assert world.orders() == []
    assert world.booked() == []


def test_pressing_execute_many_times_at_once_orders_every_pair_once(world: World) -> None:
    world.set_strategy(autopilot=False)

    def press(_: int) -> int:
        try:
            return len(execute_once(world.desk, world.user).orders)
        except Conflict:
            return 0

    with ThreadPoolExecutor(4) as pool:
        pressed = list(pool.map(press, range(8)))
    assert sum(pressed) == len(world.orders())
    pairs = [order.symbol for order in world.orders()]
    assert sorted(pairs) == sorted(set(pairs))
    assert all(order.status is OrderStatus.OPEN for order in world.orders())


def test_a_lease_and_the_patience_with_lost_orders_outlive_every_function() -> None:
    template = read_template()
    longest = max(int(function.get("Timeout", 29)) for function in template.functions().values())
    assert longest + RECV_WINDOW_S < LEASE_S
    assert longest + RECV_WINDOW_S < NEVER_PLACED_AFTER_S


def test_a_pair_that_only_looks_like_another_is_refused(world: World) -> None:
    """BTCUSD in T and BTC in USDT have the same symbol without a separator."""
    parameters = {
        "exchange": "binance",
        "quote_asset": "T",
        "target_allocations": {"BTCUSD": Decimal(50), "T": Decimal(50)},
        "order_size_pct": Decimal(1),
        "order_step_pct": Decimal("0.4"),
        "min_delta_quote": Decimal(60),
    }
    with pytest.raises(InvalidStrategy, match="BTCUSD"):
        change_strategy(world.desk, world.user, parameters, None)


def test_a_stop_outlasts_whoever_changes_the_strategy_just_then(world: World) -> None:
    world.tick()
    other = world.another_process().desk.strategies

    def change_once(boundary: str) -> None:
        if boundary == "before dynamodb.PutItem":
            world.services.on_boundary = lambda _: None
            other.save(other.get(world.user).model_copy(update={"order_max_age_s": 60}))

    world.services.on_boundary = change_once
    assert {order.status for order in stop(world.desk, world.user)} == {OrderStatus.CANCELED}
    assert world.books.open_orders(world.key) == []
    stopped = world.desk.strategies.get(world.user)
    assert (stopped.autopilot_enabled, stopped.order_max_age_s) == (False, 60)
