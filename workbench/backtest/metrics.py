"""What a simulated run came to.

Money is exact; what is only looked at (where the drawdown is, volatility, drift) is found in arrays, and rounded.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby, pairwise
from statistics import median_low

import numpy as np
from botbalance import engine
from botbalance.engine import Fill, StrategyConfig, band_quote, compute_bonus, hold_value
from botbalance.engine.arithmetic import HUNDRED, NEAREST, ONE, PERCENT, ZERO, ExactArithmetic
from numpy.typing import NDArray

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
from workbench.backtest.simulation import BacktestConfig, Outcome
from workbench.backtest.timeline import Timeline
from workbench.candles.recording import Findings

_DAY_MS = 86_400_000
_DAYS_A_YEAR = 365
_LEAST_DAYS = 30
_PICTURED = 1_000
_PLACES = Decimal("1e-6")
_EQUAL = 1e-9
"""Of numbers in arrays that are the same in exact arithmetic."""
_CENTS = Decimal("0.01")

type Quantities = Mapping[str, Decimal]


def measure(
    setup: BacktestConfig,
    timeline: Timeline,
    outcome: Outcome,
    *,
    data: Mapping[str, Findings],
    rules_source: str,
    warnings: Sequence[str] = (),
    doubted: Sequence[str] = (),
) -> BacktestResult:
    """The whole account of a run."""
    books = _Books(setup, timeline, outcome)
    last = len(timeline) - 1
    end_prices = books.prices_at(last)
    months = [(_month(timeline, candle), fill) for candle, fill in books.fills]
    bonus = compute_bonus(months, end_prices)
    fills = _filled_orders(books, timeline, bonus.by_fill)
    nav_start, nav_end = books.nav(0), books.nav(last)
    hold, buy_once = books.hold_at(last), books.buy_once_at(last)
    arrays = books.arrays()
    returns = _daily_returns(timeline, arrays.nav)
    largest_asset, largest = _largest_alone(books)
    with ExactArithmetic():
        turnover = sum((fill.quote_qty for fill in fills), ZERO)
    fees = _fees_quote(books)
    return BacktestResult(
        engine_version=engine.VERSION,
        quote_asset=setup.config.quote_asset,
        target_allocations=setup.target_allocations,
        config=setup.config,
        fee_pct=setup.fee_pct,
        market_rules=setup.market_rules,
        rules_source=rules_source,
        data=data,
        warnings=warnings,
        start_ms=timeline.ends_at_ms(0),
        end_ms=timeline.ends_at_ms(last),
        candle_ms=timeline.candle_ms,
        candles=len(timeline),
        decisions=outcome.decisions,
        start_balances=setup.start_balances,
        start_prices=timeline.closes_at(0),
        end_balances=outcome.balances,
        end_prices=timeline.closes_at(last),
        nav_start=nav_start,
        nav_end=nav_end,
        return_pct=_change_pct(nav_start, nav_end),
        hold_quote=hold,
        hold=Benchmark(hold, _change_pct(nav_start, hold)),
        buy_once=Benchmark(buy_once, _change_pct(nav_start, buy_once)),
        bonus_quote=bonus.total,
        bonus_by_asset=bonus.by_asset,
        bonus_by_month=bonus.by_day,
        growth=_growth(setup, timeline, nav_start, nav_end, buy_once),
        turnover_quote=turnover,
        fees_quote=fees,
        orders=_count_orders(outcome, fills),
        band_start=_band(setup.config, nav_start),
        band_end=_band(setup.config, nav_end),
        oversized=_oversized(books, arrays.oversized),
        inside_band_pct=_of_array(100 * arrays.inside_band.mean()),
        mean_drift_pct=_of_array(100 * arrays.drift.mean()),
        drawdown=_drawdown(books, arrays.nav),
        volatility_pct=_volatility(returns),
        return_a_year_pct=_return_a_year(timeline, nav_start, nav_end),
        sharpe=_sharpe(returns),
        sortino=_sortino(returns),
        turnover_of_nav=_rounded(NEAREST.divide(turnover, nav_start)),
        fees_of_nav_pct=_rounded(NEAREST.divide(fees, nav_start) * HUNDRED),
        largest_asset=largest_asset,
        largest=largest,
        verdict=_doubting(doubted) + _verdict(setup.config.quote_asset, nav_end, hold, buy_once, traded=bool(fills)),
        months=_months(books, fills, bonus.by_day),
        fills=fills,
        series=_series(books, arrays.nav),
        pauses=outcome.pauses,
    )


def _filled_orders(books: "_Books", timeline: Timeline, contributions: Sequence[Decimal]) -> list[FilledOrder]:
    """The fills, each with its order and what it added, in quote."""
    return [
        FilledOrder(
            symbol=order.action.symbol,
            base=fill.base,
            side=fill.side,
            price=fill.price,
            base_qty=fill.base_qty,
            quote_qty=fill.quote_qty,
            fee=fill.fee,
            fee_asset=fill.fee_asset,
            placed_at_ms=timeline.ends_at_ms(order.placed_in),
            filled_at_ms=timeline.ends_at_ms(candle),
            bonus_quote=contribution,
        )
        for order, (candle, fill), contribution in zip(books.filled_orders, books.fills, contributions, strict=True)
    ]


def _count_orders(outcome: Outcome, fills: Sequence[FilledOrder]) -> Orders:
    """What became of all orders, and how long the fills took."""
    filled = sum(order.ended_in is not None and order.canceled is None for order in outcome.orders)
    canceled = Counter(str(order.canceled) for order in outcome.orders if order.canceled is not None)
    ended = filled + canceled.total()
    waits = [(fill.filled_at_ms - fill.placed_at_ms) // 1000 for fill in fills]
    return Orders(
        placed=len(outcome.orders),
        filled=filled,
        canceled=dict(canceled),
        resting=len(outcome.orders) - ended,
        fill_rate_pct=_rounded(Decimal(100 * filled) / ended) if ended else None,
        median_time_to_fill_s=median_low(waits) if waits else None,
        longest_time_to_fill_s=max(waits, default=None),
    )


@dataclass(frozen=True, slots=True)
class Gains:
    """Of a run, what a search compares: as in its result, without what takes a look at every candle."""

    growth: Growth
    bonus_quote: Decimal
    fees_quote: Decimal
    fills: int


def measure_gains(setup: BacktestConfig, timeline: Timeline, outcome: Outcome) -> Gains:
    """The part of :func:`measure` that takes a look at the first and the last candle alone."""
    books, last = _Books(setup, timeline, outcome), len(timeline) - 1
    growth = _growth(setup, timeline, books.nav(0), books.nav(last), books.buy_once_at(last))
    months = [(_month(timeline, candle), fill) for candle, fill in books.fills]
    bonus = compute_bonus(months, books.prices_at(last))
    return Gains(growth, bonus.total, _fees_quote(books), len(books.fills))


class _Arrays:
    """By candle: NAV in quote, whether every asset is inside its band and an order worth more than the band, and the
    drift as a fraction."""

    def __init__(self, candles: int) -> None:
        self.nav = np.empty(candles)
        self.inside_band = np.empty(candles, dtype=np.bool_)
        self.oversized = np.empty(candles, dtype=np.bool_)
        self.drift = np.empty(candles)


class _Books:
    """What was held when, and what it was worth: after the fills of each candle."""

    def __init__(self, setup: BacktestConfig, timeline: Timeline, outcome: Outcome) -> None:
        self.setup, self.timeline = setup, timeline
        filled = sorted(
            ((order, *dated) for order in outcome.orders for dated in order.fills),
            key=lambda one: (one[1], one[0].number),
        )
        self.filled_orders = [order for order, _, _ in filled]
        self.fills: list[tuple[int, Fill]] = [(candle, fill) for _, candle, fill in filled]
        quantities = dict(setup.start_balances)
        self._since = [0]
        self._held: list[Quantities] = [dict(quantities)]
        with ExactArithmetic():
            for candle, fills in groupby(self.fills, key=lambda dated: dated[0]):
                for _, fill in fills:
                    _apply(quantities, fill)
                self._since.append(candle)
                self._held.append(dict(quantities))
        self.bought_once = buy_and_hold_targets(setup, self.prices_at(0))

    def prices_at(self, candle: int) -> dict[str, Decimal]:
        """The closes of a candle, asset to quote."""
        closes = self.timeline.closes_at(candle)
        quote = self.setup.config.quote_asset
        return {self.setup.market_rules[symbol].base: price for symbol, price in closes.items()} | {quote: ONE}

    def held_at(self, candle: int) -> Quantities:
        return self._held[bisect_right(self._since, candle) - 1]

    def nav(self, candle: int) -> Decimal:
        """What was held at the end of a candle, at its closes: exact."""
        return hold_value(self.held_at(candle), self.prices_at(candle))

    def hold_at(self, candle: int) -> Decimal:
        return hold_value(self.setup.start_balances, self.prices_at(candle))

    def buy_once_at(self, candle: int) -> Decimal:
        return NEAREST.plus(hold_value(self.bought_once, self.prices_at(candle)))

    def closes(self, begin: int, end: int, step: int = 1) -> NDArray[np.float64]:
        """Closes in quote, a row a symbol; a step of more than 1 leaves candles out."""
        return np.array(
            [
                column[begin:end:step] * 10.0**-decimals
                for column, decimals in zip(self.timeline.close, self.timeline.decimals, strict=True)
            ]
        )

    def portfolio_values(self, quantities: Quantities, closes: NDArray[np.float64]) -> NDArray[np.float64]:
        """What quantities are worth at ``closes``, for pictures and statistics."""
        quote = float(quantities.get(self.setup.config.quote_asset, ZERO))
        worth: NDArray[np.float64] = (self._column(quantities).T @ closes)[0] + quote
        return worth

    def portfolio_weights(self, quantities: Quantities, closes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The fraction of NAV of each symbol's asset."""
        weights: NDArray[np.float64] = self._column(quantities) * closes / self.portfolio_values(quantities, closes)
        return weights

    def _column(self, quantities: Quantities) -> NDArray[np.float64]:
        bases = [self.setup.market_rules[symbol].base for symbol in self.timeline.symbols]
        return np.array([[float(quantities.get(base, ZERO))] for base in bases])

    def arrays(self) -> _Arrays:
        arrays = _Arrays(len(self.timeline))
        targets = np.array([[float(target)] for target in self._targets()]) / 100
        quote_target = float(self.setup.target_allocations.get(self.setup.config.quote_asset, ZERO)) / 100
        config = self.setup.config
        share = float(config.min_delta_pct or ZERO) / 100
        size = float(config.order_size_pct) / 100
        for (begin, end), held in zip(pairwise([*self._since, len(self.timeline)]), self._held, strict=True):
            if begin == end:
                continue
            closes = self.closes(begin, end)
            nav = self.portfolio_values(held, closes)
            off = self.portfolio_weights(held, closes) - targets
            quote_off = off.sum(axis=0) + (targets.sum() + quote_target - 1)  # all weights sum to 1
            arrays.nav[begin:end] = nav
            band = np.maximum(float(config.min_delta_quote), nav * share)
            arrays.inside_band[begin:end] = (np.abs(off) * nav < band).all(axis=0)
            arrays.oversized[begin:end] = nav * size > band * (1 + _EQUAL)
            arrays.drift[begin:end] = (np.abs(off).sum(axis=0) + np.abs(quote_off)) / 2
        return arrays

    def _targets(self) -> list[Decimal]:
        bases = [self.setup.market_rules[symbol].base for symbol in self.timeline.symbols]
        return [self.setup.target_allocations[base] for base in bases]


