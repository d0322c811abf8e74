"""The orders table: every order from intent to end, and its life cycle.

An order is written before it is sent. From then on every write is conditional on the revision it was read as, so
two writers can never both believe that theirs was next, and on the lease of the run that writes: in one transaction,
so that a run whose lease somebody else has taken can write nothing, and therefore send nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from botbalance.engine import Fill, Side
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.errors import ConflictError, NotFoundError, TransientError
from botbalance.store.batches import read_pages, read_scan
from botbalance.store.conditions import STORAGE_UNAVAILABLE, parsed, translate_aws_errors
from botbalance.store.leases import LEASE_LOST, Lease
from botbalance.store.pagination import decode_cursor, encode_cursor
from botbalance.store.periods import ALWAYS, Period

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WATCHED_INDEX = "watched"
PLACED_INDEX = "placed"
_MOST_QUERIES = 10
"""After so many a page is answered as it is: a filter that few orders pass must not read a whole history."""


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    PENDING = "PENDING"
    """Sent or about to be; its fate is unknown."""
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


ACTIVE = frozenset({OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})
"""The order may still trade, so its pair gets no second one."""

_TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset(OrderStatus),
    OrderStatus.OPEN: frozenset(OrderStatus) - {OrderStatus.PENDING, OrderStatus.REJECTED},
    OrderStatus.PARTIALLY_FILLED: frozenset(OrderStatus)
    - {OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.REJECTED},
    OrderStatus.FILLED: frozenset({OrderStatus.FILLED}),
    # The exchange may report a fill, or the order itself, after it was given up.
    OrderStatus.CANCELED: frozenset(OrderStatus) - {OrderStatus.PENDING, OrderStatus.REJECTED},
    OrderStatus.REJECTED: frozenset({OrderStatus.REJECTED}),
    OrderStatus.EXPIRED: frozenset({OrderStatus.EXPIRED, OrderStatus.FILLED}),
}


class OrderFill(BaseModel):
    """One trade of an order: quantity in base, price in quote per base, fee in units of ``fee_asset``."""

    model_config = ConfigDict(frozen=True)

    trade_id: str
    price: Decimal
    base_qty: Decimal
    fee: Decimal
    fee_asset: str
    traded_at_ms: int


class Order(BaseModel):
    """An order, whole. ``placed_at`` and ``updated_at`` in epoch seconds; ``filled_qty`` is cumulative, in base."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    user_id: str
    client_order_id: str
    exchange: str
    symbol: str
    base: str
    quote: str
    side: Side
    limit_price: Decimal
    base_qty: Decimal
    quote_amount: Decimal
    source: Literal["autopilot", "manual"]
    ts_tick: int
    order_index: int
    status: OrderStatus = OrderStatus.PENDING
    exchange_order_id: str | None = None
    filled_qty: Decimal = Decimal(0)
    fills: tuple[OrderFill, ...] = ()
    reason: str | None = None
    """Why it was refused, cancelled or given up."""
    times_not_found: int = 0
    watch_until: int | None = None
    """Until when an order that has ended or was given up is still looked at, in epoch seconds."""
    look_at: int = 0
    """When to look next at an order that has ended or was given up, in epoch seconds."""
    placed_at: int
    updated_at: int
    revision: int = 0
    lease_number: int = 0
    """The lease under which it was last written."""

    @property
    def may_trade(self) -> bool:
        """Whether it rests on the exchange, or might."""
        return self.status in ACTIVE

    @property
    def booked_qty(self) -> Decimal:
        """What the fills booked add up to, in base."""
        with ExactArithmetic():
            return sum((fill.base_qty for fill in self.fills), Decimal(0))

    @property
    def fills_complete(self) -> bool:
        """Whether everything that the exchange says was filled is booked."""
        return self.booked_qty == self.filled_qty

    def engine_fills(self) -> list[Fill]:
        """Its fills in the engine's form."""
        return [
            Fill(self.base, self.quote, self.side, fill.price, fill.base_qty, fill.fee, fill.fee_asset)
            for fill in self.fills
        ]

    def to(self, status: OrderStatus, **changes: Any) -> "Order":
        """This order moved to ``status``; raises ConflictError for a transition that its life cycle does not have."""
        if status not in _TRANSITIONS[self.status]:
            raise ConflictError(
                "order_transition",
                f"order {self.client_order_id} is {self.status}, which never becomes {status}",
            )
        return self.model_copy(update={**changes, "status": status})


