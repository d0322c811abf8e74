"""What a candle file's name says: of which pair, and how long its candles last.

Sites and programs name their files in ways of their own: ``BTCUSDT.csv``, ``BTCUSDT-1h-2024-12.zip`` (Binance),
``XBTUSDT_60.csv`` (Kraken: minutes), ``BTC_USDT-1h.csv`` (freqtrade), ``BTC-USD.csv`` (Yahoo),
``Binance_BTCUSDT_1h.csv`` and ``Gemini_BTCUSD_2024_1min.csv`` (CryptoDataDownload).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from workbench.candles.errors import CandleFileError

EXTENSIONS = (".csv", ".csv.gz", ".zip", ".parquet", ".tsv", ".txt")
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_TIMEFRAME = re.compile(r"(?P<number>\d+)(?P<unit>[smhdw])(?:in|inute|our|ay|eek)?s?$", re.IGNORECASE)
_WORDS_MS = {
    **dict.fromkeys(("minute", "m"), 60_000),
    **dict.fromkeys(("hour", "hourly", "h"), 3_600_000),
    **dict.fromkeys(("day", "daily", "d"), 86_400_000),
}
_KRAKEN_MINUTES = {"1", "5", "15", "30", "60", "240", "720", "1440", "10080"}
_KRAKEN_ASSETS = {"XBT": "BTC", "XDG": "DOGE"}
_QUOTES = {
    *("USDT", "USDC", "USD", "BUSD", "FDUSD", "TUSD", "DAI", "EUR", "GBP", "JPY", "TRY", "BRL", "AUD", "CHF", "CAD"),
    *("BTC", "ETH", "BNB"),
}


@dataclass(frozen=True, slots=True)
class CandleFile:
    """A file, the symbol that it is of, and how long its candles last; None where the name does not say."""

    path: Path
    symbol: str
    candle_ms: int | None


def candle_files(folder: Path) -> list[CandleFile]:
    """The candle files in ``folder``, in the order of their names."""
    if not folder.is_dir():
        return []
    return [parse_name(path) for path in sorted(folder.iterdir()) if path.name.lower().endswith(EXTENSIONS)]


def find_files(folder: Path, symbol: str) -> dict[int | None, list[Path]]:
    """The files of ``symbol``, by how long their candles last as the names say, the shortest first.

    Files whose name says nothing belong to all the others where those agree. Raises CandleFileError for no file.
    """
    by_length: dict[int | None, list[Path]] = {}
    for file in candle_files(folder):
        if file.symbol == symbol.upper():
            by_length.setdefault(file.candle_ms, []).append(file.path)
    if not by_length:
        others = sorted({file.symbol for file in candle_files(folder)})
        there = f"it has {', '.join(others[:5])}; " if others else ""
        raise CandleFileError(
            folder, None, f"has no file for {symbol}, {there}expected {symbol}.csv or {symbol}-*.csv.gz"
        )
    if len(by_length) == 2 and None in by_length:
        return {
            next(length for length in by_length if length): sorted(path for of in by_length.values() for path in of)
        }
    return dict(sorted(by_length.items(), key=lambda item: item[0] or 0))


def parse_name(path: Path) -> CandleFile:
    """What the name of ``path`` says."""
    parts = re.split(r"([-_])", path.name.partition(".")[0])
    words, separators = parts[::2], parts[1::2]
    if len(words) > 1 and words[0][1:].islower() and words[0][:1].isupper() and words[1].isupper():
        words, separators = words[1:], separators[1:]  # the exchange, as CryptoDataDownload puts it first
    symbol, rest = words[0].upper(), words[1:]
    if rest and rest[0] in _QUOTES:
        symbol, rest, separators = symbol + rest[0], rest[1:], separators[1:]
    candle_ms = None
    for separator, word in zip(separators, rest, strict=False):
        candle_ms = candle_ms or timeframe_ms(word)
        if separator == "_" and word in _KRAKEN_MINUTES and word == rest[-1]:
            candle_ms = int(word) * _UNITS_MS["m"]
    for theirs, usual in _KRAKEN_ASSETS.items():
        symbol = usual + symbol.removeprefix(theirs) if symbol.startswith(theirs) else symbol
    return CandleFile(path, symbol, candle_ms)


def timeframe_ms(text: str) -> int | None:
    """How long a candle of ``1h``, ``15m``, ``60min`` or ``daily`` lasts in milliseconds; None for no such word."""
    found = _TIMEFRAME.match(text)
    if found:
        return int(found["number"]) * _UNITS_MS[found["unit"].lower()]
    return _WORDS_MS.get(text.lower())


def timeframe(candle_ms: int) -> str:
    """The usual word for a length: ``1h``, ``15m``, ``1d``."""
    unit, length = next(
        ((unit, length) for unit, length in reversed(_UNITS_MS.items()) if candle_ms % length == 0), ("ms", 1)
    )
    return f"{candle_ms // length}{unit}"


def base_asset_name(symbol: str) -> str:
    """The asset that a pair trades: BTC of BTCUSDT; the pair itself where no known quote asset ends it."""
    quote = max((quote for quote in _QUOTES if symbol.endswith(quote)), key=len, default="")
    return symbol.removesuffix(quote) or symbol
