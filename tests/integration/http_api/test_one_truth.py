"""One set of prices: plan, balances, summary and execute agree to the last digit, whatever prices are made of."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from botbalance import bootstrap

from tests.integration.http_api.client import BALANCES, EXECUTE, ORDERS, PLAN, SUMMARY, Client, trader
from workbench.local.stack import Options, Stack

PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
ODD_HOLDINGS = {
    "USDT": Decimal("5123.45678901"),
    "BTC": Decimal("0.03333333"),
    "ETH": Decimal("1.23456789"),
    "SOL": Decimal("7.00000001"),
    "SHIB": Decimal("123456789.5"),
}


@pytest.fixture(scope="module", params=["last", "mid"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRICING_SOURCE", request.param)
        with Stack(Options(freeze_prices=True, autopilot=False)) as running:
            yield running


@pytest.fixture
def user(stack: Stack) -> Client:
    return trader(stack, ODD_HOLDINGS)


def find_numbers(document: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with the name of the field it is in."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from find_numbers(value, key)
    elif isinstance(document, list):
        for value in document:
            yield from find_numbers(value, name)
    else:
        yield name, document


@pytest.mark.parametrize("slash", ["", "/"])
def test_nav_and_shares_are_the_same_everywhere(user: Client, slash: str) -> None:
    plan, balances, summary = (user.get(path.rstrip("/") + slash).json() for path in (PLAN, BALANCES, SUMMARY))
    assert plan["nav"] == balances["nav"] == summary["nav"]
    assert plan["drift_pct"] == summary["drift_pct"]
    shares = [
        {row["asset"]: (row["weight_pct"], row["value"]) for row in rows}
        for rows in (plan["assets"], balances["balances"], summary["allocations"])
    ]
    assert shares[0] == shares[1] == shares[2]
    assert plan["unmanaged"] == balances["unmanaged"] == [{"asset": "SHIB", "free": "123456789.5", "locked": "0"}]


def test_the_shares_are_of_the_nav_that_is_shown(user: Client) -> None:
    balances = user.get(BALANCES).json()
    assert sum(Decimal(row["value"]) for row in balances["balances"]) == Decimal(balances["nav"])
    for row in balances["balances"]:
        assert Decimal(row["held"]) * Decimal(row["price"]) == Decimal(row["value"])


def test_execute_places_what_the_plan_shows_digit_for_digit(stack: Stack, user: Client) -> None:
    planned = user.get(PLAN).json()
    executed = user.post(EXECUTE).json()

    fields = ("symbol", "side", "limit_price", "base_qty", "quote_amount")
    shown = [{name: action[name] for name in fields} for action in planned["actions"]]
    assert len(shown) == 3
    assert [{name: order[name] for name in fields} for order in executed["orders"]] == shown
    listed = user.get(ORDERS).json()["orders"]
    assert [{name: order[name] for name in fields} for order in reversed(listed)] == shown
    assert (executed["nav"], executed["assets"]) == (planned["nav"], planned["assets"])
    booked = stack.books.orders(f"key-of-{user.token}")
    assert [(order.symbol, order.side, order.price, order.qty) for order in booked] == [
        (action["symbol"], action["side"], Decimal(action["limit_price"]), Decimal(action["base_qty"]))
        for action in shown
    ]


def test_buys_are_below_the_market_price_and_sells_above(user: Client) -> None:
    actions = user.get(PLAN).json()["actions"]
    assert {action["side"] for action in actions} == {"buy", "sell"}
    for action in actions:
        limit, market = Decimal(action["limit_price"]), Decimal(action["market_price"])
        if action["side"] == "buy":
            assert limit <= market * Decimal("0.996")
        else:
            assert limit >= market * Decimal("1.004")


def test_the_two_sources_are_the_last_trade_and_the_middle_of_the_book(stack: Stack, user: Client) -> None:
    for row in user.get(BALANCES).json()["balances"]:
        if row["asset"] != "USDT":
            bid, ask = stack.market.bid_ask(row["asset"] + "USDT")
            last = stack.market.last_price(row["asset"] + "USDT")
            mid = bootstrap.services().settings.pricing_source == "mid"
            assert last != bid
            assert Decimal(row["price"]) == ((bid + ask) / 2 if mid else last)


def test_money_is_a_plain_string_everywhere(user: Client) -> None:
    answers = [user.get(path) for path in (PLAN, BALANCES, SUMMARY)]
    answers += [user.post(EXECUTE), user.get(ORDERS)]
    counted = 0
    for answer in answers:
        document = json.loads(answer.text, parse_float=lambda text: pytest.fail(f"{text} is a JSON float"))
        for name, value in find_numbers(document):
            if isinstance(value, int) and not isinstance(value, bool):
                assert name in {"ts_tick", "placed_at", "updated_at"}
            if name.endswith(("_pct", "_price", "_qty", "_quote", "_amount", "_trigger")) and value is not None:
                assert isinstance(value, str)
                assert PLAIN_NUMBER.fullmatch(value), (name, value)
                counted += 1
    assert counted > 100
