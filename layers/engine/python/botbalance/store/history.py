"""The history table: what each user's portfolio was worth, one point an hour.

An item holds the points of half a day, an attribute an hour: what DynamoDB adds to an item, and its keys, weigh more
than a point; and so many fit into the kilobyte that a write unit pays for.

A point is what a look saw, and tells of nothing else: it is written by itself, and a second look in the same hour that
writes it again, because the first one died before its end, does no harm. No point expires.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botbalance.engine.durations import HOUR_S
from botbalance.models.history import HistoryPoint
from botbalance.store.compression import compress, decompress
from botbalance.store.dynamodb import parse_document, read_pages, translate_aws_errors
from botbalance.store.pagination import TimeRange

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_HOURS = [f"h{hour:02}" for hour in range(12)]
"""The attributes of an item's points."""
_ITEM_S = len(_HOURS) * HOUR_S


class HistoryTable:
    """Points by user id and the time at which their half of the day began (UTC, in epoch seconds)."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    @translate_aws_errors()
    def write(self, user_id: str, point: HistoryPoint) -> None:
        """Write the point of an hour; raises TransientError where it is not known to be written."""
        document = point.model_dump_json(exclude_none=True).encode()
        self._client.update_item(
            TableName=self._table,
            Key={"user_id": {"S": user_id}, "begins_at": {"N": str(_day_start(point.at))}},
            UpdateExpression=f"SET {_HOURS[point.at % _ITEM_S // HOUR_S]} = :point",
            ExpressionAttributeValues={":point": {"B": compress(document)}},
        )

    def last_of_each(self, user_id: str, hours: TimeRange, step_of: Callable[[int], str]) -> list[HistoryPoint]:
        """The last point of every step within ``hours``, oldest first; ``step_of`` names the step of a point in time.

        They may be a moment old. Only those that are returned are parsed: most of a year's hours are not.
        """
        documents: dict[str, bytes] = {}
        items = read_pages(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression="user_id = :user AND begins_at BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":user": {"S": user_id},
                ":first": {"N": str(_day_start(hours.since))},
                ":last": {"N": str(_day_start(hours.until))},
            },
        )
        for item in items:
            for hour, document in _points(item):
                if hours.since <= hour <= hours.until:
                    documents[step_of(hour)] = document
        return [parse_document(HistoryPoint, decompress(document)) for document in documents.values()]


def _points(item: Any) -> list[tuple[int, bytes]]:
    """The points of an item, each with the time at which its hour began."""
    first = int(item["begins_at"]["N"])
    return [(first + HOUR_S * hour, item[name]["B"]) for hour, name in enumerate(_HOURS) if name in item]


def _day_start(moment: int) -> int:
    """When the half of the day of ``moment`` began (both in epoch seconds)."""
    return moment - moment % _ITEM_S
