"""Orders from intent to end: written once, changed only by whoever read last, never lost from the watched."""

import json
from base64 import urlsafe_b64encode
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import Conflict, MendRequest, NotThere
from botbalance.store.cursors import encode_cursor
from botbalance.store.orders import Order, OrderFill, OrdersTable, OrderStatus, is_watched

from tests.unit.store.conftest import MakeTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PENDING, OPEN, PARTIALLY_FILLED = OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED
FILLED, CANCELED = OrderStatus.FILLED, OrderStatus.CANCELED
REJECTED, EXPIRED = OrderStatus.REJECTED, OrderStatus.EXPIRED

MAY_BECOME = {
    # sent, fate unknown: it may turn out to be anything
    PENDING: {PENDING, OPEN, PARTIALLY_FILLED, FILLED, CANCELED, REJECTED, EXPIRED},
    # resting: what was accepted is never pending or rejected again
    OPEN: {OPEN, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED},
    # what has traded has traded
    PARTIALLY_FILLED: {PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED},
    # given up: a late fill, or the order itself, may still turn up and is booked
    CANCELED: {CANCELED, OPEN, PARTIALLY_FILLED, FILLED, EXPIRED},
    EXPIRED: {EXPIRED, FILLED},
    # the end
    FILLED: {FILLED},
    REJECTED: {REJECTED},
}


def an_order(number: int = 0, user_id: str = "alice", **changes: Any) -> Order:
    return Order(
        **{
            "user_id": user_id,
            "client_order_id": f"{number:020x}",
            "exchange": "binance",
            "symbol": "BTCUSDT",
            "base": "BTC",
            "quote": "USDT",
            "side": "buy",
            "limit_price": Decimal("39000.05"),
            "base_qty": Decimal("0.123456789012345678"),
            "quote_amount": Decimal("4814.82"),
            "source": "autopilot",
            "ts_tick": 1_700_000_010,
            "order_index": 0,
            "placed_at": 1_700_000_010 + number,
            "updated_at": 1_700_000_010,
            **changes,
        }
    )


def a_fill(qty: str, trade_id: str = "1") -> OrderFill:
    return OrderFill(
        trade_id=trade_id,
        price=Decimal("39000.05"),
        base_qty=Decimal(qty),
        fee=Decimal(0),
        fee_asset="BTC",
        traded_at_ms=1_700_000_010_123,
    )


# writing


def test_an_intent_is_read_back_to_the_last_digit(orders: OrdersTable) -> None:
    order = an_order(fills=(a_fill("0.000000000000000001"),), filled_qty=Decimal("0.000000000000000001"))
    assert orders.create(order)
    assert orders.get("alice", order.client_order_id) == order
    assert str(orders.get("alice", order.client_order_id).base_qty) == "0.123456789012345678"


@pytest.mark.parametrize("status", OrderStatus)
def test_an_intent_that_exists_is_never_made_again_whatever_became_of_it(
    orders: OrdersTable, status: OrderStatus
) -> None:
    assert orders.create(an_order())
    ended = orders.update(an_order().to(status))
    assert not orders.create(an_order())
    assert not orders.create(an_order(placed_at=1_800_000_000))
    assert orders.get("alice", ended.client_order_id) == ended


def test_the_same_id_of_another_user_is_another_intent(orders: OrdersTable) -> None:
    assert orders.create(an_order())
    assert orders.create(an_order(user_id="bob"))


def test_of_two_who_read_the_same_revision_the_second_loses(orders: OrdersTable) -> None:
    orders.create(an_order())
    winner = orders.update(an_order().to(OPEN))
    assert winner.revision == 1
    with pytest.raises(Conflict):
        orders.update(an_order().to(REJECTED))
    assert orders.get("alice", winner.client_order_id) == winner


def test_an_order_that_was_never_created_cannot_be_updated(orders: OrdersTable) -> None:
    with pytest.raises(Conflict):
        orders.update(an_order())
    assert orders.find("alice", an_order().client_order_id) is None


def test_a_write_that_is_repeated_because_its_answer_was_lost_is_no_conflict(orders: OrdersTable) -> None:
    orders.create(an_order())
    opened = an_order().to(OPEN)
    assert orders.update(opened) == orders.update(opened) == orders.get("alice", opened.client_order_id)


def test_another_user_s_order_is_not_there(orders: OrdersTable) -> None:
    orders.create(an_order())
    assert orders.find("bob", an_order().client_order_id) is None
    with pytest.raises(NotThere):
        orders.get("bob", an_order().client_order_id)


