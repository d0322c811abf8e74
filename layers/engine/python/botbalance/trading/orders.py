"""Cancelling by hand: one resting order, or all of this system's."""

from botbalance.store.orders import Order
from botbalance.trading.desk import Desk
from botbalance.trading.placement import cancel

REASON = "canceled_by_user"


def cancel_one(desk: Desk, user_id: str, client_order_id: str) -> Order:
    """Cancel one order; one that has ended already is returned as it is. Raises NotThere for an unknown one."""
    with desk.leases.held(user_id, desk.clock):
        order = desk.orders.get(user_id, client_order_id)
        return _cancel(desk, order) if order.may_trade else order


def cancel_every(desk: Desk, user_id: str) -> list[Order]:
    """Cancel every order of the user that may still trade; returns them as they then stand."""
    with desk.leases.held(user_id, desk.clock):
        return [_cancel(desk, order) for order in desk.orders.watched(user_id) if order.may_trade]


def _cancel(desk: Desk, order: Order) -> Order:
    account = desk.accounts.of(order.user_id, order.exchange)
    desk.portfolio.make_known(account, [order.symbol])
    return cancel(desk, account, order, REASON)
