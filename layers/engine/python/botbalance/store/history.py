"""The history table: what each user's portfolio was worth, one point an hour.

A point is what a look saw, and tells of nothing else: it is written by itself, and a second look in the same hour that
writes it again, because the first one died before its end, does no harm. No point expires.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from botbalance.models.history import HistoryPoint, hour_of
from botbalance.store.dynamodb import parse_document, read_pages, translate_aws_errors
from botbalance.store.pagination import TimeRange

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class HistoryTable:
    """Points by user id and the time at which their hour began."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    @translate_aws_errors()
    def write(self, user_id: str, point: HistoryPoint) -> None:
        """Write the point of an hour; raises TransientError where it is not known to be written."""
        self._client.put_item(
            TableName=self._table,
            Item={
                "user_id": {"S": user_id},
                "hour": {"N": str(hour_of(point.at))},
                "document": {"S": point.model_dump_json(exclude_none=True)},
            },
        )

    def last_of_each(self, user_id: str, hours: TimeRange, step_of: Callable[[int], str]) -> list[HistoryPoint]:
        """The last point of every step within ``hours``, oldest first; ``step_of`` names the step of a point in time.

        They may be a moment old. Only those that are returned are parsed: most of a year's hours are not.
        """
        documents: dict[str, str] = {}
        items = read_pages(
            self._client,
            TableName=self._table,
            KeyConditionExpression="user_id = :user AND #hour BETWEEN :first AND :last",
            ExpressionAttributeNames={"#hour": "hour"},
            ExpressionAttributeValues={
                ":user": {"S": user_id},
                ":first": {"N": str(hours.since)},
                ":last": {"N": str(hours.until)},
            },
        )
        for item in items:
            documents[step_of(int(item["hour"]["N"]))] = item["document"]["S"]
        return [parse_document(HistoryPoint, document) for document in documents.values()]
