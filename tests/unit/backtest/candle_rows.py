"""Recordings made of numbers, as a reader of files would return them."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from workbench.candles.recording import Findings, Recording

HOUR_MS = 3_600_000
START_MS = 1_500_001_200_000
"""A full hour in July 2017."""

type LowHighClose = tuple[str, str, str]


def build_recording(symbol: str, candles: Sequence[LowHighClose | None], decimals: int = 2) -> Recording:
    """Hourly candles from ``START_MS`` on; None is an hour without one."""
    present = [(hour, candle) for hour, candle in enumerate(candles) if candle is not None]
    low, high, close = (
        np.array([int(Decimal(candle[column]).scaleb(decimals)) for _, candle in present]) for column in range(3)
    )
    times = np.array([START_MS + hour * HOUR_MS for hour, _ in present])
    return Recording(
        symbol, HOUR_MS, decimals, times, close, high, low, close, pa.array(["1"] * len(times)), findings(len(times))
    )


def findings(rows: int) -> Findings:
    """Nothing is wrong."""
    return Findings(rows, START_MS, START_MS + (rows - 1) * HOUR_MS, 0, 0, 0, 0, 0, 0, 0, 0)
