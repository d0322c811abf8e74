"""Recorded candles in files, read exactly, with a list of whatever is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from workbench.candles.column_order import likely_order
from workbench.candles.columns import COLUMNS
from workbench.candles.doubts import Doubt, find_doubts
from workbench.candles.errors import CandleFileError
from workbench.candles.file_names import base_asset_name, candle_files, find_files, timeframe, timeframe_ms
from workbench.candles.files import EXPECTED_DIGITS, MOST_DIGITS, Conventions, FileRows, read_file

ONE_CANDLE_MS = 60_000
"""How long a candle is taken to last where there is only one."""
_MOST_OFF_GRID = 0.2


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a symbol's recording, counted in rows; times in epoch ms, ``longest_gap`` in candles.

    ``rows`` are those of the files, from ``first_ms`` to ``last_ms``, whatever became of them. ``gaps`` are places
    where the next candle is missing, ``missing`` the candles missing there. ``zero_rows`` have no price (a coin that
    was not listed yet, or nobody traded), and stand for no candle; ``leading_zero_rows`` are those of them before the
    first price. ``duplicates`` repeat a row exactly and are left out. ``unsorted`` rows came after a later one, and
    are put where they belong. ``widened`` rows had an open or close outside low … high. ``off_grid`` rows began
    between two candles. ``rounded`` rows had binary fractions. ``doubts`` are prices that may not be true.
    ``other_timeframes`` are recordings of the same symbol that were not read.
    """

    rows: int
    first_ms: int
    last_ms: int
    gaps: int
    missing: int
    longest_gap: int
    zero_rows: int
    leading_zero_rows: int
    duplicates: int
    unsorted: int
    widened: int
    off_grid: int = 0
    rounded: int = 0
    doubts: tuple[Doubt, ...] = ()
    other_timeframes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The candles of one symbol, oldest first, no time twice.

    ``times_ms`` are when candles open. Prices are whole numbers of 10 ** -``decimals`` quote per base: as exact as the
    file, and arrays all the same. ``volume_texts`` are the file's own numbers, in base.
    """

    symbol: str
    candle_ms: int
    decimals: int
    times_ms: NDArray[np.int64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]
    volume_texts: pa.Array
    findings: Findings

    def price(self, units: int) -> Decimal:
        """A price of these arrays as what it is, in quote per base."""
        return Decimal(int(units)).scaleb(-self.decimals)

    def volume(self, at: int) -> Decimal:
        """The volume of the candle at that index, in base."""
        return Decimal(self.volume_texts[at].as_py())


def recorded_symbols(folder: Path) -> list[str]:
    """The symbols that ``folder`` has candle files for; raises CandleFileError where there is none."""
    names = {file.symbol for file in candle_files(folder)}
    if not names:
        raise CandleFileError(
            folder, None, "has no candle files, expected SYMBOL.csv, SYMBOL-*.csv.gz, .zip or .parquet"
        )
    return sorted(names)


def read_recording(folder: Path, symbol: str, timeframe: str | None = None) -> Recording:
    """All candles of ``symbol``, from all of its files in ``folder`` in the order of their names.

    Candles of two lengths, told apart by the names, are two recordings: that of ``timeframe`` (``1h``) is read, or the
    one with the shortest candles. Rows that repeat another or have no price are left out, rows in disorder are sorted,
    rows off the grid moved to it, extremes are widened to hold open and close, and all of it is counted. Raises
    CandleFileError for what contradicts itself or is no candle.
    """
    by_length = find_files(folder, symbol)
    chosen = _choose(folder, symbol, list(by_length), timeframe)
    others = tuple(_named(length) for length in by_length if length != chosen)
    return build_recording([read_file(path, base_asset_name(symbol)) for path in by_length[chosen]], symbol, others)


def read_candles(path: Path, symbol: str, conventions: Conventions) -> Recording:
    """The candles of ``symbol`` in one file, written as its owner says; raises CandleFileError."""
    return build_recording([read_file(path, base_asset_name(symbol), conventions)], symbol)


def build_recording(files: Sequence[FileRows], symbol: str, other_timeframes: tuple[str, ...] = ()) -> Recording:
    """The recording that the rows of ``files`` make, and what was found wrong."""
    rows = _Rows(files)
    unsorted = rows.sort()
    row_count, first_ms, last_ms = len(rows.times_ms), int(rows.times_ms[0]), int(rows.times_ms[-1])
    duplicates = rows.drop_duplicates()
    candle_ms = rows.candle_ms()
    off_grid = rows.snap_to_grid(candle_ms)
    leading, zeros = rows.drop_zeros(symbol)
    rows.check_order(symbol)
    widened = rows.widen()
    missing = np.diff(rows.times_ms) // candle_ms - 1
    open_, high, low, close = rows.prices
    findings = Findings(
        rows=row_count,
        first_ms=first_ms,
        last_ms=last_ms,
        gaps=int(np.count_nonzero(missing)),
        missing=int(missing.sum()),
        longest_gap=int(missing.max(initial=0)),
        zero_rows=zeros,
        leading_zero_rows=leading,
        duplicates=duplicates,
        unsorted=unsorted,
        widened=widened,
        off_grid=off_grid,
        rounded=sum(file.rounded for file in files),
        doubts=find_doubts(symbol, rows.times_ms, candle_ms, rows.decimals, (open_, high, low, close)),
        other_timeframes=other_timeframes,
    )
    return Recording(symbol, candle_ms, rows.decimals, rows.times_ms, open_, high, low, close, rows.volumes, findings)


def _choose(folder: Path, symbol: str, lengths: Sequence[int | None], wanted: str | None) -> int | None:
    """Which recording of ``symbol`` is read: the one wanted, or that with the shortest candles."""
    if wanted is None:
        return next((length for length in lengths if length is not None), None)
    length = timeframe_ms(wanted)
    if length is not None and length in lengths:
        return length
    if lengths == [None]:  # no name says; the candles themselves do
        return None
    raise CandleFileError(
        folder, None, f"has no {wanted} candles of {symbol}, expected {' or '.join(map(_named, lengths))}"
    )


def _named(length: int | None) -> str:
    return timeframe(length) if length else "candles whose name says no length"


def _most_frequent(numbers: NDArray[np.int64]) -> int:
    found, counts = np.unique(numbers, return_counts=True)
    return int(found[counts.argmax()])


# the rows of all files of a symbol, and what is wrong with them


class _Rows:
    """All rows, and where each is from. ``prices`` are open, high, low and close in 10 ** -``decimals``."""

    def __init__(self, files: Sequence[FileRows]) -> None:
        self._files = files
        self._ends = np.cumsum([len(file.times_ms) for file in files])
        self._origin: NDArray[np.int64] = np.arange(self._ends[-1])
        self.decimals = max(file.decimals for file in files)
        self.times_ms: NDArray[np.int64] = np.concatenate([file.times_ms for file in files])
        of_files = [self._in_units(file) for file in files]
        self.prices: list[NDArray[np.int64]] = [np.concatenate(of_column) for of_column in zip(*of_files, strict=True)]
        self.volumes = pa.concat_arrays([file.volumes for file in files])

    def _in_units(self, file: FileRows) -> list[NDArray[np.int64]]:
        factor = 10 ** (self.decimals - file.decimals)
        highest = max(int(column.max()) for column in file.prices)
        if highest * factor >= 10**MOST_DIGITS:
            shown = Decimal(highest).scaleb(-file.decimals)
            raise CandleFileError(
                file.source.path,
                None,
                f"has prices up to {shown}, another file some of {self.decimals} decimals, {EXPECTED_DIGITS}",
            )
        return [column * factor for column in file.prices]

    def sort(self) -> int:
        """Sort by time; returns how many rows came after a later one."""
        latest = np.maximum.accumulate(self.times_ms)
        late = int(np.count_nonzero(self.times_ms < latest))
        if late:
            self._keep(np.argsort(self.times_ms, kind="stable"))
        return late

    def drop_duplicates(self) -> int:
        """Drop rows that repeat the one before, both sorted; returns how many."""
        again = np.flatnonzero(self.times_ms[1:] == self.times_ms[:-1]) + 1
        if not len(again):
            return 0
        differs = np.zeros(len(again), dtype=np.bool_)
        for column in self.prices:
            differs |= column[again] != column[again - 1]
        here, before = self.volumes.take(pa.array(again)), self.volumes.take(pa.array(again - 1))
        for at in np.flatnonzero(pc.not_equal(here, before).to_numpy(zero_copy_only=False)):
            differs[at] |= Decimal(here[at].as_py()) != Decimal(before[at].as_py())
        if differs.any():
            row = int(again[differs.argmax()])
            found = " and ".join(", ".join(map(str, self._numbers(at))) for at in (row - 1, row))
            raise self._error(
                row, f"timestamp is {self.times_ms[row]}, which has {found}, expected one candle of a time"
            )
        self._keep(np.delete(np.arange(len(self.times_ms)), again))
        return len(again)

    def candle_ms(self) -> int:
        """The most frequent distance between sorted rows."""
        distances = np.diff(self.times_ms)
        return _most_frequent(distances) if len(distances) else ONE_CANDLE_MS

    def snap_to_grid(self, candle_ms: int) -> int:
        """Move rows that open between two candles to the one they began in; returns how many there were.

        Recordings of exchanges have stretches whose times are all off by some seconds. Where that candle has a row of
        its own, the one off the grid is left out. Raises CandleFileError where too many are off: then there is no grid.
        """
        phase = _most_frequent(self.times_ms % candle_ms)
        off = (self.times_ms - phase) % candle_ms
        count = int(np.count_nonzero(off))
        if not count:
            return 0
        if count > len(off) * _MOST_OFF_GRID:
            row = int(off.argmax())
            problem = (
                f"timestamp is {self.times_ms[row]}, {off[row]} ms after a candle begins; {count} rows are off,"
                f" expected multiples of {candle_ms} ms: two lengths of candles need names such as -1h and -1d"
            )
            raise self._error(row, problem)
        self.times_ms = self.times_ms - off
        order = np.lexsort((off, self.times_ms))
        first = np.append(True, self.times_ms[order][1:] != self.times_ms[order][:-1])
        self._keep(order[first])
        return count

    def check_order(self, symbol: str) -> None:
        """Raise CandleFileError where the prices would make more sense as other columns than those they are read as."""
        likely = likely_order(self.prices, self.times_ms)
        if likely is not None:
            read_as, expected = ",".join(COLUMNS[1:5]), ",".join(likely)
            raise CandleFileError(
                self._files[0].source.path,
                None,
                f"the prices of {symbol} cannot be {read_as} in that order; likely they are {expected}: "
                f"name them with botbalance candles convert --columns timestamp,{expected},volume",
            )

    def drop_zeros(self, symbol: str) -> tuple[int, int]:
        """Drop rows without a price; returns how many there were before the first price, and in all."""
        without = np.stack([column == 0 for column in self.prices])
        some, every = without.any(axis=0), without.all(axis=0)
        if (some != every).any():
            row = int((some != every).argmax())
            raise self._error(row, f"a price is 0 in {list(map(str, self._numbers(row)))}, expected prices > 0")
        if every.all():
            path = self._files[-1].source.path
            raise CandleFileError(path, None, f"has no candle of {symbol} with a price, expected at least one")
        zeros = int(np.count_nonzero(every))
        if zeros:
            self._keep(np.flatnonzero(~every))
        return int((~every).argmax()), zeros

    def widen(self) -> int:
        """Widen extremes to hold open and close: recordings round these apart now and then; returns how many rows."""
        open_, high, low, close = self.prices
        if (low > high).any():
            row = int((low > high).argmax())
            shown = self._numbers(row)
            raise self._error(row, f"low is {shown[2]} and high is {shown[1]}, expected low <= high")
        highest, lowest = np.maximum(high, np.maximum(open_, close)), np.minimum(low, np.minimum(open_, close))
        self.prices = [open_, highest, lowest, close]
        return int(np.count_nonzero((highest != high) | (lowest != low)))

    def _keep(self, rows: NDArray[np.int64]) -> None:
        self._origin = self._origin[rows]
        self.times_ms = self.times_ms[rows]
        self.prices = [column[rows] for column in self.prices]
        self.volumes = self.volumes.take(pa.array(rows))

    def _numbers(self, row: int) -> list[Decimal]:
        prices = [Decimal(int(column[row])).scaleb(-self.decimals) for column in self.prices]
        return [*prices, Decimal(self.volumes[row].as_py())]

    def _error(self, row: int, problem: str) -> CandleFileError:
        """Says which row of which file that was."""
        origin = int(self._origin[row])
        of_file = int(np.searchsorted(self._ends, origin, side="right"))
        file = self._files[of_file]
        at = origin - int(self._ends[of_file]) + len(file.times_ms)
        return file.source.error(at, problem)
