"""From what was written to deliveries: each activity of the stream, however often and in whatever order it comes."""

from collections.abc import Iterable, Sequence

from botbalance.errors import TransientError
from botbalance.log import alarm
from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.notification import Delivery, StoredNotifications, Volume
from botbalance.notifications.context import NotificationContext, deliveries_to_all
from botbalance.notifications.rules import (
    Message,
    add_to_history,
    change_message,
    choose_volume,
    incident_key,
    incident_messages,
)
from botbalance.notifications.schedule import fills_period, send_at
from botbalance.store.delivery_queue import DeliveryJob
from botbalance.store.dynamodb import UNKNOWN_SCHEMA

WRITTEN_AFTER_S = 120
"""So long after a period all that was written in it is there: an activity has its time before it is written."""
_ATTEMPTS = 5


def collect(context: NotificationContext, activities: Sequence[Activity]) -> int:
    """Make the deliveries of ``activities`` and queue those that may go now; returns how many were queued.

    A user of whom something is stored that this version of the code does not understand is told nothing, with an alarm:
    that is nobody else's trouble. Raises TransientError where anything else is not known to be done; doing it again
    makes nothing twice.
    """
    settings = context.table.find_many({activity.user_id for activity in activities})
    jobs: list[DeliveryJob] = []
    for activity in activities:
        stored = settings.get(activity.user_id)
        if stored is None or not stored.settings.channels:
            continue
        try:
            jobs += _deliver_activity(context, stored, activity)
        except TransientError as error:
            if error.code != UNKNOWN_SCHEMA:
                raise
            alarm(error.code, str(error), user_id=activity.user_id, action=activity.action)
    context.queue.send(jobs)
    return len(jobs)


def _deliver_activity(
    context: NotificationContext, stored: StoredNotifications, activity: Activity
) -> list[DeliveryJob]:
    if activity.action is ActivityKind.ORDER_FILLED:
        return context.create(stored, _fills(stored, activity))
    name = incident_key(activity)
    if name is not None:
        return _deliver_incident(context, stored, name, activity)
    message = change_message(activity)
    return [] if message is None else context.create(stored, _deliveries(context, stored, [message]))


def _deliver_incident(
    context: NotificationContext, stored: StoredNotifications, name: str, activity: Activity
) -> list[DeliveryJob]:
    """The deliveries that become due by hearing of ``activity``. They are there before it counts as heard."""
    jobs: list[DeliveryJob] = []
    for _ in range(_ATTEMPTS):
        history = context.table.incident(activity.user_id, name)
        heard = add_to_history(history.activities, activity)
        known = {message.message_id for message in incident_messages(name, history.activities)}
        new = [message for message in incident_messages(name, heard) if message.message_id not in known]
        jobs += context.create(stored, _deliveries(context, stored, new))
        after = history.model_copy(update={"activities": heard})
        if heard == history.activities or context.table.save_incident(activity.user_id, name, after, context.now()):
            break
    return jobs


def _deliveries(
    context: NotificationContext, stored: StoredNotifications, messages: Iterable[Message]
) -> list[Delivery]:
    now, found = context.now(), []
    for message in messages:
        volume = choose_volume(stored.settings, message)
        if volume is not Volume.OFF:
            found += deliveries_to_all(
                stored,
                volume,
                now,
                message_id=message.message_id,
                kind=message.kind,
                title=context.mark(stored.settings.user_id) + message.title,
                text=message.text,
                data=message.data,
            )
    return found


def _fills(stored: StoredNotifications, activity: Activity) -> list[Delivery]:
    """The one message of all fills of the activity's period, which is made when that is over."""
    volume = stored.settings.fills
    if volume is Volume.OFF:
        return []
    _, last = fills_period(activity.occurred_at)
    due_at = max(last + WRITTEN_AFTER_S, send_at(stored.settings, volume, last + WRITTEN_AFTER_S))
    return deliveries_to_all(
        stored,
        volume,
        last,
        message_id=f"{last * 1000:013}#fills",
        kind="order.filled",
        title="Fills",
        text="",
        content="fills",
        due_at=due_at,
    )
