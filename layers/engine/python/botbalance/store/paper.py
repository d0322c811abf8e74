"""The paper table: the books of paper accounts, each write of which is one transaction on a revision.

An account is one item with everything that may still change; an order gets an item of its own when it has ended, and an
epoch when the next one begins. Sort keys are ``EXCHANGE#account``, ``EXCHANGE#order#CLIENT_ORDER_ID`` and
``EXCHANGE#epoch#NUMBER``. A run writes while it holds the account's lease, as it writes orders; whoever has none reads.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botbalance.errors import ConflictError, NotFoundError
from botbalance.models.paper import PaperAccount, PaperEpoch, PaperOrder
from botbalance.store.accounts import LEASE_LOST, Lease
from botbalance.store.dynamodb import failed_conditions, parse_document, read_item, read_pages

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

PAPER_CHANGED = "paper_changed"
NO_PAPER_ACCOUNT = "paper_account_not_found"


class PaperTable:
    """Paper accounts by user id and exchange."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def find(self, user_id: str, exchange: str) -> PaperAccount | None:
        """The account, as last written; None where its owner has not opened one."""
        item = self._item(user_id, _account_kind(exchange))
        return parse_document(PaperAccount, item["document"]["S"]) if item else None

    def get(self, user_id: str, exchange: str) -> PaperAccount:
        """The account; raises NotFoundError where there is none."""
        account = self.find(user_id, exchange)
        if account is None:
            raise NotFoundError(NO_PAPER_ACCOUNT, f"no paper account is open on {exchange}; PUT exchange/paper/ first")
        return account

    def find_ended(self, user_id: str, exchange: str, client_order_id: str) -> PaperOrder | None:
        """The order that has ended, of any epoch."""
        item = self._item(user_id, _order_kind(exchange, client_order_id))
        return parse_document(PaperOrder, item["document"]["S"]) if item else None

    def epochs(self, user_id: str, exchange: str) -> list[PaperEpoch]:
        """Those that are over, oldest first."""
        items = read_pages(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression="user_id = :user AND begins_with(kind, :epochs)",
            ExpressionAttributeValues={":user": {"S": user_id}, ":epochs": {"S": _epoch_prefix(exchange)}},
            ConsistentRead=True,
        )
        return [parse_document(PaperEpoch, item["document"]["S"]) for item in items]

    def save(
        self,
        account: PaperAccount,
        lease: Lease,
        *also: "TransactWriteItemTypeDef",
        ended: Sequence[PaperOrder] = (),
        epoch: PaperEpoch | None = None,
    ) -> PaperAccount:
        """Write ``account`` over the revision that it was read as; returns it with its new one.

        ``ended`` are its orders that have ended, ``epoch`` is the one that is over; ``also`` is written with them.
        Raises ConflictError where somebody else wrote meanwhile or holds the lease by now; a write of our own that
        timed out and was repeated is no such thing, so the account is read again before that is said.
        """
        saved = account.model_copy(update={"revision": account.revision + 1})
        put = self._put(saved.user_id, _account_kind(saved.exchange), saved.model_dump_json())
        put["Put"]["Item"]["revision"] = {"N": str(saved.revision)}
        put["Put"] |= {
            "ConditionExpression": "attribute_not_exists(user_id) OR revision = :read",
            "ExpressionAttributeValues": {":read": {"N": str(account.revision)}},
        }
        parts: list[Any] = [{"ConditionCheck": lease.held_condition()}, put]
        for order in ended:
            kind = _order_kind(saved.exchange, order.client_order_id)
            parts.append(self._put(saved.user_id, kind, order.model_dump_json()))
        if epoch is not None:
            kind = f"{_epoch_prefix(saved.exchange)}{epoch.epoch:06}"
            parts.append(self._put(saved.user_id, kind, epoch.model_dump_json()))
        transaction = [*parts, *also]
        failed = failed_conditions(lambda: self._client.transact_write_items(TransactItems=transaction))
        if failed and failed[0]:
            raise ConflictError(LEASE_LOST, "the paper account is not written: another run has taken over")
        if failed and saved != self.find(saved.user_id, saved.exchange):
            raise ConflictError(PAPER_CHANGED, "the paper account was changed meanwhile; repeat")
        return saved

    def _put(self, user_id: str, kind: str, document: str) -> dict[str, Any]:
        item = {"user_id": {"S": user_id}, "kind": {"S": kind}, "document": {"S": document}}
        return {"Put": {"TableName": self._table, "Item": item}}

    def _item(self, user_id: str, kind: str) -> Any:
        return read_item(self._client, self._table, {"user_id": {"S": user_id}, "kind": {"S": kind}})


class PaperBooks:
    """One account's part of the table, as the paper adapter uses it; written only by whoever holds ``lease``."""

    def __init__(self, table: PaperTable, user_id: str, exchange: str, lease: Lease | None) -> None:
        self.writable = lease is not None
        self._table = table
        self._owner = user_id, exchange
        self._lease = lease

    def load(self) -> PaperAccount:
        """See :meth:`PaperTable.get`."""
        return self._table.get(*self._owner)

    def find_ended(self, client_order_id: str) -> PaperOrder | None:
        """See :meth:`PaperTable.find_ended`."""
        return self._table.find_ended(*self._owner, client_order_id)

    def save(self, account: PaperAccount, ended: Sequence[PaperOrder]) -> PaperAccount:
        """See :meth:`PaperTable.save`; raises ConflictError without a lease."""
        if self._lease is None:
            raise ConflictError(LEASE_LOST, "the paper account is not written: this run only looks at it")
        return self._table.save(account, self._lease, ended=ended)


def _account_kind(exchange: str) -> str:
    return f"{exchange}#account"


def _order_kind(exchange: str, client_order_id: str) -> str:
    return f"{exchange}#order#{client_order_id}"


def _epoch_prefix(exchange: str) -> str:
    return f"{exchange}#epoch#"
