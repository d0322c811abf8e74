"""Recorded prices that may not be true: a split, a decimal point that moved, a candle from a broken feed.

A backtest trades on whatever it is given, so one such candle makes its result. They are told from large moves by what
they look like: a factor that is a round number, a move that is taken back at once, one that no market makes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LIVE_GUARD = 0.1
"""The move of a price from one tick to the next that the autopilot does not trade on at once: the default of
PRICE_JUMP_PCT."""
_ROUND_FACTORS = (2, 3, 4, 5, 8, 10, 15, 20, 25, 50, 100, 1_000, 10_000, 100_000, 1_000_000)
_ROUND_WITHIN = 0.02
_TAKEN_BACK = 0.25
"""Of a jump, at most, is left a candle later."""
_BEYOND = 1.0
"""By logarithm: a price times or divided by e in one candle."""
_WICK = 3.0
"""Times the candle's own and the former close."""
_HOUR_MS = 3_600_000
_MOST = 100

type Kind = Literal["round_factor", "taken_back", "too_large", "wick"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """A price of ``symbol`` that may not be true, in the candle that opens ``at_ms`` and lasts ``candle_ms``.

    ``after`` is the doubted price, ``before`` the close of the candle before, in quote per base.
    """

    symbol: str
    kind: Kind
    at_ms: int
    candle_ms: int
    before: Decimal
    after: Decimal


def find_doubts(
    symbol: str,
    times_ms: NDArray[np.int64],
    candle_ms: int,
    decimals: int,
    prices: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> tuple[Doubt, ...]:
    """The doubted candles, oldest first, at most a hundred; prices in 10 ** -``decimals``."""
    _, high, low, close = prices
    if len(close) < 2:
        return ()
    kinds = dict(_jumps(np.log(close.astype(np.float64)), candle_ms))
    before, after = close[:-1].astype(np.float64), close[1:].astype(np.float64)
    wicks = (high[1:] > _WICK * np.maximum(before, after)) | (low[1:] * _WICK < np.minimum(before, after))
    for at in np.flatnonzero(wicks) + 1:
        kinds.setdefault(int(at), "wick")

    def price(units: np.int64) -> Decimal:
        return Decimal(int(units)).scaleb(-decimals)

    def doubted(at: int) -> np.int64:
        if kinds[at] != "wick":
            return np.int64(close[at])
        return np.int64(high[at] if high[at] > _WICK * max(close[at - 1], close[at]) else low[at])

    return tuple(
        Doubt(symbol, kinds[at], int(times_ms[at]), candle_ms, price(close[at - 1]), price(doubted(at)))
        for at in sorted(kinds)[:_MOST]
    )


def _jumps(logs: NDArray[np.float64], candle_ms: int) -> Iterator[tuple[int, Kind]]:
    """The index of each close that jumped and is doubted for it, and why."""
    moves = np.diff(logs)
    bound = np.log1p(LIVE_GUARD) * max(1.0, float(np.sqrt(candle_ms / _HOUR_MS)))
    for at in np.flatnonzero(np.abs(moves) > bound):
        move = moves[at]
        following = moves[at + 1] if at + 1 < len(moves) else 0.0
        if _is_round(abs(move)):
            yield int(at) + 1, "round_factor"
        elif abs(move + following) < _TAKEN_BACK * abs(move) and abs(move) > 2 * bound:
            yield int(at) + 1, "taken_back"
        elif abs(move) > _BEYOND:
            yield int(at) + 1, "too_large"


def _is_round(move: float) -> bool:
    return any(abs(move - float(np.log(factor))) < _ROUND_WITHIN for factor in _ROUND_FACTORS)


def clean_window(doubts: tuple[Doubt, ...], start_ms: int, end_ms: int) -> tuple[int, int]:
    """The longest time between ``start_ms`` and ``end_ms`` without a doubted candle, in epoch ms."""
    edges = [start_ms, *(at for doubt in doubts for at in (doubt.at_ms, doubt.at_ms + doubt.candle_ms)), end_ms]
    stretches = zip(edges[::2], edges[1::2], strict=True)
    return max(stretches, key=lambda window: window[1] - window[0])
