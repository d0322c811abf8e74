"""Trouble in the middle of a run: what wants quiet gets it, and one pair's trouble is nobody else's."""

import pytest
from botbalance.errors import TransientError
from botbalance.models.order import OrderStatus
from botbalance.trading.orders import cancel_by_hand, list_orders

from tests.integration.trading.harness import ORDER_PATH, TARGETS, TradingHarness
from workbench.faults.kinds import FaultKind, Where


def test_a_rate_limit_on_an_order_stops_everything_else_of_the_tick(harness: TradingHarness) -> None:
    harness.injector.script(FaultKind.LIMITED, Where.PLACE_ORDER)
    decision = harness.tick()
    assert [request.method for request in harness.requests_to(ORDER_PATH)] == ["POST"]
    assert "limits requests for 60 s" in (decision.reason or "")
    assert [order["status"] for order in decision.placed] == ["PENDING"]


def test_a_rate_limit_on_a_look_up_stops_everything_else_of_the_tick(harness: TradingHarness) -> None:
    harness.injector.script(FaultKind.NOT_RECEIVED, Where.PLACE_ORDER)
    harness.injector.script(FaultKind.LIMITED, Where.FIND_ORDER)
    decision = harness.tick()
    assert [request.method for request in harness.requests_to(ORDER_PATH)] == ["POST", "GET"]
    assert "limits requests for 60 s" in (decision.reason or "")
    assert [order["status"] for order in decision.placed] == ["PENDING"]


def test_a_rate_limit_on_a_cancel_stops_everything_else_of_the_tick(harness: TradingHarness) -> None:
    harness.tick()
    harness.set_strategy({"ETH": "80", "USDT": "20"}, order_max_age_s=60)  # BTC's and XRP's orders are given up
    harness.requests.clear()
    harness.injector.script(FaultKind.LIMITED, Where.CANCEL_ORDER)
    decision = harness.tick()
    assert [request.method for request in harness.requests_to(ORDER_PATH)] == ["DELETE"]
    assert "limits requests for 60 s" in (decision.reason or "")


def test_an_order_on_a_pair_that_is_listed_no_more_stops_no_tick(harness: TradingHarness) -> None:
    gone = harness.intent("GONEUSDT", limit_price="1", base_qty="200")
    harness.create(gone, status=OrderStatus.OPEN)
    decision = harness.tick()
    assert decision.outcome == "decided"
    assert sorted(order["symbol"] for order in decision.placed) == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]


def test_cancelling_all_goes_on_past_one_that_fails_and_says_so(harness: TradingHarness) -> None:
    harness.tick()
    harness.injector.script(FaultKind.NOT_RECEIVED, Where.CANCEL_ORDER, about="ETHUSDT", times=3)
    with pytest.raises(TransientError):
        cancel_by_hand(harness.context, harness.user)
    assert harness.statuses() == {
        "BTCUSDT": OrderStatus.CANCELED,
        "ETHUSDT": OrderStatus.OPEN,
        "XRPUSDT": OrderStatus.CANCELED,
    }


def test_orders_are_listed_although_the_exchange_refuses_the_key(harness: TradingHarness) -> None:
    harness.tick()
    harness.set_strategy(TARGETS, autopilot=False)
    harness.books.revoke_key(harness.key)
    page = list_orders(harness.context, harness.user, limit=10, cursor=None)
    assert len(page.items) == len(TARGETS) - 1


@pytest.mark.parametrize("kind", [FaultKind.LIMITED, FaultKind.REVOKED])
def test_what_a_cancel_meets_keeps_every_order_from_being_meant(harness: TradingHarness, kind: FaultKind) -> None:
    harness.set_strategy({"BTC": "50", "USDT": "50"})
    harness.tick()
    harness.set_strategy({"ETH": "50", "USDT": "50"})
    harness.injector.script(kind, Where.CANCEL_ORDER)
    harness.tick()
    assert [order.symbol for order in harness.orders()] == ["BTCUSDT"]
