"""Prices from a seeded random walk whose symbols move together. The only place where floats are allowed."""

import math
from collections.abc import Mapping
from decimal import Decimal
from random import Random

from workbench.simulated_exchange.market import MINUTE_MS, Candle, this_minute_ms

SUB_STEPS = 12
"""Moves within a candle: what gives it wicks."""
TYPICAL_TURNOVER = 250_000.0
"""A candle's volume, in quote, give or take."""


class RandomWalk:
    """Geometric Brownian motion without drift, all symbols driven by one common factor.

    ``volatility`` is the standard deviation of a candle's return, as a fraction. The default of 0.0025 is
    livelier than a real minute on purpose (BTC's is about 0.0005), so that a demonstration trades.
    ``correlation`` is that of any two symbols' returns, from 0 to 1. The same seed and the same starting
    price give a symbol the same candles, whatever else is listed; ``start_ms`` is when the walk begins, by default now.

    >>> walk = RandomWalk(seed=7)
    >>> walk.next_candles({"BTCUSDT": Decimal(40000)})["BTCUSDT"].open
    Decimal('40000')
    """

    def __init__(
        self,
        *,
        seed: int,
        volatility: float = 0.0025,
        correlation: float = 0.6,
        candle_ms: int = MINUTE_MS,
        start_ms: int | None = None,
    ) -> None:
        if not 0 <= volatility < 1:
            raise ValueError(f"volatility is {volatility}, expected a fraction from 0 to 1")
        if not 0 <= correlation <= 1:
            raise ValueError(f"correlation is {correlation}, expected a number from 0 to 1")
        self.candle_ms = candle_ms
        self.start_ms = this_minute_ms() if start_ms is None else start_ms
        self._next_open_time = self.start_ms + candle_ms
        self._seed = seed
        self._common = Random(seed)
        self._own: dict[str, Random] = {}
        self._step_volatility = volatility / math.sqrt(SUB_STEPS)
        self._common_part = math.sqrt(correlation)
        self._own_part = math.sqrt(1 - correlation)

    def next_candles(self, last_prices: Mapping[str, Decimal]) -> Mapping[str, Candle]:
        """A candle for every symbol, beginning at its last price; the market rounds it onto its grid."""
        sigma = self._step_volatility
        common = [self._common.gauss(0, 1) for _ in range(SUB_STEPS)]
        candles = {}
        for symbol, last in last_prices.items():
            draw = self._own.setdefault(symbol, Random(f"{self._seed} {symbol}")).gauss
            path = [float(last)]
            for factor in common:
                move = sigma * (self._common_part * factor + self._own_part * draw(0, 1)) - sigma * sigma / 2
                path.append(path[-1] * math.exp(move))
            volume = TYPICAL_TURNOVER * math.exp(draw(0, 0.5)) / path[-1]
            candles[symbol] = Candle(
                self._next_open_time,
                last,
                max(last, Decimal(repr(max(path)))),
                min(last, Decimal(repr(min(path)))),
                Decimal(repr(path[-1])),
                Decimal(f"{volume:.8f}"),
            )
        self._next_open_time += self.candle_ms
        return candles
