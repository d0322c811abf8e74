"""A worker that ends at a boundary: what it did before is done, and afterwards it does nothing any more."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from botocore.exceptions import ConnectTimeoutError
from moto import mock_aws

from tests.integration.faults.conftest import Exchange
from workbench.faults.aws import AwsFaults, no_backoff
from workbench.faults.crash_points import CrashPoints, WatchedPool
from workbench.faults.injector import Injector
from workbench.faults.kinds import FaultKind, Where

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "things"
NOBODY: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
}


class Dead(BaseException):
    """This worker is gone."""


class Worker:
    """A client whose worker ends at the boundary named ``ends_at``."""

    def __init__(self, ends_at: str = "") -> None:
        self.boundaries: list[str] = []
        self.ends_at = ends_at
        self.injector = Injector(lambda: 0)
        self.crash_points = CrashPoints(self.on_boundary)
        self.dynamodb: DynamoDBClient = boto3.client("dynamodb", **NOBODY)
        AwsFaults(self.injector, self.crash_points).watch(self.dynamodb)

    def on_boundary(self, name: str) -> None:
        self.boundaries.append(name)
        if name == self.ends_at:
            raise Dead(name)

    def put(self, key: str) -> None:
        self.dynamodb.put_item(TableName=TABLE, Item={"key": {"S": key}})

    def close(self) -> None:
        self.dynamodb.close()


@pytest.fixture
def honest() -> Iterator["DynamoDBClient"]:
    with mock_aws(), no_backoff(), closing(boto3.client("dynamodb", **NOBODY)) as client:
        make_table(client)
        yield client


def make_table(client: "DynamoDBClient") -> None:
    client.create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def stored(client: "DynamoDBClient") -> list[str]:
    return sorted(item["key"]["S"] for item in client.scan(TableName=TABLE)["Items"])


def test_every_attempt_of_every_request_has_its_boundaries(honest: "DynamoDBClient") -> None:
    with closing(Worker()) as worker:
        worker.injector.script(FaultKind.DB_TIMEOUT, Where.DATABASE_WRITE)
        worker.put("a")
        worker.dynamodb.describe_table(TableName=TABLE)
    before, after = "before dynamodb.PutItem", "after dynamodb.PutItem"
    assert worker.boundaries == [
        *(before, after, before, after),
        *("before dynamodb.DescribeTable", "after dynamodb.DescribeTable"),
    ]
    assert stored(honest) == ["a"]


def put_and_give_back(worker: Worker) -> None:
    try:
        worker.put("b")
    finally:
        worker.put("given back")


@pytest.mark.parametrize(("side", "done"), [("before", ["a"]), ("after", ["a", "b"])])
def test_the_dead_write_nothing_any_more(honest: "DynamoDBClient", side: str, done: list[str]) -> None:
    with closing(Worker()) as worker:
        worker.put("a")
        worker.ends_at = f"{side} dynamodb.PutItem"
        with pytest.raises(Dead) as first:
            put_and_give_back(worker)
        assert first.value.__context__ is None  # giving back has raised the very same
        worker.ends_at = ""
        with pytest.raises(Dead) as third:
            worker.dynamodb.scan(TableName=TABLE)
        assert third.value is first.value
    assert stored(honest) == done
    assert worker.boundaries[-1] == f"{side} dynamodb.PutItem"


def test_an_exception_of_any_kind_ends_it(honest: "DynamoDBClient") -> None:
    crash_points = CrashPoints(lambda _: (_ for _ in ()).throw(ConnectTimeoutError(endpoint_url="")))
    for _ in range(2):
        with pytest.raises(ConnectTimeoutError):
            crash_points.boundary("before anything")


@pytest.mark.parametrize(("side", "received"), [("before", 1), ("after", 2)])
def test_the_dead_ask_no_exchange_either(
    exchange: Exchange, honest: "DynamoDBClient", side: str, received: int
) -> None:
    url = f"{exchange.url}/api/v3/ticker/24hr"
    with closing(Worker()) as worker:
        pool = WatchedPool(worker.crash_points, 1)
        assert pool.request("GET", url, timeout=5).status_code == 200
        assert worker.boundaries == ["before GET /api/v3/ticker/24hr", "after GET /api/v3/ticker/24hr"]
        worker.ends_at = f"{side} GET /api/v3/ticker/24hr"
        with pytest.raises(Dead):
            pool.request("GET", url, timeout=5)
        with pytest.raises(Dead):
            pool.request("GET", f"{exchange.url}/api/v3/time", timeout=5)
        with pytest.raises(Dead):
            worker.put("a")
    assert len(exchange.observed) == received
    assert stored(honest) == []


def test_a_boundary_is_also_where_a_request_fails(exchange: Exchange, honest: "DynamoDBClient") -> None:
    exchange.injector.script(FaultKind.NOT_RECEIVED, Where.QUOTES)
    with closing(Worker()) as worker, pytest.raises(requests.ConnectionError):
        WatchedPool(worker.crash_points, 1).request("GET", f"{exchange.url}/api/v3/ticker/24hr", timeout=5)
    assert [name.split()[0] for name in worker.boundaries] == ["before", "after"]


KILLED = """
import os, signal, sys, boto3
from workbench.faults.aws import AwsFaults
from workbench.faults.injector import Injector
from workbench.faults.crash_points import CrashPoints

url, side = sys.argv[1:]
client = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1", aws_access_key_id="local",
                      aws_secret_access_key="local")
end = lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == f"{side} dynamodb.PutItem" else None
AwsFaults(Injector(lambda: 0), CrashPoints(end)).watch(client)
try:
    client.put_item(TableName="things", Item={"key": {"S": side}})
finally:
    print("still here")
"""


@pytest.mark.parametrize(("side", "done"), [("before", []), ("after", ["after"])])
def test_a_process_that_is_killed_at_a_boundary(ministack: str, side: str, done: list[str]) -> None:
    with closing(boto3.client("dynamodb", endpoint_url=ministack, **NOBODY)) as client:
        make_table(client)
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, ministack, side], capture_output=True, check=False, timeout=60
        )
        assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b""), ended.stderr
        assert stored(client) == done
        client.delete_table(TableName=TABLE)
