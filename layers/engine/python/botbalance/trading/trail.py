"""The trail: what is told of a change, by whom it was made, and as which request."""

from collections.abc import Mapping
from typing import Any

from botbalance.accounts.weight_budgets import caller
from botbalance.engine import format_decimal
from botbalance.errors import TransientError
from botbalance.log import logger
from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.order import Order
from botbalance.models.strategy import Strategy
from botbalance.trading.context import TradingContext

_MOST_FILLS_TOLD = 50
"""Of one look at an order: a transaction takes a hundred writes. All of them are with the order."""
_NOT_TOLD = {"schema_version", "user_id", "version", "updated_at"}


def new_activity(
    context: TradingContext,
    user_id: str,
    action: ActivityKind,
    *,
    subject: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> Activity:
    """What happens now, done by the user whose request this is, or by the system where it is nobody's."""
    who = caller()
    return Activity.at(
        context.clock(),
        user_id,
        action,
        actor="system" if who.user_id is None else "user",
        subject=subject,
        before=before,
        after=after,
        reason=reason,
        request_id=who.request_id,
    )


def strategy_change(
    context: TradingContext, action: ActivityKind, before: Strategy | None, after: Strategy
) -> Activity:
    """What changes of a strategy; ``before`` is None for the first one."""
    return new_activity(
        context,
        after.user_id,
        action,
        before=None if before is None else before.model_dump(mode="json", exclude=_NOT_TOLD),
        after=after.model_dump(mode="json", exclude=_NOT_TOLD),
        reason=after.disabled_reason,
    )


def fills_of_order(context: TradingContext, before: Order, after: Order) -> list[Activity]:
    """The fills that ``after`` has and ``before`` had not, each as what the system found to have happened."""
    return [
        Activity.at(
            context.clock(),
            after.user_id,
            ActivityKind.ORDER_FILLED,
            actor="system",
            subject=after.client_order_id,
            after={
                "exchange": after.exchange,
                "account": after.account,
                "symbol": after.symbol,
                "base": after.base,
                "quote": after.quote,
                "side": after.side,
                "price": format_decimal(fill.price),
                "base_qty": format_decimal(fill.base_qty),
                "fee": format_decimal(fill.fee),
                "fee_asset": fill.fee_asset,
            },
        )
        for fill in after.fills[len(before.fills) :][:_MOST_FILLS_TOLD]
    ]


def tell(context: TradingContext, activity: Activity) -> None:
    """Append what has no write of its own that it could be told with; what was done stays done without it, too."""
    try:
        context.activity.append(activity)
    except TransientError as error:
        logger.warning("activity not told", user_id=activity.user_id, action=activity.action, reason=str(error))
