"""The three functions that tell owners, over tables in memory, and stand-ins of the five channels on this machine.

Time stands still unless a test moves it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest
from botbalance import bootstrap
from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.notification import Channel, Delivery, DeliveryState
from botbalance.notifications.context import NotificationContext
from botbalance.notifications.preferences import save_preferences
from botbalance.settings import read_settings
from moto import mock_aws

from workbench.aws.resources import CREDENTIALS, in_memory_dynamodb
from workbench.aws.template import Template, read_template
from workbench.local.lambda_runtime import LambdaRuntime

START = 1_700_000_000
USER = "alice"
BOT_TOKEN = "123456789:AAbbCCddEEffGGhhIIjjKKllMMnnOOppQQr"
OK: tuple[int, dict[str, str], str] = (200, {}, '{"ok": true}')

type Answer = tuple[int, dict[str, str], str]


@dataclass
class StandIn:
    """A channel's server: ``answers`` are given in turn, then ``then`` for good; ``received`` are its requests."""

    answers: list[Answer] = field(default_factory=list)
    then: Answer = OK
    received: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    url: str = ""

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.received]


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    yield from _serve(StandIn())


def _serve(stand_in: StandIn) -> Iterator[StandIn]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            stand_in.received.append((self.path, headers, body))
            status, more, text = stand_in.answers.pop(0) if stand_in.answers else stand_in.then
            if status == 0:  # the connection ends without an answer
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST  # noqa: N815 - a redirect that is followed would become one

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        stand_in.url = f"http://127.0.0.1:{server.server_port}"
        yield stand_in
        server.shutdown()
        thread.join()


class World:
    """What tells owners, driven as AWS would drive it."""

    def __init__(self, services: bootstrap.Services, stand_in: StandIn) -> None:
        self.services = services
        self.stand_in = stand_in
        self.now = START
        self._runtime = LambdaRuntime()

    @property
    def context(self) -> NotificationContext:
        return self.services.notifications(60_000)

    def set_up(self, *channels: Channel, user_id: str = USER, **preferences: Any) -> str | None:
        """Let the user be told by ``channels``; returns the signing secret of a webhook."""
        url = self.stand_in.url
        said: Mapping[Channel, dict[str, str]] = {
            Channel.TELEGRAM: {"bot_token": BOT_TOKEN, "chat_id": "4711"},
            Channel.DISCORD: {"url": f"{url}/discord"},
            Channel.SLACK: {"url": f"{url}/slack"},
            Channel.EMAIL: {"address": "alice@example.com"},
            Channel.WEBHOOK: {"url": f"{url}/webhook"},
        }
        wanted = {"digest": "off"} | preferences
        saved = save_preferences(
            self.context, user_id, wanted, {channel: said[channel] for channel in channels}, own_address=None
        )
        return saved.signing_secret

    def happens(self, action: ActivityKind, user_id: str = USER, **more: Any) -> Activity:
        """Something is written; nobody was told of it yet."""
        activity = Activity.at(self.now, user_id, action, actor=more.pop("actor", "system"), **more)
        self.services.context.activity.append(activity)
        return activity

    def stream(self, *activities: Activity) -> None:
        """Hand ``activities`` on, as the table's stream does."""
        images = [{"user_id": {"S": one.user_id}, "document": {"S": one.model_dump_json()}} for one in activities]
        records = [{"eventName": "INSERT", "dynamodb": {"NewImage": image}} for image in images]
        self._runtime.invoke("notify.collect.lambda_handler", {"Records": records})

    def due(self) -> int:
        """The schedule comes by; returns how many deliveries it queued."""
        answer: dict[str, int] = self._runtime.invoke("notify.due.lambda_handler", {})
        return answer["queued"]

    def deliver(self, *, times: int = 1) -> None:
        """Hand over what is queued; each message of the queue comes ``times`` times."""
        url = self.services.settings.delivery_queue_url
        while True:
            messages = self.services.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return
            for message in messages:
                for _ in range(times):
                    record = {"messageId": "1", "body": message["Body"], "eventSource": "aws:sqs"}
                    answer = self._runtime.invoke("notify.deliver.lambda_handler", {"Records": [record]})
                    assert answer == {"batchItemFailures": []}
                self.services.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def tell(self, *activities: Activity) -> None:
        """All the way, once."""
        self.stream(*activities)
        self.deliver()

    def go_on(self, seconds: int) -> None:
        """Let time pass to whatever is due within ``seconds``, and hand it over when it is."""
        end = self.now + seconds
        while True:
            following = min((at for at in self._due_times() if at <= end), default=None)
            if following is None:
                break
            self.now = max(self.now, following)
            self.due()
            self.deliver()
        self.now = end

    def _due_times(self) -> list[int]:
        table = self.services.settings.notifications_table
        items = self.services.dynamodb.scan(TableName=table)["Items"]
        return [int(item["due_at"]["N"]) for item in items if "due_at" in item]

    def deliveries(self, user_id: str = USER) -> list[Delivery]:
        """Oldest first."""
        return self.context.table.deliveries(user_id, limit=200).items[::-1]

    def states(self) -> list[tuple[Channel, DeliveryState]]:
        return [(one.channel, one.state) for one in self.deliveries()]


@pytest.fixture(scope="session")
def template() -> Template:
    return read_template()


@pytest.fixture
def world(template: Template, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws(), closing(boto3.client("kms")) as kms, closing(boto3.client("sqs")) as sqs:
        physical = {name: f"botbalance-test-{name}" for name in template.resources("AWS::DynamoDB::Table")}
        for name in template.resources("AWS::SQS::Queue"):
            physical[name] = sqs.create_queue(QueueName=name)["QueueUrl"]
        for name in template.resources("AWS::KMS::Key"):
            physical[name] = kms.create_key()["KeyMetadata"]["KeyId"]
        environment = template.environment(physical) | {
            "NOTIFICATION_LOOPBACK": "true",
            "TELEGRAM_BASE_URL": stand_in.url,
            "SES_ENDPOINT": stand_in.url,
            "NOTIFICATION_EMAIL_FROM": "bot@example.com",
        }
        services = bootstrap.Services(read_settings(environment), clock=lambda: told.now)
        services.dynamodb = in_memory_dynamodb(template, "test")  # type: ignore[assignment]
        services.kms, services.sqs = kms, sqs
        told = World(services, stand_in)
        bootstrap.use(services)
        yield told
        bootstrap.use(None)
        services.close()
