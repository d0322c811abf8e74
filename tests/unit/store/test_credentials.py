"""Exchange keys: ciphertext only in the table, useless in another user's item."""

import json
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import NotFoundError, TransientError
from botbalance.models.exchange_key import ExchangeKey, StoredKey
from botbalance.store.credentials import CredentialsTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

KEY = ExchangeKey(api_key="the-api-key-ABCD", secret="the-secret-of-it", password="the-passphrase")
NOW = 1_700_000_000


def test_a_key_is_revealed_as_it_was_stored(credentials: CredentialsTable) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    assert credentials.decrypt("alice", "okx") == KEY


def test_a_key_without_a_password_has_none_again(credentials: CredentialsTable) -> None:
    key = ExchangeKey("the-api-key-ABCD", "the-secret-of-it")
    credentials.save("alice", "binance", key, NOW)
    assert credentials.decrypt("alice", "binance") == key


def test_what_may_be_known_is_the_last_four_characters(credentials: CredentialsTable) -> None:
    saved = credentials.save("alice", "okx", KEY, NOW)
    assert saved == StoredKey(user_id="alice", exchange="okx", hint="ABCD", version=NOW)
    assert credentials.find("alice", "okx") == saved


def test_the_table_holds_ciphertext_only(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    [item] = dynamodb.scan(TableName=credentials_table)["Items"]
    assert item.keys() == {"user_id", "exchange", "document", "ciphertext"}
    for text in (KEY.api_key, KEY.secret, KEY.password):
        assert text not in item["document"]["S"]
        assert text.encode() not in item["ciphertext"]["B"]


def test_a_key_in_the_clear_is_not_in_its_own_repr() -> None:
    for text in (KEY.api_key, KEY.secret, KEY.password):
        assert text not in repr(KEY)
        assert text not in f"{KEY}"


@pytest.mark.parametrize("thief", [("mallory", "okx"), ("alice", "binance")], ids=["another user", "another exchange"])
def test_a_ciphertext_that_is_moved_to_another_item_cannot_be_decrypted(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str, thief: tuple[str, str]
) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    [item] = dynamodb.scan(TableName=credentials_table)["Items"]
    user_id, exchange = thief
    dynamodb.put_item(TableName=credentials_table, Item=item | {"user_id": {"S": user_id}, "exchange": {"S": exchange}})
    with pytest.raises(TransientError, match=r"the key service .*InvalidCiphertextException") as raised:
        credentials.decrypt(user_id, exchange)
    assert raised.value.code == "storage_unavailable"
    assert credentials.decrypt("alice", "okx") == KEY


def test_without_kms_nothing_is_stored_and_nothing_told(
    dynamodb: "DynamoDBClient", credentials_table: str, kms: "KMSClient"
) -> None:
    credentials = CredentialsTable(dynamodb, credentials_table, kms, "no-such-key")
    with pytest.raises(TransientError) as raised:
        credentials.save("alice", "okx", KEY, NOW)
    assert dynamodb.scan(TableName=credentials_table)["Items"] == []
    said = "".join(traceback.format_exception(raised.value))
    assert "NotFoundException" in said
    assert KEY.secret not in said


def test_a_replaced_key_has_a_higher_version_whatever_the_clock_says(credentials: CredentialsTable) -> None:
    versions = [credentials.save("alice", "okx", KEY, now).version for now in (NOW, NOW, NOW - 100, NOW + 100)]
    assert versions == [NOW, NOW + 1, NOW + 2, NOW + 100]


def test_a_replaced_key_leaves_nothing_of_the_old_one(credentials: CredentialsTable) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    new = ExchangeKey("another-key-WXYZ", "another-secret")
    credentials.save("alice", "okx", new, NOW)
    assert credentials.decrypt("alice", "okx") == new


def test_keys_are_by_user_and_exchange(credentials: CredentialsTable) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    assert credentials.find("alice", "binance") is None
    assert credentials.find("bob", "okx") is None


def test_a_deleted_key_is_forgotten(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    assert credentials.delete("alice", "okx")
    assert not credentials.delete("alice", "okx")
    assert credentials.find("alice", "okx") is None
    assert dynamodb.scan(TableName=credentials_table)["Items"] == []
    with pytest.raises(NotFoundError, match="okx"):
        credentials.decrypt("alice", "okx")


# many at once


def test_what_is_known_of_many_keys_is_read_at_once(credentials: CredentialsTable) -> None:
    """More than one request takes; who has none is left out, and an owner's other exchanges are."""
    owners = [(f"user-{number}", exchange) for number in range(53) for exchange in ("binance", "okx")]
    saved = {owner: credentials.save(*owner, KEY, NOW + number) for number, owner in enumerate(owners)}
    credentials.save("user-0", "bybit", KEY, NOW)
    assert credentials.find_many([*owners, ("nobody", "okx")]) == saved
    assert credentials.find_many([]) == {}
    assert credentials.find_many([owners[0], owners[0]]) == {owners[0]: saved[owners[0]]}


def rewrite(dynamodb: "DynamoDBClient", credentials_table: str, user_id: str, changes: dict[str, Any]) -> None:
    """Change a stored document, as another version of the code would write it."""
    key = {"user_id": {"S": user_id}, "exchange": {"S": "okx"}}
    item: Any = dynamodb.get_item(TableName=credentials_table, Key=key)["Item"]
    document = json.loads(item["document"]["S"]) | changes
    dynamodb.put_item(TableName=credentials_table, Item=item | {"document": {"S": json.dumps(document)}})


def test_a_key_of_another_version_is_neither_read_nor_written_over(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    rewrite(dynamodb, credentials_table, "alice", {"schema_version": 2})
    [before] = dynamodb.scan(TableName=credentials_table)["Items"]
    attempts: list[Callable[[], object]] = [
        lambda: credentials.find("alice", "okx"),
        lambda: credentials.save("alice", "okx", KEY, NOW + 1),
    ]
    for attempt in attempts:
        with pytest.raises(TransientError, match=r"StoredKey is not of a known form \(schema_version\)") as raised:
            attempt()
        assert raised.value.code == "unknown_schema"
    assert dynamodb.scan(TableName=credentials_table)["Items"] == [before]


def test_one_unreadable_key_is_no_other_user_s_trouble(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    saved = {(user_id, "okx"): credentials.save(user_id, "okx", KEY, NOW) for user_id in ("alice", "bob", "carol")}
    rewrite(dynamodb, credentials_table, "bob", {"schema_version": 2})
    del saved["bob", "okx"]
    assert credentials.find_many([("alice", "okx"), ("bob", "okx"), ("carol", "okx")]) == saved
