"""Placing and cancelling orders so that none is doubled or lost: intent → send → settle.

The intent is written before the request and only where it does not exist yet, so an intent is sent at most
once. Whatever the exchange answers is settled into it; an order whose fate is unknown is looked up, and
otherwise left to the next tick's reconciliation. It is never sent again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from botbalance.engine import Action, MarketRules
from botbalance.errors import BotBalanceError, ConflictError, CredentialsRejectedError, RateLimitedError, TransientError
from botbalance.exchange.adapter import (
    KEY_REFUSED,
    RATE_LIMITED,
    ExchangeAdapter,
    Placed,
    Placement,
    Refused,
    Unknown,
)
from botbalance.exchange.client_order_ids import canonical_client_order_id
from botbalance.log import logger
from botbalance.store.leases import LEASE_LOST, Lease
from botbalance.store.orders import Order, OrderStatus
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import Desk
from botbalance.trading.reconcile import book, book_not_found

LOOKUP_DELAYS_S = (0, 1, 2)
"""Waits before the look-ups of an order of unknown fate: at 0, 1 and 3 seconds."""
SETTLE_DELAYS_S = (1, 2)
"""Waits before it is tried again to write what became of an order."""


@dataclass(frozen=True, slots=True)
class Placements:
    """The orders of one decision as they stand, and what kept the rest of its actions from being sent, if anything."""

    orders: list[Order]
    stopped_by: BotBalanceError | None


def place_actions(
    desk: Desk,
    lease: Lease,
    account: ExchangeAdapter,
    strategy: Strategy,
    actions: Sequence[Action],
    rules: Mapping[str, MarketRules],
    *,
    ts_tick: int,
    source: Literal["autopilot", "manual"],
) -> Placements:
    """Place the actions of one decision, one after the other.

    An action whose intent exists already is another run's: its order is returned, and nothing is sent. Where an intent
    is not known to be written, time or the lease runs out, or the exchange refuses the key or limits requests, nothing
    more is sent.
    """
    orders: list[Order] = []
    for index, action in enumerate(actions):
        now = desk.clock()
        market = rules[action.symbol]
        intent = Order(
            user_id=strategy.user_id,
            client_order_id=canonical_client_order_id(strategy.user_id, action.symbol, action.side, ts_tick, index),
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
            order_index=index,
            placed_at=now,
            updated_at=now,
        )
        try:
            lease.require_time(now)
            if not desk.orders.create(intent, lease):
                orders.append(desk.orders.get(strategy.user_id, intent.client_order_id))
                continue
            lease.require_time(desk.clock())  # the write may have taken long
        except (TransientError, ConflictError) as error:
            return Placements(orders, error)
        placement = account.place_order(
            action.symbol,
            action.side,
            action.limit_price,
            action.base_qty,
            intent.client_order_id,
            post_only=strategy.post_only,
        )
        order, stopped_by = _settled(desk, lease, account, intent, placement)
        orders.append(order)
        if stopped_by is not None:
            return Placements(orders, stopped_by)
    return Placements(orders, None)


def settle(desk: Desk, lease: Lease, account: ExchangeAdapter, order: Order, placement: Placement) -> Order:
    """Write what became of an order that was just sent; looks it up where that is unknown."""
    match placement:
        case Placed(seen):
            return book(desk, lease, account, order, seen)
        case Refused(code, reason):
            return desk.orders.update(order.to(OrderStatus.REJECTED, reason=f"{code}: {reason}"), lease)
        case Unknown(reason, None):
            return _look_up(desk, lease, account, order, reason)
        case Unknown(reason):  # the exchange wants to be left alone, so the next tick asks
            return desk.orders.update(order.model_copy(update={"reason": reason}), lease)
        case _:
            assert_never(placement)


def cancel(desk: Desk, lease: Lease, account: ExchangeAdapter, order: Order, reason: str) -> Order:
    """Cancel a resting order and book how it really ended: cancelled, or filled before the cancel arrived.

    The end is the exchange's word, read after the cancel, also where that got no answer: it is sent once, and may have
    been carried out. Raises TransientError where the order still rests, or cannot be read; it stays watched.
    """
    lease.require_time(desk.clock())
    unanswered = None
    try:
        account.cancel_order(order.symbol, order.client_order_id)
    except RateLimitedError:
        raise
    except TransientError as error:
        unanswered = error
    seen = account.find_order(order.symbol, order.client_order_id)
    if seen is None:
        return book_not_found(desk, lease, order)
    booked = book(desk, lease, account, order, seen, canceled_because=reason)
    if unanswered is not None and booked.may_trade:
        raise unanswered
    return booked


def _reason_to_stop(placement: Placement) -> BotBalanceError | None:
    match placement:
        case Refused(code, reason) if code == KEY_REFUSED:
            return CredentialsRejectedError(KEY_REFUSED, f"the exchange refuses the API key: {reason}")
        case Refused(code, reason) if code == RATE_LIMITED:  # it was not even sent
            return TransientError(RATE_LIMITED, reason)
        case Unknown(_, int(seconds)):
            return RateLimitedError(RATE_LIMITED, f"the exchange limits requests for {seconds} s", seconds)
    return None


def _settled(
    desk: Desk, lease: Lease, account: ExchangeAdapter, intent: Order, placement: Placement
) -> tuple[Order, BotBalanceError | None]:
    """The order after :func:`settle`, and why nothing more may be sent, if so.

    Where settling fails it is tried again, but the order never sent again; in the end the order stays as written, and
    the next tick reconciles it.
    """
    written = intent
    for delay in (0, *SETTLE_DELAYS_S):
        try:
            if delay:
                desk.sleep(delay)
                written = desk.orders.get(intent.user_id, intent.client_order_id)
            return settle(desk, lease, account, written, placement), _reason_to_stop(placement)
        except RateLimitedError as error:
            return written, error
        except ConflictError as error:
            return written, error if error.code == LEASE_LOST else None
        except TransientError as error:
            logger.warning(
                "order not settled yet",
                user_id=intent.user_id,
                client_order_id=intent.client_order_id,
                ts_tick=intent.ts_tick,
                reason=str(error),
            )
        if desk.clock() >= lease.ends_at:
            break
    return written, _reason_to_stop(placement)


def _look_up(desk: Desk, lease: Lease, account: ExchangeAdapter, order: Order, reason: str) -> Order:
    pending = desk.orders.update(order.model_copy(update={"reason": reason}), lease)
    for delay in LOOKUP_DELAYS_S:
        if desk.clock() + delay >= lease.ends_at:
            break
        desk.sleep(delay)
        try:
            seen = account.find_order(order.symbol, order.client_order_id)
        except RateLimitedError:
            raise
        except TransientError:
            continue
        if seen is not None:
            return book(desk, lease, account, pending, seen)
    return pending
