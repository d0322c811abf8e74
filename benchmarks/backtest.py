"""How fast a year of one-minute candles of ten assets is backtested, side by side with looking at every candle.

    .venv/bin/python -m benchmarks.backtest

Asked at every candle, the engine must give the same orders, fills and balances. Beside it run vectorbt, by the same
rules in floating point, whose final NAV must agree, and bt, which has no limit orders. Both live in an environment of
their own that uv makes (``--no-peers`` leaves them out). Candles per second count those of all assets; "of ours" is a
share of the backtest's own. Times are of the processor, and the median of ``RUNS``; what takes longer than seconds is
run once.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from botbalance.engine import MarketRules, StrategyConfig
from botbalance.engine.stale_orders import reprice_tolerance_pct
from rich.console import Console
from rich.table import Table

from workbench.aws.build import find_uv
from workbench.backtest.simulation import BacktestConfig, Outcome, simulate
from workbench.backtest.timeline import Timeline, build_timeline
from workbench.candles.recording import ONE_CANDLE_MS, Findings, Recording

RUNS = 3
SEED = 1
YEAR = 525_600
START_MS = 1_600_000_020_000
YEARLY_VOLATILITY = 0.8
COMMON = 0.6
MOST_MB = 500
MOST_OFF = 1e-6
"""Of NAV, that floating point may be away from the exact figure."""
BT_CANDLES = 20_000
PEERS = Path(__file__).with_name("backtest_peers.py")

# asset, first price, its decimals, lot
MARKETS = (
    ("BTC", "43250.52", 2, "0.00001"),
    ("ETH", "2580.71", 2, "0.0001"),
    ("SOL", "98.42", 2, "0.001"),
    ("BNB", "311.8", 1, "0.001"),
    ("XRP", "0.6142", 4, "1"),
    ("ADA", "0.5317", 4, "0.1"),
    ("DOGE", "0.08123", 5, "1"),
    ("LTC", "71.35", 2, "0.001"),
    ("LINK", "14.287", 3, "0.01"),
    ("DOT", "7.164", 3, "0.01"),
)
TARGET_PCT, QUOTE_TARGET_PCT = Decimal(9), Decimal(10)
NAV = Decimal(10_000)
MIN_NOTIONAL = Decimal(5)
FEE_PCT = Decimal("0.1")
CONFIG = StrategyConfig("USDT", Decimal(1), Decimal("0.4"), NAV * Decimal("0.005"))


class Speed(NamedTuple):
    """A line of the table."""

    name: str
    rules: str
    candles_per_s: float


def random_walk(count: int, seed: int = SEED, candle_ms: int = ONE_CANDLE_MS) -> list[Recording]:
    """``count`` candles of each market: a random walk, ``COMMON`` of whose steps all share."""
    rng = np.random.default_rng(seed)
    step = YEARLY_VOLATILITY / np.sqrt(YEAR * ONE_CANDLE_MS / candle_ms)
    times = START_MS + candle_ms * np.arange(count, dtype=np.int64)
    findings = Findings(count, int(times[0]), int(times[-1]), 0, 0, 0, 0, 0, 0, 0, 0)
    common = COMMON * rng.standard_normal(count)
    recordings = []
    for asset, first, decimals, _ in MARKETS:
        own = np.sqrt(1 - COMMON**2) * rng.standard_normal(count)
        close = float(first) * np.exp(np.cumsum((common + own) * step))
        open_ = np.concatenate([[float(first)], close[:-1]])
        high = np.maximum(open_, close) * (1 + np.abs(rng.standard_normal(count)) * step / 2)
        low = np.minimum(open_, close) * (1 - np.abs(rng.standard_normal(count)) * step / 2)
        prices = {"open": open_, "high": high, "low": low, "close": close}
        units = {name: np.rint(column * 10**decimals).astype(np.int64) for name, column in prices.items()}
        symbol, no_volumes = f"{asset}USDT", pa.nulls(0, pa.string())
        recordings.append(
            Recording(symbol, candle_ms, decimals, times, **units, volume_texts=no_volumes, findings=findings)
        )
    return recordings


def setup() -> BacktestConfig:
    """The strategy, from a portfolio that is at its targets."""
    rules = {}
    balances = {"USDT": NAV * QUOTE_TARGET_PCT / 100}
    for asset, first, decimals, lot in MARKETS:
        symbol, tick, lots = f"{asset}USDT", Decimal(1).scaleb(-decimals), Decimal(lot)
        rules[symbol] = MarketRules(symbol, asset, "USDT", tick, lots, min_qty=lots, min_notional=MIN_NOTIONAL)
        balances[asset] = (NAV * TARGET_PCT / 100 / Decimal(first)).quantize(Decimal("1e-8"))
    targets = {asset: TARGET_PCT for asset, *_ in MARKETS} | {"USDT": QUOTE_TARGET_PCT}
    return BacktestConfig(targets, CONFIG, rules, balances, FEE_PCT)


def timed(run: Callable[[], Outcome], runs: int) -> tuple[float, Outcome]:
    """The median time of ``runs``, in seconds of the processor, and what came of the last."""
    times = []
    for _ in range(runs):
        began = process_time()
        outcome = run()
        times.append(process_time() - began)
    return median(times), outcome


def peak_mb() -> float:
    """The most memory that this process ever had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1_000_000 if sys.platform == "darwin" else 1000)


