"""Trouble in the middle of a run: what wants quiet gets it, and one pair's trouble is nobody else's."""

import pytest
from botbalance.errors import TryAgainLater
from botbalance.store.orders import OrderStatus
from botbalance.trading.orders import cancel_every, list_orders

from tests.integration.trading.world import ORDER_PATH, TARGETS, World
from workbench.faults.kinds import FaultKind, Where


def test_a_rate_limit_on_an_order_stops_everything_else_of_the_tick(world: World) -> None:
    world.injector.script(FaultKind.LIMITED, Where.PLACE_ORDER)
    decision = world.tick()
    assert [request.method for request in world.requests_to(ORDER_PATH)] == ["POST"]
    assert "limits requests for 60 s" in (decision.reason or "")
    assert [order["status"] for order in decision.placed] == ["PENDING"]


def test_a_rate_limit_on_a_look_up_stops_everything_else_of_the_tick(world: World) -> None:
    world.injector.script(FaultKind.NOT_RECEIVED, Where.PLACE_ORDER)
    world.injector.script(FaultKind.LIMITED, Where.FIND_ORDER)
    decision = world.tick()
    assert [request.method for request in world.requests_to(ORDER_PATH)] == ["POST", "GET"]
    assert "limits requests for 60 s" in (decision.reason or "")
    assert [order["status"] for order in decision.placed] == ["PENDING"]


def test_a_rate_limit_on_a_cancel_stops_everything_else_of_the_tick(world: World) -> None:
    world.tick()
    world.set_strategy({"ETH": "80", "USDT": "20"}, order_max_age_s=60)  # BTC's and XRP's orders are given up
    world.requests.clear()
    world.injector.script(FaultKind.LIMITED, Where.CANCEL_ORDER)
    decision = world.tick()
    assert [request.method for request in world.requests_to(ORDER_PATH)] == ["DELETE"]
    assert "limits requests for 60 s" in (decision.reason or "")


def test_an_order_on_a_pair_that_is_listed_no_more_stops_no_tick(world: World) -> None:
    gone = world.intent("GONEUSDT", limit_price="1", base_qty="200")
    with world.lease() as lease:
        world.desk.orders.create(gone.to(OrderStatus.OPEN), lease)
    decision = world.tick()
    assert decision.outcome == "decided"
    assert sorted(order["symbol"] for order in decision.placed) == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]


def test_cancelling_all_goes_on_past_one_that_fails_and_says_so(world: World) -> None:
    world.tick()
    world.injector.script(FaultKind.NOT_RECEIVED, Where.CANCEL_ORDER, about="ETHUSDT", times=3)
    with pytest.raises(TryAgainLater):
        cancel_every(world.desk, world.user)
    assert world.statuses() == {
        "BTCUSDT": OrderStatus.CANCELED,
        "ETHUSDT": OrderStatus.OPEN,
        "XRPUSDT": OrderStatus.CANCELED,
    }


def test_orders_are_listed_although_the_exchange_refuses_the_key(world: World) -> None:
    world.tick()
    world.set_strategy(TARGETS, autopilot=False)
    world.books.revoke_key(world.key)
    page = list_orders(world.desk, world.user, limit=10, cursor=None)
    assert len(page.orders) == len(TARGETS) - 1
