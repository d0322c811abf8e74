"""Finds the next candle at which anything can happen, by array arithmetic that errs on the safe side.

The bounds are the engine's, exact. Here they are compared with many candles at once in floating point, each drawn in by
a margin far larger than what floating point loses, so a candle too many is looked at now and then, and none too few.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
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


class _Holdings:
    """What is held of each asset and of the quote, with targets in percent of NAV: what the rows of bounds come from.

    With targets f and holdings h, the deltas at closes c are f·(h·c + quote) − h∘c: linear in c.
    """

    def __init__(self, held: Sequence[Decimal], targets: Sequence[Decimal], quote_held: Decimal) -> None:
        self._facts = held, targets, quote_held
        self._quote = float(quote_held)
        self._held = np.array([float(quantity) for quantity in held])
        fractions = np.array([float(target) for target in targets]) * 0.01
        of_closes = fractions[:, None] * self._held
        of_closes.flat[:: len(held) + 1] -= self._held
        of_quote = fractions * self._quote
        self._limits = _MARGIN * self._quote - np.concatenate((of_quote, -of_quote))
        self._rows = np.concatenate((of_closes, -of_closes))
        self._rows -= _MARGIN * self._held

    def are(self, held: Sequence[Decimal], targets: Sequence[Decimal], quote_held: Decimal) -> bool:
        return self._facts == (held, targets, quote_held)

    def bounds(self, region: NoTradeRegion) -> _Bounds:
        over = [-inf if asset.delta_over is None else float(asset.delta_over) for asset in region.assets]
        under = [-inf if asset.delta_under is None else -float(asset.delta_under) for asset in region.assets]
        deltas = np.array(over + under)
        limits = deltas + self._limits
        if region.min_delta_pct is None:
            return _Bounds(self._rows, limits[:, None])
        shares = float(region.min_delta_pct) * 0.01 * np.sign(deltas)
        share_limits = shares * self._quote + self._limits
        of_share = _OfShare(self._rows - np.outer(shares, self._held), share_limits[:, None], (shares > 0)[:, None])
        return _Bounds(self._rows, limits[:, None], of_share)


class Screen:
    """Looks along a timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._closes = np.empty((len(timeline.symbols), len(timeline)))
        for row, column, decimals in zip(self._closes, timeline.close, timeline.decimals, strict=True):
            np.multiply(column, 10.0**-decimals, out=row)
        self._holdings = _Holdings((), (), Decimal(0))
        self._always_complete = bool(timeline.complete.all())

    def next_candle(self, region: NoTradeRegion, start: int, stop: int) -> int:
        """The first candle from ``start`` on, before ``stop``, that is not surely within ``region``; else ``stop``.

        ``region.assets`` are in the order of the timeline's symbols. When ``region.until`` is, the caller knows.
        """
        size = _FIRST_CHUNK
        bounds = self._bounds(region)
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

    def _bounds(self, region: NoTradeRegion) -> _Bounds:
        held = tuple([asset.held for asset in region.assets])
        targets = tuple([asset.target_pct for asset in region.assets])
        if not self._holdings.are(held, targets, region.quote_held):  # what is held changes with fills alone
            self._holdings = _Holdings(held, targets, region.quote_held)
        return self._holdings.bounds(region)

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
