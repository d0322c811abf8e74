"""Runs a soak: ticks through the deployed dispatch and work handlers, with faults at random, and then the audit."""

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Any
from uuid import uuid4

from botbalance import bootstrap
from botbalance.errors import BotBalanceError
from botbalance.exchange.profiles import DEFAULT_EXCHANGE
from botbalance.log import logger
from botbalance.models.decision import TICK_SECONDS
from botbalance.settings import read_settings
from botbalance.trading.autopilot import switch_autopilot
from botbalance.trading.strategy import save_strategy
from pydantic import BaseModel
from tick.dispatch import lambda_handler as dispatch
from tick.work import TickMessage

from workbench.audit.soak_audit import Findings, GroundTruth
from workbench.aws.resources import CREDENTIALS, LOCAL_SETTINGS, EmbeddedAws
from workbench.aws.template import read_template
from workbench.faults.exchange import FaultyExchange
from workbench.faults.injector import Injector
from workbench.faults.kinds import KINDS, FaultKind, Where, kinds_named
from workbench.local.clock import tick_at
from workbench.local.lambda_runtime import InvocationContext
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.matching_engine import MatchingEngine, OrderStatus
from workbench.simulated_exchange.random_walk import RandomWalk
from workbench.simulated_exchange.server import ExchangeServer
from workbench.soak.population import FIRST_PRICES, population
from workbench.soak.request_observer import RequestObserver
from workbench.soak.worker_process import Invocation, Report, Setup
from workbench.soak.workers import SoakClock, Workers, judge_all

SETTLING_TICKS = 7
"""Ticks without faults at the end, after which nothing may be open to doubt: limits, leases and patience have ended."""
_START = 1_750_000_020
_USERS_PER_MESSAGE = 10
_VOLATILITY = 0.0042
"""Of half a minute, as a fraction: several times that of a real market, so that much is traded."""
_AWS_RATE = 0.002
_REMEMBERED_TICKS = 4
"""For how many ticks a fault may keep its user from trading: a lease left behind lasts three."""
_PATIENCE_S = "0.5"
"""For how long a worker waits for an exchange's answer, in real seconds."""
_REMAINING_MS = 60_000
_LONGEST_STEPS = 120
_SHORTEST_STEPS = 20
_OWNERS_LOOK_EVERY = 4
"""So many ticks."""
_QUIET_TICKS = 2
"""Ticks at the start in which no worker is killed: the first ones meet every fault of AWS, and have to tell."""
_LINES_SHOWN = 20
_LOOKED_UP_AT_ONCE = 8
"""So many orders: other faults that are due meet the first of these look-ups."""


class DeliveryFault(StrEnum):
    """What goes wrong between the queue and its workers, and in the market."""

    KILLED = "killed"
    """The worker's process is killed, between any two of its requests; its message comes again."""
    SHORT_OF_TIME = "short_of_time"
    """The function has little time left."""
    DELIVERED_TWICE = "delivered_twice"
    """A message is delivered again after it was worked on."""
    DELIVERED_LATE = "delivered_late"
    """A message is delivered one or two ticks late."""
    TWO_WORKERS = "two_workers"
    """Two workers have the same message at once."""
    PARTIAL_FILL = "partial_fill"
    """An order fills in part."""


_DELIVERY_CHANCES = {
    DeliveryFault.KILLED: 0.005,
    DeliveryFault.SHORT_OF_TIME: 0.02,
    DeliveryFault.DELIVERED_TWICE: 0.02,
    DeliveryFault.DELIVERED_LATE: 0.02,
    DeliveryFault.TWO_WORKERS: 0.02,
}


@dataclass(frozen=True, slots=True)
class Options:
    """What to soak. ``dynamodb`` is another DynamoDB's URL; ``prepare`` runs first in each worker.

    ``exchange_fault_rate`` (0 to 1) is the share of the requests to the exchange that a fault strikes.
    """

    users: int
    ticks: int
    faults: frozenset[FaultKind | DeliveryFault]
    seed: int
    dynamodb: str | None = None
    workers: int = 2
    exchange_fault_rate: float = 0.008
    prepare: Callable[[], None] | None = None


