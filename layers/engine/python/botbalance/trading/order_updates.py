"""What became of our orders: the exchange's word, booked once.

Fills are booked from the trades themselves, by trade id, and quantities from the exchange's cumulative figure, so
reading the same answer twice changes nothing. Whatever the exchange says of an order's state is booked; what is
surprising in it is an alarm.
"""

from decimal import Decimal
from typing import Any

from botbalance.deadline import OUT_OF_TIME
from botbalance.engine.durations import DAY_S, HOUR_S
from botbalance.errors import BotBalanceError, ConflictError, RateLimitedError, TransientError
from botbalance.exchange.adapter import ExchangeAdapter, ExchangeOrder, ExchangeOrderStatus, MarketGoneError
from botbalance.log import alarm, logger
from botbalance.models.fill import OrderFill
from botbalance.models.order import (
    LOOK_UPS_FAIL,
    NOT_ON_EXCHANGE,
    ORDER_TOO_LARGE,
    TRADES_NOT_TOLD,
    Order,
    OrderStatus,
)
from botbalance.store.dynamodb import STORAGE_UNAVAILABLE
from botbalance.store.orders import OrderTooLargeError
from botbalance.trading.session import AccountSession

NEVER_PLACED_AFTER_S = 120
"""An order must be older than this before not finding it can mean that it was never placed.

Longer than a function that sends orders may run and a signed request stays valid: whoever wrote the intent cannot send
it any more.
"""
NOT_FOUND_BELIEVED_AFTER = 2
"""So many look-ups that do not find it."""
NEVER_PLACED = "never_placed"
"""The reason of an order that was given up because nobody ever saw it."""
CHECK_GIVEN_UP_S = DAY_S
"""For how long an order that was given up is still looked for, in case it turns up after all."""
CHECK_ENDED_S = 600
"""For how long an order that ended unfilled is still looked at, in case a fill is reported late."""
CHECK_LOST_EVERY_S = HOUR_S
"""How often an order is still looked up that its exchange no longer tells of."""
CHECK_UNTOLD_AFTER_S = 600
"""An order that ended, and whose fills are not told for so long, is looked up no more often than that."""
TRADES_GIVEN_UP_S = HOUR_S
"""After so long without them its owner can say what the fills of an order were."""
LOOK_UPS_GIVEN_UP_S = DAY_S
"""After so long in which every look-up failed its owner can say what became of an order."""
FIRST_CHECK_AFTER_S = 30
"""After an order has ended or was given up; each further check takes twenty times as long to come as the one before."""

_STATUS = {
    ExchangeOrderStatus.OPEN: OrderStatus.OPEN,
    ExchangeOrderStatus.FILLED: OrderStatus.FILLED,
    ExchangeOrderStatus.CANCELED: OrderStatus.CANCELED,
    ExchangeOrderStatus.REJECTED: OrderStatus.REJECTED,
    ExchangeOrderStatus.EXPIRED: OrderStatus.EXPIRED,
}


def apply_order_report(
    session: AccountSession, order: Order, seen: ExchangeOrder, *, canceled_because: str | None = None
) -> Order:
    """Write what the exchange says of ``order``, as :func:`read_order_report` has it; returns it as it now stands."""
    current = read_order_report(session, order, seen, canceled_because=canceled_because)
    return order if current == order else session.update_order(order, current)


def read_order_report(
    session: AccountSession, order: Order, seen: ExchangeOrder, *, canceled_because: str | None = None
) -> Order:
    """``order`` as the exchange now says it is, its new fills included; the same where it says nothing new.

    The cumulative quantity never goes down, whatever a late answer says. Raises TransientError where more is said to be
    filled than was ordered. ``canceled_because`` is its reason from now on if it is cancelled.
    """
    filled_qty = _filled_qty(order, seen)
    fills = order.fills
    if filled_qty > order.fills_qty:
        fills += _new_fills(session.exchange(order.exchange), order, seen)
        # The answer may be a lagging copy's: of two cumulative figures the higher one is the later one.
        filled_qty = max(filled_qty, order.model_copy(update={"fills": fills}).fills_qty)
    status = _status(order, seen, has_fills=bool(filled_qty))
    report: dict[str, Any] = {
        "status": status,
        "exchange_order_id": seen.exchange_order_id,
        "filled_qty": filled_qty,
        "fills": fills,
        "reason": _reason(order, seen, status, canceled_because),
        "times_not_found": 0,
        "untold_since": None,
    }
    current = order.model_copy(update=report)
    now = session.context.clock()
    current = current.model_copy(update=_next_check(order, current, now))
    if not current.is_active and not current.fills_complete:
        # That look-ups failed before says nothing of how long its trades have been missing.
        is_first = order.is_active or order.reason == LOOK_UPS_FAIL
        before = order.model_copy(update={"untold_since": None, "reason": None}) if is_first else order
        current = _untold(before, current, now, TRADES_GIVEN_UP_S, TRADES_NOT_TOLD)
    return order if current == order else current.model_copy(update={"updated_at": now})


