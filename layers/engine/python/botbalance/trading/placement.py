"""Placing and cancelling orders so that none is doubled or lost: intent → send → settle.

The intent is written before the request and only where it does not exist yet, so an intent is sent at most
once. Whatever the exchange answers is settled into it; an order whose fate is unknown is looked up, and
otherwise left to the next tick's reconciliation. It is never sent again.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, assert_never

from botbalance.engine import Action, MarketRules
from botbalance.errors import CallOwner, Conflict, TryAgainLater
from botbalance.exchange.adapter import KEY_REFUSED, ExchangeAdapter, Placed, Placement, Refused, Unknown
from botbalance.exchange.client_ids import canonical_client_order_id
from botbalance.store.orders import Order, OrderStatus
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import Desk
from botbalance.trading.reconcile import book, book_not_found

LOOKUP_DELAYS_S = (0, 1, 2)
"""Waits before the look-ups of an order of unknown fate: at 0, 1 and 3 seconds."""


def place_actions(
    desk: Desk,
    account: ExchangeAdapter,
    strategy: Strategy,
    actions: Sequence[Action],
    rules: Mapping[str, MarketRules],
    *,
    ts_tick: int,
    source: Literal["autopilot", "manual"],
) -> list[Order]:
    """Place every action of one decision; returns their orders as they stand, in the order of the actions.

    An action whose intent exists already was sent before, by this process or another: its order is returned,
    and nothing is sent.
    """
    orders = []
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
        if desk.orders.create(intent):
            placement = account.place_order(
                action.symbol,
                action.side,
                action.limit_price,
                action.base_qty,
                intent.client_order_id,
                post_only=strategy.post_only,
            )
            orders.append(_settled(desk, account, intent, placement))
        else:
            orders.append(desk.orders.get(strategy.user_id, intent.client_order_id))
    return orders


def settle(desk: Desk, account: ExchangeAdapter, order: Order, placement: Placement) -> Order:
    """Write what became of an order that was just sent; looks it up where that is unknown.

    Raises CallOwner, the refusal written, where the exchange refuses the key itself.
    """
    match placement:
        case Placed(seen):
            return book(desk, account, order, seen)
        case Refused(code, reason):
            rejected = desk.orders.update(order.to(OrderStatus.REJECTED, reason=f"{code}: {reason}"))
            if code == KEY_REFUSED:
                raise CallOwner(KEY_REFUSED, f"the exchange refuses the API key: {reason}")
            return rejected
        case Unknown(reason):
            return _look_up(desk, account, order, reason)
        case _:
            assert_never(placement)


def cancel(desk: Desk, account: ExchangeAdapter, order: Order, reason: str) -> Order:
    """Cancel a resting order and book how it really ended: cancelled, or filled before the cancel arrived.

    The end is the exchange's word, read after the cancel; where it cannot be read the order stays watched.
    """
    account.cancel_order(order.symbol, order.client_order_id)
    seen = account.find_order(order.symbol, order.client_order_id)
    if seen is None:
        return book_not_found(desk, order)
    return book(desk, account, order.model_copy(update={"reason": reason}), seen)


def _settled(desk: Desk, account: ExchangeAdapter, intent: Order, placement: Placement) -> Order:
    """The order after :func:`settle`; where that failed it stays as written, and the next tick reconciles it."""
    try:
        return settle(desk, account, intent, placement)
    except (TryAgainLater, Conflict):
        return desk.orders.get(intent.user_id, intent.client_order_id)


def _look_up(desk: Desk, account: ExchangeAdapter, order: Order, reason: str) -> Order:
    pending = desk.orders.update(order.model_copy(update={"reason": reason}))
    for delay in LOOKUP_DELAYS_S:
        desk.sleep(delay)
        try:
            seen = account.find_order(order.symbol, order.client_order_id)
        except TryAgainLater:
            continue
        if seen is not None:
            return book(desk, account, pending.model_copy(update={"reason": None}), seen)
    return pending
