"""The trail of a user's account: appended to, never changed, newest first, and one user's alone."""

from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import InvalidRequestError
from botbalance.models.activity import Activity, ActivityKind
from botbalance.store.activity import ActivityTable
from botbalance.store.pagination import TimeRange
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_700_000_000


def activity(now: int = NOW, user_id: str = "alice", **more: Any) -> Activity:
    return Activity.at(now, user_id, more.pop("action", ActivityKind.STRATEGY_CHANGED), **more)


def test_what_is_appended_is_read_as_it_was(activities: ActivityTable) -> None:
    told = activity(
        actor="system",
        action=ActivityKind.AUTOPILOT_DISABLED,
        before={"autopilot_enabled": True},
        after={"autopilot_enabled": False},
        reason="the exchange refuses the API key",
        request_id="r-1",
    )
    activities.append(told)
    assert activities.page("alice", limit=10).items == [told]
    assert told.occurred_at == NOW
    assert activities.page("bob", limit=10).items == []


def test_pages_go_back_in_time_within_a_period(activities: ActivityTable) -> None:
    told = [activity(NOW + second, reason=str(second)) for second in range(5)]
    for one in told:
        activities.append(one)
    first = activities.page("alice", limit=2, occurred=TimeRange(NOW + 1, NOW + 3))
    assert [one.reason for one in first.items] == ["3", "2"]
    assert first.cursor is not None
    rest = activities.page("alice", limit=2, cursor=first.cursor, occurred=TimeRange(NOW + 1, NOW + 3))
    assert [one.reason for one in rest.items] == ["1"]
    assert rest.cursor is None
    assert len(activities.page("alice", limit=10).items) == 5


def test_a_cursor_is_one_of_ours_and_of_the_same_period(activities: ActivityTable) -> None:
    for second in range(3):
        activities.append(activity(NOW + second))
    cursor = activities.page("alice", limit=1).cursor
    for forged in ("nonsense", "WyJhIl0"):
        with pytest.raises(InvalidRequestError):
            activities.page("alice", limit=1, cursor=forged)
    with pytest.raises(InvalidRequestError):
        activities.page("alice", limit=1, cursor=cursor, occurred=TimeRange(0, NOW - 1))


def test_nothing_that_was_told_is_ever_told_otherwise(activities: ActivityTable, dynamodb: "DynamoDBClient") -> None:
    told = activity()
    activities.append(told)
    other = told.model_copy(update={"reason": "something else"})
    with pytest.raises(ClientError) as raised:
        dynamodb.transact_write_items(TransactItems=[activities.transact_put(other)])
    assert raised.value.response["Error"]["Code"] == "TransactionCanceledException"
    assert activities.page("alice", limit=10).items == [told]


def test_only_what_changed_is_told() -> None:
    told = activity(before={"a": "1", "b": "2", "gone": "3"}, after={"a": "1", "b": "4", "new": "5"})
    assert told.before == {"b": "2", "gone": "3"}
    assert told.after == {"b": "4", "new": "5"}
    assert activity(after={"a": "1"}).before is None
    assert activity(before={"a": "1"}).after is None


def test_one_kind_can_be_asked_for_alone(activities: ActivityTable) -> None:
    kinds = [ActivityKind.STRATEGY_CHANGED, ActivityKind.ORDERS_PLACED] * 3
    for second, kind in enumerate(kinds):
        activities.append(activity(NOW + second, action=kind))
    found, cursor = [], None
    for _ in range(4):
        page = activities.page("alice", limit=2, cursor=cursor, action=ActivityKind.ORDERS_PLACED)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    assert [(one.action, one.occurred_at) for one in found] == [
        (ActivityKind.ORDERS_PLACED, NOW + second) for second in (5, 3, 1)
    ]
    assert cursor is None


def test_all_of_a_period_come_newest_first_however_many_pages_they_are(activities: ActivityTable) -> None:
    told = [activity(NOW + second, reason=str(second) * 150_000) for second in range(9)]
    for one in told:
        activities.append(one)
    assert list(activities.iter_all("alice", TimeRange(NOW + 1, NOW + 7))) == told[7:0:-1]
    assert list(activities.iter_all("bob", TimeRange())) == []
