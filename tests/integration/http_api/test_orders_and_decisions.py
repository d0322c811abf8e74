"""Orders and decisions: page by page, cancelled one by one or all at once."""

import json
from base64 import urlsafe_b64encode
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.http_api.client import AUTOPILOT, DECISIONS, EXECUTE, ORDERS, Client, problem, trader
from workbench.local.stack import Options, Stack

FIELDS_OF_AN_ORDER = {
    "client_order_id",
    "exchange_order_id",
    "exchange",
    "symbol",
    "side",
    "status",
    "limit_price",
    "base_qty",
    "filled_qty",
    "quote_amount",
    "fills",
    "reason",
    "source",
    "ts_tick",
    "placed_at",
    "updated_at",
}


def pages(client: Client, path: str, name: str, limit: int) -> list[list[dict[str, Any]]]:
    found = []
    cursor = ""
    while True:
        page = client.get(f"{path}?limit={limit}{cursor}").json()
        found.append(page[name])
        if page["cursor"] is None:
            return found
        cursor = f"&cursor={page['cursor']}"


def forged(*parts: object) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
def busy(stack: Stack) -> Client:
    """Somebody with four decisions and orders from three of them."""
    client = trader(stack)
    client.put(AUTOPILOT, {"enabled": True})
    for _ in range(4):
        stack.tick()
        client.delete(ORDERS)
    client.put(AUTOPILOT, {"enabled": False})
    return client


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 12, 200])
@pytest.mark.parametrize(
    ("path", "name", "key", "count"),
    [(ORDERS, "orders", "client_order_id", 12), (DECISIONS, "decisions", "ts_tick", 4)],
)
def test_all_pages_together_are_everything_once(
    busy: Client, path: str, name: str, key: str, count: int, limit: int
) -> None:
    everything = busy.get(f"{path}?limit=200").json()[name]
    assert len({entry[key] for entry in everything}) == len(everything) == count
    found = pages(busy, path, name, limit)
    assert [entry for page in found for entry in page] == everything
    assert max(map(len, found)) <= limit


def test_orders_and_decisions_are_newest_first(busy: Client) -> None:
    placed = [order["placed_at"] for order in busy.get(ORDERS).json()["orders"]]
    ticks = [decision["ts_tick"] for decision in busy.get(DECISIONS).json()["decisions"]]
    assert placed == sorted(placed, reverse=True)
    assert ticks == sorted(ticks, reverse=True)


@pytest.mark.parametrize("path", [ORDERS, DECISIONS])
@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%00",
        "💰",
        forged(),
        forged(1),
        forged(1, 2),
        forged("1", "2", "3"),
        forged({"user_id": "demo"}),
        forged(["a"]),
        urlsafe_b64encode(b"\xff\xfe").decode(),
        urlsafe_b64encode(b"[" * 200).decode(),
        "a" * 401,
    ],
)
def test_a_forged_cursor_is_refused(busy: Client, path: str, cursor: str) -> None:
    answer = busy.get(f"{path}?cursor={cursor}")
    problem(answer, 422, "invalid_request" if len(cursor) > 400 else "invalid_cursor")


@pytest.mark.parametrize("parts", [("9", "f" * 20), ("0" * 11, "0" * 20), ("", ""), ("nan",), ("1e500",), ("",)])
@pytest.mark.parametrize("path", [ORDERS, DECISIONS])
def test_a_well_formed_cursor_from_nowhere_shows_only_ones_own(busy: Client, path: str, parts: tuple[str, ...]) -> None:
    answer = busy.get(f"{path}?cursor={forged(*parts)}")
    assert answer.status_code in {200, 422}, answer.text


def test_one_users_cursor_is_of_no_use_to_another(stack: Stack, busy: Client, user: Client) -> None:
    cursor = busy.get(f"{ORDERS}?limit=1").json()["cursor"]
    assert user.get(f"{ORDERS}?cursor={cursor}").json() == {"orders": [], "cursor": None}


def test_an_order_shows_itself_whole_with_its_money_as_strings(user: Client) -> None:
    order = user.post(EXECUTE).json()["orders"][0]
    assert set(order) == FIELDS_OF_AN_ORDER
    assert order == next(o for o in user.get(ORDERS).json()["orders"] if o["symbol"] == order["symbol"])
    assert (order["status"], order["source"], order["filled_qty"], order["fills"]) == ("OPEN", "manual", "0", [])
    assert all(isinstance(order[name], str) for name in ("limit_price", "base_qty", "quote_amount"))


def test_one_order_is_cancelled_and_cancelling_it_again_changes_nothing(user: Client) -> None:
    first, *rest = user.post(EXECUTE).json()["orders"]
    for _ in range(2):
        canceled = user.delete(f"{ORDERS}{first['client_order_id']}/").json()
        assert (canceled["status"], canceled["reason"]) == ("CANCELED", "canceled_by_user")
    left = {order["client_order_id"]: order["status"] for order in user.get(ORDERS).json()["orders"]}
    assert left == {first["client_order_id"]: "CANCELED"} | {order["client_order_id"]: "OPEN" for order in rest}


def test_all_orders_are_cancelled_at_once(user: Client) -> None:
    placed = user.post(EXECUTE).json()["orders"]
    canceled = user.delete(ORDERS).json()["orders"]
    assert {order["client_order_id"] for order in canceled} == {order["client_order_id"] for order in placed}
    assert {order["status"] for order in canceled} == {"CANCELED"}
    assert user.delete(ORDERS).json() == {"orders": [], "cursor": None}


def test_a_decision_is_whole(busy: Client) -> None:
    short = busy.get(DECISIONS).json()["decisions"][-1]
    whole = busy.get(f"{DECISIONS}{short['ts_tick']}/").json()
    assert whole["outcome"] == short["outcome"] == "decided"
    assert set(whole["inputs"]) == {
        "current_balances",
        "target_allocations",
        "market_prices",
        "strategy_config",
        "market_rules",
        "active_symbols",
        "paused_symbols",
        "buy_paused_symbols",
        "open_orders",
        "now",
    }
    assert [order["client_order_id"] for order in whole["placed"]] == short["placed"]
    assert Decimal(whole["evaluation"]["nav"]) == Decimal(short["nav"])


def test_a_fill_is_shown_with_its_fee() -> None:
    with Stack(Options(seed=5, autopilot=False)) as stack:
        client = Client(stack.url, None)
        (sold, *_) = client.post(EXECUTE).json()["orders"]
        stack.market.set_price(sold["symbol"], stack.market.last_price(sold["symbol"]) * 2)
        filled = client.delete(f"{ORDERS}{sold['client_order_id']}/").json()
        assert filled["fills"]
        fill = filled["fills"][0]
        assert set(fill) == {"trade_id", "price", "base_qty", "fee", "fee_asset", "traded_at_ms"}
        assert all(isinstance(fill[name], str) for name in ("price", "base_qty", "fee"))
