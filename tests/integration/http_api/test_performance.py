"""What was earned against having held: exactly, whatever was deposited or dropped, or the reason why nobody can say."""

from decimal import Decimal

import pytest
from botbalance.engine import Balance

from tests.integration.http_api.client import (
    AUTOPILOT,
    EXECUTE,
    HISTORY,
    ORDERS,
    PERFORMANCE,
    Client,
    exchange_account,
    newcomer,
    problem,
    trader,
)
from workbench.local.stack import Stack


def move(stack: Stack, symbol: str, factor: str) -> None:
    stack.market.set_price(symbol, stack.market.last_price(symbol) * Decimal(factor))


def test_a_deposit_is_no_profit(stack: Stack) -> None:
    client = trader(stack)
    client.post(EXECUTE)
    move(stack, "SOLUSDT", "0.99")
    client.delete(ORDERS)
    before = client.get(PERFORMANCE).json()
    exchange_account(stack, client).balances["ETH"] = Balance(Decimal(2))
    after = client.get(PERFORMANCE).json()
    assert after["bonus_quote"] == before["bonus_quote"] != "0"
    deposited = 2 * stack.market.last_price("ETHUSDT")
    assert Decimal(after["hold_quote"]) - Decimal(before["hold_quote"]) == deposited
    assert Decimal(after["nav"]) - Decimal(before["nav"]) == deposited


def test_while_a_trade_is_not_booked_there_is_a_reason_and_no_figure(stack: Stack) -> None:
    client = trader(stack)
    client.put(AUTOPILOT, {"enabled": True})
    stack.tick()
    move(stack, "BTCUSDT", "0.99")
    told = client.get(PERFORMANCE).json()
    assert (told["available"], told["nav"], told["bonus_quote"]) == (False, None, None)
    assert "is not booked yet; ask again after the next tick" in told["unavailable"]
    stack.tick()
    assert client.get(PERFORMANCE).json()["available"] is True
    client.put(AUTOPILOT, {"enabled": False})
    client.delete(ORDERS)


def test_a_dropped_asset_still_counts_by_what_it_is_worth_now(stack: Stack) -> None:
    client = trader(stack)
    client.post(EXECUTE)
    move(stack, "SOLUSDT", "0.99")
    client.delete(ORDERS)
    before = client.get(PERFORMANCE).json()
    client.patch("/api/me/strategies/rebalance/", {"target_allocations": {"SOL": None, "BTC": "50"}})
    after = client.get(PERFORMANCE).json()
    assert after["by_asset"] == before["by_asset"]
    assert after["bonus_quote"] == before["bonus_quote"]


def test_nothing_traded_earned_nothing(user: Client) -> None:
    told = user.get(PERFORMANCE).json()
    assert (told["nav"], told["hold_quote"], told["bonus_quote"], told["fills"]) == ("10000", "10000", "0", [])


def test_the_history_begins_with_the_first_look(stack: Stack) -> None:
    client = trader(stack)
    assert client.get(HISTORY).json() == {"exchange": "binance", "quote_asset": "USDT", "step": "hour", "points": []}
    client.post(EXECUTE)
    (point,) = client.get(HISTORY).json()["points"]
    at = point.pop("at")
    assert point == {"nav": "10000", "hold_quote": "10000", "bonus_quote": "0", "added_quote": None}
    for step in ("hour", "day", "month"):
        assert [one["at"] for one in client.get(f"{HISTORY}?from={at}&until={at}&step={step}").json()["points"]] == [at]
    assert client.get(f"{HISTORY}?until={at - 3600}").json()["points"] == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [("step=week", "step"), ("from=-1", "from"), ("until=soon", "until"), ("since=5", "since")],
)
def test_what_is_no_period_is_refused_by_its_name(user: Client, asked: str, field: str) -> None:
    assert problem(user.get(f"{HISTORY}?{asked}"), 422, "invalid_request")["field"] == field


@pytest.mark.parametrize("asked", ["from=2&until=1", "from=0&until=2678401", "from=0&until=31622401&step=day"])
def test_a_period_that_is_too_long_or_ends_before_it_begins_is_refused(user: Client, asked: str) -> None:
    problem(user.get(f"{HISTORY}?{asked}"), 422, "invalid_period")


def test_without_a_strategy_there_is_no_history(stack: Stack) -> None:
    problem(newcomer(stack).get(HISTORY), 404, "strategy_not_found")
