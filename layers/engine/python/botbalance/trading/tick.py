"""One tick of one user: reconcile, look, decide, cancel, place, log."""

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_jsonable_python

from botbalance import engine
from botbalance.deadline import bounded_by
from botbalance.engine import InvalidInputError
from botbalance.errors import BotBalanceError, ConflictError, CredentialsRejectedError, TransientError
from botbalance.log import alarm
from botbalance.models.decision import TICK_SECONDS, Decision, tick_start
from botbalance.models.strategy import Strategy
from botbalance.store.accounts import TICK_CLAIMED, Lease
from botbalance.trading.autopilot import STOPPING, cancel_for_stop, switch_off, switch_off_for_key
from botbalance.trading.budgets import AccountPausedError
from botbalance.trading.cancellation import CancelResult, cancel_all
from botbalance.trading.context import TRADING_HALTED, TradingContext
from botbalance.trading.incidents import report_decision
from botbalance.trading.missed_ticks import TICK_LATE
from botbalance.trading.rebalance import RebalanceResult, rebalance
from botbalance.trading.reconcile import reconcile
from botbalance.trading.session import SEND_AND_SETTLE_S, AccountSession, open_session
from botbalance.trading.tick_batch import TickJob, log_decisions

TICK_FAILED = "tick_failed"


def is_expired(ts_tick: int, now: int) -> bool:
    """Whether the time of the tick is past (both in epoch seconds): nothing is decided for it any more."""
    return now > ts_tick + TICK_SECONDS


def strategy_tick(context: TradingContext, job: TickJob, ts_tick: int) -> Decision | None:
    """Tick a user once for ``ts_tick`` (epoch seconds, on the grid); returns the decision.

    It is logged, unless it changed nothing: see :func:`~botbalance.trading.tick_batch.log_noops`. None where the tick
    had its run already, or only booked what became of orders, the autopilot being off. What keeps a decision from being
    made is its reason; a key that only its owner can mend switches the autopilot off.
    """
    user_id, session = job.strategy.user_id, None
    keys = {} if job.key is None else {job.strategy.exchange: job.key}
    try:
        _require_time(context, ts_tick)
        with open_session(context, user_id, ts_tick=ts_tick, keys=keys) as session:
            try:
                decision = _run(session, job, ts_tick)
            except Exception as error:
                report_decision(session, _failed(context, user_id, ts_tick, error))
                raise
            if decision is None:
                return None
            decision = _after_quiet_ticks(decision, session.quiet_since)
            report_decision(session, decision)
            session.log(decision)
    except (ConflictError, TransientError) as error:  # begun too late, or the account could not be read
        if error.code == TICK_CLAIMED:
            return None
        decision = skipped(context, user_id, ts_tick, error)
    if not decision.is_noop and not (session is not None and session.decision_logged):
        log_tick(context, decision, None if session is None else session.lease)
    return decision


def log_tick(context: TradingContext, decision: Decision, lease: Lease | None = None) -> None:
    """Log one decision by itself; ``lease`` is that of the run which made it, None where none had begun."""
    with bounded_by(context.deadline):
        log_decisions(context, [decision], lambda: context.decisions.log(decision, lease))


def fail_tick(context: TradingContext, user_id: str, ts_tick: int, error: Exception) -> Decision:
    """The decision of a tick that ended in a defect of ours: told to a person, and logged as the user's."""
    alarm("tick_failed", "a user's tick failed", user_id=user_id, ts_tick=ts_tick, exc_info=error)
    decision = _failed(context, user_id, ts_tick, error)
    log_tick(context, decision)
    return decision


def _failed(context: TradingContext, user_id: str, ts_tick: int, error: Exception) -> Decision:
    why = TransientError(
        TICK_FAILED, f"an error of BotBalance's own ({type(error).__name__}); the next tick tries again"
    )
    return skipped(context, user_id, ts_tick, why)


def skipped(context: TradingContext, user_id: str, ts_tick: int, *errors: Exception, **more: Any) -> Decision:
    """The decision of a tick in which none was made, because of ``errors``."""
    return Decision(
        user_id=user_id,
        ts_tick=ts_tick,
        decided_at=context.clock(),
        outcome="skipped",
        reason="; ".join(map(str, errors)),
        reason_code=next(
            (error.code for error in errors if isinstance(error, BotBalanceError)), "no_decision_possible"
        ),
        engine_version=engine.VERSION,
        **more,
    )


