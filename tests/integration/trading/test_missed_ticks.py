"""Whoever is on the autopilot and has no tick for ten minutes is told, whatever keeps it from them."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest
from botbalance.models.activity import ActivityKind
from botbalance.trading import rebalance

from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness, new_harness
from tests.integration.trading.test_incidents import incidents, told

OPENED = ("opened", "no_decision:")
RESOLVED = ("resolved", "no_decision:")


def late(harness: TradingHarness) -> None:
    message = harness.message(harness.user)
    harness.now += 31
    harness.work(message)


def without_time(harness: TradingHarness) -> None:
    harness.work(harness.message(harness.user), remaining_ms=14_000)


def unreadable(harness: TradingHarness) -> None:
    table = harness.services.settings.strategies_table
    client: Any = harness.services.dynamodb
    item = client.get_item(TableName=table, Key={"user_id": {"S": harness.user}})["Item"]
    other = json.dumps(json.loads(item["document"]["S"]) | {"schema_version": 99})
    client.put_item(TableName=table, Item=item | {"document": {"S": other}})
    harness.work(harness.message(harness.user))
    client.put_item(TableName=table, Item=item)


@pytest.mark.parametrize("miss", [late, without_time, unreadable])
def test_ticks_that_are_missed_for_ten_minutes_are_told_once_and_the_next_decision_ends_it(
    harness: TradingHarness, miss: Callable[[TradingHarness], None]
) -> None:
    harness.tick()
    for _ in range(2):
        harness.now += 240
        miss(harness)
    assert incidents(harness) == []  # nine minutes at most
    harness.now += 120
    miss(harness)
    assert incidents(harness) == [OPENED]
    (opened,) = told(harness, ActivityKind.INCIDENT_OPENED)
    assert "no tick was worked on for 20 ticks or longer" in str(opened.reason)
    requests = len(harness.signed())
    state = harness.context.accounts.find_state(harness.user)
    harness.now += 30
    miss(harness)
    assert harness.context.accounts.find_state(harness.user) == state
    assert len(harness.signed()) == requests  # no exchange is asked for it
    assert harness.tick().outcome == "decided"
    assert incidents(harness) == [OPENED, RESOLVED]


def test_an_account_for_which_nothing_was_due_is_told_of_ten_minutes_after_it_was(
    environment: Mapping[str, str],
) -> None:
    user = f"user-{uuid4().hex[:12]}"
    with new_harness(environment, user, PRICING_USE_CACHE="false", PORTFOLIO_MAX_AGE="3600") as harness:
        harness.open_account(harness.user, TEN_THOUSAND_USDT)
        harness.set_strategy({"USDT": "100"})
        harness.tick()
        note = harness.context.accounts.last_runs([harness.user])[harness.user].note()
        assert note is not None
        assert note.look_again_at > harness.now + 900
        for after_s, expected in ((540, []), (600, [OPENED])):
            harness.now = note.look_again_at + after_s
            late(harness)
            assert incidents(harness) == expected


def test_a_busy_account_is_told_of_as_soon_as_it_is_free(harness: TradingHarness) -> None:
    harness.tick()
    harness.now += 630
    lease, _ = harness.context.accounts.acquire(harness.user, harness.now)
    harness.work(harness.message(harness.user))
    assert incidents(harness) == []
    harness.now = lease.ends_at
    without_time(harness)
    assert incidents(harness) == [OPENED]


def test_a_defect_in_twenty_ticks_in_a_row_is_told(harness: TradingHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.tick()
    with monkeypatch.context() as patch:
        patch.setattr(rebalance, "evaluate_inputs", lambda *_: 1 / 0)
        for number in range(22):
            assert incidents(harness) == ([] if number < 20 else [OPENED])
            harness.now += 30
            harness.set_strategy()  # a changed strategy is never quiet
            harness.work(harness.message(harness.user))
    (opened,) = told(harness, ActivityKind.INCIDENT_OPENED)
    assert "ZeroDivisionError" in str(opened.reason)
    harness.set_strategy()
    assert harness.tick().outcome == "decided"
    assert incidents(harness) == [OPENED, RESOLVED]


def test_whoever_has_just_switched_on_is_not_told_of_the_time_before(harness: TradingHarness) -> None:
    harness.tick()
    harness.now += 630
    harness.set_strategy(updated_at=harness.now - 60)
    late(harness)
    assert incidents(harness) == []


def test_a_strategy_that_is_not_seen_is_not_told_as_one_that_cannot_be_read(harness: TradingHarness) -> None:
    harness.user = f"user-{uuid4().hex[:12]}"  # dispatch has seen one, and the worker's read is older
    harness.work(harness.message(harness.user))
    assert incidents(harness) == []
    harness.open_account(harness.user, TEN_THOUSAND_USDT)
    harness.set_strategy()
    assert harness.tick().outcome == "decided"


def test_nobody_is_told_whose_autopilot_is_off(harness: TradingHarness) -> None:
    harness.tick()
    harness.now += 630
    message = harness.message(harness.user)
    harness.set_strategy(autopilot=False)
    harness.now += 31
    harness.work(message)
    assert incidents(harness) == []
