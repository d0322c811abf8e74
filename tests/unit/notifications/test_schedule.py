"""When messages are due: the owner's hours, also where clocks change, and how often what fails is tried."""

from datetime import UTC, datetime
from itertools import accumulate

import pytest
from botbalance.models.notification import NotificationSettings, Volume
from botbalance.notifications.schedule import (
    GIVEN_UP_AFTER_S,
    back_off_s,
    fills_period,
    next_digest_at,
    send_at,
)
from hypothesis import given, settings
from hypothesis import strategies as st

BERLIN = NotificationSettings(user_id="alice", time_zone="Europe/Berlin", digest_hour=8, quiet_from=22, quiet_until=7)


def at(text: str) -> int:
    """Epoch seconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-15T06:59:59", "2026-01-15T07:00"),  # winter: one hour ahead of UTC
        ("2026-01-15T07:00:00", "2026-01-16T07:00"),
        ("2026-07-15T05:00:00", "2026-07-15T06:00"),  # summer: two
        ("2026-03-28T08:00:00", "2026-03-29T06:00"),  # the night in which clocks go forward
        ("2026-10-24T08:00:00", "2026-10-25T07:00"),  # and back
    ],
)
def test_the_digest_comes_at_its_owner_s_hour(now: str, expected: str) -> None:
    assert next_digest_at(BERLIN, at(now)) == at(expected)


def test_an_hour_that_a_day_does_not_have_is_the_one_in_its_place() -> None:
    at_two = BERLIN.model_copy(update={"digest_hour": 2})
    assert next_digest_at(at_two, at("2026-03-28T12:00:00")) == at("2026-03-29T01:00")  # 03:00 there


def test_no_digest_is_due_where_none_is_wanted() -> None:
    assert next_digest_at(BERLIN.model_copy(update={"digest": Volume.OFF}), at("2026-01-15T07:00")) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-15T20:59:59", "2026-01-15T20:59:59"),
        ("2026-01-15T21:00:00", "2026-01-16T06:00"),
        ("2026-01-16T05:59:59", "2026-01-16T06:00"),
        ("2026-01-16T06:00:00", "2026-01-16T06:00:00"),
    ],
)
def test_quiet_hours_delay_what_is_silent_and_nothing_loud(now: str, expected: str) -> None:
    assert send_at(BERLIN, Volume.SILENT, at(now)) == at(expected)
    assert send_at(BERLIN, Volume.LOUD, at(now)) == at(now)


def test_quiet_hours_may_lie_within_a_day() -> None:
    siesta = BERLIN.model_copy(update={"quiet_from": 13, "quiet_until": 15})
    assert send_at(siesta, Volume.SILENT, at("2026-01-15T12:30")) == at("2026-01-15T14:00")
    assert send_at(siesta, Volume.SILENT, at("2026-01-15T14:00")) == at("2026-01-15T14:00")


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])


@settings(max_examples=200)
@given(
    now=st.integers(min_value=at("2024-01-01"), max_value=at("2030-01-01")),
    zone=ZONES,
    hour=st.integers(min_value=0, max_value=23),
)
def test_the_next_digest_is_within_a_day_and_an_hour_of_the_last(now: int, zone: str, hour: int) -> None:
    wanted = NotificationSettings(user_id="alice", time_zone=zone, digest_hour=hour)
    first = next_digest_at(wanted, now)
    assert first is not None
    second = next_digest_at(wanted, first)
    assert second is not None
    assert now < first <= now + 90_000
    assert 82_800 <= second - first <= 90_000


def test_back_off_grows_and_fits_into_three_days_with_several_attempts_in_the_first_hour() -> None:
    waits = list(accumulate(back_off_s(retries) for retries in range(1, 12)))
    assert waits[:5] == [30, 330, 2_130, 9_330, 38_130]
    assert sum(1 for wait in waits if wait <= 3_600) == 3
    assert sum(1 for wait in waits if wait <= GIVEN_UP_AFTER_S) >= 9


def test_fills_are_told_by_quarters_of_an_hour() -> None:
    first, last = fills_period(at("2026-01-15T12:07:00"))
    assert (first, last) == (at("2026-01-15T12:00:00"), at("2026-01-15T12:14:59"))
    assert fills_period(first) == fills_period(last) == (first, last)
