"""How far from today's price a resting order may be and still stay: what each tolerance costs and earns.

    .venv/bin/python -m benchmarks.reprice
    .venv/bin/python -m benchmarks.reprice --candles ../shared/data/candles

The same strategy, replayed with tolerances from a tenth of the step to three steps: on the random markets of
``benchmarks/backtest.py`` (one-minute candles, another seed a run), and on recorded candles where there are any, in
stretches of ``--stretch-days``. Every run starts on its targets. Placements, cancels and fills are a run's mean; ± is
the standard error of a mean over runs. Differences are to ``REFERENCE`` on the same candles, so that what the
market did is in both: ``*`` marks those of more than two standard errors. Bonus is what rebalancing earned over
holding, in percent of the NAV at the start; nothing can be earned on a random walk, so there whoever trades more
earns less by the fees, which ``before fees`` leaves out.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from decimal import Decimal
from itertools import chain, pairwise, product
from math import inf, sqrt
from multiprocessing import get_context
from os import process_cpu_count
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter
from typing import NamedTuple

from botbalance.api.account_schemas import StrategyRequest
from rich.console import Console
from rich.table import Table

from benchmarks.backtest import CONFIG, FEE_PCT, NAV, random_walk, setup
from workbench.backtest import inputs
from workbench.backtest.metrics import measure
from workbench.backtest.simulation import BacktestConfig, simulate
from workbench.backtest.timeline import Timeline, build_timeline
from workbench.candles.recording import read_recording, recorded_symbols

MULTIPLES = tuple(map(Decimal, ("0.1", "0.25", "0.5", "0.75", "1", "1.5", "2", "3")))
"""Tolerances, in steps."""
REFERENCE = Decimal("0.25")
STEPS_PCT = tuple(map(Decimal, ("0.2", "0.4", "1")))
BANDS_PCT = tuple(map(Decimal, ("0.5", "1")))
"""Of NAV."""
MINUTES_A_DAY = 1440
DAY_MS = 86_400_000
QUOTE = "USDT"
WIDTH = 180
"""Of the tables, in characters, wherever they are printed to."""


class Setting(NamedTuple):
    """What a table's block is about; ``market`` is where the candles come from."""

    market: str
    step_pct: Decimal
    band_pct: Decimal


class Figures(NamedTuple):
    """What one run came to."""

    placed: int
    canceled: int
    filled: int
    fill_rate_pct: float
    time_to_fill_s: float
    bonus_pct: float
    before_fees_pct: float
    drift_pct: float


class Job(NamedTuple):
    """One market's candles, to be replayed in every setting: a seed, or a stretch of the recordings in ``folder``."""

    market: str
    number: int
    days: int
    folder: Path | None = None


type Replay = tuple[Setting, Decimal, Figures]


def stretches(folder: Path, days: int) -> list[Timeline]:
    """The recorded candles of all symbols, cut into whole stretches of ``days``."""
    timeline = build_timeline([read_recording(folder, symbol) for symbol in recorded_symbols(folder)])
    first_ms, end_ms = int(timeline.times_ms[0]), timeline.ends_at_ms(len(timeline) - 1)
    ends = range(first_ms, end_ms + 1, days * DAY_MS)
    cuts = [int(index) for index in timeline.times_ms.searchsorted(ends)]
    return [timeline.cut(begin, end) for begin, end in pairwise(cuts)]


def setup_on(timeline: Timeline) -> BacktestConfig:
    """The benchmark's strategy on what was recorded: a tenth in quote, the rest in equal parts."""
    bases = [symbol.removesuffix(QUOTE) for symbol in timeline.symbols]
    strategy = StrategyRequest(
        target_allocations={base: Decimal(90) / len(bases) for base in bases} | {QUOTE: Decimal(10)},
        order_size_pct=CONFIG.order_size_pct,
        order_step_pct=CONFIG.order_step_pct,
        min_delta_quote=CONFIG.min_delta_quote,
    )
    prices = timeline.closes_at(0)
    rules = inputs.assumed_rules(strategy, prices)
    balances = inputs.balances_at_targets(strategy, prices, NAV)
    return BacktestConfig(strategy.target_allocations, CONFIG, rules, balances, FEE_PCT)


def replay(job: Job) -> list[Replay]:
    """All settings and tolerances on one market's candles; in a process of its own."""
    if job.folder is None:
        target, timeline = setup(), build_timeline(random_walk(job.days * MINUTES_A_DAY, job.number))
    else:
        timeline = stretches(job.folder, job.days)[job.number]
        target = setup_on(timeline)
    runs = []
    for step_pct, band_pct, multiple in product(STEPS_PCT, BANDS_PCT, MULTIPLES):
        config = replace(
            target.config,
            order_step_pct=step_pct,
            min_delta_quote=NAV * band_pct / 100,
            reprice_tolerance_pct=step_pct * multiple,
        )
        tried = replace(target, config=config)
        result = measure(tried, timeline, simulate(tried, timeline), data={}, rules_source="")
        orders = result.orders
        figures = Figures(
            placed=orders.placed,
            canceled=sum(orders.canceled.values()),
            filled=orders.filled,
            fill_rate_pct=float(orders.fill_rate_pct or 0),
            time_to_fill_s=float(orders.median_time_to_fill_s or 0),
            bonus_pct=float(100 * result.bonus_quote / result.nav_start),
            before_fees_pct=float(100 * (result.bonus_quote + result.fees_quote) / result.nav_start),
            drift_pct=float(result.mean_drift_pct),
        )
        runs.append((Setting(job.market, step_pct, band_pct), multiple, figures))
    return runs


