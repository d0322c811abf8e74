"""The state machine as it is deployed, in moto's interpreter: its tasks call the deployed dispatch handler."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
import yaml
from botbalance import bootstrap
from botbalance.errors import TransientError
from botocore.awsrequest import AWSResponse, HeadersDict
from jsonata.jsonata import Jsonata
from moto import mock_aws
from tick.dispatch import lambda_handler as dispatch

from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness, new_harness
from workbench.aws.resources import CREDENTIALS
from workbench.local.clock import tick_at
from workbench.local.lambda_runtime import InvocationContext

DEFINITION = Path(__file__).parents[3] / "infra" / "autopilot.asl.yaml"
REGION = CREDENTIALS["AWS_DEFAULT_REGION"]
DISPATCH_ARN = f"arn:aws:lambda:{REGION}:123456789012:function:dispatch:live"
ROLE_ARN = "arn:aws:iam::123456789012:role/schedule"
MINUTE = 1_600_000_020
"""Long past, so that waiting for its ticks takes no time."""
AHEAD = 60
"""Seconds from the minute that the rule was scheduled for to the first tick that it names."""

type Invoke = Callable[[dict[str, Any]], dict[str, int]]


@pytest.fixture
def harness(environment: Mapping[str, str]) -> Iterator[TradingHarness]:
    """A user on autopilot, in September 2020."""
    with new_harness(environment, f"user-{uuid4().hex[:12]}", PRICING_USE_CACHE="false", DISPATCH_CHUNK="1") as harness:
        harness.now = MINUTE + AHEAD
        harness.open_account(harness.user, TEN_THOUSAND_USDT)
        harness.set_strategy()
        bootstrap.use(harness.services)
        yield harness
        bootstrap.use(None)


class Scheduler:
    """Step Functions with our state machine; whatever it invokes is answered by ``invoke``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.invoke: Invoke = deployed
        self.events: list[dict[str, Any]] = []
        session = boto3.Session(region_name=REGION)
        session.events.register_first("before-send.lambda.Invoke", self._answer)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
        self._client = session.client("stepfunctions")
        definition = DEFINITION.read_text().replace("${DispatchFunction}", DISPATCH_ARN)
        self._machine = self._client.create_state_machine(
            name="schedule", definition=json.dumps(yaml.safe_load(definition)), roleArn=ROLE_ARN
        )["stateMachineArn"]

    def run(self, scheduled_at: str) -> dict[str, Any]:
        """What became of the execution that EventBridge starts at ``scheduled_at``."""
        event = {"source": "aws.events", "detail-type": "Scheduled Event", "time": scheduled_at, "detail": {}}
        others = set(threading.enumerate())
        started = self._client.start_execution(stateMachineArn=self._machine, name=uuid4().hex, input=json.dumps(event))
        while running := set(threading.enumerate()) - others:  # moto runs an execution in threads of its own
            for thread in running:
                if thread.is_alive():  # one that is listed but not yet started cannot be waited for
                    thread.join()
        execution: Any = self._client.describe_execution(executionArn=started["executionArn"])
        return dict(execution)

    def ticks(self) -> list[str]:
        """The names of the ticks that were dispatched, or tried to."""
        return [event["tick_at"] for event in self.events]

    def _answer(self, request: Any, **_: Any) -> Any:
        event = json.loads(request.body)
        self.events.append(event)
        try:
            payload, headers = json.dumps(self.invoke(event)), HeadersDict()
        except Exception as error:  # noqa: BLE001 - as the Lambda runtime does
            payload = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})
            headers = HeadersDict({"X-Amz-Function-Error": "Unhandled"})
        body: Any = _Body(payload.encode())
        response: Any = AWSResponse(request.url, 200, headers, body)  # type: ignore[arg-type]
        return response


