"""The one place that wires clients, adapters and services together. Each is made once, on first use.

Clients are imported here and nowhere else at run time, and only when something asks for them: a request that
needs no exchange never imports ccxt.
"""

import time
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import boto3
from botocore.config import Config

from botbalance.accounts import Accounts
from botbalance.market_rules import MarketRulesService
from botbalance.portfolio import PortfolioService
from botbalance.pricing import PriceService
from botbalance.settings import Settings, settings
from botbalance.store.cache import CacheTable
from botbalance.store.credentials import CredentialsTable, ExchangeKey
from botbalance.store.decisions import DecisionsTable
from botbalance.store.leases import LeasesTable
from botbalance.store.orders import OrdersTable
from botbalance.store.strategies import StrategiesTable
from botbalance.trading.desk import Desk

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_sqs import SQSClient

    from botbalance.exchange.ccxt_adapter import CcxtAdapter

_CLIENTS = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=64,
)


class Services:
    """Everything of one process, made when it is first asked for.

    ``clock`` gives epoch seconds and ``sleep`` waits; a local run hands in its own.
    """

    def __init__(
        self,
        configuration: Settings,
        *,
        clock: Callable[[], int] = lambda: int(time.time()),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = configuration
        self.clock = clock
        self._sleep = sleep
        self._connections: WeakSet[CcxtAdapter] = WeakSet()

    @cached_property
    def sqs(self) -> "SQSClient":
        return boto3.client("sqs", endpoint_url=self.settings.sqs_endpoint, config=_CLIENTS)

    @cached_property
    def _dynamodb(self) -> "DynamoDBClient":
        return boto3.client("dynamodb", endpoint_url=self.settings.dynamodb_endpoint, config=_CLIENTS)

    @cached_property
    def _kms(self) -> "KMSClient":
        return boto3.client("kms", endpoint_url=self.settings.kms_endpoint, config=_CLIENTS)

    @cached_property
    def strategies(self) -> StrategiesTable:
        return StrategiesTable(self._dynamodb, self.settings.strategies_table)

    @cached_property
    def credentials(self) -> CredentialsTable:
        return CredentialsTable(
            self._dynamodb, self.settings.credentials_table, self._kms, self.settings.credentials_key_id
        )

    @cached_property
    def desk(self) -> Desk:
        shared = CacheTable(self._dynamodb, self.settings.cache_table)
        market_rules = MarketRulesService(self.settings, shared, cache(self.connect), self.clock)
        prices = PriceService(self.settings, shared, market_rules, cache(self.connect), self.clock)
        return Desk(
            strategies=self.strategies,
            orders=OrdersTable(self._dynamodb, self.settings.orders_table),
            decisions=DecisionsTable(self._dynamodb, self.settings.decisions_table, self.settings.decision_ttl_days),
            leases=LeasesTable(self._dynamodb, self.settings.leases_table),
            accounts=Accounts(self.credentials, self.connect),
            portfolio=PortfolioService(prices, market_rules),
            clock=self.clock,
            sleep=self._sleep,
        )

    def connect(self, exchange: str, key: ExchangeKey | None = None) -> "CcxtAdapter":
        """A new connection to ``exchange``, with a user's key or public; raises MendRequest for an unknown one."""
        from botbalance.exchange.ccxt_adapter import CcxtAdapter  # noqa: PLC0415 - imports ccxt, which takes a while

        keys: dict[str, Any] = (
            {} if key is None else {"api_key": key.api_key, "secret": key.secret, "password": key.password}
        )
        connection = CcxtAdapter(exchange, base_url=self.settings.exchange_base_url, **keys)
        self._connections.add(connection)
        return connection

    def close(self) -> None:
        """Close every connection that was opened; a Lambda just ends instead."""
        for connection in list(self._connections):
            connection.close()
        for name in ("sqs", "_dynamodb", "_kms"):
            if name in self.__dict__:
                self.__dict__[name].close()


_services: Services | None = None


def services() -> Services:
    """This process's services, from its environment."""
    global _services  # noqa: PLW0603 - the one thing that a warm Lambda keeps between invocations
    if _services is None:
        _services = Services(settings())
    return _services


def use(replacement: Services | None) -> None:
    """Let :func:`services` answer ``replacement``; None means anew from the environment."""
    global _services  # noqa: PLW0603
    _services = replacement
