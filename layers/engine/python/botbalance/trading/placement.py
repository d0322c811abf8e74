"""Placing and cancelling orders so that none is doubled or lost: intent → send → record.

The intent is written before the request and only where it does not exist yet, so an intent is sent at most once.
Whatever the exchange answers is recorded in it; an order whose fate is unknown is looked up, and otherwise left to the
next run's reconciliation. It is never sent again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from botbalance.deadline import OUT_OF_TIME
from botbalance.engine import Action, MarketRules
from botbalance.errors import BotBalanceError, ConflictError, CredentialsRejectedError, RateLimitedError, TransientError
from botbalance.exchange.adapter import (
    KEY_REFUSED,
    RATE_LIMITED,
    OrderAccepted,
    OrderRejected,
    OrderUnknown,
    SubmitResult,
)
from botbalance.exchange.client_order_ids import canonical_client_order_id
from botbalance.log import logger
from botbalance.models.order import Order, OrderStatus
from botbalance.models.strategy import Strategy
from botbalance.store.accounts import LEASE_LOST
from botbalance.trading.order_updates import (
    apply_order_not_found,
    apply_order_report,
    order_lost_error,
    record_failed_look_up,
)
from botbalance.trading.session import AccountSession

LOOKUP_DELAYS_S = (0, 1, 2)
"""Waits before the look-ups of an order of unknown fate: at 0, 1 and 3 seconds."""
RECORD_DELAYS_S = (0, 1, 2)
"""Waits before the attempts to write what became of an order."""
PRICES_EXPIRED = "prices_expired"


@dataclass(frozen=True, slots=True)
class NotPlaced:
    """An action of a decision that was not sent, and why."""

    action: Action
    error: BotBalanceError


@dataclass(frozen=True, slots=True)
class PlacementResult:
    """The orders of one decision as they stand, and what of it was not sent."""

    orders: list[Order]
    not_placed: list[NotPlaced]
    stopped_by: BotBalanceError | None
    """What kept the rest from being sent, also where nothing was left to be sent."""


@dataclass(frozen=True, slots=True)
class CancelResult:
    """The orders as they stand after their cancels, and what some of them met, by client order id."""

    orders: list[Order]
    errors: dict[str, BotBalanceError]

    def not_canceled(self) -> dict[str, BotBalanceError]:
        """Which of them may still trade, and why, by client order id."""
        return {
            order.client_order_id: self.errors.get(order.client_order_id)
            or TransientError("order_still_active", f"it is {order.status} after its cancel")
            for order in self.orders
            if order.is_active
        }


def place_actions(
    session: AccountSession,
    strategy: Strategy,
    actions: Sequence[Action],
    rules: Mapping[str, MarketRules],
    *,
    ts_tick: int,
    source: Literal["autopilot", "manual"],
    prices_expire_at: int,
) -> PlacementResult:
    """Place the actions of one decision, one after the other.

    An action whose intent exists already is another run's: its order is returned, and nothing is sent. Where an intent
    cannot be written as things are, its prices are too old (``prices_expire_at``, in epoch seconds), time runs out, or
    the exchange refuses the key or limits requests, nothing more is sent.
    """
    orders: list[Order] = []
    for index, action in enumerate(actions):
        intent = _intent(
            strategy,
            action,
            rules[action.symbol],
            ts_tick=ts_tick,
            order_index=index,
            source=source,
            now=session.context.clock(),
        )
        try:
            session.require_time_to_send()
            _require_fresh_prices(prices_expire_at, intent.placed_at)
            exchange = session.exchange(strategy.exchange, [action.symbol])
            is_new = session.create_order(intent, strategy)
            session.require_time_to_send()  # the write may have taken long
        except (TransientError, ConflictError) as error:
            return PlacementResult(orders, [NotPlaced(rest, error) for rest in actions[index:]], error)
        if not is_new:
            orders.append(session.context.orders.get(strategy.user_id, intent.client_order_id))
            continue
        submitted = exchange.place_order(
            action.symbol,
            action.side,
            action.limit_price,
            action.base_qty,
            intent.client_order_id,
            post_only=strategy.post_only,
        )
        order, stopped_by = _record_repeatedly(session, intent, submitted)
        orders.append(order)
        if stopped_by is not None:
            return PlacementResult(orders, [NotPlaced(rest, stopped_by) for rest in actions[index + 1 :]], stopped_by)
    return PlacementResult(orders, [], None)


def record_submission(session: AccountSession, order: Order, submitted: SubmitResult) -> Order:
    """Write what became of an order that was just sent; looks it up where that is unknown."""
    match submitted:
        case OrderAccepted(seen):
            return apply_order_report(session, order, seen)
        case OrderRejected(code, reason):
            rejected = {"status": OrderStatus.REJECTED, "reason": f"{code}: {reason}"}
            return session.update_order(order, order.model_copy(update=rejected))
        case OrderUnknown(reason, None):
            return _look_up(session, order, reason)
        case OrderUnknown(reason):  # the exchange wants to be left alone, so the next run asks
            return session.update_order(order, order.model_copy(update={"reason": reason}))
        case _:
            assert_never(submitted)


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
            current.append(_read_back(session, order, reasons[order.client_order_id]))
        except BotBalanceError as error:
            errors.setdefault(order.client_order_id, error)
            current.append(record_failed_look_up(session, order, error))
        if not current[-1].is_active:
            errors.pop(order.client_order_id, None)
        elif current[-1].is_lost:
            errors[order.client_order_id] = order_lost_error(current[-1])
    return CancelResult(current, errors)


def reason_to_stop(submitted: SubmitResult) -> BotBalanceError | None:
    """Why nothing more may be sent after that answer; None where more may."""
    match submitted:
        case OrderRejected(code, reason) if code == KEY_REFUSED:
            return CredentialsRejectedError(KEY_REFUSED, f"the exchange refuses the API key: {reason}")
        case OrderRejected(code, reason) if code in {RATE_LIMITED, OUT_OF_TIME}:  # it was not even sent
            return TransientError(code, reason)
        case OrderUnknown(_, int(seconds)):
            return RateLimitedError(RATE_LIMITED, f"the exchange limits requests for {seconds} s", seconds)
    return None


def _intent(
    strategy: Strategy,
    action: Action,
    market: MarketRules,
    *,
    ts_tick: int,
    order_index: int,
    source: Literal["autopilot", "manual"],
    now: int,
) -> Order:
    return Order(
        user_id=strategy.user_id,
        client_order_id=canonical_client_order_id(strategy.user_id, action.symbol, action.side, ts_tick, order_index),
        exchange=strategy.exchange,
        symbol=action.symbol,
        base=market.base,
        quote=market.quote,
        side=action.side,
        limit_price=action.limit_price,
        base_qty=action.base_qty,
        quote_amount=action.quote_amount,
        source=source,
        ts_tick=ts_tick,
        order_index=order_index,
        placed_at=now,
        updated_at=now,
    )


def _require_fresh_prices(expire_at: int, now: int) -> None:
    if now > expire_at:
        raise TransientError(PRICES_EXPIRED, f"prices expired {now - expire_at} s ago; the next run takes fresh ones")


def _record_repeatedly(
    session: AccountSession, intent: Order, submitted: SubmitResult
) -> tuple[Order, BotBalanceError | None]:
    """The order after :func:`record_submission`, and why nothing more may be sent, if so.

    Where recording fails it is tried again, but the order never sent again; in the end the order stays as written, and
    the next run reconciles it.
    """
    written = intent
    for delay in RECORD_DELAYS_S:
        try:
            if delay:
                session.wait(delay)
                written = session.context.orders.get(intent.user_id, intent.client_order_id)
            return record_submission(session, written, submitted), reason_to_stop(submitted)
        except RateLimitedError as error:
            return written, error
        except ConflictError as error:
            return written, error if error.code == LEASE_LOST else reason_to_stop(submitted)
        except TransientError as error:
            logger.warning(
                "order not recorded yet",
                user_id=intent.user_id,
                client_order_id=intent.client_order_id,
                ts_tick=intent.ts_tick,
                reason=str(error),
            )
    return written, reason_to_stop(submitted)


def _look_up(session: AccountSession, order: Order, reason: str) -> Order:
    pending = session.update_order(order, order.model_copy(update={"reason": reason}))
    for delay in LOOKUP_DELAYS_S:
        try:
            session.wait(delay)
            seen = session.exchange(order.exchange).find_order(order.symbol, order.client_order_id)
        except RateLimitedError:
            raise
        except TransientError:
            continue
        if seen is not None:
            return apply_order_report(session, pending, seen)
    return pending


def _read_back(session: AccountSession, order: Order, reason: str) -> Order:
    seen = session.exchange(order.exchange).find_order(order.symbol, order.client_order_id)
    if seen is None:
        return apply_order_not_found(session, order)
    return apply_order_report(session, order, seen, canceled_because=reason)