def require_equal(screened: Outcome, unscreened: Outcome) -> None:
    """Stop unless both are the same, order by order and in every balance."""
    assert len(screened.orders) == len(unscreened.orders), (len(screened.orders), len(unscreened.orders))
    for one, other in zip(screened.orders, unscreened.orders, strict=True):
        assert one == other, (one, other)
    assert screened.balances == unscreened.balances


def final_nav(timeline: Timeline, outcome: Outcome) -> Decimal:
    """What the account is worth at the last close, in quote."""
    closes = timeline.closes_at(len(timeline) - 1) | {"USDTUSDT": Decimal(1)}
    held = {asset: balance.free + balance.locked for asset, balance in outcome.balances.items()}
    return sum((units * closes[f"{asset}USDT"] for asset, units in held.items()), Decimal(0))


def run_peers(target: BacktestConfig, timeline: Timeline) -> dict[str, Any] | str:
    """What ``backtest_peers.py`` measured, in its own process and environment; or why it cannot be run here."""
    uv = find_uv()
    if uv is None:
        return "uv is neither in .bootstrap/bin nor on the path; `make build` brings it"
    install = [str(uv), "sync", "--quiet", "--compile-bytecode", "--script", str(PEERS)]
    for options in ([], ["--system-certs"], ["--offline"]):  # behind a proxy that inspects TLS; cached
        installed = subprocess.run([*install, *options], check=False, capture_output=True, text=True)
        if not installed.returncode:
            break
    else:
        return f"uv could not install them:\n{installed.stderr.strip()}"
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.npz")
        markets = [target.market_rules[symbol] for symbol in timeline.symbols]
        config = target.config
        numbers: dict[str, Any] = {
            "tick": [float(market.tick_size) for market in markets],
            "lot": [float(market.lot_size) for market in markets],
            "target": [float(target.target_allocations[market.base] / 100) for market in markets],
            "held": [float(target.start_balances[market.base]) for market in markets],
            "quote": float(target.start_balances[config.quote_asset]),
            "size": float(config.order_size_pct / 100),
            "step": float(config.order_step_pct / 100),
            "band": float(config.min_delta_quote),
            "max_age": -(-config.order_max_age_s * 1000 // timeline.candle_ms),
            "tolerance": float(reprice_tolerance_pct(config) / 100),
            "fee": float(target.fee_pct / 100),
            "min_notional": float(MIN_NOTIONAL),
            "runs": RUNS,
            "bt_candles": BT_CANDLES,
        }
        candles: dict[str, Any] = {
            name: np.stack(rows, axis=1)
            for name, rows in (("close", timeline.close), ("low", timeline.low), ("high", timeline.high))
        }
        np.savez(data, times_ms=timeline.times_ms, **candles, **numbers)
        run = [str(uv), "run", "--quiet", "--offline", "--script", str(PEERS), str(data)]
        cold = os.environ | {"NUMBA_CACHE_DIR": folder}  # the first run compiles everything, vectorbt's own code too
        done = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True, env=cold)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def compare_peers(console: Console, target: BacktestConfig, timeline: Timeline, ours: Outcome) -> list[Speed]:
    """Print what the peers measured; their lines of the table."""
    measured = run_peers(target, timeline)
    if isinstance(measured, str):
        console.print(f"Without peers: {measured}")
        return []
    console.print("Peers: " + ", ".join(f"{name} {version}" for name, version in measured["versions"].items()))
    vectorbt = measured["vectorbt"]
    nav, fills = final_nav(timeline, ours), sum(order.fill is not None for order in ours.orders)
    off = abs(vectorbt["nav"] / float(nav) - 1)
    candles = len(MARKETS) * len(timeline)
    console.print(
        f"vectorbt, the same rules in floating point: {vectorbt['warm_s']:.2f} s compiled,"
        f" {vectorbt['cold_s']:.2f} s with compilation (and {vectorbt['import_s']:.2f} s to import);"
        f" {vectorbt['orders']:,} orders, {vectorbt['fills']:,} fills, peak {vectorbt['peak_mb']:.0f} MB\n"
        f"  final NAV {vectorbt['nav']:.8f}, ours {nav:.8f}: {off:.1e} of it apart"
    )
    assert (vectorbt["orders"], vectorbt["fills"]) == (len(ours.orders), fills), (len(ours.orders), fills)
    assert off < MOST_OFF, off
    same = "the same limit orders, float"
    speeds = [
        Speed("vectorbt, compiled", same, candles / vectorbt["warm_s"]),
        Speed("vectorbt, first run", same, candles / vectorbt["cold_s"]),
    ]
    for name, run in measured["bt"].items():
        console.print(f"bt, {name}: {run['seconds']:.2f} s for the first {run['candles']:,} candles of each asset only")
        speeds.append(Speed("bt", f"{name}, at the close, float", len(MARKETS) * run["candles"] / run["seconds"]))
    return speeds


