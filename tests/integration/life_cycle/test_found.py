"""What the machine has found, each told in a few steps."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

import pytest

from tests.integration.life_cycle.order_model import Life, Run
from tests.integration.life_cycle.worker import TimeResponse
from workbench.faults.kinds import FaultKind, Where


@pytest.fixture
def life(environment: Mapping[str, str]) -> Iterator[Life]:
    """Three orders rest, and the autopilot is on."""
    life = Life(environment)
    try:
        life.be_ready_for(Run.TICK)
        tick(life)
        assert len(life.resting()) == 3
        yield life
    finally:
        life.close()


def tick(life: Life) -> None:
    life.perform(Run.TICK, ts_tick=life.next_tick())


def test_trades_may_know_more_than_a_lagging_copy_of_their_order(life: Life) -> None:
    order = life.resting()[0]
    for _ in range(2):
        life.books.fill_now(life.key, order.order_id, whole=False)
    life.injector.script(FaultKind.STALE_ORDER, Where.FIND_ORDER)
    life.cancel_one(order.client_order_id)
    life.check()
    (ours,) = [ours for ours in life.orders() if ours.client_order_id == order.client_order_id]
    assert ours.fills_complete
    assert len(ours.fills) == 2


def test_a_cancel_that_was_held_for_longer_than_its_lease_is_not_sent_any_more(life: Life) -> None:
    """Signed before, it is too old for the exchange, which says so; it must not be signed again."""
    life.run_beside(Run.CANCEL_EVERY, TimeResponse("before DELETE", 1), 91, Run.LIST)
    life.check()
    assert len(life.resting()) == 3


def test_no_time_is_asked_for_while_requests_without_a_key_are_limited(life: Life) -> None:
    life.injector.script(FaultKind.LIMITED, Where.QUOTES)
    tick(life)
    life.injector.script(FaultKind.CLOCK_SKEW, Where.OPEN_ORDERS)
    tick(life)
    assert life.exchange.violations() == []


def test_a_strategy_is_changed_within_the_limits_that_other_processes_were_told_of(life: Life) -> None:
    life.injector.script(FaultKind.BANNED, Where.OPEN_ORDERS)
    tick(life)
    life.next_tick()  # the other worker's turn
    life.save_strategy({"target_allocations": {"BNB": Decimal(50), "USDT": Decimal(50)}})
    assert life.exchange.violations() == []