class OrderPage(BaseModel):
    """A page of orders, newest first; ``cursor`` asks for the next one, None where this was the last."""

    orders: list[Order]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders are wanted, by when they were placed; None: whichever.

    Where ``client_order_id`` names one, nothing else counts.
    """

    status: OrderStatus | None = None
    symbol: str | None = None
    placed: Period = ALWAYS
    client_order_id: str | None = None


EVERY_ORDER = OrderFilter()


class OrdersTable:
    """Orders by user id and client order id."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def create(self, order: Order, lease: Lease) -> bool:
        """Write the intent to send ``order``. False where that intent exists already: then nothing may be sent.

        Raises TransientError where it is not known to be written, and ConflictError where the lease is somebody
        else's by now: nothing may be sent then either.
        """
        intent = order.model_copy(update={"lease_number": lease.number})
        if self._write(intent, lease, "attribute_not_exists(client_order_id)"):
            return True
        # A write that timed out and was repeated finds its own intent there.
        return intent == self.find(order.user_id, order.client_order_id)

    def update(self, order: Order, lease: Lease) -> Order:
        """Write ``order`` over the revision it was read as; returns it with its new revision.

        Raises ConflictError where somebody else wrote meanwhile or holds the lease by now; a write of our own that
        timed out and was repeated is no such thing, so the order is read again before that is said.
        """
        updated = order.model_copy(update={"revision": order.revision + 1, "lease_number": lease.number})
        written = self._write(updated, lease, "revision = :read", {":read": {"N": str(order.revision)}})
        if not written and updated != self.find(order.user_id, order.client_order_id):
            raise ConflictError("order_changed", f"order {order.client_order_id} was changed meanwhile")
        return updated

    @translate_aws_errors()
    def _write(self, order: Order, lease: Lease, condition: str, values: Any = None) -> bool:
        """Write ``order`` while ``lease`` is this run's; False where ``condition`` does not hold."""
        put: Any = {"TableName": self._table, "Item": _item(order), "ConditionExpression": condition}
        if values is not None:
            put["ExpressionAttributeValues"] = values
        try:
            lease.write(self._client, {"Put": put})
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            lease_check, order_check = (reason["Code"] for reason in error.response["CancellationReasons"])
            if lease_check == "ConditionalCheckFailed":
                message = f"order {order.client_order_id} is not written: another run has taken over this account"
                raise ConflictError(LEASE_LOST, message) from error
            if order_check == "ConditionalCheckFailed":
                return False
            raise TransientError(
                STORAGE_UNAVAILABLE, f"the database did not write ({lease_check}, {order_check})"
            ) from error
        return True

    def find(self, user_id: str, client_order_id: str) -> Order | None:
        """The order, as last written."""
        with translate_aws_errors():
            item = self._client.get_item(
                TableName=self._table,
                Key={"user_id": {"S": user_id}, "client_order_id": {"S": client_order_id}},
                ConsistentRead=True,
            ).get("Item")
        return _order(item) if item else None

    def get(self, user_id: str, client_order_id: str) -> Order:
        """The order; raises NotFoundError where the user has none by that id."""
        order = self.find(user_id, client_order_id)
        if order is None:
            raise NotFoundError("order_not_found", f"client_order_id is {client_order_id}, expected one of your orders")
        return order

    def watched(self, user_id: str) -> list[Order]:
        """The orders whose end is not known yet, oldest first; read consistently, so none just written is missed."""
        items = read_pages(
            self._client,
            TableName=self._table,
            IndexName=WATCHED_INDEX,
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
            ConsistentRead=True,
        )
        return [_order(item) for item in items]

    def page(
        self, user_id: str, *, limit: int, cursor: str | None = None, wanted: OrderFilter = EVERY_ORDER
    ) -> OrderPage:
        """The user's orders, newest first; raises InvalidRequestError for a cursor that is not one of ours.

        A page may hold fewer than ``limit`` of the ``wanted`` ones, and still not be the last.
        """
        if wanted.client_order_id is not None:
            found = self.find(user_id, wanted.client_order_id)
            return OrderPage(orders=[] if found is None else [found], cursor=None)
        query = _query_of(wanted) | {"TableName": self._table}
        query["ExpressionAttributeValues"][":user"] = {"S": user_id}
        if cursor is not None:
            placed, client_order_id = decode_cursor(cursor, "[0-9]{11,16}#[0-9]{4,9}", "[!-~]{1,64}")
            wanted.placed.require(cursor, int(placed.partition("#")[0]))
            query["ExclusiveStartKey"] = {
                "user_id": {"S": user_id},
                "client_order_id": {"S": client_order_id},
                "placed": {"S": placed},
            }
        orders: list[Order] = []
        for _ in range(_MOST_QUERIES):
            with translate_aws_errors():
                answer = self._client.query(**query | {"Limit": limit - len(orders)})
            orders += [_order(item) for item in answer["Items"]]
            last = answer.get("LastEvaluatedKey")
            if last is None or len(orders) == limit:
                break
            query["ExclusiveStartKey"] = last
        return OrderPage(
            orders=orders,
            cursor=encode_cursor(last["placed"]["S"], last["client_order_id"]["S"]) if last else None,
        )

    def users_with_watched_orders(self) -> Iterator[str]:
        """The ids of all users who have an order whose end is not known yet."""
        seen = None
        for item in read_scan(
            self._client, TableName=self._table, IndexName=WATCHED_INDEX, ProjectionExpression="user_id"
        ):
            user_id = item["user_id"]["S"]
            if user_id != seen:  # a user's orders lie side by side
                yield user_id
            seen = user_id

    def every(self, user_id: str) -> Iterable[Order]:
        """All orders of the user, newest first, page by page."""
        cursor = None
        while True:
            page = self.page(user_id, limit=500, cursor=cursor)
            yield from page.orders
            cursor = page.cursor
            if cursor is None:
                return


