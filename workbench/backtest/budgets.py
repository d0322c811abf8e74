"""Budgets along a timeline: when a strategy would have been paused, and because of what.

Nobody can be asked in a backtest. So an owner is assumed who looks at each pause every 24 hours, and ends it once what
it was for has passed; in a real account it lasts until a person has said so.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from botbalance.engine import (
    Balance,
    BudgetFinding,
    BudgetLimits,
    BudgetRule,
    Fill,
    Tally,
    count_fill,
    count_placed,
    fee_in_quote,
    kept_hours,
    observe,
    observed_nav,
    review_budgets,
    review_falls,
)
from botbalance.engine.budgets import DAY_HOURS, WEEK_HOURS
from botbalance.engine.durations import HOUR_S
from numpy.typing import NDArray

from workbench.backtest.timeline import Timeline

_OWNER_LOOKS_EVERY_S = 86_400
_PRUNED_EVERY = 500
"""Hours of a pair."""


@dataclass(slots=True)
class BacktestPause:
    """From when until when (epoch milliseconds; None: still at the end) something was paused, and why.

    ``symbol`` is None where it was the whole account; a fall pauses a pair's buys alone.
    """

    rule: BudgetRule
    symbol: str | None
    from_ms: int
    until_ms: int | None
    evidence: str


class BudgetWatch:
    """What a run has traded, and what is paused of it now. Methods must run in exact arithmetic."""

    def __init__(self, limits: BudgetLimits, timeline: Timeline) -> None:
        self.pauses: list[BacktestPause] = []
        self._limits = limits
        self._timeline = timeline
        self._tallies: dict[str, dict[int, Tally]] = {symbol: {} for symbol in timeline.symbols}
        self._open: dict[str, BacktestPause] = {}
        self._looks_at: dict[str, int] = {}
        self._resumed: dict[str, int] = {}
        self._is_reviewed = True
        """Whether nothing was traded since the last review that could come to more than a limit."""
        self._placed_at: deque[int] = deque()
        self._fallen = {symbol: _fallen(timeline, row, limits.fall_pct) for row, symbol in enumerate(timeline.symbols)}

    def count_placed(self, symbol: str, now: int) -> None:
        """Count an order that was placed; what many of them come to is reviewed at the next candle."""
        self._tallies[symbol] = count_placed(self._tallies[symbol], now)
        self._placed_at.append(now)
        while self._placed_at[0] <= now - DAY_HOURS * HOUR_S:
            self._placed_at.popleft()
        of_this_hour = self._tallies[symbol][now // HOUR_S].placed
        of_this_day = len(self._placed_at)
        limits = self._limits
        if of_this_hour > limits.unfilled_orders or of_this_day > limits.orders_per_pair * len(self._tallies):
            self._is_reviewed = False

    def count_fill(self, symbol: str, fill: Fill, now: int) -> None:
        """Count an order that was filled whole."""
        hours = count_fill(self._tallies[symbol], fill, fee_in_quote(fill, {}), now, is_first=True)
        self._tallies[symbol] = (
            kept_hours(hours, now, list(self._resumed.values())) if len(hours) > _PRUNED_EVERY else hours
        )
        self._is_reviewed = False

    def review(self, candle: int, balances: Mapping[str, Balance], prices: Mapping[str, Decimal], quote: str) -> None:
        """Pause what is over a limit at the end of ``candle``, and end what has passed and whose owner looks now."""
        now = self._timeline.ends_at_ms(candle) // 1000
        due = {key for key, looks_at in self._looks_at.items() if now >= looks_at}
        if due or not self._is_reviewed:
            nav = observed_nav(observe(balances, prices, balances), quote)
            findings = review_budgets(
                self._tallies, self._limits, now, nav=nav, symbols=self._timeline.symbols, resumed=self._resumed
            )
            self._is_reviewed = True
        else:
            findings = []
        self._apply(candle, [*findings, *self._falls(candle, now, prices, due)], due)

    def paused_symbols(self) -> set[str]:
        """The pairs on which nothing is placed now."""
        if any(pause.symbol is None for pause in self._open.values()):
            return set(self._timeline.symbols)
        return {
            pause.symbol
            for pause in self._open.values()
            if pause.symbol is not None and pause.rule is not BudgetRule.FALL
        }

    def buy_paused_symbols(self) -> set[str]:
        """The pairs of which nothing is bought now."""
        falls = [pause for pause in self._open.values() if pause.rule is BudgetRule.FALL]
        return {pause.symbol for pause in falls if pause.symbol is not None}

    def next_candle(self, following: int, stop: int) -> int:
        """The first candle from ``following`` on, before ``stop``, at which a pause may begin or end; else ``stop``."""
        if not self._is_reviewed:
            return following
        for symbol, fallen in self._fallen.items():
            if f"{BudgetRule.FALL}-{symbol}" not in self._open:
                place = int(np.searchsorted(fallen, following))
                if place < len(fallen):
                    stop = min(stop, int(fallen[place]))
        if self._looks_at:
            stop = min(stop, self._timeline.first_ending_at(min(self._looks_at.values()) * 1000, following))
        return stop

    def _falls(self, candle: int, now: int, prices: Mapping[str, Decimal], due: set[str]) -> list[BudgetFinding]:
        highs = {}
        for symbol, fallen in self._fallen.items():
            key = f"{BudgetRule.FALL}-{symbol}"
            place = int(np.searchsorted(fallen, candle))
            is_near = place < len(fallen) and fallen[place] == candle
            if is_near and (key not in self._open or key in due):
                highs[symbol] = self._high(symbol, candle, now, self._resumed.get(key))
        return review_falls(prices, {symbol: high for symbol, high in highs.items() if high}, self._limits)

    def _high(self, symbol: str, candle: int, now: int, resumed_at: int | None) -> Decimal:
        """The high of 7 days, or since its owner last resumed it; 0 where no candle is that new."""
        since = now - WEEK_HOURS * HOUR_S
        if resumed_at is not None:
            since = max(since, (resumed_at // HOUR_S + 1) * HOUR_S)
        first = int(np.searchsorted(self._timeline.times_ms, since * 1000))
        highs = [self._timeline.extremes_at(symbol, index) for index in range(first, candle + 1)]
        return max((extremes[1] for extremes in highs if extremes is not None), default=Decimal(0))

    def _apply(self, candle: int, findings: list[BudgetFinding], due: set[str]) -> None:
        now_ms = self._timeline.ends_at_ms(candle)
        exceeded = {finding.finding_id: finding for finding in findings if finding.exceeded}
        for key in due - exceeded.keys():
            self._open.pop(key).until_ms = now_ms
            del self._looks_at[key]
            self._resumed[key] = now_ms // 1000
        for key, finding in exceeded.items():
            if key not in self._open:
                pause = BacktestPause(finding.rule, finding.symbol, now_ms, None, finding.evidence)
                self._open[key] = pause
                self.pauses.append(pause)
        for key in exceeded.keys() & (due | (self._open.keys() - self._looks_at.keys())):
            self._looks_at[key] = now_ms // 1000 + _OWNER_LOOKS_EVERY_S


def _fallen(timeline: Timeline, row: int, fall_pct: Decimal) -> NDArray[np.int64]:
    """The candles at whose close a symbol may be that far below its high of 7 days; none too few."""
    width = max(1, WEEK_HOURS * HOUR_S * 1000 // timeline.candle_ms)
    high, close = timeline.high[row].astype(np.float64), timeline.close[row].astype(np.float64)
    high[timeline.high[row] < 0] = 0  # no candle
    highest = _rolling_max(high, width)
    return np.flatnonzero(close <= highest * (1 - float(fall_pct) / 100) * (1 + 1e-9))


def _rolling_max(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Of the last ``width`` values each, by doubling."""
    result, reach = values.copy(), 1
    while reach < width:
        step = min(reach, width - reach)
        result[step:] = np.maximum(result[step:], result[:-step]) if step < len(result) else result[step:]
        reach += step
    return result
