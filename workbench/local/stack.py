"""The whole product on one machine: a simulated exchange, AWS's services, the API and the autopilot.

The handlers, tables, queue and routes are the ones that are deployed; what calls them is here.
"""

import json
import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from botbalance import bootstrap
from botbalance.engine import hold_value, rebalancing_bonus
from botbalance.errors import InvalidRequestError
from botbalance.models.exchange_key import ExchangeKey
from botbalance.models.notification import Channel
from botbalance.models.order import Order, OrderStatus
from botbalance.notifications.preferences import save_preferences
from botbalance.settings import read_settings
from botbalance.trading.autopilot import switch_autopilot
from botbalance.trading.orders import list_orders
from botbalance.trading.plan import Plan, preview
from botbalance.trading.strategy import save_strategy

from workbench.audit.order_books import differences
from workbench.aws.emulator import LOOPBACK
from workbench.aws.key_service import InMemoryKeyService
from workbench.aws.resources import (
    CREDENTIALS,
    LOCAL_SETTINGS,
    EmbeddedAws,
    in_memory_dynamodb,
    in_process_environment,
)
from workbench.aws.template import read_template
from workbench.local.api_gateway import DEMO_USER, ApiGateway, preflight_headers
from workbench.local.clock import ExchangeClock, tick_at
from workbench.local.lambda_runtime import LambdaRuntime
from workbench.local.notifier import Notifier
from workbench.local.queues import InProcessQueues
from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.control_api import ControlApi
from workbench.simulated_exchange.control_client import ControlClient
from workbench.simulated_exchange.in_process import InProcessConnections
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.matching_engine import MatchingEngine
from workbench.simulated_exchange.server import ExchangeServer
from workbench.simulated_exchange.simulation import Simulation

DEMO_KEY = ExchangeKey(  # nosec B106  # of the simulated exchange, where nobody has anything
    api_key="demo-key-of-the-simulated-exchange", secret="demo-secret-of-the-simulated-exchange"
)
DISPATCH = "tick.dispatch.lambda_handler"
WORK = "tick.work.lambda_handler"
_MESSAGES_PER_RECEIVE = 10
_OF_THIS_EXCHANGE = {"DISPATCH_THREADS": "1", "WORK_THREADS": "1", "MARKET_RULES_TTL": "86400"}
"""Users are few here, and nothing is far away: starting a tick's threads takes longer than what they do. Markets stay
as they are.
"""
_DOCKER_DESKTOP = "host.docker.internal"
_LOOPBACK_URL = re.compile(r"^(https?://)(127\.0\.0\.1|localhost)(?=[:/]|$)")


@dataclass(frozen=True, slots=True)
class Options:
    """What a local run is asked for; ``speed`` in candles a tick, ``dynamodb`` a URL.

    ``exchange`` is the URL of a simulated exchange that runs already. The market is its own then, and ``seed``,
    ``candles``, ``speed``, ``strategy``, ``balances`` and ``freeze_prices`` count for nothing. The exchange and
    the AWS services listen at ``listen``. ``sam_environment`` is a file to write the functions' environment to, as
    ``sam local … --env-vars`` takes it. ``notify`` is a URL that the demo user is told by.
    """

    port: int = 0
    seed: int = 0
    candles: Path | None = None
    speed: int = 1
    strategy: Path | None = None
    balances: Path | None = None
    freeze_prices: bool = False
    dynamodb: str | None = None
    exchange: str | None = None
    listen: str = LOOPBACK
    notify: str | None = None
    sam_environment: Path | None = None
    autopilot: bool = True

    @property
    def replays_in_this_process(self) -> bool:
        """Whether recorded candles are replayed and nobody else needs the tables or the queues.

        Then tables, keys and the tick's queue are kept in memory, and the exchange is asked without a socket.
        """
        return self.candles is not None and not (self.dynamodb or self.exchange or self.sam_environment or self.notify)


@dataclass(frozen=True, slots=True)
class PortfolioStatus:
    """Where the demo portfolio stands: its plan, its orders, and what rebalancing has earned so far (in quote)."""

    plan: Plan
    orders: list[Order]
    hold_quote: Decimal
    bonus_quote: Decimal
    left: dict[str, Decimal]
    """What assets are worth that were held at the start or traded since, and are no target any more."""

    @property
    def worth(self) -> Decimal:
        """Everything that was held at the start or traded since: the same basis whatever the targets are."""
        return self.hold_quote + self.bonus_quote

    def orders_with_status(self, *statuses: OrderStatus) -> list[Order]:
        """The orders in one of ``statuses``."""
        return [order for order in self.orders if order.status in statuses]


