"""Each of the five channels, against a stand-in that repeats nothing, limits, fails for a day or leads elsewhere."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botbalance.models.activity import ActivityKind
from botbalance.models.notification import Channel, DeliveryState
from standardwebhooks.webhooks import Webhook

from tests.integration.notifications.conftest import BOT_TOKEN, START, World

DAY_S = 86_400
CHANNELS = list(Channel)
CHATS = [channel for channel in Channel if channel is not Channel.WEBHOOK]


def lost_order(world: World) -> Any:
    return world.happens(
        ActivityKind.INCIDENT_OPENED, subject="order_lost:1", reason="order 1 <@everyone> is lost & gone"
    )


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_message_arrives_once_however_often_the_stream_and_the_queue_repeat_it(
    world: World, channel: Channel
) -> None:
    world.set_up(channel)
    opened = lost_order(world)
    for _ in range(3):
        world.stream(opened, opened)
        world.deliver(times=3)
    world.stream(opened)
    world.deliver()
    world.go_on(4 * DAY_S)
    assert len(world.stand_in.received) == 1
    assert world.states() == [(channel, DeliveryState.SENT)]
    assert world.deliveries()[0].attempts == 1


def test_what_each_channel_is_sent(world: World) -> None:
    secret = world.set_up(*CHANNELS)
    world.tell(lost_order(world))
    sent = {path: (headers, json.loads(body)) for path, headers, body in world.stand_in.received}
    title, reason = "What became of an order cannot be told", "order 1 <@everyone> is lost & gone"
    assert sent[f"/bot{BOT_TOKEN}/sendMessage"][1] == {
        "chat_id": "4711",
        "text": f"{title}\n{reason}",
        "disable_notification": False,
        "link_preview_options": {"is_disabled": True},
    }
    assert sent["/discord"][1] == {"content": f"{title}\n{reason}", "allowed_mentions": {"parse": []}}
    assert sent["/slack"][1] == {"text": f"{title}\norder 1 &lt;@everyone&gt; is lost &amp; gone"}
    mail = sent["/v2/email/outbound-emails"][1]
    assert mail["Destination"] == {"ToAddresses": ["alice@example.com"]}
    assert mail["FromEmailAddress"] == "bot@example.com"
    assert mail["Content"]["Simple"]["Subject"]["Data"] == f"BotBalance: {title}"
    headers, body = sent["/webhook"]
    assert body["type"] == "order_lost.opened"
    assert body["timestamp"] == datetime.fromtimestamp(START, UTC).isoformat()
    assert body["data"]["incident"] == "order_lost:1"
    assert headers["webhook-timestamp"] == str(START)
    assert secret is not None
    raw = next(body for path, _, body in world.stand_in.received if path == "/webhook")
    signed = Webhook(secret).sign(headers["webhook-id"], datetime.fromtimestamp(START, UTC), raw)
    assert headers["webhook-signature"] == signed


def test_what_is_silent_makes_no_sound_where_a_channel_can_do_without(world: World) -> None:
    world.set_up(Channel.TELEGRAM, Channel.DISCORD)
    world.tell(world.happens(ActivityKind.STRATEGY_CHANGED, actor="user", before={"a": "1"}, after={"a": "2"}))
    telegram, discord = sorted(world.stand_in.bodies(), key=lambda body: "content" in body)
    assert telegram["disable_notification"] is True
    assert discord["flags"] == 4096


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_limit_is_kept_for_as_long_as_the_channel_says(world: World, channel: Channel) -> None:
    world.set_up(channel)
    body = '{"ok": false, "parameters": {"retry_after": 90}, "retry_after": 90}'
    headers = {} if channel in {Channel.TELEGRAM, Channel.DISCORD} else {"Retry-After": "90"}
    world.stand_in.answers = [(429, headers, body)]
    world.tell(lost_order(world))
    asked = len(world.stand_in.received)
    (waiting,) = world.deliveries()
    assert (waiting.state, waiting.error is not None) == (DeliveryState.WAITING, True)
    world.go_on(29)
    assert len(world.stand_in.received) == asked
    world.go_on(120)
    assert world.states() == [(channel, DeliveryState.SENT)]
    if channel is not Channel.EMAIL:
        assert world.deliveries()[0].settled_at == START + 91
        assert world.deliveries()[0].retries == 0, "a limit is no failure"


@pytest.mark.parametrize("channel", CHANNELS)
def test_after_a_day_of_errors_the_message_arrives_once(world: World, channel: Channel) -> None:
    world.set_up(channel)
    world.stand_in.then = (500, {}, "{}")
    world.tell(lost_order(world))
    world.go_on(DAY_S)
    during = len(world.stand_in.received)
    assert 5 <= during <= 20
    world.stand_in.then = (200, {}, '{"ok": true}')
    world.go_on(DAY_S)
    assert len(world.stand_in.received) == during + 1
    assert world.states() == [(channel, DeliveryState.SENT)]
    stored = world.context.table.find("alice")
    assert stored is not None
    assert stored.channel_health(channel).off_reason is None
    assert stored.channel_health(channel).failing_since is None


@pytest.mark.parametrize("channel", CHANNELS)
def test_after_three_days_of_errors_it_is_named_as_failed_and_the_channel_goes_off(
    world: World, channel: Channel
) -> None:
    world.set_up(channel)
    world.stand_in.then = (503, {}, "{}")
    world.tell(lost_order(world))
    world.go_on(4 * DAY_S)
    (failed,) = world.deliveries()
    assert failed.state is DeliveryState.FAILED
    assert failed.settled_at is not None
    assert failed.settled_at - START <= 3 * DAY_S
    asked = len(world.stand_in.received)
    stored = world.context.table.find("alice")
    assert stored is not None
    assert "three days" in str(stored.channel_health(channel).off_reason)
    assert not stored.tells_trouble
    world.tell(world.happens(ActivityKind.INCIDENT_OPENED, subject="no_decision:", reason="nothing"))
    assert len(world.stand_in.received) == asked
    assert [one.state for one in world.deliveries()] == [DeliveryState.FAILED] * 2
    assert "the channel is off" in str(world.deliveries()[-1].error)


@pytest.mark.parametrize("channel", CHATS[:3])
@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_channel_that_is_gone_goes_off_at_once(world: World, channel: Channel, status: int) -> None:
    world.set_up(channel)
    world.stand_in.then = (status, {}, "{}")
    world.tell(lost_order(world))
    assert world.states() == [(channel, DeliveryState.FAILED)]
    stored = world.context.table.find("alice")
    assert stored is not None
    assert str(status) in str(stored.channel_health(channel).off_reason)


def test_a_webhook_goes_off_at_410_and_at_nothing_else(world: World) -> None:
    world.set_up(Channel.WEBHOOK)
    world.stand_in.answers = [(404, {}, ""), (410, {}, "")]
    world.tell(lost_order(world))
    assert world.states() == [(Channel.WEBHOOK, DeliveryState.WAITING)]
    world.go_on(60)
    assert world.states() == [(Channel.WEBHOOK, DeliveryState.FAILED)]
    stored = world.context.table.find("alice")
    assert stored is not None
    assert not stored.tells_trouble


@pytest.mark.parametrize("channel", [Channel.TELEGRAM, Channel.DISCORD, Channel.SLACK, Channel.WEBHOOK])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed_wherever_it_leads(world: World, channel: Channel, status: int) -> None:
    world.set_up(channel)
    world.stand_in.then = (status, {"Location": f"{world.stand_in.url}/latest/meta-data/"}, "")
    world.tell(lost_order(world))
    world.go_on(DAY_S)
    assert [path for path, _, _ in world.stand_in.received if "meta-data" in path] == []
    assert len(world.stand_in.received) == 1
    (failed,) = world.deliveries()
    assert failed.state is DeliveryState.FAILED
    assert "redirects are not followed" in str(failed.error)


@pytest.mark.parametrize("channel", CHATS)
def test_what_may_have_arrived_is_not_sent_again_and_named(world: World, channel: Channel) -> None:
    world.set_up(channel)
    world.stand_in.answers = [(0, {}, "")]
    world.tell(lost_order(world))
    world.go_on(4 * DAY_S)
    assert len(world.stand_in.received) == 1
    (unknown,) = world.deliveries()
    assert unknown.state is DeliveryState.UNKNOWN
    assert "did not answer" in str(unknown.error)


def test_a_webhook_that_may_have_arrived_is_sent_again_under_its_own_id(world: World) -> None:
    world.set_up(Channel.WEBHOOK)
    world.stand_in.answers = [(0, {}, "")]
    world.tell(lost_order(world))
    world.go_on(DAY_S)
    first, second = (headers for _, headers, _ in world.stand_in.received)
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-timestamp"] != second["webhook-timestamp"]
    assert world.states() == [(Channel.WEBHOOK, DeliveryState.SENT)]


def test_a_sender_that_is_killed_leaves_a_message_that_is_named_and_not_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.set_up(Channel.TELEGRAM)
    world.stream(lost_order(world))

    class KilledError(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("botbalance.notifications.senders.post", killed)
        with pytest.raises(KilledError):
            world.deliver()
    world.go_on(DAY_S)
    assert world.stand_in.received == []
    (one,) = world.deliveries()
    assert one.state is DeliveryState.UNKNOWN
    assert "interrupted" in str(one.error)


def test_nothing_that_is_logged_or_stored_in_the_clear_shows_an_address(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="botbalance"):
        world.set_up(*CHANNELS)
        for answer in ((500, {}, ""), (429, {}, ""), (302, {"Location": "http://10.0.0.1"}, ""), (403, {}, "no")):
            world.stand_in.then = answer
            world.tell(world.happens(ActivityKind.INCIDENT_OPENED, subject=f"doubt:{answer[0]}", reason="x"))
    tables = world.services.dynamodb
    items = "".join(
        str(tables.scan(TableName=name)["Items"]) for field, name in world.services.settings if field.endswith("_table")
    )
    said = "\n".join(str(record.__dict__) for record in caplog.records if record.name == "botbalance")
    assert said
    for secret in (BOT_TOKEN, BOT_TOKEN.partition(":")[2], "/discord", "/slack", "alice@example.com", "whsec_"):
        assert secret not in items, secret
        assert secret not in said, secret


def test_the_settings_of_another_user_decrypt_nothing(world: World) -> None:
    world.set_up(Channel.TELEGRAM)
    world.set_up(Channel.TELEGRAM, user_id="mallory")
    table = world.context.table
    stored = table.find("alice")
    assert stored is not None
    with pytest.raises(Exception, match="key service"):
        table.decrypt("mallory", Channel.TELEGRAM, stored.secrets[Channel.TELEGRAM])
    with pytest.raises(Exception, match="key service"):
        table.decrypt("alice", Channel.SLACK, stored.secrets[Channel.TELEGRAM])


def test_a_function_sees_no_more_of_aws_than_the_vendor_layer_has() -> None:
    makefile = (Path(__file__).parents[3] / "layers/vendor/Makefile").read_text()
    assert "SERVICES := cognito-idp dynamodb kms sesv2 sqs sts" in makefile
