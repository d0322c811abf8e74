"""Orders that do not wait, that are only tried, and that take another's place."""

from decimal import Decimal
from typing import Any

import pytest

from tests.integration.simulated_exchange.conftest import KEY, Door

REPLACEMENT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.002",
    "price": "38000",
}


def replace(door: Door, mode: str = "STOP_ON_FAILURE", **changes: object) -> Any:
    return door.signed("POST", "/api/v3/order/cancelReplace", **REPLACEMENT | {"cancelReplaceMode": mode} | changes)


def open_orders(door: Door) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = door.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT")
    return found


@pytest.mark.parametrize("time_in_force", ["IOC", "FOK"])
def test_what_cannot_fill_at_once_expires_and_ties_up_nothing(door: Door, time_in_force: str) -> None:
    placed = door.order(timeInForce=time_in_force)
    assert (placed["status"], placed["executedQty"], placed["fills"]) == ("EXPIRED", "0.00000000", [])
    assert placed["timeInForce"] == time_in_force
    assert open_orders(door) == []
    assert door.api.books.balances(KEY)["USDT"].locked == 0
    assert door.signed("GET", "/api/v3/order", symbol="BTCUSDT", orderId=placed["orderId"])["status"] == "EXPIRED"
    assert door.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=placed["orderId"])["code"] == -2011


@pytest.mark.parametrize("time_in_force", ["IOC", "FOK"])
def test_what_can_fill_at_once_does(door: Door, time_in_force: str) -> None:
    placed = door.order(timeInForce=time_in_force, price="41000")
    assert (placed["status"], placed["executedQty"]) == ("FILLED", "0.00100000")
    [fill] = placed["fills"]
    assert Decimal(fill["price"]) == door.api.market.bid_ask("BTCUSDT")[1]


def test_an_order_that_is_tried_is_checked_and_not_placed(door: Door) -> None:
    order = {**REPLACEMENT, "quantity": "0.001"}
    assert door.signed("POST", "/api/v3/order/test", **order) == {}
    rates = door.signed("POST", "/api/v3/order/test", **order, computeCommissionRates="true")
    assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
    assert door.signed("POST", "/api/v3/order/test", **order | {"quantity": "0.0000001"})["code"] == -1013
    assert door.signed("POST", "/api/v3/order/test", **order | {"side": "UP"})["code"] == -1117
    # what only the matching engine knows is not looked at
    assert door.signed("POST", "/api/v3/order/test", **order | {"quantity": "100"}) == {}
    assert door.api.books.orders(KEY) == []


def test_fees_are_told_of_a_market(door: Door) -> None:
    told = door.signed("GET", "/api/v3/account/commission", symbol="BTCUSDT")
    assert told["symbol"] == "BTCUSDT"
    assert told["standardCommission"] == {
        "maker": "0.00100000",
        "taker": "0.00100000",
        "buyer": "0.00000000",
        "seller": "0.00000000",
    }
    assert told["discount"]["enabledForAccount"] is False


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_an_order_takes_the_place_of_another(door: Door, mode: str) -> None:
    old = door.order(newClientOrderId="old")
    told = replace(door, mode, cancelOrigClientOrderId="old", newClientOrderId="new", cancelNewClientOrderId="cancel")
    assert (told["cancelResult"], told["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert (told["cancelResponse"]["origClientOrderId"], told["cancelResponse"]["clientOrderId"]) == ("old", "cancel")
    assert told["cancelResponse"]["orderId"] == old["orderId"]
    assert told["newOrderResponse"]["clientOrderId"] == "new"
    assert [order["clientOrderId"] for order in open_orders(door)] == ["new"]


def test_where_the_cancel_fails_nothing_is_placed(door: Door) -> None:
    told = replace(door, cancelOrderId=77)
    assert (told["code"], told["msg"]) == (-2022, "Order cancel-replace failed.")
    assert told["data"] == {
        "cancelResult": "FAILURE",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": {"code": -2011, "msg": "Unknown order sent."},
        "newOrderResponse": None,
    }
    assert open_orders(door) == []
    # it counts against the limit of orders all the same
    assert door.signed("GET", "/api/v3/rateLimit/order")[0]["count"] == 1


def test_where_the_cancel_may_fail_the_new_order_is_placed(door: Door) -> None:
    told = replace(door, "ALLOW_FAILURE", cancelOrderId=77, newClientOrderId="new")
    assert (told["code"], told["data"]["cancelResult"], told["data"]["newOrderResult"]) == (-2021, "FAILURE", "SUCCESS")
    assert [order["clientOrderId"] for order in open_orders(door)] == ["new"]


def test_where_only_the_new_order_fails_the_old_one_is_gone(door: Door) -> None:
    door.order(newClientOrderId="old")
    told = replace(door, cancelOrigClientOrderId="old", quantity="100")
    assert (told["code"], told["data"]["cancelResult"], told["data"]["newOrderResult"]) == (-2021, "SUCCESS", "FAILURE")
    assert told["data"]["newOrderResponse"]["code"] == -2010
    assert open_orders(door) == []


def test_what_the_filters_refuse_cancels_nothing(door: Door) -> None:
    door.order(newClientOrderId="old")
    assert replace(door, cancelOrigClientOrderId="old", quantity="0.0000001")["code"] == -1013
    assert replace(door, "PERHAPS", cancelOrigClientOrderId="old")["code"] == -1130
    assert "Param 'cancelOrigClientOrderId' or 'cancelOrderId' must be sent" in replace(door)["msg"]
    assert [order["clientOrderId"] for order in open_orders(door)] == ["old"]


def test_the_funds_of_the_old_order_are_there_for_the_new_one(door: Door) -> None:
    door.order(newClientOrderId="old", quantity="0.25")
    assert door.order(quantity="0.25")["code"] == -2010
    told = replace(door, cancelOrigClientOrderId="old", quantity="0.25")
    assert told["newOrderResult"] == "SUCCESS"


def test_a_cancel_may_be_restricted_to_a_state(door: Door) -> None:
    placed = door.order(quantity="0.01")
    asked = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    refused = door.signed("DELETE", "/api/v3/order", **asked, cancelRestrictions="ONLY_PARTIALLY_FILLED")
    assert refused == {"code": -2011, "msg": "Order was not canceled due to cancel restrictions."}
    assert door.signed("DELETE", "/api/v3/order", **asked, cancelRestrictions="ANY")["code"] == -1145
    door.api.books.fill_now(KEY, placed["orderId"], whole=False)
    assert door.signed("DELETE", "/api/v3/order", **asked, cancelRestrictions="ONLY_NEW")["code"] == -2011
    ended = door.signed("DELETE", "/api/v3/order", **asked, cancelRestrictions="ONLY_PARTIALLY_FILLED")
    assert ended["status"] == "CANCELED"
