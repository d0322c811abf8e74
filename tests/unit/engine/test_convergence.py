"""The estimate of how long convergence takes, worked out by hand."""

from decimal import Decimal

import pytest
from botbalance.engine import (
    Balance,
    Evaluation,
    MarketRules,
    StrategyConfig,
    estimate_convergence,
    evaluate,
    farthest_symbol,
    hourly_volatility_pct,
)

D = Decimal
CONFIG = StrategyConfig("USDT", D(1), D("0.4"), D(50), min_delta_pct=D(2))
RULES = {
    symbol: MarketRules(symbol, symbol.removesuffix("USDT"), "USDT", D("0.01"), D("0.001"))
    for symbol in ("BTCUSDT", "ETHUSDT")
}


def half_and_a_quarter(btc: str, eth: str, usdt: str) -> Evaluation:
    """BTC at 100 to be half, ETH at 10 to be a quarter."""
    return evaluate(
        {"BTC": Balance(D(btc)), "ETH": Balance(D(eth)), "USDT": Balance(D(usdt))},
        {"BTC": D(50), "ETH": D(25), "USDT": D(25)},
        {"BTCUSDT": D(100), "ETHUSDT": D(10)},
        CONFIG,
        market_rules=RULES,
    )


def test_it_is_the_farthest_gap_less_the_band_in_orders_times_three_squared_steps_of_volatility() -> None:
    # NAV 10,000, all cash: BTC lacks 5,000, the band is 200, an order 100: 48 fills; (0.4 / 0.8)² × 3 = 0.75 hours each
    found = estimate_convergence(half_and_a_quarter("0", "0", "10000"), CONFIG, D("0.8"))
    assert (found.symbol, found.fills, found.hours) == ("BTCUSDT", D(48), D(36))


def test_without_a_volatility_there_are_fills_and_no_hours() -> None:
    found = estimate_convergence(half_and_a_quarter("50", "0", "5000"), CONFIG, None)
    assert (found.symbol, found.fills, found.hours) == ("ETHUSDT", D(23), None)


def test_within_the_band_nothing_is_to_be_done() -> None:
    evaluation = half_and_a_quarter("50", "250", "2500")
    assert farthest_symbol(evaluation) is None
    found = estimate_convergence(evaluation, CONFIG, None)
    assert (found.symbol, found.fills, found.hours) == (None, D(0), D(0))


@pytest.mark.parametrize(
    ("low", "high", "volatility"),
    [
        ("100", "101", D("0.597578")),  # ln 1.01 = 0.00995033; / √(4 ln 2) = 1.66510922
        ("100", "100", None),
        ("0", "100", None),
    ],
)
def test_volatility_is_parkinsons(low: str, high: str, volatility: Decimal | None) -> None:
    found = hourly_volatility_pct(D(low), D(high))
    assert (found is None) == (volatility is None)
    if found is not None and volatility is not None:
        assert abs(found - volatility) <= D("0.000001")
