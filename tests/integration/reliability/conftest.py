"""The world of the trading tests, somebody beside its user, and what a person would be called for."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.trading.conftest import environment, newcomer, world
from tests.integration.trading.world import TEN_THOUSAND_USDT, World

__all__ = ["environment", "newcomer", "world"]


@pytest.fixture
def neighbour(world: World) -> str:
    """Another user, like the first, whose autopilot is on too."""
    user = f"{world.user}-neighbour"
    world.open_account(user, TEN_THOUSAND_USDT)
    world.set_strategy(user=user)
    return user


@pytest.fixture
def alarms(caplog: pytest.LogCaptureFixture) -> Callable[[], list[Any]]:
    """The alarms raised so far, each with whom it is about, None for nobody in particular."""
    return lambda: [
        (record.__dict__["alarm"], record.__dict__.get("user_id"))
        for record in caplog.records
        if "alarm" in record.__dict__
    ]
