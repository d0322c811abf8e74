"""Exchange keys: ciphertext only in the table, useless in another user's item."""

import json
import traceback
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import ConflictError, NotFoundError, TransientError
from botbalance.models.exchange_key import ExchangeKey, StoredKey
from botbalance.store.credentials import CredentialsTable
from botbalance.store.data_keys import KEPT_S, DataKeys
from botbalance.store.dynamodb import shard_name

from tests.unit.store.faults import meanwhile

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

KEY = ExchangeKey(api_key="the-api-key-ABCD", secret="the-secret-of-it", password="the-passphrase")
NOW = 1_700_000_000


def a_key(user_id: str) -> ExchangeKey:
    """A key of that user's own."""
    return ExchangeKey(f"key-of-{user_id}", "secret")


def read_keys(client: "DynamoDBClient", table: str) -> list[Any]:
    """The items that are users' keys, and no shard's data key."""
    return [item for item in client.scan(TableName=table)["Items"] if "ciphertext" in item]


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
    [item] = read_keys(dynamodb, credentials_table)
    assert item.keys() == {"user_id", "exchange", "document", "ciphertext", "data_key", "fingerprint"}
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
    [item] = read_keys(dynamodb, credentials_table)
    user_id, exchange = thief
    dynamodb.put_item(TableName=credentials_table, Item=item | {"user_id": {"S": user_id}, "exchange": {"S": exchange}})
    with pytest.raises(TransientError) as raised:
        credentials.decrypt(user_id, exchange)
    assert raised.value.code == ("storage_unavailable" if user_id == "mallory" else "key_unreadable")
    assert credentials.decrypt("alice", "okx") == KEY


