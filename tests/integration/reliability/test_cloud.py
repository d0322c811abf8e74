"""Whatever the database, the queue and the functions do: no order doubled or lost, and nobody stopped by another.

On AWS's own DynamoDB Local where ``BOTBALANCE_TEST_DYNAMODB`` names its URL, and on the embedded cloud elsewhere.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botbalance import bootstrap
from botbalance.models.order import OrderStatus
from botbalance.store.accounts import LEASE_S
from botbalance.store.dynamodb import shard_name
from botbalance.trading.orders import cancel_by_hand
from botbalance.trading.session import SEND_AND_SETTLE_S
from tick import dispatch

from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness, new_harness
from workbench.aws.resources import EmbeddedAws
from workbench.aws.template import read_template
from workbench.faults.kinds import FaultKind, Where
from workbench.local.clock import tick_at
from workbench.local.lambda_runtime import InvocationContext
from workbench.simulated_exchange.binance_api import Request
from workbench.soak.worker_process import Invocation, Setup
from workbench.soak.workers import SoakClock, Worker

K = FaultKind
BTC = "BTCUSDT"
POST = "POST /api/v3/order"
WRITE = "dynamodb.TransactWriteItems"
LOCAL = "BOTBALANCE_TEST_DYNAMODB"


@pytest.fixture(scope="module")
def environment(environment: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """The same on the better of the engines that are there."""
    if LOCAL not in os.environ:
        yield environment
        return
    aws = EmbeddedAws(read_template(), run=uuid4().hex[:8], dynamodb=os.environ[LOCAL])
    try:
        variables = aws.start()
        yield variables
        with closing(boto3.client("dynamodb", endpoint_url=os.environ[LOCAL])) as client:
            for name, table in variables.items():
                if name.endswith("_TABLE"):
                    client.delete_table(TableName=table)
    finally:
        aws.stop()


def require_one_order_a_pair(harness: TradingHarness, user: str | None = None) -> None:
    assert sorted(order.symbol for order in harness.booked(user)) == [BTC, "ETHUSDT", "XRPUSDT"]
    assert harness.differences(user) == []


def interrupt_an_order(harness: TradingHarness, interrupt: Callable[[], None], *, nth: int = 1) -> None:
    """Call ``interrupt`` once the ``nth`` order has been accepted, before its sender knows."""

    def on_request(request: Request) -> None:
        if request.method == "POST" and len(harness.asked("POST")) == nth:
            harness.on_request = lambda _: None
            interrupt()

    harness.on_request = on_request


# the database

TRIES = {K.THROTTLED: 1, K.DB_TIMEOUT: 1, K.DB_TIMEOUT_APPLIED: 1, K.TRANSACTION_CONFLICT: 5}
"""After which a write is given up; botocore makes three attempts of each."""


@pytest.mark.parametrize("kind", [K.THROTTLED, K.DB_TIMEOUT, K.TRANSACTION_CONFLICT])
def test_an_intent_that_cannot_be_written_is_not_sent_and_planned_anew_by_the_next_tick(
    harness: TradingHarness, kind: FaultKind
) -> None:
    harness.injector.script(kind, Where.TRANSACTION, attempts=3, times=TRIES[kind])
    decision = harness.tick()
    assert harness.injector.unplayed() == []
    assert harness.asked("POST") == []
    assert (decision.placed, harness.orders()) == ([], [])
    assert "the database did not" in (decision.reason or "")
    assert len(harness.tick().placed) == 3
    require_one_order_a_pair(harness)


@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("kind", [K.THROTTLED, K.DB_TIMEOUT, K.DB_TIMEOUT_APPLIED])
def test_a_write_that_succeeds_at_last_sends_its_order_once(
    harness: TradingHarness, kind: FaultKind, attempts: int
) -> None:
    harness.injector.script(kind, Where.TRANSACTION, attempts=attempts, times=4)
    decision = harness.tick()
    assert harness.injector.unplayed() == []
    assert [placed["status"] for placed in decision.placed] == [OrderStatus.OPEN] * 3
    assert len(harness.asked("POST")) == 3
    require_one_order_a_pair(harness)


def test_an_intent_that_was_written_without_an_answer_is_not_sent_and_given_up_in_time(harness: TradingHarness) -> None:
    harness.injector.script(K.DB_TIMEOUT_APPLIED, Where.TRANSACTION, attempts=3)
    harness.tick()
    assert harness.asked("POST") == []
    assert harness.statuses() == {BTC: OrderStatus.PENDING}
    for _ in range(6):
        harness.tick()
    assert len(harness.asked("POST", BTC)) == 1
    assert [order.reason for order in harness.orders() if order.status is OrderStatus.CANCELED] == ["never_placed"]
    require_one_order_a_pair(harness)


@pytest.mark.parametrize("kind", [K.THROTTLED, K.DB_TIMEOUT, K.TRANSACTION_CONFLICT, K.DB_TIMEOUT_APPLIED])
def test_what_became_of_an_order_is_written_at_the_second_try_where_the_first_fails(
    harness: TradingHarness, kind: FaultKind
) -> None:
    harness.waits_take_time = True
    harness.injector.script(K.RESET_AFTER, Where.PLACE_ORDER, about=BTC)
    interrupt_an_order(harness, lambda: harness.injector.script(kind, Where.TRANSACTION, attempts=3, times=TRIES[kind]))
    decision = harness.tick()
    assert harness.injector.unplayed() == []
    assert [placed["status"] for placed in decision.placed] == [OrderStatus.OPEN] * 3
    assert (harness.slept, len(harness.asked("GET"))) == ([1, 0], 1)
    assert len(harness.asked("POST")) == 3
    require_one_order_a_pair(harness)


@pytest.mark.parametrize("kind", [K.THROTTLED, K.DB_TIMEOUT, K.TRANSACTION_CONFLICT])
def test_what_became_of_an_order_that_cannot_be_written_is_left_to_the_next_tick(
    harness: TradingHarness, kind: FaultKind
) -> None:
    harness.injector.script(K.RESET_AFTER, Where.PLACE_ORDER, about=BTC)
    interrupt_an_order(
        harness, lambda: harness.injector.script(kind, Where.TRANSACTION, attempts=3, times=3 * TRIES[kind])
    )
    decision = harness.tick()
    assert harness.injector.unplayed() == []
    assert [placed["status"] for placed in decision.placed] == ["PENDING", "OPEN", "OPEN"]
    assert harness.slept == [1, 2]
    harness.tick()
    assert len(harness.asked("POST")) == 3
    require_one_order_a_pair(harness)


@pytest.mark.parametrize("kind", [K.THROTTLED, K.DB_TIMEOUT, K.TRANSACTION_CONFLICT, K.DB_TIMEOUT_APPLIED])
def test_the_end_of_a_run_that_has_placed_orders_is_written_at_the_second_try_where_the_first_fails(
    harness: TradingHarness, kind: FaultKind, alarms: Callable[[], list[Any]]
) -> None:
    interrupt_an_order(
        harness, lambda: harness.injector.script(kind, Where.TRANSACTION, attempts=3, times=TRIES[kind]), nth=3
    )
    harness.tick()
    assert harness.injector.unplayed() == []
    assert harness.slept == [1]
    assert alarms() == []
    assert set(harness.statuses().values()) == {OrderStatus.OPEN}
    assert harness.tick().outcome == "decided"
    require_one_order_a_pair(harness)


@pytest.mark.parametrize("kind", [K.THROTTLED, K.DB_TIMEOUT, K.TRANSACTION_CONFLICT])
def test_the_end_of_a_run_that_cannot_be_written_leaves_its_orders_to_whoever_comes_after_the_lease(
    harness: TradingHarness, kind: FaultKind, alarms: Callable[[], list[Any]]
) -> None:
    interrupt_an_order(
        harness, lambda: harness.injector.script(kind, Where.TRANSACTION, attempts=3, times=3 * TRIES[kind]), nth=3
    )
    decision = harness.tick()
    assert harness.injector.unplayed() == []
    assert [placed["status"] for placed in decision.placed] == ["OPEN"] * 3
    assert harness.slept == [1, 2]
    assert alarms() == [("lease_not_released", harness.user)]
    assert set(harness.statuses().values()) == {OrderStatus.PENDING}
    assert harness.tick(LEASE_S).outcome == "decided"
    assert set(harness.statuses().values()) == {OrderStatus.OPEN}
    require_one_order_a_pair(harness)


def test_the_end_of_a_run_without_orders_is_tried_once_and_told_by_an_alarm(
    harness: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    leases = harness.services.settings.accounts_table
    with harness.session():
        harness.injector.script(K.THROTTLED, Where.DATABASE_WRITE, about=leases, attempts=3)
    assert harness.injector.unplayed() == []
    assert harness.slept == []
    assert alarms() == [("lease_not_released", harness.user)]


@pytest.mark.parametrize(("kind", "ticks"), [(K.THROTTLED, 1), (K.DB_TIMEOUT, 1), (K.DB_TIMEOUT_APPLIED, 3)])
def test_a_lease_that_is_not_known_to_be_taken_is_no_leave_to_work(
    harness: TradingHarness, kind: FaultKind, ticks: int
) -> None:
    """One that was taken without an answer is nobody's until it ends."""
    harness.requests.clear()
    leases = harness.services.settings.accounts_table
    harness.injector.script(kind, Where.DATABASE_WRITE, about=leases, attempts=3)
    for _ in range(ticks):
        assert harness.tick().outcome == "skipped"
    assert harness.injector.unplayed() == []
    assert harness.signed() == []
    assert len(harness.tick().placed) == 3
    require_one_order_a_pair(harness)


