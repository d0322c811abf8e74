"""The credentials table: users' exchange keys, encrypted by KMS and bound to their user and exchange.

The encryption context makes a ciphertext that is moved to another user's item useless. Nothing here is
ever returned by the API or logged; ``hint`` is the key's last four characters.
"""

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from botbalance.errors import NotFoundError, TransientError
from botbalance.log import alarm
from botbalance.models.exchange_key import ExchangeKey, StoredKey
from botbalance.store.dynamodb import parse_document, put_if, read_batches, read_pages, translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef
    from mypy_boto3_kms import KMSClient


class CredentialsTable:
    """Exchange keys by user id and exchange; a key's version is raised whenever it is replaced."""

    def __init__(self, client: "DynamoDBClient", table: str, kms: "KMSClient", key_id: str) -> None:
        self._client = client
        self._table = table
        self._kms = kms
        self._key_id = key_id

    def save(
        self, user_id: str, exchange: str, key: ExchangeKey, now: int, *also: "TransactWriteItemTypeDef"
    ) -> StoredKey:
        """Encrypt and store ``key``; ``now`` (epoch seconds) becomes its version where there was none.

        ``also`` is written in the same transaction.
        """
        existing = self.find(user_id, exchange)
        stored = StoredKey(
            user_id=user_id,
            exchange=exchange,
            hint=key.api_key[-4:],
            version=max(now, existing.version + 1) if existing else now,
        )
        # In one ciphertext, because each request to decrypt one is charged, and every look at an account needs all.
        ciphertext = self._encrypt(user_id, exchange, json.dumps([key.api_key, key.secret, key.password]))
        put: Any = {
            "TableName": self._table,
            "Item": {
                **_key(user_id, exchange),
                "document": {"S": stored.model_dump_json()},
                "ciphertext": {"B": ciphertext},
            },
        }
        put_if(lambda: self._client.transact_write_items(TransactItems=[{"Put": put}, *also]))
        return stored

    def find(self, user_id: str, exchange: str) -> StoredKey | None:
        """What is known of the stored key, without decrypting it."""
        item = self._item(user_id, exchange)
        return parse_document(StoredKey, item["document"]["S"]) if item else None

    def list_all(self, user_id: str) -> list[StoredKey]:
        """What is known of all keys that the user has stored, by exchange."""
        items = read_pages(
            self._client,
            TableName=self._table,
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
            ConsistentRead=True,
        )
        return [parse_document(StoredKey, item["document"]["S"]) for item in items]

    def find_many(self, owners: Collection[tuple[str, str]]) -> dict[tuple[str, str], StoredKey]:
        """What is known of the stored keys of those ``owners`` (user id, exchange) who have one.

        One that this version of the code does not understand is left out, with an alarm: it is no other user's trouble.
        """
        stored = {}
        for item in read_batches(self._client, self._table, [_key(*owner) for owner in dict.fromkeys(owners)]):
            user_id, exchange = item["user_id"]["S"], item["exchange"]["S"]
            try:
                stored[user_id, exchange] = parse_document(StoredKey, item["document"]["S"])
            except TransientError as error:
                alarm(error.code, str(error), user_id=user_id)
        return stored

    def decrypt(self, user_id: str, exchange: str) -> ExchangeKey:
        """The key in the clear; raises NotFoundError where none is stored."""
        item = self._item(user_id, exchange)
        if item is None:
            raise NotFoundError("exchange_key_not_found", f"no key for {exchange} is stored; PUT one first")
        return ExchangeKey(*json.loads(self._decrypt_text(user_id, exchange, item["ciphertext"]["B"])))

    def delete(self, user_id: str, exchange: str, *also: "TransactWriteItemTypeDef") -> bool:
        """Forget the key, and write ``also`` in the same transaction; False, and nothing done, where there was none."""
        delete: Any = {
            "TableName": self._table,
            "Key": _key(user_id, exchange),
            "ConditionExpression": "attribute_exists(user_id)",
        }
        return put_if(lambda: self._client.transact_write_items(TransactItems=[{"Delete": delete}, *also]))

    def _item(self, user_id: str, exchange: str) -> Any:
        with translate_aws_errors():
            return self._client.get_item(TableName=self._table, Key=_key(user_id, exchange), ConsistentRead=True).get(
                "Item"
            )

    def _encrypt(self, user_id: str, exchange: str, text: str) -> bytes:
        with translate_aws_errors("the key service"):
            answer = self._kms.encrypt(
                KeyId=self._key_id, Plaintext=text.encode(), EncryptionContext=_context(user_id, exchange)
            )
        return answer["CiphertextBlob"]

    def _decrypt_text(self, user_id: str, exchange: str, ciphertext: bytes) -> str:
        with translate_aws_errors("the key service"):
            answer = self._kms.decrypt(
                KeyId=self._key_id, CiphertextBlob=ciphertext, EncryptionContext=_context(user_id, exchange)
            )
        return answer["Plaintext"].decode()


def _key(user_id: str, exchange: str) -> dict[str, Any]:
    return {"user_id": {"S": user_id}, "exchange": {"S": exchange}}


def _context(user_id: str, exchange: str) -> dict[str, str]:
    return {"user_id": user_id, "exchange": exchange}
