"""Users who were disabled or deleted where users sign in: nobody could stop what goes on in their name."""

from collections.abc import Iterator

import boto3
import pytest
from botbalance.models.activity import ActivityKind
from botbalance.store.user_pool import UserPool
from botbalance.trading.leavers import FEW, KEY_KEPT_S, LEFT, Leavers, look_after_leavers
from moto import mock_aws

from tests.integration.trading.harness import TradingHarness

DAY_S = 86_400


def everybody(harness: TradingHarness) -> set[str]:
    """All who trade or have a key in these tables, which other tests use, too."""
    trading = {user.user_id for user in harness.context.strategies.users_to_tick()}
    return trading | {key.user_id for key in harness.context.clients.key_owners()}


def look(harness: TradingHarness, *, left: bool) -> Leavers:
    users = everybody(harness)
    return look_after_leavers(harness.context, users - {harness.user} if left else users | {harness.user})


def trail(harness: TradingHarness) -> list[tuple[str, ActivityKind, str | None]]:
    """What was told, newest first."""
    page = harness.context.activity.page(harness.user, limit=50, cursor=None)
    return [(activity.actor, activity.action, activity.reason) for activity in page.activities]


def test_the_autopilot_goes_off_what_rests_is_cancelled_and_the_key_deleted_after_a_week(
    harness: TradingHarness,
) -> None:
    harness.tick()
    assert [order for order in harness.booked() if order.status.is_open]

    assert look(harness, left=True) == Leavers(switched_off=1, keys_deleted=0)
    strategy = harness.context.strategies.get(harness.user)
    assert (strategy.autopilot_enabled, strategy.disabled_reason) == (False, LEFT)
    assert trail(harness)[0] == ("system", ActivityKind.AUTOPILOT_DISABLED, LEFT)
    assert harness.user in {user.user_id for user in harness.context.strategies.users_to_tick()}
    harness.now += 30
    assert harness.work(harness.message(harness.user)) == []
    assert not [order for order in harness.booked() if order.status.is_open]
    assert harness.user not in {user.user_id for user in harness.context.strategies.users_to_tick()}

    harness.now += KEY_KEPT_S - 31
    assert look(harness, left=True) == Leavers(switched_off=0, keys_deleted=0)
    assert harness.context.clients.stored_keys(harness.user)
    harness.now += 1
    assert look(harness, left=True) == Leavers(switched_off=0, keys_deleted=1)
    assert not harness.context.clients.stored_keys(harness.user)
    assert trail(harness)[0] == ("system", ActivityKind.CREDENTIALS_DELETED, None)
    assert look(harness, left=True) == Leavers(switched_off=0, keys_deleted=0)


def test_who_comes_back_has_the_key_still_and_a_week_again(harness: TradingHarness) -> None:
    look(harness, left=True)
    harness.now += KEY_KEPT_S - 1
    look(harness, left=False)
    assert harness.context.strategies.get(harness.user).disabled_reason == LEFT
    harness.now += DAY_S
    look(harness, left=True)
    harness.now += KEY_KEPT_S - 1
    look(harness, left=True)
    assert harness.context.clients.stored_keys(harness.user)


def test_a_key_that_orders_need_stays_and_somebody_is_told(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.tick()
    look(harness, left=True)
    harness.now += KEY_KEPT_S
    assert look(harness, left=True).keys_deleted == 0
    assert "leaver_key_kept" in {getattr(record, "alarm", None) for record in caplog.records}
    assert harness.context.clients.stored_keys(harness.user)


def test_who_traded_by_hand_is_stopped_too(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)
    look(harness, left=True)
    assert trail(harness)[0] == ("system", ActivityKind.TRADING_STOPPED, LEFT)


def test_a_pool_in_which_too_many_are_missing_is_not_believed(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(FEW + 1):
        harness.set_strategy(user=f"{harness.user}-{number}")
    assert look_after_leavers(harness.context, set()) == Leavers(0, 0)
    assert "users_missing" in {getattr(record, "alarm", None) for record in caplog.records}
    assert harness.context.strategies.get(harness.user).autopilot_enabled
    assert not [key for key in harness.context.clients.key_owners() if key.user_id == harness.user and key.left_at]
    for number in range(FEW + 1):
        harness.set_strategy(user=f"{harness.user}-{number}", autopilot=False)


# The user pool


@pytest.fixture
def pool() -> Iterator[tuple[UserPool, list[str]]]:
    """A pool of more users than are told at once, and their ids; the first is disabled."""
    with mock_aws():
        client = boto3.client("cognito-idp", region_name="us-east-1")
        pool_id = client.create_user_pool(PoolName="users")["UserPool"]["Id"]
        found = []
        for number in range(70):
            made = client.admin_create_user(UserPoolId=pool_id, Username=f"user-{number}")["User"]
            found += [each["Value"] for each in made["Attributes"] if each["Name"] == "sub"]
        client.admin_disable_user(UserPoolId=pool_id, Username="user-0")
        yield UserPool(client, pool_id), found
        client.close()


def test_all_users_are_told_page_by_page_but_those_who_are_disabled(pool: tuple[UserPool, list[str]]) -> None:
    users, subjects = pool
    assert users.enabled_users() == set(subjects[1:])
