"""DynamoDB as the tables use it: errors in our words, conditional writes, many items at a time, typed documents.

What comes in batches is taken as DynamoDB sends it: ``{"S": text}`` and ``{"N": text}`` as ever, and ``{"B": text}`` in
base64. botocore would look at every attribute of every item by itself, at 16 µs for the smallest in place of 2.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import batched
from typing import TYPE_CHECKING, Any
from zlib import crc32

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError

from botbalance.deadline import require_time_left
from botbalance.errors import TransientError
from botbalance.log import alarm

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STORAGE_UNAVAILABLE = "storage_unavailable"
UNKNOWN_SCHEMA = "unknown_schema"
"""The code of what another version of the code has written."""
SHARDS = 32
"""Into so many partitions users are divided. A deployment keeps the number that it began with: whoever was written
under another would not be found any more.

To read a million users on autopilot is to read 61 MB, 7,500 RCU: 230 a partition, which has 3,000 a second. To switch
them on or off is a WCU each, and 32 partitions take 32,000 a second: nearly what AWS allows any table unasked.
"""
_KEYS_PER_REQUEST = 100
_MOST_QUERIES = 10
"""After so many a page is answered as it is: a filter that few items pass must not read a whole history."""
_ATTEMPTS = 5
_CONFLICT_WAIT_S = 0.02
_CONDITIONS = {"ConditionalCheckFailedException", "TransactionCanceledException", "TransactionConflictException"}
_RAW_ITEMS: ContextVar[bool] = ContextVar("raw_items", default=False)
_ITEMS = {"Query": "Items", "BatchGetItem": "Responses"}
"""Where the items are in an answer, by operation."""


def shard_name(user_id: str) -> str:
    """The partition that a user is in."""
    return str(crc32(user_id.encode()) % SHARDS)


@contextmanager
def translate_aws_errors(service: str = "the database") -> Iterator[None]:
    """Raise TransientError for whatever ``service`` does not do: throttled, timed out, unreachable, refused.

    Also a decorator. A write inside may have been applied all the same: read again before deciding on it.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        what = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise TransientError(STORAGE_UNAVAILABLE, f"{service} did not do what it was asked to ({what})") from error


def failed_conditions(write: Callable[[], Any]) -> list[bool]:
    """Run ``write``; which of its conditions did not hold, in the order of its parts; empty where it was written.

    Two writes that meet at one item keep each other from being written: then it is tried again. Raises TransientError
    for every other failure.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        codes = _error_codes(write)
        failed = [code.startswith("ConditionalCheckFailed") for code in codes]
        if not codes or any(failed):
            return failed
        if "TransactionConflict" not in codes or attempt == _ATTEMPTS:
            break
        time.sleep(attempt * _CONFLICT_WAIT_S)
    raise TransientError(STORAGE_UNAVAILABLE, f"the database did not write ({', '.join(codes)})")


def _error_codes(write: Callable[[], Any]) -> list[str]:
    """What kept each part of ``write`` from being written, or the whole of it; empty where it was written."""
    with translate_aws_errors():
        try:
            write()
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CONDITIONS:
                raise
            reasons = error.response.get("CancellationReasons", ())
            codes = [str(reason.get("Code", "None")) for reason in reasons]
            return codes or [error.response["Error"]["Code"].removesuffix("Exception")]
    return []


def try_write(write: Callable[[], Any]) -> bool:
    """Run ``write``; False where its condition did not hold. Raises TransientError for every other failure."""
    return not failed_conditions(write)


def parse_document[M: BaseModel](model: type[M], document: str | bytes) -> M:
    """A stored document; raises TransientError for one that this version of the code does not understand.

    A newer version may have written it: to go on with a part of it would lose the rest with the next write.
    """
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, found["loc"])) for found in error.errors())
        message = f"a stored {model.__name__} is not of a known form ({fields}): it was written by another version"
        raise TransientError(UNKNOWN_SCHEMA, message) from None


def keep_deadlines(client: Any) -> None:
    """Let no request of ``client`` begin, nor be repeated, when the run has no time left."""
    service = client.meta.service_model.service_name
    client.meta.events.register(f"before-send.{service}", lambda **_: require_time_left(), unique_id="deadline")


def enable_raw_items(client: "DynamoDBClient") -> None:
    """Let ``client`` give items as DynamoDB sends them within :func:`raw_items`; any number of times."""
    for operation in _ITEMS:
        client.meta.events.register(f"before-parse.dynamodb.{operation}", _take, unique_id=f"raw-items-{operation}")


@contextmanager
def raw_items() -> Iterator[None]:
    """Have items as DynamoDB sends them."""
    token = _RAW_ITEMS.set(True)
    try:
        yield
    finally:
        _RAW_ITEMS.reset(token)


def _take(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """A hook of botocore's, called before it parses."""
    if _RAW_ITEMS.get() and response_dict["status_code"] == 200:
        name = _ITEMS[operation_model.name]
        answer = json.loads(response_dict["body"])
        customized_response_dict[name] = answer.pop(name)
        response_dict["body"] = json.dumps(answer).encode()


def read_item(client: "DynamoDBClient", table: str, key: Any) -> Any:
    """The item at ``key``, as last written; None where there is none."""
    with translate_aws_errors():
        return client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def read_batches(
    client: "DynamoDBClient", table: str, keys: Sequence[Any], *, consistent: bool = True
) -> Iterator[Any]:
    """The items of those of ``keys`` (all different) that are there, in any order.

    As last written, or, at half the price, as they were a moment ago if not ``consistent``. Raises TransientError where
    DynamoDB has no capacity left to read them all.
    """
    for chunk in batched(keys, _KEYS_PER_REQUEST, strict=False):
        wanted: Any = {table: {"Keys": list(chunk), "ConsistentRead": consistent}}
        for _ in range(_ATTEMPTS):
            with translate_aws_errors(), raw_items():
                answer = client.batch_get_item(RequestItems=wanted)
            yield from answer["Responses"].get(table, [])
            wanted = answer.get("UnprocessedKeys")
            if not wanted:
                break
        else:
            raise TransientError(STORAGE_UNAVAILABLE, "the database had no capacity left to read every item")


def read_known[T](
    client: "DynamoDBClient", table: str, keys: Sequence[Any], parse: Callable[[Any], T], *, consistent: bool = True
) -> Iterator[tuple[Any, T]]:
    """Of those of many users' ``keys`` that are there the item, and what it is to ``parse``.

    One that this version of the code does not understand is left out, with an alarm: it is no other user's trouble.
    """
    for item in read_batches(client, table, keys, consistent=consistent):
        try:
            known = parse(item)
        except TransientError as error:
            alarm(error.code, str(error), user_id=item["user_id"]["S"])
        else:
            yield item, known


def read_pages(ask: Callable[..., Any], **question: Any) -> Iterator[Any]:
    """Every item that ``ask``, a client's ``query`` or ``scan``, tells in answer to ``question``, page by page.

    botocore's paginators do the same; making one takes longer than the request.
    """
    while True:
        with translate_aws_errors():
            answer = ask(**question)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        question["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def read_page(client: "DynamoDBClient", query: dict[str, Any], limit: int) -> tuple[list[Any], Any]:
    """Up to ``limit`` items that ``query`` finds, and the key after which the others come; None where these are all."""
    items: list[Any] = []
    for _ in range(_MOST_QUERIES):
        with translate_aws_errors():
            answer = client.query(**query | {"Limit": limit - len(items)})
        items += answer["Items"]
        last = answer.get("LastEvaluatedKey")
        if last is None or len(items) == limit:
            break
        query = query | {"ExclusiveStartKey": last}
    return items, last
