"""Settings, incidents and deliveries on every engine: each written once, over the revision that was read, and found
when it is due."""

from typing import TYPE_CHECKING

import pytest
from botbalance.errors import InvalidRequestError, TransientError
from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.notification import (
    Channel,
    ChannelHealth,
    Delivery,
    DeliveryState,
    NotificationSettings,
    Volume,
)
from botbalance.store.activity import ActivityTable
from botbalance.store.notifications import (
    MOST_REMEMBERED,
    SETTINGS,
    Due,
    IncidentHistory,
    NotificationsTable,
)

from tests.unit.store.conftest import NOW, MakeTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient


@pytest.fixture
def notifications(dynamodb: "DynamoDBClient", table: MakeTable, kms: "KMSClient", key_id: str) -> NotificationsTable:
    return NotificationsTable(dynamodb, table("NotificationsTable"), kms, key_id)


def settings(*channels: Channel, user_id: str = "alice") -> NotificationSettings:
    return NotificationSettings(
        user_id=user_id, channels=dict.fromkeys(channels, "…1234"), quiet_from=22, quiet_until=7
    )


def delivery(number: int = 1, user_id: str = "alice", due_at: int | None = NOW) -> Delivery:
    return Delivery(
        user_id=user_id,
        message_id=f"{(NOW + number) * 1000:013d}#fills",
        channel=Channel.WEBHOOK,
        kind="fills",
        title="Filled",
        text="0.1 BTC — “bought” 🙂",
        volume=Volume.SILENT,
        created_at=NOW,
        due_at=due_at,
    )


# settings


def test_settings_are_found_as_they_were_written_and_only_their_owner_s(notifications: NotificationsTable) -> None:
    wanted = settings(Channel.TELEGRAM, Channel.EMAIL)
    secrets = {channel: notifications.encrypt("alice", channel, {"token": channel}) for channel in wanted.channels}
    notifications.save(wanted, secrets, NOW)
    found = notifications.find("alice")
    assert found is not None
    assert (found.settings, found.secrets, found.health, found.next_digest_at) == (wanted, secrets, {}, NOW)
    assert notifications.decrypt("alice", Channel.EMAIL, found.secrets[Channel.EMAIL]) == {"token": "email"}
    assert notifications.find_many(["bob", "alice", "alice"]) == {"alice": found}
    assert notifications.find("bob") is None


@pytest.mark.parametrize(("user_id", "channel"), [("bob", Channel.EMAIL), ("alice", Channel.SLACK)])
def test_a_secret_is_bound_to_its_user_and_channel(
    notifications: NotificationsTable, user_id: str, channel: Channel
) -> None:
    ciphertext = notifications.encrypt("alice", Channel.EMAIL, {"address": "alice@example.com"})
    with pytest.raises(TransientError):
        notifications.decrypt(user_id, channel, ciphertext)


def test_a_channel_that_is_left_out_is_forgotten_and_one_with_a_new_secret_starts_anew(
    notifications: NotificationsTable,
) -> None:
    both = settings(Channel.SLACK, Channel.DISCORD)
    notifications.save(both, {Channel.SLACK: b"1", Channel.DISCORD: b"2"}, None)
    for channel in both.channels:
        notifications.save_health("alice", channel, ChannelHealth(off_reason="it is gone"))
    notifications.save(settings(Channel.SLACK), {}, NOW)
    found = notifications.find("alice")
    assert found is not None
    assert (found.secrets, set(found.health)) == ({Channel.SLACK: b"1"}, {Channel.SLACK})
    notifications.save(both, {Channel.SLACK: b"3", Channel.DISCORD: b"4"}, None)
    found = notifications.find("alice")
    assert found is not None
    assert (found.secrets, found.health, found.next_digest_at) == (
        {Channel.SLACK: b"3", Channel.DISCORD: b"4"},
        {},
        None,
    )


def test_how_a_channel_does_is_kept_only_while_it_is_there(notifications: NotificationsTable) -> None:
    notifications.save_health("alice", Channel.SLACK, ChannelHealth(last_sent_at=NOW))
    assert notifications.find("alice") is None
    notifications.save(settings(Channel.SLACK), {Channel.SLACK: b"1"}, None)
    notifications.save_health("alice", Channel.SLACK, ChannelHealth(last_sent_at=NOW))
    notifications.save_health("alice", Channel.EMAIL, ChannelHealth(last_sent_at=NOW))
    found = notifications.find("alice")
    assert found is not None
    assert found.health == {Channel.SLACK: ChannelHealth(last_sent_at=NOW)}


