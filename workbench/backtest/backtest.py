"""From files to a result: reads candles, strategy, rules and start, simulates, and measures."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from botbalance.api.account_schemas import StrategyRequest
from botbalance.engine import MarketRules
from botbalance.errors import InvalidRequestError
from botbalance.models.strategy import Strategy
from pydantic_core import to_jsonable_python

from workbench.backtest import inputs
from workbench.backtest.data_warnings import doubts_within, find_warnings
from workbench.backtest.metrics import measure
from workbench.backtest.result import BacktestResult
from workbench.backtest.simulation import BacktestConfig, simulate
from workbench.backtest.timeline import Timeline, build_timeline
from workbench.candles.recording import Findings, read_recording
from workbench.portfolios import demo as demo_portfolio

_EXPONENT = re.compile(r"-?\d+(\.\d+)?E[+-]?\d+")


@dataclass(frozen=True, slots=True)
class BacktestFiles:
    """Where everything comes from: a folder of candles, a strategy; rules and start where they are given.

    ``start_ms`` and ``end_ms`` cut the candles; ``timeframe`` (``1h``) chooses among candles of several lengths;
    ``rules_of`` is an exchange that is asked for its rules where there is no file of them; ``worth`` in quote is what a
    portfolio is worth that is not given.
    """

    candles: Path
    strategy: Path
    start_ms: int | None = None
    end_ms: int | None = None
    rules: Path | None = None
    rules_of: str | None = None
    balances: Path | None = None
    worth: Decimal = demo_portfolio.WORTH
    fee_pct: Decimal = Decimal("0.1")
    timeframe: str | None = None


@dataclass(frozen=True, slots=True)
class BacktestInputs:
    """Everything read and checked, before anything is tried; ``worth`` in quote is of a start that is not given.

    ``warnings`` are what must be known of the data; ``doubted`` the symbols with prices that may not be true.
    """

    strategy: StrategyRequest
    worth: Decimal
    setup: BacktestConfig
    timeline: Timeline
    data: dict[str, Findings]
    warnings: list[str]
    doubted: list[str]
    rules_source: str

    def on_targets(self, prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """What it starts with at ``prices`` (symbol to quote per base) where nothing is given."""
        return inputs.balances_at_targets(self.strategy, prices, self.worth)


def prepare(files: BacktestFiles) -> BacktestInputs:
    """Read what ``files`` name. Raises InvalidRequestError, CandleFileError or InvalidStrategyError, naming what is
    wrong."""
    strategy = demo_portfolio.read_strategy(files.strategy)
    pairs = inputs.pairs_by_asset(strategy)
    if not pairs:
        raise InvalidRequestError(
            "strategy_file", f"--strategy is {files.strategy}: it names no asset but the quote asset"
        )
    if not files.candles.is_dir():
        raise InvalidRequestError("candles", f"--candles is {files.candles}, expected a folder with candle files")
    if not 0 <= files.fee_pct < 100:
        raise InvalidRequestError("fee_pct", f"--fee-pct is {files.fee_pct}, expected a percentage from 0 to under 100")
    recordings = [read_recording(files.candles, symbol, files.timeframe) for symbol in pairs]
    timeline = build_timeline(recordings, files.start_ms, files.end_ms)
    doubts = doubts_within(recordings, int(timeline.times_ms[0]), int(timeline.times_ms[-1]) + timeline.candle_ms)
    first_prices = timeline.closes_at(0)
    rules, source = _rules(files, strategy, first_prices)
    if files.balances is not None:
        balances = inputs.read_balances(files.balances, strategy)
    else:
        balances = inputs.balances_at_targets(strategy, first_prices, files.worth)
    stored = Strategy.model_validate(strategy.model_dump() | {"user_id": "backtest"})
    setup = BacktestConfig(
        target_allocations=strategy.target_allocations,
        config=stored.config(),
        market_rules=inputs.with_fee(rules, files.fee_pct),
        start_balances=balances,
        fee_pct=files.fee_pct,
        budgets=stored.budgets,
    )
    return BacktestInputs(
        strategy,
        files.worth,
        setup,
        timeline,
        {recording.symbol: recording.findings for recording in recordings},
        find_warnings(recordings, timeline, files.end_ms),
        sorted({doubt.symbol for doubt in doubts}),
        source,
    )


def run(prepared: BacktestInputs, on_progress: Callable[[int], None] = lambda _: None) -> BacktestResult:
    """Try the strategy and measure what came of it."""
    outcome = simulate(prepared.setup, prepared.timeline, on_progress=on_progress)
    return measure(
        prepared.setup,
        prepared.timeline,
        outcome,
        data=prepared.data,
        warnings=prepared.warnings,
        doubted=prepared.doubted,
        rules_source=prepared.rules_source,
    )


def as_document(result: BacktestResult) -> dict[str, Any]:
    """The result for programs: money as decimal strings, all plain; without the series for pictures."""
    document: dict[str, Any] = _plain(to_jsonable_python(result, exclude={"series"}))
    return document


def _plain(document: Any) -> Any:
    """``document`` without exponents: a zero of eight places is ``0.00000000``, not ``0E-8``."""
    match document:
        case dict():
            return {name: _plain(value) for name, value in document.items()}
        case list():
            return [_plain(value) for value in document]
        case str() if _EXPONENT.fullmatch(document):
            return f"{Decimal(document):f}"
        case _:
            return document


def _rules(
    files: BacktestFiles, strategy: StrategyRequest, first_prices: dict[str, Decimal]
) -> tuple[dict[str, MarketRules], str]:
    if files.rules is not None:
        return inputs.read_rules(files.rules, strategy), f"given: {files.rules.name}"
    if files.rules_of is not None:
        return inputs.fetched_rules(files.rules_of, strategy), f"as {files.rules_of} states them"
    return inputs.assumed_rules(strategy, first_prices), inputs.ASSUMED
