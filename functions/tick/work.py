"""Ticks the users of a message, several at a time. One user's trouble stops nobody else."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import Future
from itertools import batched, chain
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botbalance.bootstrap import services
from botbalance.errors import TransientError
from botbalance.executors import executor
from botbalance.log import alarm, logger
from botbalance.models.decision import Decision
from botbalance.trading.context import TradingContext
from botbalance.trading.missed_ticks import MISSED, TICK_LATE, report_missed_ticks
from botbalance.trading.tick import TICK_FAILED, fail_tick, is_expired, strategy_tick
from botbalance.trading.tick_batch import TickJob, due_jobs, log_noops
from pydantic import BaseModel

READ_TOGETHER = 200
"""Users who are read together, beside others."""
LOGGED_TOGETHER = 25
"""Decisions that wait for each other before those that changed nothing are logged."""

# A message that failed is reported, not raised: the function is well.
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


class TickMessage(BaseModel):
    """A chunk of users who are due at ``ts_tick`` (epoch seconds), with the versions of their strategies."""

    ts_tick: int
    users: dict[str, int]


def tick_users(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Tick every user of one message; a message that cannot be worked on raises, and ends in the dead-letter queue.

    Users who are not reached before time runs short are left to the next tick, with a decision that says so.
    """
    try:
        message = TickMessage.model_validate_json(record.body)
        context = services().with_deadline(lambda_context.get_remaining_time_in_millis())
        if is_expired(message.ts_tick, context.clock()):
            alarm("tick_late", "a tick came after its time", ts_tick=message.ts_tick, users=len(message.users))
            _log_ticked(message, Counter({TICK_LATE: len(message.users)}))
            report_missed_ticks(context, message.users, TICK_LATE)
            return
        _tick_users(context, message)
    except Exception as error:
        facts = {"message_id": record.message_id, "reason": f"{type(error).__name__}: {error}"}
        alarm(
            "message_failed",
            "a message could not be worked on",
            **facts,
            exc_info=not isinstance(error, TransientError),
        )
        raise


@logger.inject_lambda_context(clear_state=True, log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Entry point for the queue; reports the messages that failed, so that only they come back."""
    return process_partial_response(event=event, record_handler=tick_users, processor=processor, context=context)


def _log_ticked(message: TickMessage, skipped: Counter[str]) -> None:
    """Log what the template counts: alarms are made of the share of ticks that fails, and that is left out."""
    failed = skipped[TICK_FAILED]
    logger.info(
        "users ticked",
        ts_tick=message.ts_tick,
        users=len(message.users),
        failed=failed,
        left_out=skipped.total() - failed,
        skipped=skipped,
    )


def _tick_users(context: TradingContext, message: TickMessage) -> None:
    ts_tick, halt = message.ts_tick, context.operator.halt_reason()
    reasons: Counter[str] = Counter()
    missed: defaultdict[str, list[str]] = defaultdict(list)
    errors: list[Exception] = []
    try:
        with executor(services().settings.work_threads) as pool:

            def begin(users: Iterable[tuple[str, int]]) -> list[Future[Decision | None]]:
                """Have each user ticked as soon as it is known who is due, whoever else of them has to wait yet."""
                futures = []
                try:
                    for job in due_jobs(context, dict(users), ts_tick, halt):
                        futures.append(pool.submit(_tick_user, context, job, ts_tick))
                except Exception as error:  # noqa: BLE001 - raised when everybody else was ticked
                    errors.append(error)
                return futures

            begun = pool.map(begin, batched(message.users.items(), READ_TOGETHER, strict=False))
            decisions = (future.result() for future in chain.from_iterable(begun))
            for several in batched(decisions, LOGGED_TOGETHER, strict=False):
                made = [decision for decision in several if decision is not None]
                reasons.update(decision.reason_code for decision in made if decision.reason_code is not None)
                for decision in made:
                    if decision.reason_code in MISSED:
                        missed[decision.reason_code].append(decision.user_id)
                log_noops(context, made)
    finally:
        _log_ticked(message, reasons)
        for code, users in missed.items():
            report_missed_ticks(context, users, code)
    if errors:
        raise errors[0]


def _tick_user(context: TradingContext, job: TickJob, ts_tick: int) -> Decision | None:
    user_id = job.strategy.user_id
    try:
        decision = strategy_tick(context, job, ts_tick)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this user's alone; the next tick tries again
        return fail_tick(context, user_id, ts_tick, error)
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
    return decision
