"""The credentials table: users' exchange keys, encrypted and bound to their user and exchange.

They are encrypted with their shard's data key (AES-256 in GCM), which KMS encrypts. User and exchange are authenticated
with the ciphertext: moved to another user's item it is useless. Nothing here is ever returned by the API or logged;
``hint`` is the key's last four characters.

A key of an exchange has one owner. An item beside the keys says who has it, by a hash of the key that is made with a
data key of its own: whoever reads the table can neither tell a key by it nor find out whether a known one is there.
"""

import hmac
import json
import os
from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from botbalance.errors import ConflictError, NotFoundError, TransientError
from botbalance.models.exchange_key import ExchangeKey, StoredKey
from botbalance.store.data_keys import DataKeys
from botbalance.store.dynamodb import (
    failed_conditions,
    parse_document,
    read_item,
    read_known,
    read_pages,
    shard_name,
    try_write,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_FINGERPRINTS = "#fingerprints"
"""In place of a user id in the items that say who has a key, and the name of the data key that hashes are made with."""
_NONCE_BYTES = 12
"""As AES-GCM takes it: random, for a key that encrypts far fewer than 2^32 texts."""


class KeyOwner(NamedTuple):
    """Who has a key of which exchange; ``left_at``: since when (epoch seconds) nobody may sign in as that user."""

    user_id: str
    exchange: str
    left_at: int | None


class CredentialsTable:
    """Exchange keys by user id and exchange; a key's version is raised whenever it is replaced."""

    def __init__(self, client: "DynamoDBClient", table: str, data_keys: DataKeys) -> None:
        self._client = client
        self._table = table
        self._data_keys = data_keys

    def save(
        self, user_id: str, exchange: str, key: ExchangeKey, now: int, *also: "TransactWriteItemTypeDef"
    ) -> StoredKey:
        """Encrypt and store ``key``; ``now`` (epoch seconds) becomes its version where there was none.

        ``also`` is written in the same transaction. Raises ConflictError where another user has stored that key.
        """
        item = self._item(user_id, exchange)
        existing = None if item is None else _stored(item)
        fingerprint = _fingerprint(self._data_keys.of(_FINGERPRINTS).clear, exchange, key)
        stored = StoredKey(
            user_id=user_id,
            exchange=exchange,
            hint=key.api_key[-4:],
            version=max(now, existing.version + 1) if existing else now,
        )
        data_key = self._data_keys.of(shard_name(user_id))
        put: Any = {
            "TableName": self._table,
            "Item": {
                **_key(user_id, exchange),
                "document": {"S": stored.model_dump_json()},
                "ciphertext": {"B": _encrypt(data_key.clear, user_id, exchange, key)},
                "data_key": {"B": data_key.wrapped},
                "fingerprint": {"S": fingerprint},
            },
        }
        writes: Any = [{"Put": self._claim(user_id, fingerprint)}, {"Put": put}]
        if item is not None and item["fingerprint"]["S"] != fingerprint:
            writes.append({"Delete": {"TableName": self._table, "Key": _claim_key(item["fingerprint"]["S"])}})
        if any(failed_conditions(lambda: self._client.transact_write_items(TransactItems=[*writes, *also]))[:1]):
            raise ConflictError("key_in_use", "another user has stored this key; make a key of your own")
        return stored

    def find(self, user_id: str, exchange: str) -> StoredKey | None:
        """What is known of the stored key, without decrypting it."""
        item = self._item(user_id, exchange)
        return _stored(item) if item else None

    def list_all(self, user_id: str) -> list[StoredKey]:
        """What is known of all keys that the user has stored, by exchange."""
        items = read_pages(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
            ConsistentRead=True,
        )
        return [_stored(item) for item in items]

    def owners(self) -> Iterator[KeyOwner]:
        """Everybody who has stored a key, of every key; none is read."""
        scan = {
            "TableName": self._table,
            "FilterExpression": "attribute_exists(ciphertext)",
            "ProjectionExpression": "user_id, exchange, left_at",
        }
        for item in read_pages(self._client.scan, **scan):
            left_at = int(item["left_at"]["N"]) if "left_at" in item else None
            yield KeyOwner(item["user_id"]["S"], item["exchange"]["S"], left_at)

    def record_departure(self, user_id: str, exchange: str, left_at: int | None) -> None:
        """Note with the key since when (epoch seconds) nobody may sign in as its owner; None: its owner may."""
        change: Any = (
            {"UpdateExpression": "REMOVE left_at"}
            if left_at is None
            else {
                "UpdateExpression": "SET left_at = :left_at",
                "ExpressionAttributeValues": {":left_at": {"N": str(left_at)}},
            }
        )
        try_write(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=_key(user_id, exchange),
                ConditionExpression="attribute_exists(ciphertext)",
                **change,
            )
        )

    def find_many(self, owners: Collection[tuple[str, str]]) -> dict[tuple[str, str], StoredKey]:
        """What is known of the stored keys of those ``owners`` (user id, exchange) who have one; see
        :func:`read_known`."""
        known = read_known(self._client, self._table, [_key(*owner) for owner in dict.fromkeys(owners)], _stored)
        return {(item["user_id"]["S"], item["exchange"]["S"]): stored for item, stored in known}

    def decrypt(self, user_id: str, exchange: str) -> ExchangeKey:
        """The key in the clear; raises NotFoundError where none is stored."""
        item = self._item(user_id, exchange)
        if item is None:
            raise NotFoundError("exchange_key_not_found", f"no key for {exchange} is stored; PUT one first")
        clear = self._data_keys.unwrap(shard_name(user_id), item["data_key"]["B"])
        return _decrypt(clear, user_id, exchange, item["ciphertext"]["B"])

    def delete(self, user_id: str, exchange: str, *also: "TransactWriteItemTypeDef") -> bool:
        """Forget the key, and write ``also`` in the same transaction; False, and nothing done, where there was none."""
        item = self._item(user_id, exchange)
        if item is None:
            return False
        delete: Any = {
            "TableName": self._table,
            "Key": _key(user_id, exchange),
            "ConditionExpression": "attribute_exists(user_id)",
        }
        claim: Any = {"TableName": self._table, "Key": _claim_key(item["fingerprint"]["S"])}
        return try_write(
            lambda: self._client.transact_write_items(TransactItems=[{"Delete": delete}, {"Delete": claim}, *also])
        )

    def _claim(self, user_id: str, fingerprint: str) -> Any:
        """The write that makes the user the owner of the key with that fingerprint, where nobody else is."""
        return {
            "TableName": self._table,
            "Item": {**_claim_key(fingerprint), "key_owner": {"S": user_id}},
            "ConditionExpression": "attribute_not_exists(user_id) OR key_owner = :me",
            "ExpressionAttributeValues": {":me": {"S": user_id}},
        }

    def _item(self, user_id: str, exchange: str) -> Any:
        return read_item(self._client, self._table, _key(user_id, exchange))


