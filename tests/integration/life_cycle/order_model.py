"""One user's life with this system: an exchange, the market on it, the workers, and the owner, all of whom may fail."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import count
from threading import Event
from typing import Any
from uuid import uuid4

from botbalance.bootstrap import Services
from botbalance.engine import InvalidInputError
from botbalance.engine.arithmetic import ZERO, ExactArithmetic
from botbalance.errors import BotBalanceError
from botbalance.models.decision import TICK_SECONDS, Decision, tick_start
from botbalance.models.exchange_key import ExchangeKey
from botbalance.models.order import Order, OrderStatus
from botbalance.settings import read_settings
from botbalance.store.accounts import account_key
from botbalance.store.cache import CacheTable
from botbalance.trading.autopilot import switch_autopilot
from botbalance.trading.execute import execute_once
from botbalance.trading.orders import cancel_by_hand, cancel_one, list_orders
from botbalance.trading.strategy import save_strategy
from botbalance.trading.tick import strategy_tick
from botbalance.trading.tick_batch import due_jobs

from tests.integration.life_cycle.history import History
from tests.integration.life_cycle.worker import Killed, Time, TimeResponse, Worker
from workbench.audit.order_books import differences
from workbench.audit.replay import replay
from workbench.faults.exchange import FaultyExchange, Limit
from workbench.faults.injector import Fault, Injector
from workbench.faults.kinds import FaultKind
from workbench.simulated_exchange.binance_api import Reply, Request
from workbench.simulated_exchange.control_messages import AccountBooks
from workbench.simulated_exchange.market import FrozenPrices, Market
from workbench.simulated_exchange.matching_engine import MatchingEngine
from workbench.simulated_exchange.matching_engine import Order as BookedOrder
from workbench.simulated_exchange.matching_engine import OrderStatus as BookedStatus
from workbench.simulated_exchange.server import ExchangeServer

EXCHANGE = "binance"
QUOTE = "USDT"
FIRST_PRICES = {
    "BTCUSDT": Decimal(40_000),
    "ETHUSDT": Decimal(2_500),
    "XRPUSDT": Decimal("0.5"),
    "BNBUSDT": Decimal(300),
}
START_BALANCES = {QUOTE: Decimal(6_000), "BTC": Decimal("0.08"), "XRP": Decimal(1_600)}
STRATEGY: dict[str, Any] = {
    "exchange": EXCHANGE,
    "quote_asset": QUOTE,
    "target_allocations": {"BTC": Decimal(20), "ETH": Decimal(30), "XRP": Decimal(20), QUOTE: Decimal(30)},
    "order_size_pct": Decimal(2),
    "order_step_pct": Decimal("0.4"),
    "min_delta_quote": Decimal(50),
    "order_max_age_s": 60,
}
START = 1_700_000_010
MONTH_S = 30 * 86_400
TICK_MS = 60_000
REQUEST_MS = 29_000
PATIENCE_S = "1"
"""For how long a worker waits for an exchange's answer, in real seconds; it costs that much to say nothing."""
PATIENCE_WHEN_QUIET_S = 10.0
"""Where everything is well, a busy machine must not look like an exchange that is silent."""
LONGEST_STEP_S = 60.0
"""In real seconds; nothing takes that long."""
QUIET_STEPS_S = (100, TICK_SECONDS, TICK_SECONDS, 150, 600, TICK_SECONDS)
"""Leases end after 90 s and limits after 60 s; what was never placed takes 120 s and two looks; late fills 600 s."""

_LIVES = count()
_REFUSED_ANSWERS = (BotBalanceError, InvalidInputError)
"""What a use case may answer when it cannot do what it is asked."""


class Run(StrEnum):
    """What a worker can be asked to do."""

    TICK = "tick"
    EXECUTE = "execute"
    CANCEL_EVERY = "cancel_by_hand"
    LIST = "list"


@dataclass(frozen=True)
class Effects:
    """What runs have done: the orders sent, those of them cancelled, and the revisions in which ours are written."""

    sent: list[str]
    canceled: set[str]
    written: dict[str, int]


class TimedExchange(FaultyExchange):
    """Takes a signed request for as old as it is by the time that stands still; the real exchange does by its own."""

    def __init__(self, books: MatchingEngine, injector: Injector, time: Time, observer: Callable[..., None]) -> None:
        super().__init__(books, injector, observer)
        self._time = time

    def server_time_ms(self) -> int:
        return self._time.milliseconds()


