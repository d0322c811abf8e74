"""RequestLimits: how many requests a user may send in a clock minute, so that nobody's keep others' from being met."""

from collections.abc import Callable

from botbalance.accounts.minute_budgets import MinuteBudgets
from botbalance.errors import RateLimitedError
from botbalance.store.cache import CacheTable

TOO_MANY_REQUESTS = "too_many_requests"
_TAKEN_AT_A_TIME = 20


class RequestLimits:
    """``a_minute`` requests for each user, counted by all processes together; ``clock`` gives epoch seconds."""

    def __init__(self, cache: CacheTable, clock: Callable[[], int], a_minute: int) -> None:
        self._budgets = MinuteBudgets(cache, clock)
        self._a_minute = a_minute

    def require(self, user_id: str) -> None:
        """Count a request of the user's; raises RateLimitedError where it is one too many."""
        wait_s = self._budgets.use(f"requests#{user_id}", 1, most=self._a_minute, at_a_time=_TAKEN_AT_A_TIME)
        if wait_s:
            message = f"a user may send {self._a_minute} requests a minute: no more for {wait_s} s"
            raise RateLimitedError(TOO_MANY_REQUESTS, message, wait_s)