class _Body:
    """A response's body, as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content

    def read(self, *_: Any, **__: Any) -> bytes:
        content, self._content = self._content, b""
        return content


def deployed(event: dict[str, Any]) -> dict[str, int]:
    context: Any = InvocationContext("dispatch")
    return dispatch(event, context)


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    # moto has all of JSONata but what evaluates it.
    monkeypatch.setattr(
        "moto.stepfunctions.parser.asl.jsonata.jsonata._eval_jsonata",
        lambda expression: Jsonata.jsonata(expression).evaluate(None),
    )
    # Retries wait in earnest; here they come at once.
    monkeypatch.setattr("moto.stepfunctions.parser.asl.component.common.retry.retrier_decl.time.sleep", lambda _: None)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        yield Scheduler(monkeypatch)


def messages(harness: TradingHarness) -> list[str]:
    """Everything about this harness's user that is in the queue, which is empty then."""
    sqs, queue = harness.services.sqs, harness.services.settings.tick_queue_url
    found: list[str] = []
    while received := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in received:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        found += [message["Body"] for message in received if harness.user in message["Body"]]
    return found


def test_a_scheduled_minute_ticks_everybody_twice(harness: TradingHarness, scheduler: Scheduler) -> None:
    assert scheduler.run(tick_at(MINUTE))["status"] == "SUCCEEDED"
    first, second = messages(harness)
    for seconds, message in ((0, first), (30, second)):
        harness.now = MINUTE + AHEAD + seconds
        assert harness.work(message) == []
        assert harness.context.decisions.get(harness.user, harness.now).outcome == "decided"
    assert len(harness.booked()) == 3


def test_an_event_that_comes_twice_names_the_same_ticks_and_trades_once(
    harness: TradingHarness, scheduler: Scheduler
) -> None:
    for _ in range(2):
        assert scheduler.run(tick_at(MINUTE))["status"] == "SUCCEEDED"
    assert scheduler.ticks() == [tick_at(MINUTE + AHEAD), tick_at(MINUTE + AHEAD + 30)] * 2
    first, second, first_again, second_again = messages(harness)
    assert (first, second) == (first_again, second_again)
    assert harness.work(first) == []
    asked = len(harness.signed())
    assert harness.work(first_again) == []
    assert len(harness.signed()) == asked
    assert len(harness.booked()) == 3


@pytest.mark.parametrize("second", ["07", "27", "59"])
def test_a_schedule_that_is_off_the_minute_still_names_ticks_on_the_grid(
    harness: TradingHarness, scheduler: Scheduler, second: str
) -> None:
    off = tick_at(MINUTE).replace(":00Z", f":{second}Z")
    assert scheduler.run(off)["status"] == "SUCCEEDED"
    assert scheduler.ticks() == [tick_at(MINUTE + AHEAD), tick_at(MINUTE + AHEAD + 30)]
    assert len(messages(harness)) == 2


def test_a_dispatch_that_fails_once_is_repeated_for_the_same_tick(
    harness: TradingHarness, scheduler: Scheduler
) -> None:
    def fails_once(event: dict[str, Any]) -> dict[str, int]:
        if len(scheduler.events) == 1:
            raise TransientError("queue_refused", "the queue took nothing")
        return deployed(event)

    scheduler.invoke = fails_once
    assert scheduler.run(tick_at(MINUTE))["status"] == "SUCCEEDED"
    assert scheduler.ticks() == [tick_at(MINUTE + AHEAD)] * 2 + [tick_at(MINUTE + AHEAD + 30)]
    assert len(messages(harness)) == 2


def test_a_first_tick_that_cannot_be_dispatched_keeps_the_second_from_nothing_and_is_told(
    harness: TradingHarness, scheduler: Scheduler
) -> None:
    def first_fails(event: dict[str, Any]) -> dict[str, int]:
        if event["tick_at"] == tick_at(MINUTE + AHEAD):
            raise TransientError("queue_refused", "the queue took nothing")
        return deployed(event)

    scheduler.invoke = first_fails
    execution = scheduler.run(tick_at(MINUTE))
    assert (execution["status"], execution["error"]) == ("FAILED", "FirstTickFailed")
    assert scheduler.ticks() == [tick_at(MINUTE + AHEAD)] * 4 + [tick_at(MINUTE + AHEAD + 30)]
    assert len(messages(harness)) == 1


def test_a_time_that_is_none_is_not_tried_again(harness: TradingHarness, scheduler: Scheduler) -> None:
    execution = scheduler.run("some:time:soon")
    assert execution["status"] == "FAILED"
    assert len(scheduler.events) <= 2
    assert messages(harness) == []
