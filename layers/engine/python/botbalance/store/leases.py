"""The leases table: at most one run works on a user's account at a time.

Ticks, executions and cancellations each decide on what they have read; two at once would both find a pair free and
both order it. A lease outlives the longest function, so that whoever is killed while holding one is gone for certain
when it expires.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from botbalance.errors import Conflict
from botbalance.store.conditions import holds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEASE_S = 90
"""Longer than any function may run, and a request of its last moment may take to arrive."""


class LeasesTable:
    """Leases by user id; ``expires_at`` in epoch seconds, also the table's TTL."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    @contextmanager
    def held(self, user_id: str, clock: Callable[[], int]) -> Iterator[None]:
        """Work on the user's account alone; raises Conflict where another run does. ``clock``: epoch seconds."""
        holder = uuid4().hex
        now = clock()
        if not holds(
            lambda: self._client.put_item(
                TableName=self._table,
                Item={
                    "user_id": {"S": user_id},
                    "holder": {"S": holder},
                    "expires_at": {"N": str(now + LEASE_S)},
                },
                ConditionExpression="attribute_not_exists(user_id) OR expires_at <= :now OR holder = :holder",
                ExpressionAttributeValues={":now": {"N": str(now)}, ":holder": {"S": holder}},
            )
        ):
            raise Conflict("account_busy", "another run works on this account at the moment; try again in a minute")
        try:
            yield
        finally:
            holds(
                lambda: self._client.delete_item(
                    TableName=self._table,
                    Key={"user_id": {"S": user_id}},
                    ConditionExpression="holder = :holder",
                    ExpressionAttributeValues={":holder": {"S": holder}},
                )
            )
