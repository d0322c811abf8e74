"""Screened or not, a backtest is the same; it never looks ahead; and its books add up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from botbalance.engine import MarketRules, StrategyConfig
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.backtest.candle_rows import LowHighClose, build_recording
from workbench.backtest.account import PlacedOrder
from workbench.backtest.metrics import measure
from workbench.backtest.simulation import BacktestConfig, Outcome, simulate
from workbench.backtest.timeline import Timeline, build_timeline
from workbench.candles.recording import Recording

D = Decimal
ASSETS = ("BTC", "ETH", "SOL")

every_case = settings(max_examples=25, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Case:
    setup: BacktestConfig
    recordings: list[Recording]

    def timeline(self, candles: int | None = None) -> Timeline:
        recordings = self.recordings
        if candles is None:
            return build_timeline(recordings)
        return build_timeline(recordings, end_ms=int(recordings[0].times_ms[0]) + candles * recordings[0].candle_ms)


def walk(seed: int, first: float, candles: int, wildness: float, gap_every: int) -> list[LowHighClose | None]:
    """A random walk; where there are gaps, in both of the ways in which an exchange's history has them."""
    random = np.random.default_rng(seed)
    rows: list[LowHighClose | None] = []
    close = first
    for hour in range(candles):
        opened, close = close, close * float(np.exp(random.normal(0, wildness)))
        low = min(opened, close) * (1 - abs(random.normal(0, wildness / 2)))
        high = max(opened, close) * (1 + abs(random.normal(0, wildness / 2)))
        row = tuple(f"{max(price, 0.05):.2f}" for price in (low, high, close))
        is_gap = gap_every and 0 < hour < candles - 1 and random.integers(gap_every) == 0
        rows.append(None if is_gap else (row[0], row[1], row[2]))
    return rows


