"""Cancelling orders so that none is lost sight of: every cancel is sent once, and every order read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from botbalance.errors import BotBalanceError, TransientError
from botbalance.models.order import Order
from botbalance.trading.order_updates import look_up, order_lost_error, record_failed_look_up
from botbalance.trading.session import AccountSession


@dataclass(frozen=True, slots=True)
class CancelResult:
    """The orders as they stand after their cancels, and what some of them met, by client order id."""

    orders: list[Order]
    errors: dict[str, BotBalanceError]

    def raise_error(self) -> None:
        """Raise what the first of those met that could not be cancelled; nothing where all were."""
        for error in self.errors.values():
            raise error

    def not_canceled(self) -> dict[str, BotBalanceError]:
        """Which of them may still trade, and why, by client order id."""
        return {
            order.client_order_id: self.errors.get(order.client_order_id)
            or TransientError("order_still_active", f"it is {order.status} after its cancel")
            for order in self.orders
            if order.is_active
        }


def cancel_all(session: AccountSession, reason: str) -> CancelResult:
    """Cancel every order that may still trade, on whatever exchange; returns them as they then stand."""
    active = [order for order in session.context.orders.unreconciled(session.user_id) if order.is_active]
    return cancel_orders(session, active, dict.fromkeys((order.client_order_id for order in active), reason))


def cancel_orders(session: AccountSession, orders: Sequence[Order], reasons: Mapping[str, str]) -> CancelResult:
    """Cancel resting orders, each for its reason (by client order id), and book how they really ended: cancelled, or
    filled before the cancel arrived.

    All cancels are sent before any order is read back, and whatever one of them meets, the others are sent: exchanges
    go on taking cancels for longer than they answer reads. A cancel is sent once; its end is the exchange's word, read
    after it, also where it got no answer. What still rests, or cannot be read, stays unreconciled.
    """
    errors: dict[str, BotBalanceError] = {}
    for order in orders:
        try:
            exchange = session.exchange(order.exchange, [order.symbol])
            exchange.cancel_order(order.symbol, order.client_order_id)
        except BotBalanceError as error:
            errors[order.client_order_id] = error
    current = []
    for order in orders:
        try:
            current.append(look_up(session, order, canceled_because=reasons[order.client_order_id]))
        except BotBalanceError as error:
            errors.setdefault(order.client_order_id, error)
            current.append(record_failed_look_up(session, order, error))
        if not current[-1].is_active:
            errors.pop(order.client_order_id, None)
        elif current[-1].is_lost:
            errors[order.client_order_id] = order_lost_error(current[-1])
    return CancelResult(current, errors)