def _apply(quantities: dict[str, Decimal], fill: Fill) -> None:
    """Book a fill on ``quantities``, exactly."""
    base, quote = (fill.base_qty, -fill.quote_qty) if fill.side == "buy" else (-fill.base_qty, fill.quote_qty)
    for asset, change in ((fill.base, base), (fill.quote, quote), (fill.fee_asset, -fill.fee)):
        quantities[asset] = quantities.get(asset, ZERO) + change


def buy_and_hold_targets(setup: BacktestConfig, prices: Quantities) -> dict[str, Decimal]:
    """The targets, bought with the starting quantities at the first closes; each trade pays the fee. To 28 digits."""
    nav = hold_value(setup.start_balances, prices)
    with ExactArithmetic():
        quote = setup.config.quote_asset
        traded = sum(
            (
                abs(nav * target * PERCENT - setup.start_balances.get(asset, ZERO) * prices[asset])
                for asset, target in setup.target_allocations.items()
                if asset != quote
            ),
            ZERO,
        )
        left = nav - traded * setup.fee_pct * PERCENT
        return {
            asset: NEAREST.divide(left * target * PERCENT, prices[asset])
            for asset, target in setup.target_allocations.items()
        }


def _fees_quote(books: _Books) -> Decimal:
    with ExactArithmetic():
        return sum((_fee_quote(fill) for _, fill in books.fills), ZERO)


