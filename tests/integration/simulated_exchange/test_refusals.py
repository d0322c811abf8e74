"""Everything Binance refuses arrives with its code and text in ccxt's exception."""

from decimal import Decimal
from typing import Any

import ccxt
import pytest
import requests


@pytest.fixture
def send(client: Any) -> Any:
    """Sends an order's raw parameters, signed by ccxt, without ccxt's own checks."""

    def send_order(**changes: str | None) -> Any:
        order = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.001",
            "price": "39000",
        }
        return client.private_post_order({k: v for k, v in (order | changes).items() if v is not None})

    return send_order


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"price": "39000.001"}, "order price is invalid.*-1013.*Filter failure: PRICE_FILTER"),
        ({"price": "1000001"}, "order price is invalid.*-1013.*Filter failure: PRICE_FILTER"),
        ({"quantity": "0.0010001"}, "lot size.*-1013.*Filter failure: LOT_SIZE"),
        ({"quantity": "0.000001"}, "lot size.*-1013.*Filter failure: LOT_SIZE"),
        ({"quantity": "9000.1"}, "lot size.*-1013.*Filter failure: LOT_SIZE"),
        ({"quantity": "0.0001"}, "-1013.*Filter failure: NOTIONAL"),
        ({"quantity": "1000"}, "-1013.*Filter failure: NOTIONAL"),
        ({"price": "7999.99"}, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"price": "200000.01"}, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"price": "39000.123456789"}, "-1111.*Parameter 'price' has too much precision"),
        ({"quantity": "0.123456789"}, "-1111.*Parameter 'quantity' has too much precision"),
        ({"price": "4e4"}, "-1100.*Illegal characters found in parameter 'price'; legal range is"),
        ({"quantity": "-1"}, "-1100.*Illegal characters found in parameter 'quantity'"),
        ({"price": ""}, "-1105.*Parameter 'price' was empty"),
        ({"price": None}, "-1102.*Mandatory parameter 'price' was not sent, was empty/null, or malformed"),
        ({"quantity": None}, "-1102.*Mandatory parameter 'quantity'"),
        ({"side": None}, "-1102.*Mandatory parameter 'side'"),
        ({"type": None}, "-1102.*Mandatory parameter 'type'"),
        ({"timeInForce": None}, "-1102.*Mandatory parameter 'timeInForce'"),
        ({"symbol": None}, "-1102.*Mandatory parameter 'symbol'"),
        ({"price": "0"}, "-1013.*Invalid price"),
        ({"quantity": "0"}, "-1013.*Invalid quantity"),
        ({"side": "HOLD"}, "-1117.*Invalid side"),
        ({"type": "STOP_LOSS"}, "-1116.*Invalid orderType"),
        ({"timeInForce": "GTX"}, "-1115.*Invalid timeInForce"),
        ({"type": "LIMIT_MAKER"}, "-1106.*Parameter 'timeInForce' sent when not required"),
        ({"newClientOrderId": "x" * 37}, "-1100.*Illegal characters found in parameter 'newClientOrderId'"),
        ({"newClientOrderId": "no blanks"}, "-1100.*Illegal characters found in parameter 'newClientOrderId'"),
        ({"newOrderRespType": "SOME"}, "-1130.*Data sent for parameter 'newOrderRespType' is not valid"),
    ],
)
def test_malformed_and_filtered_orders(exchange: Any, send: Any, changes: dict[str, str | None], answer: str) -> None:
    with pytest.raises((ccxt.BadRequest, ccxt.InvalidOrder), match=answer):
        send(**changes)
    assert exchange.books.orders(exchange.key) == []


def test_boundaries_of_the_filters_are_inside(exchange: Any, send: Any) -> None:
    exchange.books.transfer(exchange.key, "USDT", Decimal(10_000_000))
    for changes in (
        {"price": "8000"},
        {"quantity": "0.00025", "price": "20000"},
        {"quantity": "225", "price": "39000"},
    ):
        send(**changes)
    assert len(exchange.books.orders(exchange.key)) == 3


def test_invalid_symbol(send: Any) -> None:
    with pytest.raises(ccxt.BadSymbol, match=r"-1121.*Invalid symbol\."):
        send(symbol="NOPEUSDT")
    with pytest.raises(ccxt.BadRequest, match=r"-1100.*Illegal characters found in parameter 'symbol'"):
        send(symbol="btcusdt")


