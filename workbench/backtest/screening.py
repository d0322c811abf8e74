"""Finds the next candle at which anything can happen, by array arithmetic that errs on the safe side.

The bounds are the engine's, exact. Here they are compared with many candles at once in floating point, each drawn in by
a margin far larger than what floating point loses, so a candle too many is looked at now and then, and none too few.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import inf

import numpy as np
from botbalance.engine import NoTradeRegion
from numpy.typing import NDArray

from workbench.backtest.timeline import Timeline

_MARGIN = 1e-9
"""Of the numbers that are compared. Doubles lose some 1e-15 of them in a sum of fifty."""
_FIRST_CHUNK = 64
_LARGEST_CHUNK = 4096


class Screen:
    """Looks along a timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._rows = {symbol: row for row, symbol in enumerate(timeline.symbols)}
        self._closes = np.array(
            [column * 10.0**-decimals for column, decimals in zip(timeline.close, timeline.decimals, strict=True)]
        )

    def next_candle(self, bounds: NoTradeRegion, start: int, stop: int) -> int:
        """The first candle from ``start`` on, before ``stop``, that is not surely within ``bounds``; else ``stop``.

        ``bounds.assets`` are in the order of the timeline's symbols. When ``bounds.until`` is, the caller knows.
        """
        size = _FIRST_CHUNK
        held = _column([asset.held for asset in bounds.assets])
        fractions = _column([asset.target_pct for asset in bounds.assets]) * 0.01
        quote = float(bounds.quote_held)
        over = _column([asset.delta_over for asset in bounds.assets], -inf)
        under = _column([asset.delta_under for asset in bounds.assets], inf)
        watched = [row for row, asset in enumerate(bounds.assets) if asset.price_from is not None]
        price_from = _column([bounds.assets[row].price_from for row in watched]) * (1 + _MARGIN)
        price_to = _column([bounds.assets[row].price_to for row in watched]) * (1 - _MARGIN)
        while start < stop:
            end = min(start + size, stop)
            closes = self._closes[:, start:end]
            values = held * closes
            nav = values.sum(axis=0) + quote
            delta = fractions * nav - values
            margin = nav * _MARGIN
            band = nav * (0.0 if bounds.min_delta_pct is None else float(bounds.min_delta_pct) * 0.01)
            outside = (delta <= _moved(over, band) + margin) | (delta >= _moved(under, band) - margin)
            eventful = outside.any(axis=0)
            if watched:
                prices = closes[watched]
                eventful |= ((prices < price_from) | (prices > price_to)).any(axis=0)
            eventful &= self._timeline.complete[start:end]
            self._add_fills(eventful, bounds, start, end)
            first = int(eventful.argmax())
            if eventful[first]:
                return start + first
            start, size = end, min(size * 2, _LARGEST_CHUNK)
        return stop

    def _add_fills(self, eventful: NDArray[np.bool_], bounds: NoTradeRegion, start: int, end: int) -> None:
        """Mark the candles that trade through a resting order's limit, as ``trades_through`` has it; in whole units."""
        for row, asset in enumerate(bounds.assets):
            decimals = self._timeline.decimals[row]
            if asset.resting_buy is not None:
                least = int(asset.resting_buy.scaleb(decimals).to_integral_value(ROUND_CEILING))
                eventful |= self._timeline.low[row][start:end] < least
            if asset.resting_sell is not None:
                most = int(asset.resting_sell.scaleb(decimals).to_integral_value(ROUND_FLOOR))
                eventful |= self._timeline.high[row][start:end] > most


def _moved(limits: NDArray[np.float64], band: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bounds on deltas, each at least ``band`` away from zero on its own side."""
    moved: NDArray[np.float64] = np.where(limits > 0, np.maximum(limits, band), np.minimum(limits, -band))
    return moved


def _column(numbers: Sequence[Decimal | None], unbounded: float = 0.0) -> NDArray[np.float64]:
    return np.array([[unbounded if number is None else float(number)] for number in numbers]).reshape(-1, 1)