@st.composite
def cases(draw: st.DrawFn) -> Case:
    assets = ASSETS[: draw(st.integers(1, 3))]
    share = D(draw(st.integers(10, 100 // len(assets))))
    fee_in_quote = draw(st.booleans())
    candles = draw(st.integers(40, 260))
    wildness = draw(st.sampled_from([0.001, 0.004, 0.02]))
    fee_pct = draw(st.sampled_from([D(0), D("0.1"), D("0.25")]))
    firsts = dict(zip(assets, (100.0, 30.0, 3.0), strict=False))
    recordings = [
        build_recording(
            f"{asset}USDT", walk(draw(st.integers(0, 999)), first, candles, wildness, draw(st.sampled_from([0, 9])))
        )
        for asset, first in firsts.items()
    ]
    rules = {
        f"{asset}USDT": MarketRules(
            f"{asset}USDT",
            asset,
            "USDT",
            draw(st.sampled_from([D("0.01"), D("0.05"), D("0.001")])),
            draw(st.sampled_from([D("0.001"), D("0.1")])),
            min_notional=draw(st.sampled_from([D(0), D(5), D(60)])),
            ask_multiplier_up=draw(st.sampled_from([None, D("1.01")])),
            quote_fee_pct=fee_pct if fee_in_quote else D(0),
        )
        for asset in assets
    }
    config = StrategyConfig(
        "USDT",
        draw(st.sampled_from([D("0.5"), D(1), D(5)])),
        draw(st.sampled_from([D("0.1"), D("0.4"), D("1.5")])),
        draw(st.sampled_from([D(2), D(20), D(100)])),
        order_max_age_s=draw(st.sampled_from([0, 900, 7200, 20_000])),
        reprice_tolerance_pct=draw(st.sampled_from([None, D("0.05"), D(1)])),
        min_delta_pct=draw(st.sampled_from([None, D("0.3"), D(1), D(3)])),
        quote_reserve_pct=draw(st.sampled_from([D(0), D(0), D(0), D(100 - share * len(assets))])),
    )
    targets = dict.fromkeys(assets, share) | {"USDT": 100 - share * len(assets)}
    start = {asset: (share * 20 / D(str(first))).quantize(D("1e-8")) for asset, first in firsts.items()}
    start["USDT"] = draw(st.sampled_from([D(0), D(30), D(500)]))
    return Case(BacktestConfig(targets, config, rules, start, fee_pct), recordings)


def facts(orders: Sequence[PlacedOrder]) -> list[object]:
    return [(order.action, order.placed_in, order.ended_in, order.fill, order.canceled) for order in orders]


def test_screening_changes_nothing_but_how_often_the_engine_is_asked() -> None:
    seen: Counter[str] = Counter()

    @every_case
    @given(cases())
    def check(case: Case) -> None:
        timeline = case.timeline()
        screened, unscreened = simulate(case.setup, timeline), simulate(case.setup, timeline, screened=False)
        assert facts(screened.orders) == facts(unscreened.orders)
        assert screened.balances == unscreened.balances
        assert unscreened.decisions == timeline.complete.sum()
        seen["asked"] += screened.decisions
        seen["candles"] += unscreened.decisions
        seen["orders"] += len(screened.orders)
        seen["fills"] += sum(order.fill is not None for order in screened.orders)
        seen["cancels"] += sum(order.canceled is not None for order in screened.orders)
        seen["gaps"] += int((~timeline.complete).sum())

    check()
    assert seen["asked"] < 0.95 * seen["candles"]
    assert min(seen["orders"], seen["fills"], seen["cancels"], seen["gaps"]) >= 50


@every_case
@given(cases(), st.integers(10, 200))
def test_nothing_that_comes_later_changes_what_was_done_before(case: Case, cut: int) -> None:
    short = case.timeline(candles=min(cut, 39))
    whole, part = simulate(case.setup, case.timeline()), simulate(case.setup, short)
    until = len(short)
    known = [order for order in whole.orders if order.placed_in < until]
    assert [order.action for order in known] == [order.action for order in part.orders]
    assert [order.ended_in for order in known if order.ended_in is not None and order.ended_in < until] == [
        order.ended_in for order in part.orders if order.ended_in is not None
    ]


@every_case
@given(cases())
def test_an_order_fills_in_a_later_candle_that_trades_through_it_and_in_the_first_such(case: Case) -> None:
    timeline = case.timeline()
    for order in simulate(case.setup, timeline).orders:
        limit, symbol = order.action.limit_price, order.action.symbol
        last = len(timeline) - 1 if order.ended_in is None else order.ended_in
        through = []
        for candle in range(order.placed_in + 1, last + 1):
            extremes = timeline.extremes_at(symbol, candle)
            if extremes and (extremes[0] < limit if order.action.side == "buy" else extremes[1] > limit):
                through.append(candle)
        assert through == ([order.ended_in] if order.fill else [])


@every_case
@given(cases())
def test_nav_and_bonus_follow_from_the_fills_alone(case: Case) -> None:
    timeline = case.timeline()
    outcome = simulate(case.setup, timeline)
    result = measure(case.setup, timeline, outcome, data={}, rules_source="")
    held = {asset: Fraction(quantity) for asset, quantity in result.start_balances.items()}
    prices = {symbol.removesuffix("USDT"): Fraction(price) for symbol, price in result.end_prices.items()}
    prices["USDT"] = Fraction(1)
    hold = sum(held.get(asset, 0) * price for asset, price in prices.items())
    for fill in result.fills:
        sign = 1 if fill.side == "buy" else -1
        held[fill.base] += sign * Fraction(fill.base_qty)
        held["USDT"] -= sign * Fraction(fill.base_qty) * Fraction(fill.price)
        held[fill.fee_asset] -= Fraction(fill.fee)
    nav = sum(held.get(asset, 0) * price for asset, price in prices.items())
    assert nav == Fraction(result.nav_end)
    assert hold == Fraction(result.hold_quote)
    assert nav - hold == Fraction(result.bonus_quote)
    assert result.bonus_quote == sum(result.bonus_by_asset.values()) == sum(result.bonus_by_month.values())
    assert result.bonus_quote == sum(month.bonus_quote for month in result.months)
    assert sum(month.fills for month in result.months) == len(result.fills)
    assert sum(month.turnover_quote for month in result.months) == result.turnover_quote
    assert sum(month.fees_quote for month in result.months) == result.fees_quote
    assert held == {asset: Fraction(balance.free + balance.locked) for asset, balance in result.end_balances.items()}


@every_case
@given(cases())
def test_no_balance_is_ever_overdrawn_and_locked_is_what_rests(case: Case) -> None:
    outcome: Outcome = simulate(case.setup, case.timeline())
    resting = [order for order in outcome.orders if order.ended_in is None]
    locked: dict[str, Decimal] = {}
    for order in resting:
        asset = "USDT" if order.action.side == "buy" else order.action.symbol.removesuffix("USDT")
        locked[asset] = locked.get(asset, D(0)) + order.locked
    for asset, balance in outcome.balances.items():
        assert balance.free >= 0
        assert balance.locked == locked.get(asset, 0)


def test_a_candle_that_one_pair_lacks_decides_nothing_and_still_fills_the_others() -> None:
    btc: list[LowHighClose | None] = [("100", "100", "100"), ("90", "90", "90"), ("80", "90", "90"), ("90", "90", "90")]
    eth: list[LowHighClose | None] = [("10", "10", "10"), ("10", "10", "10"), None, ("10", "10", "10")]
    case = BacktestConfig(
        {"BTC": D(40), "ETH": D(40), "USDT": D(20)},
        StrategyConfig("USDT", D(1), D(1), D(20)),
        {f"{asset}USDT": MarketRules(f"{asset}USDT", asset, "USDT", D("0.01"), D("0.001")) for asset in ("BTC", "ETH")},
        {"BTC": D(4), "ETH": D(40), "USDT": D(200)},
        D(0),
    )
    timeline = build_timeline([build_recording("BTCUSDT", btc), build_recording("ETHUSDT", eth)])
    assert timeline.complete.tolist() == [True, True, False, True]
    for screened in (True, False):
        outcome = simulate(case, timeline, screened=screened)
        (first, *_) = outcome.orders
        assert (first.placed_in, first.ended_in, first.fill is not None) == (1, 2, True)
        assert all(order.placed_in != 2 for order in outcome.orders)
