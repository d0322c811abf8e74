"""What a dashboard asks for: the overview, a strategy that is not stored, the markets, the trail."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from botbalance import bootstrap
from botbalance.models.activity import Activity, ActivityKind

from tests.integration.http_api.client import (
    AUTOPILOT,
    EXECUTE,
    GOOD_STRATEGY,
    ORDERS,
    PERFORMANCE,
    PLAN,
    STRATEGY,
    Client,
    newcomer,
    problem,
    trader,
)
from workbench.local.stack import Options, Stack
from workbench.simulated_exchange.binance_api import BinanceApi, Reply, Request
from workbench.simulated_exchange.matching_engine import Account

OVERVIEW = "/api/me/overview/"
PREVIEW = "/api/me/strategies/rebalance/preview/"
MARKETS = "/api/me/exchange/markets/"
ACTIVITY = "/api/me/activity/"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The demo portfolio after its first tick, prices standing still."""
    with Stack(Options(freeze_prices=True)) as running:
        running.tick()
        yield running


def preview(client: Client, strategy: dict[str, Any]) -> Any:
    return client.ask("POST", PREVIEW, json.dumps(strategy))


def test_a_newcomer_is_told_that_nothing_is_there_yet(stack: Stack) -> None:
    seen = newcomer(stack).get(OVERVIEW).json()
    assert (seen["strategy"], seen["has_key"], seen["nav"], seen["assets"], seen["orders"]) == (
        None,
        False,
        None,
        [],
        [],
    )
    assert seen["mode"] == "simulated"


def test_the_overview_agrees_with_the_plan(stack: Stack) -> None:
    """Prices stand still, so the last look, valued anew, is what the exchange would say."""
    demo = Client(stack.url, "demo")
    seen, plan = demo.get(OVERVIEW).json(), demo.get(PLAN).json()
    assert (seen["nav"], seen["drift_pct"], seen["quote_amount"]) == (
        plan["nav"],
        plan["drift_pct"],
        plan["quote_amount"],
    )
    shown = [
        {name: row[name] for name in ("asset", "held", "weight_pct", "hold", "buy_trigger")} for row in plan["assets"]
    ]
    assert [{name: row[name] for name in shown[0]} for row in seen["assets"]] == shown
    resting = {order["client_order_id"] for order in demo.get(ORDERS).json()["orders"] if order["status"] == "OPEN"}
    assert {order["client_order_id"] for order in seen["orders"]} == resting != set()
    assert seen["looked_at"] <= seen["now"]
    assert seen["priced_at"] <= seen["now"]
    assert seen["last_decision"]["ts_tick"] <= seen["now"]
    assert seen["strategy"]["autopilot_enabled"] is True


def test_the_overview_asks_the_exchange_nothing(stack: Stack) -> None:
    demo = Client(stack.url, "demo")
    find = stack.books.account
    asked: list[str] = []

    def seen(api_key: str) -> Account | None:
        asked.append(api_key)
        return find(api_key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack.books, "account", seen)
        for _ in range(3):
            assert demo.get(OVERVIEW).ok
        assert asked == []
        assert demo.get(PLAN).ok  # what does ask is seen by this test
        assert asked


def test_ten_tabs_cost_the_exchange_nothing(stack: Stack) -> None:
    """Four ticks beside ten tabs that each ask once a tick, as without any."""
    demo = Client(stack.url, "demo")
    asked: list[str] = []
    reply = BinanceApi.answer

    def counted(api: BinanceApi, request: Request) -> Reply:
        asked.append(request.path)
        return reply(api, request)

    def requests_of_four_ticks(polls: int) -> list[str]:
        asked.clear()
        for _ in range(4):
            stack.tick()
            for _ in range(polls):
                assert demo.get(OVERVIEW).ok
        return sorted(asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BinanceApi, "answer", counted)
        stack.tick()
        while stack.clock() % 3_600 > 3_600 - 9 * 30:  # highs are asked for at the turn of an hour, tabs or none
            stack.tick()
        alone = requests_of_four_ticks(0)
        assert requests_of_four_ticks(10) == alone != []


def test_what_rebalancing_added_is_the_same_as_fill_by_fill(stack: Stack) -> None:
    user = trader(stack)
    user.post(EXECUTE)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        stack.market.set_price(symbol, stack.market.last_price(symbol) * Decimal("0.97"))  # through their buys
    assert user.put(AUTOPILOT, {"enabled": True}).ok
    stack.tick()
    assert user.put(AUTOPILOT, {"enabled": False}).ok
    seen, performance = user.get(OVERVIEW).json(), user.get(PERFORMANCE).json()
    assert performance["fills_count"] > 0
    assert {name: seen[name] for name in ("nav", "hold_quote", "bonus_quote")} == {
        name: performance[name] for name in ("nav", "hold_quote", "bonus_quote")
    }
    assert Decimal(seen["hold_quote"]) + Decimal(seen["bonus_quote"]) == Decimal(seen["nav"])


