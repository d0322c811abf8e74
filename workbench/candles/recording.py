"""Recorded candles in files, read exactly, with a list of whatever is wrong with them.

A file is ``SYMBOL.csv``, ``.csv.gz`` or ``.parquet`` (``SYMBOL-anything.csv`` too); its columns are ccxt's OHLCV:
timestamp (epoch ms), open, high, low, close (quote per base), volume (base). Further columns are ignored; where the
columns have names, they must be these.
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv

from workbench.candles.errors import CandleFileError

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
EXTENSIONS = (".csv", ".csv.gz", ".parquet")
MOST_DIGITS = 18
"""Of a price in units, so that it is an int64."""
ONE_CANDLE_MS = 60_000
"""How long a candle is taken to last where there is only one."""
YEAR_2009_MS, YEAR_2100_MS = 1_230_768_000_000, 4_102_444_800_000
_OTHER_UNITS = {"seconds": 1000, "microseconds": 1 / 1000, "nanoseconds": 1 / 1_000_000}
_EXPECTED_DIGITS = f"expected all prices within {MOST_DIGITS} digits, from the largest's first to the finest's last"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_SCIENTIFIC = r"^[+-]?(?P<mantissa>\d*\.?\d*)(?:[eE](?P<exponent>[+-]?\d{1,6}))?$"


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a symbol's recording, counted in rows; times in epoch ms, ``longest_gap`` in candles.

    ``rows`` are those of the files, from ``first_ms`` to ``last_ms``, whatever became of them. ``gaps`` are places
    where the next candle is missing, ``missing`` the candles missing there. ``zero_rows`` have no price (a coin that
    was not listed yet, or nobody traded), and stand for no candle; ``leading_zero_rows`` are those of them before the
    first price. ``duplicates`` repeat a row exactly and are left out. ``unsorted`` rows came after a later one, and
    are put where they belong. ``widened`` rows had an open or close outside low … high.
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
    names = {_symbol_of(path) for path in _candle_files(folder)}
    if not names:
        raise CandleFileError(folder, None, f"has no candle files, expected SYMBOL.csv or SYMBOL-*{EXTENSIONS[1:]}")
    return sorted(names)


def read_recording(folder: Path, symbol: str) -> Recording:
    """All candles of ``symbol``, from all of its files in ``folder`` in the order of their names.

    Rows that repeat another or have no price are left out, rows in disorder are sorted, extremes are widened to hold
    open and close, and all of it is counted. Raises CandleFileError for what contradicts itself or is no candle.
    """
    paths = [path for path in _candle_files(folder) if _symbol_of(path) == symbol]
    if not paths:
        raise CandleFileError(folder, None, f"has no file for {symbol}, expected {symbol}.csv or {symbol}-*.csv.gz")
    rows = _Rows([_read_file(path) for path in paths])
    unsorted = rows.sort()
    row_count, first_ms, last_ms = len(rows.times_ms), int(rows.times_ms[0]), int(rows.times_ms[-1])
    duplicates = rows.drop_duplicates()
    candle_ms = rows.candle_ms()
    leading, zeros = rows.drop_zeros(symbol)
    widened = rows.widen()
    missing = np.diff(rows.times_ms) // candle_ms - 1
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
    )
    open_, high, low, close = rows.prices
    return Recording(symbol, candle_ms, rows.decimals, rows.times_ms, open_, high, low, close, rows.volumes, findings)


def _candle_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.endswith(EXTENSIONS))


def _symbol_of(path: Path) -> str:
    return path.name.partition(".")[0].partition("-")[0]


# a file's rows, as they are


@dataclass(frozen=True, slots=True)
class _Source:
    """The file that rows are from, to say which of them is wrong."""

    path: Path
    has_header: bool = False

    def error(self, row: int, problem: str) -> CandleFileError:
        """In which line of a CSV, or row of a Parquet file, the row at that index is."""
        if self.path.suffix == ".parquet":
            return CandleFileError(self.path, None, f"row {row + 1}: {problem}")
        return CandleFileError(self.path, _line(self.path, row + self.has_header), problem)


@dataclass(frozen=True, slots=True)
class _File:
    """A file's rows in its own order. ``prices`` are open, high, low and close in 10 ** -``decimals``."""

    source: _Source
    times_ms: NDArray[np.int64]
    decimals: int
    prices: list[NDArray[np.int64]]
    volumes: pa.Array


