"""Ten candles worked out by hand: every order, every fill, every figure.

Half BTC, half USDT; an order is worth 5 % of NAV, a step of 1 %, a band of 40, a maker's fee of 0.1 %, orders that stay
within 0.25 %. An hour is more than the 900 s after which one is reviewed, so each candle's close reviews it.
"""

from decimal import Decimal

import pytest
from botbalance.engine import Balance, MarketRules, StrategyConfig

from tests.unit.backtest.candle_rows import HOUR_MS, START_MS, build_recording, findings
from workbench.backtest.metrics import measure
from workbench.backtest.result import BacktestResult
from workbench.backtest.simulation import BacktestConfig, Outcome, simulate
from workbench.backtest.timeline import Timeline, build_timeline

D = Decimal

CANDLES = [  # low, high, close
    ("99", "101", "100"),  # 0: NAV 2000, on target
    ("90", "100", "90"),  # 1: NAV 1900, 50 short of BTC: a buy worth 95 at 89.10
    ("89.10", "92", "90"),  # 2: touched, which is no fill; the order would be placed again, so it stays
    (
        "89.09",
        "95",
        "91",
    ),  # 3: filled. 11.064934 BTC are 50.944797 too many: a sell at 91.91, above which it was before
    ("90", "91.91", "91.50"),  # 4: touched. It would be 92.42 now, more than 0.25 % away: cancelled
    ("91", "93", "92"),  # 5: nothing rests, so 93 fills nothing. 56.477264 too many: a sell worth 96.15 at 92.92
    ("92", "92.93", "92.90"),  # 6: filled. 34.56 too few is within the band
    ("89", "93", "89"),  # 7: 54.1247 too few: a buy worth 94.69 at 88.11
    ("88.50", "100", "99"),  # 8: 3.97 too few is within the band: cancelled
    ("99", "110", "110"),  # 9: 51.20 too many: a sell worth 105.22 at 111.10
]
TRIAL = BacktestConfig(
    target_allocations={"BTC": D(50), "USDT": D(50)},
    config=StrategyConfig("USDT", D(5), D(1), D(40), reprice_tolerance_pct=D("0.25")),
    market_rules={"BTCUSDT": MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.001"), min_notional=D(5))},
    start_balances={"BTC": D(10), "USDT": D(1000)},
    fee_pct=D("0.1"),
)


def timeline() -> Timeline:
    return build_timeline([build_recording("BTCUSDT", CANDLES)])


@pytest.fixture(params=[True, False], ids=["screened", "unscreened"])
def outcome(request: pytest.FixtureRequest) -> Outcome:
    return simulate(TRIAL, timeline(), screened=request.param)


@pytest.fixture
def result(outcome: Outcome) -> BacktestResult:
    return measure(TRIAL, timeline(), outcome, data={"BTCUSDT": findings(10)}, rules_source="by hand")


def test_every_order(outcome: Outcome) -> None:
    orders = [
        (
            order.placed_in,
            order.action.side,
            order.action.limit_price,
            order.action.base_qty,
            order.ended_in,
            "filled" if order.fill else order.canceled,
        )
        for order in outcome.orders
    ]
    assert orders == [
        (1, "buy", D("89.10"), D("1.066"), 3, "filled"),
        (3, "sell", D("91.91"), D("1.040"), 4, "stale_price"),
        (5, "sell", D("92.92"), D("1.034"), 6, "filled"),
        (7, "buy", D("88.11"), D("1.074"), 8, "within_band"),
        (9, "sell", D("111.10"), D("0.947"), None, None),
    ]


def test_every_balance(outcome: Outcome) -> None:
    assert outcome.balances == {
        "BTC": Balance(D("10.030934") - D("0.947"), D("0.947")),
        "USDT": Balance(D("1001.00260072"), D(0)),
    }


def test_every_fill(result: BacktestResult) -> None:
    buy, sell = result.fills
    # 1.066 × (110 − 89.10) − 0.001066 × 110
    assert (buy.fee, buy.fee_asset, buy.bonus_quote) == (D("0.001066"), "BTC", D("22.16214"))
    assert (buy.placed_at_ms, buy.filled_at_ms) == (START_MS + 2 * HOUR_MS, START_MS + 4 * HOUR_MS)
    # −1.034 × (110 − 92.92) − 0.09607928
    assert (sell.fee, sell.fee_asset, sell.bonus_quote) == (D("0.09607928"), "USDT", D("-17.75679928"))
    assert (sell.placed_at_ms, sell.filled_at_ms) == (START_MS + 6 * HOUR_MS, START_MS + 7 * HOUR_MS)


def test_what_it_came_to(result: BacktestResult) -> None:
    assert result.nav_start == 2000
    assert result.nav_end == D("2104.40534072")
    assert result.return_pct == D("5.220267")
    assert result.hold_quote == 2100
    assert result.hold.return_pct == 5
    assert result.buy_once.nav_end == 2100  # it started on its targets
    assert result.bonus_quote == D("4.40534072") == sum(fill.bonus_quote for fill in result.fills)
    assert result.bonus_by_asset == {"BTC": D("4.40534072")}
    assert result.bonus_by_month == {"2017-07": D("4.40534072")}
    assert result.turnover_quote == D("94.9806") + D("96.07928")
    assert result.fees_quote == D("0.0949806") + D("0.09607928")  # each at its own fill's price
    assert result.verdict == (
        "Rebalancing ended 4.41 USDT above holding the starting quantities, "
        "and 4.41 USDT above buying the targets once."
    )


def test_how_it_went(result: BacktestResult) -> None:
    assert result.orders.placed == 5
    assert result.orders.filled == 2
    assert result.orders.canceled == {"stale_price": 1, "within_band": 1}
    assert result.orders.resting == 1
    assert result.orders.fill_rate_pct == 50
    assert (result.orders.median_time_to_fill_s, result.orders.longest_time_to_fill_s) == (3600, 7200)
    # Outside the band at the ends of candles 1, 2, 3, 4, 5, 7 and 9.
    assert result.inside_band_pct == 30
    # From 2000 at first down to 1001.00260072 + 10.030934 × 89 at the end of candle 7.
    assert result.drawdown.pct == D("5.312214")
    assert (result.drawdown.peak_at_ms, result.drawdown.trough_at_ms) == (START_MS + HOUR_MS, START_MS + 8 * HOUR_MS)
    # ln(2104.40534072 / 2000) − ½ ln(110 / 100), ln(2100 / 2000) − ½ ln(110 / 100), in percent.
    assert result.growth.volatility_return_pct == D("0.323066")
    assert result.growth.dispersion_pct == D("0.113507")
    assert result.growth.rebalancing_return_pct == D("0.209559")


def test_the_month(result: BacktestResult) -> None:
    (month,) = result.months
    assert (month.month, month.nav_end, month.fills) == ("2017-07", D("2104.40534072"), 2)
    assert (month.return_pct, month.hold_return_pct, month.bonus_quote) == (D("5.220267"), D(5), D("4.40534072"))
    assert (month.turnover_quote, month.fees_quote) == (result.turnover_quote, result.fees_quote)


def test_pictures_show_the_same(result: BacktestResult) -> None:
    series = result.series
    assert len(series.times_ms) == 10
    assert series.nav[-1] == pytest.approx(2104.40534072)
    assert series.hold[-1] == pytest.approx(2100)
    assert series.weights_pct["BTC"][0] == pytest.approx(50)
    assert series.weights_pct["BTC"][1] == pytest.approx(900 / 19)
    assert series.prices["BTCUSDT"] == pytest.approx([float(close) for _, _, close in CANDLES])
