"""A local run's time: its exchange's, which stands still between ticks and jumps one tick's length with each."""

from datetime import UTC, datetime
from typing import Protocol


class TickingExchange(Protocol):
    """A simulated exchange, in this process or another."""

    def next_tick(self, candles: int) -> int:
        """Go on by a tick and by ``candles``; returns the tick's time in epoch seconds."""


class ExchangeClock:
    """The time of ``exchange`` in epoch seconds, ``now`` and whenever this lets it go on: nobody else does."""

    def __init__(self, exchange: TickingExchange, now: int) -> None:
        self._exchange = exchange
        self._now = now

    def __call__(self) -> int:
        """The exchange's time, in epoch seconds."""
        return self._now

    def next_tick(self, candles: int = 0) -> int:
        """Let the exchange go on by a tick and by ``candles``; returns the tick's time.

        Raises OutOfCandlesError where none are left.
        """
        self._now = self._exchange.next_tick(candles)
        return self._now


def tick_at(ts_tick: int) -> str:
    """The tick's time (epoch seconds) as the schedule writes it: 2026-01-31T12:00:30Z."""
    return datetime.fromtimestamp(ts_tick, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
