"""Finds who is due and hands them to the workers, a chunk of users a message."""

import json
from datetime import datetime
from itertools import batched
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botbalance.bootstrap import services
from botbalance.errors import MendRequest, TryAgainLater
from botbalance.log import logger
from botbalance.trading.desk import TICK_SECONDS

MESSAGES_PER_REQUEST = 10


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Entry point for the state machine: ``{"tick_at": "2026-01-31T12:00:30Z"}`` → users and messages sent.

    Raises TryAgainLater where the queue took only a part: the tick is then dispatched again, and the claims
    skip whoever had it already.
    """
    ts_tick = _ts_tick(event)
    wired = services()
    users = messages = 0
    due = wired.strategies.users_on_autopilot()
    if wired.desk.operator.halt_reason() is not None:  # then what rests is cancelled, whoever placed it
        due = iter({*due, *wired.desk.orders.users_with_watched_orders()})
    chunks = batched(due, wired.settings.dispatch_chunk, strict=False)
    for request in batched(chunks, MESSAGES_PER_REQUEST, strict=False):
        answer = wired.sqs.send_message_batch(
            QueueUrl=wired.settings.tick_queue_url,
            Entries=[
                {"Id": str(index), "MessageBody": json.dumps({"ts_tick": ts_tick, "user_ids": user_ids})}
                for index, user_ids in enumerate(request)
            ],
        )
        if answer.get("Failed"):
            raise TryAgainLater("queue_refused", f"the queue took only a part of tick {ts_tick}: {answer['Failed']}")
        users += sum(map(len, request))
        messages += len(request)
    logger.info("dispatched", ts_tick=ts_tick, users=users, messages=messages)
    return {"ts_tick": ts_tick, "users": users, "messages": messages}


def _ts_tick(event: dict[str, Any]) -> int:
    """The tick's time in epoch seconds."""
    tick_at = event.get("tick_at")
    try:
        time = datetime.fromisoformat(str(tick_at))
        ts_tick = time.timestamp() if time.tzinfo is not None else -1
    except ValueError:
        ts_tick = -1
    if ts_tick < 0 or ts_tick % TICK_SECONDS:
        raise MendRequest(
            "invalid_tick", f"tick_at is {tick_at!r}, expected a time on a {TICK_SECONDS} s grid: 2026-01-31T12:00:30Z"
        )
    return int(ts_tick)
