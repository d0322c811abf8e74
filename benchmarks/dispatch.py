"""How long dispatch takes to find everybody on autopilot and to put them into the queue.

    .venv/bin/python -m benchmarks.dispatch --dynamodb "$(../shared/tools/dynamodb-local start 8001)"

The deployed handler on a table of 100,000 users (``--users``) in that DynamoDB, or in MiniStack without ``--dynamodb``;
the queue is MiniStack's. Beside it, in the same run, the way that asks one shard after the other, sends one request
after the other and leaves all parsing to botocore. Each run is a process of its own, and is followed by a look into the
queue: every user must be there once. "CPU" is that process's alone; "memory" is the most it held, less what it held
before.

On loopback an answer comes at once, which no service in a cloud does, so each is measured again with every request held
up for ``--latency-ms`` first. Those figures are of a simulated network.
"""

import argparse
import json
import os
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import batched
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID, uuid4

from botbalance import bootstrap
from botbalance.bootstrap import Services
from botbalance.log import logger
from botbalance.settings import read_settings
from botbalance.store.dynamodb import SHARDS, read_pages, shard_name
from botbalance.store.message_queue import MESSAGES_PER_REQUEST, send_messages
from botbalance.store.strategies import AUTOPILOT_INDEX
from rich.console import Console
from rich.table import Table
from tick.dispatch import lambda_handler

from workbench.aws.resources import CREDENTIALS, EmbeddedAws
from workbench.aws.template import read_template
from workbench.local.lambda_runtime import InvocationContext

TICK = {"tick_at": "2026-01-31T12:00:30Z"}
TS_TICK = 1_769_860_830
SEQUENTIAL = "one after the other"


@dataclass
class Run:
    """What one dispatch took; ``memory_mb`` beyond what the process held before."""

    seconds: float
    cpu: float
    memory_mb: float
    users: int
    messages: int
    requests: Mapping[str, int]
    rcu: float


@dataclass
class Counted:
    """Requests by operation, as they are sent, and the read capacity that DynamoDB says they took."""

    latency: float
    requests: Counter[str] = field(default_factory=Counter)
    rcu: float = 0
    _lock: Lock = field(default_factory=Lock)

    def watch(self, services: Services) -> None:
        """Count what these services send, and hold each request up."""
        services.sqs.meta.events.register("before-send.sqs", self._send)
        events = services.dynamodb.meta.events
        events.register("before-send.dynamodb", self._send)
        events.register("before-parameter-build.dynamodb.Query", self._ask_for_capacity)
        events.register("after-call.dynamodb.Query", self._add_capacity)

    def _send(self, event_name: str, **_: Any) -> None:
        with self._lock:
            self.requests[event_name.rpartition(".")[2]] += 1
        time.sleep(self.latency)

    def _ask_for_capacity(self, params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def _add_capacity(self, parsed: Mapping[str, Any], **_: Any) -> None:
        with self._lock:
            self.rcu += parsed.get("ConsumedCapacity", {}).get("CapacityUnits", 0)


def one_after_the_other(services: Services) -> dict[str, int]:
    """What the handler does, without threads and without a hook into botocore."""
    users = messages = 0
    for chunks in batched(
        batched(_everybody(services), services.settings.dispatch_chunk, strict=False),
        MESSAGES_PER_REQUEST,
        strict=False,
    ):
        bodies = [json.dumps({"ts_tick": TS_TICK, "users": dict(enabled)}) for enabled in chunks]
        assert not send_messages(services.sqs, services.settings.tick_queue_url, bodies)
        users += sum(map(len, chunks))
        messages += len(chunks)
    return {"users": users, "messages": messages}


def _everybody(services: Services) -> Iterator[tuple[str, int]]:
    for shard in range(SHARDS):
        for item in read_pages(
            services.dynamodb.query,
            TableName=services.settings.strategies_table,
            IndexName=AUTOPILOT_INDEX,
            KeyConditionExpression="autopilot_shard = :shard",
            ExpressionAttributeValues={":shard": {"S": str(shard)}},
            ProjectionExpression="user_id, version",
        ):
            yield item["user_id"]["S"], int(item["version"]["N"])


def run(environment: Mapping[str, str], way: str, latency: float) -> Run:
    """One dispatch in this process, its clients made and its connections open."""
    os.environ |= CREDENTIALS
    logger.setLevel("CRITICAL")
    with closing(Services(read_settings(environment))) as services:
        bootstrap.use(services)
        services.sqs.get_queue_attributes(QueueUrl=services.settings.tick_queue_url)
        services.context.operator.halt_reason()
        counted = Counted(latency)
        counted.watch(services)
        context: Any = InvocationContext("dispatch")
        before = _resident_mb()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here
        began, cpu = time.perf_counter(), time.process_time()
        answer = one_after_the_other(services) if way == SEQUENTIAL else lambda_handler(TICK, context)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        return Run(
            seconds,
            cpu,
            _peak_mb() - before,
            answer["users"],
            answer["messages"],
            counted.requests,
            counted.rcu,
        )


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 1e6


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024 / 1e6


def fill(services: Services, users: int) -> None:
    """Put ``users`` on autopilot: what the index sees of an item, and no document."""
    table = services.settings.strategies_table

    def put(numbers: tuple[int, ...]) -> None:
        ids = [str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for number in numbers]
        wanted: Any = {
            table: [
                {
                    "PutRequest": {
                        "Item": {
                            "user_id": {"S": user},
                            "autopilot_shard": {"S": shard_name(user)},
                            "version": {"N": "1"},
                        }
                    }
                }
                for user in ids
            ]
        }
        while wanted:
            wanted = services.dynamodb.batch_write_item(RequestItems=wanted).get("UnprocessedItems")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, batched(range(1, users + 1), 25, strict=False)))