def series(runs: Sequence[Figures], figure: str) -> list[float]:
    """One figure of every run."""
    return [getattr(figures, figure) for figures in runs]


def mean_and_error(numbers: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error; of one number nobody knows how far off it is."""
    return fmean(numbers), stdev(numbers) / sqrt(len(numbers)) if len(numbers) > 1 else inf


def difference(numbers: Sequence[float], references: Sequence[float]) -> str:
    """By how much ``numbers`` are more than ``references``, pair by pair; marked where that is no noise."""
    mean, error = mean_and_error([one - other for one, other in zip(numbers, references, strict=True)])
    return f"{mean:+.4f} ±{error:.4f}{'*' if abs(mean) > 2 * error else ' '}"


def print_tables(console: Console, replays: Iterable[list[Replay]]) -> None:
    """A block a setting, a line a tolerance."""
    blocks: dict[Setting, dict[Decimal, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for setting, multiple, figures in chain.from_iterable(replays):
        blocks[setting][multiple].append(figures)
    for setting, lines in blocks.items():
        reference = lines[REFERENCE]
        table = Table(
            title=f"{setting.market}: step {setting.step_pct} %, band {setting.band_pct} %, {len(reference)} runs",
            title_justify="left",
        )
        for column in ("× step", "placed", "of 0.25's", "canceled", "filled", "fill rate %", "median to fill s"):
            table.add_column(column, justify="right")
        for column in ("bonus % NAV", "less 0.25's", "before fees", "drift %", "less 0.25's"):
            table.add_column(column, justify="right")
        placed_there = fmean(series(reference, "placed"))
        for multiple, runs in lines.items():
            bonus, error = mean_and_error(series(runs, "bonus_pct"))
            placed = fmean(series(runs, "placed"))
            table.add_row(
                str(multiple),
                f"{placed:.0f}",
                f"{placed / placed_there:.2f}" if placed_there else "–",
                f"{fmean(series(runs, 'canceled')):.0f}",
                f"{fmean(series(runs, 'filled')):.0f}",
                f"{fmean(series(runs, 'fill_rate_pct')):.1f}",
                f"{fmean(series(runs, 'time_to_fill_s')):.0f}",
                f"{bonus:+.3f} ±{error:.3f}",
                difference(series(runs, "bonus_pct"), series(reference, "bonus_pct")),
                difference(series(runs, "before_fees_pct"), series(reference, "before_fees_pct")),
                f"{fmean(series(runs, 'drift_pct')):.4f}",
                difference(series(runs, "drift_pct"), series(reference, "drift_pct")),
            )
        console.print(table)


def main() -> None:
    """Replay on all cores and print."""
    parser = argparse.ArgumentParser(description="What each repricing tolerance costs and earns.")
    parser.add_argument("--seeds", type=int, default=16, help="how many random markets (default: 16)")
    parser.add_argument("--first-seed", type=int, default=1, help="of the first of them (default: 1)")
    parser.add_argument("--days", type=int, default=30, help="of one-minute candles of each of them (default: 30)")
    parser.add_argument("--candles", type=Path, help="a folder of recorded candles, replayed as well")
    parser.add_argument("--stretch-days", type=int, default=30, help="how recorded candles are cut (default: 30)")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True, width=WIDTH)

    seeds = range(options.first_seed, options.first_seed + options.seeds)
    jobs = [Job(f"random, {options.days} days of minutes", seed, options.days) for seed in seeds]
    if options.candles is None:
        console.print("Recorded candles: left out, --candles names no folder of them")
    elif not options.candles.is_dir():
        console.print(f"Recorded candles: left out, --candles is {options.candles}, which is no folder")
    else:
        count = len(stretches(options.candles, options.stretch_days))
        name = f"recorded, {options.stretch_days} days each"
        jobs += [Job(name, number, options.stretch_days, options.candles) for number in range(count)]
    began = perf_counter()
    done: dict[Job, list[Replay]] = {}
    with ProcessPoolExecutor(process_cpu_count(), mp_context=get_context("spawn")) as processes:
        running = {processes.submit(replay, job): job for job in jobs}
        for ended in as_completed(running):
            done[running[ended]] = ended.result()
    replays = [done[job] for job in jobs]
    count = sum(map(len, replays))
    console.print(f"{count:,} replays in {perf_counter() - began:.0f} s")
    print_tables(console, replays)


if __name__ == "__main__":
    main()
