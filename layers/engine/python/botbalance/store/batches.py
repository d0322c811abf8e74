"""Many items of one table: by their keys in few requests, or page by page."""

from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

from botbalance.errors import TryAgainLater
from botbalance.store.conditions import STORAGE_UNAVAILABLE, in_our_words

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEYS_PER_REQUEST = 100
_ATTEMPTS = 5


def read_batches(
    client: "DynamoDBClient", table: str, keys: Sequence[Any], *, consistent: bool = True
) -> Iterator[Any]:
    """The items of those of ``keys`` (all different) that are there, in any order.

    As last written, or, at half the price, as they were a moment ago if not ``consistent``. Raises TryAgainLater where
    DynamoDB has no capacity left to read them all.
    """
    for chunk in batched(keys, _KEYS_PER_REQUEST, strict=False):
        wanted: Any = {table: {"Keys": list(chunk), "ConsistentRead": consistent}}
        for _ in range(_ATTEMPTS):
            with in_our_words():
                answer = client.batch_get_item(RequestItems=wanted)
            yield from answer["Responses"].get(table, [])
            wanted = answer.get("UnprocessedKeys")
            if not wanted:
                break
        else:
            raise TryAgainLater(STORAGE_UNAVAILABLE, "the database had no capacity left to read every item")


def read_pages(client: "DynamoDBClient", **query: Any) -> Iterator[Any]:
    """Every item that ``query`` finds, page by page.

    botocore's paginators do the same; making one takes longer than the request.
    """
    return _pages(client.query, query)


def read_scan(client: "DynamoDBClient", **scan: Any) -> Iterator[Any]:
    """Every item of a table or an index, page by page."""
    return _pages(client.scan, scan)


def _pages(ask: Callable[..., Any], question: dict[str, Any]) -> Iterator[Any]:
    while True:
        with in_our_words():
            answer = ask(**question)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        question["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
