"""One user's harness: an exchange and a cloud that can be made to fail, and the real services between them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from itertools import count, starmap
from typing import Any

import boto3
from botbalance import bootstrap
from botbalance.bootstrap import Services
from botbalance.engine import Action
from botbalance.exchange.client_order_ids import canonical_client_order_id
from botbalance.models.decision import Decision
from botbalance.models.exchange_key import ExchangeKey
from botbalance.models.order import Order, OrderStatus
from botbalance.models.strategy import Strategy
from botbalance.settings import read_settings
from botbalance.trading.context import TradingContext
from botbalance.trading.plan import Plan
from botbalance.trading.rebalance import place_actions, write_intent
from botbalance.trading.session import AccountSession, open_session
from botbalance.trading.tick import strategy_tick
from botbalance.trading.tick_batch import TickJob, due_jobs
from tick import work

from workbench.audit.order_books import differences
from workbench.faults.aws import AwsFaults, no_backoff
from workbench.faults.crash_points import CrashPoints, WatchedPool
from workbench.faults.exchange import FaultyExchange
from workbench.faults.injector import Injector
from workbench.local.lambda_runtime import InvocationContext
from workbench.simulated_exchange.binance_api import Request
from workbench.simulated_exchange.control_messages import AccountBooks
from workbench.simulated_exchange.market import MINUTE_MS, FrozenPrices, Market
from workbench.simulated_exchange.matching_engine import MatchingEngine
from workbench.simulated_exchange.matching_engine import Order as BookedOrder
from workbench.simulated_exchange.server import ExchangeServer

FIRST_PRICES = {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_500), "XRPUSDT": Decimal("0.5")}
TARGETS = {"BTC": "30", "ETH": "30", "XRP": "20", "USDT": "20"}
"""Of an account that is all quote, so that a first decision buys all three."""
TEN_THOUSAND_USDT = {"USDT": Decimal(10_000)}
START = 1_700_000_010
DAY_S = 86_400
_WORLDS = count()
ORDER_PATH = "/api/v3/order"


class Process(Services):
    """The services of one process of ours, each of whose requests to AWS may fail by ``injector``.

    ``on_boundary`` is called in the thread that works, before and after every request that it sends (``before POST
    /api/v3/order``, ``after dynamodb.PutItem``); what it raises the process dies of.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        injector: Injector,
        *,
        clock: Callable[[], int],
        sleep: Callable[[float], None],
    ) -> None:
        super().__init__(read_settings(environment), clock=clock, sleep=sleep)
        self.on_boundary: Callable[[str], None] = lambda _: None
        self._crash_points = CrashPoints(self._boundary)
        faults = AwsFaults(injector, self._crash_points)
        faults.watch(self.dynamodb)
        faults.watch(self.kms)
        self.exchange_connections = WatchedPool(self._crash_points, self.settings.work_threads)

    def _boundary(self, name: str) -> None:
        self.on_boundary(name)