def require_everybody_once(services: Services, users: int) -> None:
    """Empty the queue, and end where somebody was missing in it or there twice."""
    found: Counter[str] = Counter()
    sqs, queue = services.sqs, services.settings.tick_queue_url
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            found.update(json.loads(message["Body"])["users"].keys())
        sqs.delete_message_batch(
            QueueUrl=queue,
            Entries=[
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(messages)
            ],
        )
    if len(found) != users or found.total() != users:
        raise SystemExit(f"{found.total()} users of {users} were in the queue, {len(found)} different ones")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dynamodb", help="another DynamoDB's URL; MiniStack's otherwise")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=8, help="DISPATCH_THREADS")
    parser.add_argument("--chunks", type=int, nargs="+", default=[20, 200], help="DISPATCH_CHUNK, each is measured")
    parser.add_argument("--latency-ms", type=float, default=10)
    options = parser.parse_args()
    console = Console(width=120)
    os.environ |= CREDENTIALS
    aws = EmbeddedAws(read_template(), run=f"bench-{uuid4().hex[:8]}", dynamodb=options.dynamodb)
    try:
        environment = aws.start()
        with closing(Services(read_settings(environment))) as services:
            began = time.perf_counter()
            fill(services, options.users)
            console.print(f"{options.users:,} users on autopilot, written in {time.perf_counter() - began:.0f} s.")
            ways = {f"{options.threads} threads": options.threads, "1 thread": 1, SEQUENTIAL: 1}
            for latency in (0.0, options.latency_ms):
                for chunk in options.chunks:
                    runs = {}
                    for way, threads in ways.items():
                        settings = {"DISPATCH_CHUNK": str(chunk), "DISPATCH_THREADS": str(threads)}
                        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                            runs[way] = process.submit(run, {**environment, **settings}, way, latency / 1000).result()
                        require_everybody_once(services, options.users)
                    console.print(make_table(f"chunks of {chunk}, {latency:g} ms added to each request", runs))
    finally:
        aws.stop()


def make_table(title: str, runs: Mapping[str, Run]) -> Table:
    """The runs side by side, each as a multiple of the sequential one's speed."""
    table = Table(title=title, title_justify="left")
    for column in ("", "s", "users/s", "speed", "CPU s", "memory MB", "DynamoDB", "SQS", "RCU"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    slowest = runs[SEQUENTIAL].seconds
    for way, one in runs.items():
        table.add_row(
            way,
            f"{one.seconds:.2f}",
            f"{one.users / one.seconds:,.0f}",
            f"{slowest / one.seconds:.1f}×",
            f"{one.cpu:.2f}",
            f"{one.memory_mb:.0f}",
            str(one.requests["Query"]),
            str(one.requests["SendMessageBatch"]),
            f"{one.rcu:,.0f}",
        )
    return table


if __name__ == "__main__":
    main()
