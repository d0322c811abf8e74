"""The one place that wires clients, adapters and services together. Each is made once, on first use.

Clients are imported here and nowhere else at run time, and only when something asks for them: a request that
needs no exchange never imports ccxt, and one that needs no table no boto3.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from botbalance.accounts.exchange_clients import ExchangeClients
from botbalance.accounts.portfolio import PortfolioService
from botbalance.accounts.rate_limits import RateLimits
from botbalance.accounts.weight_budgets import Purpose, caller
from botbalance.api.request_limits import RequestLimits
from botbalance.deadline import Deadline
from botbalance.errors import InvalidRequestError
from botbalance.exchange.adapter import CLOCK_MARGIN_S
from botbalance.exchange.paper_adapter import PaperAdapter
from botbalance.exchange.profiles import DEFAULT_EXCHANGE, market_exchange
from botbalance.market_data.market_rules import MarketRulesService
from botbalance.market_data.price_highs import PriceHighs
from botbalance.market_data.price_service import PriceService
from botbalance.market_data.public_adapters import PublicAdapters
from botbalance.market_data.shared_market import SharedMarket
from botbalance.market_data.shared_requests import SharedRequests
from botbalance.market_data.traded_ranges import TradedRanges
from botbalance.models.exchange_key import ExchangeKey
from botbalance.settings import Settings, settings
from botbalance.store.accounts import AccountsTable, Lease
from botbalance.store.activity import ActivityTable
from botbalance.store.cache import CacheTable
from botbalance.store.credentials import CredentialsTable
from botbalance.store.data_keys import DataKeys
from botbalance.store.decisions import DecisionsTable
from botbalance.store.delivery_queue import DeliveryQueue
from botbalance.store.dynamodb import keep_deadlines
from botbalance.store.history import HistoryTable
from botbalance.store.notifications import NotificationsTable
from botbalance.store.operator import OperatorTable
from botbalance.store.orders import OrdersTable
from botbalance.store.paper import PaperBooks, PaperTable
from botbalance.store.strategies import StrategiesTable
from botbalance.store.user_pool import UserPool
from botbalance.trading.context import TradingContext

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_sqs import SQSClient

    from botbalance.exchange.ccxt_adapter import CcxtAdapter
    from botbalance.exchange.http_pool import HttpPool
    from botbalance.notifications.context import NotificationContext

CLIENTS: dict[str, Any] = {
    "connect_timeout": 2,
    "read_timeout": 5,
    "retries": {"mode": "standard", "total_max_attempts": 3},
    "max_pool_connections": 64,
    # Both are a tenth of what a request costs here: building botocore's own description of this machine for each one,
    # and checking parameters that the service checks too.
    "user_agent": "botbalance",
    "parameter_validation": False,
}
"""What every client of AWS is configured with, as botocore names it."""


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
        self._connecting = Lock()

    @cached_property
    def sqs(self) -> "SQSClient":
        """The client of the queues."""
        client: SQSClient = _client("sqs", self.settings.sqs_endpoint)
        return client

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """The client of the tables."""
        client: DynamoDBClient = _client("dynamodb", self.settings.dynamodb_endpoint)
        return client

    @cached_property
    def kms(self) -> "KMSClient":
        """The client of the key service."""
        client: KMSClient = _client("kms", self.settings.kms_endpoint)
        return client

    @cached_property
    def user_pool(self) -> UserPool:
        """The pool in which users sign in."""
        client: CognitoIdentityProviderClient = _client("cognito-idp", self.settings.cognito_endpoint)
        return UserPool(client, self.settings.user_pool_id)

    @cached_property
    def strategies(self) -> StrategiesTable:
        """The strategies, one a user."""
        return StrategiesTable(self.dynamodb, self.settings.strategies_table)

    @cached_property
    def credentials(self) -> CredentialsTable:
        """The exchange keys, encrypted by data keys that the key service wraps."""
        table = self.settings.credentials_table
        data_keys = DataKeys(self.dynamodb, table, self.kms, self.settings.credentials_key_id, self.clock)
        return CredentialsTable(self.dynamodb, table, data_keys)

    @cached_property
    def _cache(self) -> CacheTable:
        return CacheTable(self.dynamodb, self.settings.cache_table)

    @cached_property
    def request_limits(self) -> RequestLimits:
        """How many requests a user may send in a minute."""
        return RequestLimits(self._cache, self.clock, self.settings.user_requests_per_minute)

    @cached_property
    def _limits(self) -> RateLimits:
        stand_in = self.settings.exchange_base_url is not None
        return RateLimits(self._cache, self.clock, self.settings.egress_address, has_stand_in=stand_in)

    @cached_property
    def exchange_connections(self) -> "HttpPool":
        """As many to a host as there are users who are ticked at a time."""
        from botbalance.exchange.http_pool import HttpPool  # noqa: PLC0415 - imports requests, as ccxt does

        return HttpPool(self.settings.work_threads, self.settings.plain_http_hosts)

    @cached_property
    def _adapters(self) -> PublicAdapters:
        return PublicAdapters(self.connect)

    @cached_property
    def _requests(self) -> SharedRequests:
        return SharedRequests(self._cache, self.clock, self._sleep, lambda: caller().purpose is Purpose.TICK)

    @cached_property
    def _market_rules(self) -> MarketRulesService:
        return MarketRulesService(self.settings, self._cache, self._adapters, self.clock)

    @cached_property
    def _prices(self) -> PriceService:
        return PriceService(self.settings, self._cache, self._market_rules, self._adapters, self._requests, self.clock)

    @cached_property
    def _ranges(self) -> TradedRanges:
        return TradedRanges(self.settings, self._cache, self._market_rules, self._adapters, self._requests, self.clock)

    @cached_property
    def _paper(self) -> PaperTable:
        return PaperTable(self.dynamodb, self.settings.paper_table)

    @cached_property
    def context(self) -> TradingContext:
        """A context for as long as it takes."""
        return TradingContext(
            strategies=self.strategies,
            orders=OrdersTable(self.dynamodb, self.settings.orders_table),
            decisions=DecisionsTable(
                self.dynamodb,
                self.settings.decisions_table,
                self.settings.decision_ttl_days,
                self.settings.noop_decision_ttl_days,
            ),
            accounts=AccountsTable(self.dynamodb, self.settings.accounts_table),
            operator=OperatorTable(self.dynamodb, self.settings.operator_table),
            activity=ActivityTable(self.dynamodb, self.settings.activity_table),
            history=HistoryTable(self.dynamodb, self.settings.history_table),
            paper=self._paper,
            notifications=NotificationsTable(
                self.dynamodb, self.settings.notifications_table, self.kms, self.settings.credentials_key_id
            ),
            clients=ExchangeClients(self.credentials, self._limits, self.connect, self.open_paper, self.clock),
            portfolio=PortfolioService(self._prices, self._market_rules),
            clock=self.clock,
            sleep=self._sleep,
            deadline=Deadline(sys.maxsize, self.clock),
            price_jump_pct=self.settings.price_jump_pct,
            ranges=self._ranges,
            highs=PriceHighs(self._cache, self._market_rules, self._adapters, self.clock),
            portfolio_max_age=self.settings.portfolio_max_age,
            log_every_tick=self.settings.decision_log == "every",
            egress_address=self.settings.egress_address,
        )

    def with_deadline(self, remaining_ms: int) -> TradingContext:
        """The context of a function that has ``remaining_ms`` milliseconds left to run."""
        return replace(self.context, deadline=Deadline(self.clock() + remaining_ms // 1000, self.clock))

    @cached_property
    def ses(self) -> Any:
        """Sends once: what may have been sent is not sent again."""
        return _client("sesv2", self.settings.ses_endpoint, retries={"total_max_attempts": 1})

    def notifications(self, remaining_ms: int) -> "NotificationContext":
        """What tells owners, in a function that has ``remaining_ms`` milliseconds left to run."""
        from botbalance.notifications.context import NotificationContext  # noqa: PLC0415 - ticks need none of it
        from botbalance.notifications.senders import Senders  # noqa: PLC0415

        trading = self.with_deadline(remaining_ms)
        return NotificationContext(
            trading=trading,
            table=trading.notifications,
            queue=DeliveryQueue(self.sqs, self.settings.delivery_queue_url),
            senders=Senders(
                mailer=lambda: self.ses,
                email_from=self.settings.notification_email_from,
                allows_loopback=self.settings.notification_loopback,
                telegram_url=self.settings.telegram_base_url.rstrip("/"),
            ),
            stand_in=self.stand_in,
        )

    @property
    def stand_in(self) -> str | None:
        """The exchange for which a simulated one stands in here; None where all are real."""
        if self.settings.exchange_base_url is None:
            return None
        return self.settings.simulated_exchange or DEFAULT_EXCHANGE

    def connect(self, exchange: str, user_id: str | None = None, key: ExchangeKey | None = None) -> "CcxtAdapter":
        """A new connection to ``exchange``, with a user's key or public; raises InvalidRequestError for an unknown one.

        Also where there is a simulated exchange, and this is another.
        """
        simulated = self.stand_in
        if simulated is not None and exchange != simulated:
            raise InvalidRequestError(
                "exchange_not_simulated",
                f"exchange is {exchange}, expected {simulated}: the one that is simulated here",
            )
        from botbalance.exchange.ccxt_adapter import CcxtAdapter  # noqa: PLC0415 - imports ccxt, which takes a while

        with self._connecting:  # users who are ticked together share them from the first one on
            connections = self.exchange_connections
        keys: dict[str, Any] = (
            {} if key is None else {"api_key": key.api_key, "secret": key.secret, "password": key.password}
        )
        return CcxtAdapter(
            exchange,
            base_url=self.settings.exchange_base_url,
            rate_limiter=self._limits.of(exchange, user_id),
            public_rate_limiter=self._limits.of(exchange, None),
            connections=connections,
            sleep=self._sleep,
            timeout_s=self.settings.exchange_timeout_s,
            **keys,
        )

    def open_paper(self, user_id: str, exchange: str, lease: Lease | None) -> PaperAdapter:
        """The user's paper account, to be written under ``lease``, or with None to look at."""
        return PaperAdapter(
            exchange,
            SharedMarket(market_exchange(exchange), self._adapters, self._prices, self._ranges),
            PaperBooks(self._paper, user_id, exchange, lease),
            self.clock,
            # A simulated exchange goes by the same clock, and says all of a minute when it is over.
            margin_s=CLOCK_MARGIN_S if self.stand_in is None else 0,
        )

    def close(self) -> None:
        """Close every connection that was opened; a Lambda just ends instead."""
        if "exchange_connections" in self.__dict__:
            self.exchange_connections.close_all()
        for name in ("sqs", "dynamodb", "kms", "ses"):
            if name in self.__dict__:
                self.__dict__[name].close()


def _client(service: str, endpoint: str | None, **configuration: Any) -> Any:
    import boto3  # noqa: PLC0415 - takes a third of a function's start
    from botocore.config import Config  # noqa: PLC0415

    create: Any = boto3.client
    client = create(service, endpoint_url=endpoint, config=Config(**CLIENTS | configuration))
    keep_deadlines(client)
    return client


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
