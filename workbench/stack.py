"""The whole product on one machine: a simulated exchange, AWS's services, the API and the autopilot.

The handlers, tables, queue and routes are the ones that are deployed; what calls them is here.
"""

import os
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from botbalance import bootstrap
from botbalance.api.schemas import StrategyRequest
from botbalance.engine import hold_value, rebalancing_bonus
from botbalance.errors import MendRequest
from botbalance.settings import read_settings
from botbalance.store.credentials import ExchangeKey
from botbalance.store.orders import Order, OrderStatus
from botbalance.trading.plan import Plan, preview
from botbalance.trading.strategy import change_strategy, switch_autopilot

from workbench import demo_portfolio
from workbench.audit import differences
from workbench.clock import TickClock
from workbench.embedded_aws import CREDENTIALS, EmbeddedAws
from workbench.exchange.binance_api import BinanceApi
from workbench.exchange.books import Books
from workbench.exchange.market import CandleSource, FrozenPrices, Market
from workbench.exchange.random_walk import RandomWalk
from workbench.exchange.recorded_candles import OutOfCandles, RecordedCandles, recorded_symbols
from workbench.exchange.server import ExchangeServer
from workbench.gateway import DEMO_USER, Gateway
from workbench.lambda_runtime import LambdaRuntime
from workbench.template import read_template

DEMO_KEY = ExchangeKey(api_key="demo-key-of-the-simulated-exchange", secret="demo-secret-of-the-simulated-exchange")
_DISPATCH = "tick.dispatch.lambda_handler"
_WORK = "tick.work.lambda_handler"
_MESSAGES_PER_RECEIVE = 10


@dataclass(frozen=True, slots=True)
class Options:
    """What a local run is asked for; ``speed`` in candles a tick, ``dynamodb`` a URL."""

    port: int = 0
    seed: int = 0
    candles: Path | None = None
    speed: int = 1
    strategy: Path | None = None
    freeze_prices: bool = False
    dynamodb: str | None = None
    autopilot: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the demo portfolio stands: its plan, its orders, and what rebalancing has earned so far (in quote)."""

    plan: Plan
    orders: list[Order]
    hold_quote: Decimal
    bonus_quote: Decimal

    def orders_in(self, *statuses: OrderStatus) -> list[Order]:
        """The orders in one of ``statuses``."""
        return [order for order in self.orders if order.status in statuses]


class Stack:
    """Everything, wired together; a context manager that ends it cleanly."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._template = read_template()
        self.clock = TickClock(int(time.time()))
        strategy, source, first_prices = _market_of(options, self.clock)
        self._strategy = strategy
        self.market = _market_at(first_prices, source)
        self.books = Books(self.market, seed=options.seed, clock=self.clock.milliseconds)
        self.start_balances = demo_portfolio.off_target_balances(strategy, first_prices)
        self.books.open_account(DEMO_KEY.api_key, DEMO_KEY.secret, self.start_balances)
        self._exchange = ExchangeServer(BinanceApi(self.books))
        self._aws = EmbeddedAws(self._template, dynamodb=options.dynamodb, run=uuid4().hex[:8])
        self._runtime = LambdaRuntime()
        self._gateway = Gateway(self._template.routes(), self._runtime, self.tick, port=options.port)
        self._services: bootstrap.Services | None = None
        self._ticking = Lock()

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
        """End everything that was started."""
        self._gateway.stop()
        self._exchange.stop()
        if self._services is not None:
            self._services.close()
        self._aws.stop()
        bootstrap.use(None)

    def tick(self) -> dict[str, Any]:
        """Move the market, then run the autopilot once through dispatch, queue and work; returns what dispatch said."""
        with self._ticking:
            ts_tick = self.clock.next_tick()
            self._move_market()
            answer: dict[str, Any] = self._runtime.invoke(_DISPATCH, {"ts_tick": ts_tick})
            self._drain_queue()
            return answer

    def standing(self) -> Standing:
        """Where the demo portfolio stands now, by the same plan that the API shows."""
        return self._runtime.between_invocations(self._standing)

    def _standing(self) -> Standing:
        desk = bootstrap.services().desk
        plan = preview(desk, DEMO_USER)
        orders = list(desk.orders.every(DEMO_USER))
        # An asset that was dropped from the targets is still held from the start, and its fills still count.
        prices = {spec.base: self.market.last_price(symbol) for symbol, spec in self.market.specs.items()}
        prices |= {row.asset: row.price for row in plan.evaluation.rows if row.price is not None}
        return Standing(
            plan=plan,
            orders=orders,
            hold_quote=hold_value(self.start_balances, prices),
            bonus_quote=rebalancing_bonus((fill for order in orders for fill in order.engine_fills()), prices),
        )

    def book_differences(self) -> list[str]:
        """In what the exchange's books and ours disagree; empty where they agree."""
        return differences(self.books, DEMO_KEY.api_key, bootstrap.services().desk.orders.every(DEMO_USER))

    def _start(self) -> Self:
        os.environ |= CREDENTIALS
        environment = self._aws.start()
        self._exchange.start()
        environment |= {"EXCHANGE_BASE_URL": self._exchange.url} | {
            name: os.environ[name]
            for name in ("PRICING_SOURCE", "PRICING_USE_CACHE", "PRICING_TTL")
            if name in os.environ
        }
        services = self._services = bootstrap.Services(read_settings(environment), clock=self.clock)
        bootstrap.use(services)
        services.credentials.save(DEMO_USER, self._strategy.exchange, DEMO_KEY, self.clock())
        change_strategy(services.desk, DEMO_USER, self._strategy.model_dump())
        switch_autopilot(services.desk, DEMO_USER, enabled=self._options.autopilot)
        self._gateway.start()
        return self

    def _move_market(self) -> None:
        """Go on by ``speed`` candles, or by what is left of them; raises OutOfCandles where nothing is."""
        for moved in range(self._options.speed):
            try:
                self.market.advance()
            except OutOfCandles:
                if not moved:
                    raise
                return

    def _drain_queue(self) -> None:
        services = bootstrap.services()
        queue = services.settings.tick_queue_url
        while True:
            messages = services.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=_MESSAGES_PER_RECEIVE).get(
                "Messages", []
            )
            if not messages:
                return
            records = [_record(message) for message in messages]
            answer = self._runtime.invoke(_WORK, {"Records": records})
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
            for message in messages:
                if message["MessageId"] not in failed:
                    services.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


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


