"""When a message is due. Pure: the time is an argument, in epoch seconds; hours are the owner's."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from botbalance.models.notification import NotificationSettings, Volume

FILLS_TOGETHER_S = 900
"""Fills are told together, at most once in so long."""
BACK_OFF_S = (30, 300, 1_800, 7_200, 28_800, 43_200)
"""What is waited after a channel could not take a message for the first time, the second, and so on; then the last."""
GIVEN_UP_AFTER_S = 3 * 86_400
"""After so long without success a message has failed, and its channel goes off."""


def next_digest_at(settings: NotificationSettings, now: int) -> int | None:
    """When the next digest is due after ``now``; None where its owner wants none.

    An hour that a day does not have, because clocks go forward, is the one that takes its place.
    """
    if settings.digest is Volume.OFF:
        return None
    return _next_hour(settings, settings.digest_hour, now)


def send_at(settings: NotificationSettings, volume: Volume, now: int) -> int:
    """When a message of ``volume`` may be sent that is made at ``now``: at once, or when quiet hours are over."""
    if volume is Volume.LOUD or settings.quiet_from is None or settings.quiet_until is None:
        return now
    if not _is_within(settings.quiet_from, settings.quiet_until, _local(settings, now).hour):
        return now
    return _next_hour(settings, settings.quiet_until, now)


def fills_period(occurred_at: int) -> tuple[int, int]:
    """The period, from its first to its last second, whose fills are told together with one of ``occurred_at``."""
    first = occurred_at - occurred_at % FILLS_TOGETHER_S
    return first, first + FILLS_TOGETHER_S - 1


def back_off_s(retries: int) -> int:
    """How long to wait after a message could not be taken for the ``retries``-th time, counted from one."""
    return BACK_OFF_S[min(retries, len(BACK_OFF_S)) - 1]


def _is_within(first: int, until: int, hour: int) -> bool:
    return first <= hour < until if first <= until else hour >= first or hour < until


def _local(settings: NotificationSettings, now: int) -> datetime:
    return datetime.fromtimestamp(now, ZoneInfo(settings.time_zone))


def _next_hour(settings: NotificationSettings, hour: int, now: int) -> int:
    """The first time after ``now`` at which it becomes ``hour`` o'clock."""
    local = _local(settings, now)
    for days in range(3):
        day = local.date() + timedelta(days=days)
        at = datetime(day.year, day.month, day.day, hour, tzinfo=local.tzinfo).astimezone(UTC)
        if at.timestamp() > now:
            return int(at.timestamp())
    raise AssertionError("a day has every hour, or the one that takes its place")