# the life cycle


def test_every_status_has_its_place_in_the_life_cycle() -> None:
    assert MAY_BECOME.keys() == set(OrderStatus)


@pytest.mark.parametrize(("before", "after"), list(product(OrderStatus, OrderStatus)))
def test_an_order_goes_only_where_its_life_cycle_leads(before: OrderStatus, after: OrderStatus) -> None:
    order = an_order(status=before)
    if after in MAY_BECOME[before]:
        assert order.to(after, reason="x") == an_order(status=after, reason="x")
    else:
        with pytest.raises(Conflict, match=f"{before}, which never becomes {after}"):
            order.to(after)


@pytest.mark.parametrize(
    ("filled", "fills", "complete"),
    [
        ("0", [], True),
        ("0.3", [], False),
        ("0.3", ["0.1"], False),
        ("0.3", ["0.1", "0.2"], True),
        ("0.30", ["0.1", "0.2000"], True),
        ("0.3", ["0.1", "0.3"], False),
        ("0.000000000000000002", ["0.000000000000000001"], False),
        ("123456789012345678.000000000000000003", ["123456789012345678", "0.000000000000000003"], True),
        ("123456789012345678.000000000000000003", ["123456789012345678", "0.000000000000000002"], False),
    ],
)
def test_fills_are_complete_when_they_add_up_exactly(filled: str, fills: list[str], complete: bool) -> None:
    booked = tuple(a_fill(qty, str(number)) for number, qty in enumerate(fills))
    assert an_order(filled_qty=Decimal(filled), fills=booked).fills_complete is complete


# the watched


@pytest.mark.parametrize("status", OrderStatus)
def test_an_order_is_watched_exactly_while_something_may_become_of_it(orders: OrdersTable, status: OrderStatus) -> None:
    plain = an_order(1, status=status)
    unbooked = an_order(2, status=status, filled_qty=Decimal("0.1"))
    given_up = an_order(3, status=status, watch_until=1_700_086_400)
    for order in (plain, unbooked, given_up):
        orders.create(order)
    may_trade = status in {PENDING, OPEN, PARTIALLY_FILLED}
    assert is_watched(plain) is may_trade
    assert orders.watched("alice") == [plain, unbooked, given_up][0 if may_trade else 1 :]


def test_an_order_leaves_the_watched_with_its_end_and_can_come_back(orders: OrdersTable) -> None:
    orders.create(an_order())
    order = orders.update(an_order().to(CANCELED))
    assert orders.watched("alice") == []
    order = orders.update(order.to(PARTIALLY_FILLED, filled_qty=Decimal("0.1")))
    assert orders.watched("alice") == [order]
    orders.update(order.to(CANCELED, fills=(a_fill("0.1"),)))
    assert orders.watched("alice") == []


def test_an_intent_just_written_is_among_the_watched_oldest_first(orders: OrdersTable) -> None:
    for number in (3, 1, 2):
        orders.create(an_order(number))
    assert orders.watched("alice") == [an_order(1), an_order(2), an_order(3)]


def test_only_the_user_s_own_orders_are_watched(orders: OrdersTable) -> None:
    orders.create(an_order())
    orders.create(an_order(user_id="bob"))
    assert [order.user_id for order in orders.watched("bob")] == ["bob"]


def test_more_watched_orders_than_fit_on_a_page_are_all_read(orders: OrdersTable) -> None:
    """DynamoDB ends a page after a megabyte: these are two."""
    many = [an_order(number, reason="x" * 100_000) for number in range(20)]
    for order in many:
        orders.create(order)
    assert orders.watched("alice") == many
    assert list(orders.every("alice")) == many[::-1]


def test_what_ended_is_not_in_the_index_at_all(dynamodb: "DynamoDBClient", table: MakeTable) -> None:
    name = table("OrdersTable")
    orders = OrdersTable(dynamodb, name)
    orders.create(an_order())
    orders.update(an_order().to(REJECTED))
    assert dynamodb.scan(TableName=name, IndexName="watched")["Items"] == []


# pages


