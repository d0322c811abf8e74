"""What must be known of the recorded prices is said first, and the verdict never rests on a doubted one in silence."""

from io import StringIO
from pathlib import Path

import pytest
from pydantic_core import to_jsonable_python
from rich.console import Console

from workbench.backtest.backtest import BacktestFiles, prepare, run
from workbench.backtest.report import render_report
from workbench.backtest.result import BacktestResult
from workbench.cli.tables import backtest_table

HOUR = 3_600_000
START = 1_735_430_400_000  # 2024-12-29
STRATEGY = """{"target_allocations": {"BTC": "40", "ETH": "40", "USDT": "20"}, "order_size_pct": "2",
"order_step_pct": "0.4", "min_delta_quote": "120"}"""


def candle(hour: int, price: str, high: str | None = None) -> str:
    return f"{START + hour * HOUR},{price},{high or price},{price},{price},1\n"


def backtest(folder: Path, eth: list[str], *, end_ms: int | None = None) -> BacktestResult:
    """BTC stands still at 40000 for 100 hours beside what ETH does."""
    (folder / "BTCUSDT.csv").write_text("".join(candle(hour, "40000") for hour in range(100)))
    (folder / "ETHUSDT.csv").write_text("".join(eth))
    (folder / "strategy.json").write_text(STRATEGY)
    return run(prepare(BacktestFiles(folder, folder / "strategy.json", end_ms=end_ms)))


def steady(until: int = 100, *, changed: dict[int, str] | None = None) -> list[str]:
    return [candle(hour, (changed or {}).get(hour, "2500")) for hour in range(until)]


def test_a_clean_recording_is_not_warned_of(tmp_path: Path) -> None:
    result = backtest(tmp_path, steady())
    assert (result.warnings, result.verdict) == ([], "Nothing was traded: the strategy did exactly as well as holding.")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            dict.fromkeys(range(60, 100), "25000"),
            "went from 2500 to 25000 (times 10.00) in the candle of 2024-12-31 12:00",
        ),
        (dict.fromkeys(range(60, 100), "1250"), "went from 2500 to 1250 (divided by 2.00) in the candle of 2024-12-31"),
        (
            {60: "4100"},
            "went from 2500 to 4100 (times 1.64) in the candle of 2024-12-31 12:00 UTC; the next candle took",
        ),
        (dict.fromkeys(range(60, 100), "900"), "went from 2500 to 900 (divided by 2.78) in the candle of 2024-12-31"),
    ],
)
def test_a_price_that_no_market_makes_is_said_first(tmp_path: Path, changed: dict[int, str], said: str) -> None:
    result = backtest(tmp_path, steady(changed=changed))
    assert said in result.warnings[0]
    assert "--end 2024-12-31T12:00" in result.warnings[1]
    assert result.verdict.startswith("Resting on doubtful prices of ETHUSDT: ")


def test_a_wick_that_its_close_knows_nothing_of_is_said(tmp_path: Path) -> None:
    eth = steady()
    eth[20] = candle(20, "2500", "9000")
    warnings = backtest(tmp_path, eth).warnings
    assert "ETHUSDT went from 2500 to 9000 (times 3.60)" in warnings[0]
    assert "--start 2024-12-29T21:00" in warnings[1]


def test_moves_as_markets_make_them_are_no_doubt(tmp_path: Path) -> None:
    assert backtest(tmp_path, steady(changed=dict.fromkeys(range(60, 100), "2100"))).warnings == []


def test_what_is_doubted_beyond_the_end_changes_nothing(tmp_path: Path) -> None:
    result = backtest(tmp_path, steady(changed=dict.fromkeys(range(60, 100), "25000")), end_ms=START + 60 * HOUR)
    assert result.warnings == []
    assert not result.verdict.startswith("Resting")


def test_a_recording_that_ends_while_others_go_on_is_said_with_what_was_left_out(tmp_path: Path) -> None:
    result = backtest(tmp_path, steady(60))
    assert result.candles == 60
    [warning] = result.warnings
    assert warning.startswith("ETHUSDT's recording ends 2024-12-31 12:00 UTC, 40 candles before the others'")
    assert "Had the asset died then, that loss would not be in the result." in warning


def test_an_end_that_was_asked_for_is_no_early_one(tmp_path: Path) -> None:
    assert backtest(tmp_path, steady(60), end_ms=START + 60 * HOUR).warnings == []


def test_gaps_are_said(tmp_path: Path) -> None:
    assert backtest(tmp_path, steady()[:50] + steady()[56:]).warnings == [
        "ETHUSDT's recording lacks 6 candles in 1 gap, the longest of 6."
    ]


def test_the_warnings_are_the_first_lines_of_terminal_and_report(tmp_path: Path) -> None:
    result = backtest(tmp_path, steady(changed=dict.fromkeys(range(60, 100), "25000")))
    console = Console(width=200, record=True, file=StringIO())
    console.print(backtest_table(to_jsonable_python(result)))
    assert console.export_text().startswith("! Doubtful price: ETHUSDT went from 2500 to 25000")
    page = render_report(result)
    assert page.index("Doubtful price: ETHUSDT") < page.index('id="result-h"')