def is_watched(order: Order) -> bool:
    """Whether something may still become of the order: it may trade, a fill is not booked, or it may turn up."""
    return order.may_trade or not order.fills_complete or order.watch_until is not None


def _query_of(wanted: OrderFilter) -> dict[str, Any]:
    """The query for a user's ``wanted`` orders, newest first, without the user."""
    values: dict[str, Any] = {
        ":first": {"S": f"{wanted.placed.since:011d}"},
        ":last": {"S": f"{wanted.placed.until:011d}#~"},
    }
    conditions = []
    if wanted.status is not None:
        conditions.append("#status = :status")
        values[":status"] = {"S": wanted.status.value}
    if wanted.symbol is not None:
        conditions.append("symbol = :symbol")
        values[":symbol"] = {"S": wanted.symbol}
    query: dict[str, Any] = {
        "IndexName": PLACED_INDEX,
        "KeyConditionExpression": "user_id = :user AND placed BETWEEN :first AND :last",
        "ExpressionAttributeValues": values,
        "ScanIndexForward": False,
    }
    if conditions:
        query["FilterExpression"] = " AND ".join(conditions)
    if wanted.status is not None:
        query["ExpressionAttributeNames"] = {"#status": "status"}  # a word of DynamoDB's own
    return query


def _item(order: Order) -> dict[str, Any]:
    item = {
        "user_id": {"S": order.user_id},
        "client_order_id": {"S": order.client_order_id},
        "placed": {"S": f"{order.placed_at:011d}#{order.order_index:04d}"},
        "status": {"S": order.status.value},
        "symbol": {"S": order.symbol},
        "revision": {"N": str(order.revision)},
        "document": {"S": order.model_dump_json()},
    }
    if is_watched(order):
        item["watched_since"] = {"N": str(order.placed_at)}
    return item


def _order(item: Any) -> Order:
    return parsed(Order, item["document"]["S"])
