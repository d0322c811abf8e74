"""The cache table: what all functions may share for a while. Nothing in it is anybody's only copy."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import batched
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from botbalance.log import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef


class Cached(NamedTuple):
    """A document, and the epoch second at which it expires."""

    document: str
    expires_at: int


class Claim(NamedTuple):
    """Whether somebody has a key, and with what words whoever had it last has failed, as long as that counts."""

    is_held: bool = False
    failure: str | None = None


class CacheTable:
    """JSON documents by key, each with the second at which it expires."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def get_many(self, keys: Collection[str], now: int) -> dict[str, Cached]:
        """Those of ``keys`` that are there and not expired at ``now`` (epoch seconds)."""
        documents = {}
        for chunk in batched(sorted(set(keys)), 100, strict=False):
            with ignore_cache_errors():
                answer = self._client.batch_get_item(
                    RequestItems={self._table: {"Keys": [{"key": {"S": key}} for key in chunk]}}
                )
                # What DynamoDB had no capacity left to read is a miss, like what is not there.
                for item in answer["Responses"].get(self._table, []):
                    expires_at = int(item["expires_at"]["N"])
                    if expires_at > now:
                        documents[item["key"]["S"]] = Cached(item["document"]["S"], expires_at)
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
            with ignore_cache_errors():
                self._client.batch_write_item(RequestItems={self._table: writes})

    def add(self, key: str, amount: int, expires_at: int) -> int | None:
        """Add to the counter ``key``, which is there until ``expires_at`` (epoch seconds); returns what it is then.

        None where that is not known. A request that was repeated may have been counted twice.
        """
        with ignore_cache_errors():
            answer = self._client.update_item(
                TableName=self._table,
                Key={"key": {"S": key}},
                UpdateExpression="SET expires_at = :expires_at ADD #used :amount",
                ExpressionAttributeNames={"#used": "used"},
                ExpressionAttributeValues={":expires_at": {"N": str(expires_at)}, ":amount": {"N": str(amount)}},
                ReturnValues="UPDATED_NEW",
            )
            return int(answer["Attributes"]["used"]["N"])
        return None

    def claim(self, key: str, now: int, seconds: int) -> str | None:
        """Claim ``key`` for so many ``seconds``; None where another has it or has just failed, else the document
        beside the claim.

        A table that cannot be reached leaves it to everybody.
        """
        with ignore_cache_errors():
            try:
                answer = self._client.update_item(
                    TableName=self._table,
                    Key={"key": {"S": key}},
                    UpdateExpression="SET claimed_until = :until, expires_at = :until",
                    ConditionExpression=(
                        "(attribute_not_exists(claimed_until) OR claimed_until <= :now)"
                        " AND (attribute_not_exists(failed_until) OR failed_until <= :now)"
                    ),
                    ExpressionAttributeValues={":until": {"N": str(now + seconds)}, ":now": {"N": str(now)}},
                    ReturnValues="ALL_NEW",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return None
            return answer["Attributes"].get("document", {"S": ""})["S"]
        return ""

    def read_claim(self, key: str, now: int) -> Claim:
        """How it stands with ``key`` at ``now`` (epoch seconds)."""
        with ignore_cache_errors():
            answer = self._client.get_item(TableName=self._table, Key={"key": {"S": key}}, ConsistentRead=True)
            item = answer.get("Item", {})
            failed = int(item.get("failed_until", {"N": "0"})["N"]) > now
            return Claim(
                is_held=int(item.get("claimed_until", {"N": "0"})["N"]) > now,
                failure=item["failure"]["S"] if failed else None,
            )
        return Claim()

    def fail(self, key: str, failure: str, until: int, expires_at: int) -> None:
        """Give ``key`` back with the words of a ``failure``: until then (epoch seconds) nobody can claim it.

        The document beside the claim stays as it is.
        """
        self._give_back(key, expires_at, failed_until={"N": str(until)}, failure={"S": failure})

    def release(self, key: str, document: str, expires_at: int) -> None:
        """Give ``key`` back, with a document for whoever claims it next."""
        self._give_back(key, expires_at, document={"S": document})

    def _give_back(self, key: str, expires_at: int, **attributes: Any) -> None:
        attributes |= {"claimed_until": {"N": "0"}, "expires_at": {"N": str(expires_at)}}
        with ignore_cache_errors():
            self._client.update_item(
                TableName=self._table,
                Key={"key": {"S": key}},
                UpdateExpression=f"SET {', '.join(f'{name} = :{name}' for name in attributes)}",
                ExpressionAttributeValues={f":{name}": value for name, value in attributes.items()},
            )


@contextmanager
def ignore_cache_errors() -> Iterator[None]:
    """A cache that cannot be reached must not keep anybody from trading."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        logger.warning("cache not reached", error=type(error).__name__)
