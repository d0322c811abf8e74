"""What DynamoDB and KMS did, and what boto3's own client made of it: on an engine in this process and on another."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import botocore.endpoint
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from moto import mock_aws

from workbench.faults.aws import AwsFaults, no_backoff
from workbench.faults.injector import Hit, Injector
from workbench.faults.kinds import KINDS, FaultKind, Where

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef
    from mypy_boto3_kms import KMSClient

NOBODY: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
}
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
START = 1_700_000_010
K = FaultKind
AWS_KINDS = [K.THROTTLED, K.UNPROCESSED, K.TRANSACTION_CONFLICT, K.DB_TIMEOUT, K.DB_TIMEOUT_APPLIED, K.KMS_FAILED]


@pytest.fixture(scope="module", params=["moto", "ministack"])
def engine(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The engine's URL, None for the one inside this process."""
    if request.param == "ministack":
        yield request.getfixturevalue("ministack")
    else:
        with mock_aws():
            yield None


class TradingHarness:
    """Clients that can be made to fail, a table, and an honest client to look at it."""

    def __init__(self, engine: str | None, injector: Injector) -> None:
        self.now = START
        self.injector = injector
        self.table = f"table-{uuid4()}"
        make: Any = lambda service: boto3.client(service, endpoint_url=engine, config=CONFIG, **NOBODY)  # noqa: E731
        self.dynamodb: DynamoDBClient = make("dynamodb")
        self.honest: DynamoDBClient = make("dynamodb")
        self.kms: KMSClient = make("kms")
        self.faults = AwsFaults(injector)
        self.honest.create_table(
            TableName=self.table,
            AttributeDefinitions=[
                {"AttributeName": "user_id", "AttributeType": "S"},
                {"AttributeName": "n", "AttributeType": "N"},
            ],
            KeySchema=[{"AttributeName": "user_id", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.key_id = self.kms.create_key()["KeyMetadata"]["KeyId"]
        self.faults.watch(self.dynamodb)
        self.faults.watch(self.kms)

    def put(self, user: str = "ann", n: int = 1) -> None:
        """Write an item where there is none."""
        self.dynamodb.put_item(
            TableName=self.table, Item=item(user, n), ConditionExpression="attribute_not_exists(user_id)"
        )

    def transact(self, user: str = "ann", n: int = 1) -> None:
        check: TransactWriteItemTypeDef = {
            "ConditionCheck": {
                "TableName": self.table,
                "Key": item(user, 0),
                "ConditionExpression": "attribute_not_exists(user_id)",
            }
        }
        self.dynamodb.transact_write_items(
            TransactItems=[check, {"Put": {"TableName": self.table, "Item": item(user, n)}}]
        )

    def stored(self) -> list[tuple[str, int]]:
        """Whose items are there."""
        found = self.honest.scan(TableName=self.table, ConsistentRead=True)["Items"]
        return sorted((entry["user_id"]["S"], int(entry["n"]["N"])) for entry in found)

    def close(self) -> None:
        self.honest.delete_table(TableName=self.table)
        for client in (self.dynamodb, self.honest, self.kms):
            client.close()


def item(user: str, n: int) -> dict[str, Any]:
    return {"user_id": {"S": user}, "n": {"N": str(n)}}


@pytest.fixture
def harness(engine: str | None) -> Iterator[TradingHarness]:
    with no_backoff(), closing(TradingHarness(engine, Injector(lambda: START))) as harness:
        yield harness


def failure(request: Callable[[], object]) -> str:
    """The code or the class of what ``request`` raises; empty where it raises nothing."""
    try:
        request()
    except ClientError as error:
        return error.response["Error"]["Code"]
    except ReadTimeoutError as error:
        return type(error).__name__
    return ""


THERE = [("ann", 1)]


@pytest.mark.parametrize(
    ("kind", "attempts", "seen", "stored"),
    [
        (K.THROTTLED, 1, "", THERE),
        (K.THROTTLED, 2, "", THERE),
        (K.THROTTLED, 3, "ProvisionedThroughputExceededException", []),
        (K.DB_TIMEOUT, 1, "", THERE),
        (K.DB_TIMEOUT, 3, "ReadTimeoutError", []),
        (K.DB_TIMEOUT_APPLIED, 1, "ConditionalCheckFailedException", THERE),
        (K.DB_TIMEOUT_APPLIED, 3, "ReadTimeoutError", THERE),
    ],
)
def test_a_conditional_write_struck(
    harness: TradingHarness, kind: FaultKind, attempts: int, seen: str, stored: list[Any]
) -> None:
    harness.injector.script(kind, Where.DATABASE_WRITE, of="ann", about=harness.table, attempts=attempts)
    assert failure(harness.put) == seen
    assert harness.stored() == stored
    assert harness.injector.counts() == {kind: 1}
    (hit,) = harness.injector.hits()
    assert (hit.subject, hit.path, hit.at, hit.fault.attempts) == ("ann", "dynamodb.PutItem", START, attempts)
    assert failure(lambda: harness.put("ann", 2)) == ""


@pytest.mark.parametrize(
    ("kind", "attempts", "seen", "stored"),
    [
        (K.THROTTLED, 3, "ProvisionedThroughputExceededException", []),
        (K.TRANSACTION_CONFLICT, 1, "TransactionCanceledException", []),
        (K.DB_TIMEOUT, 3, "ReadTimeoutError", []),
        (K.DB_TIMEOUT_APPLIED, 3, "ReadTimeoutError", THERE),
    ],
)
def test_a_transaction_struck(
    harness: TradingHarness, kind: FaultKind, attempts: int, seen: str, stored: list[Any]
) -> None:
    harness.injector.script(kind, Where.TRANSACTION, of="ann", attempts=attempts)
    assert failure(harness.transact) == seen
    assert harness.stored() == stored


def test_a_cancelled_transaction_says_which_part_was_in_the_way(harness: TradingHarness) -> None:
    harness.injector.script(K.TRANSACTION_CONFLICT, Where.TRANSACTION)
    with pytest.raises(harness.dynamodb.exceptions.TransactionCanceledException) as raised:
        harness.transact()
    reasons = raised.value.response["CancellationReasons"]
    assert [reason.get("Code") for reason in reasons] == ["TransactionConflict", "None"]


@pytest.mark.parametrize("variant", KINDS[K.THROTTLED].variants)
def test_throttling_comes_under_both_its_names(harness: TradingHarness, variant: str) -> None:
    harness.injector.script(K.THROTTLED, Where.DATABASE_READ, variant=variant, attempts=3)
    assert failure(lambda: harness.dynamodb.get_item(TableName=harness.table, Key=item("ann", 1))) == variant


def test_a_batch_that_is_not_processed(harness: TradingHarness) -> None:
    harness.injector.script(K.UNPROCESSED, Where.BATCH_WRITE)
    writes: Any = {harness.table: [{"PutRequest": {"Item": {**item("ann", 1), "blob": {"B": b"\0\1"}}}}]}
    answer = harness.dynamodb.batch_write_item(RequestItems=writes)
    assert answer["UnprocessedItems"] == writes
    assert harness.stored() == []
    assert harness.dynamodb.batch_write_item(RequestItems=writes)["UnprocessedItems"] == {}
    harness.injector.script(K.UNPROCESSED, Where.BATCH_READ)
    reads: Any = {harness.table: {"Keys": [item("ann", 1)]}}
    unread = harness.dynamodb.batch_get_item(RequestItems=reads)
    assert (unread["Responses"], unread["UnprocessedKeys"]) == ({}, reads)
    assert len(harness.dynamodb.batch_get_item(RequestItems=reads)["Responses"][harness.table]) == 1


@pytest.mark.parametrize(
    ("variant", "attempts", "seen"),
    [
        ("KMSInternalException", 1, ""),
        ("KMSInternalException", 3, "KMSInternalException"),
        ("ThrottlingException", 3, "ThrottlingException"),
    ],
)
def test_kms_does_not_decrypt(harness: TradingHarness, variant: str, attempts: int, seen: str) -> None:
    context = {"shard": "7"}
    secret = harness.kms.encrypt(KeyId=harness.key_id, Plaintext=b"secret", EncryptionContext=context)["CiphertextBlob"]
    harness.injector.script(K.KMS_FAILED, Where.DECRYPTION, of="shard#7", variant=variant, attempts=attempts)
    assert failure(lambda: harness.kms.decrypt(CiphertextBlob=secret, EncryptionContext=context)) == seen
    assert [(hit.subject, hit.path) for hit in harness.injector.hits()] == [("shard#7", "kms.Decrypt")]


def test_whom_a_request_is_about(harness: TradingHarness) -> None:
    key, values = item("ann", 1), {":user": {"S": "ann"}}
    name, client = harness.table, harness.dynamodb
    requests: dict[Where, list[Callable[[], object]]] = {
        Where.DATABASE_READ: [
            lambda: client.get_item(TableName=name, Key=key),
            lambda: client.query(
                TableName=name, KeyConditionExpression="user_id = :user", ExpressionAttributeValues=values
            ),
            lambda: client.query(
                TableName=name,
                KeyConditionExpression="n = :n AND user_id = :user",
                ExpressionAttributeValues=values | {":n": {"N": "1"}},
            ),
        ],
        Where.DATABASE_WRITE: [
            lambda: client.put_item(TableName=name, Item=key),
            lambda: client.update_item(TableName=name, Key=key, UpdateExpression="REMOVE a"),
            lambda: client.delete_item(TableName=name, Key=key),
        ],
        Where.TRANSACTION: [harness.transact],
        Where.BATCH_WRITE: [
            lambda: client.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": key}}]}),
            lambda: client.batch_write_item(RequestItems={name: [{"DeleteRequest": {"Key": key}}]}),
        ],
        Where.BATCH_READ: [lambda: client.batch_get_item(RequestItems={name: {"Keys": [key]}})],
    }
    for where, every in requests.items():
        for request in every:
            harness.injector.script(K.DB_TIMEOUT, where, of="ben", about=name)
            harness.injector.script(K.DB_TIMEOUT, where, of="ann", about="another table")
            before = len(harness.injector.unplayed())
            assert failure(request) == ""
            assert len(harness.injector.unplayed()) == before
            harness.injector.script(K.DB_TIMEOUT, where, of="ann", about=name, attempts=3)
            assert failure(request) == "ReadTimeoutError"


def test_what_several_share_is_nobodys_own(harness: TradingHarness) -> None:
    harness.injector.script(K.DB_TIMEOUT, Where.BATCH_READ)
    harness.dynamodb.batch_get_item(RequestItems={harness.table: {"Keys": [item("ann", 1), item("ben", 1)]}})
    assert [hit.subject for hit in harness.injector.hits()] == [None]


def test_what_is_not_in_the_table_of_faults_is_let_alone(harness: TradingHarness) -> None:
    harness.injector.script(K.DB_TIMEOUT, Where.DATABASE_READ)
    assert harness.dynamodb.describe_table(TableName=harness.table)["Table"]["TableName"] == harness.table
    assert harness.injector.unplayed() == [K.DB_TIMEOUT]


def test_no_backoff_ends_with_its_block() -> None:
    with no_backoff():
        assert vars(botocore.endpoint)["time"].sleep(3_600) is None
    assert vars(botocore.endpoint)["time"] is time


# at random

USERS = [f"user-{number}" for number in range(6)]


def work(harness: TradingHarness, user: str, tick: int) -> list[str]:
    """What a user's requests of one tick came to."""
    table, key = harness.table, item(user, tick)
    context = {"user_id": user}
    secret = harness.kms.encrypt(KeyId=harness.key_id, Plaintext=b"s", EncryptionContext=context)["CiphertextBlob"]
    return [
        failure(lambda: harness.dynamodb.get_item(TableName=table, Key=key)),
        failure(lambda: harness.put(user, tick)),
        failure(lambda: harness.transact(user, -tick)),
        failure(lambda: harness.dynamodb.delete_item(TableName=table, Key=key)),
        failure(lambda: harness.dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": key}}]})),
        failure(lambda: harness.kms.decrypt(CiphertextBlob=secret, EncryptionContext=context)),
    ]


def at_random(engine: str | None, seed: int, order: Callable[[Callable[[str], None]], object]) -> tuple[Any, ...]:
    """Ten ticks of every user: what they met, what they saw, and what is stored in the end."""
    now = [START]
    injector = Injector(lambda: now[0], seed=seed, kinds=AWS_KINDS, rate=0.1)
    with no_backoff(), closing(TradingHarness(engine, injector)) as harness:
        seen: dict[str, list[str]] = {user: [] for user in USERS}
        for tick in range(1, 11):
            now[0] += 30
            order(lambda user, tick=tick: seen[user].extend(work(harness, user, tick)))  # type: ignore[misc]
        met: dict[str | None, list[Hit]] = {user: [] for user in USERS}
        for hit in injector.hits():
            met[hit.subject].append(hit)
        assert injector.counts() == Counter(hit.fault.kind for hits in met.values() for hit in hits)
        return met, seen, harness.stored()


def in_threads(tick: Callable[[str], None]) -> None:
    with ThreadPoolExecutor(len(USERS)) as pool:
        list(pool.map(tick, USERS))


def backwards(tick: Callable[[str], None]) -> None:
    for user in reversed(USERS):
        tick(user)


def test_what_happens_to_a_user_does_not_depend_on_the_others(ministack: str) -> None:
    first, again, other_way = (at_random(ministack, 1, order) for order in (in_threads, in_threads, backwards))
    assert first == again == other_way
    assert first != at_random(ministack, 2, in_threads)


def test_some_faults_are_absorbed_and_some_are_not(ministack: str) -> None:
    met, seen, _ = at_random(ministack, 3, in_threads)
    failed = Counter(code for codes in seen.values() for code in codes)
    lasting = [hit for hits in met.values() for hit in hits if hit.fault.attempts == 3]
    assert 0 < len(lasting) < sum(map(len, met.values()))
    assert {"", "ReadTimeoutError", "ConditionalCheckFailedException"} <= failed.keys()


@pytest.mark.parametrize("kind", AWS_KINDS)
def test_every_kind_strikes_at_random(ministack: str, kind: FaultKind) -> None:
    injector = Injector(lambda: START + Random(kind).randint(0, 1_000), seed=5, kinds=[kind], rate=0.5)
    with no_backoff(), closing(TradingHarness(ministack, injector)) as harness:
        for tick in range(1, 11):
            work(harness, "ann", tick)
    assert set(injector.counts()) == {kind}
