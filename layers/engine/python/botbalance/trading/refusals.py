"""Orders that an exchange refuses again and again: after three in a row for a pair the next one waits, ever longer."""

from collections.abc import Iterable, Mapping

from botbalance.exchange.adapter import KEY_REFUSED, PAIR_NOT_PERMITTED, RATE_LIMITED, WOULD_TAKE
from botbalance.log import alarm
from botbalance.models.account_state import RefusedPair
from botbalance.models.decision import TICK_SECONDS
from botbalance.models.order import Order, OrderStatus

REFUSALS_BEFORE_WAITING = 3
LONGEST_WAIT_TICKS = 120
"""An hour."""
_TAKEN = {OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED}
_NOT_COUNTED = (WOULD_TAKE, KEY_REFUSED, RATE_LIMITED)
"""A post-only order that would trade at once is priced anew; the others are not about the order."""


def count_refusals(before: Mapping[str, RefusedPair], orders: Iterable[Order], now: int) -> dict[str, RefusedPair]:
    """How often in a row each pair's orders were refused, after ``orders`` have become what they are.

    A person is told when a pair begins to wait.
    """
    pairs = dict(before)
    for order in orders:
        if order.status is OrderStatus.REJECTED:
            reason = order.reason or ""
            if not reason.startswith(_NOT_COUNTED):
                pairs[order.symbol] = _refused_again(pairs.get(order.symbol), order, reason, now)
        elif order.status in _TAKEN:
            pairs.pop(order.symbol, None)
    return pairs


def waiting_pairs(pairs: Mapping[str, RefusedPair], now: int) -> dict[str, RefusedPair]:
    """Those of ``pairs`` that get no order at ``now`` (epoch seconds)."""
    return {symbol: pair for symbol, pair in pairs.items() if now < pair.retry_at}


def _refused_again(before: RefusedPair | None, order: Order, reason: str, now: int) -> RefusedPair:
    times = 1 if before is None else before.times + 1
    if reason.startswith(PAIR_NOT_PERMITTED):  # and every other order will be
        times = max(times, REFUSALS_BEFORE_WAITING)
    if times < REFUSALS_BEFORE_WAITING:
        return RefusedPair(times=times, retry_at=0, reason=reason)
    ticks = min(2 ** (times - REFUSALS_BEFORE_WAITING + 1), LONGEST_WAIT_TICKS)
    if reason.startswith(PAIR_NOT_PERMITTED):
        ticks = LONGEST_WAIT_TICKS
    if times == REFUSALS_BEFORE_WAITING:
        alarm(
            "orders_refused",
            "an exchange refuses a pair's orders again and again",
            user_id=order.user_id,
            symbol=order.symbol,
            exchange=order.exchange,
            reason=reason,
        )
    return RefusedPair(times=times, retry_at=now + ticks * TICK_SECONDS, reason=reason)
