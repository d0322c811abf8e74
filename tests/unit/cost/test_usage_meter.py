"""DynamoDB's units, by its published rules: what a request takes is worked out by hand."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from workbench.aws.template import Template
from workbench.aws.usage_meter import UsageMeter, item_size

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "orders"
KEYS_ONLY, INCLUDE = "by_status", "by_version"
PROPERTIES: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "status", "shard")],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": KEYS_ONLY,
            "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        },
        {
            "IndexName": INCLUDE,
            "KeySchema": [{"AttributeName": "shard", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["version"]},
        },
    ],
}


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator["DynamoDBClient"]:
    with mock_aws(), closing(boto3.client("dynamodb", region_name="us-east-1")) as client:
        client.create_table(TableName=TABLE, **PROPERTIES)
        yield client


@pytest.fixture
def meter(dynamodb: "DynamoDBClient") -> UsageMeter:
    template = Template({"Resources": {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": PROPERTIES}}})
    unmetered = boto3.client("dynamodb", region_name="us-east-1")
    meter = UsageMeter(
        template, {"Table": TABLE}, lambda table, key: unmetered.get_item(TableName=table, Key=key).get("Item", {})
    )
    meter.watch(dynamodb)
    return meter


def item(of: str = "a", size: int = 0, **more: Any) -> dict[str, Any]:
    """Of so many bytes, where ``size`` is given: the rest is in ``x``."""
    base = {"id": {"S": of}} | more
    return base | {"x": {"S": "-" * (size - item_size(base) - 1)}} if size else base


def test_a_size_is_names_and_values() -> None:
    assert item_size({"id": {"S": "é"}}) == 2 + 2
    assert item_size({"n": {"N": "1234"}}) == 1 + 2 + 2
    assert item_size({"b": {"B": b"four"}}) == 1 + 4


def test_a_binary_value_is_as_large_where_it_comes_in_base64() -> None:
    assert item_size({"b": {"B": b64encode(b"four").decode()}}) == item_size({"b": {"B": b"four"}})


@pytest.mark.parametrize(("size", "units"), [(1024, 1), (1025, 2)])
def test_a_write_unit_is_a_started_kilobyte(
    dynamodb: "DynamoDBClient", meter: UsageMeter, size: int, units: int
) -> None:
    dynamodb.put_item(TableName=TABLE, Item=item(size=size))
    assert meter.write_units == units


def test_a_write_costs_the_larger_of_before_and_after(dynamodb: "DynamoDBClient", meter: UsageMeter) -> None:
    dynamodb.put_item(TableName=TABLE, Item=item(size=3000))
    meter.reset()
    dynamodb.put_item(TableName=TABLE, Item=item(size=10))
    assert meter.write_units == 3


def test_a_transaction_costs_twice(dynamodb: "DynamoDBClient", meter: UsageMeter) -> None:
    dynamodb.transact_write_items(
        TransactItems=[{"Put": {"TableName": TABLE, "Item": item(of, 1000)}} for of in ("a", "b")]
    )
    assert meter.write_units == 4


@pytest.mark.parametrize(
    ("after", "units"),
    [
        ({"shard": {"S": "1"}, "version": {"N": "1"}, "other": {"S": "x"}}, 1),  # not in the index
        ({"shard": {"S": "1"}, "version": {"N": "2"}}, 1 + 1),  # another entry in the same place
        ({"shard": {"S": "2"}, "version": {"N": "1"}}, 1 + 2),  # one goes, one comes
        ({}, 1 + 1),  # it goes
    ],
)
def test_an_index_costs_where_its_entry_changes(
    dynamodb: "DynamoDBClient", meter: UsageMeter, after: dict[str, Any], units: int
) -> None:
    dynamodb.put_item(TableName=TABLE, Item=item(shard={"S": "1"}, version={"N": "1"}))
    meter.reset()
    dynamodb.put_item(TableName=TABLE, Item=item(**after))
    assert meter.write_units == units


@pytest.mark.parametrize(("size", "consistent", "units"), [(4096, True, 1), (4097, True, 2), (4096, False, 0.5)])
def test_a_read_unit_is_four_kilobytes_read_consistently(
    dynamodb: "DynamoDBClient", meter: UsageMeter, size: int, *, consistent: bool, units: float
) -> None:
    dynamodb.put_item(TableName=TABLE, Item=item(size=size))
    dynamodb.get_item(TableName=TABLE, Key=item(), ConsistentRead=consistent)
    assert meter.read_units == units


def test_a_batch_costs_each_item_also_those_that_are_not_there(dynamodb: "DynamoDBClient", meter: UsageMeter) -> None:
    dynamodb.put_item(TableName=TABLE, Item=item())
    dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": [item(), item("b"), item("c")]}})
    assert meter.read_units == 1.5


def test_a_query_costs_its_answer_as_a_whole(dynamodb: "DynamoDBClient", meter: UsageMeter) -> None:
    for of in ("a", "b", "c"):
        dynamodb.put_item(TableName=TABLE, Item=item(of, shard={"S": "1"}))
    dynamodb.query(
        TableName=TABLE,
        IndexName=INCLUDE,
        KeyConditionExpression="shard = :one",
        ExpressionAttributeValues={":one": {"S": "1"}},
    )
    assert meter.read_units == 0.5
