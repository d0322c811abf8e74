"""What dispatch takes for a tick's time."""

from collections.abc import Mapping
from typing import Any

import pytest
from botbalance import bootstrap
from botbalance.errors import MendRequest
from tick import dispatch

from tests.integration.trading.world import new_world
from workbench.lambda_runtime import InvocationContext


@pytest.mark.parametrize(
    "tick_at",
    [
        "2026-01-31T12:00:31Z",
        "2026-01-31T12:00:30",
        "2026-01-31",
        "soon",
        "",
        None,
        1_700_000_010,
        "1969-12-31T23:59:30Z",
    ],
)
def test_a_time_that_is_no_tick_is_refused(environment: Mapping[str, str], tick_at: Any) -> None:
    with new_world(environment, "nobody") as world:
        bootstrap.use(world.services)
        context: Any = InvocationContext("dispatch")
        with pytest.raises(MendRequest, match="expected a time on a 30 s grid"):
            dispatch.lambda_handler({"tick_at": tick_at}, context)
        bootstrap.use(None)
