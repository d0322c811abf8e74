"""Text files of candles as tables of texts, whatever separates their columns and whatever stands above them.

Nothing is guessed that could be read in two ways: what is unsafe is refused, with what would do.
"""

import gzip
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
from pyarrow import csv

from workbench.candles.columns import COLUMNS, find_columns
from workbench.candles.errors import CandleFileError

_DELIMITERS = (",", ";", "\t", "|")
_SNIFFED_LINES = 40
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"
_EXPECTED = f"expected {', '.join(COLUMNS)}"
_YFINANCE_ROWS = ("ticker", "date", "datetime")
"""What begins the second and third line of a table with headers on several levels, as yfinance writes it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text is laid out: its delimiter, the line that the table begins at (from 0), and where each of
    ``COLUMNS`` is. ``header`` is how many lines of the table are no candles."""

    delimiter: str
    first_line: int
    width: int
    header: int
    columns: tuple[int, ...]


def read_text(path: Path, base: str, columns: Sequence[str] | None = None) -> tuple[Layout, pa.Table]:
    """The six columns of the candles in ``path`` as texts, in the order of ``COLUMNS``.

    ``base`` is the asset that is traded, which may stand in a column's name. ``columns`` name the columns where the
    file's own names are not to be asked. Raises CandleFileError.
    """
    try:
        layout = _layout(path, base, columns)
        table = _parse(path, layout, use_threads=True)
    except (OSError, EOFError, UnicodeDecodeError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise CandleFileError(path, None, f"cannot be read ({error}), expected text, or gzip or zip of it") from error
    rows = table.slice(layout.header)
    return layout, rows.select([f"f{at}" for at in layout.columns]).rename_columns(list(COLUMNS))


def open_text(path: Path) -> BinaryIO:
    """The bytes of ``path``, unpacked."""
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
            if len(names) != 1:
                found = ", ".join(names[:3]) or "nothing"
                raise CandleFileError(path, None, f"holds {found}, expected one file of candles: unpack it")
            return BytesIO(archive.read(names[0]))
    return path.open("rb")


def line_number(path: Path, layout: Layout, row: int) -> int:
    """The line, from 1, of the candle at that index; blank lines are none."""
    with open_text(path) as lines:
        filled = (number for number, line in enumerate(lines, start=1) if line.strip(b"\r\n"))
        below = (number for number in filled if number > layout.first_line)
        return next(islice(below, row + layout.header, None))


def _layout(path: Path, base: str, columns: Sequence[str] | None) -> Layout:
    with BufferedReader(cast(Any, open_text(path))) as file:
        lines = list(islice(file, _SNIFFED_LINES))
    if not any(line.strip() for line in lines):
        raise CandleFileError(path, None, "cannot be read (Empty file), expected candles")
    if lines[0].startswith(_UTF16) or b"\0" in lines[0]:
        raise CandleFileError(
            path,
            None,
            "is UTF-16, expected UTF-8: save it as that, or use botbalance candles convert --encoding utf-16",
        )
    texts = [line.removeprefix(_BOM).decode("utf-8").strip("\r\n") for line in lines]
    number = next(
        (number for number, text in enumerate(texts) if text.count(_delimiter(text)) >= len(COLUMNS) - 1), None
    )
    if number is None:
        first = next(number for number, text in enumerate(texts, start=1) if text.strip())
        raise CandleFileError(path, first, f"fewer than {len(COLUMNS)} columns, {_EXPECTED}")
    delimiter = _delimiter(texts[number])
    cells = [[cell.strip(' "').lower() for cell in text.split(delimiter)] for text in texts[number:] if text.strip()]
    if not _is_header(cells[0]):
        names = columns or COLUMNS
        where = find_columns(path, number + 1, [*names, *[""] * (len(cells[0]) - len(names))], base)
        return Layout(delimiter, number, len(cells[0]), 0, where)
    where = find_columns(path, number + 1, columns or cells[0], base)
    levels = cells[1:3] if cells[0][where[0]] == "price" else []  # yfinance's word above the dates
    header = 1 + sum(row[0] in _YFINANCE_ROWS for row in levels)
    return Layout(delimiter, number, len(cells[0]), header, where)


def _delimiter(text: str) -> str:
    return max(_DELIMITERS, key=text.count)


def _is_header(cells: Sequence[str]) -> bool:
    """A name has a letter first; a header without a name for its first column has one for the second."""
    return cells[0][:1].isalpha() or (not cells[0][:1].isdigit() and cells[1][:1].isalpha() and len(cells[1]) > 1)


def _parse(path: Path, layout: Layout, *, use_threads: bool) -> pa.Table:
    uneven: list[Any] = []

    def note(row: Any) -> str:
        uneven.append(row)
        return "error"

    wanted = [f"f{number}" for number in layout.columns]
    with open_text(path) as file:
        for _ in range(layout.first_line):
            file.readline()
        try:
            return csv.read_csv(
                file,
                read_options=csv.ReadOptions(autogenerate_column_names=True, use_threads=use_threads),
                parse_options=csv.ParseOptions(delimiter=layout.delimiter, invalid_row_handler=note),
                convert_options=csv.ConvertOptions(
                    include_columns=list(dict.fromkeys(wanted)), column_types=dict.fromkeys(wanted, pa.string())
                ),
            )
        except pa.ArrowInvalid:
            if not uneven:
                raise
    if use_threads:  # then Arrow does not say which row it is
        return _parse(path, layout, use_threads=False)
    row = uneven[0]
    found = f"{row.actual_columns} columns ({row.text[:80]!r}), expected {row.expected_columns} as in the first line"
    raise CandleFileError(path, row.number + layout.first_line, found)