def _fee_quote(fill: Fill | FilledOrder) -> Decimal:
    """A fill's fee in quote, at its own price."""
    return fill.fee * fill.price if fill.fee_asset == fill.base else fill.fee


def _band(config: StrategyConfig, nav: Decimal) -> Band:
    with ExactArithmetic():
        amount = band_quote(config, nav)
        return Band(amount, _rounded(NEAREST.divide(amount * HUNDRED, nav)))


def _oversized(books: _Books, oversized: NDArray[np.bool_]) -> Oversized:
    """How often an order was worth more than the band, and what the fills of such orders cost."""
    config = books.setup.config
    fills, fees = 0, ZERO
    with ExactArithmetic():
        for order, (_, fill) in zip(books.filled_orders, books.fills, strict=True):
            nav = order.action.quote_amount * HUNDRED / config.order_size_pct
            if order.action.quote_amount > band_quote(config, nav):
                fills += 1
                fees += _fee_quote(fill)
    return Oversized(_of_array(100 * oversized.mean()), fills, fees)


def _growth(
    setup: BacktestConfig, timeline: Timeline, nav_start: Decimal, nav_end: Decimal, buy_once: Decimal
) -> Growth:
    """Volatility return less dispersion, as W. Hallerbach splits it in "Disentangling rebalancing return" (2014)."""
    first, last = timeline.closes_at(0), timeline.closes_at(len(timeline) - 1)
    with ExactArithmetic():
        average = sum(
            (
                _log_growth_pct(first[symbol], last[symbol]) * setup.target_allocations[market.base] * PERCENT
                for symbol, market in setup.market_rules.items()
            ),
            ZERO,
        )
        volatility = (_log_growth_pct(nav_start, nav_end) - average).quantize(_PLACES, context=NEAREST)
        dispersion = (_log_growth_pct(nav_start, buy_once) - average).quantize(_PLACES, context=NEAREST)
        return Growth(volatility, dispersion, volatility - dispersion)


