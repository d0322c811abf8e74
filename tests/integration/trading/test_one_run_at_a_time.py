"""Two runs on one account never work at once, and a run that was killed does not block for ever."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest
from botbalance.deadline import RESERVE_S, Deadline
from botbalance.engine import InvalidStrategyError
from botbalance.errors import ConflictError, TransientError
from botbalance.models.decision import Decision, tick_start
from botbalance.models.order import OrderStatus
from botbalance.store.accounts import LEASE_S
from botbalance.trading.autopilot import emergency_stop
from botbalance.trading.execute import execute_once
from botbalance.trading.order_updates import NEVER_PLACED_AFTER_S
from botbalance.trading.orders import cancel_by_hand
from botbalance.trading.session import open_session
from botbalance.trading.strategy import save_strategy
from botbalance.trading.tick import strategy_tick

from tests.integration.trading.harness import TradingHarness
from workbench.aws.template import read_template

D = Decimal
RECV_WINDOW_S = 10


def test_a_tick_beside_another_run_decides_nothing_and_says_why(harness: TradingHarness) -> None:
    with harness.session():
        decision = harness.tick()
    assert decision.outcome == "skipped"
    assert "another run" in (decision.reason or "")
    assert harness.orders() == []
    assert harness.tick().placed


def test_execute_and_cancel_are_refused_beside_another_run(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)
    with harness.session():
        with pytest.raises(ConflictError, match="another run"):
            execute_once(harness.context, harness.user)
        with pytest.raises(ConflictError, match="another run"):
            cancel_by_hand(harness.context, harness.user)
    assert execute_once(harness.context, harness.user).orders


def test_a_lease_of_a_run_that_was_killed_expires(harness: TradingHarness) -> None:
    harness.context.accounts.acquire(harness.user, harness.now)
    assert harness.tick().outcome == "skipped"
    assert harness.tick(seconds=LEASE_S).outcome == "decided"


def test_a_lease_that_expired_and_was_taken_over_is_not_given_back_by_its_first_holder(harness: TradingHarness) -> None:
    lease, state = harness.context.accounts.acquire(harness.user, harness.now)
    harness.now += LEASE_S
    with harness.session():
        harness.context.accounts.release(lease, state)
        with pytest.raises(ConflictError), harness.session():
            pass


def test_nothing_is_traded_by_a_strategy_that_was_changed_since_the_message_was_read(harness: TradingHarness) -> None:
    due = harness.job()
    harness.set_strategy(autopilot=False)
    decision = strategy_tick(harness.context, due, tick_start(harness.now))
    assert decision is not None
    assert decision.placed == []
    assert "the strategy was changed" in (decision.reason or "")
    assert harness.orders() == []
    assert harness.booked() == []


def test_pressing_execute_many_times_at_once_orders_every_pair_once(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)

    def press(_: int) -> int:
        try:
            return len(execute_once(harness.context, harness.user).orders)
        except ConflictError:
            return 0

    with ThreadPoolExecutor(4) as pool:
        pressed = list(pool.map(press, range(8)))
    assert sum(pressed) == len(harness.orders())
    pairs = [order.symbol for order in harness.orders()]
    assert sorted(pairs) == sorted(set(pairs))
    assert all(order.status is OrderStatus.OPEN for order in harness.orders())


def test_a_lease_and_the_patience_with_lost_orders_outlive_every_function() -> None:
    longest = max(
        int(function.get("Timeout", 29))
        for name, function in read_template().functions().items()
        if name != "LeaversFunction"  # it decrypts no key, so it sends nothing
    )
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
        save_strategy(harness.context, harness.user, parameters, None)


def test_a_stop_outlasts_whoever_changes_the_strategy_just_then(harness: TradingHarness) -> None:
    harness.tick()
    other = harness.another_process().context.strategies

    def change_once(boundary: str) -> None:
        if boundary == "before dynamodb.PutItem":
            harness.services.on_boundary = lambda _: None
            other.save(other.get(harness.user).model_copy(update={"order_max_age_s": 60}))

    harness.services.on_boundary = change_once
    assert {order.status for order in emergency_stop(harness.context, harness.user).orders} == {OrderStatus.CANCELED}
    assert harness.books.open_orders(harness.key) == []
    stopped = harness.context.strategies.get(harness.user)
    assert (stopped.autopilot_enabled, stopped.order_max_age_s) == (False, 60)


def test_a_second_process_waits_while_the_first_one_looks(harness: TradingHarness) -> None:
    other = harness.another_process()
    beside: list[Decision | None] = []

    def once(boundary: str) -> None:
        if boundary == "after GET /api/v3/account":
            harness.services.on_boundary = lambda _: None
            beside.append(strategy_tick(other.context, job, harness.now + 30))

    job = harness.job()
    harness.services.on_boundary = once
    assert len(harness.tick().placed) == 3
    assert [decision.reason_code for decision in beside if decision is not None] == ["account_busy"]
    assert len(harness.asked("POST")) == 3
    assert harness.differences() == []


def test_a_run_waits_for_nothing_that_comes_after_its_end(harness: TradingHarness) -> None:
    context = replace(harness.context, deadline=Deadline(harness.now + RESERVE_S + 2, harness.context.clock))
    with open_session(context, harness.user) as session:
        session.wait(2)
        with pytest.raises(TransientError, match="less than 3 s"):
            session.wait(3)
    assert harness.slept == [2]
