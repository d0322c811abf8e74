"""The check before the autopilot, the switch that stops everything, and the operator's for everybody."""

from contextlib import closing
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botbalance import bootstrap
from botbalance.store.operator import HALT_SETTING
from botbalance.trading.session import open_session

from tests.integration.http_api.client import (
    AUTOPILOT,
    CHECK,
    CREDENTIALS,
    DECISIONS,
    EXECUTE,
    GOOD_STRATEGY,
    ORDERS,
    STOP,
    STRATEGY,
    Client,
    exchange_account,
    key_body,
    newcomer,
    problem,
    trader,
)
from workbench.local.stack import Stack


def check_items(client: Client) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in client.get(CHECK).json()["items"]}


def halt(reason: str | None) -> None:
    """As the operator does; None goes on."""
    settings = bootstrap.services().settings
    key = {"setting": {"S": HALT_SETTING}}
    with closing(boto3.client("dynamodb", endpoint_url=settings.dynamodb_endpoint)) as client:
        if reason is None:
            client.delete_item(TableName=settings.operator_table, Key=key)
        else:
            client.put_item(TableName=settings.operator_table, Item={**key, "reason": {"S": reason}})


# the check


def test_an_account_in_order_is_ready(user: Client) -> None:
    check = user.get(CHECK).json()
    assert check["ready"] is True
    items = check_items(user)
    assert list(items) == [
        "account",
        "key_trades",
        "key_withdraws",
        "key_addresses",
        "clock",
        "fees",
        "order_types",
        "markets",
        "sizes",
        "balances",
        "lost_orders",
        "refusals",
        "egress_address",
    ]
    assert {name for name, item in items.items() if item["verdict"] == "pass"} >= {
        "account",
        "key_trades",
        "key_withdraws",
        "clock",
        "fees",
        "order_types",
        "markets",
        "balances",
    }
    assert "0.1 %" in items["fees"]["found"]
    assert all((item["remedy"] is None) is (item["verdict"] in {"pass", "unknown"}) for item in items.values())


def test_without_a_key_the_one_item_says_so(stack: Stack) -> None:
    user = newcomer(stack)
    problem(user.get(CHECK), 404, "strategy_not_found")
    user.put(STRATEGY, GOOD_STRATEGY)
    check = user.get(CHECK).json()
    assert (check["ready"], [item["verdict"] for item in check["items"]]) == (False, ["fail"])
    assert "PUT exchange/credentials/" in check["items"][0]["found"]


def test_a_key_that_may_withdraw_by_now_keeps_the_autopilot_off(stack: Stack) -> None:
    user = trader(stack)
    exchange_account(stack, user).can_withdraw = True
    item = check_items(user)["key_withdraws"]
    assert (item["verdict"], item["found"]) == ("fail", "the key may withdraw")
    document = problem(user.put(AUTOPILOT, {"enabled": True}), 409, "check_failed")
    assert "key_withdraws: the key may withdraw: forbid that" in document["detail"]
    assert user.get(STRATEGY).json()["autopilot_enabled"] is False
    exchange_account(stack, user).can_withdraw = False
    assert user.put(AUTOPILOT, {"enabled": True}).ok


def test_a_key_that_may_not_trade_is_not_even_stored(stack: Stack) -> None:
    user = newcomer(stack)
    key = key_body(user)
    stack.books.open_account(key["api_key"], key["secret"], {"USDT": Decimal(1)})
    exchange_account(stack, user).can_trade = False
    problem(user.put(CREDENTIALS, key), 422, "key_may_not_trade")
    assert user.get(CREDENTIALS).json() == {"credentials": []}


def test_a_key_bound_to_addresses_passes(stack: Stack, user: Client) -> None:
    assert check_items(user)["key_addresses"]["verdict"] == "warn"
    exchange_account(stack, user).ip_restricted = True
    assert check_items(user)["key_addresses"]["verdict"] == "pass"


def test_fees_above_the_step_are_said(user: Client) -> None:
    user.patch(STRATEGY, {"order_step_pct": "0.05"})
    item = check_items(user)["fees"]
    assert item["verdict"] == "warn"
    assert "raise order_step_pct, which is 0.05" in item["remedy"]


def test_what_is_left_alone_and_what_others_placed_is_said(stack: Stack) -> None:
    user = trader(stack, {"USDT": Decimal(10_000), "BNB": Decimal(3)})
    found = check_items(user)["balances"]
    assert (found["verdict"], "BNB" in found["found"]) == ("warn", True)


# how a strategy fits, said when it is saved


def test_a_size_below_the_minimum_is_said_with_the_smallest_that_works(user: Client) -> None:
    small = {"order_size_pct": "0.01", "min_delta_quote": "10", "min_delta_pct": "1"}
    refused = problem(user.patch(STRATEGY, small), 422, "invalid_strategy")
    least = refused["expected"].split()[0]
    saved = user.patch(STRATEGY, small | {"order_size_pct": least}).json()
    warnings = {warning["assets"][0]: warning for warning in saved["warnings"] if warning["code"] == "never_trades"}
    assert 0 < len(warnings) < len({"BTC", "ETH", "SOL"})
    smallest = max(Decimal(warning["smallest_order_size_pct"]) for warning in warnings.values())
    resized = user.patch(STRATEGY, {"order_size_pct": str(smallest)}).json()
    assert [warning["code"] for warning in resized["warnings"]] == []


