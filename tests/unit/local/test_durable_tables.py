"""State that outlives the process: what was answered is there, whole, whenever the process ended."""

import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from botbalance.errors import InvalidRequestError
from botocore.exceptions import ClientError

from workbench.aws.template import read_template
from workbench.local.durable_tables import FILE, durable_tables

ORDERS, CACHE = "OrdersTable", "CacheTable"


def key(number: int) -> dict[str, Any]:
    return {"user_id": {"S": "alice"}, "client_order_id": {"S": f"{number:020}"}}


def item(number: int, text: str) -> dict[str, Any]:
    return key(number) | {"placed": {"S": f"{number:011}#0000"}, "document": {"B": text.encode()}}


def everything(folder: Path) -> dict[str, dict[Any, Any]]:
    with durable_tables(read_template(), folder, 0) as client:
        return {name: dict(table.items) for name, table in client.database.tables.items()}


def test_what_was_written_is_there_after_the_end_indexes_included(tmp_path: Path) -> None:
    with durable_tables(read_template(), tmp_path, 0) as client:
        for number in range(5):
            client.put_item(TableName=ORDERS, Item=item(number, "first"))
        client.delete_item(TableName=ORDERS, Key=key(3))
        parts: list[Any] = [
            {"Put": {"TableName": ORDERS, "Item": item(1, "second")}},
            {"Put": {"TableName": "DecisionsTable", "Item": {"user_id": {"S": "alice"}, "ts_tick": {"N": "30"}}}},
        ]
        client.transact_write_items(TransactItems=parts)
    with durable_tables(read_template(), tmp_path, 0) as client:
        found = client.query(
            TableName=ORDERS,
            IndexName="placed",
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": "alice"}},
        )["Items"]
        texts = ["first", "second", "first", "first"]
        assert found == [item(number, text) for number, text in zip((0, 1, 2, 4), texts, strict=True)]
        decision = client.get_item(TableName="DecisionsTable", Key={"user_id": {"S": "alice"}, "ts_tick": {"N": "30"}})
        assert "Item" in decision


def test_a_write_whose_condition_fails_or_that_the_file_does_not_take_changes_nothing(tmp_path: Path) -> None:
    with durable_tables(read_template(), tmp_path, 0) as client:
        client.put_item(TableName=ORDERS, Item=item(1, "first"))
        parts: list[Any] = [
            {"Put": {"TableName": ORDERS, "Item": item(2, "new")}},
            {
                "Put": {
                    "TableName": ORDERS,
                    "Item": item(1, "second"),
                    "ConditionExpression": "attribute_not_exists(user_id)",
                }
            },
        ]
        with pytest.raises(ClientError):
            client.transact_write_items(TransactItems=parts)
        before = dict(client.database.tables[ORDERS].items)
    assert everything(tmp_path)[ORDERS] == before
    with durable_tables(read_template(), tmp_path, 0) as client:
        pass
    with pytest.raises(ClientError, match="closed"):
        client.put_item(TableName=ORDERS, Item=item(2, "lost"))
    assert client.database.tables[ORDERS].items == before


def test_a_file_that_was_cut_off_anywhere_holds_whole_writes_up_to_some_moment(tmp_path: Path) -> None:
    """As a power cut may leave it: the log is shorter than what was written to it."""
    states: list[Any] = []
    with durable_tables(read_template(), tmp_path / "live", 0) as client:
        for number in range(12):
            pair: list[Any] = [
                {"Put": {"TableName": ORDERS, "Item": item(number, "a")}},
                {"Put": {"TableName": ORDERS, "Item": item(number + 100, "b")}},
            ]
            client.transact_write_items(TransactItems=pair)
            states.append(dict(client.database.tables[ORDERS].items))
        shutil.copytree(tmp_path / "live", tmp_path / "copy")
    log = tmp_path / "copy" / f"{FILE}-wal"
    whole = log.read_bytes()
    random = Random(3)
    seen = set()
    for cut in [*sorted(random.sample(range(len(whole)), 8)), len(whole)]:
        shutil.copytree(tmp_path / "copy", tmp_path / f"cut-{cut}")
        (tmp_path / f"cut-{cut}" / f"{FILE}-wal").write_bytes(whole[:cut])
        found = everything(tmp_path / f"cut-{cut}")[ORDERS]
        assert found in [{}, *states], cut
        seen.add(len(found))
    assert max(seen) == 24  # what was answered last is there where nothing was cut
    assert len(seen) > 3


def test_one_folder_is_for_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        durable_tables(read_template(), tmp_path, 0),
        pytest.raises(InvalidRequestError, match="another run uses it"),
        durable_tables(read_template(), tmp_path, 0),
    ):
        pytest.fail("two at a time")
    assert everything(tmp_path)[ORDERS] == {}


@pytest.mark.parametrize("content", [b"no database", None])
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    folder = tmp_path / "data"
    if content is None:
        folder.write_text("a file")
    else:
        folder.mkdir()
        (folder / FILE).write_bytes(content * 100)
    with (
        pytest.raises(InvalidRequestError, match=f"--data is {folder}"),
        durable_tables(read_template(), folder, 0),
    ):
        pytest.fail("it was used")


def test_what_has_expired_and_what_is_nobody_s_only_copy_is_not_kept(tmp_path: Path) -> None:
    old = {"user_id": {"S": "alice"}, "ts_tick": {"N": "30"}, "expires_at": {"N": "100"}}
    with durable_tables(read_template(), tmp_path, 0) as client:
        client.put_item(TableName="DecisionsTable", Item=old)
        client.put_item(TableName=CACHE, Item={"key": {"S": "quote"}, "expires_at": {"N": "100"}})
    assert everything(tmp_path)["DecisionsTable"]
    with durable_tables(read_template(), tmp_path, 101) as client:
        assert not client.database.tables["DecisionsTable"].items
        assert not client.database.tables[CACHE].items
    assert not everything(tmp_path)["DecisionsTable"]
