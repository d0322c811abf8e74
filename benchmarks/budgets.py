"""What the default budgets would have paused: on recorded candles, and on random walks.

    .venv/bin/python -m benchmarks.budgets --candles ../shared/data/candles --walks 10000

Strategies are named size / band in percent of NAV, at a step of 0.4 %; one whose order is worth no more than its band
is sound, and every pause of it but a fall is a false alarm. Walks are ten days of hours in five coins at 80 % yearly
volatility; half of them begin on their targets, half with nothing but the quote asset. All of them are tried with the
sound defaults, every 20th or 100th also with others. Figures are pauses a run-year, by rule: in a backtest an owner
looks once a day, and ends what has passed.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from botbalance.engine import BudgetLimits, BudgetRule, StrategyConfig

from workbench.backtest import inputs
from workbench.backtest.backtest import BacktestFiles, prepare
from workbench.backtest.simulation import simulate
from workbench.backtest.synthetic import make_setup, walks

NAV = Decimal(10_000)
RECORDINGS = {
    "BTC, ETH from 2017-09": ({"BTC": "60", "ETH": "30", "USDT": "10"}, "2017-09-01"),
    "BTC, ETH, BNB from 2017-12": ({"BTC": "40", "ETH": "25", "BNB": "20", "USDT": "15"}, "2017-12-01"),
    "BTC, ETH, XRP, BNB from 2018-06": (
        {"BTC": "30", "ETH": "25", "XRP": "15", "BNB": "15", "USDT": "15"},
        "2018-06-01",
    ),
}
STRATEGIES = (("1", "1"), ("1", "2"), ("1", "3"), ("2", "1.2"), ("2", "0.8"), ("1", "0.4"))
WALKED = (("1", "2", 1), ("1", "1", 20), ("2", "0.8", 100))
"""Size, band, and every how manieth walk they are tried on."""
TARGETS = {"BTC": "30", "ETH": "25", "SOL": "15", "BNB": "10", "XRP": "5", "USDT": "15"}
HOURS = 240
_YEAR_MS = 365 * 86_400_000


def make_config(size: str, band: str) -> StrategyConfig:
    """A strategy whose band is a share of NAV alone."""
    return StrategyConfig("USDT", Decimal(size), Decimal("0.4"), Decimal("0.01"), Decimal(band))


def recorded(candles: Path) -> Iterator[tuple[str, Counter[str], float]]:
    """Each strategy on each recording: how often each rule paused, and over how many years."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "strategy.json"
        for name, (targets, start) in RECORDINGS.items():
            for size, band in STRATEGIES:
                parameters = {"order_size_pct": size, "order_step_pct": "0.4", "min_delta_quote": "0.01"}
                file.write_text(json.dumps({"target_allocations": targets, "min_delta_pct": band} | parameters))
                prepared = prepare(BacktestFiles(candles, file, start_ms=inputs.moment(start, "--start")))
                outcome = simulate(prepared.setup, prepared.timeline)
                times = prepared.timeline.times_ms
                years = int(times[-1] - times[0]) / _YEAR_MS
                yield f"{size} / {band}, {name}", Counter(str(pause.rule) for pause in outcome.pauses), years


def walked(seed: int) -> dict[int, Counter[str]]:
    """What those strategies were paused by that are tried on this walk, by their place in ``WALKED``."""
    timeline = walks([asset for asset in TARGETS if asset != "USDT"], HOURS, seed)
    found = {}
    for place, (size, band, every) in enumerate(WALKED):
        if seed // 2 % every:
            continue
        setup = make_setup(TARGETS, make_config(size, band), BudgetLimits(), timeline, NAV)
        if seed % 2:
            setup = replace(setup, start_balances=dict.fromkeys(setup.start_balances, Decimal(0)) | {"USDT": NAV})
        found[place] = Counter(str(pause.rule) for pause in simulate(setup, timeline).pauses)
    return found


def all_walks(count: int, workers: int) -> Iterator[tuple[str, Counter[str], float]]:
    """The same for each walked strategy, over all of its walks together."""
    totals: list[Counter[str]] = [Counter() for _ in WALKED]
    tried = [0 for _ in WALKED]
    with ProcessPoolExecutor(workers) as pool:
        for found in pool.map(walked, range(count), chunksize=20):
            for place, counted in found.items():
                totals[place].update(counted)
                tried[place] += 1
    for (size, band, _), total, walks_tried in zip(WALKED, totals, tried, strict=True):
        yield f"{size} / {band}, {walks_tried:,} walks of 10 days", total, walks_tried * HOURS / 8_760


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", type=Path, help="a folder of recorded candles")
    parser.add_argument("--walks", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    rules = [rule for rule in BudgetRule if rule is not BudgetRule.TURNOVER]
    print(f"| size / band | years | {' | '.join(rules)} |")
    print("| --- " * (len(rules) + 2) + "|")
    rows = [] if arguments.candles is None else [recorded(arguments.candles)]
    for found in (*rows, all_walks(arguments.walks, arguments.workers)):
        for name, counted, years in found:
            figures = [f"{counted[rule] / years:.2f}" for rule in rules]
            print(f"| {name} | {years:.1f} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
