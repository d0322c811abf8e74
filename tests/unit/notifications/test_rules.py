"""What is told of what was written: the same in the end, however often and in whatever order it is heard."""

from itertools import permutations

import pytest
from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.notification import NotificationSettings, Volume
from botbalance.notifications.rules import (
    Category,
    Message,
    add_to_history,
    change_message,
    choose_volume,
    incident_key,
    incident_messages,
)
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 1_700_000_000
NAME = "no_decision:"
BEGINS, ENDS = ActivityKind.INCIDENT_OPENED, ActivityKind.INCIDENT_RESOLVED


def activity(second: int, action: ActivityKind, *, subject: str | None = NAME, **more: object) -> Activity:
    return Activity.model_validate(
        {
            "user_id": "alice",
            "activity_id": f"{(NOW + second) * 1000:013}#{second:012x}",
            "actor": "system",
            "action": action,
            "subject": subject,
            **more,
        }
    )


def heard(*activities: Activity) -> list[Activity]:
    """The history after they were heard, in this order."""
    history: list[Activity] = []
    for one in activities:
        history = add_to_history(history, one)
    return history


def ids(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message.message_id, message.kind.partition(".")[2]) for message in messages]


def test_an_incident_has_one_message_until_it_is_over_and_one_then() -> None:
    first, again, over, later = (activity(n, action) for n, action in enumerate((BEGINS, BEGINS, ENDS, BEGINS)))
    assert ids(incident_messages(NAME, [first, again, over, later])) == [
        (first.activity_id, "opened"),
        (over.activity_id, "resolved"),
        (later.activity_id, "opened"),
    ]


def test_an_end_without_a_beginning_is_told_by_nobody() -> None:
    assert incident_messages(NAME, [activity(1, ENDS)]) == []


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_messages_are_the_same_in_whatever_order_they_are_heard(order: tuple[int, ...]) -> None:
    written = [activity(n, action) for n, action in enumerate((BEGINS, ENDS, BEGINS, ENDS))]
    shuffled = heard(*(written[n] for n in order))
    assert incident_messages(NAME, shuffled) == incident_messages(NAME, written)
    assert len(incident_messages(NAME, written)) == 4


@settings(max_examples=60)
@given(
    actions=st.lists(st.sampled_from([BEGINS, ENDS]), max_size=8),
    chance=st.randoms(use_true_random=False),
)
def test_beginnings_and_ends_alternate_and_repeats_add_nothing(actions: list[ActivityKind], chance: object) -> None:
    written = [activity(n, action) for n, action in enumerate(actions)]
    in_any_order = written * 2
    chance.shuffle(in_any_order)  # type: ignore[attr-defined]
    kinds = [kind for _, kind in ids(incident_messages(NAME, heard(*in_any_order)))]
    assert kinds == ["opened", "resolved"] * (len(kinds) // 2) + ["opened"] * (len(kinds) % 2)
    assert incident_messages(NAME, heard(*in_any_order)) == incident_messages(NAME, written)
    # Counted by hand: a beginning counts where the last that counted was an end, and the other way round.
    expected, is_open = 0, False
    for action in actions:
        if (action is BEGINS) is not is_open:
            expected, is_open = expected + 1, not is_open
    assert len(kinds) == expected


def test_the_autopilot_that_the_system_switched_off_is_an_incident_and_its_owner_s_switch_is_none() -> None:
    off = activity(1, ActivityKind.AUTOPILOT_DISABLED, subject=None, reason="the exchange refuses the key")
    by_hand = activity(2, ActivityKind.AUTOPILOT_DISABLED, subject=None, actor="user")
    on = activity(3, ActivityKind.AUTOPILOT_ENABLED, subject=None, actor="user")
    assert incident_key(off) == incident_key(on) == "autopilot"
    assert incident_key(by_hand) is None
    opened, resolved = incident_messages("autopilot", [off, on])
    assert (opened.category, opened.text) == (Category.TROUBLE, "the exchange refuses the key")
    assert resolved.is_over
    (switched,) = incident_messages("autopilot", [on])
    assert (switched.category, switched.kind) == (Category.CHANGES, "autopilot.enabled")
    told = change_message(by_hand)
    assert told is not None
    assert "by hand" in told.title


def test_a_pause_of_a_pair_is_an_incident_and_that_of_everything_is_the_autopilot_s() -> None:
    assert incident_key(activity(1, ActivityKind.TRADING_PAUSED, subject="BTCUSDT")) == "pause:BTCUSDT"
    assert incident_key(activity(1, ActivityKind.TRADING_RESUMED, subject="BTCUSDT")) == "pause:BTCUSDT"
    churn = activity(1, ActivityKind.TRADING_PAUSED, subject="BTCUSDT", after={"pause_id": "churn-BTCUSDT"})
    over = activity(2, ActivityKind.TRADING_RESUMED, subject="BTCUSDT", before={"pause_id": "churn-BTCUSDT"})
    assert incident_key(churn) == incident_key(over) == "pause:churn-BTCUSDT", "another budget may hold the pair, too"
    whole = activity(1, ActivityKind.TRADING_PAUSED, subject=None)
    assert incident_key(whole) is None
    assert change_message(whole) is None


def test_trouble_is_loud_what_is_over_wakes_nobody_and_a_doubt_is_a_change() -> None:
    wanted = NotificationSettings(user_id="alice")
    opened, resolved = incident_messages(NAME, [activity(1, BEGINS), activity(2, ENDS)])
    (doubt,) = incident_messages("doubt:BTC", [activity(1, BEGINS, subject="doubt:BTC")])
    assert [choose_volume(wanted, message) for message in (opened, resolved, doubt)] == [
        Volume.LOUD,
        Volume.SILENT,
        Volume.SILENT,
    ]
    off = wanted.model_copy(update={"trouble": Volume.OFF})
    assert choose_volume(off, opened) is choose_volume(off, resolved) is Volume.OFF


def test_what_a_person_sees_at_once_is_not_told() -> None:
    for action in (
        ActivityKind.ORDERS_PLACED,
        ActivityKind.ORDERS_CANCELED,
        ActivityKind.ORDER_RESOLVED,
        ActivityKind.CREDENTIALS_REFUSED,
    ):
        assert change_message(activity(1, action)) is None
        assert incident_key(activity(1, action)) is None


def test_a_changed_strategy_is_told_with_what_changed() -> None:
    changed = activity(
        1,
        ActivityKind.STRATEGY_CHANGED,
        subject=None,
        actor="user",
        before={"order_size_pct": "2"},
        after={"order_size_pct": "3", "post_only": True},
    )
    told = change_message(changed)
    assert told is not None
    assert told.text.splitlines() == [
        "by you, or whoever has your sign-in",
        "order_size_pct: 2 → 3",
        "post_only: True",
    ]
