"""The band as a share of NAV on recorded hours: the figures of docs/backtest.md, and the README's own example."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.thorough import pick_sample
from workbench.backtest import inputs
from workbench.backtest.backtest import BacktestFiles, prepare, run
from workbench.backtest.metrics import measure
from workbench.backtest.result import BacktestResult
from workbench.backtest.simulation import simulate

ROOT = Path(__file__).parents[3]
CANDLES = ROOT / ".." / "shared" / "data" / "candles"
D = Decimal

pytestmark = pytest.mark.skipif(
    not CANDLES.is_dir(), reason="the recorded candles beside the repository (../shared/data/candles) are not here"
)


def readme_example() -> dict[str, object]:
    """The first strategy in the README."""
    [text] = re.findall(r"```json\n(\{\s+\"target_allocations.*?\})\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    example: dict[str, object] = json.loads(text)
    return example


def run_recorded(
    folder: Path, strategy: dict[str, object], *, start: str | None = None, screened: bool = True
) -> BacktestResult:
    file = folder / "strategy.json"
    file.write_text(json.dumps(strategy))
    start_ms = None if start is None else inputs.moment(start, "--start")
    prepared = prepare(BacktestFiles(CANDLES, file, start_ms=start_ms))
    prepared = replace(prepared, setup=replace(prepared.setup, budgets=None))
    if screened:
        return run(prepared)
    outcome = simulate(prepared.setup, prepared.timeline, screened=False)
    return measure(prepared.setup, prepared.timeline, outcome, data={}, rules_source="")


AMOUNT = {
    "target_allocations": {"BTC": "60", "ETH": "30", "USDT": "10"},
    "order_size_pct": "2",
    "order_step_pct": "0.4",
    "min_delta_quote": "120",
}


@pytest.mark.parametrize(
    ("pct", "start", "screened", "fills", "bonus"),
    pick_sample(
        [
            ("1.2", "2017-09-01", True, 389, "501.603914346"),
            ("1.2", "2017-09-01", False, 389, "501.603914346"),
            ("1.2", None, True, 759, "124699.3210958"),
            (None, "2017-09-01", True, 2550, "-27.755970853"),
            (None, None, True, 14210, "-54164.45319906"),
        ],
        number=4,
        turn=0,
    ),
)
def test_what_the_share_is_worth_on_recorded_prices(
    tmp_path: Path, pct: str | None, start: str | None, screened: bool, fills: int, bonus: str
) -> None:
    found = run_recorded(tmp_path, AMOUNT | {"min_delta_pct": pct}, start=start, screened=screened)
    assert (len(found.fills), found.bonus_quote) == (fills, D(bonus))
    assert found.band_start.quote == 120
    assert found.oversized.candles_pct > 97


@pytest.mark.parametrize("start", pick_sample(["2017-09-01", None], number=1, turn=0))
def test_the_readmes_own_example_does_not_lose_to_itself_without_the_share(tmp_path: Path, start: str | None) -> None:
    example = readme_example()
    found = run_recorded(tmp_path, example, start=start)
    without = run_recorded(
        tmp_path, {name: value for name, value in example.items() if name != "min_delta_pct"}, start=start
    )
    assert found.bonus_quote > 0
    assert found.bonus_quote >= without.bonus_quote
    assert found.fees_quote <= without.fees_quote
    assert (found.oversized.fills, found.oversized.candles_pct + found.oversized.fees_quote) == (0, D(0))
