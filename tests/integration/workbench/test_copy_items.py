"""A restored table's items come back into the one that is used: whose and which is asked for, and nothing else."""

import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from workbench.aws import copy_items

SCHEMA: Any = {
    "AttributeDefinitions": [
        {"AttributeName": "user_id", "AttributeType": "S"},
        {"AttributeName": "exchange", "AttributeType": "S"},
    ],
    "KeySchema": [
        {"AttributeName": "user_id", "KeyType": "HASH"},
        {"AttributeName": "exchange", "KeyType": "RANGE"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
THEN = {("ann", "binance"): "then", ("ann", "kraken"): "then", ("bob", "binance"): "then"}
NOW = {("ann", "binance"): "now", ("eve", "binance"): "now"}


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("dynamodb")
        for table, items in (("restored", THEN), ("used", NOW)):
            client.create_table(TableName=table, **SCHEMA)
            for (user, exchange), value in items.items():
                client.put_item(
                    TableName=table, Item={"user_id": {"S": user}, "exchange": {"S": exchange}, "value": {"S": value}}
                )
        yield client


def used(client: Any) -> dict[tuple[str, str], str]:
    items = client.scan(TableName="used")["Items"]
    return {(item["user_id"]["S"], item["exchange"]["S"]): item["value"]["S"] for item in items}


@pytest.mark.parametrize(
    ("options", "brought", "said"),
    [
        ([], THEN, "3 items copied\n"),
        (["--user", "ann"], {key: "then" for key in THEN if key[0] == "ann"}, "2 items copied\n"),
        (["--user", "bob"], {("bob", "binance"): "then"}, "1 item copied\n"),
        (["--missing"], {key: "then" for key in THEN if key not in NOW}, "2 items copied\n"),
    ],
)
def test_what_is_asked_for_comes_back(
    tables: Any,
    options: list[str],
    brought: dict[tuple[str, str], str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["copy_items", "restored", "used", *options])
    copy_items.main()
    assert used(tables) == NOW | brought
    assert capsys.readouterr().out == said


@pytest.mark.usefixtures("tables")
def test_a_table_that_does_not_exist_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["copy_items", "nowhere", "used"])
    with pytest.raises(SystemExit) as ended:
        copy_items.main()
    assert ended.value.code == 1
    assert "not found" in capsys.readouterr().err
