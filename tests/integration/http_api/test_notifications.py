"""Where and what an owner is told, over HTTP: stored, never shown, refused where it could not work."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.running import running_webhook
from tests.integration.http_api.client import Client, newcomer, problem
from workbench.local.stack import Stack

NOTIFICATIONS = "/api/me/notifications/"
TEST = f"{NOTIFICATIONS}test/"
DELIVERIES = f"{NOTIFICATIONS}deliveries/"
TOKEN = "123456789:AAbbCCddEEffGGhhIIjjKKllMMnnOOppQQr"


@pytest.fixture
def received() -> Iterator[tuple[str, list[str]]]:
    """The URL of a webhook on this machine, and the paths at which it was called."""
    paths: list[str] = []

    with running_webhook(lambda path, _headers, _body: paths.append(path)) as url:
        yield url, paths


def put(user: Client, **body: Any) -> dict[str, Any]:
    answer = user.put(NOTIFICATIONS, body)
    assert answer.ok, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_before_anything_is_set_up_the_defaults_are_shown_and_nobody_is_told(stack: Stack) -> None:
    user = newcomer(stack)
    shown = user.get(NOTIFICATIONS).json()
    assert shown["channels"] == []
    assert (shown["trouble"], shown["changes"], shown["fills"], shown["digest"]) == ("loud", "silent", "off", "silent")
    assert shown["available"] == ["telegram", "discord", "slack", "webhook"]
    problem(user.post(TEST), 409, "no_channel")


def test_a_channel_is_stored_kept_and_forgotten_and_its_secrets_are_never_shown(
    stack: Stack, received: tuple[str, list[str]]
) -> None:
    user, (url, paths) = newcomer(stack), received
    channels = {"webhook": {"url": f"{url}/SECRETPATH"}, "telegram": {"bot_token": TOKEN, "chat_id": "47"}}
    made = put(user, channels=channels, changes="off")  # so that nothing is sent to Telegram
    assert made["signing_secret"].startswith("whsec_")
    assert {one["channel"] for one in made["channels"]} == {"webhook", "telegram"}
    kept = put(user, channels={"webhook": {}}, fills="silent", time_zone="Europe/Berlin", quiet_from=22, quiet_until=7)
    assert kept["signing_secret"] is None
    assert [one["channel"] for one in kept["channels"]] == ["webhook"]
    for path in (NOTIFICATIONS, "/api/me/activity/", DELIVERIES, "/api/me/overview/"):
        text = user.get(path).text
        assert not [secret for secret in ("SECRETPATH", TOKEN, "whsec_") if secret in text], path
    assert user.post(TEST).json()["deliveries"][0]["state"] == "waiting"
    assert "/SECRETPATH" in paths
    latest = user.get(DELIVERIES).json()["deliveries"][0]
    assert (latest["kind"], latest["state"], latest["title"]) == ("test", "sent", "[SIMULATED] This is a test")
    assert user.get(NOTIFICATIONS).json()["channels"][0]["last_sent_at"] is not None
    assert user.delete(NOTIFICATIONS).json()["channels"] == []
    actions = [one["action"] for one in user.get("/api/me/activity/").json()["activity"]]
    assert sorted(actions) == ["notifications.changed", "notifications.changed", "notifications.deleted"]


def test_pages_of_deliveries_follow_each_other(stack: Stack, received: tuple[str, list[str]]) -> None:
    user, (url, _) = newcomer(stack), received
    put(user, channels={"webhook": {"url": url}}, changes="off")
    for _ in range(3):
        user.post(TEST)
    first = user.get(f"{DELIVERIES}?limit=2").json()
    rest = user.get(f"{DELIVERIES}?limit=2&cursor={first['cursor']}").json()
    assert (len(first["deliveries"]), len(rest["deliveries"])) == (2, 1)
    assert len({one["message_id"] for one in first["deliveries"] + rest["deliveries"]}) == 3
    problem(user.get(f"{DELIVERIES}?cursor=nonsense"), 422, "invalid_cursor")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"channels": {"telegram": {}}}, "channel_incomplete"),
        ({"channels": {"telegram": {"bot_token": TOKEN}}}, "channel_incomplete"),
        ({"channels": {"telegram": {"bot_token": "../x", "chat_id": "1"}}}, "invalid_request"),
        ({"channels": {"discord": {"url": "https://example.com/api/webhooks/1"}}}, "invalid_url"),
        ({"channels": {"slack": {"url": "https://hooks.slack.com.example.com/x"}}}, "invalid_url"),
        ({"channels": {"slack": {"url": "https://hooks.slack.com@example.com/x"}}}, "invalid_url"),
        ({"channels": {"webhook": {"url": "http://example.com/"}}}, "invalid_url"),
        ({"channels": {"webhook": {"url": "https://user:word@example.com/"}}}, "invalid_url"),
        ({"channels": {"webhook": {"url": "https://example.com/", "secret": "short"}}}, "invalid_request"),
        ({"channels": {"email": {"address": "somebody@example.com"}}}, "email_not_set_up"),
        ({"channels": {"pager": {}}}, "invalid_request"),
        ({"channels": {}, "time_zone": "Europe/Nowhere"}, "invalid_request"),
        ({"channels": {}, "time_zone": "../../etc/passwd"}, "invalid_request"),
        ({"channels": {}, "quiet_from": 7}, "invalid_request"),
        ({"channels": {}, "quiet_from": 7, "quiet_until": 7}, "invalid_request"),
        ({"channels": {}, "digest_hour": 24}, "invalid_request"),
        ({"channels": {}, "trouble": "very loud"}, "invalid_request"),
    ],
)
def test_what_could_not_work_is_refused_and_nothing_is_stored(stack: Stack, body: dict[str, Any], code: str) -> None:
    user = newcomer(stack)
    problem(user.put(NOTIFICATIONS, body), 422, code)
    assert user.get(NOTIFICATIONS).json()["channels"] == []
    assert user.get("/api/me/activity/").json()["activity"] == []


def test_the_overview_says_nothing_of_it_where_no_real_money_is_traded(stack: Stack) -> None:
    assert newcomer(stack).get("/api/me/overview/").json()["nobody_told"] is False
