"""How many users one process ticks a second, against an exchange that takes 50 ms to answer.

    .venv/bin/python -m benchmarks.tick [--dynamodb URL]

Through the deployed handler, messages of 200 users, on real HTTP and a real DynamoDB engine, each in a process of its
own. *Quiet*: nothing can have happened. *Busy*: the account is looked at, and nothing is to be done, or an order is
placed. *Naive*, beside them in the same run: a ccxt object for each user and tick, on as many threads, which looks, or
also places an order; it writes nothing down at all.
"""

import asyncio
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import batched
from multiprocessing.connection import Connection
from typing import Annotated, Any

import typer
from aiohttp import web
from aiohttp.typedefs import Handler
from botbalance import bootstrap
from botbalance.bootstrap import Services
from botbalance.engine import Balance, StrategyConfig, compute_rebalance_actions
from botbalance.exchange.ccxt_import import exchange_class
from botbalance.exchange.profiles import DEFAULT_EXCHANGE
from botbalance.log import logger
from botbalance.models.exchange_key import ExchangeKey
from botbalance.models.strategy import Strategy
from botbalance.settings import read_settings
from botbalance.store.dynamodb import shard_name
from tick.work import lambda_handler

from benchmarks.backtest import setup
from workbench.aws.resources import CREDENTIALS, EmbeddedAws
from workbench.aws.template import read_template
from workbench.local.lambda_runtime import InvocationContext
from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.market import MINUTE_MS, Candle, Market
from workbench.simulated_exchange.matching_engine import MatchingEngine
from workbench.simulated_exchange.server import ExchangeServer

LATENCY_S = 0.05
CHUNK = 200
NAIVE_USERS = 61
START = 1_700_000_040
PRICES = {
    "BTC": "43250.52", "ETH": "2580.71", "SOL": "98.42", "BNB": "311.80", "XRP": "0.6142",
    "ADA": "0.5317", "DOGE": "0.08123", "LTC": "71.35", "LINK": "14.28", "DOT": "7.16",
}  # fmt: skip
TARGETS = dict.fromkeys(PRICES, Decimal(9)) | {"USDT": Decimal(10)}
WORTH = Decimal(10_000)
CONFIG = StrategyConfig("USDT", Decimal(1), Decimal("0.4"), Decimal(50))
_SPAWN = multiprocessing.get_context("spawn")


type Order = tuple[int, dict[str, str]]
"""A time in epoch seconds, and prices by symbol."""


class MinutesOfLooks:
    """A candle of each minute in which somebody looks, at the last prices."""

    candle_ms = MINUTE_MS
    start_ms = START * 1000

    def __init__(self) -> None:
        self.now = START

    def next_candles(self, last_prices: Mapping[str, Decimal]) -> Mapping[str, Candle]:
        """A candle a pair, at its last price."""
        opens_at = (self.now - self.now % 60) * 1000
        return {
            symbol: Candle(opens_at, price, price, price, price, Decimal(0)) for symbol, price in last_prices.items()
        }


class DistantApi(BinanceApi):
    """Answers after a while, as everything far away does; ``paths`` are those that it was asked for."""

    def __init__(self, books: MatchingEngine) -> None:
        super().__init__(books, weight_limit=10**12)
        self.paths: list[str] = []

    async def serve(self, incoming: web.Request) -> web.StreamResponse:
        """Answer, and note what was asked for."""
        self.paths.append(incoming.path)
        return await super().serve(incoming)

    def application(self) -> web.Application:
        """The exchange, as far away as the benchmark says."""
        application = super().application()
        application.middlewares.append(_take_time)
        return application


@web.middleware
async def _take_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    await asyncio.sleep(LATENCY_S)
    response = await handler(request)
    response.headers.pop("X-MBX-USED-WEIGHT-1M", None)  # one address may not ask this much of any exchange
    return response