class Result(BaseModel):
    """What a soak found. ``faults_injected`` by kind; every counter from ``orders_doubled`` on has to be 0."""

    users: int
    ticks: int
    seed: int
    workers: int
    seconds: float
    user_ticks: int
    user_ticks_decided: int
    user_ticks_skipped: int
    requests_to_exchange: int
    orders_placed: int
    orders_filled: int
    orders_canceled: int
    fills: int
    autopilots_switched_off: int
    faults_injected: dict[str, int]
    alarms: dict[str, int]
    orders_doubled: int
    orders_lost: int
    fills_missed: int
    overspent: int
    doubtful_trades: int
    users_blocked_by_others: int
    limits_ignored: int
    ticks_failed: int
    findings: list[str]

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def faults_named(names: str) -> frozenset[FaultKind | DeliveryFault]:
    """The kinds in a list as ``limited,killed``; ``all`` or ``none``. Raises InvalidRequestError for any other name."""
    if names == "all":
        return kinds_named("all") | frozenset(DeliveryFault)
    if names == "none":
        return frozenset()
    wanted = {name.strip() for name in names.split(",")}
    of_delivery = frozenset(DeliveryFault(name) for name in wanted & set(DeliveryFault))
    others = wanted - set(DeliveryFault)
    return of_delivery | (kinds_named(",".join(sorted(others))) if others else frozenset())


@dataclass(slots=True)
class _Delivery:
    """A message on its way to a worker."""

    message: str
    attempt: int = 1
    remaining_ms: int = _REMAINING_MS
    kill_at: int | None = None
    user_ids: list[str] = field(default_factory=list)


