"""The services that read the market, over a simulated exchange and moto's DynamoDB, with a clock moved by hand."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botbalance.accounts.portfolio import PortfolioService
from botbalance.exchange.adapter import ExchangeAdapter
from botbalance.market_data.market_rules import MarketRulesService
from botbalance.market_data.price_service import PriceService
from botbalance.settings import Settings
from botbalance.store.cache import CacheTable
from moto import mock_aws

from tests.integration.exchange.simulated import Exchange, running_exchange
from workbench.aws.template import read_template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CACHE = "cache"
NAMES: dict[str, Any] = {
    f"{table}_table": table
    for table in (name.removesuffix("_table") for name in Settings.model_fields if name.endswith("_table"))
}


@dataclass
class Clock:
    """Epoch seconds; a test moves ``now``."""

    now: int = 1_700_000_000

    def __call__(self) -> int:
        return self.now


@dataclass(frozen=True)
class Process:
    """What one function's process has: its own memory, and the cache that all share."""

    rules: MarketRulesService
    prices: PriceService
    portfolio: PortfolioService


type StartProcess = Callable[..., Process]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def client() -> Iterator["DynamoDBClient"]:
    keys: dict[str, Any] = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    with closing(boto3.client("dynamodb", region_name="us-east-1", **keys)) as client:
        yield client


@pytest.fixture(scope="session")
def cache_properties() -> dict[str, Any]:
    properties = read_template().resources("AWS::DynamoDB::Table")["CacheTable"]
    return {name: properties[name] for name in ("AttributeDefinitions", "KeySchema", "BillingMode")}


@pytest.fixture
def cache(client: "DynamoDBClient", cache_properties: dict[str, Any]) -> Iterator[CacheTable]:
    with mock_aws():
        client.create_table(TableName=CACHE, **cache_properties)
        yield CacheTable(client, CACHE)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange() as running:
        yield running


@pytest.fixture
def start_process(exchange: Exchange, cache: CacheTable, clock: Clock) -> StartProcess:
    """Starts a process with the settings given, by their names."""

    def start(**settings: Any) -> Process:
        wanted = Settings.model_validate(NAMES | settings)
        connections: dict[str, ExchangeAdapter] = {}

        def public_adapter(_: str) -> ExchangeAdapter:
            return connections.setdefault("binance", exchange.connect("", ""))

        rules = MarketRulesService(wanted, cache, lambda _: exchange.connect("", ""), clock)
        prices = PriceService(wanted, cache, rules, public_adapter, clock)
        return Process(rules, prices, PortfolioService(prices, rules))

    return start


@pytest.fixture
def process(start_process: StartProcess) -> Process:
    return start_process()
