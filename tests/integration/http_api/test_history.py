"""What has been: orders and decisions by filters, fills as a file, and what they earned."""

import csv
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from botbalance.trading import orders as trading_orders

from tests.integration.http_api.client import (
    AUTOPILOT,
    DECISIONS,
    EXECUTE,
    FILLS,
    ORDERS,
    PERFORMANCE,
    Client,
    key_body,
    newcomer,
    problem,
    trader,
)
from workbench.cli.api_client import ApiClient
from workbench.local.stack import Stack

TEN_THOUSAND = Decimal(10_000)


def move(stack: Stack, symbol: str, factor: str) -> None:
    stack.market.set_price(symbol, stack.market.last_price(symbol) * Decimal(factor))


def read_fills(client: Client, query: str = "") -> list[dict[str, str]]:
    answer = client.get(FILLS + query)
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(StringIO(answer.text)))


def total(entries: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(entry["bonus_quote"]) for entry in entries), Decimal(0))


@pytest.fixture(scope="module")
def busy(stack: Stack) -> Client:
    """Somebody with filled, cancelled and resting orders from two ticks, whose prices have moved since."""
    stack.books.partial_fill_probability = Decimal(0)  # whatever is traded through fills whole
    client = trader(stack)
    client.post(EXECUTE)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        move(stack, symbol, "0.99")
    client.delete(ORDERS)
    stack.tick()
    client.post(EXECUTE)
    move(stack, "BTCUSDT", "1.03")
    return client


# filters


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 6),
        ("?status=FILLED", 2),
        ("?status=CANCELED", 1),
        ("?status=OPEN", 3),
        ("?status=REJECTED", 0),
        ("?symbol=BTCUSDT", 2),
        ("?symbol=BTCUSDT&status=OPEN", 1),
        ("?symbol=btcusdt", 2),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 50])
