"""Prices replayed from files of candles, all symbols aligned by time."""

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from zlib import error as ZlibError  # noqa: N812

from botbalance.engine.exact import ZERO

from workbench.exchange.market import MINUTE_MS, Candle

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
EXTENSIONS = (".csv", ".csv.gz")


class CandleFileError(ValueError):
    """A folder or file of candles cannot be replayed. The message says where, what was found and what would do."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        self.path = path
        self.line = line
        super().__init__(f"{path}{f', line {line}' if line else ''}: {problem}")


class OutOfCandles(RuntimeError):
    """The recording has been replayed to its end."""


class RecordedCandles:
    """Replays ``folder``'s files ``SYMBOL.csv``, ``SYMBOL-anything.csv`` (or ``.csv.gz``) for ``symbols``.

    A row is timestamp (epoch ms), open, high, low, close (quote per base), volume (base); a header is optional,
    further columns are ignored, and so is a row that repeats the one before. Several files of a symbol follow one
    another in the order of their names.
    The replay starts at the first time at which every symbol has prices and leaves out times that not all have.
    Raises CandleFileError for whatever cannot be read.
    """

    def __init__(self, folder: Path, symbols: Sequence[str]) -> None:
        if not symbols:
            raise ValueError("symbols is empty, expected at least one")
        if not folder.is_dir():
            raise CandleFileError(folder, None, "is not a folder, expected one with candle files")
        recordings = {symbol: _recording(folder, symbol) for symbol in symbols}
        first, *others = recordings.values()
        shared = [time for time in first if all(time in other for other in others)]
        if not shared:
            raise CandleFileError(folder, None, f"{', '.join(symbols)} have no time in common, expected an overlap")
        self._rows = [{symbol: recordings[symbol][time] for symbol in symbols} for time in shared]
        self._played = 0
        self.candle_ms = min((later - earlier for earlier, later in pairwise(shared)), default=MINUTE_MS)
        self.start_ms = shared[0] - self.candle_ms

    @property
    def remaining(self) -> int:
        """How many candles are still to come."""
        return len(self._rows) - self._played

    @property
    def first_prices(self) -> dict[str, Decimal]:
        """The prices at which the replay starts: the first candles' opens."""
        return {symbol: candle.open for symbol, candle in self._rows[0].items()}

    def next_candles(self, last_prices: Mapping[str, Decimal]) -> Mapping[str, Candle]:
        """The next candle of every symbol, as recorded; raises OutOfCandles after the last."""
        if not self.remaining:
            raise OutOfCandles(f"all {len(self._rows)} recorded candles have been replayed")
        row = self._rows[self._played]
        self._played += 1
        return row


def recorded_symbols(folder: Path) -> list[str]:
    """The symbols that ``folder`` has candle files for; raises CandleFileError where there is none."""
    names = {path.name.partition(".")[0].partition("-")[0] for path in _candle_files(folder)}
    if not names:
        raise CandleFileError(folder, None, "has no candle files, expected SYMBOL.csv or SYMBOL-*.csv.gz")
    return sorted(names)


def _candle_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.endswith(EXTENSIONS))


def _recording(folder: Path, symbol: str) -> dict[int, Candle]:
    paths = [path for path in _candle_files(folder) if path.name.partition(".")[0].partition("-")[0] == symbol]
    if not paths:
        raise CandleFileError(folder, None, f"has no file for {symbol}, expected {symbol}.csv or {symbol}-*.csv.gz")
    candles: dict[int, Candle] = {}
    newest, latest = -1, [ZERO]
    for path in paths:
        for line, fields in _rows(path):
            time = _timestamp(path, line, fields)
            numbers = [_number(path, line, column, fields[column]) for column in range(1, 6)]
            if time == newest and numbers == latest:
                continue  # where two pages of a download met
            if time <= newest:
                raise CandleFileError(path, line, f"timestamp is {time}, expected one after {newest}")
            newest, latest = time, numbers
            if not candles and not any(numbers[:4]):
                continue  # not listed yet
            candles[time] = _candle(path, line, time, numbers)
    if not candles:
        raise CandleFileError(paths[-1], None, f"has no candle of {symbol} with a price, expected at least one")
    return candles


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows with their line numbers, without the header and empty lines."""
    try:
        with path.open("rb") as file:
            content = gzip.GzipFile(fileobj=file) if path.name.endswith(".gz") else file
            with TextIOWrapper(content, encoding="utf-8-sig", newline="") as text:
                for line, fields in enumerate(csv.reader(text, strict=True), start=1):
                    if not fields or (line == 1 and _is_header(path, fields)):
                        continue
                    if len(fields) < len(COLUMNS):
                        raise CandleFileError(
                            path, line, f"{len(fields)} columns, expected {len(COLUMNS)}: {', '.join(COLUMNS)}"
                        )
                    yield line, fields
    except (OSError, EOFError, UnicodeDecodeError, ZlibError, csv.Error) as error:
        raise CandleFileError(path, None, f"cannot be read ({error}), expected text or gzip of text") from error


def _is_header(path: Path, fields: Sequence[str]) -> bool:
    names = [field.strip().lower() for field in fields]
    if not names[0] or not names[0][0].isalpha():
        return False
    if tuple(names[1:6]) != COLUMNS[1:]:
        raise CandleFileError(path, 1, f"the header is {','.join(names)}, expected {','.join(COLUMNS)}")
    return True


def _timestamp(path: Path, line: int, fields: Sequence[str]) -> int:
    text = fields[0].strip()
    if not (text.isascii() and text.isdigit()):
        raise CandleFileError(path, line, f"timestamp is {text!r}, expected whole epoch milliseconds")
    return int(text)


def _number(path: Path, line: int, column: int, text: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < ZERO:
        raise CandleFileError(path, line, f"{COLUMNS[column]} is {text!r}, expected a number >= 0")
    return number


def _candle(path: Path, line: int, time: int, numbers: Sequence[Decimal]) -> Candle:
    """The candle, its extremes widened to hold open and close: recordings round these apart now and then."""
    open_, high, low, close, volume = numbers
    if not all(numbers[:4]):
        raise CandleFileError(path, line, f"a price is 0 in {[str(n) for n in numbers[:4]]}, expected prices > 0")
    if low > high:
        raise CandleFileError(path, line, f"low is {low} and high is {high}, expected low <= high")
    return Candle(time, open_, max(high, open_, close), min(low, open_, close), close, volume)
