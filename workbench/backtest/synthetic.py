"""Hourly candles that never were: random walks, and coins that collapse. The same seed gives the same candles."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
from botbalance.engine import BudgetLimits, MarketRules, StrategyConfig
from botbalance.engine.arithmetic import ExactArithmetic
from numpy.typing import NDArray

from workbench.backtest.simulation import BacktestConfig
from workbench.backtest.timeline import Timeline, build_timeline
from workbench.candles.recording import Findings, Recording

HOUR_MS = 3_600_000
START_MS = 1_500_001_200_000
"""A full hour in July 2017."""
_HOURS_A_YEAR = 8_760
_COMMON = 0.6
"""Of each coin's steps, what all coins share."""
_DECIMALS = 6
_FIRST_PRICE = 100.0


@dataclass(frozen=True, slots=True)
class Collapse:
    """``asset`` falls to ``remains`` of its price (a fraction) in so many hours, evenly in logarithms, and stays
    there."""

    asset: str
    begins_at: int
    hours: int
    remains: float


def walks(
    assets: list[str], hours: int, seed: int, *, yearly_volatility: float = 0.8, collapse: Collapse | None = None
) -> Timeline:
    """Candles of ``assets`` in USDT, from a price of 100 on."""
    rng = np.random.default_rng(seed)
    step = yearly_volatility / np.sqrt(_HOURS_A_YEAR)
    common = _COMMON * rng.standard_normal(hours)
    recordings = []
    for asset in assets:
        steps = (common + np.sqrt(1 - _COMMON**2) * rng.standard_normal(hours)) * step
        if collapse is not None and collapse.asset == asset:
            steps[collapse.begins_at : collapse.begins_at + collapse.hours] += np.log(collapse.remains) / collapse.hours
        wicks = 1 + np.abs(rng.standard_normal((2, hours))) * step / 2
        recordings.append(_recording(f"{asset}USDT", np.exp(np.cumsum(steps)) * _FIRST_PRICE, wicks))
    return build_timeline(recordings)


def make_setup(
    targets: Mapping[str, str], config: StrategyConfig, budgets: BudgetLimits | None, timeline: Timeline, nav: Decimal
) -> BacktestConfig:
    """A portfolio worth ``nav`` on its ``targets`` (percent by asset, USDT among them) at a fee of 0.1 %."""
    prices = timeline.closes_at(0)
    shares = {asset: Decimal(target) for asset, target in targets.items()}
    balances: dict[str, Decimal] = {}
    with ExactArithmetic():
        spent = Decimal(0)
        for symbol, price in prices.items():
            worth = nav * shares[symbol.removesuffix("USDT")]
            units = (worth * 10**8 // (100 * price)).scaleb(-8)
            balances[symbol.removesuffix("USDT")] = units
            spent += units * price
        balances["USDT"] = nav - spent
    rules = {
        symbol: MarketRules(
            symbol,
            symbol.removesuffix("USDT"),
            "USDT",
            tick_size=Decimal("0.000001"),
            lot_size=Decimal("0.000001"),
            min_notional=Decimal(5),
        )
        for symbol in prices
    }
    return BacktestConfig(shares, config, rules, balances, Decimal("0.1"), budgets)


def _recording(symbol: str, close: NDArray[np.float64], wicks: NDArray[np.float64]) -> Recording:
    open_ = np.concatenate([close[:1], close[:-1]])
    prices = {
        "open": open_,
        "high": np.maximum(open_, close) * wicks[0],
        "low": np.minimum(open_, close) / wicks[1],
        "close": close,
    }
    units = {name: np.maximum(1, np.rint(column * 10**_DECIMALS)).astype(np.int64) for name, column in prices.items()}
    times = START_MS + HOUR_MS * np.arange(len(close), dtype=np.int64)
    found = Findings(len(times), int(times[0]), int(times[-1]), 0, 0, 0, 0, 0, 0, 0, 0)
    no_volumes = pa.nulls(0, pa.string())
    return Recording(symbol, HOUR_MS, _DECIMALS, times, **units, volume_texts=no_volumes, findings=found)
