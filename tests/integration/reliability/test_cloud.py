"""Whatever the database, the queue and the functions do: no order doubled or lost, and nobody stopped by another.

On AWS's own DynamoDB Local where ``BOTBALANCE_TEST_DYNAMODB`` names its URL, and on the embedded cloud elsewhere.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botbalance import bootstrap
from botbalance.store.leases import LEASE_S, SEND_AND_SETTLE_S
from botbalance.store.orders import OrderStatus
from tick import dispatch

from tests.integration.trading.world import TEN_THOUSAND_USDT, World, new_world
from workbench.clock import tick_at
from workbench.embedded_aws import EmbeddedAws
from workbench.exchange.binance_api import Request
from workbench.faults.kinds import FaultKind, Where
from workbench.lambda_runtime import InvocationContext
from workbench.soak.worker_process import Invocation, Setup
from workbench.soak.workers import SoakClock, Worker
from workbench.template import read_template

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


def require_one_order_a_pair(world: World, user: str | None = None) -> None:
    assert sorted(order.symbol for order in world.booked(user)) == [BTC, "ETHUSDT", "XRPUSDT"]
    assert world.differences(user) == []


def strike_at_the_first_order(world: World, strike: Callable[[], None]) -> None:
    """Call ``strike`` once the first order has been accepted, before its sender knows."""

    def on_request(request: Request) -> None:
        if request.method == "POST":
            world.on_request = lambda _: None
            strike()

    world.on_request = on_request


# the database


@pytest.mark.parametrize("kind", [K.THROTTLED, K.DB_TIMEOUT, K.TRANSACTION_CONFLICT])
def test_an_intent_that_cannot_be_written_is_not_sent_and_planned_anew_by_the_next_tick(
    world: World, kind: FaultKind
) -> None:
    world.injector.script(kind, Where.TRANSACTION, attempts=3)
    decision = world.tick()
    assert world.injector.unplayed() == []
    assert world.asked("POST") == []
    assert (decision.placed, world.orders()) == ([], [])
    assert "the database did not" in (decision.reason or "")
    assert len(world.tick().placed) == 3
    require_one_order_a_pair(world)


@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("kind", [K.THROTTLED, K.DB_TIMEOUT, K.DB_TIMEOUT_APPLIED])
def test_a_write_that_succeeds_at_last_sends_its_order_once(world: World, kind: FaultKind, attempts: int) -> None:
    world.injector.script(kind, Where.TRANSACTION, attempts=attempts, times=6)
    decision = world.tick()
    assert world.injector.unplayed() == []
    assert [placed["status"] for placed in decision.placed] == [OrderStatus.OPEN] * 3
    assert len(world.asked("POST")) == 3
    require_one_order_a_pair(world)


def test_an_intent_that_was_written_without_an_answer_is_not_sent_and_given_up_in_time(world: World) -> None:
    world.injector.script(K.DB_TIMEOUT_APPLIED, Where.TRANSACTION, attempts=3)
    world.tick()
    assert world.asked("POST") == []
    assert world.statuses() == {BTC: OrderStatus.PENDING}
    for _ in range(5):
        world.tick()
    assert len(world.asked("POST", BTC)) == 1
    assert [order.reason for order in world.orders() if order.status is OrderStatus.CANCELED] == ["never_placed"]
    require_one_order_a_pair(world)


@pytest.mark.parametrize("kind", [K.THROTTLED, K.DB_TIMEOUT, K.TRANSACTION_CONFLICT, K.DB_TIMEOUT_APPLIED])
def test_what_became_of_an_order_is_written_at_the_second_try_where_the_first_fails(
    world: World, kind: FaultKind
) -> None:
    strike_at_the_first_order(world, lambda: world.injector.script(kind, Where.TRANSACTION, attempts=3))
    decision = world.tick()
    assert world.injector.unplayed() == []
    assert [placed["status"] for placed in decision.placed] == [OrderStatus.OPEN] * 3
    assert (world.slept, len(world.asked("GET"))) == ([1], 0)
    assert len(world.asked("POST")) == 3
    require_one_order_a_pair(world)


@pytest.mark.parametrize("kind", [K.THROTTLED, K.DB_TIMEOUT, K.TRANSACTION_CONFLICT])
def test_what_became_of_an_order_that_cannot_be_written_is_left_to_the_next_tick(world: World, kind: FaultKind) -> None:
    strike_at_the_first_order(world, lambda: world.injector.script(kind, Where.TRANSACTION, attempts=3, times=3))
    decision = world.tick()
    assert world.injector.unplayed() == []
    assert [placed["status"] for placed in decision.placed] == ["PENDING", "OPEN", "OPEN"]
    assert world.slept == [1, 2]
    world.tick()
    assert len(world.asked("POST")) == 3
    require_one_order_a_pair(world)


@pytest.mark.parametrize(("kind", "ticks"), [(K.THROTTLED, 1), (K.DB_TIMEOUT, 1), (K.DB_TIMEOUT_APPLIED, 3)])
def test_a_lease_that_is_not_known_to_be_taken_is_no_leave_to_work(world: World, kind: FaultKind, ticks: int) -> None:
    """One that was taken without an answer is nobody's until it ends."""
    world.requests.clear()
    leases = world.services.settings.leases_table
    world.injector.script(kind, Where.DATABASE_WRITE, about=leases, attempts=3)
    for _ in range(ticks):
        assert world.tick().outcome == "skipped"
    assert world.injector.unplayed() == []
    assert world.signed() == []
    assert len(world.tick().placed) == 3
    require_one_order_a_pair(world)


