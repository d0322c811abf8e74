"""Prices replayed from files of candles, all symbols aligned by time."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import reduce
from pathlib import Path

import numpy as np

from workbench.candles.errors import CandleFileError
from workbench.candles.recording import Recording, read_recording
from workbench.simulated_exchange.market import MINUTE_MS, Candle


class OutOfCandlesError(RuntimeError):
    """The recording has been replayed to its end."""


class RecordedCandles:
    """Replays ``folder``'s recordings of ``symbols``, candle by candle.

    The replay starts at the first time at which every symbol has prices and leaves out times that not all have.
    ``recordings`` are what was read, with what is wrong with it. Raises CandleFileError for whatever cannot be read.
    """

    def __init__(self, folder: Path, symbols: Sequence[str]) -> None:
        if not symbols:
            raise ValueError("symbols is empty, expected at least one")
        if not folder.is_dir():
            raise CandleFileError(folder, None, "is not a folder, expected one with candle files")
        self.recordings = {symbol: read_recording(folder, symbol) for symbol in symbols}
        times = [recording.times_ms for recording in self.recordings.values()]
        self._shared = reduce(lambda one, other: np.intersect1d(one, other, assume_unique=True), times)
        if not len(self._shared):
            raise CandleFileError(folder, None, f"{', '.join(symbols)} have no time in common, expected an overlap")
        self._played = 0
        self.candle_ms = int(np.diff(self._shared).min()) if len(self._shared) > 1 else MINUTE_MS
        self.start_ms = int(self._shared[0]) - self.candle_ms

    @property
    def remaining(self) -> int:
        """How many candles are still to come."""
        return len(self._shared) - self._played

    @property
    def first_prices(self) -> dict[str, Decimal]:
        """The prices at which the replay starts: the first candles' opens."""
        return {symbol: candle.open for symbol, candle in self._candles(0).items()}

    def next_candles(self, last_prices: Mapping[str, Decimal]) -> Mapping[str, Candle]:
        """The next candle of every symbol, as recorded; raises OutOfCandlesError after the last."""
        if not self.remaining:
            raise OutOfCandlesError(f"all {len(self._shared)} recorded candles have been replayed")
        row = self._candles(self._played)
        self._played += 1
        return row

    def _candles(self, at: int) -> dict[str, Candle]:
        time_ms = int(self._shared[at])
        return {symbol: _candle(recording, time_ms) for symbol, recording in self.recordings.items()}


def _candle(recording: Recording, time_ms: int) -> Candle:
    at = int(np.searchsorted(recording.times_ms, time_ms))
    open_, high, low, close = (
        recording.price(column[at]) for column in (recording.open, recording.high, recording.low, recording.close)
    )
    return Candle(time_ms, open_, high, low, close, recording.volume(at))
