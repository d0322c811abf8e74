"""A recording made up from a seed, so that a first backtest needs no download. No market made these prices."""

import math
from pathlib import Path
from random import Random

from workbench.candles.columns import COLUMNS

HOUR_MS = 3_600_000
START_MS = 1_735_689_600_000
"""2025-01-01."""
HOURS = 90 * 24
MARKETS = {"BTC": (60_000.0, 2, 0.45), "ETH": (2_500.0, 2, 0.6), "SOL": (140.0, 3, 0.8)}
"""First price in USDT, decimals, and yearly volatility."""
_COMMON = 0.7
"""Correlation of the steps."""
_PULL = 0.002
"""By which a price goes back towards its first one, an hour: swings are what a rebalancer lives on."""


def write_sample(folder: Path, seed: int = 0) -> list[Path]:
    """Write 90 days of hourly candles of three pairs into ``folder``, the same for the same seed; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Random(seed)
    shared = [source.gauss(0, 1) for _ in range(HOURS)]
    paths = []
    for asset, (first, decimals, volatility) in MARKETS.items():
        path = folder / f"{asset}USDT-1h.csv"
        path.write_text(_candles(source, shared, first, decimals, volatility), "utf-8")
        paths.append(path)
    return paths


def _candles(source: Random, shared: list[float], first: float, decimals: int, volatility: float) -> str:
    step = volatility / math.sqrt(365 * 24)
    close = first
    lines = [",".join(COLUMNS)]
    for hour, common in enumerate(shared):
        open_ = close
        noise = math.sqrt(_COMMON) * common + math.sqrt(1 - _COMMON) * source.gauss(0, 1)
        close = round(open_ * math.exp(step * noise - _PULL * math.log(open_ / first)), decimals)
        high = round(max(open_, close) * (1 + step * abs(source.gauss(0, 0.4))), decimals)
        low = round(min(open_, close) * (1 - step * abs(source.gauss(0, 0.4))), decimals)
        volume = round(source.uniform(10, 1_000), 3)
        numbers = [f"{price:.{decimals}f}" for price in (open_, high, low, close)]
        lines.append(",".join([str(START_MS + hour * HOUR_MS), *numbers, f"{volume:.3f}"]))
    return "\n".join(lines) + "\n"
