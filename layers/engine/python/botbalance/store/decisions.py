"""The decisions table: the claim on a user's tick, and the log of what was decided in it and why."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from botbalance.errors import NotThere
from botbalance.store.conditions import holds
from botbalance.store.cursors import decode_cursor, encode_cursor

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SCHEMA_VERSION = 1


class Decision(BaseModel):
    """One tick of one user, complete enough to be computed again bit for bit.

    ``outcome``: ``decided`` (possibly to do nothing), or ``skipped`` with the reason why no decision could be
    made. ``inputs`` are what the engine was given, ``evaluation`` what it answered.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    user_id: str
    ts_tick: int
    decided_at: int
    outcome: Literal["decided", "skipped"]
    reason: str | None = None
    engine_version: str
    inputs: dict[str, Any] | None = None
    evaluation: dict[str, Any] | None = None
    canceled: dict[str, str] = {}
    """Client order id → why its order was given up."""
    placed: list[dict[str, Any]] = []
    """The orders of this decision, as they stood when it was logged."""


class DecisionPage(BaseModel):
    """A page of decisions, newest first; ``cursor`` asks for the next one, None where this was the last."""

    decisions: list[Decision]
    cursor: str | None


class DecisionsTable:
    """Decisions by user id and tick (epoch seconds, on the 30-second grid)."""

    def __init__(self, client: "DynamoDBClient", table: str, ttl_days: int) -> None:
        self._client = client
        self._table = table
        self._ttl_s = ttl_days * 86_400

    def claim(self, user_id: str, ts_tick: int) -> bool:
        """Take the tick for this worker. False where another one has it, or had it."""
        return holds(
            lambda: self._client.put_item(
                TableName=self._table,
                Item={**_key(user_id, ts_tick), "expires_at": {"N": str(ts_tick + self._ttl_s)}},
                ConditionExpression="attribute_not_exists(user_id)",
            )
        )

    def log(self, decision: Decision) -> None:
        """Write the decision into its claim."""
        self._client.put_item(
            TableName=self._table,
            Item={
                **_key(decision.user_id, decision.ts_tick),
                "expires_at": {"N": str(decision.ts_tick + self._ttl_s)},
                "document": {"S": decision.model_dump_json()},
            },
        )

    def get(self, user_id: str, ts_tick: int) -> Decision:
        """One decision, whole; raises NotThere."""
        item = self._client.get_item(TableName=self._table, Key=_key(user_id, ts_tick)).get("Item")
        if item is None or "document" not in item:
            raise NotThere("decision_not_found", f"ts_tick is {ts_tick}, expected a tick with a logged decision")
        return Decision.model_validate_json(item["document"]["S"])

    def page(self, user_id: str, *, limit: int, cursor: str | None = None) -> DecisionPage:
        """The user's decisions, newest first; raises MendRequest for a cursor that is not one of ours."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "user_id = :user",
            "FilterExpression": "attribute_exists(document)",
            "ExpressionAttributeValues": {":user": {"S": user_id}},
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if cursor is not None:
            (ts_tick,) = decode_cursor(cursor, "[0-9]{1,11}")
            query["ExclusiveStartKey"] = {"user_id": {"S": user_id}, "ts_tick": {"N": ts_tick}}
        answer = self._client.query(**query)
        last = answer.get("LastEvaluatedKey")
        return DecisionPage(
            decisions=[Decision.model_validate_json(item["document"]["S"]) for item in answer["Items"]],
            cursor=encode_cursor(last["ts_tick"]["N"]) if last else None,
        )


def _key(user_id: str, ts_tick: int) -> dict[str, Any]:
    return {"user_id": {"S": user_id}, "ts_tick": {"N": str(ts_tick)}}
