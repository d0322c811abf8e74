"""What became of our orders: the exchange's word, booked once.

Fills are booked from the trades themselves, by trade id, and quantities from the exchange's cumulative
figure, so reading the same answer twice changes nothing.
"""

from collections.abc import Iterable

from botbalance.errors import Conflict, MendRequest, TryAgainLater, WaitUntilAllowed
from botbalance.exchange.adapter import ExchangeAdapter, ExchangeOrder, ExchangeOrderStatus
from botbalance.store.orders import Order, OrderFill, OrderStatus
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import Desk

NEVER_PLACED_AFTER_S = 120
"""An order must be older than this before not finding it can mean that it was never placed.

Longer than any function may run and a signed request stays valid: whoever wrote the intent cannot send it any more.
"""
NEVER_PLACED_AFTER_LOOKUPS = 2
NOT_ON_EXCHANGE = "not_on_exchange"
"""The reason of an order that rested and that the exchange knows no more."""
WATCH_GIVEN_UP_S = 86_400
"""For how long an order that was given up is still looked for, in case it turns up after all."""

_STATUS = {
    ExchangeOrderStatus.OPEN: OrderStatus.OPEN,
    ExchangeOrderStatus.FILLED: OrderStatus.FILLED,
    ExchangeOrderStatus.CANCELED: OrderStatus.CANCELED,
    ExchangeOrderStatus.REJECTED: OrderStatus.REJECTED,
    ExchangeOrderStatus.EXPIRED: OrderStatus.EXPIRED,
}


def reconcile(
    desk: Desk, account: ExchangeAdapter, strategy: Strategy, open_orders: Iterable[ExchangeOrder]
) -> list[Order]:
    """Bring every watched order of the user up to date; returns those whose pair must be left alone for now.

    These may still trade, or their fate was unknown until this look: balances read before it may be older than
    what became of them. ``open_orders`` are the account's as just read; an order that is not among them is looked
    up by its id, also on a pair that the strategy has dropped since.
    """
    watched = [order for order in desk.orders.watched(strategy.user_id) if order.exchange == account.exchange]
    dropped = {order.symbol for order in watched} - set(strategy.symbols())
    if dropped:
        try:
            desk.portfolio.make_known(account, {*strategy.symbols(), *dropped})
        except MendRequest:  # one of them is listed no more; what can be looked up still is
            desk.portfolio.make_known(account, strategy.symbols())
    resting = {order.client_order_id: order for order in open_orders if order.client_order_id}
    unsettled = []
    for order in watched:
        try:
            seen = resting.get(account.reported_client_id(order.client_order_id))
            if seen is None:
                seen = account.find_order(order.symbol, order.client_order_id)
            current = book_not_found(desk, order) if seen is None else book(desk, account, order, seen)
        except WaitUntilAllowed:
            raise
        except (TryAgainLater, MendRequest, Conflict):  # this order's trouble alone: its pair waits, the others go on
            unsettled.append(order)
            continue
        fate_was_unknown = order.status is OrderStatus.PENDING or order.watch_until is not None
        if current.may_trade or (fate_was_unknown and seen is not None):
            unsettled.append(current)
    return unsettled


def book(desk: Desk, account: ExchangeAdapter, order: Order, seen: ExchangeOrder) -> Order:
    """Write what the exchange says of ``order``, its new fills included; returns it as it now stands.

    The cumulative quantity never goes down, whatever a late answer says.
    """
    filled_qty = max(order.filled_qty, seen.filled_qty)
    fills = order.fills
    if filled_qty > order.booked_qty:
        booked = {fill.trade_id for fill in fills}
        fills += tuple(
            OrderFill(
                trade_id=trade.trade_id,
                price=trade.fill.price,
                base_qty=trade.fill.base_qty,
                fee=trade.fill.fee,
                fee_asset=trade.fill.fee_asset,
                traded_at_ms=trade.traded_at_ms,
            )
            for trade in account.trades(order.symbol, seen.exchange_order_id)
            if trade.trade_id not in booked and trade.exchange_order_id == seen.exchange_order_id
        )
    status = _STATUS[seen.status]
    if status is OrderStatus.OPEN and filled_qty:
        status = OrderStatus.PARTIALLY_FILLED
    current = order.to(
        status,
        exchange_order_id=seen.exchange_order_id,
        filled_qty=filled_qty,
        fills=fills,
        times_not_found=0,
        watch_until=None,
    )
    if current == order:
        return order
    return desk.orders.update(current.model_copy(update={"updated_at": desk.clock()}))


def book_not_found(desk: Desk, order: Order) -> Order:
    """Write that the exchange knows no such order. Only repeatedly, and after a while, is that believed."""
    now = desk.clock()
    if order.watch_until is not None and order.watch_until <= now:
        return desk.orders.update(order.model_copy(update={"watch_until": None, "updated_at": now}))
    if not order.may_trade or order.reason == NOT_ON_EXCHANGE:
        return order
    counted = order.model_copy(update={"times_not_found": order.times_not_found + 1, "updated_at": now})
    if order.status is not OrderStatus.PENDING:
        # It was there once, so nothing may be assumed: its pair stays blocked, and its owner can see why.
        if counted.times_not_found >= NEVER_PLACED_AFTER_LOOKUPS:
            counted = counted.model_copy(update={"reason": NOT_ON_EXCHANGE})
    elif counted.times_not_found >= NEVER_PLACED_AFTER_LOOKUPS and now - order.placed_at > NEVER_PLACED_AFTER_S:
        counted = counted.to(OrderStatus.CANCELED, reason="never_placed", watch_until=now + WATCH_GIVEN_UP_S)
    return desk.orders.update(counted)
