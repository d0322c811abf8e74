"""One episode: some users, their exchange, their functions' processes, and what happens to all of them.

The busy part draws everything from the choices; in the calm after it nothing fails and nobody acts, and what must be
in order then is checked.
"""

import heapq
import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from hashlib import sha256
from importlib import import_module
from itertools import count
from sys import modules
from typing import Any
from unittest.mock import patch

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from botbalance.exchange import ccxt_client
from botbalance.exchange.ccxt_client import find_profile, new_client
from botbalance.exchange.profiles import DEFAULT_EXCHANGE, PROFILES
from botbalance.models.exchange_key import ExchangeKey
from botbalance.settings import read_settings
from botbalance.store.accounts import LEASE_S
from botbalance.store.compression import decompress
from botbalance.store.dynamodb import shard_name
from botbalance.store.operator import HALT_SETTING
from botocore.exceptions import ClientError, ReadTimeoutError

from workbench.aws.resources import CREDENTIALS
from workbench.aws.template import read_template
from workbench.faults.exchange import Outcome
from workbench.faults.injector import Fault, Injector
from workbench.faults.kinds import FaultKind
from workbench.simulated_exchange.binance_api import Reply, Request
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.random_walk import RandomWalk
from workbench.simulation.choices import Choices
from workbench.simulation.database import Database
from workbench.simulation.exchange import FEE_COIN, NOT_PERMITTED, Manner, MannerlyBooks, MannerlyExchange, in_pages
from workbench.simulation.invariants import Findings, Invariant, Witness, user_of_key
from workbench.simulation.processes import (
    EXCHANGE_URL,
    FunctionProcess,
    ProcessGlobals,
    captured_log,
    without_threads,
)
from workbench.simulation.scheduler import Run, RunDiedError, Scheduler, VirtualClock, virtual_world

START = 1_700_000_010 - 1_700_000_010 % 60
QUOTE = "USDT"
FIRST_PRICES = {
    "BTCUSDT": Decimal("43250.52"),
    "ETHUSDT": Decimal("2580.71"),
    "SOLUSDT": Decimal("98.42"),
    "XRPUSDT": Decimal("0.6142"),
    "DOGEUSDT": Decimal("0.08123"),
    "LTCUSDT": Decimal("71.33"),
    "ADAUSDT": Decimal("0.4912"),
    "LINKUSDT": Decimal("14.417"),
    "DOTUSDT": Decimal("7.123"),
    "AVAXUSDT": Decimal("35.27"),
    "ATOMUSDT": Decimal("9.871"),
    "UNIUSDT": Decimal("6.543"),
    "TRXUSDT": Decimal("0.11642"),
    "ETCUSDT": Decimal("24.55"),
    "NEARUSDT": Decimal("3.214"),
    "FILUSDT": Decimal("5.432"),
}
ASSETS = tuple(symbol.removesuffix(QUOTE) for symbol in FIRST_PRICES)
FUNCTION_MS = 60_000
"""What a function may take, from its first request on."""
LEAST_MS = 16_000
"""What one may be left with that has worked on another message before."""
LEFT_ORDERS_S = 600
"""So often orders are looked at whose owner's autopilot is off: more often than an episode of minutes would see."""
USERS_A_MESSAGE = 4
WORKERS = 3
"""Ticks that run at a time, at most."""
_EXCHANGE_FAULTS = frozenset(FaultKind) - {
    FaultKind.THROTTLED,
    FaultKind.UNPROCESSED,
    FaultKind.TRANSACTION_CONFLICT,
    FaultKind.DB_TIMEOUT,
    FaultKind.DB_TIMEOUT_APPLIED,
    FaultKind.KMS_FAILED,
}
FAULTS = frozenset(FaultKind) | {
    "late",
    "paused",
    "little_time",
    "killed",
    "killed_after",
    "message_late",
    "message_twice",
    "stale_read",
    "db_repeated",
    "act_meanwhile",
}
"""Everything that goes wrong here, or comes at a bad moment."""
_READS = {"GetItem", "Query", "BatchGetItem", "Scan"}
TELLING_ALARMS = frozenset({"tick_failed", "message_failed", "decision_not_logged", "tick_late"})