def _require_time(context: TradingContext, ts_tick: int) -> None:
    """Raise TransientError where the tick is past, or this function has no time left to send what it decides."""
    now = context.clock()
    if is_expired(ts_tick, now):
        raise TransientError(TICK_LATE, f"the tick's turn came {now - ts_tick} s after its time")
    context.deadline.require(SEND_AND_SETTLE_S)


def _run(session: AccountSession, job: TickJob, ts_tick: int) -> Decision | None:
    """Bring the account's orders up to date, and trade where that is wanted; returns what there is to log."""
    context, strategy = session.context, job.strategy
    try:
        if job.halt is not None:
            halted = ConflictError(TRADING_HALTED, f"{TRADING_HALTED}: {job.halt}")
            return _skipped_canceling(session, ts_tick, halted, cancel_all(session, TRADING_HALTED))
        if strategy.stopping:
            off = ConflictError(STOPPING, "the autopilot is off; what a stop left is cancelled")
            return _skipped_canceling(session, ts_tick, off, cancel_for_stop(session))
        if not strategy.autopilot_enabled:
            reconcile(session, {})
            return None
        result = rebalance(session, strategy, ts_tick=ts_tick, source="autopilot")
    except (AccountPausedError, CredentialsRejectedError) as error:
        return _switch_off(session, ts_tick, error)
    except (BotBalanceError, InvalidInputError) as error:
        return skipped(context, strategy.user_id, ts_tick, error)
    return _as_decision(context, strategy, ts_tick, result)


def _after_quiet_ticks(decision: Decision, quiet_since: int | None) -> Decision:
    """``decision`` with the ticks before it for which there was nothing to do."""
    if quiet_since is None:
        return decision
    ticks = max(0, (decision.ts_tick - tick_start(quiet_since)) // TICK_SECONDS - 1)
    return decision.model_copy(update={"quiet_since": quiet_since, "quiet_ticks": ticks})


def _switch_off(session: AccountSession, ts_tick: int, why: AccountPausedError | CredentialsRejectedError) -> Decision:
    """Switch the autopilot off; where a budget has paused the account, what rests is cancelled as well."""
    if isinstance(why, CredentialsRejectedError):
        told = ConflictError(why.code, switch_off_for_key(session.context, session.user_id, why))
        return skipped(session.context, session.user_id, ts_tick, told)
    result = cancel_all(session, why.code)
    switch_off(session.context, session.user_id, str(why), stopping=bool(result.not_canceled()))
    return _skipped_canceling(session, ts_tick, why, result)


def _skipped_canceling(session: AccountSession, ts_tick: int, why: BotBalanceError, result: CancelResult) -> Decision:
    """The decision of a tick that decided nothing and cancelled what rested."""
    canceled = {order.client_order_id: why.code for order in result.orders if not order.is_active}
    return skipped(session.context, session.user_id, ts_tick, why, *result.errors.values(), canceled=canceled)


def _as_decision(context: TradingContext, strategy: Strategy, ts_tick: int, result: RebalanceResult) -> Decision:
    return Decision(
        user_id=strategy.user_id,
        ts_tick=ts_tick,
        decided_at=context.clock(),
        outcome="decided",
        reason="; ".join(_reasons(context, strategy.user_id, result.errors())) or None,
        engine_version=engine.VERSION,
        inputs=result.inputs.model_dump(mode="json"),
        evaluation=to_jsonable_python(result.evaluation),
        canceled=result.cancels,
        placed=[order.model_dump(mode="json") for order in result.placed.orders],
    )


def _reasons(context: TradingContext, user_id: str, errors: Sequence[BotBalanceError]) -> list[str]:
    """``errors`` in words; one that only the owner can mend switches the autopilot off."""
    reasons = list(map(str, errors))
    for index, error in enumerate(errors):
        if isinstance(error, CredentialsRejectedError):
            reasons[index] = switch_off_for_key(context, user_id, error)
            break
    return reasons
