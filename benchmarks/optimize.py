"""How long a thousand combinations take on a year of one-minute candles of ten assets, on all processors.

    .venv/bin/python -m benchmarks.optimize

The candles are those of ``benchmarks/backtest.py``, as Parquet files; the strategy is its own, and sizes, steps and
bands are drawn between the sound values that a search starts from. The time of a clock tells how busy the machine was
as well; that of the processors is what the search took of them all together.
"""

import argparse
import json
import os
import resource
import tempfile
from pathlib import Path
from time import monotonic, process_time

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.backtest import CONFIG, MARKETS, NAV, QUOTE_TARGET_PCT, SEED, TARGET_PCT, YEAR, random_walk
from workbench.backtest.backtest import BacktestFiles
from workbench.backtest.optimize import drawn, ranges_for, search
from workbench.candles.recording import Recording

COMBINATIONS = 1_000
FOLDS = 4


def write_candles(recording: Recording, folder: Path) -> None:
    """The recording as a Parquet file; every candle has a volume of 1."""
    columns = {"timestamp": pa.array(recording.times_ms)}
    for name in ("open", "high", "low", "close"):
        columns[name] = pa.array(getattr(recording, name) / 10**recording.decimals)
    columns["volume"] = pa.array([1] * len(recording.times_ms))
    pq.write_table(pa.table(columns), folder / f"{recording.symbol}-1m.parquet")


def write_strategy(path: Path) -> None:
    """The strategy as PUT takes it."""
    targets = {asset: str(TARGET_PCT) for asset, *_ in MARKETS} | {"USDT": str(QUOTE_TARGET_PCT)}
    document = {
        "quote_asset": "USDT",
        "target_allocations": targets,
        "order_size_pct": str(CONFIG.order_size_pct),
        "order_step_pct": str(CONFIG.order_step_pct),
        "min_delta_quote": str(CONFIG.min_delta_quote),
    }
    path.write_text(json.dumps(document), "utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How long a search takes on a year of one-minute candles.")
    parser.add_argument("--candles", type=int, default=YEAR, help="of each of the ten assets (default: a year)")
    parser.add_argument("--combinations", type=int, default=COMBINATIONS, help="how many are drawn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        strategy = folder / "strategy.json"
        write_strategy(strategy)
        for recording in random_walk(options.candles):
            write_candles(recording, folder)
        files = BacktestFiles(folder, strategy, worth=NAV)
        ranges = ranges_for(strategy, None, None, None, None)
        began, busy = monotonic(), process_time()
        found = search(files, drawn(ranges, options.combinations, SEED), FOLDS, on_grid=False)
        seconds = monotonic() - began
        workers = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = process_time() - busy + workers.ru_utime + workers.ru_stime
    fills = sum(score.fills for one in found.tried for score in one.scores)
    print(
        f"{len(found.tried):,} combinations, {FOLDS + 1} stretches each, of {len(MARKETS)} assets × "
        f"{options.candles:,} candles: {seconds:.0f} s on {os.process_cpu_count()} processors, {busy:.0f} s of theirs; "
        f"{fills:,} fills; "
        f"the best made {found.tried[0].in_sample_pct:+.2f} % in-sample"
    )


if __name__ == "__main__":
    main()