def test_a_step_beyond_the_price_band_is_said(stack: Stack, user: Client) -> None:
    del stack
    saved = user.patch(STRATEGY, {"order_step_pct": "50"}).json()
    warned = {asset for w in saved["warnings"] if w["code"] == "outside_price_limits" for asset in w["assets"]}
    held = {
        row["asset"] for row in user.get(f"{STRATEGY}plan/").json()["assets"] if row["hold"] == "outside_price_limits"
    }
    assert held <= warned


def test_without_a_key_it_is_saved_and_said_that_nobody_could_tell(stack: Stack) -> None:
    saved = newcomer(stack).put(STRATEGY, GOOD_STRATEGY).json()
    assert saved["warnings"] == []
    assert "no key for binance" in saved["not_checked"]


# stop


def test_one_call_switches_the_autopilot_off_and_cancels_what_rests(stack: Stack, user: Client) -> None:
    user.put(AUTOPILOT, {"enabled": True})
    stack.tick()
    assert len(stack.books.open_orders(key_body(user)["api_key"])) == 3
    stopped = user.post(STOP).json()
    assert stopped["autopilot_enabled"] is False
    assert {order["status"] for order in stopped["orders"]} == {"CANCELED"}
    assert len(stopped["orders"]) == 3
    assert stack.books.open_orders(key_body(user)["api_key"]) == []
    assert user.get(STRATEGY).json()["autopilot_enabled"] is False
    assert user.post(STOP).json() == {"autopilot_enabled": False, "orders": [], "not_canceled": []}
    stack.tick()
    assert stack.books.open_orders(key_body(user)["api_key"]) == []


def test_whoever_has_nothing_may_stop_it_too(stack: Stack) -> None:
    assert newcomer(stack).post(STOP).json() == {"autopilot_enabled": False, "orders": [], "not_canceled": []}


# the operator


@pytest.fixture
def halted() -> Any:
    """A way to halt, which is taken back."""
    yield halt
    halt(None)


def test_the_operator_stops_everybody_within_one_tick(stack: Stack, halted: Any) -> None:
    by_itself, by_hand = trader(stack), trader(stack)
    by_itself.put(AUTOPILOT, {"enabled": True})
    stack.tick()
    by_hand.post(EXECUTE)
    for user in (by_itself, by_hand):
        assert len(stack.books.open_orders(key_body(user)["api_key"])) == 3

    halted("the exchange behaves oddly")
    plan = by_hand.get(f"{STRATEGY}plan/").json()
    assert (plan["can_execute"], plan["halted"]) == (False, "the exchange behaves oddly")
    for refused in (by_hand.post(EXECUTE), by_hand.put(AUTOPILOT, {"enabled": True})):
        document = problem(refused, 409, "trading_halted")
        assert "the exchange behaves oddly" in document["detail"]
    stack.tick()
    for user in (by_itself, by_hand):
        assert stack.books.open_orders(key_body(user)["api_key"]) == []
        orders = user.get(ORDERS).json()["orders"]
        assert {(order["status"], order["reason"]) for order in orders} == {("CANCELED", "trading_halted")}
    decision = by_itself.get(DECISIONS).json()["decisions"][0]
    assert (decision["outcome"], decision["placed"]) == ("skipped", [])
    assert "the exchange behaves oddly" in decision["reason"]
    assert set(decision["canceled"].values()) == {"trading_halted"}
    assert by_itself.get(STRATEGY).json()["autopilot_enabled"] is True, "its owner's wish is not touched"

    halt(None)
    stack.tick()
    assert len(stack.books.open_orders(key_body(by_itself)["api_key"])) == 3
    assert stack.books.open_orders(key_body(by_hand)["api_key"]) == []
    assert by_hand.post(EXECUTE).ok
    by_itself.post(STOP)


# keys are changed only between runs


def test_a_key_of_another_account_does_not_replace_one_whose_orders_rest(stack: Stack, user: Client) -> None:
    user.post(EXECUTE)
    stack.books.open_account(f"other-{user.token}", "its secret", {"USDT": Decimal(5)})
    other = {"api_key": f"other-{user.token}", "secret": "its secret"}
    document = problem(user.put(CREDENTIALS, other), 409, "orders_resting")
    assert "another account" in document["detail"]
    assert user.put(CREDENTIALS, key_body(user)).ok, "one of the same account does"
    user.delete(ORDERS)
    assert user.put(CREDENTIALS, other).ok


def test_keys_wait_for_the_run_that_works_on_the_account(stack: Stack, user: Client) -> None:
    del stack
    services = bootstrap.services()
    with open_session(services.context, str(user.token)):
        problem(user.put(CREDENTIALS, key_body(user)), 409, "account_busy")
        problem(user.delete(CREDENTIALS), 409, "account_busy")
    assert user.put(CREDENTIALS, key_body(user)).ok
