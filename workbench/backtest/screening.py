"""Finds the next candle at which anything can happen, by array arithmetic that errs on the safe side.

The bounds are the engine's, exact. Here they are compared with many candles at once in floating point, each drawn in by
a margin far larger than what floating point loses, so a candle too many is looked at now and then, and none too few.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR
from math import inf
from typing import NamedTuple

import numpy as np
from botbalance.engine import NoTradeRegion
from numpy.typing import NDArray

from workbench.backtest.timeline import Timeline

_MARGIN = 1e-9
"""Of the numbers that are compared. Doubles lose some 1e-15 of them in a sum of fifty."""
_FIRST_CHUNK = 64
_LARGEST_CHUNK = 2048

type _Floats = NDArray[np.float64]


class _OfShare(NamedTuple):
    """What the band's share of NAV alone allows, in the rows of ``_Bounds``.

    A delta has to cross this bound and the other one. One that has to stay *beyond* the band, as that of an order under
    review, crosses either.
    """

    rows: _Floats
    limits: _Floats
    beyond: NDArray[np.bool_]


class _Bounds(NamedTuple):
    """Bounds on deltas in terms of closes: one is crossed where ``rows @ closes <= limits``.

    A row each for every asset's lower bound, then one each for the upper ones. ``of_share`` where the band is also a
    share of NAV.
    """

    rows: _Floats
    limits: _Floats
    of_share: _OfShare | None = None

    def crossed(self, closes: _Floats) -> NDArray[np.bool_]:
        """Whether any bound is crossed, a candle each; ``closes`` are a row an asset."""
        crossed = self.rows @ closes <= self.limits
        share = self.of_share
        if share is not None:
            crossed_too = share.rows @ closes <= share.limits
            crossed = np.where(share.beyond, crossed | crossed_too, crossed & crossed_too)
        any_of_them: NDArray[np.bool_] = crossed.any(axis=0)
        return any_of_them


class Screen:
    """Looks along a timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._closes = np.array(
            [column * 10.0**-decimals for column, decimals in zip(timeline.close, timeline.decimals, strict=True)]
        )
        self._always_complete = bool(timeline.complete.all())

    def next_candle(self, region: NoTradeRegion, start: int, stop: int) -> int:
        """The first candle from ``start`` on, before ``stop``, that is not surely within ``region``; else ``stop``.

        ``region.assets`` are in the order of the timeline's symbols. When ``region.until`` is, the caller knows.
        """
        size = _FIRST_CHUNK
        bounds = _region_bounds(region)
        watched = [
            (row, float(asset.price_from) * (1 + _MARGIN), float(asset.price_to) * (1 - _MARGIN))
            for row, asset in enumerate(region.assets)
            if asset.price_from is not None and asset.price_to is not None
        ]
        buys, sells = self._limits(region)
        while start < stop:
            end = min(start + size, stop)
            eventful = bounds.crossed(self._closes[:, start:end])
            for row, price_from, price_to in watched:
                closes = self._closes[row, start:end]
                eventful |= (closes < price_from) | (closes > price_to)
            if not self._always_complete:
                eventful &= self._timeline.complete[start:end]
            for row, least in buys:
                eventful |= self._timeline.low[row][start:end] < least
            for row, most in sells:
                eventful |= self._timeline.high[row][start:end] > most
            first = int(eventful.argmax())
            if eventful[first]:
                return start + first
            start, size = end, min(size * 2, _LARGEST_CHUNK)
        return stop

    def _limits(self, region: NoTradeRegion) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The limits of resting buys and sells with their rows, in the symbol's whole units.

        A candle that trades through one, as ``trades_through`` has it, is one whose low is under it or whose high is
        over it.
        """
        buys, sells = [], []
        for row, asset in enumerate(region.assets):
            decimals = self._timeline.decimals[row]
            if asset.resting_buy is not None:
                buys.append((row, int(asset.resting_buy.scaleb(decimals).to_integral_value(ROUND_CEILING))))
            if asset.resting_sell is not None:
                sells.append((row, int(asset.resting_sell.scaleb(decimals).to_integral_value(ROUND_FLOOR))))
        return buys, sells


def _region_bounds(region: NoTradeRegion) -> _Bounds:
    """With targets f and holdings h, the deltas at closes c are f·(h·c + quote) − h∘c: linear in c."""
    quote, assets = float(region.quote_held), region.assets
    held, targets, over, under = np.array(
        [
            [float(asset.held) for asset in assets],
            [float(asset.target_pct) for asset in assets],
            [-inf if asset.delta_over is None else float(asset.delta_over) for asset in assets],
            [inf if asset.delta_under is None else float(asset.delta_under) for asset in assets],
        ]
    )
    targets *= 0.01
    of_closes = targets[:, None] * held
    of_closes.flat[:: len(assets) + 1] -= held
    of_quote = targets * quote
    rows = np.concatenate((of_closes, -of_closes))
    rows -= _MARGIN * held
    limits = np.concatenate((over - of_quote, of_quote - under))
    limits += _MARGIN * quote
    if region.min_delta_pct is None:
        return _Bounds(rows, limits[:, None])
    shares = float(region.min_delta_pct) * 0.01 * np.concatenate((np.sign(over), -np.sign(under)))
    share_limits = np.concatenate((-of_quote, of_quote)) + (_MARGIN + shares) * quote
    of_share = _OfShare(rows - np.outer(shares, held), share_limits[:, None], (shares > 0)[:, None])
    return _Bounds(rows, limits[:, None], of_share)
