"""MinuteBudgets: amounts that may be used in a clock minute, which all processes count together, in the cache table.

The table holds an item for each budget that was used, by its key and the minute (epoch seconds by 60); its ``used`` is
what processes have taken of it. A process takes some at a time, so that most of what is used costs no write, and one
that has found a budget used up asks no more until the next minute. Where the table cannot be reached, each process
counts by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from botbalance.store.cache import CacheTable


@dataclass(slots=True)
class _Budget:
    """What this process knows of a budget in one minute: all that it has ``taken``, and what of it is ``left``."""

    taken: int = 0
    left: int = 0
    is_used_up: bool = False
    lock: Lock = field(default_factory=Lock)


class MinuteBudgets:
    """Budgets by key. ``clock`` gives epoch seconds. Any number of threads may share it."""

    def __init__(self, cache: CacheTable, clock: Callable[[], int]) -> None:
        self._cache = cache
        self._clock = clock
        self._minute = 0
        self._budgets: dict[str, _Budget] = {}
        self._lock = Lock()

    def use(self, key: str, amount: int, *, most: int, at_a_time: int) -> int:
        """Use ``amount`` of the ``most`` that there is of ``key`` in this minute.

        Returns 0, or, where not that much is left and nothing is used, the seconds until the next minute.
        ``at_a_time``: how much a process takes at once, at least.
        """
        now = self._clock()
        minute = now // 60
        budget = self._budget(key, minute)
        with budget.lock:
            if budget.left < amount and not budget.is_used_up:
                wanted = max(at_a_time, amount - budget.left)
                taken_by_all = self._cache.add(f"{key}#{minute}", wanted, (minute + 1) * 60) or budget.taken + wanted
                got = max(0, wanted - max(0, taken_by_all - most))
                budget.taken += got
                budget.left += got
                budget.is_used_up = taken_by_all >= most
            if budget.left < amount:
                return 60 - now % 60
            budget.left -= amount
            return 0

    def _budget(self, key: str, minute: int) -> _Budget:
        with self._lock:
            if minute != self._minute:
                self._minute, self._budgets = minute, {}
            return self._budgets.setdefault(key, _Budget())
