"""The accounts table: who works on a user's account, which tick had its run, and what the account remembers.

At most one run works on an account at a time, and each tick has one run at most: two that decide on what they have read
would both find a pair free and both order it. Taking the lease raises its fencing token, and every later write of the
run checks that in the same transaction: a run that was held up for longer than its lease can write nothing any more,
and so send nothing. The lease outlives the longest function, so whoever is killed while holding one is gone for certain
when it ends.

The account's state comes with the lease and is written with its end, compressed: a started kilobyte costs a write unit.
What it says about the account as it is now counts only if no run was begun since: a run that died has left none.
"""

import zlib
from base64 import b64decode
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from botocore.exceptions import ClientError

from botbalance.errors import ConflictError, TransientError
from botbalance.log import alarm, logger
from botbalance.models.account_state import AccountState, NoTradeNote
from botbalance.store.dynamodb import enable_raw_items, parse_document, put_if, read_batches, translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

LEASE_LOST = "lease_lost"
ACCOUNT_BUSY = "account_busy"
TICK_CLAIMED = "tick_claimed"
LEASE_S = 90
"""Longer than any function may run, and a request of its last moment may take to arrive."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one user's account until somebody else has taken it; ``ends_at`` in epoch seconds."""

    table: str
    user_id: str
    fencing_token: int
    ends_at: int

    def is_mine(self) -> Any:
        """The condition that nobody else has taken it, in DynamoDB's form."""
        return {
            "TableName": self.table,
            "Key": {"user_id": {"S": self.user_id}},
            "ConditionExpression": "fencing_token = :mine",
            "ExpressionAttributeValues": {":mine": {"N": str(self.fencing_token)}},
        }


class LastRun(NamedTuple):
    """What is known of a user's last run, as it was a moment ago.

    ``last_tick`` is the last one that a run was begun for; ``no_trade_note`` what that run left for quiet ticks.
    """

    last_tick: int
    no_trade_note: bytes | None

    def note(self) -> NoTradeNote | None:
        """The note, parsed; None where there is none, or none that this version understands: a look makes it anew."""
        if self.no_trade_note is None:
            return None
        try:
            return parse_document(NoTradeNote, zlib.decompress(self.no_trade_note))
        except TransientError:
            return None


class AccountsTable:
    """Leases and states by user id: one small item a user, kept for good, so that a token never comes twice."""

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

    def release(self, lease: Lease, state: AccountState, *also: "TransactWriteItemTypeDef") -> None:
        """End ``lease`` and write what the account remembers, and ``also`` in the same transaction.

        Where that fails, the lease ends by itself.
        """
        document = state.model_dump_json(exclude={"no_trade_note"}, exclude_defaults=True)
        values = {
            ":now": {"N": "0"},
            ":state": {"B": zlib.compress(document.encode())},
            ":mine": {"N": str(lease.fencing_token)},
        }
        update = "SET ends_at = :now, account_state = :state, state_token = :mine"
        if state.no_trade_note is not None:
            note = state.no_trade_note.model_dump_json(exclude_none=True)
            values[":note"] = {"B": zlib.compress(note.encode())}
            update += ", no_trade_note = :note"
        release = lease.is_mine() | {"UpdateExpression": update, "ExpressionAttributeValues": values}
        transaction: Any = [{"Update": release}, *also]
        try:
            if not put_if(
                lambda: (
                    self._client.transact_write_items(TransactItems=transaction)
                    if also
                    else self._client.update_item(**release)
                )
            ):
                logger.warning("lease lost before its end", user_id=lease.user_id)
        except TransientError as error:  # what the run did is not undone by that
            logger.warning("lease not released", user_id=lease.user_id, reason=str(error))

    def find_state(self, user_id: str) -> AccountState:
        """What the account remembers, as last written; for whoever only shows it."""
        with translate_aws_errors():
            item = self._item(user_id)
        token = int(item.get("fencing_token", {"N": "0"})["N"])
        return _state(item, token + 1)

    def last_runs(self, user_ids: Collection[str]) -> dict[str, LastRun]:
        """What is known of the last runs of those of ``user_ids`` who had any, by user id, as it was a moment ago.

        What is a moment old can only let somebody look once more, or begin a run that finds its tick claimed.
        """
        keys: list[Any] = [{"user_id": {"S": user_id}} for user_id in dict.fromkeys(user_ids)]
        return {
            item["user_id"]["S"]: LastRun(
                last_tick=int(item.get("last_tick", {"N": "-1"})["N"]),
                no_trade_note=b64decode(item["no_trade_note"]["B"]) if "no_trade_note" in item else None,
            )
            for item in read_batches(
                self._client,
                self._table,
                keys,
                consistent=False,
                ProjectionExpression="user_id, last_tick, no_trade_note",
            )
        }

    @translate_aws_errors()
    def _acquire(self, user_id: str, now: int, ts_tick: int | None) -> tuple[bool, Any]:
        """Whether the lease was taken, and the item as it then is. What was noted for quiet ticks goes with it."""
        holder = uuid4().hex
        update = "SET fencing_token = if_not_exists(fencing_token, :none) + :one, holder = :holder, ends_at = :ends_at"
        condition = "(attribute_not_exists(user_id) OR ends_at <= :now)"
        values = {
            ":none": {"N": "0"},
            ":one": {"N": "1"},
            ":holder": {"S": holder},
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
                Key={"user_id": {"S": user_id}},
                UpdateExpression=f"{update} REMOVE no_trade_note",
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
            return item.get("holder") == {"S": holder}, item
        return True, item

    def _item(self, user_id: str) -> Any:
        key: Any = {"user_id": {"S": user_id}}
        return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {})


def _state(item: Any, fencing_token: int) -> AccountState:
    """The state in ``item`` for the run with that token; a run before it that died has left parts of it unknown."""
    if "account_state" not in item:
        return AccountState(fill_totals={} if fencing_token == 1 else None)
    try:
        state = parse_document(AccountState, zlib.decompress(item["account_state"]["B"]))
    except TransientError as error:  # another version's: what it compares and counts begins anew
        alarm(error.code, str(error), user_id=item["user_id"]["S"])
        return AccountState()
    if int(item["state_token"]["N"]) == fencing_token - 1:
        return state
    return state.model_copy(update={"no_unreconciled_orders": False, "fill_totals": None})
