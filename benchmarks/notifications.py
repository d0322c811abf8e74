"""Whether ticks come later when everybody has something to be told, and how fast that is told.

    .venv/bin/python -m benchmarks.notifications [--users 10000]

*Ticks*: runs of all users one after another, each of which takes the lease, notes whether trading is halted, and ends.
In turn, in one process: with nothing to tell, and with an incident that begins or ends for everybody, which appends an
entry in the write that ends the lease. No run asks the database more often for that, and none waits for a message:
those are made of the entries, by other functions. The database is in memory, so that what is compared is our own work.
*Telling*: the entries of all users through collect and deliver, to a webhook on this machine, one after another.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Annotated, Any

import boto3
import typer
from botbalance import bootstrap
from botbalance.log import logger
from botbalance.models.activity import Activity
from botbalance.models.decision import Decision
from botbalance.models.notification import Channel
from botbalance.notifications.collect import collect
from botbalance.notifications.deliver import deliver
from botbalance.notifications.preferences import save_preferences
from botbalance.settings import read_settings
from botbalance.store.delivery_queue import DeliveryJob
from botbalance.trading.context import TRADING_HALTED
from botbalance.trading.incidents import report_decision
from botbalance.trading.session import open_session
from moto import mock_aws

from workbench.aws.cost import LOOK_MS
from workbench.aws.resources import CREDENTIALS, in_memory_dynamodb
from workbench.aws.template import read_template

START = 1_700_000_010
ROUNDS = 5
BATCH = 100
"""Entries that the stream hands on at a time."""


class Counted:
    """Counts what a client in memory is asked."""

    def __init__(self, client: Any) -> None:
        self.requests = 0
        self._call = client._call
        client._call = self._counted

    def _counted(self, *request: Any) -> Any:
        self.requests += 1
        return self._call(*request)


class Queue:
    """The queue of deliveries, without a queue's own time."""

    def __init__(self) -> None:
        self.jobs: list[DeliveryJob] = []

    def send_message_batch(self, Entries: list[Any], **_: Any) -> dict[str, Any]:  # noqa: N803 - SQS's name
        """Keep what is sent, as jobs."""
        self.jobs += [DeliveryJob.model_validate_json(entry["MessageBody"]) for entry in Entries]
        return {}

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def webhook() -> Iterator[tuple[str, list[int]]]:
    """A webhook's URL, and a count of what it was sent."""
    received = [0]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            received[0] += 1
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()


@contextmanager
def services(clock: Callable[[], int], queue: Queue) -> Iterator[bootstrap.Services]:
    """The product wired to tables of moto, with ``queue`` for deliveries."""
    template = read_template()
    os.environ |= CREDENTIALS
    with mock_aws(), closing(boto3.client("kms")) as kms:
        physical = {name: f"botbalance-bench-{name}" for name in template.resources("AWS::DynamoDB::Table")}
        physical |= {name: f"https://queue/{name}" for name in template.resources("AWS::SQS::Queue")}
        for name in template.resources("AWS::KMS::Key"):
            physical[name] = kms.create_key()["KeyMetadata"]["KeyId"]
        environment = template.environment(physical) | {"NOTIFICATION_LOOPBACK": "true"}
        wired = bootstrap.Services(read_settings(environment), clock=clock)
        wired.dynamodb = in_memory_dynamodb(template, "bench")  # type: ignore[assignment]
        wired.sqs, wired.kms = queue, kms  # type: ignore[assignment]
        yield wired
        wired.close()


def run_user(wired: bootstrap.Services, user_id: str, ts_tick: int, *, halted: bool) -> None:
    """One run of a user, in which trading is halted or not."""
    decision = Decision(
        user_id=user_id,
        ts_tick=ts_tick,
        decided_at=ts_tick,
        outcome="skipped" if halted else "decided",
        reason_code=TRADING_HALTED if halted else None,
        reason="a benchmark" if halted else None,
        engine_version="",
    )
    with open_session(wired.context, user_id, ts_tick=ts_tick) as session:
        report_decision(session, decision)


def main(users: Annotated[int, typer.Option(min=10, help="Who all have something to be told.")] = 10_000) -> None:
    """Run both, and print what came out as JSON."""
    logger.setLevel("ERROR")
    now, queue = [START], Queue()
    names = [f"user-{number:06}" for number in range(users)]
    with webhook() as (url, received), services(lambda: now[0], queue) as wired:
        told = wired.notifications(10**9)
        for name in names:
            save_preferences(told, name, {"digest": "off"}, {Channel.WEBHOOK: {"url": url}}, own_address=None)
        counted = Counted(wired.dynamodb)
        silent: list[float] = []
        telling: list[float] = []
        requests: dict[bool, int] = {}
        halted = False
        for round_ in range(2 * ROUNDS + 1):
            begins_or_ends = round_ % 2 == 1
            halted ^= begins_or_ends
            now[0] += 30
            counted.requests = 0
            took = timed(partial(tick_all, wired, names, now[0], halted=halted))
            requests[begins_or_ends] = counted.requests // users
            if round_ >= 1:  # the first one makes every account's item
                (telling if begins_or_ends else silent).append(took)
        entries = [entry for name in names for entry in incidents(wired, name)]
        collecting = timed(lambda: collect_all(told, entries))
        jobs = len(queue.jobs)
        delivering = timed(lambda: [deliver(told, job) for job in queue.jobs])
    ratio = statistics.median(telling) / statistics.median(silent)
    found = {
        "users": users,
        "tick_us_with_nothing_to_tell": round(tick_us(silent, users), 1),
        "tick_us_with_an_incident_for_everybody": round(tick_us(telling, users), 1),
        "ratio": round(ratio, 3),
        "added_percent_of_a_look": round((tick_us(telling, users) - tick_us(silent, users)) / float(LOOK_MS * 10), 1),
        "requests_with_nothing_to_tell": requests[False],
        "requests_with_an_incident": requests[True],
        "entries": len(entries),
        "collected_a_second": round(len(entries) / collecting),
        "messages": jobs,
        "received": received[0],
        "delivered_a_second": round(jobs / delivering),
    }
    print(json.dumps(found, indent=2))


def tick_us(rounds: list[float], users: int) -> float:
    """Microseconds of a user's run, in the middle one of ``rounds``."""
    return statistics.median(rounds) / users * 1e6


def tick_all(wired: bootstrap.Services, names: list[str], at: int, *, halted: bool) -> None:
    """One tick of every user."""
    for name in names:
        run_user(wired, name, at, halted=halted)


def incidents(wired: bootstrap.Services, name: str) -> list[Activity]:
    """What of one user's incidents is written: a beginning and an end each round."""
    page = wired.context.activity.page(name, limit=100)
    return [one for one in reversed(page.items) if one.subject == "trading_halted:"][:1]


def collect_all(told: Any, entries: list[Activity]) -> None:
    """What was written, handed over in batches as the stream does."""
    for first in range(0, len(entries), BATCH):
        collect(told, entries[first : first + BATCH])


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    typer.run(main)
