"""Orders from intent to end: written once, changed by who read last and has the lease, never lost from the watched."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from decimal import Decimal
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import ConflictError, InvalidRequestError, NotFoundError, TransientError
from botbalance.models.fill import OrderFill
from botbalance.models.order import Order, OrderStatus
from botbalance.store.accounts import AccountsTable, Lease
from botbalance.store.dynamodb import parse_document
from botbalance.store.orders import OrdersTable, OrderTooLargeError
from botbalance.store.pagination import encode_cursor

from tests.unit.store.concurrent_writers import decided, held
from tests.unit.store.conftest import NOW, Grant
from tests.unit.store.faults import answers_lost, meanwhile, reads_watched, refused
from workbench.aws.usage_meter import item_size

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PENDING, OPEN, PARTIALLY_FILLED = OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED
FILLED, CANCELED = OrderStatus.FILLED, OrderStatus.CANCELED
REJECTED, EXPIRED = OrderStatus.REJECTED, OrderStatus.EXPIRED

MAY_BECOME = {
    # sent, fate unknown: it may turn out to be anything
    PENDING: {PENDING, OPEN, PARTIALLY_FILLED, FILLED, CANCELED, REJECTED, EXPIRED},
    # resting; an exchange may look only then whether it would take, and reject it
    OPEN: {OPEN, PARTIALLY_FILLED, FILLED, CANCELED, REJECTED, EXPIRED},
    # what has traded has traded
    PARTIALLY_FILLED: {PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED},
    # given up: a late fill, or the order itself, may still turn up and is booked
    CANCELED: {CANCELED, OPEN, PARTIALLY_FILLED, FILLED, REJECTED, EXPIRED},
    EXPIRED: {EXPIRED, FILLED},
    # the end
    FILLED: {FILLED},
    REJECTED: {REJECTED},
}


def moved(order: Order, status: OrderStatus, **changes: Any) -> Order:
    return order.model_copy(update={"status": status, **changes})


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
            "fencing_token": 1,  # as it is read back: the first lease's
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


def test_an_intent_is_read_back_to_the_last_digit(orders: OrdersTable, lease: Lease) -> None:
    order = an_order(fills=(a_fill("0.000000000000000001"),), filled_qty=Decimal("0.000000000000000001"))
    assert orders.create(order, lease, decided(lease))
    assert orders.get("alice", order.client_order_id) == order
    assert str(orders.get("alice", order.client_order_id).base_qty) == "0.123456789012345678"


def test_an_order_names_the_lease_under_which_it_was_last_written(orders: OrdersTable, accounts: AccountsTable) -> None:
    with held(accounts, "alice", NOW) as first:
        orders.create(an_order(fencing_token=77), first, decided(first))
    assert orders.get("alice", an_order().client_order_id).fencing_token == 1
    with held(accounts, "alice", NOW) as second:
        updated = orders.update(an_order(), second)
    assert orders.get("alice", an_order().client_order_id) == updated
    assert (updated.revision, updated.fencing_token) == (1, 2)


@pytest.mark.parametrize("status", OrderStatus)
def test_an_intent_that_exists_is_never_made_again_whatever_became_of_it(
    orders: OrdersTable, status: OrderStatus, lease: Lease
) -> None:
    assert orders.create(an_order(), lease, decided(lease))
    ended = orders.update(moved(an_order(), status), lease)
    assert not orders.create(an_order(), lease, decided(lease))
    assert not orders.create(an_order(placed_at=1_800_000_000), lease, decided(lease))
    assert orders.get("alice", ended.client_order_id) == ended


def test_another_run_s_intent_is_not_taken_for_one_s_own(orders: OrdersTable, accounts: AccountsTable) -> None:
    """Equal to the last digit, and of the same second: only the lease tells them apart."""
    with held(accounts, "alice", NOW) as first:
        assert orders.create(an_order(), first, decided(first))
    with held(accounts, "alice", NOW) as second:
        assert not orders.create(an_order(), second, decided(second))
    assert orders.get("alice", an_order().client_order_id) == an_order()


def test_the_same_id_of_another_user_is_another_intent(orders: OrdersTable, lease: Lease, grant: Grant) -> None:
    assert orders.create(an_order(), lease, decided(lease))
    bobs = grant("bob")
    assert orders.create(an_order(user_id="bob"), bobs, decided(bobs))


def test_of_two_who_read_the_same_revision_the_second_loses(orders: OrdersTable, lease: Lease) -> None:
    orders.create(an_order(), lease, decided(lease))
    winner = orders.update(moved(an_order(), OPEN), lease)
    assert winner.revision == 1
    with pytest.raises(ConflictError) as raised:
        orders.update(moved(an_order(), REJECTED), lease)
    assert raised.value.code == "order_changed"
    assert orders.get("alice", winner.client_order_id) == winner


def test_an_order_that_is_changed_while_an_update_is_on_its_way_is_not_written_over(
    orders: OrdersTable, lease: Lease, dynamodb: "DynamoDBClient"
) -> None:
    orders.create(an_order(), lease, decided(lease))
    with meanwhile(dynamodb, "TransactWriteItems", lambda: orders.update(moved(an_order(), OPEN), lease)):  # noqa: SIM117
        with pytest.raises(ConflictError) as raised:
            orders.update(moved(an_order(), REJECTED), lease)
    assert raised.value.code == "order_changed"
    assert orders.get("alice", an_order().client_order_id) == an_order(status=OPEN, revision=1)


def test_an_order_that_was_never_created_cannot_be_updated(orders: OrdersTable, lease: Lease) -> None:
    with pytest.raises(ConflictError):
        orders.update(an_order(), lease)
    assert orders.find("alice", an_order().client_order_id) is None


def test_another_user_s_order_is_not_there(orders: OrdersTable, lease: Lease) -> None:
    orders.create(an_order(), lease, decided(lease))
    assert orders.find("bob", an_order().client_order_id) is None
    with pytest.raises(NotFoundError):
        orders.get("bob", an_order().client_order_id)


def test_an_order_of_another_version_is_refused(
    orders: OrdersTable, lease: Lease, dynamodb: "DynamoDBClient", orders_table: str
) -> None:
    orders.create(an_order(), lease, decided(lease))
    [item] = dynamodb.scan(TableName=orders_table)["Items"]
    document = json.loads(item["document"]["S"]) | {"schema_version": 2}
    dynamodb.put_item(TableName=orders_table, Item=item | {"document": {"S": json.dumps(document)}})
    readings: list[Callable[[], Any]] = [
        lambda: orders.find("alice", an_order().client_order_id),
        lambda: orders.get("alice", an_order().client_order_id),
        lambda: orders.unreconciled("alice"),
        lambda: orders.page("alice", limit=10),
        lambda: orders.create(an_order(), lease, decided(lease)),  # what stands there might be one's own
    ]
    for read in readings:
        with pytest.raises(TransientError, match=r"Order is not of a known form \(schema_version\)") as raised:
            read()
        assert raised.value.code == "unknown_schema"


# answers that were lost, and writes that were not carried out


@pytest.fixture
def repeated(repeating: "DynamoDBClient", orders_table: str) -> OrdersTable:
    return OrdersTable(repeating, orders_table)


@pytest.mark.parametrize("lost", [1, 2])
def test_an_intent_whose_answer_was_lost_is_written_once_and_one_s_own(
    repeated: OrdersTable, repeating: "DynamoDBClient", lease: Lease, lost: int
) -> None:
    with answers_lost(repeating, "TransactWriteItems", lost) as sent:
        assert repeated.create(an_order(), lease, decided(lease))
    assert len(sent) == lost + 1
    assert list(repeated.iter_all("alice")) == [an_order()]


@pytest.mark.parametrize("lost", [1, 2])
def test_an_update_whose_answer_was_lost_is_no_conflict(
    repeated: OrdersTable, repeating: "DynamoDBClient", lease: Lease, lost: int
) -> None:
    repeated.create(an_order(), lease, decided(lease))
    with answers_lost(repeating, "TransactWriteItems", lost) as sent:
        updated = repeated.update(moved(an_order(), OPEN), lease)
    assert len(sent) == lost + 1
    assert updated == an_order(status=OPEN, revision=1)
    assert repeated.get("alice", updated.client_order_id) == updated


def test_another_run_s_intent_is_not_taken_for_one_s_own_where_the_answer_was_lost(
    orders: OrdersTable, repeated: OrdersTable, repeating: "DynamoDBClient", accounts: AccountsTable
) -> None:
    with held(accounts, "alice", NOW) as first:
        orders.create(an_order(), first, decided(first))
    with held(accounts, "alice", NOW) as second:  # noqa: SIM117
        with answers_lost(repeating, "TransactWriteItems") as sent:
            assert not repeated.create(an_order(), second, decided(second))
    assert len(sent) == 2
    assert orders.get("alice", an_order().client_order_id) == an_order()


def test_another_s_update_is_not_taken_for_one_s_own_where_the_answer_was_lost(
    orders: OrdersTable, repeated: OrdersTable, repeating: "DynamoDBClient", lease: Lease
) -> None:
    orders.create(an_order(), lease, decided(lease))
    winner = orders.update(moved(an_order(), CANCELED), lease)
    with answers_lost(repeating, "TransactWriteItems") as sent, pytest.raises(ConflictError) as raised:
        repeated.update(moved(an_order(), OPEN), lease)
    assert len(sent) == 2
    assert raised.value.code == "order_changed"
    assert orders.get("alice", winner.client_order_id) == winner


def test_a_write_that_is_asked_for_again_because_nothing_was_known_of_it_is_one_s_own(
    orders: OrdersTable, repeated: OrdersTable, repeating: "DynamoDBClient", lease: Lease
) -> None:
    """Asked for again, it is a new transaction even to an engine that knows a repeated one."""
    with answers_lost(repeating, "TransactWriteItems", 3) as sent, pytest.raises(TransientError) as raised:
        repeated.create(an_order(), lease, decided(lease))
    assert (len(sent), raised.value.code) == (3, "storage_unavailable")
    assert orders.get("alice", an_order().client_order_id) == an_order()
    assert orders.create(an_order(), lease, decided(lease))
    with answers_lost(repeating, "TransactWriteItems", 3) as sent, pytest.raises(TransientError) as raised:
        repeated.update(moved(an_order(), OPEN), lease)
    assert (len(sent), raised.value.code) == (3, "storage_unavailable")
    assert orders.get("alice", an_order().client_order_id) == an_order(status=OPEN, revision=1)
    assert orders.update(moved(an_order(), OPEN), lease) == an_order(status=OPEN, revision=1)
    assert orders.get("alice", an_order().client_order_id) == an_order(status=OPEN, revision=1)


@pytest.mark.parametrize(
    "reasons",
    [
        ("None", "TransactionConflict"),
        ("TransactionConflict", "None"),
        ("None", "ThrottlingError"),
    ],
    ids="-".join,
)
def test_a_transaction_that_met_another_one_is_tried_again_later(
    orders: OrdersTable, dynamodb: "DynamoDBClient", lease: Lease, reasons: tuple[str, str]
) -> None:
    orders.create(an_order(1), lease, decided(lease))
    writes: list[Callable[[], object]] = [
        lambda: orders.create(an_order(2), lease, decided(lease)),
        lambda: orders.update(moved(an_order(1), OPEN), lease),
    ]
    facts = [{"Code": code} for code in reasons]
    for write in writes:
        with refused(dynamodb, "TransactWriteItems", "TransactionCanceledException", CancellationReasons=facts):
            with pytest.raises(TransientError, match=", ".join(reasons)) as raised:
                write()
            assert raised.value.code == "storage_unavailable"
    assert list(orders.iter_all("alice")) == [an_order(1)]


def test_a_lost_lease_stops_the_run_whatever_else_kept_the_write_from_happening(
    orders: OrdersTable, dynamodb: "DynamoDBClient", lease: Lease
) -> None:
    facts = [{"Code": "ConditionalCheckFailed"}, {"Code": "TransactionConflict"}]
    with refused(dynamodb, "TransactWriteItems", "TransactionCanceledException", CancellationReasons=facts):  # noqa: SIM117
        with pytest.raises(ConflictError) as raised:
            orders.create(an_order(), lease, decided(lease))
    assert raised.value.code == "lease_lost"


def test_an_order_too_large_for_the_table_is_not_written_in_part(orders: OrdersTable, lease: Lease) -> None:
    orders.create(an_order(1), lease, decided(lease))
    with pytest.raises(TransientError):
        orders.create(an_order(2, reason=Random(1).randbytes(450_000).hex()), lease, decided(lease))
    with pytest.raises(TransientError):
        orders.update(an_order(1, reason=Random(1).randbytes(450_000).hex()), lease)
    assert list(orders.iter_all("alice")) == [an_order(1)]


# the life cycle


def test_every_status_has_its_place_in_the_life_cycle() -> None:
    assert MAY_BECOME.keys() == set(OrderStatus)


@pytest.mark.parametrize(("before", "after"), list(product(OrderStatus, OrderStatus)))
def test_an_order_is_surprised_by_what_its_life_cycle_does_not_have(before: OrderStatus, after: OrderStatus) -> None:
    assert an_order(status=before).expects(after) is (after in MAY_BECOME[before])


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
def test_an_order_is_watched_exactly_while_something_may_become_of_it(
    orders: OrdersTable, status: OrderStatus, lease: Lease
) -> None:
    plain = an_order(1, status=status)
    unbooked = an_order(2, status=status, filled_qty=Decimal("0.1"))
    given_up = an_order(3, status=status, check_until=1_700_086_400)
    for order in (plain, unbooked, given_up):
        orders.create(order, lease, decided(lease))
    is_active = status in {PENDING, OPEN, PARTIALLY_FILLED}
    assert plain.is_unreconciled is is_active
    assert orders.unreconciled("alice") == [plain, unbooked, given_up][0 if is_active else 1 :]


def test_an_order_leaves_the_watched_with_its_end_and_can_come_back(orders: OrdersTable, lease: Lease) -> None:
    orders.create(an_order(), lease, decided(lease))
    order = orders.update(moved(an_order(), CANCELED), lease)
    assert orders.unreconciled("alice") == []
    order = orders.update(moved(order, PARTIALLY_FILLED, filled_qty=Decimal("0.1")), lease)
    assert orders.unreconciled("alice") == [order]
    orders.update(moved(order, CANCELED, fills=(a_fill("0.1"),)), lease)
    assert orders.unreconciled("alice") == []


def test_an_intent_just_written_is_among_the_watched_oldest_first(orders: OrdersTable, lease: Lease) -> None:
    for number in (3, 1, 2):
        orders.create(an_order(number), lease, decided(lease))
    assert orders.unreconciled("alice") == [an_order(1), an_order(2), an_order(3)]


def test_what_decides_over_an_order_is_read_as_it_was_written_last(
    orders: OrdersTable, accounts: AccountsTable, lease: Lease, dynamodb: "DynamoDBClient"
) -> None:
    orders.create(an_order(), lease, decided(lease))
    with reads_watched(dynamodb, "GetItem") as gets, reads_watched(dynamodb, "Query") as queries:
        orders.find("alice", an_order().client_order_id)
        accounts.find_state("alice")
        orders.unreconciled("alice")
        list(orders.iter_all("alice"))
    assert (gets, queries) == ([True, True], [True, True])


def test_whoever_has_several_unreconciled_orders_is_named_once(orders: OrdersTable, lease: Lease, grant: Grant) -> None:
    bob_s = grant("bob")
    for number in range(3):
        orders.create(an_order(number), lease, decided(lease))
        orders.create(an_order(number, "bob"), bob_s, decided(bob_s))
    assert sorted(orders.users_with_unreconciled_orders()) == ["alice", "bob"]


def test_only_the_user_s_own_orders_are_watched(orders: OrdersTable, lease: Lease, grant: Grant) -> None:
    bobs = grant("bob")
    orders.create(an_order(), lease, decided(lease))
    orders.create(an_order(user_id="bob"), bobs, decided(bobs))
    assert [order.user_id for order in orders.unreconciled("bob")] == ["bob"]


def test_more_watched_orders_than_fit_on_a_page_are_all_read(orders: OrdersTable, lease: Lease) -> None:
    """DynamoDB ends a page after a megabyte: these are two."""
    digits = Random(1)
    many = [an_order(number, reason=digits.randbytes(75_000).hex()) for number in range(20)]
    for order in many:
        orders.create(order, lease, decided(lease))
    assert orders.unreconciled("alice") == many
    assert list(orders.iter_all("alice")) == many[::-1]


def test_what_ended_is_not_in_the_index_at_all(
    orders: OrdersTable, lease: Lease, dynamodb: "DynamoDBClient", orders_table: str
) -> None:
    orders.create(an_order(), lease, decided(lease))
    orders.update(moved(an_order(), REJECTED), lease)
    assert dynamodb.scan(TableName=orders_table, IndexName="watched")["Items"] == []


# pages


def read_pages(orders: OrdersTable, user_id: str, limit: int) -> list[list[Order]]:
    pages, cursor = [], None
    while True:
        page = orders.page(user_id, limit=limit, cursor=cursor)
        pages.append(page.items)
        cursor = page.cursor
        if cursor is None:
            return pages


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_hold_every_order_once_newest_first(orders: OrdersTable, limit: int, lease: Lease, grant: Grant) -> None:
    bobs = grant("bob")
    for number in range(7):
        orders.create(an_order(number), lease, decided(lease))
        orders.create(an_order(number, user_id="bob"), bobs, decided(bobs))
    pages = read_pages(orders, "alice", limit)
    assert [order for page in pages for order in page] == [an_order(number) for number in reversed(range(7))]
    assert all(len(page) <= limit for page in pages)


def test_orders_of_one_second_come_in_the_order_of_their_decision(orders: OrdersTable, lease: Lease) -> None:
    several = [an_order(number, placed_at=1_700_000_010, order_index=9 - number) for number in range(10)]
    for order in several:
        orders.create(order, lease, decided(lease))
    assert [order.order_index for page in read_pages(orders, "alice", 3) for order in page] == list(reversed(range(10)))


def test_orders_of_one_second_and_place_are_all_on_some_page(orders: OrdersTable, lease: Lease) -> None:
    """A tick and an order by hand in the same second share what pages are sorted by."""
    several = {an_order(number, placed_at=1_700_000_010).client_order_id for number in range(5)}
    for number in range(5):
        orders.create(an_order(number, placed_at=1_700_000_010), lease, decided(lease))
    found = [order.client_order_id for page in read_pages(orders, "alice", 2) for order in page]
    assert (len(found), set(found)) == (5, several)


def test_every_order_is_read_over_all_pages(orders: OrdersTable, lease: Lease) -> None:
    for number in range(3):
        orders.create(an_order(number), lease, decided(lease))
    assert list(orders.iter_all("alice")) == [an_order(2), an_order(1), an_order(0)]


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
def test_a_forged_cursor_is_the_request_s_fault(orders: OrdersTable, cursor: str, lease: Lease) -> None:
    orders.create(an_order(), lease, decided(lease))
    with pytest.raises(InvalidRequestError) as raised:
        orders.page("alice", limit=10, cursor=cursor)
    assert raised.value.code == "invalid_cursor"
    assert len(str(raised.value)) < 200


def test_a_cursor_of_another_user_shows_only_one_s_own_orders(orders: OrdersTable, grant: Grant) -> None:
    accounts = {user_id: grant(user_id) for user_id in ("alice", "bob")}
    for number in range(6):
        user_id = "alice" if number % 2 else "bob"
        orders.create(an_order(number, user_id=user_id), accounts[user_id], decided(accounts[user_id]))
    bobs = orders.page("bob", limit=1).cursor
    assert bobs is not None
    page = orders.page("alice", limit=10, cursor=bobs)
    assert {order.user_id for order in page.items} <= {"alice"}


def test_a_cursor_to_nowhere_is_no_error(orders: OrdersTable, lease: Lease) -> None:
    orders.create(an_order(5), lease, decided(lease))
    assert orders.page("alice", limit=10, cursor=encode_cursor("00000000000#0000", AN_ID)).items == []
    assert orders.page("alice", limit=10, cursor=encode_cursor("99999999999#0000", AN_ID)).items == [an_order(5)]


# many fills


def many_fills(count: int) -> tuple[OrderFill, ...]:
    """As an exchange tells them: all of one price, and otherwise each different."""
    digits = Random(1)
    return tuple(
        OrderFill(
            trade_id=str(4_000_000_000 + 100 * number + digits.randrange(100)),
            price=Decimal("39000.05"),
            base_qty=Decimal(digits.randrange(1, 10**7)).scaleb(-5),
            fee=Decimal(digits.randrange(1, 10**7)).scaleb(-8),
            fee_asset="USDT",
            traded_at_ms=1_700_000_000_000 + 2_000 * number + digits.randrange(2_000),
        )
        for number in range(count)
    )


def test_an_order_of_thousands_of_fills_is_booked_to_the_last_digit(
    orders: OrdersTable, lease: Lease, dynamodb: "DynamoDBClient", orders_table: str
) -> None:
    """Its item counts three times: both indexes have all of it."""
    orders.create(an_order(), lease, decided(lease))
    fills = many_fills(5_000)
    updated = orders.update(moved(an_order(), OrderStatus.OPEN, fills=fills), lease)
    assert updated.fills == fills
    assert orders.get("alice", an_order().client_order_id) == updated
    assert orders.unreconciled("alice") == [updated]
    [item] = dynamodb.scan(TableName=orders_table)["Items"]
    assert 3 * item_size(item) < 400 * 1024
    with pytest.raises(TransientError, match="schema_version"):  # as versions read it that compressed none
        parse_document(Order, item["document"]["S"])


def test_an_order_that_no_item_holds_does_not_fit(orders: OrdersTable) -> None:
    with pytest.raises(OrderTooLargeError, match="7000 fills"):
        orders.require_fits(an_order(fills=many_fills(7_000)))
    orders.require_fits(an_order(fills=many_fills(5_000)))
