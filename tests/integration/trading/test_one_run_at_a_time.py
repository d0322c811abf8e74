"""Two runs on one account never work at once, and a run that was killed does not block for ever."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from botbalance.engine import InvalidStrategyError
from botbalance.errors import ConflictError
from botbalance.store.leases import LEASE_S
from botbalance.store.orders import OrderStatus
from botbalance.trading.desk import tick_of
from botbalance.trading.execute import execute_once
from botbalance.trading.orders import cancel_every
from botbalance.trading.reconcile import NEVER_PLACED_AFTER_S
from botbalance.trading.strategy import change_strategy, stop, switch_autopilot
from botbalance.trading.tick import Due, strategy_tick

from tests.integration.reliability.worker_crash import death_at
from tests.integration.trading.harness import Process, TradingHarness
from workbench.aws.template import read_template

D = Decimal
RECV_WINDOW_S = 10


def test_a_tick_beside_another_run_decides_nothing_and_says_why(harness: TradingHarness) -> None:
    with harness.lease():
        decision = harness.tick()
    assert decision.outcome == "skipped"
    assert "another run" in (decision.reason or "")
    assert harness.orders() == []
    assert harness.tick().placed


def test_execute_and_cancel_are_refused_beside_another_run(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)
    with harness.lease():
        with pytest.raises(ConflictError, match="another run"):
            execute_once(harness.desk, harness.user)
        with pytest.raises(ConflictError, match="another run"):
            cancel_every(harness.desk, harness.user)
    assert execute_once(harness.desk, harness.user).orders


def test_a_lease_of_a_run_that_was_killed_expires(harness: TradingHarness) -> None:
    killed = harness.lease()
    killed.__enter__()
    assert harness.tick().outcome == "skipped"
    assert harness.tick(seconds=LEASE_S).outcome == "decided"


def test_a_lease_that_expired_and_was_taken_over_is_not_given_back_by_its_first_holder(harness: TradingHarness) -> None:
    late = harness.lease()
    late.__enter__()
    harness.now += LEASE_S
    with harness.lease():
        late.__exit__(None, None, None)
        with pytest.raises(ConflictError), harness.lease():
            pass


def test_nothing_is_traded_by_a_strategy_that_was_changed_since_the_message_was_read(harness: TradingHarness) -> None:
    due = harness.due()
    harness.set_strategy(autopilot=False)
    decision = strategy_tick(harness.desk, due, tick_of(harness.now))
    assert decision is not None
    assert decision.outcome == "skipped"
    assert "changed during this tick" in (decision.reason or "")
    assert harness.orders() == []
    assert harness.booked() == []


def test_pressing_execute_many_times_at_once_orders_every_pair_once(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)

    def press(_: int) -> int:
        try:
            return len(execute_once(harness.desk, harness.user).orders)
        except ConflictError:
            return 0

    with ThreadPoolExecutor(4) as pool:
        pressed = list(pool.map(press, range(8)))
    assert sum(pressed) == len(harness.orders())
    pairs = [order.symbol for order in harness.orders()]
    assert sorted(pairs) == sorted(set(pairs))
    assert all(order.status is OrderStatus.OPEN for order in harness.orders())


def test_a_lease_and_the_patience_with_lost_orders_outlive_every_function() -> None:
    template = read_template()
    longest = max(int(function.get("Timeout", 29)) for function in template.functions().values())
    assert longest + RECV_WINDOW_S < LEASE_S
    assert longest + RECV_WINDOW_S < NEVER_PLACED_AFTER_S


def test_a_pair_that_only_looks_like_another_is_refused(harness: TradingHarness) -> None:
    """BTCUSD in T and BTC in USDT have the same symbol without a separator."""
    parameters = {
        "exchange": "binance",
        "quote_asset": "T",
        "target_allocations": {"BTCUSD": Decimal(50), "T": Decimal(50)},
        "order_size_pct": Decimal(1),
        "order_step_pct": Decimal("0.4"),
        "min_delta_quote": Decimal(60),
    }
    with pytest.raises(InvalidStrategyError, match="BTCUSD"):
        change_strategy(harness.desk, harness.user, parameters, None)


def test_a_stop_outlasts_whoever_changes_the_strategy_just_then(harness: TradingHarness) -> None:
    harness.tick()
    other = harness.another_process().desk.strategies

    def change_once(boundary: str) -> None:
        if boundary == "before dynamodb.PutItem":
            harness.services.on_boundary = lambda _: None
            other.save(other.get(harness.user).model_copy(update={"order_max_age_s": 60}))

    harness.services.on_boundary = change_once
    assert {order.status for order in stop(harness.desk, harness.user)} == {OrderStatus.CANCELED}
    assert harness.books.open_orders(harness.key) == []
    stopped = harness.desk.strategies.get(harness.user)
    assert (stopped.autopilot_enabled, stopped.order_max_age_s) == (False, 60)


# where nothing rests, the lease is taken with the first order


@pytest.fixture
def settled(newcomer: TradingHarness) -> TradingHarness:
    """Looked at, with nothing to do; then BTC gets cheaper, so that the next look buys some."""
    newcomer.open_account(newcomer.user, {"BTC": D("0.075"), "ETH": D("1.2"), "XRP": D(4000), "USDT": D(2000)})
    newcomer.set_strategy()
    assert newcomer.tick().changed_nothing
    newcomer.market.set_price("BTCUSDT", D(39_000))
    return newcomer


def tick_again(other: Process, due: Due, ts_tick: int) -> None:
    decision = strategy_tick(other.desk, due, ts_tick)
    assert decision is not None
    assert decision.placed


def execute_by_hand(other: Process, due: Due, _: int) -> None:
    switch_autopilot(other.desk, due.strategy.user_id, enabled=False)
    assert execute_once(other.desk, due.strategy.user_id).orders


@pytest.mark.parametrize("overtake", [tick_again, execute_by_hand])
def test_a_look_that_another_run_overtakes_sends_nothing(
    settled: TradingHarness, overtake: Callable[[Process, Due, int], None]
) -> None:
    settled.now += 30
    due = settled.due()
    other = settled.another_process()

    def once(boundary: str) -> None:
        if boundary == "after GET /api/v3/account":
            settled.services.on_boundary = lambda _: None
            overtake(other, due, settled.now)

    settled.services.on_boundary = once
    decision = strategy_tick(settled.desk, due, settled.now)
    assert decision is not None
    assert (decision.outcome, decision.placed, decision.canceled) == ("skipped", [], {})
    assert [order.symbol for order in settled.booked()] == ["BTCUSDT"]
    assert settled.differences() == []
    assert len(settled.asked("POST")) == 1


def test_a_look_that_is_killed_before_its_first_order_is_done_by_the_message_that_comes_again(
    settled: TradingHarness,
) -> None:
    settled.now += 30
    message = settled.message(settled.user)
    with death_at(settled, "after GET /api/v3/account"):
        settled.work(message)
    assert settled.work(message) == []
    assert settled.desk.decisions.get(settled.user, settled.now).placed
    assert settled.work(message) == []
    assert len(settled.asked("POST")) == 1
    assert settled.differences() == []