def test_a_decision_that_cannot_be_logged_is_told_whole_by_an_alarm(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    decisions = world.services.settings.decisions_table
    world.injector.script(K.THROTTLED, Where.DATABASE_WRITE, about=decisions, attempts=3, times=3)
    decision = world.tick()
    (told,) = [record.__dict__ for record in caplog.records if "alarm" in record.__dict__]
    assert told["alarm"] == "decision_not_logged"
    assert told["decision"] == decision.model_dump(mode="json")
    assert [placed["status"] for placed in told["decision"]["placed"]] == ["OPEN"] * 3
    require_one_order_a_pair(world)


def test_a_message_whose_users_cannot_be_read_is_reported_and_worked_on_when_it_comes_again(
    world: World, alarms: Callable[[], list[Any]]
) -> None:
    world.now += 30
    strategies = world.services.settings.strategies_table
    world.injector.script(K.DB_TIMEOUT, Where.BATCH_READ, about=strategies, attempts=3)
    assert world.work(world.message(world.user)) == [0]
    assert alarms() == [("message_failed", None)]
    assert world.work(world.message(world.user)) == []
    require_one_order_a_pair(world)


# messages


def test_a_schedule_that_fires_twice_ticks_everybody_once(environment: Mapping[str, str]) -> None:
    with new_world(environment, f"user-{uuid4().hex[:12]}", PRICING_USE_CACHE="false", DISPATCH_CHUNK="1") as world:
        world.open_account(world.user, TEN_THOUSAND_USDT)
        world.set_strategy()
        world.now += 30
        bootstrap.use(world.services)
        context: Any = InvocationContext("dispatch")
        for _ in range(2):
            dispatch.lambda_handler({"tick_at": tick_at(world.now)}, context)
        bootstrap.use(None)
        messages = [body for body in received(world) if world.user in body]
        assert messages == [world.message(world.user)] * 2
        assert world.work(messages[0]) == []
        require_one_order_a_pair(world)
        asked = len(world.signed())
        assert world.work(messages[1]) == []
        assert len(world.signed()) == asked


def received(world: World) -> Iterator[str]:
    """Everything that is in the queue, which is empty then."""
    sqs, queue = world.services.sqs, world.services.settings.tick_queue_url
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            yield message["Body"]


def test_a_message_older_than_its_period_is_dropped_without_a_request(
    world: World, alarms: Callable[[], list[Any]]
) -> None:
    world.requests.clear()
    old = world.message(world.user)
    world.now += 31
    assert world.work(old) == []
    assert alarms() == [("tick_late", None)]
    assert world.signed() == []
    assert world.orders() == []
    assert world.desk.decisions.page(world.user, limit=10).decisions == []


@pytest.fixture
def workers(world: World) -> Iterator[list[Worker]]:
    """Two processes that run the deployed handler on this world's tables and exchange."""
    setup = Setup(dict(world.environment), "", frozenset(), rate=0, meets_all=False, unsigned=False, prepare=None)
    clock = SoakClock(world.now + 30)
    workers = [Worker(setup, clock) for _ in range(2)]
    try:
        for worker in workers:
            worker.start()
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def test_two_workers_with_the_same_message_at_once_place_everybodys_orders_once(
    world: World, workers: list[Worker]
) -> None:
    users = [f"{world.user}-{number}" for number in range(6)]
    for user in users:
        world.open_account(user, TEN_THOUSAND_USDT)
        world.set_strategy(user=user)
    world.now += 30
    event = {"Records": [record_of(world.message(*users))]}
    for worker in workers:
        worker.begin(Invocation(event, remaining_ms=60_000, kill_at=None, faults=False))
    reports = [worker.report() for worker in workers]
    assert [report and report.answer for report in reports] == [{"batchItemFailures": []}] * 2
    assert len(world.asked("POST")) == 3 * len(users)
    for user in users:
        require_one_order_a_pair(world, user)
        assert world.desk.decisions.get(user, world.now).outcome == "decided"


def record_of(body: str) -> dict[str, Any]:
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
    world: World, neighbour: str, alarms: Callable[[], list[Any]]
) -> None:
    world.now += 30
    failed = world.work(world.message(world.user), *POISON, world.message(neighbour))
    assert failed == list(range(1, 1 + len(POISON)))
    assert alarms() == [("message_failed", None)] * len(POISON)
    for user in (world.user, neighbour):
        require_one_order_a_pair(world, user)


