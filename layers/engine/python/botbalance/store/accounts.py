"""The accounts table: who works on a user's account, which tick had its run, and what the account remembers.

At most one run works on an account at a time, and each tick has one run at most: two that decide on what they have read
would both find a pair free and both order it. Taking the lease raises its fencing token, and every later write of the
run checks that in the same transaction: a run that was held up for longer than its lease can write nothing any more,
and so send nothing. The lease outlives every function that sends orders, so whoever is killed while holding one is gone
for certain when it ends.

The account's state comes with the lease and is written with its end. What it says about the account as it is now counts
only if no run was begun since: a run that died has left none.

DynamoDB bills a query for the bytes of all it reads, and a write for each started kilobyte. So accounts are keyed by
shard and user, as users on autopilot are handed to workers, and a worker reads its users as one range; and all that an
account remembers is one compressed attribute, which with the rest of the item fits into a kilobyte for most.
"""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from botocore.exceptions import ClientError
from pydantic import BaseModel
from pydantic_core import to_json

from botbalance.errors import ConflictError, TransientError
from botbalance.executors import executor
from botbalance.log import alarm, logger
from botbalance.models.account_state import AccountState, NoTradeNote, Ongoing
from botbalance.store.compression import compress, decompress
from botbalance.store.dynamodb import (
    enable_raw_items,
    failed_conditions,
    parse_document,
    raw_items,
    read_item,
    read_pages,
    shard_name,
    translate_aws_errors,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

LEASE_LOST = "lease_lost"
ACCOUNT_BUSY = "account_busy"
TICK_CLAIMED = "tick_claimed"
_RANGES_AT_ONCE = 4
"""Of users who are few, some are in each shard: to read one range after the other is to wait for each."""
LEASE_S = 90
"""Longer than a function that sends orders may run, and its last request may take to arrive.

No run goes on longer than its lease: its deadline says so.
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one user's account until somebody else has taken it; ``ends_at`` in epoch seconds."""

    table: str
    user_id: str
    fencing_token: int
    ends_at: int

    def held_condition(self) -> Any:
        """Return the condition that nobody else has taken it, in DynamoDB's form."""
        return {
            "TableName": self.table,
            "Key": account_key(self.user_id),
            "ConditionExpression": "fencing_token = :mine",
            "ExpressionAttributeValues": {":mine": {"N": str(self.fencing_token)}},
        }


class LastRun(NamedTuple):
    """What is known of a user's last run, as it was a moment ago.

    ``last_tick`` is the last one that a run was begun for; ``state`` what that run left, None where it has left nothing
    yet.
    """

    last_tick: int
    state: bytes | None

    def note(self) -> NoTradeNote | None:
        """What it noted for quiet ticks; None where it did not, or in a form that is not this version's: then a look
        makes it anew."""
        return self._parse(_NoteAlone).no_trade_note

    def incidents(self) -> set[str]:
        """The names of those that it left open; none where nothing is known of it."""
        return set(self._parse(_IncidentsAlone).incidents)

    def _parse[M: BaseModel](self, part: type[M]) -> M:
        """That part of the state, as in a new account where it is not known."""
        if self.state is None:
            return part()
        try:
            return parse_document(part, decompress(self.state))
        except TransientError:
            return part()


class _NoteAlone(BaseModel):
    """That part of a state which a quiet tick needs; the rest takes much longer to parse."""

    no_trade_note: NoTradeNote | None = None


class _IncidentsAlone(BaseModel):
    """That part of a state which tells what is open."""

    incidents: dict[str, Ongoing] = {}


class AccountsTable:
    """Leases and states by shard and user: one small item a user, kept for good, so that a token never comes twice."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table
        enable_raw_items(client)

    def acquire(self, user_id: str, now: int, *, ts_tick: int | None = None) -> tuple[Lease, AccountState]:
        """Take the lease of the user's account, at ``now`` (epoch seconds), and with it the account's state.

        With ``ts_tick`` that tick is claimed in the same write. Raises ConflictError where it, or a later one, has
        had its run already, and where another run works on the account.
        """
        taken, item = self._acquire(user_id, now, ts_tick)
        if taken:
            token = int(item["fencing_token"]["N"])
            return Lease(self._table, user_id, token, now + LEASE_S), _state(item, token)
        if ts_tick is not None and int(item.get("last_tick", {"N": "-1"})["N"]) >= ts_tick:
            raise ConflictError(TICK_CLAIMED, f"tick {ts_tick} has had its run already")
        seconds = max(1, int(item.get("ends_at", {"N": "0"})["N"]) - now)
        message = f"another run works on this account at the moment; it is free again in {seconds} s at the latest"
        raise ConflictError(ACCOUNT_BUSY, message)

    def release(self, lease: Lease, state: AccountState, *also: "TransactWriteItemTypeDef") -> bool:
        """End ``lease`` and write what the account remembers, and ``also`` in the same transaction.

        What of ``also`` has a condition that does not hold is left out. False where the lease was lost: then nothing is
        written. Raises TransientError where it is not known to be written: then the lease ends by itself.
        """
        values = {
            ":ended": {"N": "0"},
            ":state": {"B": compress(_document(state))},
            ":mine": {"N": str(lease.fencing_token)},
        }
        update = "SET ends_at = :ended, account_state = :state, state_token = :mine"
        release = lease.held_condition() | {"UpdateExpression": update, "ExpressionAttributeValues": values}
        lost, *refused = self._write(release, also)
        if any(refused) and not lost:
            logger.warning("not written with the end of a lease", user_id=lease.user_id, parts=sum(refused))
            lost, *_ = self._write(release, [part for part, out in zip(also, refused, strict=True) if not out])
        if lost:
            logger.warning("lease lost before its end", user_id=lease.user_id)
        return not lost

    def _write(self, update: Any, also: Sequence["TransactWriteItemTypeDef"]) -> list[bool]:
        """Write ``update`` and ``also``, all or nothing; which of their conditions did not hold, in this order."""
        transaction: Any = [{"Update": update}, *also]
        failed = failed_conditions(
            lambda: (
                self._client.transact_write_items(TransactItems=transaction)
                if also
                else self._client.update_item(**update)
            )
        )
        return failed or [False]

    def find_state(self, user_id: str) -> AccountState:
        """What the account remembers, as last written; for whoever only shows it."""
        item = self._item(user_id)
        token = int(item.get("fencing_token", {"N": "0"})["N"])
        return _state(item, token + 1)

    def last_runs(self, user_ids: Collection[str]) -> dict[str, LastRun]:
        """What is known of the last runs of those of ``user_ids`` who had any, by user id, as it was a moment ago.

        What is a moment old can only let somebody look once more, or begin a run that finds its tick claimed.
        """
        shards: defaultdict[str, set[str]] = defaultdict(set)
        for user_id in user_ids:
            shards[shard_name(user_id)].add(user_id)
        with executor(min(len(shards), _RANGES_AT_ONCE) or 1) as pool:
            ranges = [pool.submit(copy_context().run, self._range, shard, wanted) for shard, wanted in shards.items()]
            return {item["user_id"]["S"]: _last_run(item) for found in ranges for item in found.result()}

    @raw_items()
    def _range(self, shard: str, user_ids: Collection[str]) -> list[Any]:
        """The items of those of a shard's users who have one: read as the range that they span, and the rest left out.

        Dispatch hands out users in the order of this key, so that hardly anybody else is between them.
        """
        items = read_pages(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression="user_shard = :shard AND user_id BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":shard": {"S": shard},
                ":first": {"S": min(user_ids)},
                ":last": {"S": max(user_ids)},
            },
        )
        return [item for item in items if item["user_id"]["S"] in user_ids]

    @translate_aws_errors()
    def _acquire(self, user_id: str, now: int, ts_tick: int | None) -> tuple[bool, Any]:
        """Whether the lease was taken, and the item as it then is.

        What was noted for quiet ticks counts no more: it has an earlier token.
        """
        holder = uuid4().bytes
        update = "SET fencing_token = if_not_exists(fencing_token, :none) + :one, holder = :holder, ends_at = :ends_at"
        condition = "(attribute_not_exists(user_id) OR ends_at <= :now)"
        values: dict[str, Any] = {
            ":none": {"N": "0"},
            ":one": {"N": "1"},
            ":holder": {"B": holder},
            ":ends_at": {"N": str(now + LEASE_S)},
            ":now": {"N": str(now)},
        }
        if ts_tick is not None:
            update += ", last_tick = :tick"
            condition += " AND (attribute_not_exists(last_tick) OR last_tick < :tick)"
            values[":tick"] = {"N": str(ts_tick)}
        try:
            item: Any = self._client.update_item(
                TableName=self._table,
                Key=account_key(user_id),
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
            return item.get("holder") == {"B": holder}, item
        return True, item

    def _item(self, user_id: str) -> Any:
        return read_item(self._client, self._table, account_key(user_id)) or {}


def account_key(user_id: str) -> Any:
    """Where a user's item is, in DynamoDB's form."""
    return {"user_shard": {"S": shard_name(user_id)}, "user_id": {"S": user_id}}


def _document(state: AccountState) -> bytes:
    """``state`` in JSON, without what is as in a new account; the versions of its forms are always there."""
    document = state.model_dump(mode="json", exclude_defaults=True) | {"schema_version": state.schema_version}
    if state.no_trade_note is not None:
        document["no_trade_note"]["schema_version"] = state.no_trade_note.schema_version
    return to_json(document)


def _last_run(item: Any) -> LastRun:
    """A state that an earlier run than the last one has left is none of the last one's."""
    is_of_last_run = item.get("state_token") == item["fencing_token"]
    return LastRun(
        last_tick=int(item.get("last_tick", {"N": "-1"})["N"]),
        state=b64decode(item["account_state"]["B"]) if is_of_last_run else None,
    )


def _state(item: Any, fencing_token: int) -> AccountState:
    """The state in ``item`` for the run with that token; a run before it that died has left parts of it unknown."""
    if "account_state" not in item:
        return AccountState(fill_totals={} if fencing_token == 1 else None)
    try:
        state = parse_document(AccountState, decompress(item["account_state"]["B"]))
    except TransientError as error:  # another version's: what it compares and counts begins anew
        alarm(error.code, str(error), user_id=item["user_id"]["S"])
        return AccountState()
    if int(item["state_token"]["N"]) == fencing_token - 1:
        return state
    unknown = {"no_trade_note": None, "no_unreconciled_orders": False, "fill_totals": None, "recount": None}
    return state.model_copy(update=unknown)