def _log_growth_pct(before: Decimal, after: Decimal) -> Decimal:
    return NEAREST.ln(NEAREST.divide(after, before)) * HUNDRED


def _drawdown(books: _Books, nav: NDArray[np.float64]) -> Drawdown:
    falls = nav / np.maximum.accumulate(nav)
    trough = int(falls.argmin())
    peak = int(nav[: trough + 1].argmax())
    fall = -_change_pct(books.nav(peak), books.nav(trough))
    if fall <= 0:
        return Drawdown(ZERO, None, None)
    return Drawdown(fall, books.timeline.ends_at_ms(peak), books.timeline.ends_at_ms(trough))


def _daily_returns(timeline: Timeline, nav: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithmic, from day's end to day's end (UTC)."""
    days = (timeline.times_ms + timeline.candle_ms - 1) // _DAY_MS
    ends = np.flatnonzero(np.diff(days, append=days[-1] + 1))
    returns: NDArray[np.float64] = np.diff(np.log(nav[ends]))
    return returns


def _volatility(returns: NDArray[np.float64]) -> Decimal | None:
    """Of daily returns, yearly, in percent; None with fewer than two of them."""
    if len(returns) < 2:
        return None
    return _of_array(100 * returns.std(ddof=1) * np.sqrt(_DAYS_A_YEAR))


def _sharpe(returns: NDArray[np.float64]) -> Decimal | None:
    """Mean over standard deviation of daily returns, yearly, without a riskless rate; None where nothing varied."""
    if len(returns) < _LEAST_DAYS or not returns.std(ddof=1):
        return None
    return _of_array(returns.mean() / returns.std(ddof=1) * np.sqrt(_DAYS_A_YEAR))


def _sortino(returns: NDArray[np.float64]) -> Decimal | None:
    """As :func:`_sharpe`, over the deviation of the losing days alone: the root of their mean square over all days."""
    losses = np.sqrt(np.mean(np.minimum(returns, 0) ** 2)) if len(returns) >= _LEAST_DAYS else 0.0
    return _of_array(returns.mean() / losses * np.sqrt(_DAYS_A_YEAR)) if losses else None


def _return_a_year(timeline: Timeline, nav_start: Decimal, nav_end: Decimal) -> Decimal | None:
    """Compounded, in percent; None for less than ``_LEAST_DAYS``, of which a year says nothing."""
    days = Decimal(timeline.ends_at_ms(len(timeline) - 1) - timeline.ends_at_ms(0)) / _DAY_MS
    if days < _LEAST_DAYS:
        return None
    growth = NEAREST.power(NEAREST.divide(nav_end, nav_start), NEAREST.divide(Decimal(_DAYS_A_YEAR), days))
    return _rounded(growth * HUNDRED - HUNDRED)


def _largest_alone(books: _Books) -> tuple[str, Benchmark]:
    """The asset with the largest target, and what all of the start would be worth in it, its purchase's fee paid."""
    setup, last = books.setup, len(books.timeline) - 1
    assets = [asset for asset in setup.target_allocations if asset != setup.config.quote_asset]
    asset = max(assets, key=setup.target_allocations.__getitem__)
    nav = books.nav(0)
    with ExactArithmetic():
        spent = nav * (HUNDRED - setup.fee_pct) * PERCENT * books.prices_at(last)[asset]
    worth = NEAREST.divide(spent, books.prices_at(0)[asset])
    return asset, Benchmark(worth, _change_pct(nav, worth))


def _months(books: _Books, fills: Sequence[FilledOrder], bonus: Mapping[str, Decimal]) -> list[Month]:
    timeline = books.timeline
    months = timeline.times_ms.astype("datetime64[ms]").astype("datetime64[M]")
    ends = [int(end) for end in np.flatnonzero(np.diff(months.astype(np.int64), append=-1))]
    by_month: dict[str, list[FilledOrder]] = {}
    for fill in fills:
        by_month.setdefault(_format_month(fill.filled_at_ms - timeline.candle_ms), []).append(fill)
    rows = []
    before = 0
    for end in ends:
        name = _month(timeline, end)
        traded = by_month.get(name, [])
        with ExactArithmetic():
            turnover = sum((fill.quote_qty for fill in traded), ZERO)
            fees = sum(map(_fee_quote, traded), ZERO)
        rows.append(
            Month(
                month=name,
                nav_end=books.nav(end),
                return_pct=_change_pct(books.nav(before), books.nav(end)),
                hold_return_pct=_change_pct(books.hold_at(before), books.hold_at(end)),
                buy_once_return_pct=_change_pct(books.buy_once_at(before), books.buy_once_at(end)),
                bonus_quote=bonus.get(name, ZERO),
                fills=len(traded),
                turnover_quote=turnover,
                fees_quote=fees,
            )
        )
        before = end
    return rows


def _series(books: _Books, nav: NDArray[np.float64]) -> Series:
    candles = len(books.timeline)
    picked = sorted({round(at) for at in np.linspace(0, candles - 1, min(candles, _PICTURED))})
    closes = np.array([column[picked] for column in books.closes(0, candles)])
    held = [books.held_at(candle) for candle in picked]
    bases = [books.setup.market_rules[symbol].base for symbol in books.timeline.symbols]
    quantities = np.array([[float(held_then.get(base, ZERO)) for held_then in held] for base in bases])
    weights = 100 * quantities * closes / nav[picked]
    weights_pct = {base: row.tolist() for base, row in zip(bases, weights, strict=True)}
    return Series(
        times_ms=[books.timeline.ends_at_ms(candle) for candle in picked],
        nav=nav[picked].tolist(),
        hold=books.portfolio_values(books.setup.start_balances, closes).tolist(),
        buy_once=books.portfolio_values(books.bought_once, closes).tolist(),
        weights_pct=weights_pct | {books.setup.config.quote_asset: (100 - weights.sum(axis=0)).tolist()},
        prices={symbol: row.tolist() for symbol, row in zip(books.timeline.symbols, closes, strict=True)},
    )


def _doubting(doubted: Sequence[str]) -> str:
    return f"Resting on doubtful prices of {' and '.join(doubted)}: " if doubted else ""


def _verdict(quote: str, nav_end: Decimal, hold: Decimal, buy_once: Decimal, *, traded: bool) -> str:
    """One sentence that says who did better, and by how much."""
    if not traded:
        return "Nothing was traded: the strategy did exactly as well as holding."
    if nav_end == hold:
        return "Rebalancing did exactly as well as holding."
    by = f"{abs(nav_end - hold).quantize(_CENTS):,f} {quote}"
    against_hold = (
        f"Rebalancing ended {by} above holding the starting quantities"
        if nav_end > hold
        else f"Holding was better: rebalancing ended {by} below holding the starting quantities"
    )
    other = f"{abs(nav_end - buy_once).quantize(_CENTS):,f} {quote}"
    return f"{against_hold}, and {other} {'above' if nav_end >= buy_once else 'below'} buying the targets once."


def _month(timeline: Timeline, candle: int) -> str:
    return _format_month(int(timeline.times_ms[candle]))


def _format_month(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m")


def _change_pct(before: Decimal, after: Decimal) -> Decimal:
    return _rounded(NEAREST.divide(after, before) * HUNDRED - HUNDRED)


def _rounded(number: Decimal) -> Decimal:
    return NEAREST.quantize(number, _PLACES)


def _of_array(number: float | np.floating) -> Decimal:
    return _rounded(Decimal(float(number)))