def test_what_a_decision_came_to_that_cannot_be_logged_is_told_by_an_alarm(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """With the lease's end, and three times by itself. It keeps nothing else from being written."""
    decisions = harness.services.settings.decisions_table
    harness.injector.script(K.THROTTLED, Where.TRANSACTION, about=decisions, attempts=3)
    harness.injector.script(K.THROTTLED, Where.DATABASE_WRITE, about=decisions, attempts=3, times=3)
    decision = harness.tick()
    assert harness.injector.unplayed() == []
    assert set(harness.statuses().values()) == {OrderStatus.OPEN}
    assert harness.context.accounts.find_state(harness.user).last_look is not None
    (told,) = [record.__dict__ for record in caplog.records if "alarm" in record.__dict__]
    assert told["alarm"] == "decision_not_logged"
    assert decision.inputs
    assert decision.evaluation
    assert told["decision"] == decision.model_dump(mode="json", exclude={"inputs", "evaluation"})
    assert [placed["status"] for placed in told["decision"]["placed"]] == ["OPEN"] * 3
    require_one_order_a_pair(harness)


def test_a_decision_is_logged_with_the_end_of_its_run_and_by_itself_where_the_lease_was_lost(
    harness: TradingHarness,
) -> None:
    def taken_over() -> None:
        harness.context.accounts.acquire(harness.user, harness.now + LEASE_S)

    written: list[str] = []
    harness.services.on_boundary = written.append
    first = harness.tick()
    assert "before dynamodb.PutItem" not in written
    cancel_by_hand(harness.context, harness.user)
    harness.now += 30
    interrupt_an_order(harness, taken_over, nth=6)
    second = harness.tick()
    assert written.count("before dynamodb.PutItem") == 1
    assert [len(decision.placed) for decision in (first, second)] == [3, 3]
    assert harness.context.decisions.page(harness.user, limit=5).items == [second, first]


def test_a_message_whose_users_cannot_be_read_is_reported_and_worked_on_when_it_comes_again(
    harness: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    harness.now += 30
    strategies = harness.services.settings.strategies_table
    harness.injector.script(K.DB_TIMEOUT, Where.BATCH_READ, about=strategies, attempts=3)
    assert harness.work(harness.message(harness.user)) == [0]
    assert alarms() == [("message_failed", None)]
    assert harness.work(harness.message(harness.user)) == []
    require_one_order_a_pair(harness)


# messages


def test_a_schedule_that_fires_twice_ticks_everybody_once(environment: Mapping[str, str]) -> None:
    with new_harness(environment, f"user-{uuid4().hex[:12]}", PRICING_USE_CACHE="false", DISPATCH_CHUNK="1") as harness:
        harness.open_account(harness.user, TEN_THOUSAND_USDT)
        harness.set_strategy()
        harness.now += 30
        bootstrap.use(harness.services)
        context: Any = InvocationContext("dispatch")
        for _ in range(2):
            dispatch.lambda_handler({"tick_at": tick_at(harness.now)}, context)
        bootstrap.use(None)
        messages = [body for body in received(harness) if harness.user in body]
        assert messages == [harness.message(harness.user)] * 2
        assert harness.work(messages[0]) == []
        require_one_order_a_pair(harness)
        asked = len(harness.signed())
        assert harness.work(messages[1]) == []
        assert len(harness.signed()) == asked


def received(harness: TradingHarness) -> Iterator[str]:
    """Everything that is in the queue, which is empty then."""
    sqs, queue = harness.services.sqs, harness.services.settings.tick_queue_url
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            yield message["Body"]


def test_a_message_older_than_its_period_is_dropped_without_a_request(
    harness: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    harness.requests.clear()
    old = harness.message(harness.user)
    harness.now += 31
    assert harness.work(old) == []
    assert alarms() == [("tick_late", None)]
    assert harness.signed() == []
    assert harness.orders() == []
    assert harness.context.decisions.page(harness.user, limit=10).items == []


@pytest.fixture
def workers(harness: TradingHarness) -> Iterator[list[Worker]]:
    """Two processes that run the deployed handler on this harness's tables and exchange."""
    setup = Setup(dict(harness.environment), "", frozenset(), rate=0, meets_all=False, unsigned=False, prepare=None)
    clock = SoakClock(harness.now + 30)
    workers = [Worker(setup, clock) for _ in range(2)]
    try:
        for worker in workers:
            worker.start()
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def test_two_workers_with_the_same_message_at_once_place_everybodys_orders_once(
    harness: TradingHarness, workers: list[Worker]
) -> None:
    users = [f"{harness.user}-{number}" for number in range(6)]
    for user in users:
        harness.open_account(user, TEN_THOUSAND_USDT)
        harness.set_strategy(user=user)
    harness.now += 30
    event = {"Records": [make_record(harness.message(*users))]}
    for worker in workers:
        worker.begin(Invocation(event, remaining_ms=60_000, kill_at=None, faults=False))
    reports = [worker.report() for worker in workers]
    assert [report and report.answer for report in reports] == [{"batchItemFailures": []}] * 2
    assert len(harness.asked("POST")) == 3 * len(users)
    for user in users:
        require_one_order_a_pair(harness, user)
        assert harness.context.decisions.get(user, harness.now).outcome == "decided"


def make_record(body: str) -> dict[str, Any]:
    return {
        "messageId": "0",
        "receiptHandle": "0",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:TickQueue",
        "awsRegion": "us-east-1",
    }


POISON = [
    "",
    "ts_tick=1700000010",
    '{"ts_tick": 17000',
    "[]",
    '{"ts_tick": 1700000010}',
    '{"ts_tick": "soon", "users": {}}',
    "[" * 100_000,
]


def test_a_poison_message_is_reported_and_the_others_of_its_batch_are_done(
    harness: TradingHarness, neighbour: str, alarms: Callable[[], list[Any]]
) -> None:
    harness.now += 30
    failed = harness.work(harness.message(harness.user), *POISON, harness.message(neighbour))
    assert failed == list(range(1, 1 + len(POISON)))
    assert alarms() == [("message_failed", None)] * len(POISON)
    for user in (harness.user, neighbour):
        require_one_order_a_pair(harness, user)


def test_a_poison_message_lands_among_the_dead_letters_after_as_many_receives_as_the_template_allows(
    harness: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    template = read_template().resources("AWS::SQS::Queue")["TickQueue"]
    most = template["RedrivePolicy"]["maxReceiveCount"]
    sqs = harness.services.sqs
    dead_letters = sqs.create_queue(QueueName=f"dead-letters-{uuid4()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps(template["RedrivePolicy"] | {"deadLetterTargetArn": arn})
    attributes: Any = {"VisibilityTimeout": str(template["VisibilityTimeout"]), "RedrivePolicy": policy}
    queue = sqs.create_queue(QueueName=f"ticks-{uuid4()}", Attributes=attributes)["QueueUrl"]
    harness.now += 30
    for body in ("poison", harness.message(harness.user)):
        sqs.send_message(QueueUrl=queue, MessageBody=body)

    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        failed = harness.work(*(message["Body"] for message in messages))
        for number, message in enumerate(messages):
            if number in failed:  # it comes again when nobody has deleted it for as long as the queue says
                handle = message["ReceiptHandle"]
                sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=0)
            else:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    assert alarms() == [("message_failed", None)] * most
    (dead,) = sqs.receive_message(QueueUrl=dead_letters, MaxNumberOfMessages=10)["Messages"]
    assert dead["Body"] == "poison"
    require_one_order_a_pair(harness)


# leases and time


@pytest.mark.parametrize(
    ("boundary", "sent"), [(f"after {POST}", 1), (f"after {WRITE}", 0)], ids=["accepted", "about to send"]
)
def test_a_run_whose_lease_was_taken_over_can_neither_write_nor_send_any_more(
    harness: TradingHarness, boundary: str, sent: int
) -> None:
    """It is held up when its first order is accepted, or written and not yet sent, until another run has come by."""
    held_up, successor = harness.services, harness.another_process()

    def pause(name: str) -> None:
        if name == boundary:
            held_up.on_boundary = lambda _: None
            harness.services = successor
            assert {placed["symbol"] for placed in harness.tick(LEASE_S).placed} == {"ETHUSDT", "XRPUSDT"}

    held_up.on_boundary = pause
    decision = harness.tick()

    assert len(harness.asked("POST", BTC)) == sent
    assert len(harness.asked("POST")) == sent + 2
    assert len(decision.placed) == sent
    assert "0 s are left" in (decision.reason or "")
    for _ in range(3):
        harness.tick()
    require_one_order_a_pair(harness)


def test_a_function_without_time_for_a_tick_begins_none_and_leaves_them_to_another(
    harness: TradingHarness, neighbour: str
) -> None:
    harness.requests.clear()
    harness.now += 30
    assert harness.work(harness.message(harness.user, neighbour), remaining_ms=14_999) == []
    for user in (harness.user, neighbour):
        assert harness.signed(user) == []
        assert harness.context.decisions.get(user, harness.now).reason_code == "out_of_time"
    assert harness.work(harness.message(harness.user, neighbour), remaining_ms=15_000) == []
    for user in (harness.user, neighbour):
        require_one_order_a_pair(harness, user)


@pytest.mark.parametrize(
    ("boundary", "nth", "written"),
    [(f"after {POST}", 1, 1), (f"after {WRITE}", 2, 2)],
    ids=["accepted", "about to send the second"],
)
def test_a_function_whose_time_runs_out_sends_no_more_and_leaves_the_rest_to_the_next_tick(
    harness: TradingHarness, boundary: str, nth: int, written: int
) -> None:
    left = nth

    def come_to(name: str) -> None:
        nonlocal left
        left -= name == boundary
        if name == boundary and not left:
            harness.now += 60 - SEND_AND_SETTLE_S + 1

    harness.services.on_boundary = come_to
    harness.now += 30
    ts_tick = harness.now
    assert harness.work(harness.message(harness.user)) == []

    assert (len(harness.asked("POST")), len(harness.orders())) == (1, written)
    assert f"{SEND_AND_SETTLE_S - 1} s are left" in (harness.context.decisions.get(harness.user, ts_tick).reason or "")
    assert harness.statuses()[BTC] is OrderStatus.OPEN
    harness.now = ts_tick + 60
    for _ in range(6):
        harness.now += 30
        assert harness.work(harness.message(harness.user)) == []
    require_one_order_a_pair(harness)


# what is stored


def test_a_decision_too_large_for_an_item_is_logged_in_part_which_says_so_and_its_orders_are_sent(
    newcomer: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    harness = newcomer
    random = Random(1)  # or they would be told in few bytes
    strangers = {random.randbytes(10).hex().upper(): Decimal(random.getrandbits(60)) for _ in range(10_000)}
    harness.open_account(harness.user, {**TEN_THOUSAND_USDT, **strangers})
    harness.set_strategy()
    made = harness.tick()
    assert alarms() == [("decision_too_large", harness.user)]
    logged = harness.context.decisions.get(harness.user, harness.now)
    assert (logged.inputs, logged.evaluation) == (None, None)
    assert "too large to be logged whole" in (logged.reason or "")
    assert logged.placed == made.placed
    require_one_order_a_pair(harness)


def rewrite(harness: TradingHarness, table: str, key: dict[str, str], changes: dict[str, Any]) -> None:
    """Change a stored document, as another version of this software would write it."""
    client: Any = harness.services.dynamodb
    typed = {name: {"S": value} for name, value in key.items()}
    item = client.get_item(TableName=table, Key=typed)["Item"]
    document = json.dumps(json.loads(item["document"]["S"]) | changes)
    client.put_item(TableName=table, Item=item | {"document": {"S": document}})


def test_an_order_of_another_version_is_left_as_it_is_and_its_owners_tick_out(
    harness: TradingHarness, neighbour: str
) -> None:
    harness.tick()
    orders = harness.services.settings.orders_table
    order = harness.order_on(BTC)
    key = {"user_id": harness.user, "client_order_id": order.client_order_id}
    rewrite(harness, orders, key, {"schema_version": 2, "new_in_version_2": True})
    sent = len(harness.asked("POST"))
    harness.now += 30
    assert harness.work(harness.message(harness.user, neighbour)) == []
    decision = harness.context.decisions.get(harness.user, harness.now)
    assert decision.outcome == "skipped"
    assert "Order is not of a known form (schema_version)" in (decision.reason or "")
    assert len(harness.asked("POST")) == sent + 3
    require_one_order_a_pair(harness, neighbour)
    rewrite(harness, orders, key, {"schema_version": 1})
    require_one_order_a_pair(harness)


# one user's trouble


@dataclass(frozen=True)
class Trouble:
    """What befalls the user, and the outcome of the tick that follows, None where it cannot even be logged."""

    befall: Callable[[TradingHarness], object]
    outcome: str | None = "skipped"


def script(kind: FaultKind, where: Where, variant: str | None = None) -> Callable[[TradingHarness], None]:
    """Every request of the user for ``where`` meets ``kind``, to the exchange and to AWS alike."""

    def befall(harness: TradingHarness) -> None:
        for subject in (harness.key, harness.user, f"shard#{shard_name(harness.user)}"):
            harness.injector.script(kind, where, of=subject, variant=variant, attempts=3, times=99)

    return befall


def lose_every_order(harness: TradingHarness) -> None:
    script(K.NOT_RECEIVED, Where.PLACE_ORDER)(harness)
    script(K.NOT_RECEIVED, Where.FIND_ORDER)(harness)


def another_version(table: str, **more_of_the_key: str) -> Callable[[TradingHarness], None]:
    def befall(harness: TradingHarness) -> None:
        key = {"user_id": harness.user, **more_of_the_key}
        rewrite(harness, getattr(harness.services.settings, table), key, {"schema_version": 2})

    return befall


def run_elsewhere(harness: TradingHarness) -> object:
    """A run that has not ended for as long as somebody holds on to it."""
    lease = harness.session()
    lease.__enter__()
    return lease


def vanish(harness: TradingHarness) -> None:
    harness.tick()
    script(K.VANISHED_BALANCES, Where.BALANCES, "empty")(harness)
    harness.books.cancel_all(harness.key, BTC)
    harness.books.cancel_all(harness.key, "ETHUSDT")
    harness.books.cancel_all(harness.key, "XRPUSDT")


def want_what_is_not_traded(harness: TradingHarness) -> None:
    strategy = harness.context.strategies.get(harness.user)
    targets = {"NOTHING": Decimal(50), "USDT": Decimal(50)}
    harness.context.strategies.save(strategy.model_copy(update={"target_allocations": targets}))


def lose_the_ciphertext(harness: TradingHarness) -> None:
    client: Any = harness.services.dynamodb
    table = harness.services.settings.credentials_table
    item = client.get_item(TableName=table, Key={"user_id": {"S": harness.user}, "exchange": {"S": "binance"}})["Item"]
    del item["ciphertext"]
    client.put_item(TableName=table, Item=item)


TROUBLES = {
    "its key is revoked": Trouble(lambda harness: harness.books.revoke_key(harness.key)),
    "its key is gone": Trouble(lambda harness: harness.services.credentials.delete(harness.user, "binance")),
    "its key cannot be decrypted": Trouble(script(K.KMS_FAILED, Where.DECRYPTION)),
    "its key is limited": Trouble(script(K.LIMITED, Where.OPEN_ORDERS)),
    "the exchange does not answer it": Trouble(script(K.NOT_RECEIVED, Where.BALANCES)),
    "the exchange answers it with garbage": Trouble(script(K.GARBAGE, Where.OPEN_ORDERS, "html")),
    "its holdings vanish": Trouble(vanish),
    "its orders are lost": Trouble(lose_every_order, "decided"),
    "its orders are refused": Trouble(script(K.INSUFFICIENT_BALANCE, Where.PLACE_ORDER), "decided"),
    "another run works on its account": Trouble(run_elsewhere),
    "its lease cannot be taken": Trouble(script(K.THROTTLED, Where.DATABASE_WRITE), None),
    "its intents cannot be written": Trouble(script(K.THROTTLED, Where.TRANSACTION), "decided"),
    "its orders cannot be read": Trouble(script(K.DB_TIMEOUT, Where.DATABASE_READ)),
    "it wants what is not traded": Trouble(want_what_is_not_traded),
    "its strategy is of another version": Trouble(another_version("strategies_table"), None),
    "its key is of another version": Trouble(another_version("credentials_table", exchange="binance")),
    "something nobody thought of": Trouble(lose_the_ciphertext),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_one_users_trouble_leaves_the_others_of_the_same_message_with_their_decision(
    harness: TradingHarness, neighbour: str, trouble: Trouble
) -> None:
    thirds = (f"{harness.user}-third-{number}" for number in count())
    third = next(name for name in thirds if shard_name(name) != shard_name(harness.user))
    harness.open_account(third, TEN_THOUSAND_USDT)
    harness.set_strategy(user=third)
    _held = trouble.befall(harness)
    harness.services = harness.another_process()
    harness.now += 30
    assert harness.work(harness.message(neighbour, harness.user, third)) == []
    for user in (neighbour, third):
        decision = harness.context.decisions.get(user, harness.now)
        assert (decision.outcome, decision.reason, len(decision.placed)) == ("decided", None, 3)
        require_one_order_a_pair(harness, user)
    harness.injector.active = False
    decisions = [
        one for one in harness.context.decisions.page(harness.user, limit=1).items if one.ts_tick == harness.now
    ]
    assert [decision.outcome for decision in decisions] == ([] if trouble.outcome is None else [trouble.outcome])
