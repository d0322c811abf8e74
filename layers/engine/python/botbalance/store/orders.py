"""The orders table: every order from intent to end.

An order is written before it is sent. What has to hold when it is sent is a condition of that write: this run's lease,
and the strategy that it was decided by. From then on every write is conditional on the lease and on the revision that
was read, so two writers can never both believe that theirs was next, and a run whose lease somebody else has taken can
write nothing, and therefore send nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botbalance.errors import ConflictError, NotFoundError, TransientError
from botbalance.models.order import ORDER_TOO_LARGE, Order, OrderStatus
from botbalance.store.accounts import LEASE_LOST, Lease
from botbalance.store.compression import compress, decompress
from botbalance.store.dynamodb import failed_conditions, parse_document, read_item, read_page, read_pages
from botbalance.store.pagination import ALWAYS, Page, TimeRange, decode_cursor, encode_cursor

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

WATCHED_INDEX = "watched"
PLACED_INDEX = "placed"
STRATEGY_CHANGED = "strategy_changed"
LARGEST_DOCUMENT = 130 * 1024
"""Bytes of an order: an item has 400 kB together with its entries in both indexes, each of which has all of it."""
_COMPRESSED_FROM = 8 * 1024
"""Bytes. Few orders are as long: it takes 60 fills. Compressed, 5,000 take 109 kB, and uncompressed 668."""
_SEE_COMPRESSED = '{"schema_version": 2}'
"""The document of an order that is compressed: versions that cannot read it refuse it by that."""
_READ_AT_ONCE = 500
"""Orders, where all of them are asked for: whoever has had enough of them leaves the others unread."""


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders are wanted, by when they were placed; None: whichever.

    Where ``client_order_id`` names one, nothing else counts.
    """

    status: OrderStatus | None = None
    symbol: str | None = None
    placed: TimeRange = ALWAYS
    client_order_id: str | None = None
    oldest_first: bool = False


EVERY_ORDER = OrderFilter()


class OrderTooLargeError(TransientError):
    """An order has more fills than an item holds: they cannot be booked."""

    def __init__(self, order: Order) -> None:
        super().__init__(
            ORDER_TOO_LARGE,
            f"order {order.client_order_id} in {order.symbol} has {len(order.fills)} fills, more than can be stored",
        )


