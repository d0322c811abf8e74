"""What became of our orders: the exchange's word, booked once.

Fills are booked from the trades themselves, by trade id, and quantities from the exchange's cumulative
figure, so reading the same answer twice changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from botbalance.errors import ConflictError, InvalidRequestError, RateLimitedError, TransientError
from botbalance.exchange.adapter import ExchangeAdapter, ExchangeOrder, ExchangeOrderStatus
from botbalance.log import alarm, logger
from botbalance.store.leases import Lease
from botbalance.store.orders import Order, OrderFill, OrderStatus
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import Desk
from botbalance.trading.doubts import may_be_spent

NEVER_PLACED_AFTER_S = 120
"""An order must be older than this before not finding it can mean that it was never placed.

Longer than any function may run and a signed request stays valid: whoever wrote the intent cannot send it any more.
"""
NEVER_PLACED_AFTER_LOOKUPS = 2
UNKNOWN_FOR_LONG_S = 300
"""An order whose fate is still unknown by then is a person's business: its pair stays blocked."""
NEVER_PLACED = "never_placed"
"""The reason of an order that was given up because nobody ever saw it."""
NOT_ON_EXCHANGE = "not_on_exchange"
"""The reason of an order that rested and that the exchange knows no more."""
WATCH_GIVEN_UP_S = 86_400
"""For how long an order that was given up is still looked for, in case it turns up after all."""
WATCH_ENDED_S = 600
"""For how long an order that ended unfilled is still looked at, in case a fill is reported late."""
FIRST_LOOK_AFTER_S = 30
"""After an order has ended or was given up; each further look takes twenty times as long to come as the one before."""

