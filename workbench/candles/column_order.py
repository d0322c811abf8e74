"""Whether four columns of prices can be open, high, low and close in that order, and which order they likely have.

Sites differ (Coinbase writes low, high, open, close; KuCoin open, close, high, low), and a file without a header does
not say. The prices do: the high is never under another price, the low never over one, and a candle opens about where
the one before closed.
"""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from workbench.candles.columns import COLUMNS

_LEAST_ROWS = 20
"""That moved; fewer tell nothing."""
_CLEARLY_MORE = 0.1
"""Of the rows, for extremes."""
_CLEARLY_CLOSER = 5
"""Times, for the steps from a close to the next open."""


def likely_order(prices: Sequence[NDArray[np.int64]], times_ms: NDArray[np.int64]) -> tuple[str, ...] | None:
    """The names of the columns in the order that suits the prices, where the usual one clearly does not; else None."""
    stacked = np.stack(prices)
    moved = stacked.max(axis=0) > stacked.min(axis=0)
    rows = int(np.count_nonzero(moved))
    if rows < _LEAST_ROWS:
        return None
    steps = _steps(stacked, times_ms)
    highest, lowest = stacked == stacked.max(axis=0), stacked == stacked.min(axis=0)
    usual = (0, 1, 2, 3)

    def held(order: Sequence[int]) -> float:
        """In which part of the candles that moved the extremes are extremes."""
        return float(np.count_nonzero(highest[order[1]] & lowest[order[2]] & moved)) / rows

    closes_are_extremes = (
        _share(prices[3] == prices[1], moved) == 1 or _share(prices[3] == prices[2], moved) == 1
    )  # of a true recording they never all are
    orders = [order for order in permutations(usual) if not (closes_are_extremes and order == usual)]
    best = max(orders, key=lambda order: (round(held(order), 2), -steps[order[3], order[0]]))
    if best == usual:
        return None
    more_extremes = held(best) - held(usual) > _CLEARLY_MORE
    closer = steps[best[3], best[0]] * _CLEARLY_CLOSER < steps[3, 0]
    if more_extremes or closes_are_extremes or (closer and held(best) >= held(usual)):
        names = dict(zip(best, COLUMNS[1:5], strict=True))
        return tuple(names[column] for column in usual)
    return None


def _share(where: NDArray[np.bool_], moved: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(where & moved)) / float(np.count_nonzero(moved))


def _steps(prices: NDArray[np.int64], times_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    """By column and column: how far, on average, the second of a candle is from the first of the candle before."""
    logs = np.log(prices.astype(np.float64))
    beside = np.diff(times_ms) == np.diff(times_ms).min(initial=np.iinfo(np.int64).max)
    return np.array(
        [
            [np.abs(logs[after, 1:] - logs[before, :-1])[beside].mean() if beside.any() else 0.0 for after in range(4)]
            for before in range(4)
        ]
    )
