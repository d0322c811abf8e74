"""Ticks that began no run of their own, and so could count nothing: told once they have been missing for long."""

from collections.abc import Collection

from botbalance.deadline import OUT_OF_TIME, RESERVE_S, bounded_by
from botbalance.errors import ConflictError, TransientError
from botbalance.log import logger
from botbalance.models.decision import TICK_SECONDS
from botbalance.models.strategy import Strategy
from botbalance.store.accounts import ACCOUNT_BUSY, LastRun
from botbalance.store.dynamodb import STORAGE_UNAVAILABLE, UNKNOWN_SCHEMA
from botbalance.trading.context import TradingContext
from botbalance.trading.incidents import NO_DECISION, SKIPPED_BEFORE_TOLD, report_no_tick
from botbalance.trading.session import open_session

TICK_LATE = "tick_late"
MISSED = {
    TICK_LATE: "it came after its time",
    OUT_OF_TIME: "there was no time left for it",
    ACCOUNT_BUSY: "another run worked on the account",
    STORAGE_UNAVAILABLE: "the database did not answer",
    UNKNOWN_SCHEMA: "the strategy cannot be read",
}
"""Why a tick began no run, in words, by its code."""
MISSED_BEFORE_TOLD_S = SKIPPED_BEFORE_TOLD * TICK_SECONDS


def report_missed_ticks(context: TradingContext, user_ids: Collection[str], code: str) -> None:
    """Tell those of ``user_ids``, who had no tick now, whose autopilot is on and who had none for long.

    ``code`` says why. Nobody who is told already, or whose account nothing was due for. Two reads tell who that is, and
    each of them is told by a run. What fails is tried again with the next tick that is missed.
    """
    try:
        with bounded_by(context.deadline):
            overdue = _overdue(context, user_ids)
    except TransientError as error:
        logger.warning("missed ticks not told", users=len(user_ids), reason=str(error))
        return
    for user_id in overdue:
        try:
            context.deadline.require(RESERVE_S)
            with open_session(context, user_id) as session:
                report_no_tick(session, MISSED[code], context.clock())
        except (ConflictError, TransientError) as error:
            logger.warning("missed ticks not told", user_id=user_id, reason=str(error))


def _overdue(context: TradingContext, user_ids: Collection[str]) -> list[str]:
    latest = context.clock() - MISSED_BEFORE_TOLD_S
    runs = context.accounts.last_runs(user_ids)
    waiting = [user_id for user_id in user_ids if _waits(runs.get(user_id), latest)]
    strategies = context.strategies.find_many(waiting)
    return [user_id for user_id in waiting if _is_on(context, user_id, strategies.get(user_id), latest)]


def _is_on(context: TradingContext, user_id: str, strategy: Strategy | None, latest: int) -> bool:
    """Whether the autopilot has been on since ``latest`` (epoch seconds), as far as can be read.

    A ``strategy`` that was not found is of another version of the code, was written a moment ago, or never existed.
    """
    if strategy is None:
        try:
            strategy = context.strategies.find(user_id)
        except TransientError as error:
            if error.code != UNKNOWN_SCHEMA:
                raise
            return True
    return strategy is not None and strategy.autopilot_enabled and strategy.updated_at <= latest


def _waits(run: LastRun | None, latest: int) -> bool:
    """Whether a tick was due until ``latest`` (epoch seconds), and none has had a run since."""
    if run is None:
        return True
    note = run.note()
    due = run.last_tick if note is None else max(run.last_tick, note.look_again_at)
    return due <= latest and NO_DECISION not in run.incidents()
