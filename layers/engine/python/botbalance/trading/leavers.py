"""What becomes of a user who was disabled or deleted in the user pool: nobody could stop their autopilot any more.

Found out once a day. The autopilot goes off, and what rests is cancelled by the ticks that follow; the exchange key is
kept for :data:`KEY_KEPT_S`, so that it is there when the user comes back, and then deleted. The trail tells both.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from botbalance.errors import BotBalanceError
from botbalance.log import alarm, logger
from botbalance.trading.autopilot import switch_off_leaver
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


def look_after_leavers(context: TradingContext, enabled_users: AbstractSet[str]) -> Leavers:
    """Do what is due for everybody who trades or has a key here and is not among ``enabled_users``.

    One user's trouble is logged, and tried again the next time. Where too many would have left, nothing is done, and an
    alarm says so.
    """
    now = context.clock()
    keys = list(context.clients.key_owners())
    trading = {user.user_id for user in context.strategies.users_to_tick()}
    new = (trading | {key.user_id for key in keys if key.left_at is None}) - enabled_users
    everybody = trading | {key.user_id for key in keys}
    if len(new) > max(FEW, len(everybody) * MOST_AT_ONCE_PCT // 100):
        alarm("users_missing", "too many users are not in the user pool to be believed", users=len(new))
        return Leavers(0, 0)
    switched_off = sum(_switch_off(context, user_id) for user_id in new)
    keys_deleted = 0
    for user_id, exchange, left_at in keys:
        if user_id in enabled_users:
            if left_at is not None:
                context.clients.record_departure(user_id, exchange, None)
        elif left_at is None:
            context.clients.record_departure(user_id, exchange, now)
        elif now - left_at >= KEY_KEPT_S:
            keys_deleted += _delete_key(context, user_id, exchange)
    return Leavers(switched_off, keys_deleted)


def _switch_off(context: TradingContext, user_id: str) -> bool:
    try:
        switch_off_leaver(context, user_id, LEFT)
    except BotBalanceError as error:
        logger.warning("leaver not switched off yet", user_id=user_id, reason=str(error))
        return False
    return True


def _delete_key(context: TradingContext, user_id: str, exchange: str) -> bool:
    """Delete the key, unless orders rest that it is needed for: then it is tried again the next time."""
    try:
        delete_key(context, user_id, exchange)
    except BotBalanceError as error:
        alarm("leaver_key_kept", "a key of a user who left is not deleted yet", user_id=user_id, reason=str(error))
        return False
    return True