class OrdersTable:
    """Orders by user id and client order id."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def create(self, order: Order, lease: Lease, strategy_unchanged: Any) -> bool:
        """Write the intent to send ``order``. False where that intent exists already: then nothing may be sent.

        ``strategy_unchanged`` is a ConditionCheck: the strategy is still the version that decided this. Switching the
        autopilot makes a new version, so the autopilot is as it was. Raises ConflictError where it is another by now,
        or the lease somebody else's. Raises TransientError where the intent is not known to be written. Nothing may be
        sent then either.
        """
        intent = order.model_copy(update={"fencing_token": lease.fencing_token})
        put = self._put(intent, "attribute_not_exists(client_order_id)")
        if self._write(intent, lease, put, {"ConditionCheck": strategy_unchanged}):
            return True
        # A write that timed out and was repeated finds its own intent there.
        return intent == self.find(order.user_id, order.client_order_id)

    def update(self, order: Order, lease: Lease, *also: "TransactWriteItemTypeDef") -> Order:
        """Write ``order`` over the revision it was read as, and ``also`` with it; returns it with its new revision.

        Raises ConflictError where somebody else wrote meanwhile or holds the lease by now; a write of our own that
        timed out and was repeated is no such thing, so the order is read again before that is said.
        """
        updated = _next_revision(order, lease)
        put = self._put_over(updated)
        if not self._write(updated, lease, put, *also) and updated != self.find(order.user_id, order.client_order_id):
            raise ConflictError("order_changed", f"order {order.client_order_id} was changed meanwhile")
        return updated

    def transact_update(self, order: Order, lease: Lease) -> Any:
        """Return :meth:`update`'s write as a part of another transaction, which has to check the lease."""
        return self._put_over(_next_revision(order, lease))

    def require_fits(self, order: Order) -> None:
        """Raise OrderTooLargeError where ``order`` can never be written."""
        size = sum(len(value) for attribute in _document(order).values() for value in attribute.values())
        if size > LARGEST_DOCUMENT:
            raise OrderTooLargeError(order)

    def _put(self, order: Order, condition: str) -> Any:
        return {"Put": {"TableName": self._table, "Item": _item(order), "ConditionExpression": condition}}

    def _put_over(self, order: Order) -> Any:
        """Put ``order`` in the place of the revision before its own."""
        put = self._put(order, "revision = :read")
        put["Put"]["ExpressionAttributeValues"] = {":read": {"N": str(order.revision - 1)}}
        return put

    def _write(self, order: Order, lease: Lease, put: Any, *also: Any) -> bool:
        """Write ``put`` and ``also`` in one transaction while ``lease`` is this run's; False where ``put``'s condition
        fails. Of ``also`` only a check of the strategy has a condition."""
        transaction: Any = [{"ConditionCheck": lease.held_condition()}, put, *also]
        failed = failed_conditions(lambda: self._client.transact_write_items(TransactItems=transaction))
        if not failed:
            return True
        lease_lost, put_refused, *_ = failed
        if lease_lost:
            message = f"order {order.client_order_id} is not written: another run has taken over this account"
            raise ConflictError(LEASE_LOST, message)
        if not put_refused:
            message = (
                f"order {order.client_order_id} is not placed: the strategy was changed, or the autopilot switched"
            )
            raise ConflictError(STRATEGY_CHANGED, message)
        return False

    def find(self, user_id: str, client_order_id: str) -> Order | None:
        """The order, as last written."""
        key = {"user_id": {"S": user_id}, "client_order_id": {"S": client_order_id}}
        item = read_item(self._client, self._table, key)
        return parse_order(item) if item else None

    def get(self, user_id: str, client_order_id: str) -> Order:
        """The order; raises NotFoundError where the user has none by that id."""
        order = self.find(user_id, client_order_id)
        if order is None:
            raise NotFoundError("order_not_found", f"client_order_id is {client_order_id}, expected one of your orders")
        return order

    def unreconciled(self, user_id: str) -> list[Order]:
        """The orders whose end is not known yet, oldest first; read consistently, so none just written is missed."""
        items = read_pages(
            self._client.query,
            TableName=self._table,
            IndexName=WATCHED_INDEX,
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
            ConsistentRead=True,
        )
        return [parse_order(item) for item in items]

    def page(
        self,
        user_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        wanted: OrderFilter = EVERY_ORDER,
        consistent: bool = False,
    ) -> Page[Order]:
        """The user's orders, newest first unless the oldest are wanted first.

        Raises InvalidRequestError for a cursor that is not one of ours.

        A page may hold fewer than ``limit`` of the ``wanted`` ones, and still not be the last.
        """
        if wanted.client_order_id is not None:
            found = self.find(user_id, wanted.client_order_id)
            return Page([] if found is None else [found], None)
        query = self._query(user_id, wanted, consistent=consistent)
        if cursor is not None:
            placed, client_order_id = decode_cursor(cursor, "[0-9]{11,16}#[0-9]{4,9}", "[!-~]{1,64}")
            wanted.placed.require(cursor, int(placed.partition("#")[0]))
            query["ExclusiveStartKey"] = {
                "user_id": {"S": user_id},
                "client_order_id": {"S": client_order_id},
                "placed": {"S": placed},
            }
        items, last = read_page(self._client, query, limit)
        return Page(
            [parse_order(item) for item in items],
            encode_cursor(last["placed"]["S"], last["client_order_id"]["S"]) if last else None,
        )

    def users_with_unreconciled_orders(self) -> Iterator[str]:
        """The ids of all users who have an order whose end is not known yet."""
        seen = None
        for item in read_pages(
            self._client.scan, TableName=self._table, IndexName=WATCHED_INDEX, ProjectionExpression="user_id"
        ):
            user_id = item["user_id"]["S"]
            if user_id != seen:  # a user's orders lie side by side
                yield user_id
            seen = user_id

    def iter_all(self, user_id: str) -> Iterator[Order]:
        """All orders of the user, newest first, page by page; read consistently, so none just written is missed."""
        return self._iter(user_id, EVERY_ORDER)

    def iter_since(self, user_id: str, placed_since: int) -> Iterator[Order]:
        """The orders that were placed at ``placed_since`` (epoch seconds) or later, oldest first; read as all are."""
        return self._iter(user_id, OrderFilter(placed=TimeRange(since=placed_since), oldest_first=True))

    def _iter(self, user_id: str, wanted: OrderFilter) -> Iterator[Order]:
        query = self._query(user_id, wanted, consistent=True)
        return map(parse_order, read_pages(self._client.query, **query, Limit=_READ_AT_ONCE))

    def _query(self, user_id: str, wanted: OrderFilter, *, consistent: bool) -> dict[str, Any]:
        """The query for the user's ``wanted`` orders."""
        values: dict[str, Any] = {
            ":user": {"S": user_id},
            ":first": {"S": f"{wanted.placed.since:011d}"},
            ":last": {"S": f"{wanted.placed.until:011d}#~"},
        }
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": PLACED_INDEX,
            "KeyConditionExpression": "user_id = :user AND placed BETWEEN :first AND :last",
            "ExpressionAttributeValues": values,
            "ScanIndexForward": wanted.oldest_first,
            "ConsistentRead": consistent,
        }
        conditions = []
        if wanted.status is not None:
            conditions.append("#status = :status")
            values[":status"] = {"S": wanted.status.value}
            query["ExpressionAttributeNames"] = {"#status": "status"}  # a word of DynamoDB's own
        if wanted.symbol is not None:
            conditions.append("symbol = :symbol")
            values[":symbol"] = {"S": wanted.symbol}
        if conditions:
            query["FilterExpression"] = " AND ".join(conditions)
        return query


def _next_revision(order: Order, lease: Lease) -> Order:
    """``order`` as the run that has ``lease`` writes it over what it has read."""
    return order.model_copy(update={"revision": order.revision + 1, "fencing_token": lease.fencing_token})


def parse_order(item: Any) -> Order:
    """The order that an item of the table is."""
    compressed = item.get("compressed")
    return parse_document(Order, decompress(compressed["B"]) if compressed else item["document"]["S"])


def _item(order: Order) -> dict[str, Any]:
    item: dict[str, Any] = {
        "user_id": {"S": order.user_id},
        "client_order_id": {"S": order.client_order_id},
        "placed": {"S": f"{order.placed_at:011d}#{order.order_index:04d}"},
        "status": {"S": order.status.value},
        "symbol": {"S": order.symbol},
        "revision": {"N": str(order.revision)},
        **_document(order),
    }
    if order.is_unreconciled:
        item["watched_since"] = {"N": str(order.placed_at)}
    return item


def _document(order: Order) -> dict[str, dict[str, Any]]:
    """``order`` in JSON, as attributes of its item; compressed where it is long."""
    document = order.model_dump_json()
    if len(document) < _COMPRESSED_FROM:
        return {"document": {"S": document}}
    return {"document": {"S": _SEE_COMPRESSED}, "compressed": {"B": compress(document.encode())}}
