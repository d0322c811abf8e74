"""How many requests to the API a user may send in a minute, counted by all processes together."""

import pytest
from botbalance.api.request_limits import A_CHANGE, STOPS_A_MINUTE, RequestKind, RequestLimits
from botbalance.errors import RateLimitedError
from botbalance.store.cache import CacheTable

from tests.fixtures.cache_table import START, Clock

A_MINUTE = 50


def test_a_user_s_requests_are_counted_by_all_processes_together_and_nobody_else_s(
    cache: CacheTable, clock: Clock
) -> None:
    processes = [RequestLimits(cache, clock, A_MINUTE) for _ in range(2)]
    for number in range(A_MINUTE):
        processes[number // 40].require("mallory", RequestKind.READ)
    for limits in processes:
        with pytest.raises(RateLimitedError, match=f"a user may send {A_MINUTE} requests a minute") as raised:
            limits.require("mallory", RequestKind.READ)
        assert raised.value.retry_after_s == 60 - START % 60
        limits.require("ann", RequestKind.READ)
    clock.now += 60 - START % 60
    processes[0].require("mallory", RequestKind.READ)


def test_requests_that_come_to_ever_another_process_are_all_met(cache: CacheTable, clock: Clock) -> None:
    for _ in range(A_MINUTE):
        RequestLimits(cache, clock, A_MINUTE).require("ann", RequestKind.READ)
    with pytest.raises(RateLimitedError):
        RequestLimits(cache, clock, A_MINUTE).require("ann", RequestKind.READ)


def test_a_request_that_may_change_something_counts_for_several(cache: CacheTable, clock: Clock) -> None:
    limits = RequestLimits(cache, clock, A_MINUTE)
    for _ in range(A_MINUTE // A_CHANGE):
        limits.require("mallory", RequestKind.CHANGE)
    with pytest.raises(RateLimitedError, match=f"counting for {A_CHANGE}"):
        limits.require("mallory", RequestKind.READ)


def test_whoever_has_sent_too_much_else_can_still_stop_and_not_without_end(cache: CacheTable, clock: Clock) -> None:
    limits = RequestLimits(cache, clock, A_MINUTE)
    for _ in range(A_MINUTE):
        limits.require("mallory", RequestKind.READ)
    for _ in range(STOPS_A_MINUTE):
        limits.require("mallory", RequestKind.STOP)
    with pytest.raises(RateLimitedError, match=f"stop {STOPS_A_MINUTE} times a minute"):
        limits.require("mallory", RequestKind.STOP)
