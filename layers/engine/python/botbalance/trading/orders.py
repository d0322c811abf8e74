"""Orders by hand: list them as they stand, cancel one or all."""

from botbalance.errors import BotBalanceError, WaitUntilAllowed
from botbalance.log import logger
from botbalance.store.leases import Lease
from botbalance.store.orders import Order, OrderPage
from botbalance.trading.desk import Desk
from botbalance.trading.placement import cancel
from botbalance.trading.reconcile import reconcile

REASON = "canceled_by_user"


def list_orders(desk: Desk, user_id: str, *, limit: int, cursor: str | None) -> OrderPage:
    """The user's orders, newest first.

    While the autopilot is off nothing else asks what became of them, so the first page does, where that is possible.
    """
    strategy = desk.strategies.find(user_id)
    if cursor is None and strategy is not None and not strategy.autopilot_enabled and desk.orders.watched(user_id):
        try:
            with desk.lease_of(user_id) as lease:
                account = desk.accounts.of(user_id, strategy.exchange)
                desk.portfolio.make_known(account, strategy.symbols())
                reconcile(desk, lease, account, strategy, account.open_orders())
        except BotBalanceError as error:  # as last known, then; each order says when that was
            logger.warning("orders not brought up to date", user_id=user_id, reason=str(error))
    return desk.orders.page(user_id, limit=limit, cursor=cursor)


def cancel_one(desk: Desk, user_id: str, client_order_id: str) -> Order:
    """Cancel one order; one that has ended already is returned as it is. Raises NotThere for an unknown one."""
    with desk.lease_of(user_id) as lease:
        order = desk.orders.get(user_id, client_order_id)
        return _cancel(desk, lease, order) if order.may_trade else order


def cancel_every(desk: Desk, user_id: str) -> list[Order]:
    """Cancel every order of the user that may still trade; returns them as they then stand.

    One that cannot be cancelled keeps none of the others resting; its trouble is raised after them.
    """
    canceled: list[Order] = []
    troubles: list[BotBalanceError] = []
    with desk.lease_of(user_id) as lease:
        for order in desk.orders.watched(user_id):
            if order.may_trade:
                try:
                    canceled.append(_cancel(desk, lease, order))
                except WaitUntilAllowed:
                    raise
                except BotBalanceError as error:
                    troubles.append(error)
    if troubles:
        raise troubles[0]
    return canceled


def _cancel(desk: Desk, lease: Lease, order: Order) -> Order:
    account = desk.accounts.of(order.user_id, order.exchange)
    desk.portfolio.make_known(account, [order.symbol])
    return cancel(desk, lease, account, order, REASON)
