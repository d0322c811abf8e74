"""After a run was lost, fills are summed up anew from all orders: in parts, so that no history is too long for it."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from botbalance.deadline import Deadline
from botbalance.models.account_state import AccountState
from botbalance.models.fill import OrderFill
from botbalance.models.order import Order, OrderStatus
from botbalance.store.accounts import LEASE_S
from botbalance.trading.session import SEND_AND_SETTLE_S, open_session
from botbalance.trading.tallies import sum_fills

from tests.integration.trading.harness import DAY_S, TradingHarness

D = Decimal
LIMIT = D(40_000)


@pytest.fixture
def owner(newcomer: TradingHarness) -> TradingHarness:
    """A user with six filled orders, of a minute each, whose last run died."""
    newcomer.set_strategy(autopilot=False)
    for number in range(6):
        newcomer.now += 60
        fill_order(newcomer, newcomer.create(new_order(newcomer)), f"{number}", "0.001")
    lose_a_run(newcomer)
    return newcomer


def new_order(harness: TradingHarness) -> Order:
    return harness.intent("BTCUSDT", limit_price=str(LIMIT), base_qty="0.005")


def fill_order(harness: TradingHarness, order: Order, trade_id: str, quantity: str) -> Order:
    fill = OrderFill(
        trade_id=trade_id,
        price=LIMIT,
        base_qty=D(quantity),
        fee=D("0.04"),
        fee_asset="USDT",
        traded_at_ms=harness.now * 1000,
    )
    filled = {"status": OrderStatus.PARTIALLY_FILLED, "fills": (*order.fills, fill)}
    with harness.session() as session:
        return session.update_order(order, order.model_copy(update=filled))


def lose_a_run(harness: TradingHarness) -> None:
    harness.context.accounts.acquire(harness.user, harness.now)
    harness.now += LEASE_S


def work(harness: TradingHarness, runs: int) -> Iterator[AccountState]:
    """What so many runs leave that do nothing by themselves."""
    for _ in range(runs):
        with harness.session():
            pass
        yield harness.context.accounts.find_state(harness.user)


def require_counted(harness: TradingHarness, state: AccountState) -> None:
    assert state.recount is None
    assert state.fill_totals == sum_fills(harness.orders())
    tallies = state.account_budgets("binance").tallies["BTCUSDT"].values()
    orders = harness.orders()
    assert [sum(tally.placed for tally in tallies), sum(tally.buys for tally in tallies)] == [len(orders)] * 2
    assert sum(tally.bought for tally in tallies) == sum(order.fills_qty for order in orders)
    assert sum(tally.paid for tally in tallies) == sum(order.fills_qty * LIMIT for order in orders)


def test_a_long_history_is_counted_by_several_runs(
    owner: TradingHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("botbalance.trading.session.COUNTED_AT_ONCE", 2)
    *unfinished, last = work(owner, 3)
    assert [state.fill_totals for state in unfinished] == [None, None]
    require_counted(owner, last)
    assert [record.getMessage() for record in caplog.records] == ["fills not counted yet"] * 2


def test_what_fills_meanwhile_is_counted_once(owner: TradingHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botbalance.trading.session.COUNTED_AT_ONCE", 1)
    next(work(owner, 1))
    fill_order(owner, owner.orders()[-1], "late, of one that is counted", "0.002")
    fill_order(owner, owner.orders()[0], "late, of one that is not", "0.003")
    fill_order(owner, owner.create(new_order(owner)), "new", "0.004")
    *_, last = work(owner, 4)
    require_counted(owner, last)
    assert last.fill_totals is not None
    assert last.fill_totals["binance"]["BTC"].fills == 9


def test_another_lost_run_begins_it_anew(owner: TradingHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botbalance.trading.session.COUNTED_AT_ONCE", 3)
    next(work(owner, 1))
    lose_a_run(owner)
    unfinished, last = work(owner, 2)
    assert unfinished.fill_totals is None
    require_counted(owner, last)


def test_counting_ends_while_the_state_can_still_be_written(owner: TradingHarness) -> None:
    """Each page of orders takes a while; the next run goes on where this one ended."""
    deadline = Deadline(owner.now + SEND_AND_SETTLE_S + 2, lambda: owner.now)

    def pass_time(name: str) -> None:
        if name == "after dynamodb.Query":
            owner.now += 3

    owner.processes[0].on_boundary = pass_time
    with open_session(replace(owner.context, deadline=deadline), owner.user) as session:
        session.remember(skipped_in_a_row=7)
    owner.processes[0].on_boundary = lambda _: None
    state = owner.context.accounts.find_state(owner.user)
    assert (state.skipped_in_a_row, state.fill_totals) == (7, None)
    (last,) = work(owner, 1)
    require_counted(owner, last)
    assert last.skipped_in_a_row == 7


def test_what_is_older_than_thirty_days_is_in_the_totals_alone(owner: TradingHarness) -> None:
    owner.now += 31 * DAY_S
    lose_a_run(owner)
    (state,) = work(owner, 1)
    assert state.fill_totals == sum_fills(owner.orders())
    assert state.budgets == {}
