"""Compares the exchange's books with ours, order by order and fill by fill."""

from collections.abc import Iterable
from decimal import Decimal

from botbalance.models.order import Order, OrderStatus

from workbench.simulated_exchange.control_messages import AccountBooks
from workbench.simulated_exchange.matching_engine import Order as BookedOrder
from workbench.simulated_exchange.matching_engine import OrderStatus as BookedStatus

_SAME_STATUS = {
    BookedStatus.NEW: OrderStatus.OPEN,
    BookedStatus.PARTIALLY_FILLED: OrderStatus.PARTIALLY_FILLED,
    BookedStatus.FILLED: OrderStatus.FILLED,
    BookedStatus.CANCELED: OrderStatus.CANCELED,
    BookedStatus.EXPIRED: OrderStatus.EXPIRED,
}


def differences(books: AccountBooks, orders: Iterable[Order]) -> list[str]:
    """Everything in which an account's books and our orders disagree, a line each; empty where they agree."""
    ours = {order.client_order_id: order for order in orders}
    found = []
    booked_ids = set()
    for booked in books.orders:
        if booked.client_order_id in booked_ids:
            found.append(f"{booked.client_order_id}: twice on the exchange")
        booked_ids.add(booked.client_order_id)
        order = ours.get(booked.client_order_id)
        if order is None:
            found.append(f"{booked.client_order_id}: on the exchange only")
        else:
            found += _order_differences(booked, order)
    for client_order_id, order in ours.items():
        if client_order_id not in booked_ids and order.status not in {OrderStatus.REJECTED, OrderStatus.CANCELED}:
            found.append(f"{client_order_id}: {order.status} here, unknown to the exchange")
    found += _fill_differences(books, ours)
    return found


def _order_differences(booked: BookedOrder, order: Order) -> list[str]:
    pairs: list[tuple[str, object, object]] = [
        ("symbol", booked.symbol, order.symbol),
        ("side", booked.side, order.side),
        ("limit_price", booked.price, order.limit_price),
        ("base_qty", booked.qty, order.base_qty),
        ("filled_qty", booked.executed_qty, order.filled_qty),
        ("status", _SAME_STATUS.get(booked.status), order.status),
        ("exchange_order_id", str(booked.order_id), order.exchange_order_id),
    ]
    return [
        f"{order.client_order_id}: {field} is {theirs} there and {here} here"
        for field, theirs, here in pairs
        if theirs != here
    ]


def _fill_differences(books: AccountBooks, ours: dict[str, Order]) -> list[str]:
    by_exchange_id = {order.exchange_order_id: order for order in ours.values()}
    booked = {
        (str(trade.trade_id), trade.price, trade.qty, trade.commission, trade.commission_asset)
        for trade in books.trades
        if str(trade.order_id) in by_exchange_id
    }
    here: set[tuple[str, Decimal, Decimal, Decimal, str]] = {
        (fill.trade_id, fill.price, fill.base_qty, fill.fee, fill.fee_asset)
        for order in ours.values()
        for fill in order.fills
    }
    return [f"fill {fill}: on the exchange only" for fill in sorted(booked - here)] + [
        f"fill {fill}: here only" for fill in sorted(here - booked)
    ]