class Soak:
    """One soak, run once."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._clock = SoakClock(_START)
        self._random = Random(f"{options.seed}:delivery")
        self._users = {user.user_id: user for user in population(options.users, options.seed)}
        walk = RandomWalk(seed=options.seed, volatility=_VOLATILITY, start_ms=self._clock.milliseconds())
        self._market = Market.with_default_filters(FIRST_PRICES, walk)
        partly = Decimal("0.3") if DeliveryFault.PARTIAL_FILL in options.faults else Decimal(0)
        self._books = MatchingEngine(
            self._market, partial_fill_probability=partly, seed=options.seed, clock=self._clock.milliseconds
        )
        self._kinds = frozenset(kind for kind in options.faults if isinstance(kind, FaultKind))
        self._injector = Injector(self._clock, seed=options.seed, kinds=self._kinds, rate=options.exchange_fault_rate)
        self._injector.active = False
        self._witness = RequestObserver(self._clock)
        self._witness.books = self._books
        self._exchange = FaultyExchange(self._books, self._injector, self._witness)
        self._faults: Counter[str] = Counter()
        self._alarms: Counter[str] = Counter()
        self._failures: list[str] = []
        self._prices: dict[int, dict[str, Decimal]] = {}
        self._dispatched: dict[int, set[str]] = {}
        self._excused: dict[str, set[int]] = {user_id: set() for user_id in self._users}
        self._late: list[tuple[int, _Delivery]] = []
        self._overdue: list[DeliveryFault] = []
        """What chance has left out so far, and comes next."""
        self._unshared: set[int] = set()
        """Ticks in which the cache failed, by which workers tell each other what limits are on."""
        self._switched_off = 0

    def run(self, progress: Callable[[int], None] = lambda _ticks: None) -> Result:
        """Run every tick and judge; ``progress`` is called with the number of ticks done."""
        options, began = self._options, time.monotonic()
        os.environ |= CREDENTIALS
        with ExitStack() as stack:
            stack.callback(logger.setLevel, logger.log_level)
            logger.setLevel("CRITICAL")
            aws = EmbeddedAws(read_template(), run=f"soak-{uuid4().hex[:8]}", dynamodb=options.dynamodb)
            stack.callback(aws.stop)
            environment = (
                aws.start()
                | LOCAL_SETTINGS
                | {"DISPATCH_CHUNK": str(_USERS_PER_MESSAGE), "EXCHANGE_TIMEOUT_S": _PATIENCE_S}
            )
            exchange = stack.enter_context(ExchangeServer(self._exchange))
            environment["EXCHANGE_BASE_URL"] = exchange.url
            services = bootstrap.Services(read_settings(environment), clock=self._clock, sleep=lambda _seconds: None)
            stack.callback(services.close)
            bootstrap.use(services)
            stack.callback(bootstrap.use, None)
            self._open_accounts(services)
            setup = Setup(
                environment,
                str(options.seed),
                self._kinds,
                _AWS_RATE,
                meets_all=True,
                unsigned=options.dynamodb is None,
                prepare=options.prepare,
            )
            with Workers(options.workers, setup, self._clock) as workers:
                self._injector.active = True
                for tick in range(options.ticks):
                    if tick * 2 == options.ticks:
                        self._script_what_has_not_come_yet()
                    self._tick(workers)
                    progress(tick + 1)
                self._injector.active = False
                for _ in range(SETTLING_TICKS):
                    self._tick(workers)
            findings = judge_all(environment, self._truths())
        return self._result(findings, time.monotonic() - began)

    # before

    def _open_accounts(self, services: bootstrap.Services) -> None:
        for user in self._users.values():
            self._books.open_account(user.key.api_key, user.key.secret, user.balances)
            services.credentials.save(user.user_id, DEFAULT_EXCHANGE, user.key, self._clock())
            save_strategy(services.context, user.user_id, user.strategy, None)
            switch_autopilot(services.context, user.user_id, enabled=True)

    def _script_what_has_not_come_yet(self) -> None:
        """What chance has left out so far comes for certain: once, at the next request that it can strike."""
        self._overdue = [
            fault for fault in _DELIVERY_CHANCES if fault in self._options.faults and not self._faults[fault]
        ]
        for kind in sorted(self._kinds - self._injector.counts().keys()):
            for where in sorted(KINDS[kind].where & _EXCHANGE_PLACES):
                self._injector.script(kind, where)
        if FaultKind.NOT_YET_SHOWN in self._kinds:  # which takes an order that is looked up at once
            self._injector.script(FaultKind.RESET_AFTER, Where.PLACE_ORDER, times=_LOOKED_UP_AT_ONCE)

    # tick by tick

    def _tick(self, workers: Workers) -> None:
        ts_tick = self._clock.go_on(TICK_SECONDS)
        self._market.advance()
        self._prices[ts_tick] = {symbol: self._market.last_price(symbol) for symbol in self._market.specs}
        self._owners_switch_on()
        context: Any = InvocationContext("dispatch")
        sent = dispatch({"tick_at": tick_at(ts_tick)}, context)["messages"]
        due = deque(self._deliveries(ts_tick, sent))
        while due or not workers.none_busy:
            while due and not workers.all_busy:
                delivery = due.popleft()
                workers.begin(
                    delivery,
                    Invocation(
                        _event(delivery.message), delivery.remaining_ms, delivery.kill_at, self._injector.active
                    ),
                )
            delivery, report = workers.next_report()
            due.extend(self._again(delivery, report, ts_tick))

    def _owners_switch_on(self) -> None:
        """An owner whose autopilot was switched off sees to it after a while, and at the end at once."""
        services = bootstrap.services()
        if self._injector.active and self._clock() % (_OWNERS_LOOK_EVERY * TICK_SECONDS):
            return
        for user_id, strategy in services.strategies.find_many(list(self._users)).items():
            if strategy.autopilot_enabled:
                continue
            self._switched_off += 1
            try:
                switch_autopilot(services.context, user_id, enabled=True)
            except BotBalanceError:  # the faults meet the owner too; the next tick is another try
                self._switched_off -= 1

    def _deliveries(self, ts_tick: int, sent: int) -> Iterable[_Delivery]:
        """This tick's messages from the queue, and those of earlier ticks that are late, as fate has it."""
        came_late = [delivery for due, delivery in self._late if due <= ts_tick or not self._injector.active]
        self._late = [(due, delivery) for due, delivery in self._late if delivery not in came_late]
        dispatched = self._dispatched.setdefault(ts_tick, set())
        for delivery in self._received(sent):
            dispatched |= set(delivery.user_ids)
            fate = self._draw_delivery_fault()
            if fate is DeliveryFault.DELIVERED_LATE:
                self._faults[fate] += 1
                self._mark_affected(delivery.user_ids, ts_tick)
                self._late.append((ts_tick + TICK_SECONDS * self._random.randint(1, 2), delivery))
                continue
            if fate is DeliveryFault.KILLED:
                delivery.kill_at = self._random.randint(
                    1, _LONGEST_STEPS if self._faults[DeliveryFault.KILLED] else _SHORTEST_STEPS
                )
            if fate is DeliveryFault.SHORT_OF_TIME:
                self._faults[fate] += 1
                self._mark_affected(delivery.user_ids, ts_tick)
                delivery.remaining_ms = self._random.randint(10_000, 30_000)
            yield delivery
            if fate in {DeliveryFault.TWO_WORKERS, DeliveryFault.DELIVERED_TWICE}:
                self._faults[fate] += 1
                if fate is DeliveryFault.TWO_WORKERS:
                    yield _Delivery(delivery.message, user_ids=delivery.user_ids)
                else:
                    came_late.append(_Delivery(delivery.message, user_ids=delivery.user_ids))
        yield from came_late

    def _received(self, sent: int) -> Iterable[_Delivery]:
        """The ``sent`` messages from the queue, which forgets them: what fails, comes again from here."""
        services = bootstrap.services()
        queue = services.settings.tick_queue_url
        while sent > 0:
            messages = services.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            sent -= len(messages)
            services.sqs.delete_message_batch(
                QueueUrl=queue,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                    for index, message in enumerate(messages)
                ],
            )
            for message in messages:
                yield _Delivery(message["Body"], user_ids=_parse_users(message["Body"]))

    def _draw_delivery_fault(self) -> DeliveryFault | None:
        if not self._injector.active:
            return None
        drawn = self._random.random()
        if self._clock() <= _START + _QUIET_TICKS * TICK_SECONDS:
            return None
        if self._overdue:
            return self._overdue.pop()
        for fault, chance in _DELIVERY_CHANCES.items():
            if fault in self._options.faults:
                drawn -= chance
                if drawn < 0:
                    return fault
        return None

    def _again(self, delivery: _Delivery, report: Report | None, ts_tick: int) -> Iterable[_Delivery]:
        """Note what became of a delivery; what failed comes again, as the queue would have it."""
        if report is None:
            self._faults[DeliveryFault.KILLED] += 1
            self._mark_affected(delivery.user_ids, ts_tick)
        else:
            for error in report.errors:
                if error["alarm"] is not None:
                    self._alarms[error["alarm"]] += 1
                elif error["exception"] is not None:
                    self._failures.append(f"{error['user_id']}: {error['message']}: {error['exception']}")
            for hit in report.hits:
                if hit.path in {"dynamodb.BatchGetItem", "dynamodb.BatchWriteItem"}:
                    self._unshared.add(hit.at)
                self._faults[hit.fault.kind] += 1
                self._mark_affected([hit.subject] if hit.subject in self._users else delivery.user_ids, ts_tick)
            if not report.answer["batchItemFailures"]:
                return
        if delivery.attempt < 3:
            yield _Delivery(delivery.message, delivery.attempt + 1, user_ids=delivery.user_ids)

    def _mark_affected(self, user_ids: Iterable[str], ts_tick: int) -> None:
        """These users may miss this tick and a few after it: something struck them."""
        for user_id in user_ids:
            self._excused[user_id] |= {ts_tick + TICK_SECONDS * later for later in range(_REMEMBERED_TICKS + 1)}

    # after

    def _truths(self) -> list[GroundTruth]:
        return [
            GroundTruth(
                user.user_id,
                self._books.orders(user.key.api_key),
                self._books.trades(user.key.api_key),
                dict(self._witness.holdings[user.key.api_key]),
                self._prices,
            )
            for user in self._users.values()
        ]

    def _result(self, findings: dict[str, Findings], seconds: float) -> Result:
        self._excuse_for_the_exchange()
        orders = [order for user in self._users.values() for order in self._books.orders(user.key.api_key)]
        trades = [trade for user in self._users.values() for trade in self._books.trades(user.key.api_key)]
        if DeliveryFault.PARTIAL_FILL in self._options.faults:
            self._faults[DeliveryFault.PARTIAL_FILL] = len(trades) - len({trade.order_id for trade in trades})
        self._faults.update(self._injector.counts())
        every = findings.values()
        wrong = {
            "orders_doubled": [*self._witness.doubled, *(line for found in every for line in found.orders_doubled)],
            "orders_lost": [line for found in every for line in found.orders_lost],
            "fills_missed": [line for found in every for line in found.fills_missed],
            "overspent": self._witness.overdrawn,
            "doubtful_trades": [line for found in every for line in found.doubtful_trades],
            "users_blocked_by_others": list(self._blocked(findings)),
            "limits_ignored": [
                str(violation)
                for violation in self._exchange.violations()
                if not self._unshared & {violation.limit.since, violation.at}
            ],
            "ticks_failed": self._failures,
        }
        return Result(
            users=self._options.users,
            ticks=self._options.ticks,
            seed=self._options.seed,
            workers=self._options.workers,
            seconds=round(seconds, 1),
            user_ticks=sum(map(len, self._dispatched.values())),
            user_ticks_decided=sum(len(found.decided) for found in every),
            user_ticks_skipped=sum(len(found.skipped) for found in every),
            requests_to_exchange=self._witness.requests,
            orders_placed=len(orders),
            orders_filled=len([order for order in orders if order.status is OrderStatus.FILLED]),
            orders_canceled=len([order for order in orders if order.status is OrderStatus.CANCELED]),
            fills=len(trades),
            autopilots_switched_off=self._switched_off,
            faults_injected={str(kind): self._faults[kind] for kind in sorted(self._options.faults)},
            alarms=dict(self._alarms),
            findings=[f"{name}: {line}" for name, lines in wrong.items() for line in lines[:_LINES_SHOWN]],
            **{name: len(lines) for name, lines in wrong.items()},
        )

    def _excuse_for_the_exchange(self) -> None:
        """What the exchange did to a user's key, or to everybody, keeps those users from trading for a while."""
        by_key = {user.key.api_key: user.user_id for user in self._users.values()}
        for hit in self._injector.hits():
            whole_host = hit.subject is None or hit.fault.kind is FaultKind.BANNED
            self._mark_affected(self._users if whole_host else [by_key[str(hit.subject)]], hit.at)

    def _blocked(self, findings: dict[str, Findings]) -> Iterable[str]:
        """Every user-tick that was due, met no fault, and yet had no decision."""
        for ts_tick, user_ids in self._dispatched.items():
            for user_id in sorted(user_ids):
                if ts_tick not in findings[user_id].decided and ts_tick not in self._excused[user_id]:
                    why = findings[user_id].skipped.get(ts_tick, "nothing was logged")
                    yield f"{user_id} tick {ts_tick}: {why}"


_EXCHANGE_PLACES = frozenset(
    {
        Where.PLACE_ORDER,
        Where.CANCEL_ORDER,
        Where.FIND_ORDER,
        Where.OPEN_ORDERS,
        Where.TRADES,
        Where.BALANCES,
        Where.QUOTES,
    }
)
"""Where a worker's requests to the exchange are sure to come by."""


def _parse_users(body: str) -> list[str]:
    return list(TickMessage.model_validate_json(body).users)


def _event(body: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": str(uuid4()),
                "receiptHandle": "soak",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:botbalance-TickQueue",
                "awsRegion": "us-east-1",
            }
        ]
    }
