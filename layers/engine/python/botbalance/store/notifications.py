"""The notifications table: each user's settings with encrypted addresses, incidents as they were told, and deliveries.

A delivery is written once under the name of its message and channel, and every later write is conditional on the
revision that was read: whoever makes a message again finds it there, and two who would send it cannot both begin.

What is due, be it a delivery or a digest, is in a sparse index by time.
"""

import json
from base64 import b64decode
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from pydantic import BaseModel

from botbalance.models.activity import Activity
from botbalance.models.notification import (
    Channel,
    ChannelHealth,
    Delivery,
    NotificationSettings,
    StoredNotifications,
)
from botbalance.store.dynamodb import (
    parse_document,
    read_item,
    read_known,
    read_page,
    read_pages,
    translate_aws_errors,
    try_write,
)
from botbalance.store.pagination import Page, decode_cursor, encode_cursor

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef
    from mypy_boto3_kms import KMSClient

DUE_INDEX = "due"
DUE_SHARDS = 8
SETTINGS = "settings"
KEPT_S = 30 * 86_400
"""For so long deliveries, and what was told of incidents, are kept."""
MOST_REMEMBERED = 20
"""Of an incident's beginnings and ends."""


class Due(NamedTuple):
    """What is due: a user's delivery, or, by the name ``settings``, a digest."""

    user_id: str
    item: str


class IncidentHistory(BaseModel):
    """What began and ended of one incident, as far as it was heard of; ``revision`` is 0 where nothing was."""

    activities: list[Activity] = []
    revision: int = 0


class NotificationsTable:
    """Settings, incidents and deliveries by user id and name. A channel's secrets are encrypted by KMS and bound to
    their user and channel."""

    def __init__(self, client: "DynamoDBClient", table: str, kms: "KMSClient", key_id: str) -> None:
        self._client = client
        self._table = table
        self._kms = kms
        self._key_id = key_id

    # settings

    def find(self, user_id: str) -> StoredNotifications | None:
        """The user's settings, as last written; None where there are none."""
        item = self._read(user_id, SETTINGS)
        return _stored(item) if item else None

    def find_many(self, user_ids: Collection[str]) -> dict[str, StoredNotifications]:
        """The settings of those of ``user_ids`` who have any; see :func:`read_known`."""
        keys = [_key(user_id, SETTINGS) for user_id in sorted(set(user_ids))]
        known = read_known(self._client, self._table, keys, _stored)
        return {item["user_id"]["S"]: stored for item, stored in known}

    def encrypt(self, user_id: str, channel: Channel, secret: Mapping[str, str]) -> bytes:
        """``secret`` as it is stored."""
        with translate_aws_errors("the key service"):
            answer = self._kms.encrypt(
                KeyId=self._key_id,
                Plaintext=json.dumps(dict(secret)).encode(),
                EncryptionContext=_context(user_id, channel),
            )
        return answer["CiphertextBlob"]

    def decrypt(self, user_id: str, channel: Channel, ciphertext: bytes) -> dict[str, str]:
        """What :meth:`encrypt` was given."""
        with translate_aws_errors("the key service"):
            answer = self._kms.decrypt(
                KeyId=self._key_id, CiphertextBlob=ciphertext, EncryptionContext=_context(user_id, channel)
            )
        secret: dict[str, str] = json.loads(answer["Plaintext"])
        return secret

    def save(
        self,
        settings: NotificationSettings,
        new_secrets: Mapping[Channel, bytes],
        next_digest_at: int | None,
        *also: "TransactWriteItemTypeDef",
    ) -> None:
        """Store ``settings``, and ``also`` in the same transaction. Channels that they do not have are forgotten.

        One with a new secret starts anew.
        """
        sets = ["document = :document"]
        values: dict[str, Any] = {":document": {"S": settings.model_dump_json()}}
        removed = [
            f"{name}_{channel}"
            for channel in Channel
            if channel not in settings.channels
            for name in ("secret", "health")
        ]
        for channel, ciphertext in new_secrets.items():
            sets.append(f"secret_{channel} = :{channel}")
            values[f":{channel}"] = {"B": ciphertext}
            removed.append(f"health_{channel}")
        if next_digest_at is None:
            removed += ["due_shard", "due_at"]
        else:
            sets += ["due_shard = :shard", "due_at = :due"]
            values |= {":shard": {"S": _shard(settings.user_id)}, ":due": {"N": str(next_digest_at)}}
        update = f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removed)}" if removed else "")
        part: Any = {
            "TableName": self._table,
            "Key": _key(settings.user_id, SETTINGS),
            "UpdateExpression": update,
            "ExpressionAttributeValues": values,
        }
        with translate_aws_errors():
            self._client.transact_write_items(TransactItems=[{"Update": part}, *also])

    def delete(self, user_id: str, *also: "TransactWriteItemTypeDef") -> bool:
        """Forget the settings, and write ``also`` in the same transaction; False where there were none."""
        delete: Any = {
            "TableName": self._table,
            "Key": _key(user_id, SETTINGS),
            "ConditionExpression": "attribute_exists(user_id)",
        }
        return try_write(lambda: self._client.transact_write_items(TransactItems=[{"Delete": delete}, *also]))

    def save_health(self, user_id: str, channel: Channel, health: ChannelHealth) -> None:
        """Store how a channel does, if it is still there."""
        try_write(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=_key(user_id, SETTINGS),
                UpdateExpression=f"SET health_{channel} = :health",
                ConditionExpression=f"attribute_exists(secret_{channel})",
                ExpressionAttributeValues={":health": {"S": health.model_dump_json(exclude_none=True)}},
            )
        )

    def postpone_digest(self, user_id: str, due_at: int, next_at: int) -> bool:
        """Let the digest that is due at ``due_at`` be due next at ``next_at``; False where it is not any more."""
        return try_write(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=_key(user_id, SETTINGS),
                UpdateExpression="SET due_at = :next",
                ConditionExpression="due_at = :due",
                ExpressionAttributeValues={":next": {"N": str(next_at)}, ":due": {"N": str(due_at)}},
            )
        )

    # incidents

    def incident(self, user_id: str, name: str) -> IncidentHistory:
        """What was heard of an incident."""
        item = self._read(user_id, f"incident#{name}")
        return parse_document(IncidentHistory, item["document"]["S"]) if item else IncidentHistory()

    def save_incident(self, user_id: str, name: str, history: IncidentHistory, now: int) -> bool:
        """Store the latest of ``history`` over the revision that it was read as; False where somebody else was
        faster."""
        latest = IncidentHistory(activities=history.activities[-MOST_REMEMBERED:], revision=history.revision + 1)
        item: Any = {
            **_key(user_id, f"incident#{name}"),
            "document": {"S": latest.model_dump_json(exclude_none=True)},
            "revision": {"N": str(latest.revision)},
            "expires_at": {"N": str(now + KEPT_S)},
        }
        return self._put(item, history.revision)

    # deliveries

    def create(self, delivery: Delivery) -> bool:
        """Store a new delivery; False where it is there already."""
        return self._put(_item(delivery), 0)

    def replace(self, delivery: Delivery) -> Delivery | None:
        """Store ``delivery`` over the revision that it was read as; None where somebody else has changed it since."""
        updated = delivery.model_copy(update={"revision": delivery.revision + 1})
        return updated if self._put(_item(updated), delivery.revision, exists=True) else None

    def find_delivery(self, user_id: str, delivery_id: str) -> Delivery | None:
        """The delivery, as last written."""
        item = self._read(user_id, delivery_id)
        return parse_document(Delivery, item["document"]["S"]) if item else None

    def deliveries(self, user_id: str, *, limit: int, cursor: str | None = None) -> Page[Delivery]:
        """The user's deliveries, newest first; raises InvalidRequestError for a cursor that is not ours."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "user_id = :user AND begins_with(#item, :deliveries)",
            "ExpressionAttributeNames": {"#item": "item"},
            "ExpressionAttributeValues": {":user": {"S": user_id}, ":deliveries": {"S": "delivery#"}},
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }
        if cursor is not None:
            (name,) = decode_cursor(cursor, "delivery#[0-9]{13}#[0-9a-z-]{1,40}#[a-z]{5,8}")
            query["ExclusiveStartKey"] = _key(user_id, name)
        items, last = read_page(self._client, query, limit)
        return Page(
            [parse_document(Delivery, item["document"]["S"]) for item in items],
            encode_cursor(last["item"]["S"]) if last else None,
        )

    def due(self, now: int) -> Iterator[Due]:
        """What is due at ``now`` (epoch seconds), the earliest of each shard first; as it was a moment ago."""
        for shard in range(DUE_SHARDS):
            items = read_pages(
                self._client.query,
                TableName=self._table,
                IndexName=DUE_INDEX,
                KeyConditionExpression="due_shard = :shard AND due_at <= :now",
                ExpressionAttributeValues={":shard": {"S": str(shard)}, ":now": {"N": str(now)}},
            )
            for item in items:
                yield Due(item["user_id"]["S"], item["item"]["S"])

    def _put(self, item: Any, revision: int, *, exists: bool = False) -> bool:
        """Put ``item`` over ``revision``; 0 is also what is not there, unless it ``exists``."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(user_id)"}
        if revision or exists:
            condition = {
                "ConditionExpression": "revision = :read",
                "ExpressionAttributeValues": {":read": {"N": str(revision)}},
            }
        return try_write(lambda: self._client.put_item(TableName=self._table, Item=item, **condition))

    def _read(self, user_id: str, name: str) -> Any:
        return read_item(self._client, self._table, _key(user_id, name))


