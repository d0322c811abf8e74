"""The leases table: at most one run works on a user's account at a time, and each tick has one run at most.

Ticks, executions and cancellations each decide on what they have read; two at once would both find a pair free and
both order it. Taking the lease raises its number, and every later write of the run checks that number in the same
transaction: a run that was held up for longer than its lease can write nothing any more, and so send nothing. The
lease outlives the longest function, so whoever is killed while holding one is gone for certain when it ends.

The item also carries what the last run saw of the account, which costs no read of its own, and, where it left the
account in order, within which prices nothing can happen. Whoever takes the lease takes that away, so it is there only
as long as nobody has worked on the account since. Both are kept compressed: a started kilobyte costs a write unit.
"""

import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from botocore.exceptions import ClientError

from botbalance.errors import Conflict, TryAgainLater
from botbalance.log import logger
from botbalance.store.batches import read_batches
from botbalance.store.conditions import in_our_words

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

LEASE_LOST = "lease_lost"
LEASE_S = 90
"""Longer than any function may run, and a request of its last moment may take to arrive."""
SEND_AND_SETTLE_S = 15
"""What one request to an exchange and the write after it may take: nothing is sent with less time than that left."""


class Lease:
    """The right to work on one user's account, for as long as nobody else has taken it.

    ``number`` is raised with each taking. ``ends_at`` in epoch seconds: when it ends by itself, or its holder is
    stopped. ``memory`` is what the last run noted, as JSON; whatever stands there at the end is noted for the next.
    ``quiet`` is what the holder leaves for ticks that need not look at the account, as JSON; None: the next one looks.
    """

    def __init__(self, table: str, user_id: str, number: int, ends_at: int, memory: str | None) -> None:
        self._table = table
        self.user_id = user_id
        self.number = number
        self.ends_at = ends_at
        self.memory = memory
        self.quiet: str | None = None

    def check(self) -> "TransactWriteItemTypeDef":
        """The part of a transaction that lets it happen only while the lease is this run's."""
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": {"user_id": {"S": self.user_id}},
                "ConditionExpression": "lease_number = :mine",
                "ExpressionAttributeValues": {":mine": {"N": str(self.number)}},
            }
        }

    def require_time(self, now: int) -> None:
        """Raise TryAgainLater where too little time is left at ``now`` (epoch seconds) to send and settle an order."""
        if now + SEND_AND_SETTLE_S > self.ends_at:
            left = max(0, self.ends_at - now)
            raise TryAgainLater("out_of_time", f"{left} s are left, expected {SEND_AND_SETTLE_S} to send and settle")


class LastRun(NamedTuple):
    """What is known of a user's runs: the last tick that one was begun for (-1: none), and what the last one left."""

    last_tick: int
    quiet: str | None


class LeasesTable:
    """Leases by user id: one small item a user, kept for good, so that a number never comes twice."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    @contextmanager
    def held(self, user_id: str, clock: Callable[[], int], *, until: int) -> Iterator[Lease]:
        """Work on the user's account alone; raises Conflict where another run does.

        ``clock`` gives epoch seconds; ``until`` is the epoch second at which the function ends.
        """
        lease, found = self._take(user_id, clock(), until, ts_tick=None)
        if lease is None:
            raise _busy(found, clock())
        with self._released(lease):
            yield lease

    @contextmanager
    def held_for_tick(
        self, user_id: str, ts_tick: int, clock: Callable[[], int], *, until: int
    ) -> Iterator[Lease | None]:
        """As :meth:`held`, and claims the tick: None where this one, or a later one, has had its run already."""
        lease, found = self._take(user_id, clock(), until, ts_tick)
        if lease is not None:
            with self._released(lease):
                yield lease
        elif int(found.get("last_tick", {"N": "-1"})["N"]) >= ts_tick:
            yield None
        else:
            raise _busy(found, clock())

    def last_runs(self, user_ids: Collection[str]) -> dict[str, LastRun]:
        """What is known of the runs of those of ``user_ids`` who had any, by user id, as it was a moment ago.

        What is a moment old can only keep somebody from looking for one tick more.
        """
        keys: list[Any] = [{"user_id": {"S": user_id}} for user_id in set(user_ids)]
        return {
            item["user_id"]["S"]: LastRun(int(item.get("last_tick", {"N": "-1"})["N"]), _text(item, "quiet"))
            for item in read_batches(self._client, self._table, keys, consistent=False)
        }

    @in_our_words()
    def _take(self, user_id: str, now: int, until: int, ts_tick: int | None) -> tuple[Lease | None, Any]:
        """The lease, or None with the item as it is."""
        holder = uuid4().hex
        ends_at = now + LEASE_S
        update = "SET lease_number = if_not_exists(lease_number, :none) + :one, holder = :holder, ends_at = :ends_at"
        condition = "(attribute_not_exists(user_id) OR ends_at <= :now)"
        values = {
            ":none": {"N": "0"},
            ":one": {"N": "1"},
            ":holder": {"S": holder},
            ":ends_at": {"N": str(ends_at)},
            ":now": {"N": str(now)},
        }
        if ts_tick is not None:
            update += ", last_tick = :tick"
            condition += " AND (attribute_not_exists(last_tick) OR last_tick < :tick)"
            values[":tick"] = {"N": str(ts_tick)}
        update += " REMOVE quiet"
        try:
            item: Any = self._client.update_item(
                TableName=self._table,
                Key={"user_id": {"S": user_id}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )["Attributes"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            # Not every engine tells what is there. A request that timed out and was repeated finds itself carried out.
            item = error.response.get("Item") or self._item(user_id)
            if item.get("holder") != {"S": holder}:
                return None, item
        memory = _text(item, "memory")
        return Lease(self._table, user_id, int(item["lease_number"]["N"]), min(ends_at, until), memory), item

    def _item(self, user_id: str) -> Any:
        key: Any = {"user_id": {"S": user_id}}
        return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {})

    @contextmanager
    def _released(self, lease: Lease) -> Iterator[None]:
        noted = lease.memory
        try:
            yield
        finally:
            update = "SET ends_at = :ended"
            values: dict[str, Any] = {":ended": {"N": "0"}, ":mine": {"N": str(lease.number)}}
            if lease.memory is not None and lease.memory != noted:
                update += ", memory = :memory"
                values[":memory"] = {"B": zlib.compress(lease.memory.encode())}
            if lease.quiet is not None:
                update += ", quiet = :quiet"
                values[":quiet"] = {"B": zlib.compress(lease.quiet.encode())}
            try:
                with in_our_words():
                    self._client.update_item(
                        TableName=self._table,
                        Key={"user_id": {"S": lease.user_id}},
                        UpdateExpression=update,
                        ConditionExpression="lease_number = :mine",
                        ExpressionAttributeValues=values,
                    )
            except TryAgainLater as error:  # it ends by itself; what the run did is not undone by that
                logger.warning("lease not given back", user_id=lease.user_id, reason=str(error))


def _text(item: Any, name: str) -> str | None:
    return zlib.decompress(item[name]["B"]).decode() if name in item else None


def _busy(found: Any, now: int) -> Conflict:
    seconds = max(1, int(found.get("ends_at", {"N": "0"})["N"]) - now)
    return Conflict(
        "account_busy",
        f"another run works on this account at the moment; it is free again in {seconds} s at the latest",
    )