def look_up(session: AccountSession, order: Order, *, canceled_because: str | None = None) -> Order:
    """Ask the exchange for ``order``, and write what it tells; returns it as it now stands.

    ``canceled_because`` is its reason from now on if it is cancelled.
    """
    try:
        seen = session.exchange(order.exchange, [order.symbol]).find_order(order.symbol, order.client_order_id)
    except MarketGoneError:
        return apply_order_not_found(session, order, market_gone=True)
    if seen is None:
        return apply_order_not_found(session, order)
    return apply_order_report(session, order, seen, canceled_because=canceled_because)


def apply_order_not_found(session: AccountSession, order: Order, *, market_gone: bool = False) -> Order:
    """Write that the exchange knows no such order. Only repeatedly, and after a while, is that believed.

    ``market_gone``: it knows the whole market no more. That an order was never placed there, nobody can tell then.
    """
    now = session.context.clock()
    if order.reason == NOT_ON_EXCHANGE and order.is_active:
        return order
    if not order.is_active and (order.is_lost or order.fills_complete):
        later = {"next_check_at": now + CHECK_LOST_EVERY_S} if order.is_lost else _next_check(order, order, now)
        return session.update_order(order, order.model_copy(update=later | {"updated_at": now}))
    counted = order.model_copy(update={"times_not_found": order.times_not_found + 1, "updated_at": now})
    if order.is_active:  # the exchange does tell of it, be it this
        reason = None if order.is_lost else order.reason
        counted = counted.model_copy(update={"untold_since": None, "next_check_at": 0, "reason": reason})
    if counted.times_not_found >= NOT_FOUND_BELIEVED_AFTER:
        if order.status is not OrderStatus.PENDING or market_gone:
            # It was there once, or may have been, so nothing may be assumed: until its owner says what became of it,
            # its pair stays blocked, or its fills unknown.
            facts = {"user_id": order.user_id, "client_order_id": order.client_order_id}
            alarm(NOT_ON_EXCHANGE, "an order is not known to the exchange any more", **facts)
            counted = counted.model_copy(update={"reason": NOT_ON_EXCHANGE})
        elif now - order.placed_at > NEVER_PLACED_AFTER_S:
            given_up = counted.model_copy(update={"status": OrderStatus.CANCELED, "reason": NEVER_PLACED})
            counted = given_up.model_copy(update=_next_check(order, given_up, now))
    return session.update_order(order, counted)


def record_failed_look_up(session: AccountSession, order: Order, error: BotBalanceError) -> Order:
    """Write that ``order`` could not be looked up, or booked, because of ``error``; returns it as it now stands.

    Only what may last counts: no limit, no lack of time, no trouble of the database. Where it cannot be written, the
    next failure is the first one.
    """
    passes = isinstance(error, RateLimitedError | ConflictError) or error.code in {OUT_OF_TIME, STORAGE_UNAVAILABLE}
    if passes or not (order.is_active or not order.fills_complete):
        return order
    why, lost_after_s = LOOK_UPS_FAIL, LOOK_UPS_GIVEN_UP_S
    if isinstance(error, OrderTooLargeError):
        why, lost_after_s = ORDER_TOO_LARGE, 0
    now = session.context.clock()
    if order.is_lost and (order.reason != why or now < order.next_check_at):
        return order
    current = _untold(order, order, now, lost_after_s, why)
    if current == order:
        return order
    try:
        return session.update_order(order, current.model_copy(update={"updated_at": now}))
    except BotBalanceError as trouble:
        logger.warning("failed look-up not written", client_order_id=order.client_order_id, reason=str(trouble))
        return order


