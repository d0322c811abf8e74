"""Which column of a file is which: by the names that sites and programs give them."""

from collections.abc import Sequence
from pathlib import Path

from workbench.candles.errors import CandleFileError

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
"""ccxt's OHLCV: epoch ms, four prices in quote per base, and the volume in base."""
_TIMES = (
    *("unix", "unix timestamp", "unix_timestamp", "timestamp", "open_time", "open time", "opentime", "time"),
    *("datetime", "date", "date(utc)", "date_utc", "ts", "t", "start", "price", "", "index", "unnamed: 0"),
)
"""Names of the column of times, the surest first: where a file has a number and a date, the number is exact."""
_PRICES = {name: (name, name[0], f"{name}_price", f"{name} price") for name in COLUMNS[1:5]}
_VOLUMES = ("volume", "vol", "v", "volume_base", "base_volume", "base volume", "basevolume")


def find_columns(path: Path, line: int | None, names: Sequence[str], base: str) -> tuple[int, ...]:
    """Where each of ``COLUMNS`` is among ``names``, in lower case.

    Raises CandleFileError where one cannot be told: a wrong guess would be a wrong price.
    """
    names = [name.strip().lower() for name in names]
    found = [_first(names, _TIMES)]
    found += [_first(names, known) for known in _PRICES.values()]
    found.append(_volume(names, base.lower()))
    missing = [column for column, at in zip(COLUMNS, found, strict=True) if at is None]
    if missing:
        raise CandleFileError(
            path,
            line,
            f"the header is {','.join(names)}, which has no {' and no '.join(missing)}; expected {','.join(COLUMNS)}, "
            "or use botbalance candles convert --columns",
        )
    return tuple(at for at in found if at is not None)


def _first(names: Sequence[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _volume(names: Sequence[str], base: str) -> int | None:
    """The volume in base: CryptoDataDownload has ``Volume BTC`` before ``Volume USDT``, others ``Volume_(BTC)``."""
    plain = _first(names, _VOLUMES)
    if plain is not None:
        return plain
    volumes = [at for at, name in enumerate(names) if name.startswith("volume")]
    of_base = [at for at in volumes if base in names[at]]
    return next(iter(of_base or volumes), None)
