"""Finds who is due and hands them to the workers, a chunk of users a message."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from datetime import datetime
from itertools import batched, chain
from typing import TYPE_CHECKING, Any, NamedTuple

from aws_lambda_powertools.utilities.typing import LambdaContext
from botbalance.bootstrap import services
from botbalance.engine.durations import HOUR_S
from botbalance.errors import InvalidRequestError, TransientError
from botbalance.executors import executor
from botbalance.log import logger
from botbalance.models.decision import TICK_SECONDS
from botbalance.store.message_queue import MESSAGES_PER_REQUEST, send_messages
from botbalance.trading.tick_batch import UNKNOWN_VERSION

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

LONGEST_BODY = 256 * 1024 // MESSAGES_PER_REQUEST
"""Bytes; SQS takes 256 KiB a request. 500 users with UUIDs for ids are 20,000."""
LEFT_ORDERS_S = HOUR_S
"""So often the orders are looked at of those whose autopilot is off: they may have filled, or be lost."""
ATTEMPTS = 3
"""How often a message is sent that the queue fails to take by no fault of ours."""


class _Message(NamedTuple):
    users: int
    body: str


@logger.inject_lambda_context(clear_state=True, log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Entry point for the state machine: ``{"tick_at": "2026-01-31T12:00:30Z"}`` → users and messages sent.

    Messages are sent while users are still being read, so a million of them need no more memory than a few pages.
    Raises TransientError where the queue took only a part: the tick is then dispatched again, and the claims
    skip whoever had it already.
    """
    ts_tick = _ts_tick(event)
    wired = services()
    sqs, queue, threads = wired.sqs, wired.settings.tick_queue_url, wired.settings.dispatch_threads
    users = messages = 0
    sending: set[Future[None]] = set()
    # Where sending fails, reading ends here too, and not whenever what was read so far is thrown away.
    with executor(threads) as pool, closing(wired.strategies.users_to_tick(threads)) as enabled:
        due: Iterable[tuple[str, int]] = enabled
        if wired.context.operator.halt_reason() is not None:  # then what rests is cancelled, whoever placed it
            due = (
                dict.fromkeys(wired.context.orders.users_with_unreconciled_orders(), UNKNOWN_VERSION) | dict(enabled)
            ).items()
        elif ts_tick % LEFT_ORDERS_S == 0:  # whoever is in both is ticked once: a tick is claimed
            left = wired.context.orders.users_with_unreconciled_orders()
            due = chain(((user_id, UNKNOWN_VERSION) for user_id in left), enabled)
        for request in batched(
            _messages(ts_tick, due, wired.settings.dispatch_chunk), MESSAGES_PER_REQUEST, strict=False
        ):
            if len(sending) == threads:
                sent, sending = wait(sending, return_when=FIRST_COMPLETED)
                _require_sent(sent)
            sending.add(pool.submit(_send, sqs, queue, [message.body for message in request]))
            users += sum(message.users for message in request)
            messages += len(request)
        _require_sent(sending)
    logger.info("dispatched", ts_tick=ts_tick, users=users, messages=messages)
    return {"ts_tick": ts_tick, "users": users, "messages": messages}


def _messages(ts_tick: int, due: Iterable[tuple[str, int]], chunk: int) -> Iterator[_Message]:
    """The users, ``chunk`` of them a message, or fewer where ids are so long that ten messages are no request."""
    for users in batched(due, chunk, strict=False):
        yield from _split(ts_tick, users)


def _split(ts_tick: int, users: Sequence[tuple[str, int]]) -> Iterator[_Message]:
    """One message, or the halves of what is too long for one. A single id, a key of 2,048 bytes at most, never is."""
    body = json.dumps({"ts_tick": ts_tick, "users": dict(users)})  # ASCII: as many bytes
    if len(body) <= LONGEST_BODY:
        yield _Message(len(users), body)
        return
    middle = len(users) // 2
    yield from _split(ts_tick, users[:middle])
    yield from _split(ts_tick, users[middle:])


def _send(sqs: "SQSClient", queue: str, bodies: Sequence[str]) -> None:
    """Send up to ten messages at once, and again those that the queue failed to take; raises TransientError."""
    for _ in range(ATTEMPTS):
        refused = send_messages(sqs, queue, bodies)
        if not refused:
            return
        if any(message.by_our_fault for message in refused):
            break
        bodies = [message.body for message in refused]
    codes = ", ".join(sorted({message.code for message in refused}))
    raise TransientError(
        "queue_refused", f"the queue took only a part of the tick, {len(refused)} messages less: {codes}"
    )


def _require_sent(requests: Iterable[Future[None]]) -> None:
    for request in requests:
        request.result()


def _ts_tick(event: dict[str, Any]) -> int:
    """The tick's time in epoch seconds."""
    tick_at = event.get("tick_at")
    try:
        time = datetime.fromisoformat(str(tick_at))
        ts_tick = time.timestamp() if time.tzinfo is not None else -1
    except ValueError:
        ts_tick = -1
    if ts_tick < 0 or ts_tick % TICK_SECONDS:
        raise InvalidRequestError(
            "invalid_tick", f"tick_at is {tick_at!r}, expected a time on a {TICK_SECONDS} s grid: 2026-01-31T12:00:30Z"
        )
    return int(ts_tick)