@dataclass
class TradingHarness:
    """Time stands still unless a test moves ``now`` (epoch seconds).

    What ``injector`` is told strikes the exchange and AWS. ``requests`` are all that reached the exchange, in the order
    of their effects; ``on_request`` is called for each, after its effect and before its reply. ``slept`` are the waits
    that were asked for; they take no time unless ``waits_take_time``. ``services`` are those of the process that works.
    """

    market: Market
    books: MatchingEngine
    injector: Injector
    exchange: FaultyExchange
    environment: Mapping[str, str]
    user: str
    now: int
    slept: list[float] = field(default_factory=list)
    waits_take_time: bool = False
    requests: list[Request] = field(default_factory=list)
    on_request: Callable[[Request], None] = lambda _: None
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.services = self.another_process()

    def another_process(self) -> Process:
        """The services of a process that has just started, on the same tables and the same exchange."""
        process = Process(self.environment, self.injector, clock=lambda: self.now, sleep=self._sleep)
        self.processes.append(process)
        return process

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.waits_take_time:
            self.now += int(seconds)

    def note(self, request: Request) -> None:
        """A request has reached the exchange."""
        self.requests.append(request)
        self.on_request(request)

    def signed(self, user: str | None = None) -> list[Request]:
        """Those that were sent with the user's key."""
        return [request for request in self.requests if request.api_key == f"key-of-{user or self.user}"]

    def requests_to(self, path: str) -> list[Request]:
        """Those whose path ends with ``path``."""
        return [request for request in self.requests if request.path.endswith(path)]

    def asked(self, method: str, symbol: str = "") -> list[Request]:
        """The requests to place (POST), look up (GET) or cancel (DELETE) an order, on ``symbol`` if one is given."""
        return [
            request
            for request in self.requests
            if (request.method, request.path) == (method, ORDER_PATH)
            and f"symbol={symbol}" in f"{request.query}&{request.body}"
        ]

    @property
    def context(self) -> TradingContext:
        return self.services.context

    @property
    def key(self) -> str:
        return f"key-of-{self.user}"

    def open_account(self, user: str, balances: Mapping[str, Decimal]) -> None:
        """An account on the exchange for ``user``, its key stored here."""
        self.books.open_account(f"key-of-{user}", f"secret-of-{user}", balances)
        self.services.credentials.save(user, "binance", ExchangeKey(f"key-of-{user}", f"secret-of-{user}"), self.now)

    def set_strategy(
        self, targets: Mapping[str, str] | None = None, *, user: str | None = None, autopilot: bool = True, **more: Any
    ) -> Strategy:
        """Stored as it is, without the checks and the look that its owner's change would take, which are not cheap."""
        parameters: dict[str, Any] = {
            "target_allocations": {asset: Decimal(share) for asset, share in (targets or TARGETS).items()},
            "quote_asset": "USDT",
            "exchange": "binance",
            "order_size_pct": Decimal(2),
            "order_step_pct": Decimal("0.4"),
            "min_delta_quote": Decimal(50),
        }
        owner = user or self.user
        stored = self.context.strategies.find(owner)
        kept = {"user_id": owner, "version": stored.version if stored else 0, "autopilot_enabled": autopilot}
        return self.context.strategies.save(Strategy.model_validate(parameters | more | kept))

    def tick(self, seconds: int = 30) -> Decision:
        """Go on by ``seconds`` and tick the user there; the tick must be decided or skipped with a reason."""
        self.now += seconds
        decision = strategy_tick(self.context, self.job(), self.now)
        assert decision is not None
        return decision

    def job(self) -> TickJob:
        """The user as a message's worker reads them; the autopilot must be on."""
        (job,) = due_jobs(self.context, self.versions(self.user), self.now)
        return job

    def message(self, *users: str) -> str:
        """What dispatch sends to have ``users`` ticked now."""
        return json.dumps({"ts_tick": self.now, "users": self.versions(*users)})

    def versions(self, *users: str) -> dict[str, int]:
        """Of their strategies, as dispatch tells them, whatever fails meanwhile; 0 where there is none."""
        settings = self.services.settings
        reader = _reader_that_no_fault_strikes(settings.dynamodb_endpoint)
        items = {
            user: reader.get_item(TableName=settings.strategies_table, Key={"user_id": {"S": user}}).get("Item", {})
            for user in users
        }
        return {user: int(item.get("version", {"N": "0"})["N"]) for user, item in items.items()}

    def work(self, *messages: str, remaining_ms: int = 60_000) -> list[int]:
        """Hand the worker that is deployed ``messages`` at once, as the queue does; returns which of them failed."""
        bootstrap.use(self.services)
        try:
            context: Any = InvocationContext("work", remaining_ms)
            answer = work.lambda_handler({"Records": list(starmap(_record, enumerate(messages)))}, context)
        finally:
            bootstrap.use(None)
        return [int(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]]

    def session(self, user: str | None = None) -> AbstractContextManager[AccountSession]:
        """A run on the user's account, for a test that writes by itself."""
        return open_session(self.context, user or self.user)

    def place(self, plan: Plan, actions: Sequence[Action] | None = None) -> list[Order]:
        """Place what ``plan`` shows, or only some of it, as a tick of now does."""
        with self.session() as session:
            return place_actions(
                session,
                plan.strategy,
                plan.evaluation.actions if actions is None else actions,
                plan.snapshot.rules,
                ts_tick=self.now,
                source="autopilot",
                prices_expire_at=self.now,
            ).orders

    def create(self, intent: Order, **changes: Any) -> Order:
        """Write ``intent``, and then, if told, what it has become."""
        strategy = self.context.strategies.get(intent.user_id)
        with self.session(intent.user_id) as session:
            assert write_intent(session, intent, strategy)
            written = self.context.orders.get(intent.user_id, intent.client_order_id)
            return session.update_order(written, written.model_copy(update=changes)) if changes else written

    def orders(self, user: str | None = None) -> list[Order]:
        """Ours, newest first."""
        return list(self.context.orders.iter_all(user or self.user))

    def order_on(self, symbol: str) -> Order:
        """The one that there is on ``symbol``."""
        (order,) = [order for order in self.orders() if order.symbol == symbol]
        return order

    def booked(self, user: str | None = None) -> list[BookedOrder]:
        """The exchange's, oldest first."""
        return self.books.orders(f"key-of-{user or self.user}")

    def intent(self, symbol: str, *, limit_price: str, base_qty: str, ts_tick: int | None = None) -> Order:
        """An intent to buy, not written anywhere yet."""
        ts_tick = self.now if ts_tick is None else ts_tick
        return Order(
            user_id=self.user,
            client_order_id=canonical_client_order_id(self.user, symbol, "buy", ts_tick, 0),
            exchange="binance",
            symbol=symbol,
            base=symbol.removesuffix("USDT"),
            quote="USDT",
            side="buy",
            limit_price=Decimal(limit_price),
            base_qty=Decimal(base_qty),
            quote_amount=Decimal(200),
            source="autopilot",
            ts_tick=ts_tick,
            order_index=0,
            placed_at=ts_tick,
            updated_at=ts_tick,
        )

    def statuses(self) -> dict[str, OrderStatus]:
        return {order.symbol: order.status for order in self.orders()}

    def differences(self, user: str | None = None) -> list[str]:
        """In what the exchange's books and our tables disagree about ``user``'s orders and fills."""
        key = f"key-of-{user or self.user}"
        books = AccountBooks(
            orders=self.books.orders(key), trades=self.books.trades(key), balances=self.books.balances(key)
        )
        return differences(books, self.orders(user))