def test_orders_are_found_by_status_and_pair_page_by_page(busy: Client, query: str, expected: int, limit: int) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        page = busy.get(f"{ORDERS}{query}{'&' if query else '?'}limit={limit}{cursor}").json()
        assert len(page["orders"]) <= limit
        found += [order["client_order_id"] for order in page["orders"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert len(found) == len(set(found)) == expected


def test_orders_are_found_by_when_they_were_placed(busy: Client) -> None:
    orders = busy.get(ORDERS).json()["orders"]
    first, last = orders[-1]["placed_at"], orders[0]["placed_at"]
    assert first < last
    for query, expected in (
        (f"?until={first}", 3),
        (f"?since={last}", 3),
        (f"?since={first}&until={last}", 6),
        (f"?since={first + 1}&until={last - 1}", 0),
        (f"?since={last + 1}", 0),
        ("?until=0", 0),
    ):
        assert len(busy.get(ORDERS + query).json()["orders"]) == expected, query


@pytest.mark.parametrize("path", [ORDERS, DECISIONS, FILLS])
def test_a_period_that_ends_before_it_begins_is_refused(busy: Client, path: str) -> None:
    problem(busy.get(f"{path}?since=2&until=1"), 422, "invalid_period")


def test_a_cursor_is_of_the_list_that_it_came_from(busy: Client) -> None:
    page = busy.get(f"{ORDERS}?limit=1").json()
    at = page["orders"][0]["placed_at"]
    problem(busy.get(f"{ORDERS}?until={at - 1}&cursor={page['cursor']}"), 422, "invalid_cursor")


@pytest.mark.parametrize("query", ["?status=open", "?status=x", "?since=-1", "?since=x", "?until=100000000000"])
def test_a_filter_that_cannot_be_is_refused(busy: Client, query: str) -> None:
    problem(busy.get(ORDERS + query), 422, "invalid_request")


def test_one_order_shows_itself(busy: Client) -> None:
    for order in busy.get(ORDERS).json()["orders"]:
        assert busy.get(f"{ORDERS}?client_order_id={order['client_order_id']}").json() == {
            "orders": [order],
            "cursor": None,
        }
    assert busy.get(f"{ORDERS}?client_order_id={'0' * 20}").json() == {"orders": [], "cursor": None}
    problem(busy.get(f"{ORDERS}?client_order_id=x"), 422, "invalid_request")


def test_decisions_are_found_by_outcome_and_time_and_say_why_each_asset_was_not_traded(stack: Stack) -> None:
    client = trader(stack)
    client.put(AUTOPILOT, {"enabled": True})
    stack.tick()
    stack.tick()
    stack.books.revoke_key(key_body(client)["api_key"])
    stack.tick()
    decisions = client.get(DECISIONS).json()["decisions"]
    assert [decision["outcome"] for decision in decisions] == ["skipped", "decided", "decided"]
    for outcome in ("skipped", "decided"):
        found = client.get(f"{DECISIONS}?outcome={outcome}").json()["decisions"]
        assert found == [decision for decision in decisions if decision["outcome"] == outcome]
    middle = decisions[1]["ts_tick"]
    assert client.get(f"{DECISIONS}?since={middle}&until={middle}").json()["decisions"] == [decisions[1]]

    whole = client.get(f"{DECISIONS}{middle}/").json()
    assert {asset["asset"]: asset["hold"] for asset in whole["assets"]} == {
        "BTC": "active_order",
        "ETH": "active_order",
        "SOL": "active_order",
        "USDT": "quote_asset",
    }
    first = client.get(f"{DECISIONS}{decisions[2]['ts_tick']}/").json()
    assert [asset["action"]["side"] for asset in first["assets"] if asset["action"]] == ["buy"] * 3
    assert all(asset["weight_pct"] == "0" for asset in first["assets"] if asset["symbol"])
    skipped = client.get(f"{DECISIONS}{decisions[0]['ts_tick']}/").json()
    assert skipped["assets"] == []
    assert "API key" in skipped["reason"]


def test_a_decision_on_what_is_held_shows_the_next_trigger_prices(stack: Stack) -> None:
    client = trader(stack, {"USDT": Decimal(5_000), "BTC": Decimal("0.05")})
    client.put(AUTOPILOT, {"enabled": True})
    stack.tick()
    client.put(AUTOPILOT, {"enabled": False})
    [decision] = client.get(DECISIONS).json()["decisions"]
    btc = client.get(f"{DECISIONS}{decision['ts_tick']}/").json()["assets"][0]
    assert Decimal(btc["buy_trigger"]) < Decimal(btc["sell_trigger"])
    client.delete(ORDERS)


# fills


def test_every_fill_is_a_line_with_every_digit(stack: Stack, busy: Client) -> None:
    lines = read_fills(busy)
    booked = stack.books.trades(key_body(busy)["api_key"])
    assert {line["trade_id"] for line in lines} == {str(trade.trade_id) for trade in booked}
    assert len(lines) == 2
    for line in lines:
        assert Decimal(line["quote_qty"]) == Decimal(line["price"]) * Decimal(line["base_qty"])
        assert line["traded_at"].endswith("+00:00")
        assert (line["side"], line["source"], line["fee_asset"]) == ("buy", "manual", line["symbol"][:3])
    assert [line["symbol"] for line in read_fills(busy, "?symbol=ETHUSDT")] == ["ETHUSDT"]


def test_the_file_goes_on_where_its_header_says(busy: Client) -> None:
    path, found = f"{FILLS}?limit=2", []
    while True:
        answer = busy.get(path)
        found += list(csv.DictReader(StringIO(answer.text)))
        if "Link" not in answer.headers:
            break
        assert answer.links["next"]["url"].startswith("?cursor=")
        path = FILLS + answer.links["next"]["url"]
    assert found == read_fills(busy)


def test_the_file_goes_on_with_the_same_filters(busy: Client) -> None:
    found, query = [], "?limit=1&symbol=ETHUSDT&since=1"
    while query:
        answer = busy.get(FILLS + query)
        found += list(csv.DictReader(StringIO(answer.text)))
        query = answer.links["next"]["url"] if "Link" in answer.headers else ""
        assert not query or ("symbol=ETHUSDT" in query and "since=1" in query)
    assert [line["symbol"] for line in found] == ["ETHUSDT"]


def test_nothing_filled_is_a_file_with_a_header(stack: Stack) -> None:
    assert newcomer(stack).get(FILLS).text.startswith("traded_at,symbol,side,price,base_qty,")


@pytest.mark.parametrize("tool", ["koinly", "cointracking", "coinledger", "rotki"])
def test_an_export_joined_from_its_pages_has_every_fill_once(
    stack: Stack, busy: Client, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trading_orders, "_EXPORTED_ORDERS", 1)
    pages = list(ApiClient(stack.url, busy.token).pages(f"/api/me/exports/{tool}.csv"))
    assert len(pages) > 1
    _, *rows = csv.reader(StringIO("".join(pages)))
    booked = stack.books.trades(key_body(busy)["api_key"])
    assert sorted(row[-2].split()[-1] if tool == "rotki" else row[-1] for row in rows) == sorted(
        str(trade.trade_id) for trade in booked
    )


def test_the_export_of_another_year_has_no_fill_and_says_what_is_not_in_it(busy: Client) -> None:
    answer = busy.get("/api/me/exports/koinly.csv?year=2010")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.text.splitlines() == [
        "Date,Sent Amount,Sent Currency,Received Amount,Received Currency,Fee Amount,Fee Currency,Net Worth Amount,"
        "Net Worth Currency,Label,Description,TxHash"
    ]
    assert "deposits and withdrawals" in answer.headers["X-Not-Included"]
    assert len(busy.get("/api/me/exports/koinly.csv").text.splitlines()) == 3


# what they earned


def test_what_was_earned_is_exactly_what_the_account_is_worth_over_having_held(busy: Client) -> None:
    told = busy.get(PERFORMANCE).json()
    assert told["available"] is True
    assert Decimal(told["hold_quote"]) == TEN_THOUSAND, "held was nothing but 10,000 USDT"
    assert Decimal(told["nav"]) - TEN_THOUSAND == Decimal(told["bonus_quote"]) != 0
    assert told["nav"] == busy.get("/api/me/balances/").json()["nav"]
    for part in ("fills", "by_asset"):
        assert total(told[part]) == Decimal(told["bonus_quote"]), part
    assert {asset["name"]: asset["fills"] for asset in told["by_asset"]} == {"BTC": 1, "ETH": 1}
    assert told["fills_count"] == len(told["fills"]) == 2
