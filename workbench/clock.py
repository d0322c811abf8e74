"""The local run's time: it stands still between ticks and jumps one tick's length with each."""

from threading import Lock

from botbalance.trading.desk import TICK_SECONDS


class TickClock:
    """Epoch seconds; ticks may come faster than every 30 s, and still be 30 s apart for everything that counts."""

    def __init__(self, start: int) -> None:
        self._now = start - start % TICK_SECONDS
        self._lock = Lock()

    def __call__(self) -> int:
        return self._now

    def milliseconds(self) -> int:
        """The same in epoch milliseconds."""
        return self._now * 1000

    def next_tick(self) -> int:
        """Go on to the next tick; returns its time."""
        with self._lock:
            self._now += TICK_SECONDS
            return self._now
