"""What dispatch takes for a tick's time, and that everybody who is due is in the queue once, however many there are."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import batched, count
from threading import Barrier
from threading import enumerate as enumerate_threads
from typing import Any
from uuid import uuid4

import pytest
from botbalance import bootstrap
from botbalance.bootstrap import Services
from botbalance.errors import InvalidRequestError, TransientError
from botbalance.log import logger
from botbalance.settings import read_settings
from botbalance.store.dynamodb import shard_name
from botbalance.store.operator import HALT_SETTING
from botbalance.trading.autopilot import switch_autopilot
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from tick import dispatch

from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness, new_harness
from workbench.aws.template import read_template
from workbench.local.lambda_runtime import InvocationContext

TICK_AT = "2026-01-31T12:00:30Z"
TS_TICK = 1_769_860_830
REQUEST_BYTES = 262_144
"""What SQS takes in one request."""


@pytest.mark.parametrize(
    "tick_at",
    [
        "2026-01-31T12:00:31Z",
        "2026-01-31T12:00:30",
        "2026-01-31",
        "soon",
        "",
        None,
        1_700_000_010,
        "1969-12-31T23:59:30Z",
    ],
)
def test_a_time_that_is_no_tick_is_refused(environment: Mapping[str, str], tick_at: Any) -> None:
    with new_harness(environment, "nobody") as harness:
        bootstrap.use(harness.services)
        context: Any = InvocationContext("dispatch")
        with pytest.raises(InvalidRequestError, match="expected a time on a 30 s grid"):
            dispatch.lambda_handler({"tick_at": tick_at}, context)
        bootstrap.use(None)


# many users

type Wire = Callable[..., Services]


@pytest.fixture
def wire(environment: Mapping[str, str]) -> Iterator[Wire]:
    """Services of dispatch with these settings and these users on autopilot, and nobody else, on a queue of its own."""
    name = f"dispatch-{uuid4().hex[:12]}"
    own = {**environment, "STRATEGIES_TABLE": name}
    properties = read_template().resources("AWS::DynamoDB::Table")["StrategiesTable"]
    wanted = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")

    def wired(users: list[str], **settings: str) -> Services:
        services = Services(read_settings({**own, **settings}))
        services.dynamodb.create_table(TableName=name, **{key: properties[key] for key in wanted})
        queue = services.sqs.create_queue(QueueName=name)["QueueUrl"]
        services.settings = services.settings.model_copy(update={"tick_queue_url": queue})
        for chunk in batched(users, 25, strict=False):
            puts: Any = [
                {
                    "PutRequest": {
                        "Item": {
                            "user_id": {"S": user},
                            "autopilot_shard": {"S": shard_name(user)},
                            "version": {"N": "1"},
                        }
                    }
                }
                for user in chunk
            ]
            services.dynamodb.batch_write_item(RequestItems={name: puts})
        bootstrap.use(services)
        made.append(services)
        return services

    made: list[Services] = []
    yield wired
    bootstrap.use(None)
    for services in made:
        with closing(services):
            services.dynamodb.delete_table(TableName=name)
            services.sqs.delete_queue(QueueUrl=services.settings.tick_queue_url)


def dispatched(tick_at: str = TICK_AT) -> dict[str, int]:
    context: Any = InvocationContext("dispatch")
    return dispatch.lambda_handler({"tick_at": tick_at}, context)


def chunks(services: Services, ts_tick: int = TS_TICK) -> list[list[str]]:
    """The users of each message that is in the queue, which is empty then."""
    found = []
    queue = services.settings.tick_queue_url
    while messages := services.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            services.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(message["Body"])
            if body["ts_tick"] == ts_tick:
                found.append(list(body["users"]))
    return found


def everybody(found: list[list[str]]) -> list[str]:
    return sorted(user for chunk in found for user in chunk)


@contextmanager
def hooked(client: Any, event: str, handler: Callable[..., Any]) -> Iterator[None]:
    client.meta.events.register(event, handler)
    try:
        yield
    finally:
        client.meta.events.unregister(event, handler)


@contextmanager
def limit_pages(services: Services, users: int) -> Iterator[None]:
    """A page of the index holds ``users`` at most."""

    def limit(params: dict[str, Any], **_: Any) -> None:
        params["Limit"] = users

    with hooked(services.dynamodb, "before-parameter-build.dynamodb.Query", limit):
        yield


@pytest.mark.parametrize(
    ("chunk", "threads", "messages"), [(1, 8, 150), (7, 1, 22), (7, 64, 22), (150, 8, 1), (151, 8, 1)]
)
def test_everybody_is_in_one_message_once(wire: Wire, chunk: int, threads: int, messages: int) -> None:
    users = [f"user-{number:03d}" for number in range(150)]
    services = wire(users, DISPATCH_CHUNK=str(chunk), DISPATCH_THREADS=str(threads))
    with limit_pages(services, 2):
        assert dispatched() == {"ts_tick": TS_TICK, "users": 150, "messages": messages}
    found = chunks(services)
    assert everybody(found) == users
    assert len(found) == messages
    assert sorted(map(len, found), reverse=True)[: 150 // chunk] == [chunk] * (150 // chunk)


def test_nobody_is_no_message(wire: Wire) -> None:
    services = wire([])
    assert dispatched() == {"ts_tick": TS_TICK, "users": 0, "messages": 0}
    assert chunks(services) == []


def test_the_first_are_sent_while_the_last_are_still_to_be_read(wire: Wire) -> None:
    services = wire([f"user-{number:03d}" for number in range(60)], DISPATCH_CHUNK="1", DISPATCH_THREADS="2")
    happened: list[str] = []
    with (
        limit_pages(services, 1),
        hooked(services.dynamodb, "before-send.dynamodb.Query", lambda **_: happened.append("read")),
        hooked(services.sqs, "before-send.sqs.SendMessageBatch", lambda **_: happened.append("sent")),
    ):
        dispatched()
    first, last = happened.index("sent"), len(happened) - happened[::-1].index("read")
    assert happened[first:last].count("read") >= 20


def test_requests_to_the_queue_are_under_way_side_by_side(wire: Wire) -> None:
    """The first four go on only when all four are on their way."""
    services = wire([f"user-{number}" for number in range(50)], DISPATCH_CHUNK="1", DISPATCH_THREADS="4")
    together, sent = Barrier(4), count()

    def meet(**_: Any) -> None:
        if next(sent) < 4:
            together.wait(timeout=20)

    with hooked(services.sqs, "before-send.sqs.SendMessageBatch", meet):
        assert dispatched()["messages"] == 50


# long ids


def test_ten_messages_of_five_hundred_users_are_one_request(wire: Wire) -> None:
    """With ids as Cognito makes them: nothing is split."""
    services = wire([str(uuid4()) for _ in range(5_000)], DISPATCH_CHUNK="500")
    with bytes_sent(services) as sent:
        assert dispatched()["messages"] == 10
    (total,) = sent
    assert total <= REQUEST_BYTES


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f511", "\u0001"], ids=["one", "two", "four", "control"])
def test_ids_as_long_as_a_key_may_be_are_split_over_messages(wire: Wire, letter: str) -> None:
    """1,024 bytes of UTF-8 each; a request of ten whole chunks would be up to 3 MB."""
    users = [f"{number:04d}" + letter * (1020 // len(letter.encode())) for number in range(50)]
    services = wire(users, DISPATCH_CHUNK="50", DISPATCH_THREADS="4")
    with bytes_sent(services) as sent:
        answer = dispatched()
    found = chunks(services)
    assert everybody(found) == sorted(users)
    assert answer == {"ts_tick": TS_TICK, "users": 50, "messages": len(found)}
    assert len(found) > 1
    assert all(found)
    assert max(sent) <= REQUEST_BYTES


@contextmanager
def bytes_sent(services: Services) -> Iterator[list[int]]:
    """The bytes of the bodies of each request to the queue."""
    sent: list[int] = []

    def weigh(params: Any, **_: Any) -> None:
        bodies = [entry["MessageBody"] for entry in json.loads(params["body"])["Entries"]]
        sent.append(sum(len(body.encode()) for body in bodies))

    with hooked(services.sqs, "before-call.sqs.SendMessageBatch", weigh):
        yield sent


# what the queue does not take


@contextmanager
def refusing(services: Services, users: set[str], times: int, *, our_fault: bool = False) -> Iterator[list[list[str]]]:
    """The queue takes no message of one of these users in the first ``times`` requests; yields the users of each."""
    asked: list[list[str]] = []
    refused: list[dict[str, Any]] = []

    def drop(params: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        content = json.loads(params["body"])
        user_of_each = {entry["Id"]: min(json.loads(entry["MessageBody"])["users"]) for entry in content["Entries"]}
        asked.append([*user_of_each.values()])
        refused[:] = [
            {"Id": entry["Id"], "SenderFault": our_fault, "Code": "InternalError"}
            for entry in content["Entries"]
            if user_of_each[entry["Id"]] in users and len(asked) <= times
        ]
        left = [entry for entry in content["Entries"] if entry["Id"] not in {one["Id"] for one in refused}]
        if not left:
            answer = AWSResponse(params["url"], 200, HTTPHeaders(), None)
            return answer, {"Failed": [*refused], "ResponseMetadata": {}}
        params["body"] = json.dumps({**content, "Entries": left}).encode()
        return None

    def tell(parsed: Any, **_: Any) -> None:
        if refused:
            parsed["Failed"] = [*refused]

    with (
        hooked(services.sqs, "before-call.sqs.SendMessageBatch", drop),
        hooked(services.sqs, "after-call.sqs.SendMessageBatch", tell),
    ):
        yield asked


def test_what_the_queue_failed_to_take_is_sent_again_alone(wire: Wire) -> None:
    users = [f"user-{number}" for number in range(8)]
    services = wire(users, DISPATCH_CHUNK="1")
    with refusing(services, {"user-1", "user-5"}, times=2) as asked:
        assert dispatched() == {"ts_tick": TS_TICK, "users": 8, "messages": 8}
    assert [sorted(request) for request in asked] == [users, ["user-1", "user-5"], ["user-1", "user-5"]]
    assert everybody(chunks(services)) == users


def test_what_the_queue_fails_to_take_three_times_is_given_up(wire: Wire) -> None:
    services = wire([f"user-{number}" for number in range(8)], DISPATCH_CHUNK="1")
    with (
        refusing(services, {"user-1", "user-5"}, times=3) as asked,
        pytest.raises(TransientError, match="only a part") as raised,
    ):
        dispatched()
    assert raised.value.code == "queue_refused"
    assert len(asked) == 3
    assert len(chunks(services)) == 6


def test_what_is_the_sender_s_fault_is_not_sent_again(wire: Wire) -> None:
    services = wire([f"user-{number}" for number in range(8)], DISPATCH_CHUNK="1")
    with refusing(services, {"user-1"}, times=1, our_fault=True) as asked, pytest.raises(TransientError) as raised:
        dispatched()
    assert raised.value.code == "queue_refused"
    assert len(asked) == 1


@pytest.mark.parametrize("which", [0, 3, 11])
def test_one_request_of_many_that_fails_is_told_whichever_it_is(wire: Wire, which: int) -> None:
    services = wire([f"user-{number:03d}" for number in range(120)], DISPATCH_CHUNK="1", DISPATCH_THREADS="2")
    sent = count()

    def fail(params: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        if next(sent) != which:
            return None
        answer = AWSResponse(params["url"], 403, HTTPHeaders(), None)
        return answer, {"Error": {"Code": "KmsThrottled", "Message": "provoked"}, "ResponseMetadata": {}}

    with (
        hooked(services.sqs, "before-call.sqs.SendMessageBatch", fail),
        pytest.raises(TransientError, match=r"the queue did not do what it was asked to \(KmsThrottled\)"),
    ):
        dispatched()


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_is_sent_to_a_queue_that_takes_nothing(wire: Wire, threads: int) -> None:
    services = wire([f"user-{number:03d}" for number in range(120)], DISPATCH_CHUNK="1", DISPATCH_THREADS=str(threads))
    asked: list[None] = []

    def fail(params: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        asked.append(None)
        answer = AWSResponse(params["url"], 403, HTTPHeaders(), None)
        return answer, {"Error": {"Code": "AccessDenied", "Message": "provoked"}, "ResponseMetadata": {}}

    before = set(enumerate_threads())
    with hooked(services.sqs, "before-call.sqs.SendMessageBatch", fail), pytest.raises(TransientError) as failed:
        dispatched()
    assert len(asked) == threads
    assert set(enumerate_threads()) <= before, f"{failed} leaves threads that read on"


# orders of those whose autopilot is off


def test_once_an_hour_whoever_has_orders_left_is_due_too(harness: TradingHarness) -> None:
    harness.tick()
    assert any(order.is_active for order in harness.orders())
    switch_autopilot(harness.context, harness.user, enabled=False)
    bootstrap.use(harness.services)
    try:
        due = []
        for tick_at, ts_tick in (("2026-01-31T12:00:00Z", TS_TICK - 30), (TICK_AT, TS_TICK)):
            dispatched(tick_at)
            due.append(everybody(chunks(harness.services, ts_tick)).count(harness.user))
    finally:
        bootstrap.use(None)
    assert due == [1, 0]


# while trading is halted


@pytest.mark.parametrize("autopilot", [True, False])
def test_while_trading_is_halted_whose_orders_rest_are_due_whatever_their_autopilot(
    harness: TradingHarness, autopilot: bool
) -> None:
    """And nobody twice, who is due for both reasons; whoever is on autopilot and has no orders stays due."""
    quiet = f"{harness.user}-quiet"
    harness.open_account(quiet, TEN_THOUSAND_USDT)
    harness.set_strategy(user=quiet)
    harness.tick()
    assert any(order.is_active for order in harness.orders())
    switch_autopilot(harness.context, harness.user, enabled=autopilot)
    context, dynamodb, table = harness.context, harness.services.dynamodb, harness.services.settings.operator_table
    halt: Any = {"setting": {"S": HALT_SETTING}, "reason": {"S": "a test"}}
    bootstrap.use(harness.services)
    dynamodb.put_item(TableName=table, Item=halt)
    try:
        assert context.operator.halt_reason() == "a test"
        dispatched()
        halted = everybody(chunks(harness.services))
    finally:
        dynamodb.delete_item(TableName=table, Key={"setting": halt["setting"]})
    dispatched()
    bootstrap.use(None)
    assert (halted.count(harness.user), halted.count(quiet)) == (1, 1)
    assert everybody(chunks(harness.services)).count(harness.user) == int(autopilot)


# the log


def test_every_line_of_a_dispatch_names_its_request(wire: Wire) -> None:
    wire([])
    context: Any = InvocationContext("dispatch")
    dispatch.lambda_handler({"tick_at": TICK_AT}, context)
    assert logger.get_current_keys()["function_request_id"] == context.aws_request_id
