"""What a downloaded file has of the time that was asked for, and what it lacks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv


@dataclass(frozen=True, slots=True)
class Coverage:
    """Counted in candles: how many were asked for, how many of them are there, and in how many places some lack.

    ``first_ms`` and ``last_ms`` are of the file, in epoch ms; ``longest_from_ms`` is where the longest hole begins and
    ``longest`` its length in candles.
    """

    asked: int
    there: int
    holes: int
    longest: int
    longest_from_ms: int
    first_ms: int
    last_ms: int

    @property
    def missing(self) -> int:
        """Candles that are not there."""
        return self.asked - self.there

    @property
    def is_whole(self) -> bool:
        """Whether none is missing."""
        return self.missing == 0


def coverage(path: Path, candle_ms: int, start_ms: int, end_ms: int) -> Coverage:
    """What the file has of the candles that open from ``start_ms`` on and have ended by ``end_ms``."""
    table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types={"timestamp": pa.int64()}))
    times = table.column("timestamp").to_numpy()
    first, last = -(-start_ms // candle_ms), end_ms // candle_ms
    slots = np.unique(times // candle_ms)  # a candle off the grid is that of the slot in which it began
    slots = slots[(slots >= first) & (slots < last)]
    holes = np.diff(np.concatenate([[first - 1], slots, [max(first, last)]])) - 1
    longest = int(holes.argmax())
    before = first - 1 if longest == 0 else int(slots[longest - 1])
    return Coverage(
        asked=max(0, last - first),
        there=len(slots),
        holes=int(np.count_nonzero(holes)),
        longest=int(holes[longest]),
        longest_from_ms=(before + 1) * candle_ms,
        first_ms=int(times[0]),
        last_ms=int(times[-1]),
    )