_STATUS = {
    ExchangeOrderStatus.OPEN: OrderStatus.OPEN,
    ExchangeOrderStatus.FILLED: OrderStatus.FILLED,
    ExchangeOrderStatus.CANCELED: OrderStatus.CANCELED,
    ExchangeOrderStatus.REJECTED: OrderStatus.REJECTED,
    ExchangeOrderStatus.EXPIRED: OrderStatus.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a look at the watched orders leaves: those whose pair must be left alone, and what may have been spent.

    ``unsettled`` may still trade, or changed in a way that balances read before it need not show yet. ``spent`` are the
    assets of which the watched orders may have spent everything. ``watched`` are the orders as they were found, and
    ``changed`` tells whether any of them was not as the exchange has it, or could not be brought up to date.
    """

    unsettled: list[Order]
    spent: frozenset[str]
    watched: list[Order]
    changed: bool

    def blocked_symbols(self) -> set[str]:
        """The pairs that get no order for now."""
        return {order.symbol for order in self.unsettled}


def reconcile(
    desk: Desk, lease: Lease, account: ExchangeAdapter, strategy: Strategy, open_orders: Iterable[ExchangeOrder]
) -> Reconciliation:
    """Bring every watched order of the user up to date.

    ``open_orders`` are the account's as just read; an order that is not among them is looked up by its id, also on a
    pair that the strategy has dropped since.
    """
    every = [] if lease.nothing_watched else desk.orders.watched(strategy.user_id)
    lease.leaves_nothing_watched = not every
    watched = [order for order in every if order.exchange == account.exchange]
    dropped = {order.symbol for order in watched} - set(strategy.symbols())
    if dropped:
        try:
            desk.portfolio.load_markets(account, {*strategy.symbols(), *dropped})
        except InvalidRequestError:  # one of them is listed no more; what can be looked up still is
            desk.portfolio.load_markets(account, strategy.symbols())
    resting = {order.client_order_id: order for order in open_orders if order.client_order_id}
    unsettled = []
    changed = False
    for order in watched:
        seen = resting.get(account.exchange_client_order_id(order.client_order_id))
        if seen is None and not order.may_trade and order.fills_complete and desk.clock() < order.look_at:
            continue
        try:
            if seen is None:
                seen = account.find_order(order.symbol, order.client_order_id)
            current = book_not_found(desk, lease, order) if seen is None else book(desk, lease, account, order, seen)
        except RateLimitedError:
            raise
        except (TransientError, InvalidRequestError, ConflictError) as error:
            # This order's trouble alone: its pair waits, the others go on.
            logger.warning(
                "order not brought up to date",
                user_id=order.user_id,
                client_order_id=order.client_order_id,
                reason=str(error),
            )
            unsettled.append(order)
            changed = True
            continue
        changed |= current != order or current.status is OrderStatus.PENDING
        fate_was_unknown = order.status is OrderStatus.PENDING or not order.may_trade
        news = (current.status, current.filled_qty, current.fills) != (order.status, order.filled_qty, order.fills)
        if current.may_trade or (fate_was_unknown and news and seen is not None):
            unsettled.append(current)
    _raise_alarm_for_the_unknown(unsettled, desk.clock())
    return Reconciliation(unsettled, may_be_spent(lease, watched), watched, changed)


def book(
    desk: Desk,
    lease: Lease,
    account: ExchangeAdapter,
    order: Order,
    seen: ExchangeOrder,
    *,
    canceled_because: str | None = None,
) -> Order:
    """Write what the exchange says of ``order``, its new fills included; returns it as it now stands.

    The cumulative quantity never goes down, whatever a late answer says. Raises TransientError, and books nothing,
    where
    more is said to be filled than was ordered. ``canceled_because`` is its reason from now on if it is cancelled; why
    there was a doubt about it is over, now that it is seen.
    """
    now = desk.clock()
    if not order.filled_qty <= seen.filled_qty <= order.base_qty:
        alarm(
            "filled_quantity",
            "the exchange's filled quantity cannot be right",
            user_id=order.user_id,
            client_order_id=order.client_order_id,
            reported=str(seen.filled_qty),
            known=str(order.filled_qty),
            ordered=str(order.base_qty),
        )
    if seen.filled_qty > order.base_qty:
        raise TransientError(
            "doubtful_reply", f"{seen.filled_qty} of {order.base_qty} {order.base} are said to be filled"
        )
    filled_qty = max(order.filled_qty, seen.filled_qty)
    fills = order.fills
    if filled_qty > order.booked_qty:
        fills += _new_fills(account, order, seen)
        # The answer may be a lagging copy's: of two cumulative figures the higher one is the later one.
        filled_qty = max(filled_qty, order.model_copy(update={"fills": fills}).booked_qty)
    status = _STATUS[seen.status]
    if status is OrderStatus.OPEN and filled_qty:
        status = OrderStatus.PARTIALLY_FILLED
    if status is OrderStatus.PARTIALLY_FILLED and order.status is OrderStatus.FILLED:
        status = OrderStatus.FILLED  # an answer from before it filled
    reason = None if order.may_trade or order.reason == NEVER_PLACED else order.reason
    if status is OrderStatus.CANCELED and canceled_because is not None:
        reason = canceled_because
    current = order.to(
        status,
        exchange_order_id=seen.exchange_order_id,
        filled_qty=filled_qty,
        fills=fills,
        reason=reason,
        times_not_found=0,
    )
    current = current.model_copy(update=_watch(order, current, now))
    if current == order:
        return order
    return desk.orders.update(current.model_copy(update={"updated_at": now}), lease)


def book_not_found(desk: Desk, lease: Lease, order: Order) -> Order:
    """Write that the exchange knows no such order. Only repeatedly, and after a while, is that believed."""
    now = desk.clock()
    if not order.may_trade:
        return desk.orders.update(order.model_copy(update=_watch(order, order, now) | {"updated_at": now}), lease)
    if order.reason == NOT_ON_EXCHANGE:
        return order
    counted = order.model_copy(update={"times_not_found": order.times_not_found + 1, "updated_at": now})
    if order.status is not OrderStatus.PENDING:
        # It was there once, so nothing may be assumed: its pair stays blocked, and its owner can see why.
        if counted.times_not_found >= NEVER_PLACED_AFTER_LOOKUPS:
            alarm(
                NOT_ON_EXCHANGE,
                "an order that rested is not known to the exchange any more",
                user_id=order.user_id,
                client_order_id=order.client_order_id,
            )
            counted = counted.model_copy(update={"reason": NOT_ON_EXCHANGE})
    elif counted.times_not_found >= NEVER_PLACED_AFTER_LOOKUPS and now - order.placed_at > NEVER_PLACED_AFTER_S:
        given_up = counted.to(OrderStatus.CANCELED, reason=NEVER_PLACED)
        counted = given_up.model_copy(update=_watch(order, given_up, now))
    return desk.orders.update(counted, lease)


def _raise_alarm_for_the_unknown(orders: Iterable[Order], now: int) -> None:
    for order in orders:
        if order.status is OrderStatus.PENDING and now - order.placed_at > UNKNOWN_FOR_LONG_S:
            alarm(
                "order_unknown",
                "the fate of an order has been unknown for minutes",
                user_id=order.user_id,
                client_order_id=order.client_order_id,
                seconds=now - order.placed_at,
            )


def _new_fills(account: ExchangeAdapter, order: Order, seen: ExchangeOrder) -> tuple[OrderFill, ...]:
    booked = {fill.trade_id for fill in order.fills}
    return tuple(
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


def _watch(order: Order, current: Order, now: int) -> dict[str, int | None]:
    """Until when, and from when on, to look at ``current``, which was ``order`` before this look."""
    if current.may_trade or current.status in {OrderStatus.FILLED, OrderStatus.REJECTED}:
        return {"watch_until": None, "look_at": 0}
    if order.may_trade:  # it has just ended
        watch_s = WATCH_ENDED_S if current.exchange_order_id else WATCH_GIVEN_UP_S
        return {"watch_until": now + watch_s, "look_at": now + FIRST_LOOK_AFTER_S}
    if order.watch_until is None or order.watch_until <= now:
        return {"watch_until": None, "look_at": 0}
    return {"watch_until": order.watch_until, "look_at": min(order.watch_until, now + 20 * (now - order.updated_at))}
