"""The services that read the market, over a simulated exchange and tables in memory, with a clock moved by hand."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botbalance.accounts.portfolio import PortfolioService
from botbalance.accounts.weight_budgets import Caller, Purpose, caller
from botbalance.exchange.ccxt_client import UnlimitedRateLimiter
from botbalance.market_data.market_rules import MarketRulesService
from botbalance.market_data.price_highs import PriceHighs
from botbalance.market_data.price_service import PriceService
from botbalance.market_data.public_adapters import PublicAdapters
from botbalance.market_data.shared_requests import SharedRequests
from botbalance.market_data.traded_ranges import TradedRanges
from botbalance.settings import Settings
from botbalance.store.cache import CacheTable

from tests.fixtures.cache_table import CACHE, Clock, cache_properties, clock
from tests.integration.exchange.simulated import Exchange, running_exchange
from workbench.simulation.dynamodb import InMemoryDynamoDB

__all__ = ["cache_properties", "clock"]  # fixtures

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NAMES: dict[str, Any] = {name: name.removesuffix("_table") for name in Settings.model_fields if name.endswith("_table")}


@dataclass(frozen=True)
class Process:
    """What one function's process has: its own memory, and the cache that all share."""

    rules: MarketRulesService
    prices: PriceService
    ranges: TradedRanges
    highs: PriceHighs
    portfolio: PortfolioService


class Counting(UnlimitedRateLimiter):
    """Adds to ``callers`` on whose behalf each request is sent."""

    def __init__(self, callers: list[Caller]) -> None:
        self._callers = callers

    @contextmanager
    def request(self, *, sends: bool, weight: int) -> Iterator[None]:
        self._callers.append(caller())
        yield


type StartProcess = Callable[..., Process]


@pytest.fixture(scope="session")
def client() -> Iterator["DynamoDBClient"]:
    keys: dict[str, Any] = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    with closing(boto3.client("dynamodb", region_name="us-east-1", **keys)) as client:
        yield client


@pytest.fixture
def cache(cache_properties: dict[str, Any]) -> CacheTable:
    """In memory: what several threads do to an item at once is done one after another, as DynamoDB does it."""
    client: Any = InMemoryDynamoDB()
    client.create_table(TableName=CACHE, **cache_properties)
    return CacheTable(client, CACHE)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange() as running:
        yield running


@pytest.fixture
def start_process(exchange: Exchange, cache: CacheTable, clock: Clock) -> StartProcess:
    """Starts a process with the settings given, by their names; ``pause`` is how it waits for others.

    On whose behalf each request leaves is added to ``counted``.
    """

    def start(
        *, pause: Callable[[float], None] = lambda _: None, counted: list[Caller] | None = None, **settings: Any
    ) -> Process:
        wanted = Settings.model_validate(NAMES | settings)
        limiter = UnlimitedRateLimiter() if counted is None else Counting(counted)
        adapters = PublicAdapters(lambda _: exchange.connect("", "", rate_limiter=limiter))
        requests = SharedRequests(cache, clock, pause, lambda: caller().purpose is Purpose.TICK)
        rules = MarketRulesService(wanted, cache, adapters, clock)
        prices = PriceService(wanted, cache, rules, adapters, requests, clock)
        ranges = TradedRanges(wanted, cache, rules, adapters, requests, clock)
        highs = PriceHighs(cache, rules, adapters, clock)
        return Process(rules, prices, ranges, highs, PortfolioService(prices, rules))

    return start


@pytest.fixture
def process(start_process: StartProcess) -> Process:
    return start_process()