def print_table(console: Console, speeds: list[Speed]) -> None:
    """All side by side; the first is ours, which the others are also a share of."""
    table = Table()
    for column in ("", "rules"):
        table.add_column(column)
    for column in ("candles/s", "of ours"):
        table.add_column(column, justify="right")
    for speed in speeds:
        share = speed.candles_per_s / speeds[0].candles_per_s
        table.add_row(speed.name, speed.rules, f"{speed.candles_per_s:,.0f}", f"{share:.3f}")
    console.print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast a year of one-minute candles is backtested.")
    parser.add_argument("--candles", type=int, default=YEAR, help="of each of the ten assets (default: a year)")
    parser.add_argument("--no-unscreened", action="store_true", help="do not ask the engine at every candle as well")
    parser.add_argument("--no-peers", action="store_true", help="do not run bt and vectorbt")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)

    target, timeline = setup(), build_timeline(random_walk(options.candles))
    candles = len(MARKETS) * len(timeline)
    console.print(f"{len(MARKETS)} assets × {len(timeline):,} candles of a minute, seed {SEED}")
    seconds, outcome = timed(lambda: simulate(target, timeline), RUNS)
    peak = peak_mb()
    fills = sum(order.fill is not None for order in outcome.orders)
    console.print(
        f"backtest: {seconds:.2f} s, {candles / seconds:,.0f} candles/s; {len(outcome.orders):,} orders,"
        f" {fills:,} fills; the engine was asked at {outcome.decisions:,} candles; peak {peak:.0f} MB"
    )
    assert peak < MOST_MB, peak
    speeds = [Speed("backtest", "limit orders, exact", candles / seconds)]
    if not options.no_unscreened:
        all_seconds, everywhere = timed(lambda: simulate(target, timeline, screened=False), 1)
        require_equal(outcome, everywhere)
        console.print(
            f"asked at every candle: {all_seconds:.2f} s, {candles / all_seconds:,.0f} candles/s, the same"
            f" {len(everywhere.orders):,} orders and balances; screening is {all_seconds / seconds:.1f} times as fast"
        )
        speeds.append(Speed("asked at every candle", "limit orders, exact", candles / all_seconds))
    if not options.no_peers:
        speeds += compare_peers(console, target, timeline, outcome)
    print_table(console, speeds)
    for speed in speeds:
        if speed.name == "vectorbt, compiled":
            console.print(f"ours ÷ vectorbt, compiled: {speeds[0].candles_per_s / speed.candles_per_s:.2f}")


if __name__ == "__main__":
    main()