def exchange(users: int, pipe: "Connection[str, Order | None]") -> None:
    """The exchange's process: serves, tells its address, and goes on to each time and price that it is told."""
    minutes = MinutesOfLooks()
    market = Market.with_default_filters({f"{asset}USDT": Decimal(price) for asset, price in PRICES.items()}, minutes)
    books = MatchingEngine(market, clock=lambda: minutes.now * 1000)
    held = {asset: (WORTH * 9 / 100 / Decimal(price)).quantize(Decimal("1e-8")) for asset, price in PRICES.items()}
    for number in range(users):
        books.open_account(f"key-{number:06}", f"secret-{number:06}", held | {"USDT": WORTH / 10})
    with ExchangeServer(DistantApi(books)) as server:
        pipe.send(server.url)
        while (order := pipe.recv()) is not None:
            minutes.now, moves = order
            market.advance()
            for symbol, price in moves.items():
                market.set_price(symbol, Decimal(price))
            pipe.send("moved")


@dataclass
class Bench:
    """One process's services, and the exchange that it can move."""

    environment: dict[str, str]
    users: Sequence[str]
    pipe: "Connection[Order | None, str]"
    now: int = START

    def services(self, **settings: str) -> Services:
        """The product wired as the benchmark has it, with other ``settings``."""
        return Services(read_settings(self.environment | settings), clock=lambda: self.now)

    def go_on(self, **prices: str) -> None:
        """To the next tick, and prices to theirs."""
        self.now += 30
        self.pipe.send((self.now, {f"{asset}USDT": price for asset, price in prices.items()}))
        self.pipe.recv()

    def tick(self, services: Services, users: Sequence[str]) -> float:
        """Tick ``users``; the seconds that it took."""
        bootstrap.use(services)
        records = [_record(number, chunk, self.now) for number, chunk in enumerate(batched(users, CHUNK, strict=False))]
        context: Any = InvocationContext("work", 600_000)
        started = time.perf_counter()
        for record in records:
            assert lambda_handler({"Records": [record]}, context) == {"batchItemFailures": []}
        return time.perf_counter() - started


def _record(number: int, users: Sequence[str], ts_tick: int) -> dict[str, Any]:
    return {
        "messageId": str(number),
        "receiptHandle": str(number),
        "body": json.dumps({"ts_tick": ts_tick, "users": dict.fromkeys(users, 1)}),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:TickQueue",
        "awsRegion": "us-east-1",
    }


def naive(url: str, numbers: Sequence[int], threads: int, *, places: bool) -> float:
    """Users a second, of those with ``numbers``, where everybody gets a ccxt object of their own at each tick."""
    client_class, rules = exchange_class(DEFAULT_EXCHANGE), setup().market_rules

    def one(number: int) -> None:
        client = client_class(
            {
                "apiKey": f"key-{number:06}",
                "secret": f"secret-{number:06}",
                "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False},
            }
        )
        client.urls["api"] = dict.fromkeys(client.urls["api"], f"{url}/api/v3")
        client.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
        client.load_markets()
        balance = client.fetch_balance()
        client.fetch_open_orders()
        tickers = client.fetch_tickers([f"{asset}/USDT" for asset in PRICES])
        actions = compute_rebalance_actions(
            {asset: Balance(Decimal(str(balance["free"].get(asset, 0)))) for asset in TARGETS},
            TARGETS,
            {f"{asset}USDT": Decimal(str(tickers[f"{asset}/USDT"]["last"])) for asset in PRICES},
            CONFIG,
            market_rules=rules,
        )
        assert len(actions) == places, actions
        for action in actions:
            symbol = f"{action.symbol.removesuffix('USDT')}/USDT"
            client.create_order(symbol, "limit", action.side, float(action.base_qty), float(action.limit_price))

    one(numbers[0])
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, numbers[1:]))
    return (len(numbers) - 1) / (time.perf_counter() - started)