def test_settings_and_what_is_told_of_them_are_written_together(
    notifications: NotificationsTable, activities: ActivityTable
) -> None:
    told = Activity.at(NOW, "alice", ActivityKind.NOTIFICATIONS_CHANGED)
    notifications.save(settings(), {}, None, activities.transact_put(told))
    assert notifications.delete("alice", activities.transact_put(Activity.at(NOW + 1, "alice", told.action)))
    assert notifications.find("alice") is None
    assert not notifications.delete("alice", activities.transact_put(Activity.at(NOW + 2, "alice", told.action)))
    assert [activity.occurred_at for activity in activities.page("alice", limit=10).items] == [NOW + 1, NOW]


# incidents


def test_an_incident_is_written_over_what_was_read_and_its_latest_is_kept(notifications: NotificationsTable) -> None:
    assert notifications.incident("alice", "order_unknown#1") == IncidentHistory()
    heard = [Activity.at(NOW + number, "alice", ActivityKind.TRADING_PAUSED) for number in range(MOST_REMEMBERED + 1)]
    history = IncidentHistory(activities=heard)
    assert notifications.save_incident("alice", "order_unknown#1", history, NOW)
    assert not notifications.save_incident("alice", "order_unknown#1", history, NOW)
    found = notifications.incident("alice", "order_unknown#1")
    assert found == IncidentHistory(activities=heard[1:], revision=1)
    assert notifications.save_incident("alice", "order_unknown#1", found, NOW)
    assert notifications.incident("alice", "order_unknown#2") == IncidentHistory()


# deliveries


def test_a_message_that_is_made_again_is_no_second_delivery(notifications: NotificationsTable) -> None:
    assert notifications.create(delivery())
    assert not notifications.create(delivery())
    assert notifications.find_delivery("alice", delivery().delivery_id) == delivery()
    assert notifications.find_delivery("bob", delivery().delivery_id) is None


def test_of_two_who_would_send_a_message_one_may(notifications: NotificationsTable) -> None:
    sending = delivery().model_copy(update={"state": DeliveryState.SENDING})
    assert notifications.replace(sending) is None  # it was never made
    notifications.create(delivery())
    updated = notifications.replace(sending)
    assert updated == sending.model_copy(update={"revision": 1})
    assert notifications.replace(sending) is None
    assert notifications.find_delivery("alice", sending.delivery_id) == updated


def test_deliveries_go_back_in_time_by_pages(notifications: NotificationsTable) -> None:
    notifications.save(settings(Channel.WEBHOOK), {Channel.WEBHOOK: b"1"}, NOW)
    for number in range(3):
        notifications.create(delivery(number))
    notifications.create(delivery(9, "bob"))
    first = notifications.deliveries("alice", limit=2)
    assert first.items == [delivery(2), delivery(1)]
    rest = notifications.deliveries("alice", limit=2, cursor=first.cursor)
    assert (rest.items, rest.cursor) == ([delivery(0)], None)
    with pytest.raises(InvalidRequestError):
        notifications.deliveries("alice", limit=2, cursor="bm9uZQ")


def test_what_is_due_is_found_until_it_is_settled(notifications: NotificationsTable) -> None:
    notifications.save(settings(Channel.WEBHOOK, user_id="bob"), {}, NOW)
    notifications.create(delivery(1))
    notifications.create(delivery(2, due_at=NOW + 1))
    notifications.create(delivery(3, due_at=None))
    bob_s, alice_s = Due("bob", SETTINGS), Due("alice", delivery(1).delivery_id)
    assert sorted(notifications.due(NOW)) == [alice_s, bob_s]
    notifications.replace(delivery(1).model_copy(update={"due_at": None, "state": DeliveryState.SENT}))
    assert list(notifications.due(NOW)) == [bob_s]
    assert notifications.postpone_digest("bob", NOW, NOW + 86_400)
    assert not notifications.postpone_digest("bob", NOW, NOW + 86_400)
    assert list(notifications.due(NOW)) == []
    assert sorted(notifications.due(NOW + 86_400)) == [Due("alice", delivery(2).delivery_id), bob_s]
