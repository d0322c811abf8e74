"""Writes a file of candles in the usual form, read as its owner says that it is written."""

from pathlib import Path
from tempfile import TemporaryDirectory

from botbalance.errors import InvalidRequestError

from workbench.candles.columns import COLUMNS
from workbench.candles.file_names import timeframe
from workbench.candles.files import Conventions
from workbench.candles.recording import Recording, read_candles


def convert_file(
    source: Path, folder: Path, symbol: str, conventions: Conventions, encoding: str | None = None
) -> tuple[Path, int]:
    """Write ``SYMBOL-TIMEFRAME.csv`` into ``folder``; returns its path and how many candles it has.

    Raises CandleFileError for what cannot be read so, and InvalidRequestError for an encoding that is none or a file
    that is there already.
    """
    if encoding is None:
        recording = read_candles(source, symbol, conventions)
    else:
        recording = _in_utf8(source, symbol, conventions, encoding)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{symbol}-{timeframe(recording.candle_ms)}.csv"
    if path.exists():
        raise InvalidRequestError("file", f"OUT has {path.name} already, expected a folder without it")
    path.write_text(_text(recording), "utf-8")
    return path, len(recording.times_ms)


def _in_utf8(source: Path, symbol: str, conventions: Conventions, encoding: str) -> Recording:
    try:
        text = source.read_bytes().decode(encoding)
    except (LookupError, UnicodeError) as error:
        raise InvalidRequestError("encoding", f"--encoding is {encoding!r}, which {source} is not: {error}") from None
    with TemporaryDirectory() as there:
        copy = Path(there, source.name)
        copy.write_text(text, "utf-8")
        return read_candles(copy, symbol, conventions)


def _text(recording: Recording) -> str:
    prices = [recording.open, recording.high, recording.low, recording.close]
    lines = [
        f"{time},{','.join(f'{recording.price(units):f}' for units in units_of)},{volume}\n"
        for time, *units_of, volume in zip(
            recording.times_ms.tolist(), *prices, recording.volume_texts.to_pylist(), strict=True
        )
    ]
    return ",".join(COLUMNS) + "\n" + "".join(lines)
