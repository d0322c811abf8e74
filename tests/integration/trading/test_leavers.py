"""Users who were disabled or deleted where users sign in: nobody could stop what goes on in their name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import boto3
import pytest
from botbalance.models.activity import ActivityKind
from botbalance.models.exchange_key import ExchangeKey
from botbalance.store.user_pool import UserPool
from botbalance.trading.leavers import FEW, KEY_KEPT_S, LEFT, MOST_AT_ONCE_PCT, Leavers, look_after_leavers
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.integration.trading.harness import TradingHarness

DAY_S = 86_400


def everybody(harness: TradingHarness) -> set[str]:
    """All who trade or have a key in these tables, which other tests use, too."""
    trading = {user.user_id for user in harness.context.strategies.users_to_tick()}
    return trading | {key.user_id for key in harness.context.clients.key_owners()}


@dataclass
class Cognito:
    """A client of Cognito that knows ``users``, and whether each is enabled.

    ``skipped`` are missing where all are listed; ``on_list`` is called after that list is made. Of ``unanswered`` it
    tells nothing when asked for one alone; those for whom it was asked so are in ``asked``.
    """

    users: dict[str, bool]
    skipped: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    on_list: Callable[[], object] = lambda: None
    asked: list[str] = field(default_factory=list)

    def list_users(self, *, Filter: str | None = None, **_: Any) -> dict[str, Any]:  # noqa: N803 - as boto3 names it
        told = self.users.keys() - self.skipped
        if Filter is not None:
            asked = Filter.removeprefix('sub = "').removesuffix('"')
            self.asked.append(asked)
            if asked in self.unanswered:
                raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "ListUsers")
            told = self.users.keys() & {asked}
        answer = {
            "Users": [
                {"Attributes": [{"Name": "sub", "Value": user}], "Enabled": self.users[user]} for user in sorted(told)
            ]
        }
        if Filter is None:
            self.on_list()
        return answer

    @property
    def pool(self) -> UserPool:
        client: Any = self
        return UserPool(client, "pool")


def cognito(harness: TradingHarness, *, left: bool = False) -> Cognito:
    """One that knows everybody who trades or has a key here, and ``harness``'s user unless that one has left."""
    store_key(harness, "somebody-who-stays")
    users = everybody(harness)
    return Cognito(dict.fromkeys(users - {harness.user} if left else users | {harness.user}, True))