@cache
def _reader_that_no_fault_strikes(endpoint: str | None) -> Any:
    """One for all worlds: making a client takes longer than most of what is asked of it."""
    return boto3.client("dynamodb", endpoint_url=endpoint)


def _record(number: int, body: str) -> dict[str, Any]:
    return {
        "messageId": str(number),
        "receiptHandle": str(number),
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:TickQueue",
        "awsRegion": "us-east-1",
    }


@contextmanager
def new_harness(
    environment: Mapping[str, str], user: str, *, market: Market | None = None, **settings: str
) -> Iterator[TradingHarness]:
    """A harness for ``user``, who has no account and no strategy yet; ``settings`` are environment variables.

    Every harness is in a month of its own, so that what one leaves in the cache has long expired in the next. Its
    market's candles are of that month, too: one that had none would be asked for its highs again and again.
    """
    now = START + next(_WORLDS) * 30 * DAY_S
    market = market or Market.with_default_filters(FIRST_PRICES, FrozenPrices(start_ms=now // 60 * MINUTE_MS))
    books = MatchingEngine(market, partial_fill_probability=Decimal(0), clock=lambda: harness.now * 1000)
    injector = Injector(lambda: harness.now)
    exchange = FaultyExchange(books, injector, lambda request, *_: harness.note(request))
    with no_backoff(), ExchangeServer(exchange) as server:
        # Time stands still in most tests: each of their ticks shall look.
        variables = {**environment, "EXCHANGE_BASE_URL": server.url, "PORTFOLIO_MAX_AGE": "0", **settings}
        harness = TradingHarness(market, books, injector, exchange, variables, user, now)
        try:
            yield harness
        finally:
            for process in harness.processes:
                process.close()