def test_insufficient_balance(client: Any) -> None:
    with pytest.raises(ccxt.InsufficientFunds, match="Account has insufficient balance for requested action"):
        client.create_order("BTC/USDT", "limit", "buy", "1", "39000")
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order("BTC/USDT", "limit", "sell", "1.00001", "41000")
    client.create_order("BTC/USDT", "limit", "sell", "0.6", "41000")
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order("BTC/USDT", "limit", "sell", "0.6", "41000")


def test_post_only_order_that_would_take(exchange: Any, client: Any) -> None:
    bid, ask = exchange.market.bid_ask("BTCUSDT")
    for side, price in (("buy", ask), ("sell", bid)):
        with pytest.raises(ccxt.OrderImmediatelyFillable, match="Order would immediately match and take"):
            client.create_order("BTC/USDT", "limit", side, "0.01", str(price), {"postOnly": True})
    tick = Decimal("0.01")
    client.create_order("BTC/USDT", "limit", "buy", "0.01", str(ask - tick), {"postOnly": True})
    client.create_order("BTC/USDT", "limit", "sell", "0.01", str(bid + tick), {"postOnly": True})
    assert len(client.fetch_open_orders("BTC/USDT")) == 2


def test_too_many_open_orders(exchange: Any, client: Any) -> None:
    for number in range(200):
        order = client.create_order("BTC/USDT", "limit", "buy", "0.00013", "39000", {"clientOrderId": f"n{number}"})
    with pytest.raises(ccxt.InvalidOrder, match=r"-2010.*Filter failure: MAX_NUM_ORDERS"):
        client.create_order("BTC/USDT", "limit", "buy", "0.00013", "39000")
    client.create_order("ETH/USDT", "limit", "buy", "0.01", "2400")
    client.cancel_order(order["id"], "BTC/USDT")
    client.create_order("BTC/USDT", "limit", "buy", "0.00013", "39000")


def test_unknown_orders(client: Any) -> None:
    with pytest.raises(ccxt.OrderNotFound, match=r"-2011.*Unknown order sent\."):
        client.cancel_order(None, "BTC/USDT", {"clientOrderId": "nothing"})
    with pytest.raises(ccxt.OrderNotFound, match=r"-2013.*Order does not exist\."):
        client.fetch_order(None, "BTC/USDT", {"clientOrderId": "nothing"})
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        client.cancel_all_orders("BTC/USDT")
    order = client.create_order("BTC/USDT", "limit", "buy", "0.001", "39000")
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        client.fetch_order(order["id"], "ETH/USDT")
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        client.private_get_order({"symbol": "BTCUSDT", "orderId": order["id"], "origClientOrderId": "other"})
    client.cancel_order(order["id"], "BTC/USDT")
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        client.cancel_order(order["id"], "BTC/USDT")
    with pytest.raises(ccxt.BadRequest, match=r"-1102.*Param 'origClientOrderId' or 'orderId' must be sent"):
        client.private_get_order({"symbol": "BTCUSDT"})


def test_filled_order_cannot_be_cancelled(client: Any) -> None:
    filled = client.create_order("BTC/USDT", "limit", "buy", "0.001", "41000")
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        client.cancel_order(filled["id"], "BTC/USDT")


def test_halted_market_takes_no_orders_but_cancels_and_never_fills(exchange: Any, client: Any) -> None:
    order = client.create_order("BTC/USDT", "limit", "buy", "0.001", "39000")
    exchange.market.halt("BTCUSDT")
    with pytest.raises(ccxt.MarketClosed, match="Market is closed"):
        client.create_order("BTC/USDT", "limit", "buy", "0.001", "39000")
    assert client.cancel_order(order["id"], "BTC/USDT")["status"] == "canceled"


def test_refusals_have_http_status_400(exchange: Any) -> None:
    reply = requests.get(f"{exchange.server.url}/api/v3/ticker/price?symbol=NOPE", timeout=5)
    assert (reply.status_code, reply.json()) == (400, {"code": -1121, "msg": "Invalid symbol."})
