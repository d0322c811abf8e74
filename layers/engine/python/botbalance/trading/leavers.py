"""What becomes of a user who was disabled or deleted in the user pool: nobody could stop their autopilot any more.

Found out once a day. The autopilot goes off, and what rests is cancelled by the ticks that follow; the exchange key is
kept for :data:`KEY_KEPT_S`, so that it is there when the user comes back, and then deleted. The trail tells both.
Whoever is missing in the list of all users is asked for alone before either.
"""

from collections.abc import Collection
from dataclasses import dataclass

from botbalance.errors import BotBalanceError, TransientError
from botbalance.log import alarm, logger
from botbalance.store.user_pool import UserPool
from botbalance.trading.autopilot import switch_off
from botbalance.trading.context import TradingContext
from botbalance.trading.credentials import delete_key

KEY_KEPT_S = 7 * 86_400
LEFT = "the user was disabled or deleted where users sign in"
FEW = 20
MOST_AT_ONCE_PCT = 10
"""More users, beyond a few, do not leave in a day: the pool was asked wrongly, or is another."""


@dataclass(frozen=True, slots=True)
class Leavers:
    """What was done: whose autopilots went off, and how many keys were deleted."""

    switched_off: int
    keys_deleted: int


def look_after_leavers(context: TradingContext, pool: UserPool) -> Leavers:
    """Do what is due for everybody who trades or has a key here and is not enabled in ``pool``.

    One user's trouble is logged, and tried again the next time. Where nobody who is known here is in the pool, or too
    many would have left, nothing is done, and an alarm says so; nor are keys deleted where too many are due.
    """
    now = context.clock()
    # Read before the pool is: whoever signs up and stores a key meanwhile would be missing there.
    keys = list(context.clients.key_owners())
    trading = {user.user_id for user in context.strategies.users_to_tick()}
    everybody = trading | {key.user_id for key in keys}
    listed = pool.list_users()
    enabled = {user_id for user_id, is_enabled in listed.items() if is_enabled}
    new = (trading | {key.user_id for key in keys if key.left_at is None}) - enabled
    if everybody and everybody.isdisjoint(listed):
        alarm("users_missing", "nobody who trades or has a key here is in the user pool", users=len(everybody))
        return Leavers(0, 0)
    if _are_too_many(new, everybody):
        alarm("users_missing", "too many users are not in the user pool to be believed", users=len(new))
        return Leavers(0, 0)
    left = {user_id for user_id in new if _has_left(pool, user_id)}
    switched_off = sum(switch_off(context, user_id, LEFT, stopping=True) for user_id in left)
    due = []
    for key in keys:
        if key.user_id in enabled:
            if key.left_at is not None:
                context.clients.record_departure(key.user_id, key.exchange, None)
        elif key.left_at is None:
            if key.user_id in left:
                context.clients.record_departure(key.user_id, key.exchange, now)
        elif now - key.left_at >= KEY_KEPT_S:
            due.append(key)
    if _are_too_many({key.user_id for key in due}, everybody):
        alarm("users_missing", "the keys of too many users are due to be deleted to be believed", users=len(due))
        return Leavers(switched_off, 0)
    keys_deleted = sum(_delete_key(context, key.user_id, key.exchange) for key in due if _has_left(pool, key.user_id))
    return Leavers(switched_off, keys_deleted)


def _are_too_many(users: Collection[str], everybody: Collection[str]) -> bool:
    return len(users) > max(FEW, len(everybody) * MOST_AT_ONCE_PCT // 100)


def _has_left(pool: UserPool, user_id: str) -> bool:
    """Whether the user is still not enabled where asked for alone; not where that is not told."""
    try:
        return not pool.is_enabled(user_id)
    except TransientError as error:
        logger.warning("leaver not known yet", user_id=user_id, reason=str(error))
        return False


def _delete_key(context: TradingContext, user_id: str, exchange: str) -> bool:
    """Delete the key, unless orders rest that it is needed for: then it is tried again the next time."""
    try:
        delete_key(context, user_id, exchange)
    except BotBalanceError as error:
        alarm("leaver_key_kept", "a key of a user who left is not deleted yet", user_id=user_id, reason=str(error))
        return False
    return True
