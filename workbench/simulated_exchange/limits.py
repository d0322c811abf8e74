"""What an address, or an account, may ask for in a span of time: Binance's numbers, counted in windows of a clock."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

REQUEST_WEIGHT_LIMIT = 6_000
"""What Binance allows an address in a minute."""


@dataclass(frozen=True, slots=True)
class OrderLimit:
    """How many orders an account may place within ``interval_num`` intervals; ``header`` tells how many it has."""

    interval: str
    interval_num: int
    span_s: int
    limit: int
    header: str


ORDER_LIMITS = (
    OrderLimit("SECOND", 10, 10, 100, "X-MBX-ORDER-COUNT-10S"),
    OrderLimit("DAY", 1, 86_400, 200_000, "X-MBX-ORDER-COUNT-1D"),
)


class Window:
    """Counts what happens within ``span_s`` seconds, by whose it is.

    ``clocks`` are in epoch ms; where any of them enters the next span, counting begins anew. The last of them is the
    one that clients live by.
    """

    def __init__(self, span_s: int, clocks: Sequence[Callable[[], int]]) -> None:
        self._span_s = span_s
        self._clocks = clocks
        self._spans: tuple[int, ...] = ()
        self._used: Counter[str] = Counter()

    def count(self, whose: str, amount: int) -> None:
        """Add to what somebody has used."""
        self._begin_anew_if_over()
        self._used[whose] += amount

    def used(self, whose: str) -> int:
        """What somebody has used since the window began."""
        self._begin_anew_if_over()
        return self._used[whose]

    def ends_in_s(self) -> int:
        """In how many whole seconds it is over at the latest, 1 at least."""
        return self._span_s - self._clocks[-1]() // 1000 % self._span_s

    def _begin_anew_if_over(self) -> None:
        spans = tuple(clock() // (self._span_s * 1000) for clock in self._clocks)
        if spans != self._spans:
            self._spans, self._used = spans, Counter()
