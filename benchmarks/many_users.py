"""Ten thousand users through dispatch, queue and workers on one machine, while workers are killed and users fail.

    .venv/bin/python -m benchmarks.many_users [--dynamodb URL]

The deployed handlers: dispatch fills a real queue; workers, each a process, take messages from it. In every second tick
one worker is killed in the middle of a message, which comes back; a hundred users fail at every tick, half of them have
no key and half a strategy that nobody can read; one message is poison. After each tick every enabled user must have had
it once: a decision, bounds within which it was quiet, or a claim whose worker was killed. Nobody may have had two runs.
"""

import multiprocessing
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Annotated, Any

import boto3
import typer
from botbalance import bootstrap
from botbalance.bootstrap import Services
from botbalance.exchange.profiles import DEFAULT_EXCHANGE
from botbalance.log import logger
from botbalance.settings import read_settings
from botbalance.store.accounts import account_key
from botbalance.store.dynamodb import read_batches
from botocore.exceptions import ClientError
from tick import dispatch, work

from benchmarks.tick import Bench, running
from workbench.local.clock import tick_at
from workbench.local.lambda_runtime import InvocationContext

VISIBLE_AGAIN_S = 15
FAILING = 100
_SPAWN = multiprocessing.get_context("spawn")


def worker(environment: dict[str, str], now: Any, busy: Any) -> None:
    """Take messages and have them worked on, as Lambda does, until the end; ``busy`` tells when one is under way."""
    logger.setLevel("ERROR")
    services = Services(read_settings(environment), clock=lambda: int(now.value))
    bootstrap.use(services)
    queue, url = services.sqs, services.settings.tick_queue_url
    context: Any = InvocationContext("work", 600_000)
    while True:
        for message in queue.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []):
            busy.value = 1
            record = {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:TickQueue",
                "awsRegion": "us-east-1",
            }
            if work.lambda_handler({"Records": [record]}, context) == {"batchItemFailures": []}:
                with suppress(ClientError):  # it came back meanwhile, and is another's now
                    queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            busy.value = 0


class Workers:
    """Some processes; a killed one is replaced."""

    def __init__(self, environment: dict[str, str], now: Any, number: int) -> None:
        self._environment, self._now = environment, now
        self._running = [self._start() for _ in range(number)]

    def _start(self) -> tuple[BaseProcess, Any]:
        busy = _SPAWN.Value("i", 0)
        process = _SPAWN.Process(target=worker, args=(self._environment, self._now, busy), daemon=True)
        process.start()
        return process, busy

    def kill_one(self) -> bool:
        """Kill a worker in the middle of a message; False where none is."""
        for place, (process, busy) in enumerate(self._running):
            if busy.value:
                process.kill()
                process.join()
                self._running[place] = self._start()
                return True
        return False

    def any_busy(self) -> bool:
        """Whether a message is under way; one that took long may have come back, and been done by another."""
        return any(busy.value for _, busy in self._running)

    def stop(self) -> None:
        """End them all at once."""
        for process, _ in self._running:
            process.kill()


