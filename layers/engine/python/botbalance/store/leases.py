"""The leases table: at most one run works on a user's account at a time, and each tick has one run at most.

Ticks, executions and cancellations each decide on what they have read; two at once would both find a pair free and
both order it. Taking the lease raises its number, and every later write of the run checks that number in the same
transaction: a run that was held up for longer than its lease can write nothing any more, and so send nothing. The
lease outlives the longest function, so whoever is killed while holding one is gone for certain when it ends.

Most looks at an account find nothing to do. A tick that has read this item beforehand, in a batch with many others, and
knows from it that no order is to be watched, looks first: it takes the lease with the first order that it writes, or,
where there is none, with what it notes at the end, on condition that nobody has had it since the item was read.

The item also carries what the last run saw of the account, which costs no read of its own, and, where it left the
account in order, within which prices nothing can happen. Whoever takes the lease takes that away, so it is there only
as long as nobody has worked on the account since. Both are kept compressed: a started kilobyte costs a write unit.
"""

import zlib
from base64 import b64decode
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from botocore.exceptions import ClientError

from botbalance.errors import ConflictError, TransientError
from botbalance.log import logger
from botbalance.store.batches import read_batches, take_items_as_sent
from botbalance.store.conditions import holds, translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

LEASE_LOST = "lease_lost"
LEASE_S = 90
"""Longer than any function may run, and a request of its last moment may take to arrive."""
SEND_AND_SETTLE_S = 15
"""What one request to an exchange and the write after it may take: nothing is sent with less time than that left."""


class Claim(NamedTuple):
    """How a lease is taken that was found free: by whom, until when (epoch seconds), and for which tick."""

    holder: str
    ends_at: int
    ts_tick: int


class Lease:
    """The right to work on one user's account, for as long as nobody else has taken it.

    ``number`` is raised with each taking. ``ends_at`` in epoch seconds: when it ends by itself, or its holder is
    stopped. ``memory`` is what the last run noted, as JSON; whatever stands there at the end is noted for the next.
    ``nothing_watched`` tells whether that run left no order whose end is not known. What the holder leaves itself:
    ``leaves_nothing_watched``, and ``leaves_quiet`` for ticks that need not look at the account, as JSON; None: the
    next one looks.
    """

    def __init__(
        self,
        table: str,
        user_id: str,
        number: int,
        ends_at: int,
        memory: str | None,
        *,
        nothing_watched: bool = False,
        claim: "Claim | None" = None,
    ) -> None:
        """``claim`` is how it is taken with the first write, or at its end; None where it is taken already."""
        self._table = table
        self._claim = claim
        self.user_id = user_id
        self.number = number
        self.ends_at = ends_at
        self.memory = memory
        self.nothing_watched = nothing_watched
        self.leaves_nothing_watched = False
        self.leaves_quiet: str | None = None

    def write(self, client: "DynamoDBClient", part: "TransactWriteItemTypeDef") -> None:
        """Carry out ``part``, of an order, in one transaction with the proof that the lease is this run's."""
        self.leaves_nothing_watched = False
        mine: TransactWriteItemTypeDef = (
            {"Update": self._taking(self._claim)} if self._claim is not None else {"ConditionCheck": self._mine()}
        )
        client.transact_write_items(TransactItems=[mine, part])
        self._claim = None

    def give_back(self, client: "DynamoDBClient", noted: str | None) -> None:
        """End it, and leave what there is to leave; ``noted`` is the memory as it was when it began.

        Where it was not taken until now, ConflictError is raised if somebody else has had it meanwhile, and
        TransientError if that is not known.
        """
        left: dict[str, Any] = {"ends_at": {"N": "0"}}
        if self.memory is not None and self.memory != noted:
            left["memory"] = {"B": zlib.compress(self.memory.encode())}
        if self.leaves_quiet is not None:
            left["quiet"] = {"B": zlib.compress(self.leaves_quiet.encode())}
        if self.leaves_nothing_watched:
            left["nothing_watched_after"] = {"N": str(self.number)}
        if self._claim is not None:
            taking = self._taking(self._claim, left)
            if not holds(lambda: client.update_item(**taking)):
                raise ConflictError(
                    LEASE_LOST, "another run has worked on this account meanwhile; the next tick looks again"
                )
            return
        giving_back = self._mine()
        giving_back["UpdateExpression"] = _set(left)
        giving_back["ExpressionAttributeValues"] |= _values(left)
        try:
            with translate_aws_errors():
                client.update_item(**giving_back)
        except TransientError as error:  # it ends by itself; what the run did is not undone by that
            logger.warning("lease not given back", user_id=self.user_id, reason=str(error))

    def _mine(self) -> Any:
        return {
            "TableName": self._table,
            "Key": {"user_id": {"S": self.user_id}},
            "ConditionExpression": "lease_number = :mine",
            "ExpressionAttributeValues": {":mine": {"N": str(self.number)}},
        }

    def _taking(self, claim: "Claim", left: Mapping[str, Any] = MappingProxyType({})) -> Any:
        """Take what comes after the lease that was seen, or, repeated, find it taken.

        That one had ended, and its tick was an older one; both stay as they are until somebody takes the next.
        """
        sets = {
            "lease_number": {"N": str(self.number)},
            "holder": {"S": claim.holder},
            "ends_at": {"N": str(claim.ends_at)},
            "last_tick": {"N": str(claim.ts_tick)},
            **left,
        }
        seen = {":seen": {"N": str(self.number - 1)}}
        return {
            "TableName": self._table,
            "Key": {"user_id": {"S": self.user_id}},
            "UpdateExpression": _set(sets) if "quiet" in sets else f"{_set(sets)} REMOVE quiet",
            "ConditionExpression": "lease_number = :seen OR (lease_number = :lease_number AND holder = :holder)",
            "ExpressionAttributeValues": _values(sets) | seen,
        }

    def require_time(self, now: int) -> None:
        """Raise TransientError where too little time is left at ``now`` (epoch seconds) to send and settle an order."""
        if now + SEND_AND_SETTLE_S > self.ends_at:
            left = max(0, self.ends_at - now)
            raise TransientError("out_of_time", f"{left} s are left, expected {SEND_AND_SETTLE_S} to send and settle")


