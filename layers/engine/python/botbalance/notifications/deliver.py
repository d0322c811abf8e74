"""Handing one delivery to its channel, and what becomes of it then."""

from botbalance.log import logger
from botbalance.models.notification import Channel, ChannelHealth, Delivery, DeliveryState, StoredNotifications
from botbalance.notifications.context import TEST, NotificationContext
from botbalance.notifications.schedule import GIVEN_UP_AFTER_S, back_off_s
from botbalance.notifications.senders import Result, SendOutcome
from botbalance.store.delivery_queue import DeliveryJob

SENDING_FOR_S = 180
"""A delivery that is still being sent after that was interrupted: no function runs for so long."""


def deliver(context: NotificationContext, job: DeliveryJob) -> DeliveryState | None:
    """Hand a delivery to its channel, if nobody else does or did; returns how it stands then, None where it was not
    this job's.

    Raises TransientError where that could not be begun: then it is due again.
    """
    delivery = context.table.find_delivery(job.user_id, job.delivery_id)
    if delivery is None or delivery.state is not DeliveryState.WAITING or delivery.attempts != job.attempts:
        return None
    now, stored = context.now(), context.table.find(job.user_id)
    if stored is None or delivery.channel not in stored.secrets:
        return _settle(context, delivery, SendOutcome(Result.REFUSED, "the channel is not set up any more"), None, now)
    health = stored.channel_health(delivery.channel)
    if health.off_reason is not None and delivery.kind != TEST:
        off = SendOutcome(Result.REFUSED, f"the channel is off: {health.off_reason}")
        return _settle(context, delivery, off, None, now)
    secret = context.table.decrypt(job.user_id, delivery.channel, stored.secrets[delivery.channel])
    begun = context.table.replace(
        delivery.model_copy(
            update={
                "state": DeliveryState.SENDING,
                "attempts": delivery.attempts + 1,
                "first_tried_at": delivery.first_tried_at or now,
                "due_at": now + SENDING_FOR_S,
            }
        )
    )
    if begun is None:
        return None
    return _settle(context, begun, context.senders.send(begun, secret, now), stored, now)


def after_attempt(delivery: Delivery, outcome: SendOutcome, now: int) -> Delivery:
    """``delivery`` after what became of handing it over at ``now``: settled, or due again."""
    first = delivery.first_tried_at or now
    settled = {"due_at": None, "settled_at": now, "error": outcome.error}
    result = outcome.result
    if result is Result.UNKNOWN and delivery.channel is Channel.WEBHOOK:
        result = Result.TRY_AGAIN  # whoever gets it twice knows it by its id
    if result is Result.TRY_AGAIN:
        retries = delivery.retries + (outcome.retry_after_s is None)
        wait_s = back_off_s(retries) if outcome.retry_after_s is None else outcome.retry_after_s
        if now + wait_s - first <= GIVEN_UP_AFTER_S:
            again = {"state": DeliveryState.WAITING, "retries": retries, "due_at": now + wait_s}
            return delivery.model_copy(update=again | {"error": outcome.error})
    states = {Result.SENT: DeliveryState.SENT, Result.UNKNOWN: DeliveryState.UNKNOWN}
    return delivery.model_copy(update=settled | {"state": states.get(result, DeliveryState.FAILED)})


def health_after(before: ChannelHealth, delivery: Delivery, outcome: SendOutcome, now: int) -> ChannelHealth:
    """How a channel does after ``delivery`` has become what it is."""
    if delivery.state is DeliveryState.SENT:
        return ChannelHealth(last_sent_at=now)
    failing_since = before.failing_since or now
    off_reason = before.off_reason
    if outcome.result is Result.GONE:
        off_reason = outcome.error
    elif delivery.state is DeliveryState.FAILED and outcome.result is not Result.REFUSED:  # it was given up
        sent_since = (before.last_sent_at or 0) >= (delivery.first_tried_at or now)
        off_reason = off_reason if sent_since else f"nothing could be delivered for three days: {outcome.error}"
    return ChannelHealth(off_reason=off_reason, failing_since=failing_since, last_sent_at=before.last_sent_at)


def _settle(
    context: NotificationContext, delivery: Delivery, outcome: SendOutcome, stored: StoredNotifications | None, now: int
) -> DeliveryState | None:
    """Write what became of ``delivery``, and of its channel where that was asked (``stored``)."""
    after = after_attempt(delivery, outcome, now)
    written = context.table.replace(after)
    if after.state in {DeliveryState.FAILED, DeliveryState.UNKNOWN}:
        logger.warning(
            "delivery failed",
            user_id=delivery.user_id,
            channel=delivery.channel,
            kind=delivery.kind,
            reason=outcome.error,
        )
    if stored is not None:
        before = stored.channel_health(delivery.channel)
        health = health_after(before, after, outcome, now)
        if health != before:
            context.table.save_health(delivery.user_id, delivery.channel, health)
    return None if written is None else written.state