def _read_file(path: Path) -> _File:
    source, table = _parquet_table(path) if path.suffix == ".parquet" else _csv_table(path)
    if not table.num_rows:
        raise CandleFileError(path, None, f"has no rows, expected {','.join(COLUMNS)}")
    times_ms = _times(source, table.column(0))
    *texts, volumes = [_texts(source, name, table.column(at)) for at, name in enumerate(COLUMNS[1:], start=1)]
    named = list(zip(COLUMNS[1:5], texts, strict=True))
    decimals = max(_decimals(source, name, column) for name, column in named)
    prices = [_units(source, name, column, decimals) for name, column in named]
    _check_volumes(source, volumes)
    return _File(source, times_ms, decimals, prices, volumes)


def _line(path: Path, row: int) -> int:
    """The line of the row at that index, a header counted as one: blank lines are none."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        filled = (number for number, line in enumerate(lines, start=1) if line.strip(b"\r\n"))
        return next(islice(filled, row, None))


def _csv_table(path: Path) -> tuple[_Source, pa.Table]:
    """The first six columns as texts, without the header."""
    try:
        table = _parsed_csv(path, use_threads=True)
    except (OSError, pa.ArrowException) as error:
        raise CandleFileError(path, None, f"cannot be read ({error}), expected text or gzip of text") from error
    first = [str(column[0]).strip().lower() for column in table.columns]
    if not first[0][:1].isalpha():
        return _Source(path), table
    _check_header(path, 1, first)
    return _Source(path, has_header=True), table.slice(1)


def _parsed_csv(path: Path, *, use_threads: bool) -> pa.Table:
    uneven: list[Any] = []

    def note(row: Any) -> str:
        uneven.append(row)
        return "error"

    names = [f"f{number}" for number in range(len(COLUMNS))]
    try:
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(autogenerate_column_names=True, use_threads=use_threads),
            parse_options=csv.ParseOptions(invalid_row_handler=note),
            convert_options=csv.ConvertOptions(include_columns=names, column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowKeyError:
        problem = f"fewer than {len(COLUMNS)} columns, expected {', '.join(COLUMNS)}"
        raise CandleFileError(path, 1, problem) from None
    except pa.ArrowInvalid:
        if not uneven:
            raise
        if use_threads:  # then Arrow does not say which row it is
            return _parsed_csv(path, use_threads=False)
        row = uneven[0]
        found = (
            f"{row.actual_columns} columns ({row.text[:80]!r}), expected {row.expected_columns} as in the first line"
        )
        raise CandleFileError(path, row.number, found) from None


def _parquet_table(path: Path) -> tuple[_Source, pa.Table]:
    """The first six columns as they are."""
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names[: len(COLUMNS)]
            if len(names) < len(COLUMNS):
                problem = f"{len(names)} columns, expected {len(COLUMNS)}: {', '.join(COLUMNS)}"
                raise CandleFileError(path, None, problem)
            _check_header(path, None, [name.strip().lower() for name in names])
            return _Source(path), file.read(columns=names)
    except (OSError, pa.ArrowException) as error:
        raise CandleFileError(path, None, f"cannot be read ({error}), expected Parquet") from error


def _check_header(path: Path, line: int | None, names: Sequence[str]) -> None:
    """The first column may have any name; where that is none but a number, there is no header."""
    if names[0][:1].isalpha() and tuple(names[1:]) != COLUMNS[1:]:
        raise CandleFileError(path, line, f"the header is {','.join(names)}, expected {','.join(COLUMNS)}")


def _times(source: _Source, column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Epoch ms; raises CandleFileError where a time is missing, no whole ms, or not between 2009 and 2100."""
    _check_cells(source, "timestamp", column)
    kind = column.type
    if _is_text(kind):
        column = _from_texts(source, column.cast(pa.string()))
    elif pa.types.is_timestamp(kind):
        column = _whole_ms(source, column)
    elif not pa.types.is_integer(kind):
        raise CandleFileError(source.path, None, f"timestamp is of type {kind}, expected epoch ms or Arrow's timestamp")
    times: NDArray[np.int64] = column.cast(pa.int64(), safe=False).to_numpy()
    outside = (times < YEAR_2009_MS) | (times >= YEAR_2100_MS)
    if outside.any():
        row = int(outside.argmax())
        time = int(times[row])
        units = [unit for unit, ms in _OTHER_UNITS.items() if YEAR_2009_MS <= time * ms < YEAR_2100_MS]
        found = f"timestamp is {time}" + "".join(f", which would be {unit}" for unit in units)
        raise source.error(row, f"{found}, expected epoch milliseconds between 2009 and 2100")
    return times


