"""Bringing orders up to date: every order whose end is not known, on whatever exchange it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from botbalance.errors import BotBalanceError, CredentialsRejectedError, RateLimitedError
from botbalance.exchange.adapter import ExchangeOrder
from botbalance.log import logger
from botbalance.models.order import Order, OrderStatus
from botbalance.trading.incidents import report_orders
from botbalance.trading.order_updates import apply_order_report, look_up, record_failed_look_up
from botbalance.trading.session import AccountSession


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a look at the unreconciled orders came to.

    ``found`` are the orders as they were, ``orders`` the same ones as they are now, ``unsettled`` those that may still
    trade, or that changed in this look: balances may be a step behind. ``changed`` tells whether any of them was not as
    the exchange has it, or could not be brought up to date.
    """

    found: list[Order]
    orders: list[Order]
    unsettled: list[Order]
    changed: bool

    def blocked_symbols(self) -> set[str]:
        """The pairs that get no order for now."""
        return {order.symbol for order in self.unsettled}


def reconcile(session: AccountSession, open_orders: Mapping[str, Sequence[ExchangeOrder]]) -> Reconciliation:
    """Bring every order of the user up to date whose end is not known.

    ``open_orders`` are those of whole accounts as just read, by exchange; an order that is not among them is looked up
    by its id, also on a pair, or an exchange, that the strategy has dropped since.
    """
    found = [] if session.state.no_unreconciled_orders else session.context.orders.unreconciled(session.user_id)
    orders, unsettled = [], []
    changed = False
    for order in found:
        try:
            current = _up_to_date(session, order, open_orders.get(order.exchange, ()))
        except BotBalanceError as error:
            if isinstance(error, RateLimitedError | CredentialsRejectedError) and order.exchange in open_orders:
                raise
            # This order's trouble alone, or that of an exchange which is not traded on: the others go on.
            logger.warning(
                "order not brought up to date",
                user_id=order.user_id,
                client_order_id=order.client_order_id,
                reason=str(error),
            )
            current = record_failed_look_up(session, order, error)
            orders.append(current)
            unsettled.append(current)
            changed = True
            continue
        orders.append(current)
        news = (current.status, current.filled_qty, current.fills) != (order.status, order.filled_qty, order.fills)
        changed |= current != order or current.status is OrderStatus.PENDING
        if current.is_active or news:
            unsettled.append(current)
    report_orders(session, orders, session.context.clock())
    return Reconciliation(found, orders, unsettled, changed)


def _up_to_date(session: AccountSession, order: Order, open_orders: Sequence[ExchangeOrder]) -> Order:
    exchange = session.exchange(order.exchange, [order.symbol])
    reported_as = exchange.exchange_client_order_id(order.client_order_id)
    seen = next((resting for resting in open_orders if resting.client_order_id == reported_as), None)
    if seen is None:
        if session.context.clock() < order.next_check_at:
            return order
        return look_up(session, order)
    return apply_order_report(session, order, seen)
