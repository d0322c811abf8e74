"""Ticks the users of a message, several at a time. One user's trouble stops nobody else."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import batched, chain
from typing import Any, NamedTuple

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botbalance.bootstrap import services
from botbalance.log import alarm, logger
from botbalance.store.decisions import Decision
from botbalance.trading.desk import Desk
from botbalance.trading.tick import Due, is_over, log_unchanged, strategy_tick, turns
from pydantic import BaseModel

LONGEST_TICK_S = 20
"""What a user's tick may take when nothing is placed: with less time left none is begun."""
READ_TOGETHER = 50
"""Users whose turns are found together, beside those of others."""
LOGGED_TOGETHER = 25
"""Decisions that wait for each other before those that changed nothing are logged."""

# A message that failed is reported, not raised: the function is well.
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


class TickMessage(BaseModel):
    """A chunk of users who are due at ``ts_tick`` (epoch seconds), with the versions of their strategies."""

    ts_tick: int
    users: dict[str, int]


class TickResult(NamedTuple):
    """What became of one user's tick."""

    decision: Decision | None = None
    failed: bool = False
    left_out: bool = False
    """Whether nothing could be decided: for want of time, prices or an exchange that answers."""


def tick_users(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Tick every user of one message; a message that cannot be read raises, and ends in the dead-letter queue.

    Whoever's turn has not come when time runs short is left to the next tick.
    """
    try:
        message = TickMessage.model_validate_json(record.body)
        desk = services().desk_for(lambda_context.get_remaining_time_in_millis())
        if is_over(message.ts_tick, desk.clock()):
            alarm("tick_late", "a tick came after its time", ts_tick=message.ts_tick, users=len(message.users))
            _log_ticked(message, left_out=len(message.users))
            return
        halt = desk.operator.halt_reason()
        with ThreadPoolExecutor(services().settings.work_threads) as pool:
            groups = batched(message.users.items(), READ_TOGETHER, strict=False)
            due = pool.map(lambda users: _due(desk, dict(users), message.ts_tick, halt), groups)
            ticked = pool.map(lambda user: _tick_user(desk, user, message.ts_tick), chain.from_iterable(due))
            failed = left_out = 0
            for several in batched(ticked, LOGGED_TOGETHER, strict=False):
                log_unchanged(desk, [result.decision for result in several if result.decision is not None])
                failed += sum(result.failed for result in several)
                left_out += sum(result.left_out for result in several)
        _log_ticked(message, failed=failed, left_out=left_out)
    except Exception as error:
        alarm("message_failed", "a message could not be worked on", message_id=record.message_id, reason=str(error))
        raise


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Entry point for the queue; reports the messages that failed, so that only they come back."""
    return process_partial_response(event=event, record_handler=tick_users, processor=processor, context=context)


def _log_ticked(message: TickMessage, *, failed: int = 0, left_out: int = 0) -> None:
    """Log what the template counts: alarms are made of the share of ticks that fails, and that is left out."""
    logger.info("users ticked", ts_tick=message.ts_tick, users=len(message.users), failed=failed, left_out=left_out)


def _due(desk: Desk, users: Mapping[str, int], ts_tick: int, halt: str | None) -> list[Due]:
    """Whose account has to be looked at; for whom the tick is quiet has had it then."""
    quiet, due = turns(desk, users, ts_tick, halt)
    log_unchanged(desk, quiet)
    return due


def _tick_user(desk: Desk, due: Due, ts_tick: int) -> TickResult:
    user_id = due.strategy.user_id
    if desk.clock() + LONGEST_TICK_S > desk.until:
        logger.warning("no time left for this user", user_id=user_id, ts_tick=ts_tick)
        return TickResult(left_out=True)
    try:
        decision = strategy_tick(desk, due, ts_tick)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this user's alone; the next tick tries again
        alarm("tick_failed", "a user's tick failed", user_id=user_id, ts_tick=ts_tick, exc_info=error)
        return TickResult(failed=True)
    if decision is not None:
        logger.info(
            "ticked",
            user_id=user_id,
            ts_tick=ts_tick,
            outcome=decision.outcome,
            reason=decision.reason,
            placed=[order["client_order_id"] for order in decision.placed],
            canceled=decision.canceled,
        )
    return TickResult(decision, left_out=decision is not None and decision.outcome == "skipped")
