"""What a user does is in the trail, by whom, before and after, as which request, and never with a secret."""

from typing import Any

from tests.integration.http_api.client import (
    AUTOPILOT,
    CREDENTIALS,
    EXECUTE,
    GOOD_STRATEGY,
    ORDERS,
    STOP,
    STRATEGY,
    Client,
    key_body,
    newcomer,
    problem,
    trader,
)
from workbench.local.stack import Stack

ACTIVITY = "/api/me/activity/"


def read_trail(client: Client) -> list[dict[str, Any]]:
    """Oldest first."""
    answer = client.get(ACTIVITY)
    assert answer.ok, answer.text
    assert "secret-of" not in answer.text
    told: list[dict[str, Any]] = list(reversed(answer.json()["activity"]))
    return told


def test_everything_that_a_user_changes_is_told(stack: Stack) -> None:
    user = trader(stack)
    user.put(STRATEGY, GOOD_STRATEGY | {"order_size_pct": "3"})
    user.post(EXECUTE)
    user.delete(ORDERS)
    user.put(AUTOPILOT, {"enabled": True})
    stopped = user.post(STOP)
    user.put(CREDENTIALS, key_body(user))
    user.delete(CREDENTIALS)
    told = read_trail(user)
    # Those of the same second come in any order.
    assert sorted(one["action"] for one in told) == sorted(
        [
            "credentials.stored",
            "strategy.created",
            "strategy.changed",
            "orders.placed",
            "orders.canceled",
            "autopilot.enabled",
            "trading.stopped",
            "credentials.replaced",
            "credentials.deleted",
        ]
    )
    by_action = {one["action"]: one for one in told}
    assert {one["actor"] for one in told} == {"user"}
    assert by_action["strategy.changed"]["before"] == {"order_size_pct": "2"}
    assert by_action["strategy.changed"]["after"] == {"order_size_pct": "3"}
    assert by_action["trading.stopped"]["before"]["autopilot_enabled"] is True
    assert by_action["trading.stopped"]["after"]["autopilot_enabled"] is False
    assert by_action["trading.stopped"]["request_id"] == stopped.headers["X-Request-Id"]
    assert by_action["credentials.stored"]["after"] == {"hint": key_body(user)["api_key"][-4:]}


def test_a_refused_key_is_its_sender_s_fault_and_is_told(stack: Stack) -> None:
    user = newcomer(stack)
    document = problem(
        user.put(CREDENTIALS, {"api_key": "nonsense-nonsense", "secret": "secret-of-nobody"}),
        422,
        "exchange_key_refused",
    )
    assert "Error" not in document["detail"].replace("Invalid", "")
    (told,) = read_trail(user)
    assert (told["action"], told["subject"]) == ("credentials.refused", "binance")


def test_a_key_that_another_user_has_is_refused_and_told_to_whoever_tried(stack: Stack) -> None:
    owner = trader(stack)
    user = newcomer(stack)
    document = problem(user.put(CREDENTIALS, key_body(owner)), 409, "key_in_use")
    assert str(owner.token) not in document["detail"]
    (told,) = read_trail(user)
    assert (told["action"], told["reason"].partition(":")[0]) == ("credentials.refused", "key_in_use")
    assert key_body(owner)["api_key"][-4:] not in user.get(CREDENTIALS).text


def test_one_user_s_trail_is_nobody_else_s(stack: Stack) -> None:
    trader(stack)
    assert read_trail(newcomer(stack)) == []