class Stack:
    """Everything, wired together; a context manager that ends it cleanly."""

    exchange: ControlClient
    clock: ExchangeClock
    """Both there once this has been started; ``clock`` is the exchange's time."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._template = read_template()
        self._simulation = _simulation(options) if options.exchange is None else None
        self._runtime = LambdaRuntime()
        self._gateway = ApiGateway(
            self._template.routes(),
            self._runtime,
            self.tick,
            port=options.port,
            notify_now=self.notify,
            preflight=preflight_headers(self._template),
        )
        self._notifier = Notifier(self._runtime, partial(drain_queue, self._runtime))
        self._ticking = Lock()
        self._notifying = Lock()
        self.signing_secret: str | None = None
        """By which messages to ``--notify`` are signed."""
        self._started = ExitStack()

    @property
    def market(self) -> Market:
        """The market of the exchange that this has started itself, for whoever must rig it."""
        return self._own_simulation().market

    @property
    def books(self) -> MatchingEngine:
        """The books of the exchange that this has started itself, for whoever must rig them."""
        return self._own_simulation().books

    @property
    def described(self) -> str:
        """What it runs on, for whoever has just started it."""
        return "on a simulated exchange"

    @property
    def url(self) -> str:
        """Where the API answers, without a trailing slash."""
        return self._gateway.url

    def __enter__(self) -> Self:
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything that was started, the newest first."""
        self._started.close()

    def tick(self) -> dict[str, Any]:
        """Move the market, then run the autopilot once through dispatch, queue and work; returns what dispatch said.

        Raises OutOfCandlesError where the market cannot move.
        """
        with self._ticking:
            ts_tick = self.clock.next_tick(self._speed)
            answer: dict[str, Any] = self._runtime.invoke(DISPATCH, {"tick_at": tick_at(ts_tick)})
            queue = bootstrap.services().settings.tick_queue_url
            drain_queue(self._runtime, queue, WORK, sent=answer.get("messages"))
        self.notify()
        return answer

    def notify(self) -> None:
        """Tell owners what was written, and what is due."""
        with self._notifying:
            self._notifier.run()

    def standing(self) -> PortfolioStatus:
        """Where the demo portfolio stands now, by the same plan that the API shows."""
        return self._runtime.between_invocations(self._standing)

    def _standing(self) -> PortfolioStatus:
        context = bootstrap.services().context
        list_orders(
            context, DEMO_USER, limit=1, cursor=None
        )  # while the autopilot is off, nobody else asks what filled
        plan = preview(context, DEMO_USER)
        orders = list(context.orders.iter_all(DEMO_USER))
        # An asset that was dropped from the targets is still held from the start, and its fills still count.
        prices = {pair.base: pair.last_price for pair in self.exchange.pairs()}
        prices |= {row.asset: row.price for row in plan.evaluation.rows if row.price is not None}
        return PortfolioStatus(
            plan=plan,
            orders=orders,
            hold_quote=hold_value(self._start_balances, prices),
            bonus_quote=rebalancing_bonus((fill for order in orders for fill in order.as_engine_fills()), prices),
            left={
                asset: hold_value({asset: balance.free + balance.locked}, prices)
                for asset, balance in plan.evaluation.unmanaged.items()
                if asset in prices
            },
        )

    def book_differences(self) -> list[str]:
        """In what the exchange's books and ours disagree; empty where they agree."""
        booked = self.exchange.account_books(DEMO_KEY.api_key)
        return differences(booked, bootstrap.services().context.orders.iter_all(DEMO_USER))

    def _start(self) -> Self:
        os.environ |= CREDENTIALS
        started = self._started
        exchange_url = self._options.exchange or self._start_exchange()
        self.exchange = ControlClient(exchange_url)
        started.callback(self.exchange.close)
        about = self.exchange.about()
        self._speed = about.speed
        here = self._options.replays_in_this_process
        self.clock = ExchangeClock(self._own_simulation() if here else self.exchange, about.now)
        resources = (
            in_process_environment(self._template, f"botbalance-{about.id}-") if here else self._start_aws(about.id)
        )
        environment = (
            resources | LOCAL_SETTINGS | _OF_THIS_EXCHANGE | {"EXCHANGE_BASE_URL": exchange_url} | own_settings()
        )
        # Beyond loopback the exchange is this machine's still, as it is for functions that SAM runs here.
        opened = {} if self._options.listen == LOOPBACK else {"AWS_SAM_LOCAL": "true"}
        services = bootstrap.Services(read_settings(environment | opened), clock=self.clock)
        if here:
            self._keep_in_this_process(services, exchange_url, about.id)
        started.callback(services.close)
        bootstrap.use(services)
        started.callback(bootstrap.use, None)
        if about.orders and next(iter(services.context.orders.iter_all(DEMO_USER)), None) is None:
            raise InvalidRequestError(
                "other_tables",
                f"the exchange at {exchange_url} holds {about.orders} orders of an earlier run, and these tables none: "
                "start with the --dynamodb of that run, or start the exchange anew",
            )
        self._start_balances = self.exchange.open_account(DEMO_KEY.api_key, DEMO_KEY.secret, about.start_balances)
        services.credentials.save(DEMO_USER, about.strategy.exchange, DEMO_KEY, self.clock())
        if services.strategies.find(DEMO_USER) is None:  # otherwise an earlier run's, as its user has left it
            save_strategy(services.context, DEMO_USER, about.strategy.model_dump(), None)
        if self._options.notify is not None:
            self._tell_demo_user(services, self._options.notify)
        switch_autopilot(services.context, DEMO_USER, enabled=self._options.autopilot)
        started.callback(self._gateway.stop)
        self._gateway.start()
        if self._options.sam_environment is not None:  # last: whoever waits for the file finds everything ready
            write_sam_environment(self._options.sam_environment, environment, self._options.listen)
        return self

    def _start_aws(self, run: str) -> dict[str, str]:
        aws = EmbeddedAws(self._template, run=run, dynamodb=self._options.dynamodb, host=self._options.listen)
        self._started.callback(aws.stop)
        return aws.start()

    def _keep_in_this_process(self, services: bootstrap.Services, exchange_url: str, run: str) -> None:
        services.dynamodb = in_memory_dynamodb(self._template, run)  # type: ignore[assignment]
        services.sqs = InProcessQueues()  # type: ignore[assignment]
        services.kms = InMemoryKeyService()  # type: ignore[assignment]
        services.exchange_connections = InProcessConnections(exchange_url, self._api.answer)

    def _tell_demo_user(self, services: bootstrap.Services, url: str) -> None:
        loud = {"trouble": "loud", "changes": "loud", "fills": "loud", "digest": "loud"}
        saved = save_preferences(
            services.notifications(60_000), DEMO_USER, loud, {Channel.WEBHOOK: {"url": url}}, own_address=None
        )
        self.signing_secret = saved.signing_secret

    def _start_exchange(self) -> str:
        simulation = self._own_simulation()
        self._api = BinanceApi(simulation.books)
        server = ExchangeServer(
            self._api,
            more=ControlApi(simulation, self._options.listen).routes(),
            host=self._options.listen,
        )
        return self._started.enter_context(server).url

    def _own_simulation(self) -> Simulation:
        if self._simulation is None:
            raise RuntimeError(f"the exchange at {self._options.exchange} is another process's")
        return self._simulation


