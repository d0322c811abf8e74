"""With the autopilot off, everything still tells what is: the plan, the orders, and what execute would do."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.integration.http_api.client import AUTOPILOT, EXECUTE, ORDERS, PLAN, Client, problem
from workbench.local.stack import Options, Stack


@pytest.fixture
def manual() -> Iterator[tuple[Stack, Client]]:
    with Stack(Options(seed=5, autopilot=False)) as stack:
        yield stack, Client(stack.url, None)


def test_an_order_that_filled_while_nobody_looked_is_seen_by_plan_orders_and_execute_alike(
    manual: tuple[Stack, Client],
) -> None:
    stack, user = manual
    placed = user.post(EXECUTE).json()["orders"]
    (bought,) = [order for order in placed if order["symbol"] == "ETHUSDT"]
    for _ in range(2):  # a fill may be a part at first
        stack.market.set_price("ETHUSDT", Decimal("2400"))
        stack.market.set_price("ETHUSDT", Decimal("2580"))
    stack.clock.next_tick()

    plan = user.get(PLAN).json()
    (listed,) = [order for order in user.get(ORDERS).json()["orders"] if order["symbol"] == "ETHUSDT"]
    executed = user.post(EXECUTE).json()

    assert listed["filled_qty"] == bought["base_qty"]
    assert listed["status"] == "FILLED"
    assert plan["nav"] == executed["nav"]
    assert [action["symbol"] for action in plan["actions"]] == [order["symbol"] for order in executed["orders"]]
    assert "ETHUSDT" in [action["symbol"] for action in plan["actions"]]


@pytest.mark.parametrize("path", ["/api/me/orders//", "/api/me/orders/%2F/", "/api/me/orders/%2f", "/api/me//orders/"])
def test_an_empty_order_id_never_means_all_orders(manual: tuple[Stack, Client], path: str) -> None:
    _, user = manual
    placed = user.post(EXECUTE).json()["orders"]
    problem(user.delete(path), 404, "no_such_route")
    assert {order["status"] for order in user.get(ORDERS).json()["orders"][: len(placed)]} == {"OPEN"}


def test_a_compressed_body_is_refused(manual: tuple[Stack, Client]) -> None:
    _, user = manual
    answer = user.ask("PUT", AUTOPILOT, '{"enabled": true}', **{"Content-Encoding": "gzip"})
    problem(answer, 415, "not_json")
