"""The audit's idea of a doubtful trade: on anything else than what was true when it was decided."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from uuid import uuid4

import pytest
from botbalance import bootstrap

from tests.integration.trading.harness import FIRST_PRICES, TEN_THOUSAND_USDT, TradingHarness, new_harness
from workbench.audit.soak_audit import GroundTruth, audit_user

HELD = frozenset({("USDT", Decimal(10_000), Decimal(0))})
LATE_S = 30


@pytest.fixture
def late(environment: Mapping[str, str]) -> Iterator[TradingHarness]:
    """A harness whose only message was worked on a tick late, and traded."""
    with new_harness(environment, f"user-{uuid4().hex[:12]}") as harness:
        harness.open_account(harness.user, TEN_THOUSAND_USDT)
        harness.set_strategy()
        harness.now += 30
        message = harness.message(harness.user)
        harness.now += LATE_S
        assert harness.work(message) == []
        assert len(harness.booked()) == 3
        bootstrap.use(harness.services)
        yield harness
        bootstrap.use(None)


def doubts(harness: TradingHarness, held_at: int, prices_at: int) -> list[str]:
    truth = GroundTruth(
        harness.user,
        harness.booked(),
        [],
        holdings={held_at: [HELD]},
        prices={prices_at: FIRST_PRICES, 0: FIRST_PRICES},
    )
    findings = audit_user(truth)
    assert findings.decided == {harness.now - LATE_S}
    assert findings.orders_lost == []
    return findings.doubtful_trades


def test_a_message_that_comes_late_is_judged_by_what_was_true_by_then(late: TradingHarness) -> None:
    assert doubts(late, held_at=late.now, prices_at=late.now) == []


def test_what_was_true_at_the_time_of_the_tick_is_no_excuse(late: TradingHarness) -> None:
    then = late.now - LATE_S
    assert len(doubts(late, held_at=then, prices_at=late.now)) == 1
    assert len(doubts(late, held_at=late.now, prices_at=then)) == len(FIRST_PRICES)