def test_a_poison_message_lands_among_the_dead_letters_after_as_many_receives_as_the_template_allows(
    world: World, alarms: Callable[[], list[Any]]
) -> None:
    template = read_template().resources("AWS::SQS::Queue")["TickQueue"]
    most = template["RedrivePolicy"]["maxReceiveCount"]
    sqs = world.services.sqs
    dead_letters = sqs.create_queue(QueueName=f"dead-letters-{uuid4()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps(template["RedrivePolicy"] | {"deadLetterTargetArn": arn})
    attributes: Any = {"VisibilityTimeout": str(template["VisibilityTimeout"]), "RedrivePolicy": policy}
    queue = sqs.create_queue(QueueName=f"ticks-{uuid4()}", Attributes=attributes)["QueueUrl"]
    world.now += 30
    for body in ("poison", world.message(world.user)):
        sqs.send_message(QueueUrl=queue, MessageBody=body)

    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        failed = world.work(*(message["Body"] for message in messages))
        for number, message in enumerate(messages):
            if number in failed:  # it comes again when nobody has deleted it for as long as the queue says
                handle = message["ReceiptHandle"]
                sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=0)
            else:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    assert alarms() == [("message_failed", None)] * most
    (dead,) = sqs.receive_message(QueueUrl=dead_letters, MaxNumberOfMessages=10)["Messages"]
    assert dead["Body"] == "poison"
    require_one_order_a_pair(world)


# leases and time


