"""How many requests to the API a user may send in a minute, counted by all processes together."""

import pytest
from botbalance.api.request_limits import RequestLimits
from botbalance.errors import RateLimitedError
from botbalance.store.cache import CacheTable

from tests.unit.accounts.conftest import START, Clock

A_MINUTE = 50


def test_a_user_s_requests_are_counted_by_all_processes_together_and_nobody_else_s(
    cache: CacheTable, clock: Clock
) -> None:
    processes = [RequestLimits(cache, clock, A_MINUTE) for _ in range(2)]
    for number in range(A_MINUTE):
        processes[number // 40].require("mallory")
    for limits in processes:
        with pytest.raises(RateLimitedError, match=f"a user may send {A_MINUTE} requests a minute") as raised:
            limits.require("mallory")
        assert raised.value.retry_after_s == 60 - START % 60
        limits.require("ann")
    clock.now += 60 - START % 60
    processes[0].require("mallory")
