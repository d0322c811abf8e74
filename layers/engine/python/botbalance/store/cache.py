"""The cache table: what all functions may share for a while. Nothing in it is anybody's only copy."""

from collections.abc import Collection, Mapping
from itertools import batched
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef


class CacheTable:
    """JSON documents by key, each with the second at which it expires."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def get_many(self, keys: Collection[str], now: int) -> dict[str, str]:
        """The documents of those of ``keys`` that are there and not expired at ``now`` (epoch seconds)."""
        documents = {}
        for chunk in batched(sorted(keys), 100, strict=False):
            answer = self._client.batch_get_item(
                RequestItems={self._table: {"Keys": [{"key": {"S": key}} for key in chunk]}}
            )
            # What DynamoDB had no capacity left to read is a miss, like what is not there.
            for item in answer["Responses"].get(self._table, []):
                if int(item["expires_at"]["N"]) > now:
                    documents[item["key"]["S"]] = item["document"]["S"]
        return documents

    def put_many(self, documents: Mapping[str, str], expires_at: int) -> None:
        """Store ``documents`` until ``expires_at`` (epoch seconds)."""
        for chunk in batched(documents.items(), 25, strict=False):
            writes: list[WriteRequestTypeDef] = [
                {
                    "PutRequest": {
                        "Item": {
                            "key": {"S": key},
                            "document": {"S": text},
                            "expires_at": {"N": str(expires_at)},
                        }
                    }
                }
                for key, text in chunk
            ]
            self._client.batch_write_item(RequestItems={self._table: writes})
