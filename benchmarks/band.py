"""What a band that grows with the portfolio does, on recorded candles: the table of docs/backtest.md.

    .venv/bin/python -m benchmarks.band --candles ../shared/data/candles

60/30/10 in BTC, ETH and USDT, orders of 2 %, a step of 0.4 %, 10,000 at the start; then the sound defaults. Nothing is
paused, whatever it loses.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from workbench.backtest import inputs
from workbench.backtest.backtest import BacktestFiles, prepare, run
from workbench.backtest.report import money, percent, signed

TARGETS = {"BTC": "60", "ETH": "30", "USDT": "10"}
STRATEGIES: list[tuple[str, dict[str, str]]] = [
    ("2 %, 120 USDT", {"order_size_pct": "2", "min_delta_quote": "120"}),
    ("2 %, 120 USDT and 1.2 %", {"order_size_pct": "2", "min_delta_quote": "120", "min_delta_pct": "1.2"}),
    ("2 %, 120 USDT and 2 %", {"order_size_pct": "2", "min_delta_quote": "120", "min_delta_pct": "2"}),
    ("1 %, 50 USDT and 2 %", {"order_size_pct": "1", "min_delta_quote": "50", "min_delta_pct": "2"}),
]
STARTS = ("2017-09-01", None)


def rows(candles: Path) -> Iterator[str]:
    """The lines of the table."""
    yield "| order, band | from | fills | fees | against holding | orders above the band, of candles | NAV at the end |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    with TemporaryDirectory() as folder:
        file = Path(folder) / "strategy.json"
        for start in STARTS:
            for name, parameters in STRATEGIES:
                file.write_text(json.dumps({"target_allocations": TARGETS, "order_step_pct": "0.4"} | parameters))
                start_ms = None if start is None else inputs.moment(start, "--start")
                prepared = prepare(BacktestFiles(candles, file, start_ms=start_ms))
                result = run(replace(prepared, setup=replace(prepared.setup, budgets=None)))
                figures = (
                    f"{result.orders.filled:,}",
                    money(result.fees_quote),
                    signed(result.bonus_quote),
                    percent(result.oversized.candles_pct),
                    money(result.nav_end),
                )
                yield f"| {name} | {start or 'the beginning'} | {' | '.join(figures)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", type=Path, required=True, help="a folder of recorded candles")
    for row in rows(parser.parse_args().candles):
        print(row)
