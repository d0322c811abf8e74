"""Believable results of backtests that never ran, repeated from a seed: what the report has to be able to show."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from botbalance.engine import Balance, MarketRules, Side, StrategyConfig

from workbench.backtest.result import (
    BacktestResult,
    Band,
    Benchmark,
    Drawdown,
    FilledOrder,
    Growth,
    Month,
    Orders,
    Oversized,
    Series,
)
from workbench.candles.recording import Findings

START_MS = 1_502_928_000_000  # 2017-08-17
DAY_MS = 86_400_000
FOUR = ("BTC", "ETH", "SOL", "BNB")
FIRST_PRICES = (4261.48, 302.0, 3.21, 0.00001234)


def sample_result(
    bases: Sequence[str] = FOUR, days: int = 850, points: int = 800, fills: int = 2000, bonus: str = "1843.27051906"
) -> BacktestResult:
    """``bases`` in equal parts beside 20 % USDT; NAV ends ``bonus`` over (or under) holding."""
    random_ = random.Random(7)
    end_ms = START_MS + days * DAY_MS
    times = [START_MS + round(i * days * DAY_MS / (points - 1)) for i in range(points)]
    prices = {f"{base}USDT": _walk(random_, _first_price(i), points) for i, base in enumerate(bases)}
    weight = Decimal(80) / len(bases)
    held = [10_000 * (0.2 + 0.8 * sum(p[i] / p[0] for p in prices.values()) / len(prices)) for i in range(points)]
    earned = [float(bonus) * _s_curve(i / (points - 1)) * (1 + 0.2 * math.sin(i / 23)) for i in range(points)]
    earned = [value - (i / (points - 1)) * (earned[-1] - float(bonus)) for i, value in enumerate(earned)]
    nav = [h + e for h, e in zip(held, earned, strict=True)]
    hold_quote = Decimal(repr(round(held[-1], 8)))
    nav_end = hold_quote + Decimal(bonus)
    traded = _fills(random_, bases, times, prices, fills)
    months = _months(traded, nav, times, Decimal(bonus))
    return BacktestResult(
        engine_version="1",
        quote_asset="USDT",
        target_allocations=dict.fromkeys(bases, weight) | {"USDT": Decimal(20)},
        config=StrategyConfig("USDT", Decimal(2), Decimal("0.4"), Decimal(120)),
        fee_pct=Decimal("0.1"),
        market_rules={
            f"{base}USDT": MarketRules(
                f"{base}USDT", base, "USDT", Decimal("0.00000001"), Decimal("0.00001"), min_notional=Decimal(5)
            )
            for base in bases
        },
        rules_source="Binance, as stated on 2025-11-01",
        warnings=[],
        data={f"{base}USDT": _findings(days, damaged=i == 1) for i, base in enumerate(bases)},
        start_ms=START_MS,
        end_ms=end_ms,
        candle_ms=60_000,
        candles=days * 1440,
        decisions=days * 1440,
        start_balances={base: Decimal("1.5") for base in bases} | {"USDT": Decimal(2000)},
        start_prices={symbol: Decimal(f"{p[0]:.5g}") for symbol, p in prices.items()},
        end_balances={base: Balance(Decimal("1.2"), Decimal("0.1")) for base in bases}
        | {"USDT": Balance(Decimal("2310.55"), Decimal(200))},
        end_prices={symbol: Decimal(f"{p[-1]:.5g}") for symbol, p in prices.items()},
        nav_start=Decimal(10_000),
        nav_end=nav_end,
        return_pct=nav_end / 100 - 100,
        hold_quote=hold_quote,
        hold=Benchmark(hold_quote, hold_quote / 100 - 100),
        buy_once=Benchmark(hold_quote - 400, (hold_quote - 400) / 100 - 100),
        bonus_quote=Decimal(bonus),
        bonus_by_asset={base: Decimal(bonus) / len(bases) * (-1 if i == 2 else 1) for i, base in enumerate(bases)},
        bonus_by_month={month.month: month.bonus_quote for month in months},
        growth=Growth(Decimal("12.81"), Decimal("4.4052"), Decimal("8.4048"))
        if Decimal(bonus) >= 0
        else Growth(Decimal("3.1"), Decimal("9.9"), Decimal("-6.8")),
        turnover_quote=sum((fill.quote_qty for fill in traded), Decimal(0)),
        fees_quote=sum((fill.quote_qty for fill in traded), Decimal(0)) / 1000,
        orders=Orders(
            placed=fills + 412,
            filled=fills,
            canceled={"stale_price": 371, "side_flipped": 22, "within_band": 18},
            resting=1,
            fill_rate_pct=Decimal("82.951") if fills else None,
            median_time_to_fill_s=1380 if fills else None,
            longest_time_to_fill_s=190_860 if fills else None,
        ),
        band_start=Band(Decimal(120), Decimal("1.2")),
        band_end=Band(Decimal(120), Decimal("0.61")),
        oversized=Oversized(Decimal("97.116"), 2547, Decimal("1051.0256")),
        inside_band_pct=Decimal("71.3344"),
        mean_drift_pct=Decimal("1.9173"),
        drawdown=Drawdown(Decimal("74.22"), times[points // 4], times[points // 2]),
        volatility_pct=Decimal("68.4"),
        return_a_year_pct=Decimal("12.3"),
        sharpe=Decimal("0.84"),
        sortino=Decimal("1.21"),
        turnover_of_nav=Decimal("3.5"),
        fees_of_nav_pct=Decimal("0.35"),
        largest_asset=bases[0],
        largest=Benchmark(Decimal("11234.5"), Decimal("12.345")),
        verdict="Rebalancing made 1,843.27 USDT more than holding what it started with."
        if Decimal(bonus) >= 0
        else "Holding was better: rebalancing cost 912.40 USDT against the starting quantities.",
        months=months,
        fills=traded,
        series=Series(
            times, nav, held, [h - 400 * i / (points - 1) for i, h in enumerate(held)], _weights(bases, times), prices
        ),
    )


def negative_result() -> BacktestResult:
    """Holding was better."""
    return sample_result(bonus="-912.4038")


def quiet_result() -> BacktestResult:
    """Nothing was ever traded, and NAV never fell."""
    return replace(
        sample_result(fills=0, bonus="0"),
        bonus_by_asset={},
        bonus_by_month={},
        volatility_pct=None,
        return_a_year_pct=None,
        sharpe=None,
        sortino=None,
        drawdown=Drawdown(Decimal(0), None, None),
    )


def short_result() -> BacktestResult:
    """Three days of one month, two moments."""
    return sample_result(days=3, points=2, fills=5)


def wide_result() -> BacktestResult:
    """Fifty assets."""
    return sample_result(bases=[f"COIN{i}" for i in range(50)], fills=20_000)


def _first_price(i: int) -> float:
    return FIRST_PRICES[i] if i < len(FIRST_PRICES) else 10.0 * i


def _walk(random_: random.Random, first: float, points: int) -> list[float]:
    prices, drift = [first], 0.0
    for _ in range(points - 1):
        drift = 0.9 * drift + random_.gauss(0, 0.003)
        prices.append(prices[-1] * math.exp(drift + random_.gauss(0, 0.025)))
    return prices


def _s_curve(x: float) -> float:
    return x * x * (3 - 2 * x)


def _weights(bases: Sequence[str], times: Sequence[int]) -> dict[str, list[float]]:
    each = 80 / len(bases)
    weights = {
        base: [each * (1 + 0.06 * math.sin(i / (17 + 3 * n)) + 0.02 * math.sin(i / 3)) for i in range(len(times))]
        for n, base in enumerate(bases)
    }
    return weights | {"USDT": [100 - sum(w[i] for w in weights.values()) for i in range(len(times))]}


def _fills(
    random_: random.Random,
    bases: Sequence[str],
    times: Sequence[int],
    prices: dict[str, list[float]],
    count: int,
) -> list[FilledOrder]:
    found = []
    for at in sorted(random_.uniform(times[0], times[-1]) for _ in range(count)):
        base = random_.choice(bases)
        symbol = f"{base}USDT"
        nearest = round((at - times[0]) / (times[-1] - times[0]) * (len(times) - 1))
        side: Side = random_.choice(("buy", "sell"))
        price = Decimal(f"{prices[symbol][nearest] * (0.996 if side == 'buy' else 1.004):.4g}")
        quote_qty = Decimal("200.00")
        filled_at = int(at) // 60_000 * 60_000
        found.append(
            FilledOrder(
                symbol=symbol,
                base=base,
                side=side,
                price=price,
                base_qty=quote_qty / price,
                quote_qty=quote_qty,
                fee=Decimal("0.2"),
                fee_asset="USDT",
                placed_at_ms=filled_at - 60_000 * random_.randrange(1, 90),
                filled_at_ms=filled_at,
                bonus_quote=Decimal(f"{random_.gauss(1, 9):.6f}"),
            )
        )
    return found


def _months(fills: Sequence[FilledOrder], nav: Sequence[float], times: Sequence[int], bonus: Decimal) -> list[Month]:
    traded: dict[str, list[FilledOrder]] = {}
    for fill in fills:
        traded.setdefault(_month(fill.filled_at_ms), []).append(fill)
    last: dict[str, float] = {}
    for at, value in zip(times, nav, strict=True):
        last[_month(at)] = value
    months, before = [], nav[0]
    for i, (month, value) in enumerate(last.items()):
        here = traded.get(month, [])
        turnover = sum((fill.quote_qty for fill in here), Decimal(0))
        gained = Decimal(f"{100 * (value / before - 1):.4f}")
        share = bonus / len(last) * (-2 if i % 3 == 1 else 1)
        months.append(
            Month(
                month=month,
                nav_end=Decimal(f"{value:.8f}"),
                return_pct=gained,
                hold_return_pct=gained - Decimal("0.31"),
                buy_once_return_pct=gained + Decimal("0.12"),
                bonus_quote=share,
                fills=len(here),
                turnover_quote=turnover,
                fees_quote=turnover / 1000,
            )
        )
        before = value
    return months


def _month(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m}"


def _findings(days: int, *, damaged: bool) -> Findings:
    last_ms = START_MS + days * DAY_MS - 60_000
    if damaged:
        return Findings(days * 1440 - 512, START_MS, last_ms, 7, 512, 300, 41, 11, 3, 2, 1)
    return Findings(days * 1440, START_MS, last_ms, 0, 0, 0, 0, 0, 0, 0, 0)
