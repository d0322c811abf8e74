"""The harness of the trading tests, somebody beside its user, and what a person would be called for."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from botbalance.store.dynamodb import shard_name

from tests.integration.trading.conftest import environment, harness, newcomer
from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness

__all__ = ["environment", "harness", "newcomer"]


@pytest.fixture
def neighbour(harness: TradingHarness) -> str:
    """Another user, like the first, whose autopilot is on too; of another shard, so that their keys have no key in
    common."""
    names = (f"{harness.user}-neighbour-{number}" for number in count())
    user = next(name for name in names if shard_name(name) != shard_name(harness.user))
    harness.open_account(user, TEN_THOUSAND_USDT)
    harness.set_strategy(user=user)
    return user


@pytest.fixture
def alarms(caplog: pytest.LogCaptureFixture) -> Callable[[], list[Any]]:
    """The alarms raised so far, each with whom it is about, None for nobody in particular."""
    return lambda: [
        (record.__dict__["alarm"], record.__dict__.get("user_id"))
        for record in caplog.records
        if "alarm" in record.__dict__
    ]
