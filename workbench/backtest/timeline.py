"""The candles of all symbols side by side in time, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
from botbalance.errors import InvalidRequestError
from numpy.typing import NDArray

from workbench.candles.recording import Recording

NEVER_LOW = np.iinfo(np.int64).max
NEVER_HIGH = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Timeline:
    """Every time at which any symbol has a candle, from the first that all have on.

    ``close``, ``low`` and ``high`` are a row a symbol, in units of 10 ** -``decimals`` of that symbol, as recorded.
    Where a symbol has no candle, its close is the last one, and it traded at no price; ``complete`` tells where all
    have one. ``volumes`` are in base, by symbol; only where they count.
    """

    symbols: tuple[str, ...]
    candle_ms: int
    times_ms: NDArray[np.int64]
    complete: NDArray[np.bool_]
    decimals: tuple[int, ...]
    close: Sequence[NDArray[np.int64]]
    low: Sequence[NDArray[np.int64]]
    high: Sequence[NDArray[np.int64]]
    volumes: Mapping[str, Sequence[Decimal]] | None = None

    def __len__(self) -> int:
        return len(self.times_ms)

    def closes_at(self, index: int) -> dict[str, Decimal]:
        """The closes of a candle, symbol to quote per base."""
        return {
            symbol: Decimal(column.item(index)).scaleb(-decimals)
            for symbol, column, decimals in zip(self.symbols, self.close, self.decimals, strict=True)
        }

    def extremes_at(self, symbol: str, index: int) -> tuple[Decimal, Decimal] | None:
        """The lowest and highest price at which ``symbol`` traded in a candle; None where it has none."""
        row = self.symbols.index(symbol)
        low, high, decimals = self.low[row][index], self.high[row][index], self.decimals[row]
        if low == NEVER_LOW:
            return None
        return Decimal(int(low)).scaleb(-decimals), Decimal(int(high)).scaleb(-decimals)

    def volume_at(self, symbol: str, index: int) -> Decimal | None:
        """What ``symbol`` traded in a candle, in base; None where volumes do not count."""
        return None if self.volumes is None else self.volumes[symbol][index]

    def ends_at_ms(self, index: int) -> int:
        """When a candle ends, in epoch milliseconds."""
        return int(self.times_ms[index]) + self.candle_ms

    def cut(self, begin: int, end: int) -> "Timeline":
        """The candles from ``begin``, or the first complete one after it, up to ``end``, that one left out."""
        begin += int(np.argmax(self.complete[begin:end]))
        part = slice(begin, end)
        return replace(
            self,
            times_ms=self.times_ms[part],
            complete=self.complete[part],
            close=[column[part] for column in self.close],
            low=[column[part] for column in self.low],
            high=[column[part] for column in self.high],
            volumes=None if self.volumes is None else {symbol: row[part] for symbol, row in self.volumes.items()},
        )

    def first_ending_at(self, time_ms: int, start: int) -> int:
        """The first candle from ``start`` on that ends at ``time_ms`` or later."""
        return start + int(self.times_ms[start:].searchsorted(time_ms - self.candle_ms))


def build_timeline(recordings: Sequence[Recording], start_ms: int | None = None, end_ms: int | None = None) -> Timeline:
    """The candles that open from ``start_ms`` on and end by ``end_ms``, as far as all symbols are recorded.

    Raises InvalidRequestError where candles are not of one length, or nothing is left.
    """
    lengths = {recording.symbol: recording.candle_ms for recording in recordings}
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{symbol} {length // 1000} s" for symbol, length in lengths.items())
        raise InvalidRequestError("candles", f"candles are of different lengths ({found}), expected all of one")
    candle_ms = recordings[0].candle_ms
    first = max(int(recording.times_ms[0]) for recording in recordings)
    last = min(int(recording.times_ms[-1]) for recording in recordings)
    first = first if start_ms is None else max(first, start_ms)
    last = last if end_ms is None else min(last, end_ms - candle_ms)
    cut = [_between(recording, first, last) for recording in recordings]
    times = cut[0][0]
    if any(not np.array_equal(times, column[0]) for column in cut[1:]):
        times = np.unique(np.concatenate([column[0] for column in cut]))
    complete = np.ones(len(times), dtype=np.bool_)
    rows = [_row(times, column, complete) for column in cut]
    begin = int(np.argmax(complete)) if complete.any() else len(times)
    if len(times) - begin < 2:
        recorded = ", ".join(
            f"{recording.symbol} {_day(int(recording.times_ms[0]))} to {_day(int(recording.times_ms[-1]))}"
            for recording in recordings
        )
        raise InvalidRequestError("candles", f"fewer than two candles that all symbols have; recorded are {recorded}")
    return Timeline(
        symbols=tuple(recording.symbol for recording in recordings),
        candle_ms=candle_ms,
        times_ms=times[begin:],
        complete=complete[begin:],
        decimals=tuple(recording.decimals for recording in recordings),
        close=[close[begin:] for close, _, _ in rows],
        low=[low[begin:] for _, low, _ in rows],
        high=[high[begin:] for _, _, high in rows],
    )


type _Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _between(recording: Recording, first: int, last: int) -> _Columns:
    """Times, closes, lows and highs from ``first`` to ``last``, both included: views, no copies."""
    begin, end = np.searchsorted(recording.times_ms, [first, last + 1])
    part = slice(int(begin), int(end))
    return recording.times_ms[part], recording.close[part], recording.low[part], recording.high[part]


def _row(
    times: NDArray[np.int64], columns: _Columns, complete: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Closes, lows and highs at ``times``; where there is no candle, ``complete`` is unset."""
    own_times, closes, lows, highs = columns
    if len(own_times) == len(times):
        return closes, lows, highs
    where = np.searchsorted(times, own_times)
    present = np.zeros(len(times), dtype=np.bool_)
    present[where] = True
    complete &= present
    low = np.full(len(times), NEVER_LOW)
    high = np.full(len(times), NEVER_HIGH)
    low[where], high[where] = lows, highs
    latest = np.maximum(np.cumsum(present) - 1, 0)
    close = closes[latest] if len(closes) else np.zeros(len(times), dtype=np.int64)
    return close, low, high


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
