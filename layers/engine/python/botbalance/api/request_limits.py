"""RequestLimits: how many requests a user may send in a clock minute, so that one user cannot crowd out the others."""

from collections.abc import Callable
from enum import Enum

from botbalance.accounts.minute_budgets import MinuteBudgets
from botbalance.errors import RateLimitedError
from botbalance.store.cache import CacheTable

TOO_MANY_REQUESTS = "too_many_requests"
A_CHANGE = 10
"""For so many a request counts that may change something: a run on an account waits and works for up to 29 seconds.

Of one user 15 at a time at most are under way then, beside 5 stops, of the 1,000 functions that an AWS account runs.
"""
STOPS_A_MINUTE = 10
"""They are counted apart: whoever has sent too much else can still stop."""


class RequestKind(Enum):
    """What a request may do."""

    READ = 1
    CHANGE = 2
    STOP = 3


class RequestLimits:
    """``a_minute`` requests for each user, counted by all processes together; ``clock`` gives epoch seconds.

    Each request is counted by itself: a person's may come to ever another process, and what one took in advance the
    others would lack.
    """

    def __init__(self, cache: CacheTable, clock: Callable[[], int], a_minute: int) -> None:
        self._budgets = MinuteBudgets(cache, clock)
        self._a_minute = a_minute

    def require(self, user_id: str, kind: RequestKind) -> None:
        """Count a request of the user's; raises RateLimitedError where it is one too many."""
        if kind is RequestKind.STOP:
            wait_s = self._budgets.use(f"stops#{user_id}", 1, most=STOPS_A_MINUTE, at_a_time=1)
            allowed = f"stop {STOPS_A_MINUTE} times a minute"
        else:
            count = A_CHANGE if kind is RequestKind.CHANGE else 1
            wait_s = self._budgets.use(f"requests#{user_id}", count, most=self._a_minute, at_a_time=1)
            allowed = f"send {self._a_minute} requests a minute, one that may change something counting for {A_CHANGE}"
        if wait_s:
            raise RateLimitedError(TOO_MANY_REQUESTS, f"a user may {allowed}: no more for {wait_s} s", wait_s)