def lost_because(order: Order) -> str:
    """What is known of an order that is lost, in words that follow its name."""
    if order.reason == LOOK_UPS_FAIL:
        return f"could not be looked up on {order.exchange} for a day"
    if order.reason == ORDER_TOO_LARGE:
        return "has more fills than can be stored"
    if order.reason == TRADES_NOT_TOLD:
        return f"filled {order.filled_qty:f} {order.base} and {order.exchange} does not tell its trades"
    if order.status is OrderStatus.PENDING:
        return f"got no answer, and {order.exchange} tells nothing of its market any more"
    known = "rested" if order.is_active else f"filled {order.filled_qty:f} {order.base}"
    return f"{known} and {order.exchange} knows it no more"


def order_lost_error(order: Order) -> ConflictError:
    """What is refused because of an order that is lost, and the way out."""
    return ConflictError(
        NOT_ON_EXCHANGE,
        f"order {order.client_order_id} in {order.symbol} {lost_because(order)}; "
        f"say what became of it: POST orders/{order.client_order_id}/resolve/",
    )


def _untold(order: Order, current: Order, now: int, lost_after_s: int, why: str) -> Order:
    """``current``, of which, or of whose fills, the exchange has told nothing again; it was ``order`` before.

    It is asked ever more rarely, and after a while it is lost, because of ``why``.
    """
    since = now if order.untold_since is None else order.untold_since
    update: dict[str, Any] = {"untold_since": since}
    if order.is_lost or now - since >= lost_after_s:
        update |= {"reason": why, "next_check_at": now + CHECK_LOST_EVERY_S}
    elif not current.is_active:
        update["next_check_at"] = now + CHECK_UNTOLD_AFTER_S if now - since >= CHECK_UNTOLD_AFTER_S else 0
    lost = current.model_copy(update=update)
    if lost.is_lost and not order.is_lost:
        facts = {"user_id": order.user_id, "client_order_id": order.client_order_id}
        alarm(why, f"an order {lost_because(lost)}", **facts)
    return lost


def _filled_qty(order: Order, seen: ExchangeOrder) -> Decimal:
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
    return max(order.filled_qty, seen.filled_qty)


def _status(order: Order, seen: ExchangeOrder, *, has_fills: bool) -> OrderStatus:
    """The state to book. What is filled in whole stays so: everything else said of it is from before."""
    status = _STATUS[seen.status]
    if status is OrderStatus.OPEN and has_fills:
        status = OrderStatus.PARTIALLY_FILLED
    if order.status is OrderStatus.FILLED:
        return order.status
    if not order.expects(status):
        alarm(
            "order_transition",
            "an order changed in a way that orders do not change",
            user_id=order.user_id,
            client_order_id=order.client_order_id,
            known=order.status.value,
            reported=status.value,
        )
    return status


def _reason(order: Order, seen: ExchangeOrder, status: OrderStatus, canceled_because: str | None) -> str | None:
    """Why the order is as it is. Why there was a doubt about it is over, now that it is seen."""
    if status is OrderStatus.REJECTED:
        return seen.reason or order.reason or "rejected"
    if status is OrderStatus.CANCELED and canceled_because is not None:
        return canceled_because
    return None if order.is_active or order.is_lost or order.reason == NEVER_PLACED else order.reason


def _new_fills(exchange: ExchangeAdapter, order: Order, seen: ExchangeOrder) -> tuple[OrderFill, ...]:
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
        for trade in exchange.trades(order.symbol, seen.exchange_order_id)
        if trade.trade_id not in booked
    )


def _next_check(order: Order, current: Order, now: int) -> dict[str, int | None]:
    """Until when, and from when on, to look up ``current``, which was ``order`` before."""
    if current.is_active or current.status in {OrderStatus.FILLED, OrderStatus.REJECTED}:
        return {"check_until": None, "next_check_at": 0}
    if order.is_active:  # it has just ended
        check_s = CHECK_ENDED_S if current.exchange_order_id else CHECK_GIVEN_UP_S
        return {"check_until": now + check_s, "next_check_at": now + FIRST_CHECK_AFTER_S}
    if order.check_until is None or order.check_until <= now:
        return {"check_until": None, "next_check_at": 0}
    next_check_at = min(order.check_until, now + 20 * (now - order.updated_at))
    return {"check_until": order.check_until, "next_check_at": next_check_at}