@pytest.mark.parametrize(
    ("boundary", "sent"), [(f"after {POST}", 1), (f"after {WRITE}", 0)], ids=["accepted", "about to send"]
)
def test_a_run_whose_lease_was_taken_over_can_neither_write_nor_send_any_more(
    world: World, boundary: str, sent: int
) -> None:
    """It is held up when its first order is accepted, or written and not yet sent, until another run has come by."""
    held_up, successor = world.services, world.another_process()

    def pause(name: str) -> None:
        if name == boundary:
            held_up.on_boundary = lambda _: None
            world.services = successor
            assert {placed["symbol"] for placed in world.tick(LEASE_S).placed} == {"ETHUSDT", "XRPUSDT"}

    held_up.on_boundary = pause
    decision = world.tick()

    assert len(world.asked("POST", BTC)) == sent
    assert len(world.asked("POST")) == sent + 2
    assert len(decision.placed) == sent
    assert ("another run has taken over" if sent else "0 s are left") in (decision.reason or "")
    for _ in range(3):
        world.tick()
    require_one_order_a_pair(world)


def test_a_function_without_time_for_a_tick_begins_none_and_leaves_them_to_another(
    world: World, neighbour: str
) -> None:
    world.requests.clear()
    world.now += 30
    assert world.work(world.message(world.user, neighbour), remaining_ms=19_999) == []
    for user in (world.user, neighbour):
        assert world.signed(user) == []
        assert world.desk.decisions.page(user, limit=1).decisions == []
    assert world.work(world.message(world.user, neighbour), remaining_ms=20_000) == []
    for user in (world.user, neighbour):
        require_one_order_a_pair(world, user)


@pytest.mark.parametrize(
    ("boundary", "nth", "written"),
    [(f"after {POST}", 1, 1), (f"after {WRITE}", 3, 2)],
    ids=["accepted", "about to send the second"],
)
def test_a_function_whose_time_runs_out_sends_no_more_and_leaves_the_rest_to_the_next_tick(
    world: World, boundary: str, nth: int, written: int
) -> None:
    left = nth

    def come_to(name: str) -> None:
        nonlocal left
        left -= name == boundary
        if name == boundary and not left:
            world.now += 60 - SEND_AND_SETTLE_S + 1

    world.services.on_boundary = come_to
    world.now += 30
    ts_tick = world.now
    assert world.work(world.message(world.user)) == []

    assert (len(world.asked("POST")), len(world.orders())) == (1, written)
    assert f"{SEND_AND_SETTLE_S - 1} s are left" in (world.desk.decisions.get(world.user, ts_tick).reason or "")
    assert world.statuses()[BTC] is OrderStatus.OPEN
    world.now = ts_tick + 60
    for _ in range(6):
        world.now += 30
        assert world.work(world.message(world.user)) == []
    require_one_order_a_pair(world)


# what is stored


def test_a_decision_too_large_for_an_item_is_logged_in_part_which_says_so_and_its_orders_are_sent(
    newcomer: World, alarms: Callable[[], list[Any]]
) -> None:
    world = newcomer
    random = Random(1)  # or they would be told in few bytes
    strangers = {random.randbytes(10).hex().upper(): Decimal(random.getrandbits(60)) for _ in range(10_000)}
    world.open_account(world.user, {**TEN_THOUSAND_USDT, **strangers})
    world.set_strategy()
    made = world.tick()
    assert alarms() == [("decision_too_large", world.user)]
    logged = world.desk.decisions.get(world.user, world.now)
    assert (logged.inputs, logged.evaluation) == (None, None)
    assert "too large to be logged whole" in (logged.reason or "")
    assert logged.placed == made.placed
    require_one_order_a_pair(world)


def rewrite(world: World, table: str, key: dict[str, str], changes: dict[str, Any]) -> None:
    """Change a stored document, as another version of this software would write it."""
    client: Any = world.services.dynamodb
    typed = {name: {"S": value} for name, value in key.items()}
    item = client.get_item(TableName=table, Key=typed)["Item"]
    document = json.dumps(json.loads(item["document"]["S"]) | changes)
    client.put_item(TableName=table, Item=item | {"document": {"S": document}})


