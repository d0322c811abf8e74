"""Exchange keys: ciphertext only in the table, useless in another user's item."""

from typing import TYPE_CHECKING

import pytest
from botbalance.errors import NotThere
from botbalance.store.credentials import CredentialsTable, ExchangeKey, StoredKey
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

KEY = ExchangeKey(api_key="the-api-key-ABCD", secret="the-secret-of-it", password="the-passphrase")
NOW = 1_700_000_000


def test_a_key_is_revealed_as_it_was_stored(credentials: CredentialsTable) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    assert credentials.reveal("alice", "okx") == KEY


def test_a_key_without_a_password_has_none_again(credentials: CredentialsTable) -> None:
    key = ExchangeKey("the-api-key-ABCD", "the-secret-of-it")
    credentials.save("alice", "binance", key, NOW)
    assert credentials.reveal("alice", "binance") == key


def test_what_may_be_known_is_the_last_four_characters(credentials: CredentialsTable) -> None:
    saved = credentials.save("alice", "okx", KEY, NOW)
    assert saved == StoredKey(user_id="alice", exchange="okx", hint="ABCD", version=NOW)
    assert credentials.find("alice", "okx") == saved


def test_the_table_holds_ciphertext_only(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    [item] = dynamodb.scan(TableName=credentials_table)["Items"]
    assert item.keys() == {"user_id", "exchange", "document", "api_key", "secret", "password"}
    for text in (KEY.api_key, KEY.secret, KEY.password):
        assert text not in item["document"]["S"]
        assert all(text.encode() not in item[name]["B"] for name in ("api_key", "secret", "password"))


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
    with pytest.raises(ClientError) as raised:
        credentials.reveal(user_id, exchange)
    assert raised.value.response["Error"]["Code"] == "InvalidCiphertextException"
    assert credentials.reveal("alice", "okx") == KEY


def test_without_kms_nothing_is_stored_and_nothing_told(
    dynamodb: "DynamoDBClient", credentials_table: str, kms: "KMSClient"
) -> None:
    credentials = CredentialsTable(dynamodb, credentials_table, kms, "no-such-key")
    with pytest.raises(ClientError) as raised:
        credentials.save("alice", "okx", KEY, NOW)
    assert dynamodb.scan(TableName=credentials_table)["Items"] == []
    assert KEY.secret not in str(raised.value)


def test_a_replaced_key_has_a_higher_version_whatever_the_clock_says(credentials: CredentialsTable) -> None:
    versions = [credentials.save("alice", "okx", KEY, now).version for now in (NOW, NOW, NOW - 100, NOW + 100)]
    assert versions == [NOW, NOW + 1, NOW + 2, NOW + 100]


def test_a_replaced_key_leaves_nothing_of_the_old_one(credentials: CredentialsTable) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    new = ExchangeKey("another-key-WXYZ", "another-secret")
    credentials.save("alice", "okx", new, NOW)
    assert credentials.reveal("alice", "okx") == new


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
    with pytest.raises(NotThere, match="okx"):
        credentials.reveal("alice", "okx")