def count_messages(queue: Any, url: str) -> int:
    """Messages that nobody has done yet."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(map(int, queue.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()))


def stored_items(services: Services, table: str, keys: Sequence[dict[str, Any]]) -> Iterator[Any]:
    """Those that are there."""
    yield from read_batches(services.dynamodb, table, list(keys))


def had(services: Services, users: Sequence[str], ts_tick: int) -> tuple[set[str], set[str], dict[str, int], set[str]]:
    """Who has a decision, and who may do without one, as the last run's bounds hold; the leases' numbers; and who has
    claimed the tick."""
    settings = services.settings
    decided = {
        item["user_id"]["S"]
        for item in stored_items(
            services,
            settings.decisions_table,
            [{"user_id": {"S": user}, "ts_tick": {"N": str(ts_tick)}} for user in users],
        )
    }
    runs = services.context.accounts.last_runs(users)
    quiet = {user for user, run in runs.items() if run.last_tick < ts_tick and run.note() is not None}
    leases = list(stored_items(services, settings.accounts_table, [account_key(user) for user in users]))
    numbers = {item["user_id"]["S"]: int(item["fencing_token"]["N"]) for item in leases}
    claimed = {item["user_id"]["S"] for item in leases if item.get("last_tick", {}).get("N") == str(ts_tick)}
    return decided, quiet, numbers, claimed


def main(
    users: Annotated[int, typer.Option(min=FAILING)] = 10_000,
    ticks: Annotated[int, typer.Option(min=1)] = 6,
    workers: Annotated[int, typer.Option(min=1)] = 2,
    dynamodb: Annotated[str | None, typer.Option(help="A DynamoDB engine, by URL; else the embedded one.")] = None,
) -> None:
    """Run, and stop where anybody was ticked twice or not at all."""
    logger.setLevel("CRITICAL")
    with running(users, dynamodb) as bench:
        bench.environment |= {"DISPATCH_CHUNK": "200", "WORK_THREADS": "32"}
        services = bench.services()
        keyless, unreadable = bench.users[:FAILING:2], bench.users[1:FAILING:2]
        for user in keyless:
            services.credentials.delete(user, DEFAULT_EXCHANGE)
        for user in unreadable:
            services.dynamodb.update_item(
                TableName=services.settings.strategies_table,
                Key={"user_id": {"S": user}},
                UpdateExpression="SET document = :nonsense",
                ExpressionAttributeValues={":nonsense": {"S": '{"schema_version": 99}'}},
            )
        expected = set(bench.users) - set(unreadable)
        queue = boto3.client("sqs", endpoint_url=services.settings.sqs_endpoint)
        url = services.settings.tick_queue_url
        queue.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(VISIBLE_AGAIN_S)})
        now = _SPAWN.Value("q", bench.now)
        pool = Workers(bench.environment, now, workers)
        try:
            before = had(services, bench.users, bench.now)[2]
            for number in range(ticks):
                before = _tick(bench, services, pool, now, number, expected, before, queue, url)
        finally:
            pool.stop()
            services.close()


def _tick(
    bench: Bench,
    services: Services,
    pool: Workers,
    now: Any,
    number: int,
    expected: set[str],
    before: dict[str, int],
    queue: Any,
    url: str,
) -> dict[str, int]:
    """One tick, and what must be true of it; returns the leases' numbers."""
    bench.go_on(**({"BTC": f"{43_250 - 700 * number}"} if number % 2 else {}))
    now.value = bench.now
    queue.send_message(QueueUrl=url, MessageBody="poison")
    bootstrap.use(services)
    started = time.perf_counter()
    context: Any = InvocationContext("dispatch", 60_000)
    sent = dispatch.lambda_handler({"tick_at": tick_at(bench.now)}, context)
    dispatched_s = time.perf_counter() - started
    to_be_killed = number % 2
    while count_messages(queue, url) > 1 or pool.any_busy():  # all but the poison
        if to_be_killed and random.random() < 0.3:
            to_be_killed -= pool.kill_one()
        time.sleep(0.05)
    took_s = time.perf_counter() - started
    queue.purge_queue(QueueUrl=url)
    decided, quiet, numbers, claimed = had(services, bench.users, bench.now)
    ticked = decided | quiet | claimed
    assert sent["users"] == len(bench.users), sent
    assert not expected - ticked, sorted(expected - ticked)[:5]
    assert not (decided & quiet), "ticked twice"
    twice = [user for user in numbers if numbers[user] - before.get(user, 0) > 1]
    assert not twice, twice[:5]
    lost = claimed - decided
    assert number % 2 or not lost, sorted(lost)[:5]
    print(
        f"tick {number + 1}: {len(ticked):,} users once each in {took_s:.1f} s (dispatch {dispatched_s:.1f} s): "
        f"{len(quiet):,} quiet, {len(decided):,} looked at, {len(lost)} whose worker was killed",
        flush=True,
    )
    return numbers


if __name__ == "__main__":
    typer.run(main)