def _key(user_id: str, name: str) -> dict[str, Any]:
    return {"user_id": {"S": user_id}, "item": {"S": name}}


def _context(user_id: str, channel: Channel) -> dict[str, str]:
    return {"user_id": user_id, "channel": channel}


def _shard(user_id: str) -> str:
    return str(crc32(user_id.encode()) % DUE_SHARDS)


def _item(delivery: Delivery) -> dict[str, Any]:
    item: dict[str, Any] = {
        **_key(delivery.user_id, delivery.delivery_id),
        "document": {"S": delivery.model_dump_json()},
        "revision": {"N": str(delivery.revision)},
        "expires_at": {"N": str(delivery.created_at + KEPT_S)},
    }
    if delivery.due_at is not None:
        item |= {"due_shard": {"S": _shard(delivery.user_id)}, "due_at": {"N": str(delivery.due_at)}}
    return item


def _stored(item: Any) -> StoredNotifications:
    return StoredNotifications(
        settings=parse_document(NotificationSettings, item["document"]["S"]),
        secrets={channel: _bytes(item[f"secret_{channel}"]["B"]) for channel in Channel if f"secret_{channel}" in item},
        health={
            channel: parse_document(ChannelHealth, item[f"health_{channel}"]["S"])
            for channel in Channel
            if f"health_{channel}" in item
        },
        next_digest_at=int(item["due_at"]["N"]) if "due_at" in item else None,
    )


def _bytes(value: bytes | str) -> bytes:
    """Binary, which is in base64 where it was read in a batch."""
    return b64decode(value) if isinstance(value, str) else value