def drain_queue(runtime: LambdaRuntime, queue: str, handler: str, *, sent: int | None = None) -> None:
    """Hand what is in ``queue`` (a URL) to ``handler``, until it is empty, or ``sent`` messages have been received."""
    services = bootstrap.services()
    received = 0
    while sent is None or received < sent:
        messages = services.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=_MESSAGES_PER_RECEIVE).get(
            "Messages", []
        )
        if not messages:
            return
        received += len(messages)
        records = [_record(message) for message in messages]
        answer = runtime.invoke(handler, {"Records": records})
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                services.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def write_sam_environment(file: Path, environment: Mapping[str, str], listen: str) -> None:
    """Write ``environment`` as ``sam local … --env-vars`` takes it; raises InvalidRequestError where that cannot be.

    In a container this machine's loopback is another: there it goes by the address that its services listen at, or,
    where that is loopback, by the name that Docker Desktop has for it.
    """
    here = _DOCKER_DESKTOP if listen == LOOPBACK else listen
    parameters = {name: _LOOPBACK_URL.sub(rf"\g<1>{here}", value) for name, value in environment.items()}
    try:
        file.write_text(json.dumps({"Parameters": parameters}, indent=2))
    except OSError as error:
        raise InvalidRequestError("sam_environment", f"{file} cannot be written: {error.strerror}") from error


def _record(message: Any) -> dict[str, Any]:
    """A message as Lambda's event source hands it to the worker."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:botbalance-TickQueue",
        "awsRegion": "us-east-1",
    }


def _simulation(options: Options) -> Simulation:
    return Simulation(
        seed=options.seed,
        candles=options.candles,
        speed=options.speed,
        strategy=options.strategy,
        balances=options.balances,
        freeze_prices=options.freeze_prices,
    )


def own_settings() -> dict[str, str]:
    """Where prices come from and which page may call the API, as whoever starts this has set it for the functions."""
    names = ("PRICING_SOURCE", "PRICING_USE_CACHE", "PRICING_TTL", "CORS_ORIGIN")
    return {name: os.environ[name] for name in names if name in os.environ}
