"""What a backtest found: everything that was traded, what it came to, and against what that is measured.

Amounts are in quote, ``*_pct`` in percent, times in epoch milliseconds. Everything that is money is exact; ``Series``
is for pictures only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine import Balance, MarketRules, Side, StrategyConfig

from workbench.backtest.budgets import BacktestPause
from workbench.candles.recording import Findings


@dataclass(frozen=True, slots=True)
class FilledOrder:
    """An order that filled, whole, at its limit price.

    ``placed_at_ms`` is the end of the candle that it was decided on, ``filled_at_ms`` the end of the candle that traded
    through it; ``fee`` is in units of ``fee_asset``. ``bonus_quote`` is what the fill contributed to NAV over holding,
    at the last prices.
    """

    symbol: str
    base: str
    side: Side
    price: Decimal
    base_qty: Decimal
    quote_qty: Decimal
    fee: Decimal
    fee_asset: str
    placed_at_ms: int
    filled_at_ms: int
    bonus_quote: Decimal


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What would have been left without rebalancing: worth at the end in quote, and the return in percent."""

    nav_end: Decimal
    return_pct: Decimal


@dataclass(frozen=True, slots=True)
class Orders:
    """How many orders were placed, and what became of them; ``canceled`` by reason. ``resting`` at the end.

    ``fill_rate_pct`` is of those that are no longer resting. Times to the fill in seconds, whole candles; None without
    a fill.
    """

    placed: int
    filled: int
    canceled: Mapping[str, int]
    resting: int
    fill_rate_pct: Decimal | None
    median_time_to_fill_s: int | None
    longest_time_to_fill_s: int | None


@dataclass(frozen=True, slots=True)
class Growth:
    """Why rebalancing did better or worse than buying the targets once, in percent of logarithmic growth.

    ``volatility_return_pct`` is the portfolio's growth over the average growth of its targets, ``dispersion_pct`` that
    of the targets bought once; the first less the second is ``rebalancing_return_pct``, exactly.
    """

    volatility_return_pct: Decimal
    dispersion_pct: Decimal
    rebalancing_return_pct: Decimal


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of NAV from a peak, in percent of the peak; both None where NAV never fell."""

    pct: Decimal
    peak_at_ms: int | None
    trough_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Month:
    """One calendar month (UTC, ``2017-01``): NAV at its end, and what was traded in it.

    ``bonus_quote`` is what the month's fills contribute at the last prices of the whole backtest; the months add up to
    the total. The three returns are of this month alone.
    """

    month: str
    nav_end: Decimal
    return_pct: Decimal
    hold_return_pct: Decimal
    buy_once_return_pct: Decimal
    bonus_quote: Decimal
    fills: int
    turnover_quote: Decimal
    fees_quote: Decimal


@dataclass(frozen=True, slots=True)
class Series:
    """At most a thousand moments, evenly spread, the last one included; for pictures.

    ``weights_pct`` by asset (the quote asset too), ``prices`` (quote per base) by symbol.
    """

    times_ms: Sequence[int]
    nav: Sequence[float]
    hold: Sequence[float]
    buy_once: Sequence[float]
    weights_pct: Mapping[str, Sequence[float]]
    prices: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Band:
    """The band at a moment: in quote, and in percent of NAV."""

    quote: Decimal
    pct: Decimal


@dataclass(frozen=True, slots=True)
class Oversized:
    """When an order was worth more than the band, so that a fill could overshoot and be traded back.

    ``candles_pct`` is the share of candles at whose end it was so; ``fills`` are of orders decided then, and
    ``fees_quote`` what they paid, each at the price of its own fill.
    """

    candles_pct: Decimal
    fills: int
    fees_quote: Decimal


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """``nav_end`` − ``hold_quote`` = ``bonus_quote`` = the sum of the fills' contributions, to the last digit.

    ``hold_quote`` is the starting quantities at the last prices. ``fees_quote`` values each fee at the price of its own
    fill. ``inside_band_pct`` is the share of candles at whose end no asset was further from its target than the band;
    ``mean_drift_pct`` the drift averaged over all candles. ``volatility_pct`` is of daily logarithmic returns, yearly.
    ``return_a_year_pct`` is compounded; ``sharpe`` and ``sortino`` are of the same daily returns, yearly, without a
    riskless rate; all three are None for less than thirty days. ``turnover_of_nav`` and ``fees_of_nav_pct`` are in
    terms of ``nav_start``. ``largest`` is all of it in ``largest_asset``, that with the largest target.
    ``warnings`` are what must be known of the data first. ``pauses`` are what the strategy's budgets would have paused.
    """

    engine_version: str
    quote_asset: str
    target_allocations: Mapping[str, Decimal]
    config: StrategyConfig
    fee_pct: Decimal
    market_rules: Mapping[str, MarketRules]
    rules_source: str
    data: Mapping[str, Findings]
    warnings: Sequence[str]
    start_ms: int
    end_ms: int
    candle_ms: int
    candles: int
    decisions: int
    start_balances: Mapping[str, Decimal]
    start_prices: Mapping[str, Decimal]
    end_balances: Mapping[str, Balance]
    end_prices: Mapping[str, Decimal]
    nav_start: Decimal
    nav_end: Decimal
    return_pct: Decimal
    hold_quote: Decimal
    hold: Benchmark
    buy_once: Benchmark
    bonus_quote: Decimal
    bonus_by_asset: Mapping[str, Decimal]
    bonus_by_month: Mapping[str, Decimal]
    growth: Growth
    turnover_quote: Decimal
    fees_quote: Decimal
    orders: Orders
    band_start: Band
    band_end: Band
    oversized: Oversized
    inside_band_pct: Decimal
    mean_drift_pct: Decimal
    drawdown: Drawdown
    volatility_pct: Decimal | None
    return_a_year_pct: Decimal | None
    sharpe: Decimal | None
    sortino: Decimal | None
    turnover_of_nav: Decimal
    fees_of_nav_pct: Decimal
    largest_asset: str
    largest: Benchmark
    verdict: str
    months: Sequence[Month]
    fills: Sequence[FilledOrder]
    series: Series
    pauses: Sequence[BacktestPause] = ()