def _from_texts(source: _Source, column: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = pc.ascii_trim_whitespace(column)
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        wrong = pc.index(pc.match_substring_regex(texts, r"^\d{1,18}$"), False).as_py()
        found = f"timestamp is {texts[wrong].as_py()!r}, expected whole epoch milliseconds"
        raise source.error(wrong, found) from None


def _whole_ms(source: _Source, column: pa.ChunkedArray) -> pa.ChunkedArray:
    cut = column.cast(pa.timestamp("ms", column.type.tz), safe=False)
    wrong = pc.index(pc.equal(cut.cast(column.type, safe=False), column), False).as_py()
    if wrong >= 0:
        raise source.error(wrong, f"timestamp is {column[wrong]}, expected whole milliseconds between 2009 and 2100")
    return cut


def _texts(source: _Source, name: str, column: pa.ChunkedArray) -> pa.Array:
    """The column's numbers as texts: of a float the shortest that is that float."""
    _check_cells(source, name, column)
    kind, types = column.type, pa.types
    if not (types.is_floating(kind) or types.is_decimal(kind) or types.is_integer(kind) or _is_text(kind)):
        raise CandleFileError(source.path, None, f"{name} is of type {kind}, expected numbers")
    return pc.ascii_trim_whitespace(column.cast(pa.string()).combine_chunks())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _check_cells(source: _Source, name: str, column: pa.ChunkedArray) -> None:
    if column.null_count:
        row = pc.index(column.is_null(), True).as_py()
        raise source.error(row, f"{name} is missing, expected a number")


def _decimals(source: _Source, name: str, texts: pa.Array) -> int:
    """How many decimals the column's numbers need; what is no number is left to :func:`_units`."""
    if pc.any(pc.match_substring(texts, "e")).as_py() or pc.any(pc.match_substring(texts, "E")).as_py():
        parts = pc.extract_regex(texts, _SCIENTIFIC)
        mantissa, exponent = pc.struct_field(parts, "mantissa"), pc.struct_field(parts, "exponent")
        exponent = pc.if_else(pc.equal(exponent, ""), "0", pc.ascii_ltrim(exponent, "+")).cast(pa.int32())
        is_zero = pc.invert(pc.match_substring_regex(mantissa, "[1-9]"))
        needed = pc.if_else(is_zero, 0, pc.subtract(_written_decimals(mantissa), exponent))
    else:
        needed = _written_decimals(texts)
    most = max(0, pc.max(needed).as_py() or 0)
    if most > MOST_DIGITS:
        row = pc.index(needed, pa.scalar(most, needed.type)).as_py()
        raise _too_many_digits(source, name, texts, row)
    return most


def _written_decimals(texts: pa.Array) -> pa.Array:
    """The digits after the point, without the zeros at the end."""
    short = pc.ascii_rtrim(texts, "0")
    point = pc.find_substring(short, ".")
    return pc.if_else(pc.equal(point, -1), 0, pc.subtract(pc.subtract(pc.binary_length(short), point), 1))


def _units(source: _Source, name: str, texts: pa.Array, decimals: int) -> NDArray[np.int64]:
    """The column in 10 ** -``decimals``; raises CandleFileError for no number, a negative one and one too large."""
    try:
        # By way of decimal128, because Arrow's cast of text to decimal64 wraps what is too large.
        fitting = texts.cast(pa.decimal128(MOST_DIGITS, decimals)).cast(pa.decimal64(MOST_DIGITS, decimals))
    except pa.ArrowInvalid:
        _check_numbers(source, name, texts)
        largest = int(texts.cast(pa.float64()).to_numpy().argmax())
        raise _too_many_digits(source, name, texts, largest) from None
    units: NDArray[np.int64] = fitting.view(pa.int64()).to_numpy()
    if (units < 0).any():
        raise _no_number(source, name, texts, int((units < 0).argmax()))
    return units


def _check_volumes(source: _Source, texts: pa.Array) -> None:
    try:
        numbers = texts.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        _check_numbers(source, "volume", texts)
        raise
    right = np.isfinite(numbers) & (numbers >= 0)
    if not right.all():
        raise _no_number(source, "volume", texts, int(right.argmin()))


def _check_numbers(source: _Source, name: str, texts: pa.Array) -> None:
    wrong = pc.index(pc.match_substring_regex(texts, _NUMBER), False).as_py()
    if wrong >= 0:
        raise _no_number(source, name, texts, wrong)


def _no_number(source: _Source, name: str, texts: pa.Array, row: int) -> CandleFileError:
    return source.error(row, f"{name} is {texts[row].as_py()!r}, expected a number >= 0")


def _too_many_digits(source: _Source, name: str, texts: pa.Array, row: int) -> CandleFileError:
    return source.error(row, f"{name} is {texts[row].as_py()}, {_EXPECTED_DIGITS}")


# the rows of all files of a symbol, and what is wrong with them


class _Rows:
    """All rows, and where each is from. ``prices`` are open, high, low and close in 10 ** -``decimals``."""

    def __init__(self, files: Sequence[_File]) -> None:
        self._files = files
        self._ends = np.cumsum([len(file.times_ms) for file in files])
        self._origin: NDArray[np.int64] = np.arange(self._ends[-1])
        self.decimals = max(file.decimals for file in files)
        self.times_ms: NDArray[np.int64] = np.concatenate([file.times_ms for file in files])
        of_files = [self._in_units(file) for file in files]
        self.prices: list[NDArray[np.int64]] = [np.concatenate(of_column) for of_column in zip(*of_files, strict=True)]
        self.volumes = pa.concat_arrays([file.volumes for file in files])

    def _in_units(self, file: _File) -> list[NDArray[np.int64]]:
        factor = 10 ** (self.decimals - file.decimals)
        highest = max(int(column.max()) for column in file.prices)
        if highest * factor >= 10**MOST_DIGITS:
            shown = Decimal(highest).scaleb(-file.decimals)
            raise CandleFileError(
                file.source.path,
                None,
                f"has prices up to {shown}, another file some of {self.decimals} decimals, {_EXPECTED_DIGITS}",
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
        """The most frequent distance between sorted rows; all must be multiples of it."""
        distances = np.diff(self.times_ms)
        if not len(distances):
            return ONE_CANDLE_MS
        found, counts = np.unique(distances, return_counts=True)
        candle_ms = int(found[counts.argmax()])
        uneven = found[found % candle_ms != 0]
        if len(uneven):
            row = int((distances == uneven[0]).argmax()) + 1
            problem = (
                f"timestamp is {self.times_ms[row]}, {uneven[0]} ms after the candle before,"
                f" expected a multiple of {candle_ms} ms, as far apart as most are"
            )
            raise self._error(row, problem)
        return candle_ms

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