@pytest.fixture
def too_many(harness: TradingHarness) -> int:
    """The least number of users that may not leave at once, however many others the tests before have left."""
    others = len(cognito(harness).users)
    return next(n for n in count(FEW + 1) if n > (others + n) * MOST_AT_ONCE_PCT // 100)


def store_key(harness: TradingHarness, user: str) -> None:
    harness.services.credentials.save(user, "binance", ExchangeKey(f"key-of-{user}", "secret"), harness.now)


def alarms(caplog: pytest.LogCaptureFixture) -> set[str | None]:
    return {getattr(record, "alarm", None) for record in caplog.records}


def look(harness: TradingHarness, *, left: bool) -> Leavers:
    return look_after_leavers(harness.context, cognito(harness, left=left).pool)


def trail(harness: TradingHarness) -> list[tuple[str, ActivityKind, str | None]]:
    """What was told, newest first."""
    page = harness.context.activity.page(harness.user, limit=50, cursor=None)
    return [(activity.actor, activity.action, activity.reason) for activity in page.items]


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
    assert "leaver_key_kept" in alarms(caplog)
    assert harness.context.clients.stored_keys(harness.user)


def test_who_traded_by_hand_is_stopped_too(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)
    look(harness, left=True)
    assert trail(harness)[0] == ("system", ActivityKind.TRADING_STOPPED, LEFT)


def test_who_signs_up_meanwhile_is_not_missing(harness: TradingHarness) -> None:
    newcomer = f"{harness.user}-new"
    client = cognito(harness)
    client.on_list = lambda: store_key(harness, newcomer)
    assert look_after_leavers(harness.context, client.pool) == Leavers(0, 0)
    assert client.asked == []
    assert {key.left_at for key in harness.context.clients.key_owners() if key.user_id == newcomer} == {None}


def test_who_is_skipped_in_the_list_of_all_users_keeps_autopilot_and_key(harness: TradingHarness) -> None:
    client = cognito(harness)
    client.skipped = {harness.user}
    assert look_after_leavers(harness.context, client.pool) == Leavers(0, 0)
    assert harness.context.strategies.get(harness.user).autopilot_enabled
    assert {key.left_at for key in harness.context.clients.key_owners() if key.user_id == harness.user} == {None}

    look(harness, left=True)
    harness.now += KEY_KEPT_S
    assert look_after_leavers(harness.context, client.pool) == Leavers(0, 0)
    assert harness.context.clients.stored_keys(harness.user)


def test_who_cannot_be_asked_for_alone_is_left_to_the_next_day(harness: TradingHarness) -> None:
    client = cognito(harness, left=True)
    client.unanswered = {harness.user}
    assert look_after_leavers(harness.context, client.pool) == Leavers(0, 0)
    assert harness.context.strategies.get(harness.user).autopilot_enabled
    assert look(harness, left=True) == Leavers(switched_off=1, keys_deleted=0)


def test_a_user_who_is_disabled_has_left(harness: TradingHarness) -> None:
    client = cognito(harness)
    client.users = client.users | {harness.user: False}
    assert look_after_leavers(harness.context, client.pool) == Leavers(switched_off=1, keys_deleted=0)


@pytest.mark.parametrize("users", [{}, {"somebody-of-another-pool": True}])
def test_a_pool_in_which_nobody_is_known_is_not_believed_however_few_they_are(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture, users: dict[str, bool]
) -> None:
    look(harness, left=True)
    harness.now += KEY_KEPT_S
    client = Cognito(users)
    for _ in range(2):
        assert look_after_leavers(harness.context, client.pool) == Leavers(0, 0)
    assert client.asked == []
    assert "users_missing" in alarms(caplog)
    assert harness.context.clients.stored_keys(harness.user)


def test_a_pool_in_which_too_many_are_missing_is_not_believed(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture, too_many: int
) -> None:
    for number in range(too_many):
        harness.set_strategy(user=f"{harness.user}-{number}")
    client = cognito(harness)
    client.users = {user: True for user in client.users if not user.startswith(harness.user)}
    assert look_after_leavers(harness.context, client.pool) == Leavers(0, 0)
    assert "users_missing" in alarms(caplog)
    assert harness.context.strategies.get(harness.user).autopilot_enabled
    assert not [key for key in harness.context.clients.key_owners() if key.user_id == harness.user and key.left_at]
    for number in range(too_many):
        harness.set_strategy(user=f"{harness.user}-{number}", autopilot=False)


def test_keys_of_too_many_users_are_not_deleted_at_once(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture, too_many: int
) -> None:
    gone = [f"{harness.user}-{number}" for number in range(too_many)]
    for user in gone:
        store_key(harness, user)
        harness.context.clients.record_departure(user, "binance", harness.now)
    client = cognito(harness)
    client.users = {user: True for user in client.users if user not in gone}
    harness.now += KEY_KEPT_S
    assert look_after_leavers(harness.context, client.pool) == Leavers(0, 0)
    assert "users_missing" in alarms(caplog)
    assert set(gone) <= {key.user_id for key in harness.context.clients.key_owners()}
    store_key(harness, gone.pop())
    assert look_after_leavers(harness.context, client.pool).keys_deleted == too_many - 1


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


def test_all_users_are_told_page_by_page_and_which_are_disabled(pool: tuple[UserPool, list[str]]) -> None:
    users, subjects = pool
    assert users.list_users() == {subject: number > 0 for number, subject in enumerate(subjects)}


def test_one_user_is_asked_for_alone(pool: tuple[UserPool, list[str]]) -> None:
    users, subjects = pool
    assert [users.is_enabled(subject) for subject in (subjects[0], subjects[-1], "nobody")] == [False, True, False]
