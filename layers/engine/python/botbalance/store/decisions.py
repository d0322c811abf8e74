"""The decisions table: the log of what was decided in each of a user's ticks, and why.

A decision is written compressed: it is the largest thing that a tick writes, each started kilobyte costs a write unit,
and its text of names and decimals shrinks to a sixth: nine or eleven of them become two.

Ticks for which there is nothing to do are not written one by one. The decision that ends a run of them tells how many
they were: it grows with them at no cost, and the look that makes it comes within the hour.
"""

from collections.abc import Iterable
from itertools import batched
from typing import TYPE_CHECKING, Any, Literal

from botbalance.errors import NotFoundError, TransientError
from botbalance.log import alarm
from botbalance.models.decision import Decision
from botbalance.store.accounts import Lease
from botbalance.store.compression import compress, decompress
from botbalance.store.dynamodb import STORAGE_UNAVAILABLE, parse_document, read_page, translate_aws_errors, try_write
from botbalance.store.pagination import ALWAYS, Page, TimeRange, decode_cursor, encode_cursor

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LARGEST_DOCUMENT = 380_000
"""In bytes, compressed; DynamoDB takes items of 400 kB, names and all."""
_WRITES_PER_REQUEST = 25
_ATTEMPTS = 3


class DecisionsTable:
    """Decisions by user id and tick (epoch seconds, on the 30-second grid), for ``ttl_days``.

    Those that changed nothing for ``noop_ttl_days``.
    """

    def __init__(self, client: "DynamoDBClient", table: str, ttl_days: int, noop_ttl_days: int) -> None:
        self._client = client
        self._table = table
        self._ttl_s = ttl_days * 86_400
        self._noop_ttl_s = noop_ttl_days * 86_400

    def log(self, decision: Decision, lease: Lease | None) -> bool:
        """Write the decision; ``lease`` is the run's that made it, None where a tick was skipped without one.

        False where a run with a later lease has written that tick's, or, without a lease, anybody has. A decision that
        is too large for an item is logged without its inputs and its evaluation, and says so.
        """
        token = str(0 if lease is None else lease.fencing_token)
        item = self._item(decision) | {"fencing_token": {"N": token}}
        return try_write(
            lambda: self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(user_id) OR fencing_token < :mine",
                ExpressionAttributeValues={":mine": {"N": token}},
            )
        )

    def transact_log(self, decision: Decision, lease: Lease) -> Any:
        """Return :meth:`log`'s write as a part of the transaction that ends ``lease``: nobody has a later one then."""
        item = self._item(decision) | {"fencing_token": {"N": str(lease.fencing_token)}}
        return {"Put": {"TableName": self._table, "Item": item}}

    def log_noops(self, decisions: Iterable[Decision]) -> None:
        """Write decisions that changed nothing, many to a request; raises TransientError for what cannot be written
        now.

        Each is its tick's one run's, so nobody has logged another.
        """
        for chunk in batched(map(self._item, decisions), _WRITES_PER_REQUEST, strict=False):
            writes: Any = {self._table: [{"PutRequest": {"Item": item}} for item in chunk]}
            for _ in range(_ATTEMPTS):
                with translate_aws_errors():
                    writes = self._client.batch_write_item(RequestItems=writes).get("UnprocessedItems")
                if not writes:
                    break
            else:
                raise TransientError(STORAGE_UNAVAILABLE, "the database had no capacity left to log every tick")

    def _item(self, decision: Decision) -> dict[str, Any]:
        kept_s = self._noop_ttl_s if decision.is_noop else self._ttl_s
        expires_at = {"N": str(decision.ts_tick + kept_s)}
        document = _document(decision)
        size = len(document)
        if size > LARGEST_DOCUMENT:
            alarm("decision_too_large", "a decision was logged in part", user_id=decision.user_id, bytes=size)
            note = f"too large to be logged whole ({size} bytes); inputs and evaluation are left out"
            reason = note if decision.reason is None else f"{decision.reason[:10_000]}; {note}"
            part = {"inputs": None, "evaluation": None, "reason": reason}
            document = _document(decision.model_copy(update=part))
        return {
            **_key(decision.user_id, decision.ts_tick),
            "expires_at": expires_at,
            "outcome": {"S": decision.outcome},
            "document": {"B": document},
        }

    def get(self, user_id: str, ts_tick: int) -> Decision:
        """One decision, whole; raises NotFoundError."""
        with translate_aws_errors():
            item = self._client.get_item(TableName=self._table, Key=_key(user_id, ts_tick)).get("Item")
        if item is None:
            raise NotFoundError("decision_not_found", f"ts_tick is {ts_tick}, expected a tick with a logged decision")
        return _decision(item)

    def page(
        self,
        user_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        ticks: TimeRange = ALWAYS,
        outcome: Literal["decided", "skipped"] | None = None,
    ) -> Page[Decision]:
        """The user's decisions of a period, newest first; raises InvalidRequestError for a cursor that is not ours.

        With ``outcome`` only those; a page may then hold fewer than ``limit``, and still not be the last.
        """
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "user_id = :user AND ts_tick BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":user": {"S": user_id},
                ":first": {"N": str(ticks.since)},
                ":last": {"N": str(ticks.until)},
            },
            "ScanIndexForward": False,
        }
        if outcome is not None:
            query["FilterExpression"] = "outcome = :outcome"
            query["ExpressionAttributeValues"][":outcome"] = {"S": outcome}
        if cursor is not None:
            (ts_tick,) = decode_cursor(cursor, "[0-9]{1,11}")
            ticks.require(cursor, int(ts_tick))
            query["ExclusiveStartKey"] = {"user_id": {"S": user_id}, "ts_tick": {"N": ts_tick}}
        items, last = read_page(self._client, query, limit)
        return Page([_decision(item) for item in items], encode_cursor(last["ts_tick"]["N"]) if last else None)


def _key(user_id: str, ts_tick: int) -> dict[str, Any]:
    return {"user_id": {"S": user_id}, "ts_tick": {"N": str(ts_tick)}}


def _document(decision: Decision) -> bytes:
    return compress(decision.model_dump_json().encode())


def _decision(item: Any) -> Decision:
    return parse_document(Decision, decompress(item["document"]["B"]))
