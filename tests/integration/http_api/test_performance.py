"""What was earned against having held: exactly, whatever was deposited or dropped, or the reason why nobody can say."""

from decimal import Decimal

from botbalance.engine import Balance

from tests.integration.http_api.client import (
    AUTOPILOT,
    EXECUTE,
    ORDERS,
    PERFORMANCE,
    Client,
    account_of,
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
    account_of(stack, client).balances["ETH"] = Balance(Decimal(2))
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
