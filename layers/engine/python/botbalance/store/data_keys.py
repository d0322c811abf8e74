"""The keys that encrypt users' exchange keys: one for each shard of users, itself encrypted by KMS.

KMS charges each request, and every look at an account needs its user's key. With a key that a shard's users share, kept
for minutes, a worker asks KMS a few hundred times an hour, whatever the number of its users. KMS binds a data key to
its shard; whatever is encrypted with one is bound to its user and exchange.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from botbalance.store.dynamodb import read_item, translate_aws_errors, try_write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

KEPT_S = 300
"""For how many seconds a process keeps a data key in the clear."""
_OWNER = "#data-keys"
"""In place of a user id in the items that hold the shards' data keys. No user has such an id."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key in the clear, which is not in its repr, and ``wrapped`` as KMS decrypts it."""

    wrapped: bytes
    clear: bytes = field(repr=False)


class _Entry(NamedTuple):
    """A key in the clear, and until when (epoch seconds) it is kept."""

    clear: bytes
    ends_at: int


class DataKeys:
    """Data keys of shards, in the credentials table; ``clock`` gives epoch seconds."""

    def __init__(
        self, client: "DynamoDBClient", table: str, kms: "KMSClient", key_id: str, clock: Callable[[], int]
    ) -> None:
        self._client = client
        self._table = table
        self._kms = kms
        self._key_id = key_id
        self._clock = clock
        self._cached: dict[bytes, _Entry] = {}
        self._lock = Lock()

    def of(self, shard: str) -> DataKey:
        """The shard's data key, which is made where there is none yet; raises TransientError."""
        wrapped = self._find(shard)
        if wrapped is None:
            made = self._generate(shard)
            item: Any = {**_key(shard), "data_key": {"B": made.wrapped}}
            if try_write(
                lambda: self._client.put_item(
                    TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(user_id)"
                )
            ):
                return made
            wrapped = self._find(shard)  # another process was first, or this one, and the answer was lost
            if wrapped is None:
                raise AssertionError("a data key is never deleted")
        return DataKey(wrapped, self.unwrap(shard, wrapped))

    def unwrap(self, shard: str, wrapped: bytes) -> bytes:
        """The data key in the clear, from this process's memory or from KMS; raises TransientError."""
        now = self._clock()
        with self._lock:
            self._cached = {key: entry for key, entry in self._cached.items() if now < entry.ends_at}
            if wrapped in self._cached:
                return self._cached[wrapped].clear
        with translate_aws_errors("the key service"):
            clear = self._kms.decrypt(KeyId=self._key_id, CiphertextBlob=wrapped, EncryptionContext={"shard": shard})[
                "Plaintext"
            ]
        with self._lock:
            self._cached[wrapped] = _Entry(clear, now + KEPT_S)
        return clear

    def _generate(self, shard: str) -> DataKey:
        with translate_aws_errors("the key service"):
            made = self._kms.generate_data_key(
                KeyId=self._key_id, KeySpec="AES_256", EncryptionContext={"shard": shard}
            )
        return DataKey(wrapped=made["CiphertextBlob"], clear=made["Plaintext"])

    def _find(self, shard: str) -> bytes | None:
        item = read_item(self._client, self._table, _key(shard))
        return None if item is None else item["data_key"]["B"]


def _key(shard: str) -> Any:
    return {"user_id": {"S": _OWNER}, "exchange": {"S": shard}}