def pages_of(orders: OrdersTable, user_id: str, limit: int) -> list[list[Order]]:
    pages, cursor = [], None
    while True:
        page = orders.page(user_id, limit=limit, cursor=cursor)
        pages.append(page.orders)
        cursor = page.cursor
        if cursor is None:
            return pages


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_hold_every_order_once_newest_first(orders: OrdersTable, limit: int) -> None:
    for number in range(7):
        orders.create(an_order(number))
        orders.create(an_order(number, user_id="bob"))
    pages = pages_of(orders, "alice", limit)
    assert [order for page in pages for order in page] == [an_order(number) for number in reversed(range(7))]
    assert all(len(page) <= limit for page in pages)


def test_orders_of_one_second_come_in_the_order_of_their_decision(orders: OrdersTable) -> None:
    several = [an_order(number, placed_at=1_700_000_010, order_index=9 - number) for number in range(10)]
    for order in several:
        orders.create(order)
    assert [order.order_index for page in pages_of(orders, "alice", 3) for order in page] == list(reversed(range(10)))


def test_orders_of_one_second_and_place_are_all_on_some_page(orders: OrdersTable) -> None:
    """A tick and an order by hand in the same second share what pages are sorted by."""
    several = {an_order(number, placed_at=1_700_000_010).client_order_id for number in range(5)}
    for number in range(5):
        orders.create(an_order(number, placed_at=1_700_000_010))
    found = [order.client_order_id for page in pages_of(orders, "alice", 2) for order in page]
    assert (len(found), set(found)) == (5, several)


def test_every_order_is_read_over_all_pages(orders: OrdersTable) -> None:
    for number in range(3):
        orders.create(an_order(number))
    assert list(orders.every("alice")) == [an_order(2), an_order(1), an_order(0)]


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


A_PLACE, AN_ID = "01700000010#0000", f"{0:020x}"
FORGED = {
    "empty": "",
    "not base64": "!!!",
    "wrong length": "abcde",
    "not ASCII": "пять",
    "no JSON": urlsafe_b64encode(b"\xff\xfe{").decode(),
    "a NUL": "\0",
    "null": encoded(None),
    "a number": encoded(1),
    "text": encoded("x"),
    "an object": encoded({"user_id": "bob"}),
    "no parts": encoded([]),
    "one part": encoded([A_PLACE]),
    "three parts": encoded([A_PLACE, AN_ID, "bob"]),
    "numbers": encoded([1, 2]),
    "a nested key": encoded([{"S": A_PLACE}, {"S": AN_ID}]),
    "null part": encoded([A_PLACE, None]),
    "empty parts": encoded(["", ""]),
    "empty id": encoded([A_PLACE, ""]),
    "another place": encoded(["yesterday", AN_ID]),
    "other digits": encoded(["٠١٧٠٠٠٠٠٠١٠#٠٠٠٠", AN_ID]),
    "a newline": encoded([A_PLACE + "\n", AN_ID]),
    "a surrogate": encoded([A_PLACE, "\ud800"]),
    "a long id": encoded([A_PLACE, "x" * 5_000]),
    "a long place": encoded(["1" * 5_000 + "#0000", AN_ID]),
    "huge": encoded(["x" * 1_000_000, AN_ID]),
    "deep": urlsafe_b64encode(b"[" * 300_000).decode(),
    "a long number": urlsafe_b64encode(b"[" + b"1" * 10_000 + b"]").decode(),
    "a decision's": encode_cursor("1700000010"),
}


@pytest.mark.parametrize("cursor", FORGED.values(), ids=FORGED)
def test_a_forged_cursor_is_the_request_s_fault(orders: OrdersTable, cursor: str) -> None:
    orders.create(an_order())
    with pytest.raises(MendRequest) as raised:
        orders.page("alice", limit=10, cursor=cursor)
    assert raised.value.code == "invalid_cursor"
    assert len(str(raised.value)) < 200


def test_a_cursor_of_another_user_shows_only_one_s_own_orders(orders: OrdersTable) -> None:
    for number in range(6):
        orders.create(an_order(number, user_id="alice" if number % 2 else "bob"))
    bobs = orders.page("bob", limit=1).cursor
    assert bobs is not None
    page = orders.page("alice", limit=10, cursor=bobs)
    assert {order.user_id for order in page.orders} <= {"alice"}


def test_a_cursor_to_nowhere_is_no_error(orders: OrdersTable) -> None:
    orders.create(an_order(5))
    assert orders.page("alice", limit=10, cursor=encode_cursor("00000000000#0000", AN_ID)).orders == []
    assert orders.page("alice", limit=10, cursor=encode_cursor("99999999999#0000", AN_ID)).orders == [an_order(5)]
