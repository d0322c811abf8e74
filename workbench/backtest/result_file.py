"""The whole result as a file: what the dashboard's page Backtest opens, the series for its pictures with it."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.backtest.backtest import as_document
from workbench.backtest.result import BacktestResult, Series

KIND = "botbalance-backtest"
"""What the file says it is."""
VERSION = 1
"""Of the file's form: another one is refused by whoever does not know it."""
_DIGITS = 10


def write_result(result: BacktestResult, path: Path) -> None:
    """Write everything that the backtest found as JSON, numbers as decimal strings."""
    document = {"kind": KIND, "version": VERSION, **as_document(result), "series": _pictured(result.series)}
    path.write_text(json.dumps(document, allow_nan=False) + "\n", "utf-8")


def _pictured(series: Series) -> dict[str, Any]:
    return {
        "times_ms": list(series.times_ms),
        "nav": _as_text(series.nav),
        "hold": _as_text(series.hold),
        "buy_once": _as_text(series.buy_once),
        "weights_pct": {asset: _as_text(values) for asset, values in series.weights_pct.items()},
        "prices": {symbol: _as_text(values) for symbol, values in series.prices.items()},
    }


def _as_text(values: Sequence[float]) -> list[str | None]:
    """Ten significant digits, which are more than a picture has; None where there is nothing."""
    return [_plain(value) if math.isfinite(value) else None for value in values]


def _plain(value: float) -> str:
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
