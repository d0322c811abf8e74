"""What is told of what was written. Pure: activities in, messages out, the same however often and in whatever order.

An incident has one message when it begins and one when it is over. What is heard of it late takes its place by its
time, so that its messages are the same in the end, however it was heard.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.notification import NotificationSettings, Volume


class Category(StrEnum):
    """What owners choose the volume of, as settings name it."""

    TROUBLE = "trouble"
    CHANGES = "changes"
    FILLS = "fills"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Message:
    """What is told; ``message_id`` names it for good. ``title`` has no amounts: it is what a locked screen shows."""

    message_id: str
    kind: str
    category: Category
    title: str
    text: str
    is_over: bool = False
    """Whether it tells of an end: that wakes nobody."""
    data: dict[str, Any] = field(default_factory=dict)


_AUTOPILOT = "autopilot"
_TITLES = {
    "order_unknown": "An order's fate is unknown",
    "order_lost": "What became of an order cannot be told",
    "orders_refused": "The exchange refuses orders",
    "doubt": "Nothing is traded on what is not believed",
    "trading_halted": "Trading is halted for everybody",
    "no_decision": "No decision can be made",
    "pause": "A pair is paused",
    _AUTOPILOT: "The autopilot was switched off",
}
_CHANGES = {
    ActivityKind.CREDENTIALS_STORED: "An exchange key was stored",
    ActivityKind.CREDENTIALS_REPLACED: "An exchange key was replaced",
    ActivityKind.CREDENTIALS_DELETED: "An exchange key was deleted",
    ActivityKind.STRATEGY_CREATED: "A strategy was stored",
    ActivityKind.STRATEGY_CHANGED: "The strategy was changed",
    ActivityKind.AUTOPILOT_ENABLED: "The autopilot was switched on",
    ActivityKind.AUTOPILOT_DISABLED: "The autopilot was switched off by hand",
    ActivityKind.TRADING_STOPPED: "Everything was stopped",
    ActivityKind.BUDGET_WARNED: "A budget is nearly used up",
    ActivityKind.NOTIFICATIONS_CHANGED: "Where and what you are told was changed",
}
"""What is told of by itself, at the volume of changes."""


def incident_key(activity: Activity) -> str | None:
    """The name of the incident that the activity begins or ends; None where it does neither."""
    match activity.action:
        case ActivityKind.INCIDENT_OPENED | ActivityKind.INCIDENT_RESOLVED:
            return activity.subject
        case ActivityKind.TRADING_PAUSED | ActivityKind.TRADING_RESUMED if activity.subject is not None:
            # A pair may be held by several budgets. A pause of everything is the autopilot's end, and told as that.
            return f"pause:{(activity.after or activity.before or {}).get('pause_id', activity.subject)}"
        case ActivityKind.AUTOPILOT_ENABLED:
            return _AUTOPILOT
        case ActivityKind.AUTOPILOT_DISABLED if activity.actor == "system":
            return _AUTOPILOT
    return None


def add_to_history(history: Iterable[Activity], activity: Activity) -> list[Activity]:
    """``history`` with ``activity``, once, by time."""
    return sorted({one.activity_id: one for one in [*history, activity]}.values(), key=lambda one: one.activity_id)


def incident_messages(name: str, history: Sequence[Activity]) -> list[Message]:
    """The messages of an incident whose beginnings and ends, by time, are ``history``."""
    messages, is_open = [], False
    for activity in history:
        begins = activity.action in {
            ActivityKind.INCIDENT_OPENED,
            ActivityKind.TRADING_PAUSED,
            ActivityKind.AUTOPILOT_DISABLED,
        }
        if begins != is_open:
            messages.append(_incident_message(name, activity, begins=begins))
            is_open = begins
        elif activity.action is ActivityKind.AUTOPILOT_ENABLED:
            messages.append(_change(activity))
    return messages


def change_message(activity: Activity) -> Message | None:
    """The message of what is told by itself; None for what is not told, or is an incident's."""
    if activity.action not in _CHANGES or incident_key(activity) is not None:
        return None
    return _change(activity)


def choose_volume(settings: NotificationSettings, message: Message) -> Volume:
    """How loud ``message`` is told to the owner of ``settings``."""
    volumes = {
        Category.TROUBLE: settings.trouble,
        Category.CHANGES: settings.changes,
        Category.FILLS: settings.fills,
        Category.DIGEST: settings.digest,
    }
    volume = volumes[message.category]
    return Volume.SILENT if message.is_over and volume is Volume.LOUD else volume


def _incident_message(name: str, activity: Activity, *, begins: bool) -> Message:
    kind, _, subject = name.partition(":")
    title = _TITLES.get(kind, "Something keeps your portfolio from being traded")
    reason = activity.reason or ""
    return Message(
        message_id=activity.activity_id,
        kind=f"{kind}.{'opened' if begins else 'resolved'}",
        category=Category.CHANGES if kind == "doubt" else Category.TROUBLE,
        title=title if begins else f"It is over: {title[0].lower()}{title[1:]}",
        text=reason if begins else _over(kind, reason),
        is_over=not begins,
        data={"incident": name, "subject": subject or None, "reason": activity.reason},
    )


def _over(kind: str, reason: str) -> str:
    if kind == _AUTOPILOT:
        return "The autopilot is on again."
    return f"It is over. It was: {reason}" if reason else "It is over."


def _change(activity: Activity) -> Message:
    lines = [f"by {_ACTORS[activity.actor]}"]
    if activity.subject is not None:
        lines.append(f"for {activity.subject}")
    if activity.reason is not None:
        lines.append(activity.reason)
    if activity.action in {ActivityKind.STRATEGY_CREATED, ActivityKind.STRATEGY_CHANGED}:
        lines += [_difference(name, activity) for name in activity.after or {}]
    return Message(
        message_id=activity.activity_id,
        kind=str(activity.action),
        category=Category.CHANGES,
        title=_CHANGES[activity.action],
        text="\n".join(lines),
        data={
            "actor": activity.actor,
            "subject": activity.subject,
            "reason": activity.reason,
            "before": activity.before,
            "after": activity.after,
        },
    )


_ACTORS = {"user": "you, or whoever has your sign-in", "system": "BotBalance", "operator": "the operator"}


def _difference(name: str, activity: Activity) -> str:
    before, after = (activity.before or {}).get(name), (activity.after or {}).get(name)
    return f"{name}: {after}" if before is None else f"{name}: {before} → {after}"
