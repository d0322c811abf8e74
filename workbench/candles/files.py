"""One file of candles, read exactly: its times in epoch ms, its prices as whole numbers, its volumes as texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workbench.candles.columns import COLUMNS, find_columns
from workbench.candles.errors import CandleFileError
from workbench.candles.text_tables import Layout, line_number, read_text
from workbench.candles.times import TimeError, epoch_ms, parse_dates

MOST_DIGITS = 18
"""Of a price in units, so that it is an int64."""
EXPECTED_DIGITS = f"expected all prices within {MOST_DIGITS} digits, from the largest's first to the finest's last"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_SCIENTIFIC = r"^[+-]?(?P<mantissa>\d*\.?\d*)(?:[eE](?P<exponent>[+-]?\d{1,6}))?$"
_SEPARATED = r"^[+-]?\d[\d.,' ]*[.,' ]\d+$"
_SIGNIFICANT_OF_A_DOUBLE = (15, 17)
"""How many digits a double is printed with."""
_MOST_DIGITS_OF_ARROW = 38
_NO_PRICE = "null"
"""Yahoo's word where it has no candle."""


@dataclass(frozen=True, slots=True)
class Conventions:
    """How a file's owner says that it is written, where that cannot be told from the file itself.

    ``columns`` name its columns, ``dates`` is the pattern of its dates (``%d/%m/%Y``), ``decimal_comma`` is how it
    writes fractions; commas are then its decimal points, and otherwise stand between thousands.
    """

    columns: Sequence[str] | None = None
    dates: str | None = None
    decimal_comma: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """The file that rows are from, to say which of them is wrong; ``layout`` is None for Parquet."""

    path: Path
    layout: Layout | None = None

    def error(self, row: int, problem: str) -> CandleFileError:
        """In which line of a text, or row of a Parquet file, the row at that index is."""
        if self.layout is None:
            return CandleFileError(self.path, None, f"row {row + 1}: {problem}")
        return CandleFileError(self.path, line_number(self.path, self.layout, row), problem)


@dataclass(frozen=True, slots=True)
class FileRows:
    """A file's rows in its own order. ``prices`` are open, high, low and close in 10 ** -``decimals``.

    ``rounded`` counts the rows whose prices were binary fractions, printed in full, and do not fit otherwise.
    """

    source: Source
    times_ms: NDArray[np.int64]
    decimals: int
    prices: list[NDArray[np.int64]]
    volumes: pa.Array
    rounded: int


def read_file(path: Path, base: str, conventions: Conventions | None = None) -> FileRows:
    """The rows of ``path``; ``base`` is the asset whose volume is wanted. Raises CandleFileError."""
    source, table = _table(path, base, conventions)
    if not table.num_rows:
        raise CandleFileError(path, None, f"has no rows, expected {','.join(COLUMNS)}")
    times_ms = _times(source, table.column(0), conventions)
    *texts, volumes = [_texts(source, name, table.column(at)) for at, name in enumerate(COLUMNS[1:], start=1)]
    if conventions is not None:
        *texts, volumes = [_without_separators(column, conventions) for column in (*texts, volumes)]
    without = np.logical_and.reduce([_is_no_price(column) for column in texts])
    if without.any():
        *texts, volumes = [pc.if_else(pa.array(without), "0", column) for column in (*texts, volumes)]
    texts, rounded = _fitting(texts)
    named = list(zip(COLUMNS[1:5], texts, strict=True))
    decimals = max(_decimals(source, name, column) for name, column in named)
    prices = [_units(source, name, column, decimals) for name, column in named]
    _check_volumes(source, volumes)
    return FileRows(source, times_ms, decimals, prices, volumes, rounded)


def _table(path: Path, base: str, conventions: Conventions | None) -> tuple[Source, pa.Table]:
    if path.suffix == ".parquet":
        return _parquet_table(path, base)
    layout, table = read_text(path, base, None if conventions is None else conventions.columns)
    return Source(path, layout), table


def _parquet_table(path: Path, base: str) -> tuple[Source, pa.Table]:
    """The six columns as they are, wherever they stand; a data frame's index is a column like any other."""
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if len(names) < len(COLUMNS):
                problem = f"{len(names)} columns, expected {len(COLUMNS)}: {', '.join(COLUMNS)}"
                raise CandleFileError(path, None, problem)
            wanted = [names[at] for at in find_columns(path, None, _spelled(names), base)]
            return Source(path), file.read(columns=wanted).select(wanted)
    except (OSError, pa.ArrowException) as error:
        raise CandleFileError(path, None, f"cannot be read ({error}), expected Parquet") from error


def _spelled(names: Sequence[str]) -> list[str]:
    """pandas calls an index without a name so."""
    return ["index" if name.startswith("__index_level_") else name for name in names]