@contextmanager
def running(users: int, dynamodb: str | None) -> Iterator[Bench]:
    """An exchange with accounts for ``users``, and tables with their strategies and keys."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=exchange, args=(users, theirs), daemon=True)
    process.start()
    aws = EmbeddedAws(read_template(), run=f"tick-{time.time_ns()}", dynamodb=dynamodb)
    os.environ.update(CREDENTIALS)
    try:
        environment = aws.start() | {"EXCHANGE_BASE_URL": ours.recv(), "LOG_LEVEL": "CRITICAL"}
        names = [f"user-{number:06}" for number in range(users)]
        # As dispatch hands them out: neighbours in the accounts table in one message.
        bench = Bench(environment, sorted(names, key=lambda name: (shard_name(name), name)), ours)
        services = bench.services()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: _enrol(services, number), range(users)))
        yield bench
    finally:
        ours.send(None)
        process.join(5)
        aws.stop()


def _enrol(services: Services, number: int) -> None:
    user_id = f"user-{number:06}"
    services.credentials.save(user_id, DEFAULT_EXCHANGE, ExchangeKey(f"key-{number:06}", f"secret-{number:06}"), START)
    services.strategies.save(
        Strategy(
            user_id=user_id,
            exchange=DEFAULT_EXCHANGE,
            quote_asset="USDT",
            target_allocations=TARGETS,
            order_size_pct=CONFIG.order_size_pct,
            order_step_pct=CONFIG.order_step_pct,
            min_delta_quote=CONFIG.min_delta_quote,
            autopilot_enabled=True,
        )
    )


def main(
    users: Annotated[int, typer.Option(min=2 * NAIVE_USERS)] = 2_000,
    threads: Annotated[int, typer.Option(min=1, max=64)] = 32,
    dynamodb: Annotated[str | None, typer.Option(help="A DynamoDB engine, by URL; else the embedded one.")] = None,
) -> None:
    """Measure and print."""
    logger.setLevel("CRITICAL")
    with running(users, dynamodb) as bench:
        settings = {"WORK_THREADS": str(threads)}
        every, calm = bench.services(PORTFOLIO_MAX_AGE="0", **settings), bench.services(**settings)
        some = bench.users[: users // 4]
        taken = set(some)
        others = [number for number in range(users) if f"user-{number:06}" not in taken][:NAIVE_USERS]
        figures: dict[str, float] = {}
        bench.go_on()
        print(f"{users:,} users, {threads} threads, an exchange {LATENCY_S * 1000:.0f} ms away")
        figures["first look at everybody"] = users / bench.tick(calm, bench.users)
        for log in ("every", "changes"):
            quiet = bench.services(DECISION_LOG=log, **settings)
            took = []
            for _ in range(5):
                bench.go_on()
                took.append(bench.tick(quiet, bench.users))
            figures[f"quiet, DECISION_LOG={log}"] = users / min(took)
        assert _logged(calm, bench) == 1, "the first look, and nothing for the quiet ticks after it"
        print(f"memory at {users:,} users: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")
        took = []
        for _ in range(3):
            bench.go_on()
            took.append(bench.tick(every, some))
        figures["busy, nothing to do"] = len(some) / min(took)
        url = bench.environment["EXCHANGE_BASE_URL"]
        figures["naive, nothing to do"] = naive(url, others, threads, places=False)
        bench.go_on(BTC="40500")
        figures["busy, an order placed"] = len(some) / bench.tick(every, some)
        orders = [order for user in some[:20] for order in every.context.orders.iter_all(user)]
        assert len(orders) == 20 * 1, len(orders)
        figures["naive, an order placed"] = naive(url, others, threads, places=True)
        for services in (every, calm):
            services.close()
    print(f"{'':<28}{'users a second':>16}{'of naive':>12}")
    for name, figure in figures.items():
        like = "naive, an order placed" if name.endswith("placed") else "naive, nothing to do"
        print(f"{name:<28}{figure:>16,.0f}{figure / figures[like]:>12.1f}")


def _logged(services: Services, bench: Bench) -> int:
    """How many decisions each of the first users has in the log at most."""
    return max(len(services.context.decisions.page(user, limit=20).items) for user in bench.users[:20])


if __name__ == "__main__":
    typer.run(main)
