"""Ticks the users of a message, several at a time. One user's trouble stops nobody else."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botbalance.bootstrap import services
from botbalance.log import logger
from botbalance.trading.desk import Desk
from botbalance.trading.tick import strategy_tick
from pydantic import BaseModel

processor = BatchProcessor(event_type=EventType.SQS)


class TickMessage(BaseModel):
    """A chunk of users who are due at ``ts_tick`` (epoch seconds)."""

    ts_tick: int
    user_ids: list[str]


def tick_users(record: SQSRecord) -> None:
    """Tick every user of one message; a message that cannot be read raises, and ends in the dead-letter queue."""
    message = TickMessage.model_validate_json(record.body)
    desk = services().desk  # made here, once, before any thread asks for it
    with ThreadPoolExecutor(services().settings.work_threads) as pool:
        list(pool.map(lambda user_id: _tick_user(desk, user_id, message.ts_tick), message.user_ids))


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Entry point for the queue; reports the messages that failed, so that only they come back."""
    return process_partial_response(event=event, record_handler=tick_users, processor=processor, context=context)


def _tick_user(desk: Desk, user_id: str, ts_tick: int) -> None:
    try:
        decision = strategy_tick(desk, user_id, ts_tick)
    except Exception:  # noqa: BLE001 - whatever it is, it is this user's alone; the next tick tries again
        logger.exception("tick failed", user_id=user_id, ts_tick=ts_tick)
        return
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