def _times(source: Source, column: pa.ChunkedArray, conventions: Conventions | None) -> NDArray[np.int64]:
    """Epoch ms; raises CandleFileError where a time is missing or none."""
    _check_cells(source, "timestamp", column)
    try:
        if conventions is not None and conventions.dates is not None:
            texts = pc.ascii_trim_whitespace(column.combine_chunks().cast(pa.string()))
            times = parse_dates(texts, conventions.dates)
        else:
            times = epoch_ms(column)
    except TimeError as error:
        raise source.error(error.row, str(error)) from None
    except pa.ArrowException as error:
        raise CandleFileError(source.path, None, f"timestamp is of type {column.type} ({error})") from None
    numbers: NDArray[np.int64] = times.to_numpy(zero_copy_only=False)
    return numbers


def _without_separators(texts: pa.Array, conventions: Conventions) -> pa.Array:
    """Numbers with a decimal point and nothing between their thousands."""
    texts = pc.replace_substring_regex(texts, "[' ]", "")
    if conventions.decimal_comma:
        return pc.replace_substring(pc.replace_substring(texts, ".", ""), ",", ".")
    return pc.replace_substring(texts, ",", "")


def _is_no_price(texts: pa.Array) -> NDArray[np.bool_]:
    is_none: NDArray[np.bool_] = pc.equal(texts, _NO_PRICE).to_numpy(zero_copy_only=False)
    return is_none


def _texts(source: Source, name: str, column: pa.ChunkedArray) -> pa.Array:
    """The column's numbers as texts: of a float the shortest that is that float."""
    _check_cells(source, name, column)
    kind, types = column.type, pa.types
    if not (types.is_floating(kind) or types.is_decimal(kind) or types.is_integer(kind) or _is_text(kind)):
        raise CandleFileError(source.path, None, f"{name} is of type {kind}, expected numbers")
    return pc.ascii_trim_whitespace(column.cast(pa.string()).combine_chunks())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _check_cells(source: Source, name: str, column: pa.ChunkedArray) -> None:
    if column.null_count:
        row = pc.index(column.is_null(), True).as_py()
        raise source.error(row, f"{name} is missing, expected a number")


def _fitting(columns: Sequence[pa.Array]) -> tuple[list[pa.Array], int]:
    """The prices, binary fractions among them rounded where not all fit into ``MOST_DIGITS``; and in how many rows.

    Yahoo prints 457.33401489257812: a number of 24 binary digits, of which no exchange ever asked more than nine
    decimal ones. What is no such fraction is left as it is.
    """
    if not all(pc.all(pc.match_substring_regex(column, r"^\d+(\.\d*)?$")).as_py() for column in columns):
        return list(columns), 0
    # A zero before the point takes none of the room.
    whole = max(pc.max(pc.binary_length(pc.replace_substring_regex(c, r"^0+|\..*$", ""))).as_py() for c in columns)
    room = MOST_DIGITS - whole
    needed = max(pc.max(_written_decimals(column)).as_py() for column in columns)
    if needed <= room or room < 0 or whole + needed > _MOST_DIGITS_OF_ARROW:
        return list(columns), 0
    too_long = [pc.greater(_written_decimals(column), room) for column in columns]
    if not all(_is_double(column.filter(mask)) for column, mask in zip(columns, too_long, strict=True)):
        return list(columns), 0
    exact = [column.cast(pa.decimal128(_MOST_DIGITS_OF_ARROW, needed)) for column in columns]
    texts = [pc.round(column, room).cast(pa.string()) for column in exact]
    rows = np.logical_or.reduce([mask.to_numpy(zero_copy_only=False) for mask in too_long])
    return texts, int(np.count_nonzero(rows))


def _is_double(texts: pa.Array) -> bool:
    """Whether all of these are printed with as many digits as only a binary fraction needs."""
    digits = pc.binary_length(pc.utf8_ltrim(pc.replace_substring(pc.utf8_rtrim(texts, "0"), ".", ""), "0"))
    least, most = _SIGNIFICANT_OF_A_DOUBLE
    return pc.all(pc.and_(pc.greater_equal(digits, least), pc.less_equal(digits, most))).as_py() is not False


def _decimals(source: Source, name: str, texts: pa.Array) -> int:
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


def _units(source: Source, name: str, texts: pa.Array, decimals: int) -> NDArray[np.int64]:
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


def _check_volumes(source: Source, texts: pa.Array) -> None:
    try:
        numbers = texts.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        _check_numbers(source, "volume", texts)
        raise
    right = np.isfinite(numbers) & (numbers >= 0)
    if not right.all():
        raise _no_number(source, "volume", texts, int(right.argmin()))


def _check_numbers(source: Source, name: str, texts: pa.Array) -> None:
    wrong = pc.index(pc.match_substring_regex(texts, _NUMBER), False).as_py()
    if wrong >= 0:
        raise _no_number(source, name, texts, wrong)


def _no_number(source: Source, name: str, texts: pa.Array, row: int) -> CandleFileError:
    text = texts[row].as_py()
    hint = ""
    if pc.match_substring_regex(pa.scalar(text), _SEPARATED).as_py():
        hint = " with a decimal point and nothing between thousands: botbalance candles convert --decimal-comma, or not"
    return source.error(row, f"{name} is {text!r}, expected a number >= 0{hint}")


def _too_many_digits(source: Source, name: str, texts: pa.Array, row: int) -> CandleFileError:
    return source.error(row, f"{name} is {texts[row].as_py()}, {EXPECTED_DIGITS}")
