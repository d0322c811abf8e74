"""The audit finds what was tampered with, on either side."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botbalance import bootstrap
from botbalance.models.order import Order, OrderStatus

from workbench.audit.order_books import differences
from workbench.local.api_gateway import DEMO_USER
from workbench.local.stack import DEMO_KEY, Options, Stack
from workbench.simulated_exchange.matching_engine import Account
from workbench.simulated_exchange.matching_engine import OrderStatus as BookedStatus


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """After a few ticks with fills, and its books and ours agree."""
    with Stack(Options(seed=3)) as running:
        for _ in range(8):
            running.tick()
        assert running.book_differences() == []
        yield running


@pytest.fixture
def ours(stack: Stack) -> list[Order]:
    del stack
    orders = list(bootstrap.services().context.orders.iter_all(DEMO_USER))
    assert any(order.fills for order in orders)
    return orders


@pytest.fixture
def filled(ours: list[Order]) -> Order:
    return next(order for order in ours if order.fills)


def audit(stack: Stack, orders: list[Order]) -> list[str]:
    return differences(stack.exchange.account_books(DEMO_KEY.api_key), orders)


def test_untouched_books_agree(stack: Stack, ours: list[Order]) -> None:
    assert audit(stack, ours) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("symbol", "DOGEUSDT"),
        ("side", "neither"),
        ("limit_price", Decimal("0.01")),
        ("base_qty", Decimal(999)),
        ("filled_qty", Decimal(0)),
        ("status", OrderStatus.OPEN),
        ("exchange_order_id", "0"),
    ],
)
def test_a_changed_field_of_ours_is_reported_by_order_and_field(
    stack: Stack, ours: list[Order], filled: Order, field: str, value: Any
) -> None:
    tampered = [order.model_copy(update={field: value}) if order is filled else order for order in ours]
    found = audit(stack, tampered)
    assert any(line.startswith(f"{filled.client_order_id}: {field} is ") for line in found)


def test_an_order_that_we_lost_is_reported(stack: Stack, ours: list[Order], filled: Order) -> None:
    found = audit(stack, [order for order in ours if order is not filled])
    assert f"{filled.client_order_id}: on the exchange only" in found


def test_an_order_that_the_exchange_never_had_is_reported(stack: Stack, ours: list[Order], filled: Order) -> None:
    invented = filled.model_copy(update={"client_order_id": "f" * 20, "fills": ()})
    assert "f" * 20 + ": FILLED here, unknown to the exchange" in audit(
        stack, [*ours, invented.model_copy(update={"status": OrderStatus.FILLED})]
    )


@pytest.mark.parametrize("field", ["price", "base_qty", "fee"])
def test_a_changed_fill_is_reported_on_both_sides(stack: Stack, ours: list[Order], filled: Order, field: str) -> None:
    fill, *rest = filled.fills
    changed = filled.model_copy(update={"fills": (fill.model_copy(update={field: Decimal("0.123")}), *rest)})
    found = audit(stack, [changed if order is filled else order for order in ours])
    assert sorted(line.rpartition(": ")[2] for line in found) == ["here only", "on the exchange only"]


def test_a_fill_booked_twice_or_not_at_all_is_reported(stack: Stack, ours: list[Order], filled: Order) -> None:
    without = filled.model_copy(update={"fills": ()})
    assert audit(stack, [without if order is filled else order for order in ours])
    again = filled.fills[0].model_copy(update={"trade_id": "again"})
    twice = filled.model_copy(update={"fills": (*filled.fills, again)})
    assert audit(stack, [twice if order is filled else order for order in ours])


def double(account: Account, order_id: int) -> None:
    account.orders[-1] = replace(account.orders[order_id], order_id=-1)


def lose_trades(account: Account, order_id: int) -> None:
    account.trades = [trade for trade in account.trades if trade.order_id != order_id]


def reopen(account: Account, order_id: int) -> None:
    account.orders[order_id] = replace(account.orders[order_id], status=BookedStatus.NEW, executed_qty=Decimal(0))


@pytest.mark.parametrize("tamper", [double, lose_trades, reopen])
def test_tampering_with_the_exchanges_books_is_reported(
    stack: Stack, filled: Order, tamper: Callable[[Account, int], None]
) -> None:
    account = stack.books.account(DEMO_KEY.api_key)
    assert account is not None
    before = dict(account.orders), list(account.trades)
    tamper(account, int(filled.exchange_order_id or 0))
    try:
        assert stack.book_differences()
    finally:
        account.orders, account.trades = before
    assert stack.book_differences() == []


def test_tampering_with_the_table_is_reported(stack: Stack, filled: Order) -> None:
    settings = bootstrap.services().settings
    client = boto3.client("dynamodb", endpoint_url=settings.dynamodb_endpoint)
    key = {"user_id": {"S": DEMO_USER}, "client_order_id": {"S": filled.client_order_id}}
    item = client.get_item(TableName=settings.orders_table, Key=key)["Item"]
    client.delete_item(TableName=settings.orders_table, Key=key)
    try:
        assert f"{filled.client_order_id}: on the exchange only" in stack.book_differences()
    finally:
        client.put_item(TableName=settings.orders_table, Item=item)
        client.close()
    assert stack.book_differences() == []