def test_a_ciphertext_that_is_moved_to_a_user_of_the_same_shard_cannot_be_decrypted(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    """They share a data key; what was encrypted with it is bound to its user all the same."""
    credentials.save("alice", "okx", KEY, NOW)
    thief = next(f"mallory-{number}" for number in count() if shard_name(f"mallory-{number}") == shard_name("alice"))
    credentials.save(thief, "okx", ExchangeKey("the-thief-s-own-key", "secret"), NOW)
    items = {item["user_id"]["S"]: item for item in read_keys(dynamodb, credentials_table)}
    assert items[thief]["data_key"] == items["alice"]["data_key"]
    dynamodb.put_item(TableName=credentials_table, Item=items["alice"] | {"user_id": {"S": thief}})
    with pytest.raises(TransientError, match="not this user's") as raised:
        credentials.decrypt(thief, "okx")
    assert raised.value.code == "key_unreadable"


@pytest.mark.parametrize("at", [0, 5, 12, 20, -1])
def test_a_ciphertext_that_was_changed_is_not_decrypted_into_something_else(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str, at: int
) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    [item] = read_keys(dynamodb, credentials_table)
    changed = bytearray(item["ciphertext"]["B"])
    changed[at] ^= 1
    dynamodb.put_item(TableName=credentials_table, Item=item | {"ciphertext": {"B": bytes(changed)}})
    with pytest.raises(TransientError, match="was changed"):
        credentials.decrypt("alice", "okx")


def test_no_two_ciphertexts_have_a_nonce_in_common(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    nonces = set()
    for number in range(20):
        credentials.save("alice", "okx", KEY, NOW + number)
        nonces.add(read_keys(dynamodb, credentials_table)[0]["ciphertext"]["B"][:12])
    assert len(nonces) == 20


def test_without_kms_nothing_is_stored_and_nothing_told(
    dynamodb: "DynamoDBClient", credentials_table: str, kms: "KMSClient"
) -> None:
    data_keys = DataKeys(dynamodb, credentials_table, kms, "no-such-key", lambda: NOW)
    credentials = CredentialsTable(dynamodb, credentials_table, data_keys)
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
    assert read_keys(dynamodb, credentials_table) == []
    with pytest.raises(NotFoundError, match="okx"):
        credentials.decrypt("alice", "okx")


# many at once


def test_what_is_known_of_many_keys_is_read_at_once(credentials: CredentialsTable) -> None:
    """More than one request takes; who has none is left out, and an owner's other exchanges are."""
    owners = [(f"user-{number}", exchange) for number in range(53) for exchange in ("binance", "okx")]
    saved = {owner: credentials.save(*owner, a_key(owner[0]), NOW + number) for number, owner in enumerate(owners)}
    credentials.save("user-0", "bybit", a_key("user-0"), NOW)
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
    [before] = read_keys(dynamodb, credentials_table)
    attempts: list[Callable[[], object]] = [
        lambda: credentials.find("alice", "okx"),
        lambda: credentials.save("alice", "okx", KEY, NOW + 1),
    ]
    for attempt in attempts:
        with pytest.raises(TransientError, match=r"StoredKey is not of a known form \(schema_version\)") as raised:
            attempt()
        assert raised.value.code == "unknown_schema"
    assert read_keys(dynamodb, credentials_table) == [before]


def test_one_unreadable_key_is_no_other_user_s_trouble(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    saved = {
        (user_id, "okx"): credentials.save(user_id, "okx", a_key(user_id), NOW) for user_id in ("alice", "bob", "carol")
    }
    rewrite(dynamodb, credentials_table, "bob", {"schema_version": 2})
    del saved["bob", "okx"]
    assert credentials.find_many([("alice", "okx"), ("bob", "okx"), ("carol", "okx")]) == saved


# data keys


def watch_requests(kms: "KMSClient") -> list[str]:
    """The operations that ``kms`` is asked for from now on."""
    asked: list[str] = []
    kms.meta.events.register("before-call.kms.*", lambda model, **_: asked.append(model.name), unique_id="asked")
    return asked


def test_a_data_key_is_decrypted_once_in_five_minutes_for_all_users_of_its_shard(
    dynamodb: "DynamoDBClient", credentials_table: str, kms: "KMSClient", key_id: str
) -> None:
    clock = [NOW]
    users = [user for number in range(200) if shard_name(user := f"user-{number}") in {"3", "4"}]

    def another_process() -> CredentialsTable:
        data_keys = DataKeys(dynamodb, credentials_table, kms, key_id, lambda: clock[0])
        return CredentialsTable(dynamodb, credentials_table, data_keys)

    for user in users:
        another_process().save(user, "okx", ExchangeKey(f"key-of-{user}", "secret"), NOW)
    credentials = another_process()
    asked = watch_requests(kms)
    try:
        for clock[0] in (NOW, NOW + KEPT_S - 1):
            assert [credentials.decrypt(user, "okx").api_key for user in users] == [f"key-of-{user}" for user in users]
        assert asked == ["Decrypt", "Decrypt"]
        clock[0] = NOW + KEPT_S
        for user in users:
            credentials.decrypt(user, "okx")
        assert asked == ["Decrypt"] * 4
    finally:
        kms.meta.events.unregister("before-call.kms.*", unique_id="asked")


def test_of_two_processes_that_make_a_shard_s_data_key_one_has_the_other_s(
    dynamodb: "DynamoDBClient", credentials_table: str, kms: "KMSClient", key_id: str
) -> None:
    first, second = (DataKeys(dynamodb, credentials_table, kms, key_id, lambda: NOW) for _ in range(2))
    made = []
    with meanwhile(dynamodb, "PutItem", lambda: made.append(second.of("7"))):
        found = first.of("7")
    assert [found] == made
    assert first.of("8") != found


def test_a_data_key_is_of_no_use_to_another_shard(
    dynamodb: "DynamoDBClient", credentials_table: str, kms: "KMSClient", key_id: str
) -> None:
    data_keys = DataKeys(dynamodb, credentials_table, kms, key_id, lambda: NOW)
    wrapped = data_keys.of("7").wrapped
    with pytest.raises(TransientError, match="InvalidCiphertextException"):
        data_keys.unwrap("8", wrapped)


# one key, one owner


def read_claims(client: "DynamoDBClient", table: str) -> list[str]:
    return [item["key_owner"]["S"] for item in client.scan(TableName=table)["Items"] if "key_owner" in item]


def test_a_key_that_another_user_has_stored_is_refused_and_nothing_is_written(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    with pytest.raises(ConflictError, match="another user has stored this key") as raised:
        credentials.save("bob", "okx", KEY, NOW)
    assert raised.value.code == "key_in_use"
    assert credentials.find("bob", "okx") is None
    assert read_claims(dynamodb, credentials_table) == ["alice"]
    credentials.save("alice", "okx", KEY, NOW)  # one's own is stored again
    credentials.save("bob", "binance", KEY, NOW)  # by chance as long, and of another exchange


def test_a_key_that_was_deleted_or_replaced_is_free_for_another_user(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    assert credentials.delete("alice", "okx")
    assert read_claims(dynamodb, credentials_table) == []
    credentials.save("bob", "okx", KEY, NOW)
    credentials.save("bob", "okx", a_key("bob"), NOW)
    credentials.save("carol", "okx", KEY, NOW)
    assert sorted(read_claims(dynamodb, credentials_table)) == ["bob", "carol"]


def test_of_two_users_who_store_a_key_at_once_one_has_it(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    other = meanwhile(dynamodb, "TransactWriteItems", lambda: credentials.save("bob", "okx", KEY, NOW))
    with other, pytest.raises(ConflictError):
        credentials.save("alice", "okx", KEY, NOW)
    assert read_claims(dynamodb, credentials_table) == ["bob"]


def test_what_tells_who_has_a_key_does_not_tell_the_key(
    credentials: CredentialsTable, dynamodb: "DynamoDBClient", credentials_table: str
) -> None:
    credentials.save("alice", "okx", KEY, NOW)
    (item,) = read_keys(dynamodb, credentials_table)
    plain = {sha256(text.encode()).hexdigest() for text in (KEY.api_key, f'["okx", "{KEY.api_key}"]')}
    assert item["fingerprint"]["S"] not in plain
    assert KEY.api_key not in str(item)