def _key(user_id: str, exchange: str) -> dict[str, Any]:
    return {"user_id": {"S": user_id}, "exchange": {"S": exchange}}


def _stored(item: Any) -> StoredKey:
    return parse_document(StoredKey, item["document"]["S"])


def _claim_key(fingerprint: str) -> dict[str, Any]:
    return _key(_FINGERPRINTS, fingerprint)


def _fingerprint(secret: bytes, exchange: str, key: ExchangeKey) -> str:
    return hmac.new(secret, json.dumps([exchange, key.api_key]).encode(), sha256).hexdigest()


def _encrypt(data_key: bytes, user_id: str, exchange: str, key: ExchangeKey) -> bytes:
    """The nonce and the ciphertext of ``key``."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - where no key is needed, nor is it

    nonce = os.urandom(_NONCE_BYTES)
    text = json.dumps([key.api_key, key.secret, key.password]).encode()
    return nonce + AESGCM(data_key).encrypt(nonce, text, _bound_to(user_id, exchange))


def _decrypt(data_key: bytes, user_id: str, exchange: str, ciphertext: bytes) -> ExchangeKey:
    """What was encrypted; raises TransientError for what was encrypted for somebody else, or changed since."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    nonce, encrypted = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
    try:
        text = AESGCM(data_key).decrypt(nonce, encrypted, _bound_to(user_id, exchange))
    except InvalidTag:
        message = f"the stored key for {exchange} is not this user's, or was changed; PUT it again"
        raise TransientError("key_unreadable", message) from None
    return ExchangeKey(*json.loads(text))


def _bound_to(user_id: str, exchange: str) -> bytes:
    """What is authenticated with a ciphertext."""
    return json.dumps([user_id, exchange]).encode()
