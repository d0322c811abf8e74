"""What became of an order that was just sent: recorded, or looked up where the exchange did not say. It is never sent
again; what cannot be found out now is left to the next run's reconciliation."""

from typing import assert_never

from botbalance.deadline import OUT_OF_TIME
from botbalance.errors import BotBalanceError, ConflictError, CredentialsRejectedError, RateLimitedError, TransientError
from botbalance.exchange.adapter import (
    KEY_REFUSED,
    RATE_LIMITED,
    OrderAccepted,
    OrderRejected,
    OrderUnknown,
    SubmitResult,
)
from botbalance.log import logger
from botbalance.models.order import Order, OrderStatus
from botbalance.store.accounts import LEASE_LOST
from botbalance.trading.order_updates import apply_order_report, read_order_report
from botbalance.trading.session import RECORD_DELAYS_S, AccountSession

LOOKUP_DELAYS_S = (0, 1, 2)
"""Waits before the look-ups of an order of unknown fate: at 0, 1 and 3 seconds."""


def record_submission(
    session: AccountSession, intent: Order, submitted: SubmitResult
) -> tuple[Order, BotBalanceError | None]:
    """The order after that, and why nothing more may be sent, if so.

    Where recording fails it is tried again, but the order never sent again; in the end the order stays as written, and
    the next run reconciles it.
    """
    written = intent
    for delay in RECORD_DELAYS_S:
        try:
            if delay:
                session.wait(delay)
                written = session.context.orders.get(intent.user_id, intent.client_order_id)
            return _record_once(session, written, submitted), reason_to_stop(submitted)
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


def _record_once(session: AccountSession, order: Order, submitted: SubmitResult) -> Order:
    """Write what became of an order that was just sent; looks it up where that is unknown."""
    match submitted:
        case OrderAccepted(seen):
            current = read_order_report(session, order, seen)
            if current.status is OrderStatus.OPEN and not current.filled_qty:
                return session.acknowledge_order(order, current)
            return session.update_order(order, current)
        case OrderRejected(code, reason):
            rejected = {"status": OrderStatus.REJECTED, "reason": f"{code}: {reason}"}
            return session.update_order(order, order.model_copy(update=rejected))
        case OrderUnknown(reason, None):
            return _look_up(session, order, reason)
        case OrderUnknown(reason):  # the exchange wants to be left alone, so the next run asks
            return session.update_order(order, order.model_copy(update={"reason": reason}))
        case _:
            assert_never(submitted)


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
