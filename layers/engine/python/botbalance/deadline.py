"""The deadline of a run: made once when it begins, and kept by everything that waits in it.

Requests to exchanges have their timeouts cut to it, reads are not repeated beyond it, waits end with it, and no request
to the database begins after it. Of the time before it, the database has the last ``RESERVE_S`` seconds to itself, so
that what became of an order can be written whatever the exchange did.

It travels in a context variable, as a cancel scope does: every read, retry and wait would have to carry it otherwise.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from botbalance.errors import TransientError

OUT_OF_TIME = "out_of_time"
"""The code of what was not done because the run had no time left for it."""
RESERVE_S = 5
"""What the database may take to write what became of a run's last request."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a run has to be over: ``at`` in epoch seconds of ``clock``."""

    at: int
    clock: Callable[[], int]

    def seconds_left(self) -> int:
        """How many seconds are left; 0 once it is over."""
        return max(0, self.at - self.clock())

    def require(self, seconds: int) -> None:
        """Raise TransientError where fewer than ``seconds`` are left."""
        left = self.seconds_left()
        if left < seconds:
            raise TransientError(OUT_OF_TIME, f"{left} s are left of this run, expected {seconds}")


_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def bounded_by(deadline: Deadline) -> Iterator[None]:
    """Let everything inside keep ``deadline``."""
    token = _CURRENT.set(deadline)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def require_time_left() -> None:
    """Raise TransientError where the run's deadline has come."""
    if (deadline := _CURRENT.get()) is not None:
        deadline.require(1)


def seconds_for_exchange(at_most: float) -> float:
    """For how long a request to an exchange, or a wait between two, may last: ``at_most`` seconds, or what is left.

    Raises TransientError where nothing is.
    """
    deadline = _CURRENT.get()
    if deadline is None:
        return at_most
    deadline.require(RESERVE_S + 1)
    return min(at_most, deadline.seconds_left() - RESERVE_S)
