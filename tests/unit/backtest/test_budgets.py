"""What budgets pause on recorded candles and in collapses, and that a screened backtest pauses the same."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from botbalance.engine import BudgetLimits, BudgetRule, StrategyConfig, hold_value

from workbench.backtest.backtest import BacktestFiles, BacktestInputs, as_document, prepare, run
from workbench.backtest.budgets import BacktestPause
from workbench.backtest.inputs import moment
from workbench.backtest.report import render_report
from workbench.backtest.simulation import Outcome, simulate
from workbench.backtest.synthetic import Collapse, make_setup, walks
from workbench.backtest.timeline import Timeline
from workbench.cli.output import show
from workbench.cli.tables import backtest_table

CANDLES = Path(__file__).parents[3] / ".." / "shared" / "data" / "candles"
D = Decimal
WITHOUT_A_SHARE = {"order_size_pct": "2", "min_delta_quote": "120"}
SOUND = {"order_size_pct": "1", "min_delta_quote": "50", "min_delta_pct": "2"}
TARGETS = {"BTC": "30", "ETH": "20", "SOL": "15", "XRP": "15", "USDT": "20"}
CONFIG = StrategyConfig("USDT", D(1), D("0.4"), D(50), D(2))
NO_HALT = BudgetLimits(fall_pct=D(100))
recorded = pytest.mark.skipif(
    not CANDLES.is_dir(), reason="the recorded candles beside the repository (../shared/data/candles) are not here"
)


def prepared(
    folder: Path, parameters: dict[str, str], start: str | None = None, end: str | None = None
) -> BacktestInputs:
    file = folder / "strategy.json"
    targets = {"target_allocations": {"BTC": "60", "ETH": "30", "USDT": "10"}, "order_step_pct": "0.4"}
    file.write_text(json.dumps(targets | parameters))
    start_ms, end_ms = (None if day is None else moment(day, "--start") for day in (start, end))
    return prepare(BacktestFiles(CANDLES, file, start_ms=start_ms, end_ms=end_ms))


def paused_on(pause: BacktestPause) -> str:
    return datetime.fromtimestamp(pause.from_ms / 1000, UTC).date().isoformat()


@recorded
def test_a_band_that_does_not_grow_is_paused_within_days_of_its_first_losing_churn(tmp_path: Path) -> None:
    """Warned of on the first day on which a week's to and fro came to 2 % of NAV a day and lost; paused at 3 %."""
    inputs = prepared(tmp_path, WITHOUT_A_SHARE, "2017-09-01", "2017-12-01")
    warned_of = BudgetLimits(churn_pct=D(2))
    never = replace(
        inputs.setup, budgets=replace(warned_of, losing_round_trips=100_000, fees_pct=D(100), fall_pct=D(100))
    )
    first_losing_churn = simulate(never, inputs.timeline).pauses[0]
    assert (first_losing_churn.rule, paused_on(first_losing_churn)) == (
        BudgetRule.CHURN,
        "2017-11-06",
    )
    first = simulate(inputs.setup, inputs.timeline).pauses[0]
    assert (first.rule, first.symbol, paused_on(first)) == (
        BudgetRule.CHURN,
        "ETHUSDT",
        "2017-11-16",
    )
    assert first.evidence == (
        "ETHUSDT was traded to and fro for 3.59232 % of NAV a day, mean of 7 days (limit 3), and lost by it: "
        "8 buys at 315.018 and 7 sells at 314.097, after fees"
    )


@recorded
def test_sound_defaults_are_never_paused_by_what_they_trade(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(prepared(tmp_path, SOUND, "2017-09-01"))
    assert len(result.fills) == 291
    [fall] = result.pauses
    assert (fall.rule, fall.symbol, paused_on(fall)) == (BudgetRule.FALL, "ETHUSDT", "2018-02-06")
    document = as_document(result)
    assert document["pauses"][0]["evidence"] == fall.evidence
    assert fall.evidence in render_report(result)
    show(document, backtest_table, as_json=False)
    assert "Would have been paused on 2018-02-06, because ETHUSDT at 588.54" in " ".join(
        capsys.readouterr().out.split()
    )


@recorded
def test_its_churn_stays_below_the_limit(tmp_path: Path) -> None:
    inputs = prepared(tmp_path, SOUND, "2017-09-01")
    below = simulate(replace(inputs.setup, budgets=BudgetLimits(churn_pct=D("2.8"), fall_pct=D(100))), inputs.timeline)
    assert below.pauses == []


@recorded
def test_screened_or_not_the_same_is_paused(tmp_path: Path) -> None:
    inputs = prepared(tmp_path, WITHOUT_A_SHARE, "2017-11-01", "2017-12-20")
    screened = simulate(inputs.setup, inputs.timeline)
    assert len(screened.pauses) >= 15
    assert simulate(inputs.setup, inputs.timeline, screened=False).pauses == screened.pauses


def loss(timeline: Timeline, budgets: BudgetLimits, *, screened: bool = True) -> tuple[Decimal, Outcome]:
    """Against holding, in quote; and how."""
    setup = make_setup(TARGETS, CONFIG, budgets, timeline, D(10_000))
    outcome = simulate(setup, timeline, screened=screened)
    closes = timeline.closes_at(len(timeline) - 1)
    prices = {symbol.removesuffix("USDT"): close for symbol, close in closes.items()} | {"USDT": D(1)}
    held = {asset: balance.free + balance.locked for asset, balance in outcome.balances.items()}
    return hold_value(setup.start_balances, prices) - hold_value(held, prices), outcome


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize(("hours", "remains"), [(24, 0.1), (168, 0.01)])
def test_a_halt_halves_what_a_collapse_costs_against_holding(hours: int, remains: float, seed: int) -> None:
    """To a tenth in a day, and to a hundredth in a week; two weeks of the aftermath included."""
    timeline = walks(["BTC", "ETH", "SOL", "XRP"], hours + 504, seed, collapse=Collapse("ETH", 168, hours, remains))
    without, _ = loss(timeline, NO_HALT)
    with_halt, outcome = loss(timeline, BudgetLimits())
    assert 0 < with_halt * 2 <= without
    assert [(pause.rule, pause.symbol) for pause in outcome.pauses] == [(BudgetRule.FALL, "ETHUSDT")]
    _, everywhere = loss(timeline, BudgetLimits(), screened=False)
    assert (everywhere.pauses, everywhere.orders) == (outcome.pauses, outcome.orders)


def test_a_slow_death_is_not_halved() -> None:
    """To a hundredth in two months: no week falls by half for long. Stated, not mended: what would costs the sound."""
    timeline = walks(["BTC", "ETH", "SOL", "XRP"], 1_944, 0, collapse=Collapse("ETH", 168, 1_440, 0.01))
    without, _ = loss(timeline, NO_HALT)
    with_halt, _ = loss(timeline, BudgetLimits())
    assert without * D("0.9") < with_halt <= without
