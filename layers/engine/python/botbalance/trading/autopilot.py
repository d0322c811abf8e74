"""The autopilot's switch, and the one that stops everything."""

from typing import Any

from botbalance.errors import BotBalanceError, ConflictError, CredentialsRejectedError, TransientError
from botbalance.log import alarm, logger
from botbalance.models.activity import ActivityKind
from botbalance.models.strategy import Strategy
from botbalance.trading.anomaly_guard import observe_account
from botbalance.trading.budgets import require_not_paused
from botbalance.trading.cancellation import CancelResult, cancel_all
from botbalance.trading.context import TradingContext
from botbalance.trading.plan import preview_plan
from botbalance.trading.preflight import require_ready
from botbalance.trading.session import AccountSession, open_session
from botbalance.trading.trail import strategy_change

STOPPING = "stopping"
"""The reason of what is cancelled because its owner has stopped everything."""
_ATTEMPTS = 3
"""How often a strategy that others change at the moment is read and written again."""


def switch_autopilot(context: TradingContext, user_id: str, *, enabled: bool) -> Strategy:
    """Switch the autopilot; on only where a decision can be made now and every check passes.

    Otherwise raises what stands in its way. What is seen then is what the first tick compares its own look with, unless
    something of an earlier look is not believed yet: switching on is no word on that. What is on already stays on.
    """
    strategy = context.strategies.get(user_id)
    if enabled and strategy.autopilot_enabled:
        return strategy
    if enabled:
        context.require_no_halt()
        account = context.find_account(user_id, strategy.exchange)
        require_not_paused(context.accounts.find_state(user_id).account_budgets(account))
        plan = preview_plan(context, strategy)
        require_ready(context, plan)
        try:
            with open_session(context, user_id) as session:
                last = session.state.last_observation
                if last is None or not last.anomalies:
                    session.remember(last_observation=observe_account(strategy, plan.snapshot, context.clock()))
        except ConflictError as error:  # the run that works on the account remembers its own look
            logger.info("look not remembered", user_id=user_id, reason=str(error))
        return _save(context, strategy, autopilot_enabled=True, disabled_reason=None, stopping=False)
    return _save(context, strategy, autopilot_enabled=False, disabled_reason=None)


def emergency_stop(context: TradingContext, user_id: str) -> CancelResult:
    """Switch the autopilot off and cancel every resting order of this system; returns these as they then stand.

    The autopilot is off before anything else is tried. A run that works on the account is waited for, as long as there
    is time to cancel afterwards. What could not be cancelled is named in the result, and cancelled by the next ticks.
    Safe to repeat.
    """
    _save_again(context, user_id, autopilot_enabled=False, stopping=True)
    try:
        with open_session(context, user_id, waits=True) as session:
            return cancel_for_stop(session)
    except (ConflictError, TransientError) as error:
        left = [order for order in context.orders.unreconciled(user_id) if order.is_active]
        return CancelResult(left, {order.client_order_id: error for order in left})


def cancel_for_stop(session: AccountSession) -> CancelResult:
    """Cancel what may still trade; once nothing may, the ticks end that a stop has asked for."""
    result = cancel_all(session, STOPPING)
    if not any(order.is_active for order in result.orders):
        try:
            _save_again(session.context, session.user_id, stopping=False)
        except BotBalanceError as error:  # the next tick finds nothing to cancel, and tries again
            logger.warning("stop not finished", user_id=session.user_id, reason=str(error))
    return result


def switch_off(context: TradingContext, user_id: str, reason: str, *, stopping: bool = False) -> bool:
    """Switch the autopilot off; whatever else of the strategy is changed meanwhile stays.

    ``stopping``: whether ticks have to go on and cancel what rests. False where it cannot be written now: whoever found
    the reason finds it again, and tries again.
    """
    changes = {"autopilot_enabled": False, "disabled_reason": reason} | ({"stopping": True} if stopping else {})
    try:
        _save_again(context, user_id, **changes)
    except (ConflictError, TransientError) as error:
        logger.warning("autopilot not switched off yet", user_id=user_id, reason=str(error))
        return False
    return True


def switch_off_for_key(context: TradingContext, user_id: str, error: CredentialsRejectedError) -> str:
    """Switch the autopilot off because its exchange refuses the key; returns what to log."""
    alarm("autopilot_switched_off", "an exchange refuses a user's key", user_id=user_id, reason=str(error))
    if switch_off(context, user_id, str(error)):
        return f"autopilot switched off: {error}"
    return f"{error}; the autopilot is not switched off yet"


def _save_again(context: TradingContext, user_id: str, **changes: Any) -> None:
    """Change the strategy, if there is one, also where somebody else changes it at the moment."""
    for attempt in range(1, _ATTEMPTS + 1):
        strategy = context.strategies.find(user_id)
        if strategy is None or strategy.model_copy(update=changes) == strategy:
            return
        try:
            _save(context, strategy, **changes)
        except ConflictError:
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def _save(context: TradingContext, strategy: Strategy, **changes: Any) -> Strategy:
    changed = strategy.model_copy(update=changes | {"updated_at": context.clock()})
    action = _action(strategy, changed)
    told = (
        [] if action is None else [context.activity.transact_put(strategy_change(context, action, strategy, changed))]
    )
    return context.strategies.save(changed, *told)


def _action(before: Strategy, after: Strategy) -> ActivityKind | None:
    """What is told of the change; None for what only ends a stop that was told."""
    if after.stopping and not before.stopping and after.disabled_reason == before.disabled_reason:
        return ActivityKind.TRADING_STOPPED
    if after.autopilot_enabled != before.autopilot_enabled:
        return ActivityKind.AUTOPILOT_ENABLED if after.autopilot_enabled else ActivityKind.AUTOPILOT_DISABLED
    return ActivityKind.TRADING_STOPPED if after.stopping and not before.stopping else None