def test_incidents_say_what_keeps_the_portfolio_from_being_traded(stack: Stack) -> None:
    user = trader(stack)
    services = bootstrap.services()
    stored = services.strategies.get(user.token or "")
    services.strategies.save(stored.model_copy(update={"disabled_reason": "the key was refused"}))
    assert user.get(OVERVIEW).json()["incidents"] == ["The autopilot was switched off: the key was refused"]


def test_a_strategy_that_is_not_stored_is_previewed_and_stays_unstored(user: Client) -> None:
    tried = GOOD_STRATEGY | {"target_allocations": {"BTC": "60", "USDT": "40"}}
    seen = preview(user, tried).json()
    assert {row["asset"]: row["target_pct"] for row in seen["assets"]} == {"BTC": "60", "USDT": "40"}
    assert [action["symbol"] for action in seen["actions"]] == ["BTCUSDT"]
    assert user.get(STRATEGY).json()["target_allocations"] == GOOD_STRATEGY["target_allocations"]
    assert user.get(ORDERS).json()["orders"] == []


def test_a_preview_warns_as_saving_would(user: Client) -> None:
    tiny = GOOD_STRATEGY | {"order_size_pct": "0.01", "min_delta_quote": "10", "min_delta_pct": "1"}
    refused = problem(preview(user, tiny), 422, "invalid_strategy")
    assert refused == user.put(STRATEGY, tiny).json()
    small = tiny | {"order_size_pct": refused["expected"].split()[0]}  # the least that any market of it takes
    warnings = preview(user, small).json()["warnings"]
    assert warnings == user.put(STRATEGY, small).json()["warnings"]
    assert "never_trades" in {warning["code"] for warning in warnings}


def test_a_preview_refuses_what_saving_refuses(user: Client) -> None:
    off = GOOD_STRATEGY | {"target_allocations": {"BTC": "60", "USDT": "39"}}
    assert problem(preview(user, off), 422, "invalid_strategy")["field"] == "target_allocations"
    unknown = GOOD_STRATEGY | {"target_allocations": {"NOSUCHCOIN": "60", "USDT": "40"}}
    problem(preview(user, unknown), 422, "unknown_market")


def test_markets_name_exchanges_and_what_trades_there(stack: Stack) -> None:
    user = newcomer(stack)
    exchanges = [
        {"exchange": "binance", "mode": "simulated", "password_name": None},
        {"exchange": "binance-paper", "mode": "paper", "password_name": None},
    ]
    assert user.get(MARKETS).json() == {"exchanges": exchanges, "quotes": [], "assets": []}
    seen = user.get(f"{MARKETS}?exchange=binance&quote=USDT").json()
    assert {"BTC", "ETH", "SOL"} <= set(seen["assets"])
    assert "USDT" in seen["quotes"]
    assert user.get(f"{MARKETS}?exchange=binance&quote=NONE").json()["assets"] == []


def test_the_trail_is_shown_newest_first_and_to_its_owner_only(stack: Stack) -> None:
    user, other = newcomer(stack), newcomer(stack)
    table = bootstrap.services().context.activity
    for at, size in ((1_700_000_000, "1"), (1_700_000_060, "2")):
        changed = {"order_size_pct": size}
        table.append(
            Activity.at(at, user.token or "", ActivityKind.STRATEGY_CHANGED, before={}, after=changed, request_id="r")
        )
    first = user.get(f"{ACTIVITY}?limit=1").json()
    [newest] = first["activity"]
    assert (newest["at"], newest["actor"], newest["action"], newest["after"]) == (
        1_700_000_060,
        "user",
        "strategy.changed",
        {"order_size_pct": "2"},
    )
    rest = user.get(f"{ACTIVITY}?limit=1&cursor={first['cursor']}").json()
    assert [item["at"] for item in rest["activity"]] == [1_700_000_000]
    assert user.get(f"{ACTIVITY}?until=1700000030").json()["activity"] == rest["activity"]
    assert other.get(ACTIVITY).json() == {"activity": [], "cursor": None}


def test_an_execution_is_seen_in_the_overview(user: Client) -> None:
    placed = {order["client_order_id"] for order in user.post(EXECUTE).json()["orders"]}
    assert {order["client_order_id"] for order in user.get(OVERVIEW).json()["orders"]} == placed != set()