class Life:
    """A user with an account, a strategy, and two workers in turn. Whatever is wrong is noted in ``problems``."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.user = f"user-{uuid4().hex[:12]}"
        self.key = f"key-of-{self.user}"
        # In a month of its own, so that what one life leaves in the cache has long expired in the next.
        self.time = Time(START + next(_LIVES) * MONTH_S)
        self.market = Market.with_default_filters(FIRST_PRICES, FrozenPrices())
        self.books = MatchingEngine(self.market, partial_fill_probability=ZERO, clock=self.time.milliseconds)
        self.injector = Injector(self.time)
        self.exchange = TimedExchange(self.books, self.injector, self.time, self._observe)
        self.history = History()
        self.problems: list[str] = []
        self._violations = 0
        self._judged: set[str] = set()
        self._server = ExchangeServer(self.exchange).start()
        self._settings = read_settings(
            {**environment, "EXCHANGE_BASE_URL": self._server.url, "EXCHANGE_TIMEOUT_S": PATIENCE_S}
        )
        self._auditor = Services(self._settings, clock=self.time, sleep=self.time.go_on)
        self._cache = CacheTable(self._auditor.dynamodb, self._settings.cache_table)
        self.worker, self.spare = self._new_worker(), self._new_worker()
        self._asking = self.worker
        self.books.open_account(self.key, f"secret-of-{self.user}", START_BALANCES)
        key = ExchangeKey(self.key, f"secret-of-{self.user}")
        self._auditor.credentials.save(self.user, EXCHANGE, key, self.time())
        save_strategy(self.worker.context, self.user, STRATEGY, None)
        self.last_tick = tick_start(self.time())

    def close(self) -> None:
        """End everything that was started."""
        for services in (self.worker, self.spare, self._auditor):
            services.close()
        self._server.stop()

    # what the owner and the dispatcher want

    def perform(
        self,
        run: Run,
        *,
        ts_tick: int | None = None,
        at: TimeResponse | None = None,
        fate: Callable[[], None] = lambda: None,
        slowness_s: int = 0,
    ) -> object:
        """Let the worker do ``run``; returns its answer, be it a refusal, or what it died of.

        ``ts_tick`` None is the tick of now. ``fate`` comes ``at`` one moment of it.
        """
        worker = self.worker
        worker.begin(self._limits_in_cache(), at=at, fate=fate, slowness_s=slowness_s)
        ts_tick = tick_start(self.time()) if ts_tick is None else ts_tick
        try:
            match run:
                case Run.TICK:
                    return self._tick(worker, ts_tick)
                case Run.EXECUTE:
                    return self._execute(worker)
                case Run.CANCEL_EVERY:
                    return cancel_by_hand(worker.with_deadline(REQUEST_MS), self.user)
                case Run.LIST:
                    return list_orders(worker.with_deadline(REQUEST_MS), self.user, limit=100, cursor=None)
        except (*_REFUSED_ANSWERS, Killed) as end:
            return end

    def be_ready_for(self, run: Run) -> None:
        """The owner switches the autopilot on for a tick and off for trading by hand, where that can be done now."""
        wanted = {Run.TICK: True, Run.EXECUTE: False}.get(run)
        if wanted is not None and self.strategy_is_on() is not wanted:
            self.ask(lambda worker: switch_autopilot(worker.with_deadline(REQUEST_MS), self.user, enabled=wanted))

    def ask(self, request: Callable[[Worker], object]) -> None:
        """Let the worker do what the owner asks for; it may be refused."""
        self.worker.begin(self._limits_in_cache())
        with suppress(*_REFUSED_ANSWERS):
            request(self.worker)

    def next_tick(self) -> int:
        """Let time go on to the next tick, which is the other worker's; returns its time."""
        self.worker, self.spare = self.spare, self.worker
        self.time.go_on(TICK_SECONDS - self.time() % TICK_SECONDS)
        self.last_tick = self.time()
        return self.last_tick

    def save_strategy(self, changes: Mapping[str, Any]) -> None:
        """The owner wants something else."""
        parameters = STRATEGY | dict(changes)
        self.ask(
            lambda worker: save_strategy(
                worker.with_deadline(REQUEST_MS), self.user, parameters, worker.strategies.find(self.user)
            )
        )

    def cancel_one(self, client_order_id: str) -> None:
        """The owner cancels an order, whatever state it is in."""
        self.ask(lambda worker: cancel_one(worker.with_deadline(REQUEST_MS), self.user, client_order_id))

    def kill(self, run: Run, at: TimeResponse) -> None:
        """A worker dies in the middle of ``run``, and a new one takes its place."""

        def die() -> None:
            raise Killed

        if isinstance(self.perform(run, at=at, fate=die), Killed):
            self.worker.close()
            self.worker = self._new_worker()

    def run_beside(self, first: Run, at: TimeResponse, seconds: int, second: Run) -> None:
        """``first`` is held ``at`` one moment; after ``seconds`` another worker does ``second``; it goes on.

        Where it had the lease, and the other has taken over, it must change nothing any more.
        """
        held, go_on = Event(), Event()

        def hold() -> None:
            held.set()
            if not go_on.wait(LONGEST_STEP_S):
                raise TimeoutError("a run was held for ever")

        number = self._lease_number()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self.perform, first, at=at, fate=hold)
            running.add_done_callback(lambda _: held.set())
            try:
                if not held.wait(LONGEST_STEP_S):
                    raise TimeoutError("a run neither ends nor comes to where it is held")
                number_of_first = self._lease_number()
                self.time.go_on(seconds)
                self.last_tick = tick_start(self.time())
                self.worker, self.spare = self.spare, self.worker
                self.be_ready_for(second)
                self.perform(second)
                taken_over = number < number_of_first < self._lease_number()
                before = self._effects()
            finally:
                go_on.set()
            running.result(LONGEST_STEP_S)
        if taken_over:
            self._compare_effects("a run whose lease was taken over", before, canceled_at_most=1)

    def deliver_again(self, ts_tick: int) -> None:
        """A message comes again, or late: a tick that had its run, or is older than its period, must have none."""
        over = int(self._lease().get("last_tick", {"N": "0"})["N"]) >= ts_tick or self.time() > ts_tick + TICK_SECONDS
        before = self._effects()
        answer = self.perform(Run.TICK, ts_tick=ts_tick)
        if over:
            self._compare_effects(f"tick {ts_tick}, which came again,", before)
        if over and isinstance(answer, Decision) and answer.outcome == "decided":
            self.problems.append(f"tick {ts_tick} came again and was decided: {answer}")

    # the truth

    def strategy_is_on(self) -> bool:
        """Whether the autopilot trades."""
        return self._auditor.strategies.get(self.user).autopilot_enabled

    def orders(self) -> list[Order]:
        """Ours, newest first."""
        return list(self._auditor.context.orders.iter_all(self.user))

    def booked(self) -> list[BookedOrder]:
        """The exchange's, oldest first."""
        return self.books.orders(self.key)

    def resting(self) -> list[BookedOrder]:
        """Those of the exchange's that may still fill, oldest first."""
        return self.books.open_orders(self.key)

    def check(self) -> None:
        """Everything that must always hold."""
        orders = self.orders()
        for order in orders:
            self.history.note(order)
        booked_ids = [order.client_order_id for order in self.booked()]
        doubled = sorted({name for name in booked_ids if booked_ids.count(name) > 1})
        unknown = sorted(set(booked_ids) - {order.client_order_id for order in orders})
        for decision in self._auditor.context.decisions.page(self.user, limit=5).items:
            self._judge(decision)
        assert not doubled, f"accepted twice: {doubled}"
        assert not unknown, f"on the exchange only: {unknown}"
        assert not self.problems, self.problems
        assert not self.history.problems, self.history.problems

    def settle(self) -> None:
        """Nothing fails any more: after a while the books have to be equal, and the autopilot has to trade again."""
        self.injector.active = False
        for worker in (self.worker, self.spare):
            worker.close()
        self._settings = self._settings.model_copy(update={"exchange_timeout_s": PATIENCE_WHEN_QUIET_S})
        self.worker, self.spare = self._new_worker(), self._new_worker()
        for seconds in QUIET_STEPS_S:
            self.time.go_on(seconds)
            ts_tick = self.next_tick()
            run = Run.TICK if self.strategy_is_on() else Run.LIST
            answer = self.perform(run, ts_tick=ts_tick)
        assert not isinstance(answer, Exception), answer
        assert not isinstance(answer, Decision) or answer.outcome == "decided", answer
        self.check()
        orders = self.orders()
        books = AccountBooks(
            orders=self.booked(), trades=self.books.trades(self.key), balances=self.books.balances(self.key)
        )
        found = differences(books, orders)
        assert not found, found
        assert [order for order in orders if order.status is OrderStatus.PENDING] == []
        assert [order for order in orders if not order.fills_complete] == []

    def _tick(self, worker: Worker, ts_tick: int) -> Decision | None:
        context = worker.with_deadline(TICK_MS)
        jobs = list(due_jobs(context, {self.user: 1}, ts_tick))
        if not jobs:
            return None
        decision = strategy_tick(context, jobs[0], ts_tick)
        if decision is not None:
            self._judge(decision)
        return decision

    def _execute(self, worker: Worker) -> object:
        execution = execute_once(worker.with_deadline(REQUEST_MS), self.user)
        spent = [
            (action.limit_price, action.base_qty) for action in execution.evaluation.actions if action.side == "buy"
        ]
        self._require_affordable("by hand", spent, worker.free_quote)
        return execution

    def _judge(self, decision: Decision) -> None:
        document = decision.model_dump_json()
        if decision.inputs is None or decision.evaluation is None or document in self._judged:
            return
        self._judged.add(document)
        self.problems += replay(decision).differences
        rows = decision.evaluation["rows"]
        actions = [row["action"] for row in rows if row["action"] is not None and row["action"]["side"] == "buy"]
        spent = [(Decimal(action["limit_price"]), Decimal(action["base_qty"])) for action in actions]
        free = decision.inputs["current_balances"].get(QUOTE, {"free": "0"})["free"]
        self._require_affordable(f"tick {decision.ts_tick}", spent, Decimal(free))

    def _require_affordable(self, name: str, spent: list[tuple[Decimal, Decimal]], free: Decimal) -> None:
        with ExactArithmetic():
            total = sum((price * qty for price, qty in spent), ZERO)
        if total > free:
            self.problems.append(f"{name}: buys for {total} {QUOTE}, of which {free} are free")

    def _effects(self) -> Effects:
        booked = self.booked()
        return Effects(
            sent=[order.client_order_id for order in booked],
            canceled={order.client_order_id for order in booked if order.status is BookedStatus.CANCELED},
            written={order.client_order_id: order.revision for order in self.orders()},
        )

    def _compare_effects(self, name: str, before: Effects, *, canceled_at_most: int = 0) -> None:
        """A cancel that is under way is not called back where a lease is lost: the next run finds it done."""
        now = self._effects()
        if (now.sent, now.written) != (before.sent, before.written):
            self.problems.append(f"{name} sent or wrote: {before}, {now}")
        if len(now.canceled - before.canceled) > canceled_at_most:
            self.problems.append(f"{name} cancelled: {before}, {now}")

    def _lease(self) -> Mapping[str, Any]:
        answer = self._auditor.dynamodb.get_item(
            TableName=self._settings.accounts_table, Key=account_key(self.user), ConsistentRead=True
        )
        return answer.get("Item", {})

    def _lease_number(self) -> int:
        return int(self._lease().get("fencing_token", {"N": "0"})["N"])

    def _limits_in_cache(self) -> dict[str, int]:
        keys = [f"limit#{EXCHANGE}", f"limit#{EXCHANGE}#", f"limit#{EXCHANGE}#{self.user}"]
        return {key: cached.expires_at for key, cached in self._cache.get_many(keys, self.time()).items()}

    def _new_worker(self) -> Worker:
        return Worker(
            self._settings, self.time, self.injector, on_start=self._starts_asking, on_written=self.history.note
        )

    def _starts_asking(self, worker: Worker) -> None:
        self._asking = worker

    # the witness: called for every request, in the order of their effects

    def _observe(self, request: Request, reply: Reply | None, fault: Fault | None) -> None:
        self._look_for_ignored_limits(request, fault)
        honest = fault is None or fault.kind is FaultKind.LATE_FILL
        readable = honest or (fault is not None and fault.kind is FaultKind.VANISHED_BALANCES)
        if request.path == "/api/v3/account" and readable and reply is not None and reply.status == 200:
            self._asking.free_quote = _free_quote(reply)
        if request.method == "POST":
            if honest and reply is not None and "insufficient balance" in reply.text:
                self.problems.append(f"there was no money for {request.body}")
            account = self.books.account(self.key)
            for symbol, ids in ({} if account is None else account.open_ids).items():
                if len(ids) > 1:
                    self.problems.append(f"{len(ids)} orders rest on {symbol} at once")

    def _look_for_ignored_limits(self, request: Request, fault: Fault | None) -> None:
        if fault is None or fault.kind not in {FaultKind.LIMITED, FaultKind.BANNED}:
            return
        ignored = self.exchange.violations()[self._violations :]
        self._violations += len(ignored)
        for violation in ignored:
            limit = violation.limit
            asks_the_time = violation.path == "GET /api/v3/time"  # without a key, though over a key's connection
            if not asks_the_time and self._asking.knows(limit, self._limit_name(limit), violation.at):
                self.problems.append(f"sent although it was known to be forbidden: {violation}")
            self._asking.is_told(limit.status, limit.subject, limit.since)
        if not ignored:
            status = 429 if fault.kind is FaultKind.LIMITED else 418
            self._asking.is_told(status, request.api_key, self.time())

    def _limit_name(self, limit: Limit) -> str:
        """The key of ``limit`` in the cache table."""
        if limit.status == 418:
            return f"limit#{EXCHANGE}"
        return f"limit#{EXCHANGE}#{'' if limit.subject is None else self.user}"


def _free_quote(reply: Reply) -> Decimal:
    balances = json.loads(reply.text)["balances"]
    return next((Decimal(entry["free"]) for entry in balances if entry["asset"] == QUOTE), ZERO)
