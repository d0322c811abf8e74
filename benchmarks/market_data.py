"""How often a tick's workers ask an exchange that takes 50 ms to answer, against symbols and workers.

    .venv/bin/python -m benchmarks.market_data

Every worker is a process of its own, with its own memory, and needs prices and ranges of all symbols; all begin at
once. What is shown: requests that came to the exchange in a tick, how many of them were for a symbol's minutes, how
long it took until the last worker had everything, and how many of the symbols' ranges the workers then knew.
"""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing.connection import Connection
from statistics import median

from botbalance.bootstrap import Services
from botbalance.exchange.profiles import DEFAULT_EXCHANGE
from botbalance.log import logger
from botbalance.settings import read_settings
from rich.console import Console
from rich.table import Table

from benchmarks.tick import DistantApi, MinutesOfLooks
from workbench.aws.resources import CREDENTIALS, EmbeddedAws
from workbench.aws.template import read_template
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.matching_engine import MatchingEngine
from workbench.simulated_exchange.server import ExchangeServer

START = 1_700_000_040
TICKS = 3
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Measured:
    """Of the median tick."""

    requests: int
    for_minutes: int
    seconds: float
    known_pct: float


def worker(environment: dict[str, str], symbols: list[str], pipe: "Connection[float, int | None]") -> None:
    """A worker's process: has the market's data of each tick that it is told, and tells how much it knows."""
    logger.setLevel("ERROR")
    now = START
    services = Services(read_settings(environment), clock=lambda: now)
    context = services.context
    pipe.send(0.0)
    while (told := pipe.recv()) is not None:
        now = told
        context.portfolio.prepare_prices(DEFAULT_EXCHANGE, symbols)
        context.ranges.prefetch(DEFAULT_EXCHANGE, symbols)
        pipe.send(
            sum(context.ranges.since(DEFAULT_EXCHANGE, symbol, now) is not None for symbol in symbols) / len(symbols)
        )
    services.close()


@contextmanager
def workers(count: int, environment: dict[str, str], exchange: str, symbols: list[str]) -> Iterator[list[Connection]]:
    """So many processes that ask for the ranges of ``symbols``, each with a pipe to tell it when."""
    pipes, processes = [], []
    environment = environment | {"EXCHANGE_BASE_URL": exchange}
    for _ in range(count):
        mine, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=worker, args=(environment, symbols, theirs), daemon=True)
        process.start()
        pipes.append(mine)
        processes.append(process)
    for pipe in pipes:
        pipe.recv()
    yield pipes
    for pipe in pipes:
        pipe.send(None)
    for process in processes:
        process.join()


def measure(symbols: int, count: int) -> Measured:
    """``count`` workers and so many ``symbols``, over a few ticks, without the first, which also asks for markets."""
    minutes = MinutesOfLooks()
    names = [f"C{number:03}USDT" for number in range(symbols)]
    market = Market.with_default_filters(dict.fromkeys(names, Decimal(100)), minutes)
    api = DistantApi(MatchingEngine(market, clock=lambda: minutes.now * 1000))
    aws = EmbeddedAws(read_template(), run="market-data")
    try:
        environment = aws.start()
        with (
            ExchangeServer(api) as server,
            workers(count, environment, server.url, names) as pipes,
        ):
            ticks = []
            for number in range(TICKS + 1):
                minutes.now = START + 60 * (number + 1)  # a minute each: the market has one candle a minute
                market.advance()
                api.paths.clear()
                began = time.perf_counter()
                for pipe in pipes:
                    pipe.send(minutes.now)
                known = [pipe.recv() for pipe in pipes]
                took = time.perf_counter() - began
                klines = sum("/klines" in path for path in api.paths)
                ticks.append(Measured(len(api.paths), klines, took, 100 * min(known)))
    finally:
        aws.stop()
    return Measured(*(median(values) for values in zip(*(vars(tick).values() for tick in ticks[1:]), strict=True)))


def main() -> None:
    """Print what a tick costs, by number of pairs and of workers."""
    os.environ.update(CREDENTIALS)
    table = Table("symbols", "workers", "requests a tick", "of them minutes", "seconds", "ranges known")
    for symbols in (10, 100, 300):
        for count in (1, 10):
            found = measure(symbols, count)
            row = (
                symbols,
                count,
                found.requests,
                found.for_minutes,
                f"{found.seconds:.1f}",
                f"{found.known_pct:.0f} %",
            )
            table.add_row(*map(str, row))
    Console().print(table)


if __name__ == "__main__":
    main()
