"""Looking along many candles at once finds what looking at each of them, exactly, would find."""

from decimal import Decimal

import numpy as np
import pytest
from botbalance.engine import AssetBounds, NoTradeRegion, contains

from tests.unit.backtest.candle_rows import LowHighClose, recording_of
from workbench.backtest.screening import Screen
from workbench.backtest.timeline import Timeline, timeline_of

D = Decimal
CANDLES = 700


def timeline(*steps: tuple[int, str]) -> Timeline:
    """BTC at 100 and ETH at 10; from each of ``steps`` (a candle) on, BTC is at another price."""
    btc: list[LowHighClose | None] = []
    price = "100"
    for candle in range(CANDLES):
        price = dict(steps).get(candle, price)
        btc.append((price, price, price))
    eth: list[LowHighClose | None] = [("10", "10", "10")] * CANDLES
    return timeline_of([recording_of("BTCUSDT", btc), recording_of("ETHUSDT", eth)])


def bounds(**of_btc: Decimal) -> NoTradeRegion:
    """Of 10 BTC and 100 ETH beside 1,000 USDT, each to be a third."""
    third = D(100) / 3
    return NoTradeRegion(
        D(1000), (AssetBounds("BTCUSDT", D(10), third, **of_btc), AssetBounds("ETHUSDT", D(100), third)), None
    )


@pytest.mark.parametrize("candle", [1, 63, 64, 65, 191, 192, 447, 448, 449, CANDLES - 1])
@pytest.mark.parametrize(
    ("price", "of_btc"),
    [
        ("120", {"delta_over": D(-100)}),
        ("80", {"delta_under": D(100)}),
        ("101", {"price_from": D(1), "price_to": D("100.50")}),
        ("99", {"price_from": D("99.50"), "price_to": D(900)}),
        ("99.99", {"resting_buy": D(100)}),
        ("100.01", {"resting_sell": D(100)}),
    ],
)
def test_the_first_candle_outside_a_bound_is_found_wherever_it_is(
    candle: int, price: str, of_btc: dict[str, Decimal]
) -> None:
    screen = Screen(timeline((candle, price)))
    assert screen.next_candle(bounds(**of_btc), 0, CANDLES) == candle
    assert screen.next_candle(bounds(**of_btc), candle, CANDLES) == candle
    assert screen.next_candle(bounds(**of_btc), 0, candle) == candle  # nothing before the end that was asked for


def test_within_the_bounds_the_end_is_found() -> None:
    screen = Screen(timeline((300, "101")))
    assert screen.next_candle(bounds(delta_over=D(-100), delta_under=D(100)), 5, CANDLES) == CANDLES


@pytest.mark.parametrize("seed", range(20))
def test_each_hop_is_as_long_as_exact_arithmetic_allows(seed: int) -> None:
    random = np.random.default_rng(seed)
    prices = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.002, CANDLES))), 2)
    walk = timeline(*((candle, f"{price:.2f}") for candle, price in enumerate(prices)))
    limits = bounds(
        delta_over=D(-60), delta_under=D(60), price_from=D("97.135"), price_to=D("104.205"), resting_buy=D("96.805")
    )
    start = 0
    screen = Screen(walk)
    while start < CANDLES:
        expected = next(
            (
                candle
                for candle in range(start, CANDLES)
                if not contains(
                    limits, closes := walk.closes_at(candle), closes, closes, walk.ends_at_ms(candle) // 1000
                )
            ),
            CANDLES,
        )
        assert screen.next_candle(limits, start, CANDLES) == expected
        start = max(expected, start) + 1 + int(random.integers(40))