def _market_of(options: Options, clock: TickClock) -> tuple[StrategyRequest, CandleSource, dict[str, Decimal]]:
    """The strategy of the run, where its prices come from, and the first of them."""
    strategy = demo_portfolio.read_strategy(options.strategy) if options.strategy else None
    if options.candles is not None:
        if not options.candles.is_dir():
            raise MendRequest("no_candles", f"--candles is {options.candles}, expected a folder")
        recorded = recorded_symbols(options.candles)
        strategy = strategy or demo_portfolio.equal_shares_strategy(recorded)
        candles = RecordedCandles(options.candles, _symbols(strategy) or recorded[:1])
        source: CandleSource = candles
        first_prices = candles.first_prices
    else:
        strategy = strategy or demo_portfolio.demo_strategy()
        first_prices = {
            symbol: demo_portfolio.FIRST_PRICES.get(symbol.removesuffix(strategy.quote_asset), Decimal(1))
            for symbol in _symbols(strategy) or [f"BTC{demo_portfolio.QUOTE}"]  # an exchange has some market
        }
        source = RandomWalk(seed=options.seed, start_ms=clock.milliseconds())
    return strategy, FrozenPrices(start_ms=source.start_ms) if options.freeze_prices else source, first_prices


def _market_at(first_prices: dict[str, Decimal], source: CandleSource) -> Market:
    try:
        return Market.with_default_filters(first_prices, source)
    except ValueError as error:
        raise MendRequest("local_market", f"the simulated exchange cannot list a pair: {error}") from None


def _symbols(strategy: StrategyRequest) -> list[str]:
    return [asset + strategy.quote_asset for asset in strategy.target_allocations if asset != strategy.quote_asset]
