"""Looking along many candles at once finds what looking at each of them, exactly, would find."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from botbalance.engine import AssetBounds, NoTradeRegion, contains

from tests.unit.backtest.candle_rows import LowHighClose, build_recording
from workbench.backtest.screening import Screen
from workbench.backtest.timeline import Timeline, build_timeline

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
    return build_timeline([build_recording("BTCUSDT", btc), build_recording("ETHUSDT", eth)])


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


@pytest.mark.parametrize(
    ("price", "of_btc"),
    [
        ("103", {"delta_over": D(-10)}),  # 20 away from its target: over the amount
        ("102.9", {"delta_over": D(-10)}),
        ("97", {"delta_under": D(10)}),
    ],
)
def test_a_band_that_is_a_share_too_is_left_only_where_both_are(price: str, of_btc: dict[str, Decimal]) -> None:
    screen = Screen(timeline((300, price), (600, "150" if "delta_over" in of_btc else "50")))
    share = replace(bounds(**of_btc), min_delta_pct=D(2))
    assert screen.next_candle(bounds(**of_btc), 0, CANDLES) == 300
    assert screen.next_candle(share, 0, CANDLES) == 600


@pytest.mark.parametrize(("price", "of_btc"), [("96", {"delta_over": D(10)}), ("104", {"delta_under": D(-10)})])
def test_an_order_under_review_is_left_where_its_asset_is_within_either(price: str, of_btc: dict[str, Decimal]) -> None:
    """Its delta is 26.7: over the amount of 10, and under the 2 % of NAV."""
    screen = Screen(timeline((0, "80" if "delta_over" in of_btc else "125"), (300, price)))
    share = replace(bounds(**of_btc), min_delta_pct=D(2))
    assert screen.next_candle(bounds(**of_btc), 0, CANDLES) == CANDLES
    assert screen.next_candle(share, 0, CANDLES) == 300


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