@dataclass(frozen=True, slots=True)
class Rates:
    """How often what happens, as chances of one request (0 to 1) or of one message."""

    exchange_fault: float = 0.03
    database_fault: float = 0.01
    key_service_fault: float = 0.05
    stale_read: float = 0.1
    death: float = 0.002
    late_s: float = 0.004
    paused: float = 0.0007
    little_time: float = 0.03
    message_late: float = 0.1
    message_twice: float = 0.1
    meanwhile: float = 0.3
    act_meanwhile: float = 0.01


CALM = Rates(*[0] * 12)


class InvocationContext:
    """What Lambda hands a handler besides the event; time goes by in it."""

    def __init__(self, world: "World", name: str, ends_at_ms: int) -> None:
        self._world = world
        self._ends_at_ms = ends_at_ms
        self.function_name = name
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = 1024
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        self.aws_request_id = f"request-{next(world.numbers)}"

    def get_remaining_time_in_millis(self) -> int:
        """Lambda's: what is left by the world's clock."""
        return max(0, self._ends_at_ms - self._world.clock.now_ms)


class User:
    """An owner: an account on the exchange, and what this world knows of them by their answers."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.key = ExchangeKey(f"key-of-{user_id}", f"secret-of-{user_id}")
        self.has_key = False
        self.under_way = 0
        """Of their requests, how many are not answered yet."""
        self.targets: dict[str, str] = {}
        self.refusal: Any = None
        """The problem that the last switch of the autopilot was answered with; None where it was switched."""

    @property
    def busy(self) -> bool:
        """Whether any of their requests is not answered yet."""
        return self.under_way > 0


class World:
    """Everything of one episode; ``history`` is what happened, a line a step or more."""

    def __init__(self, seed: str, *, users: int, calm_after: int | None = None) -> None:
        self.choices = Choices(seed, calm_after)
        self.rates = Rates()
        self.clock = VirtualClock(START)
        self.database = Database(lambda: self.clock.now_ms)
        self.numbers = count(1)
        self.findings = Findings()
        self.scheduler = Scheduler(self.clock, self.choices)
        self.history: list[str] = []
        self.broken: Exception | None = None
        self.before_request: Callable[[Run, Callable[[], tuple[str, str]]], None] = lambda *_: None
        """Called before each request of a run, in that run, with what is asked: a test's script."""
        self.act_meanwhile: Callable[[str], None] = lambda _: None
        """Called now and then for a user on whom a run works at the moment."""
        self.on_line: Callable[[str], None] | None = None
        self.market = Market.with_default_filters(
            FIRST_PRICES | {f"{FEE_COIN}USDT": Decimal("310.2")},
            RandomWalk(seed=self.choices.between(0, 10**9), volatility=0.006, start_ms=START * 1000),
        )
        self.injector = Injector(self.clock.seconds, seed=seed, kinds=_EXCHANGE_FAULTS, rate=self.rates.exchange_fault)
        self.books = MannerlyBooks(
            self.market, partial_fill_probability=Decimal("0.3"), seed=7, clock=lambda: self.clock.now_ms
        )
        self.exchange = MannerlyExchange(self.books, self.injector, self._observe, self.choices)
        self.environment = self._create_tables()
        self.settings = read_settings(self.environment)
        names = (self.settings.orders_table, self.settings.strategies_table, self.settings.operator_table)
        self.witness = Witness(self.findings, *names, self._fencing_token, self.clock.seconds)
        self.users = [User(f"user-{number}") for number in range(users)]
        self._profiles = dict(PROFILES)
        self.workers: list[FunctionProcess] = []
        self.apis: list[FunctionProcess] = []
        self.traces: set[tuple[str, int]] = set()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._waiting: list[Callable[[], bool]] = []
        self._until_ms = 0
        """Until when those who wait for time to pass let runs go on."""
        self._ticks_run: dict[tuple[str, int], str] = {}
        # What draws random bytes once in a process draws none of the world's.
        import_module("cryptography.hazmat.primitives.ciphers.aead")
        new_client(find_profile(DEFAULT_EXCHANGE))
        self.work = import_module("tick.work")
        self.apps = [import_module(f"{name}.app").app for name in ("plan", "execute", "account")]
        self.handlers = {
            f"{route.path.rstrip('/')} {route.method}": route.handler
            for route in _template().routes()
            if route.handler.split(".")[0] in {"plan", "execute", "account"}
        }

    def _create_tables(self) -> dict[str, str]:
        template = _template()
        for name, properties in template.resources("AWS::DynamoDB::Table").items():
            self.database.create_table(TableName=name, **properties)
        environment = template.environment({name: name for name in template.logical_ids()})
        environment |= CREDENTIALS
        # Each worker ticks its users one after the other: who waits for whom is the scheduler's to say.
        return {name.upper(): value for name, value in environment.items()} | {
            "EXCHANGE_BASE_URL": EXCHANGE_URL,
            "TICK_QUEUE_URL": "http://127.0.0.1:9/ticks",
            "DELIVERY_QUEUE_URL": "http://127.0.0.1:9/deliveries",
            "DECISION_LOG": "every",
        }

    @contextmanager
    def entered(self) -> Iterator[None]:
        """In its time, without threads and with its log, for as long as this lasts."""
        ours = [module for name, module in list(modules.items()) if name.split(".")[0] in {"botbalance", "tick"}]
        with ExitStack() as stack:
            stack.enter_context(virtual_world(self.clock, self.sleep, self.choices))
            stack.enter_context(without_threads(ours))
            stack.enter_context(captured_log(self._logged))
            stack.enter_context(patch.object(ccxt_client, "PROFILES", self._profiles))
            yield

    def use_pages(self) -> None:
        """Let the exchange be one that gives its lists in pages, for whoever connects to it from now on."""
        self.exchange.manners.add(Manner.PAGES)
        self._profiles[DEFAULT_EXCHANGE] = in_pages(PROFILES[DEFAULT_EXCHANGE])

    # history

    def note(self, line: str) -> None:
        """One line of the history."""
        text = f"{self.scheduler.steps:>7} {self.clock.now_ms / 1000 - START:>9.3f} {line}"
        self.history.append(text)
        if self.on_line is not None:
            self.on_line(text)

    def digest(self) -> bytes:
        """Of the whole history."""
        return sha256("".join(self.history).encode()).digest()

    # time

    def at(self, delay_ms: int, what: Callable[[], None]) -> None:
        """Let ``what`` happen after so many milliseconds."""
        heapq.heappush(self._events, (self.clock.now_ms + delay_ms, next(self.numbers), what))

    def run_until(self, moment_ms: int) -> None:
        """Go on until then; runs may still be under way."""
        self._until_ms = moment_ms
        while True:
            while self._events and self._events[0][0] <= self.clock.now_ms:
                heapq.heappop(self._events)[2]()
            if self._waiting:
                self._waiting = [start for start in self._waiting if not start()]
            if ready := self.scheduler.ready():
                if self.clock.now_ms >= moment_ms:
                    return
                self._ended(self.scheduler.step(ready))
                if self.broken is not None:
                    raise self.broken
                continue
            upcoming = [self._events[0][0]] if self._events else []
            wakes = self.scheduler.next_wake_ms()
            upcoming += [] if wakes is None else [wakes]
            following = min(upcoming, default=moment_ms)
            if following >= moment_ms and self.clock.now_ms >= moment_ms:
                return
            self.clock.now_ms = max(self.clock.now_ms, min(following, moment_ms))
            if self.clock.now_ms >= moment_ms and following > moment_ms:
                return

    def _let_others_go_on(self) -> None:
        """The current run's step ends. Where nobody else could take the next one, it takes it without a switch."""
        now = self.clock.now_ms
        if (
            now < self._until_ms
            and not self._waiting
            and self.broken is None
            and (not self._events or self._events[0][0] > now)
            and len(self.scheduler.ready()) == 1
        ):
            self.scheduler.steps += 1
        else:
            self.scheduler.pause()

    def sleep(self, seconds: float) -> None:
        """A run waits."""
        self.scheduler.sleep(seconds)

    # runs

    def start(
        self,
        name: str,
        users: frozenset[str],
        processes: list[FunctionProcess],
        work: Callable[[Any], Any],
        then: Callable[[Run], None],
    ) -> Run:
        """Invoke ``work`` with a Lambda context, in one of ``processes`` that is idle, or in a new one."""
        processes[:] = [process for process in processes if not process.dead]
        idle = [process for process in processes if not process.busy]
        if idle:
            process = self.choices.choose_one(idle)
        else:
            process = FunctionProcess(next(self.numbers), self.settings, self)
            processes.append(process)
        process.busy = True
        function_ms = FUNCTION_MS
        if self.choices.happens(self.rates.little_time):
            self.choices.count("fault:little_time")
            function_ms = self.choices.between(LEAST_MS, FUNCTION_MS // 2)
        ends_at_ms = self.clock.now_ms + function_ms
        context = InvocationContext(self, name.split(" ", maxsplit=1)[0], ends_at_ms)
        run = Run(next(self.numbers), name, users, lambda: work(context), ends_at_ms=ends_at_ms)
        shared = ProcessGlobals(process, self.apps)
        run.on_switch = (shared.enter, shared.leave)

        def ended(over: Run) -> None:
            process.busy = False
            if over.died:
                self.choices.count("process_died")
            then(over)

        run.facts["ended"] = ended
        self.scheduler.start(run)
        self.note(f"{run.label} begins in process {process.number} for {' '.join(sorted(users))}")
        return run

    def _ended(self, run: Run | None) -> None:
        if run is None:
            return
        outcome = "died" if run.died else "ended" if run.error is None else f"failed: {type(run.error).__name__}"
        self.note(f"{run.label} {outcome}")
        run.facts["ended"](run)

    # ticks

    def dispatch(self, ts_tick: int) -> None:
        """Send the tick's messages, as dispatch does; some come late, some twice."""
        strategies = self.database.tables[self.settings.strategies_table].items.values()
        due = {item["user_id"]["S"]: int(item["version"]["N"]) for item in strategies if "autopilot_shard" in item}
        if self.witness.halted or ts_tick % LEFT_ORDERS_S == 0:
            orders = self.database.tables[self.settings.orders_table]
            index = next(index for name, index in orders.indexes.items() if name != "placed")
            due = dict.fromkeys((partition.decode() for partition in index.partitions), 0) | due
        chunk = list(due.items())
        for start in range(0, len(chunk), USERS_A_MESSAGE):
            message = dict(chunk[start : start + USERS_A_MESSAGE])
            late_ms = self.choices.between(5_000, 45_000) if self.choices.happens(self.rates.message_late) else 0
            self.at(late_ms + self.choices.between(0, 900), lambda message=message: self._deliver(ts_tick, message))  # type: ignore[misc]
            if late_ms:
                self.choices.count("fault:message_late")
            if self.choices.happens(self.rates.message_twice):
                self.choices.count("fault:message_twice")
                again_ms = self.choices.between(0, 20_000)
                self.at(again_ms, lambda message=message: self._deliver(ts_tick, message))  # type: ignore[misc]

    def _deliver(self, ts_tick: int, users: dict[str, int]) -> None:
        body = json.dumps({"ts_tick": ts_tick, "users": users})

        def start() -> bool:
            if sum(process.busy for process in self.workers) >= WORKERS:
                return False
            quiet = {user_id for user_id in users if self.may_be_quiet(user_id)}
            record = SQSRecord({"messageId": f"message-{next(self.numbers)}", "body": body})
            self.start(
                f"tick {ts_tick - START:+d}",
                frozenset(users),
                self.workers,
                lambda context: self.work.tick_users(record, context),
                lambda run: self._ticked(run, ts_tick, quiet),
            )
            return True

        self._waiting.append(start)

    def _ticked(self, run: Run, ts_tick: int, quiet: Collection[str]) -> None:
        """``quiet``: for whom nothing had to be done when it began, as far as prices stayed where they were."""
        if run.died:
            for user_id in run.users:
                self.traces.add((user_id, ts_tick))  # a function that ended like this counts as an error of its own
            return
        if run.error is not None:
            expected = isinstance(run.error, Exception) and type(run.error).__name__ == "TransientError"
            if not expected:
                self.witness.failed(Invariant.NO_INTERNAL_ERROR, self.scheduler.steps, None, repr(run.error))
            for user_id in run.users:
                self.traces.add((user_id, ts_tick))
            return
        decisions = self.database.tables[self.settings.decisions_table]
        for user_id in run.users:
            if (user_id.encode(), Decimal(ts_tick)) in decisions.items or (user_id, ts_tick) in self.traces:
                continue
            if user_id in quiet or self.may_be_quiet(user_id):
                continue
            claimed_by_another = self._claimed(user_id) >= ts_tick and user_id not in run.facts.get("claimed", ())
            if not self.autopilot_is_on(user_id) or claimed_by_another:
                continue
            if self.witness.strategy_written_after(user_id, run.began_at_step):  # it may have been off when it was read
                continue
            self.witness.failed(
                Invariant.SKIP_LEAVES_TRACE, self.scheduler.steps, user_id, f"nothing tells of the tick {ts_tick}"
            )

    def autopilot_is_on(self, user_id: str) -> bool:
        """Whether the stored strategy says so."""
        item = self.database.tables[self.settings.strategies_table].items.get((user_id.encode(),))
        return item is not None and "autopilot_shard" in item

    def _fencing_token(self, user_id: str) -> int:
        return int(self._account(user_id)["fencing_token"]["N"])

    def _claimed(self, user_id: str) -> int:
        """The last tick that a run was begun for."""
        return int(self._account(user_id).get("last_tick", {"N": "-1"})["N"])

    def may_be_quiet(self, user_id: str) -> bool:
        """Whether the last run has left bounds for quiet ticks, and nobody has worked on the account since."""
        item = self._account(user_id)
        if "account_state" not in item or item["state_token"] != item["fencing_token"]:
            return False
        return b'"no_trade_note"' in decompress(item["account_state"]["B"])

    def _account(self, user_id: str) -> Mapping[str, Any]:
        items = self.database.tables[self.settings.accounts_table].items
        return items.get((shard_name(user_id).encode(), user_id.encode()), {})

    # the API

    def call(
        self,
        user: User,
        method: str,
        resource: str,
        body: Any = None,
        *,
        then: Callable[[int, Any], None] = lambda *_: None,
        name: str = "",
        headers: dict[str, str] | None = None,
        path: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> Run:
        """A request of an owner's; ``then`` is called with the status and the body of its answer, if one came."""
        handler_name = self.handlers[f"{resource.rstrip('/')} {method}"]
        module, _, function = handler_name.rpartition(".")
        handler = getattr(import_module(module), function)
        address = resource
        for key, value in (path or {}).items():
            address = address.replace(f"{{{key}}}", value)
        event = {
            "resource": resource,
            "path": address,
            "httpMethod": method,
            "headers": {"content-type": "application/json", **(headers or {})},
            "multiValueHeaders": None,
            "queryStringParameters": query,
            "multiValueQueryStringParameters": None
            if query is None
            else {key: [value] for key, value in query.items()},
            "pathParameters": path,
            "stageVariables": None,
            "requestContext": {
                "authorizer": {"claims": {"sub": user.user_id}},
                "httpMethod": method,
                "path": address,
                "requestId": f"api-{next(self.numbers)}",
                "resourcePath": resource,
                "stage": "live",
            },
            "body": None if body is None else json.dumps(body),
            "isBase64Encoded": False,
        }
        user.under_way += 1
        label = name or f"{method} {resource.removeprefix('/api/me/')}"

        def answered(run: Run) -> None:
            user.under_way -= 1
            if run.died:
                return
            if run.error is not None:
                self.witness.failed(
                    Invariant.NO_INTERNAL_ERROR, self.scheduler.steps, user.user_id, f"{label}: {run.error!r}"
                )
                return
            status, text = run.result["statusCode"], run.result.get("body") or "null"
            self.note(f"{run.label} of {user.user_id} answers {status} {text[:160] if status >= 400 else ''}")
            if status == 500:
                self.witness.failed(
                    Invariant.NO_INTERNAL_ERROR, self.scheduler.steps, user.user_id, f"{label} answers 500"
                )
            then(status, json.loads(text) if text.startswith(("{", "[")) else text)

        return self.start(
            f"{label} {user.user_id}",
            frozenset({user.user_id}),
            self.apis,
            lambda context: handler(event, context),
            answered,
        )

    # what processes reach

    def _before(self, process: FunctionProcess, asked: Callable[[], tuple[str, str]]) -> Run | None:
        """The process comes to a request: others may go on first, it may be late, paused, or die.

        ``asked`` tells whose request it is, and what is asked.
        """
        run = self.scheduler.current
        process.require_alive()
        if run is None:
            return None
        self.clock.now_ms += self.choices.between(1, 12)
        self.before_request(run, asked)
        if self.choices.happens(self.rates.act_meanwhile):
            user_id = asked()[0] or self.choices.choose_one(sorted(run.users))
            self.at(0, lambda: self.act_meanwhile(user_id))
        if self.choices.happens(self.rates.paused):
            self.pause(run, self.choices.between(LEASE_S + 1, 2 * LEASE_S))
        elif self.choices.happens(self.rates.late_s):
            self.choices.count("fault:late")
            self.scheduler.sleep(self.choices.between(1, 15))
        else:
            self._let_others_go_on()
        if self.clock.now_ms > run.ends_at_ms:
            self.choices.count("time_is_up")
            self.note(f"{run.label}: its time is up")
            process.die()
        if self.choices.happens(self.rates.death):
            self.choices.count("fault:killed")
            self.note(f"{run.label}: its process is killed")
            process.die()
        run.facts["requests"] = run.facts.get("requests", 0) + 1
        return run

    def pause(self, run: Run, seconds: int) -> None:
        """Let time stand still for the run's process: it goes on later as if nothing had been."""
        self.choices.count("fault:paused")
        self.note(f"{run.label}: its process is paused for {seconds} s")
        run.ends_at_ms += seconds * 1000
        self.scheduler.sleep(seconds)

    def _after(self, process: FunctionProcess, run: Run | None) -> None:
        """The answer is on its way: others may go on before it is there."""
        if run is None or not self.choices.happens(self.rates.meanwhile):
            return
        self._let_others_go_on()
        if self.choices.happens(self.rates.death):
            self.choices.count("fault:killed_after")
            self.note(f"{run.label}: its process is killed before the answer")
            process.die()

    def ask_exchange(self, process: FunctionProcess, request: Request) -> Outcome:
        """Carry out a request of a process, with whatever goes wrong with it."""
        run = self._before(process, lambda: (user_of_key(request.api_key or ""), f"{request.method} {request.path}"))
        self.clock.now_ms += self.choices.between(5, 60)
        try:
            outcome = self.exchange.outcome(request)
        except Exception as error:  # the exchange itself is broken: no code under test is to swallow that
            self.broken = error
            raise
        if outcome.fault is not None:
            self.choices.count(f"fault:{outcome.fault.kind}")
        self.note(
            f"{run.label if run else 'owner'}: {request.method} {request.path} → {outcome.delivery.name.lower()}"
            f" {outcome.reply.status} {outcome.reply.text[:100] if request.path == '/api/v3/order' else ''}"
            f"{'' if outcome.fault is None else ' FAULT ' + outcome.fault.kind}"
        )
        if outcome.delivery.name == "SILENCE" and run is not None:
            self.scheduler.sleep(float(self.settings.exchange_timeout_s))
            process.require_alive()
        self._after(process, run)
        return outcome

    def _observe(self, request: Request, said: Reply | None, fault: Fault | None) -> None:
        self.witness.exchange_answered(self.scheduler.current, self.scheduler.steps, request, said)
        account = self.books.account(request.api_key or "")
        if said is not None and request.method == "POST" and NOT_PERMITTED in said.text:
            symbol = request.parameters.get("symbol", "")
            self.witness.refused_for_good(user_of_key(request.api_key or ""), symbol, self.scheduler.steps)
        if request.method == "POST" and account is not None:
            for symbol in account.open_ids:
                ours = [
                    order for order in account.find_open_orders(symbol) if not order.client_order_id.startswith("app-")
                ]
                if len(ours) > 1:
                    what = f"{symbol}: {', '.join(order.client_order_id for order in ours)}"
                    user_id = user_of_key(account.api_key)
                    self.witness.failed(Invariant.ONE_ORDER_A_PAIR, self.scheduler.steps, user_id, what)

    def ask_database(
        self, process: FunctionProcess, operation: str, parameters: dict[str, Any], carry_out: Callable[[], Any]
    ) -> dict[str, Any]:
        """Carry out a request of a process, with whatever goes wrong with it."""
        run = self._before(process, lambda: (_owner(parameters), f"{operation} {_about(parameters)}"))
        kind = self._database_fault(operation)
        self.note(
            f"{run.label if run else 'owner'}: {operation} {_about(parameters)}{' FAULT ' + kind if kind else ''}"
        )
        match kind:
            case "throttled":
                raise _client_error("ThrottlingException", operation)
            case "db_timeout":
                raise ReadTimeoutError(endpoint_url="memory://dynamodb")
            case "unprocessed":
                wanted = parameters["RequestItems"]
                if operation == "BatchGetItem":
                    return {"Responses": {}, "UnprocessedKeys": wanted}
                return {"UnprocessedItems": wanted}
            case "transaction_conflict":
                codes = ["TransactionConflict"] + ["None"] * (len(parameters["TransactItems"]) - 1)
                reasons = [{"Code": code} for code in codes]
                raise _client_error("TransactionCanceledException", operation, CancellationReasons=reasons)
        self.database.stale = kind == "stale_read"
        try:
            answer: dict[str, Any] = carry_out()
            self.witness.database_carried_out(run, self.scheduler.steps, operation, parameters)
            if kind == "db_repeated":
                answer = carry_out()
        finally:
            self.database.stale = False
        if kind == "db_timeout_applied":
            raise ReadTimeoutError(endpoint_url="memory://dynamodb")
        self._after(process, run)
        return answer

    def _database_fault(self, operation: str) -> str:
        if operation in _READS:
            if operation == "BatchGetItem" and self.choices.happens(self.rates.stale_read):
                self.choices.count("fault:stale_read")
                return "stale_read"
            possible = ["throttled", "db_timeout"]
        else:
            possible = ["throttled", "db_timeout", "db_timeout_applied", "db_repeated"]
        if operation.startswith("Batch"):
            possible.append("unprocessed")
        if operation == "TransactWriteItems":
            possible += ["transaction_conflict"] * 2  # which nothing else meets
        if not self.choices.happens(self.rates.database_fault):
            return ""
        kind = self.choices.choose_one(possible)
        self.choices.count(f"fault:{kind}")
        return kind

    def ask_key_service(self, process: FunctionProcess) -> None:
        """Let a process ask, or find that it cannot."""
        self._before(process, lambda: ("", "Decrypt"))
        if self.choices.happens(self.rates.key_service_fault):
            self.choices.count("fault:kms_failed")
            raise _client_error("KMSInternalException", "Decrypt")

    # the log

    def _logged(self, record: logging.LogRecord) -> None:
        facts = vars(record)
        name = facts.get("alarm")
        if name is not None:
            self.choices.count(f"alarm:{name}")
            self.note(
                f"ALARM {name} {facts.get('user_id', '')} {facts.get('client_order_id', '')} {facts.get('reason', '')}"
            )
        if record.levelno >= logging.WARNING and "ts_tick" in facts:
            run = self.scheduler.current
            users = {facts["user_id"]} if "user_id" in facts else run.users if run is not None else frozenset()
            for user_id in users:
                self.traces.add((user_id, facts["ts_tick"]))
        if record.exc_info and record.exc_info[1] is not None and not isinstance(record.exc_info[1], RunDiedError):
            error = record.exc_info[1]
            if type(error).__module__.startswith(("botbalance.errors", "botocore")):
                return
            self.witness.failed(
                Invariant.NO_INTERNAL_ERROR,
                self.scheduler.steps,
                facts.get("user_id"),
                f"{record.getMessage()}: {error!r}",
            )

    # the operator

    def halt(self) -> None:
        """Halt trading for everybody."""
        item = {"setting": {"S": HALT_SETTING}, "reason": {"S": "simulated"}}
        self.database.put_item(TableName=self.settings.operator_table, Item=item)
        self.witness.halt_set(self.scheduler.runs)
        self.note("OPERATOR halts trading")

    def end_halt(self) -> None:
        """Let trading go on."""
        self.database.delete_item(TableName=self.settings.operator_table, Key={"setting": {"S": HALT_SETTING}})
        self.witness.halted = False
        self.note("OPERATOR ends the halt")


_template = cache(read_template)
"""The project's template; no episode changes it."""


def _owner(parameters: dict[str, Any]) -> str:
    """Whose item a request is about; nobody's where it is about several, or none."""
    if "TransactItems" in parameters:
        parameters = next(iter(parameters["TransactItems"][0].values()))
    item = parameters.get("Key") or parameters.get("Item") or {}
    user_id: str = item.get("user_id", {}).get("S", "")
    return user_id


def _about(parameters: dict[str, Any]) -> str:
    """A request's table, and its key where it has one."""
    if "TransactItems" in parameters:
        return " + ".join(_about(next(iter(part.values()))) for part in parameters["TransactItems"])
    if "RequestItems" in parameters:
        return " ".join(parameters["RequestItems"])
    key = parameters.get("Key") or parameters.get("Item") or {}
    named = [
        next(iter(value.values())) for name, value in key.items() if name in {"user_id", "client_order_id", "ts_tick"}
    ]
    return " ".join([str(parameters.get("TableName", "")).removesuffix("Table"), *map(str, named)])


def _client_error(code: str, operation: str, **facts: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "simulated"}, "ResponseMetadata": {}, **facts}
    return ClientError(response, operation)