def test_an_order_of_another_version_is_left_as_it_is_and_its_owners_tick_out(world: World, neighbour: str) -> None:
    world.tick()
    orders = world.services.settings.orders_table
    order = world.order_on(BTC)
    key = {"user_id": world.user, "client_order_id": order.client_order_id}
    rewrite(world, orders, key, {"schema_version": 2, "new_in_version_2": True})
    sent = len(world.asked("POST"))
    world.now += 30
    assert world.work(world.message(world.user, neighbour)) == []
    decision = world.desk.decisions.get(world.user, world.now)
    assert decision.outcome == "skipped"
    assert "Order is not of a known form (schema_version)" in (decision.reason or "")
    assert len(world.asked("POST")) == sent + 3
    require_one_order_a_pair(world, neighbour)
    rewrite(world, orders, key, {"schema_version": 1})
    require_one_order_a_pair(world)


# one user's trouble


@dataclass(frozen=True)
class Trouble:
    """What befalls the user, and the outcome of the tick that follows, None where it cannot even be logged."""

    befall: Callable[[World], object]
    outcome: str | None = "skipped"


def script(kind: FaultKind, where: Where, variant: str | None = None) -> Callable[[World], None]:
    """Every request of the user for ``where`` meets ``kind``, to the exchange and to AWS alike."""

    def befall(world: World) -> None:
        for subject in (world.key, world.user):
            world.injector.script(kind, where, of=subject, variant=variant, attempts=3, times=99)

    return befall


def lose_every_order(world: World) -> None:
    script(K.NOT_RECEIVED, Where.PLACE_ORDER)(world)
    script(K.NOT_RECEIVED, Where.FIND_ORDER)(world)


def another_version(table: str, **more_of_the_key: str) -> Callable[[World], None]:
    def befall(world: World) -> None:
        key = {"user_id": world.user, **more_of_the_key}
        rewrite(world, getattr(world.services.settings, table), key, {"schema_version": 2})

    return befall


def run_elsewhere(world: World) -> object:
    """A run that has not ended for as long as somebody holds on to it."""
    lease = world.lease()
    lease.__enter__()
    return lease


def vanish(world: World) -> None:
    world.tick()
    script(K.VANISHED_BALANCES, Where.BALANCES, "empty")(world)
    world.books.cancel_all(world.key, BTC)
    world.books.cancel_all(world.key, "ETHUSDT")
    world.books.cancel_all(world.key, "XRPUSDT")


def want_what_is_not_traded(world: World) -> None:
    strategy = world.desk.strategies.get(world.user)
    targets = {"NOTHING": Decimal(50), "USDT": Decimal(50)}
    world.desk.strategies.save(strategy.model_copy(update={"target_allocations": targets}))


def lose_the_ciphertext(world: World) -> None:
    client: Any = world.services.dynamodb
    table = world.services.settings.credentials_table
    item = client.get_item(TableName=table, Key={"user_id": {"S": world.user}, "exchange": {"S": "binance"}})["Item"]
    del item["ciphertext"]
    client.put_item(TableName=table, Item=item)


TROUBLES = {
    "its key is revoked": Trouble(lambda world: world.books.revoke_key(world.key)),
    "its key is gone": Trouble(lambda world: world.services.credentials.delete(world.user, "binance")),
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
    "something nobody thought of": Trouble(lose_the_ciphertext, None),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_one_users_trouble_leaves_the_others_of_the_same_message_with_their_decision(
    world: World, neighbour: str, trouble: Trouble
) -> None:
    third = f"{world.user}-third"
    world.open_account(third, TEN_THOUSAND_USDT)
    world.set_strategy(user=third)
    _held = trouble.befall(world)
    world.services = world.another_process()
    world.now += 30
    assert world.work(world.message(neighbour, world.user, third)) == []
    for user in (neighbour, third):
        decision = world.desk.decisions.get(user, world.now)
        assert (decision.outcome, decision.reason, len(decision.placed)) == ("decided", None, 3)
        require_one_order_a_pair(world, user)
    world.injector.active = False
    decisions = [one for one in world.desk.decisions.page(world.user, limit=1).decisions if one.ts_tick == world.now]
    assert [decision.outcome for decision in decisions] == ([] if trouble.outcome is None else [trouble.outcome])
