"""Orders by hand: list them as they stand, cancel one or all."""

from botbalance.errors import BotBalanceError, RateLimitedError
from botbalance.log import logger
from botbalance.store.leases import Lease
from botbalance.store.orders import EVERY_ORDER, Order, OrderFilter, OrderPage
from botbalance.trading.desk import Desk
from botbalance.trading.placement import cancel
from botbalance.trading.reconcile import reconcile

REASON = "canceled_by_user"


def list_orders(
    desk: Desk, user_id: str, *, limit: int, cursor: str | None, wanted: OrderFilter = EVERY_ORDER
) -> OrderPage:
    """Those of the user's orders that are ``wanted``, newest first, the first page as up to date as possible."""
    if cursor is None:
        bring_up_to_date(desk, user_id)
    return desk.orders.page(user_id, limit=limit, cursor=cursor, wanted=wanted)


def bring_up_to_date(desk: Desk, user_id: str) -> None:
    """Ask what became of the orders that rest, where that is possible, while the autopilot, which does so, is off."""
    strategy = desk.strategies.find(user_id)
    if strategy is not None and not strategy.autopilot_enabled and desk.orders.watched(user_id):
        try:
            with desk.lease_of(user_id) as lease:
                account = desk.accounts.of(user_id, strategy.exchange)
                desk.portfolio.load_markets(account, strategy.symbols())
                reconcile(desk, lease, account, strategy, account.open_orders())
        except BotBalanceError as error:  # as last known, then; each order says when that was
            logger.warning("orders not brought up to date", user_id=user_id, reason=str(error))


def cancel_one(desk: Desk, user_id: str, client_order_id: str) -> Order:
    """Cancel one order; one that has ended already is returned as it is. Raises NotFoundError for an unknown one."""
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
                except RateLimitedError:
                    raise
                except BotBalanceError as error:
                    troubles.append(error)
    if troubles:
        raise troubles[0]
    return canceled


def _cancel(desk: Desk, lease: Lease, order: Order) -> Order:
    account = desk.accounts.of(order.user_id, order.exchange)
    desk.portfolio.load_markets(account, [order.symbol])
    return cancel(desk, lease, account, order, REASON)