class LastRun(NamedTuple):
    """What is known of a user's runs, as it was a moment ago.

    ``last_tick`` is the last one that a run was begun for, ``number`` the last lease's and ``ends_at`` its end (epoch
    seconds). The rest is what that run left: see :class:`Lease`.
    """

    last_tick: int
    number: int
    ends_at: int
    nothing_watched: bool
    memory: bytes | None
    quiet: bytes | None

    def quiet_note(self) -> str | None:
        """What it left for quiet ticks, as JSON."""
        return _text(self.quiet)


class LeasesTable:
    """Leases by user id: one small item a user, kept for good, so that a number never comes twice."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table
        take_items_as_sent(client)

    @contextmanager
    def held(self, user_id: str, clock: Callable[[], int], *, until: int) -> Iterator[Lease]:
        """Work on the user's account alone; raises ConflictError where another run does.

        ``clock`` gives epoch seconds; ``until`` is the epoch second at which the function ends.
        """
        lease, found = self._take(user_id, clock(), until, ts_tick=None)
        if lease is None:
            raise _busy(found, clock())
        with self._given_back(lease):
            yield lease

    @contextmanager
    def held_for_tick(
        self, user_id: str, ts_tick: int, clock: Callable[[], int], *, until: int, last: LastRun | None = None
    ) -> Iterator[Lease | None]:
        """As :meth:`held`, and claims the tick: None where this one, or a later one, has had its run already.

        Where ``last``, which must have been read before anything of the account is, left no order to be watched, the
        lease is only taken with the first write, or at the end. ConflictError or TransientError is raised then where it
        could not be, and nothing was done.
        """
        now = clock()
        if last is not None and last.last_tick >= ts_tick:
            yield None
            return
        if last is not None and last.nothing_watched and last.ends_at <= now:
            claim = Claim(uuid4().hex, now + LEASE_S, ts_tick)
            lease: Lease | None = Lease(
                self._table,
                user_id,
                last.number + 1,
                min(claim.ends_at, until),
                _text(last.memory),
                nothing_watched=True,
                claim=claim,
            )
        else:
            lease, found = self._take(user_id, now, until, ts_tick)
        if lease is not None:
            with self._given_back(lease):
                yield lease
        elif int(found.get("last_tick", {"N": "-1"})["N"]) >= ts_tick:
            yield None
        else:
            raise _busy(found, clock())

    def last_runs(self, user_ids: Collection[str]) -> dict[str, LastRun]:
        """What is known of the runs of those of ``user_ids`` who had any, by user id, as it was a moment ago.

        What is a moment old can only keep somebody from looking for one tick more, or from writing after a look.
        """
        keys: list[Any] = [{"user_id": {"S": user_id}} for user_id in set(user_ids)]
        return {
            item["user_id"]["S"]: LastRun(
                last_tick=int(item.get("last_tick", {"N": "-1"})["N"]),
                number=int(item["lease_number"]["N"]),
                ends_at=int(item["ends_at"]["N"]),
                nothing_watched=item.get("nothing_watched_after") == item["lease_number"],
                memory=b64decode(item["memory"]["B"]) if "memory" in item else None,
                quiet=b64decode(item["quiet"]["B"]) if "quiet" in item else None,
            )
            for item in read_batches(self._client, self._table, keys, consistent=False)
        }

    @translate_aws_errors()
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
        number = int(item["lease_number"]["N"])
        lease = Lease(
            self._table,
            user_id,
            number,
            min(ends_at, until),
            _text(item["memory"]["B"] if "memory" in item else None),
            nothing_watched=item.get("nothing_watched_after") == {"N": str(number - 1)},
        )
        return lease, item

    def _item(self, user_id: str) -> Any:
        key: Any = {"user_id": {"S": user_id}}
        return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {})

    @contextmanager
    def _given_back(self, lease: Lease) -> Iterator[None]:
        noted = lease.memory
        try:
            yield
        finally:
            lease.give_back(self._client, noted)


def _text(compressed: bytes | None) -> str | None:
    return None if compressed is None else zlib.decompress(compressed).decode()


def _set(attributes: Mapping[str, Any]) -> str:
    return "SET " + ", ".join(f"{name} = :{name}" for name in attributes)


def _values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {f":{name}": value for name, value in attributes.items()}


def _busy(found: Any, now: int) -> ConflictError:
    seconds = max(1, int(found.get("ends_at", {"N": "0"})["N"]) - now)
    return ConflictError(
        "account_busy",
        f"another run works on this account at the moment; it is free again in {seconds} s at the latest",
    )
