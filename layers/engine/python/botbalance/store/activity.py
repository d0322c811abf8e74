"""The activity table: an append-only trail of what was done to each user's account, by whom.

An item is written in the transaction of what it tells, so that neither is ever there without the other; what tells of
nothing written (a key that was refused) is written by itself. No function may update or delete one, and none expires.
The table's stream hands every new item on, once it is there.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botbalance.models.activity import Activity, ActivityKind
from botbalance.store.dynamodb import parse_document, read_page, read_pages, translate_aws_errors
from botbalance.store.pagination import ALWAYS, Page, TimeRange, decode_cursor, encode_cursor

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_AFTER_EVERY_ID = "~"
"""Sorts after the ``#`` of any id of the same moment."""


class ActivityTable:
    """Activities by user id and time."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def transact_put(self, activity: Activity) -> "TransactWriteItemTypeDef":
        """The part of a transaction that appends ``activity``."""
        return {
            "Put": {
                "TableName": self._table,
                "Item": {
                    "user_id": {"S": activity.user_id},
                    "activity_id": {"S": activity.activity_id},
                    "action": {"S": activity.action},
                    "document": {"S": activity.model_dump_json(exclude_none=True)},
                },
                "ConditionExpression": "attribute_not_exists(user_id)",
            }
        }

    def append(self, activity: Activity) -> None:
        """Append ``activity`` alone; raises TransientError where it is not known to be written."""
        with translate_aws_errors():
            self._client.transact_write_items(TransactItems=[self.transact_put(activity)])

    def page(
        self,
        user_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        occurred: TimeRange = ALWAYS,
        action: ActivityKind | None = None,
    ) -> Page[Activity]:
        """The user's activities of a period, newest first; raises InvalidRequestError for a cursor that is not ours.

        With ``action`` only those; a page may then hold fewer than ``limit``, and still not be the last.
        """
        query = self._query(user_id, occurred)
        if action is not None:
            query["FilterExpression"] = "#action = :action"
            query["ExpressionAttributeNames"] = {"#action": "action"}
            query["ExpressionAttributeValues"][":action"] = {"S": action}
        if cursor is not None:
            (activity_id,) = decode_cursor(cursor, "[0-9]{13}#[0-9a-f]{12}")
            occurred.require(cursor, int(activity_id[:13]) // 1000)
            query["ExclusiveStartKey"] = {"user_id": {"S": user_id}, "activity_id": {"S": activity_id}}
        items, last = read_page(self._client, query, limit)
        return Page(list(map(_activity, items)), encode_cursor(last["activity_id"]["S"]) if last else None)

    def iter_all(self, user_id: str, occurred: TimeRange) -> Iterator[Activity]:
        """All activities of the user in a period, newest first."""
        return map(_activity, read_pages(self._client.query, **self._query(user_id, occurred)))

    def _query(self, user_id: str, occurred: TimeRange) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "KeyConditionExpression": "user_id = :user AND activity_id BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":user": {"S": user_id},
                ":first": {"S": _first_id(occurred.since)},
                ":last": {"S": f"{_first_id(occurred.until)[:10]}999{_AFTER_EVERY_ID}"},
            },
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }


def _activity(item: Any) -> Activity:
    return parse_document(Activity, item["document"]["S"])


def _first_id(second: int) -> str:
    """Sorts before every id of that epoch second, which has at most ten digits here."""
    return f"{min(second, 9_999_999_999) * 1000:013}"
