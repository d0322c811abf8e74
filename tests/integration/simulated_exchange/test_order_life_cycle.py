"""Orders from placing to their end, through ccxt's own binance class."""

from decimal import Decimal
from typing import Any

import ccxt
import pytest


def amounts(client: Any, asset: str) -> tuple[Decimal, Decimal]:
    balance = client.fetch_balance()[asset]
    return Decimal(balance["free"]), Decimal(balance["used"])


@pytest.mark.parametrize("post_only", [False, True])
def test_limit_order_rests_and_locks_what_it_needs(client: Any, post_only: bool) -> None:
    placed = client.create_order(
        "BTC/USDT", "limit", "buy", "0.01", "39000", {"clientOrderId": "one", "postOnly": post_only}
    )
    assert (placed["status"], placed["clientOrderId"], placed["postOnly"]) == ("open", "one", post_only)
    assert amounts(client, "USDT") == (Decimal(9_610), Decimal(390))
    found = client.fetch_order(None, "BTC/USDT", {"clientOrderId": "one"})
    assert (found["id"], found["price"], found["amount"]) == (placed["id"], "39000.00000000", "0.01000000")
    assert client.fetch_order(placed["id"], "BTC/USDT")["clientOrderId"] == "one"
    assert [order["id"] for order in client.fetch_open_orders("BTC/USDT")] == [placed["id"]]
    assert [order["id"] for order in client.fetch_open_orders()] == [placed["id"]]
    assert client.fetch_open_orders("ETH/USDT") == []


def test_cancel_by_client_id_frees_what_was_locked(client: Any) -> None:
    client.create_order("BTC/USDT", "limit", "sell", "0.5", "41000", {"clientOrderId": "one"})
    assert amounts(client, "BTC") == (Decimal("0.5"), Decimal("0.5"))
    cancelled = client.cancel_order(None, "BTC/USDT", {"clientOrderId": "one"})
    assert cancelled["status"] == "canceled"
    assert cancelled["info"]["origClientOrderId"] == "one"
    assert cancelled["info"]["clientOrderId"] != "one"
    assert amounts(client, "BTC") == (Decimal(1), Decimal(0))
    assert client.fetch_open_orders("BTC/USDT") == []
    assert client.fetch_order(None, "BTC/USDT", {"clientOrderId": "one"})["status"] == "canceled"


def test_resting_orders_fill_at_their_limit_with_the_fee_from_what_is_received(exchange: Any, client: Any) -> None:
    buy = client.create_order("BTC/USDT", "limit", "buy", "0.01", "39000", {"postOnly": True})
    sell = client.create_order("BTC/USDT", "limit", "sell", "0.02", "41000", {"postOnly": True})
    exchange.now_ms += 5_000
    exchange.market.set_price("BTCUSDT", Decimal("38999.99"))
    exchange.market.set_price("BTCUSDT", Decimal("41000.01"))
    trades = {trade["order"]: trade for trade in client.fetch_my_trades("BTC/USDT")}
    assert trades[buy["id"]]["fee"] == {"currency": "BTC", "cost": "0.00001000"}
    assert trades[sell["id"]]["fee"] == {"currency": "USDT", "cost": "0.82000000"}
    assert {trade["takerOrMaker"] for trade in trades.values()} == {"maker"}
    assert trades[buy["id"]]["price"] == "39000.00000000"
    assert trades[buy["id"]]["timestamp"] == exchange.now_ms
    assert amounts(client, "USDT") == (Decimal(10_000) - 390 + 820 - Decimal("0.82"), Decimal(0))
    assert amounts(client, "BTC") == (1 + Decimal("0.01") - Decimal("0.00001") - Decimal("0.02"), Decimal(0))
    filled = client.fetch_order(buy["id"], "BTC/USDT")
    assert (filled["status"], filled["filled"], filled["remaining"]) == ("closed", "0.01000000", "0")


def test_price_at_the_limit_does_not_fill(exchange: Any, client: Any) -> None:
    order = client.create_order("BTC/USDT", "limit", "buy", "0.01", "39000")
    exchange.market.set_price("BTCUSDT", Decimal(39_000))
    assert client.fetch_order(order["id"], "BTC/USDT")["status"] == "open"


def test_candle_before_the_order_does_not_fill_it(exchange: Any, client: Any) -> None:
    exchange.market.set_price("BTCUSDT", Decimal(30_000))
    exchange.market.set_price("BTCUSDT", Decimal(40_000))
    order = client.create_order("BTC/USDT", "limit", "buy", "0.01", "39000")
    exchange.market.advance()
    assert client.fetch_order(order["id"], "BTC/USDT")["status"] == "open"


def test_crossing_limit_order_takes_at_the_best_price(exchange: Any, client: Any) -> None:
    _, ask = exchange.market.bid_ask("BTCUSDT")
    placed = client.create_order("BTC/USDT", "limit", "buy", "0.1", "41000")
    assert (placed["status"], placed["filled"], Decimal(placed["cost"])) == ("closed", "0.10000000", ask / 10)
    assert placed["info"]["fills"][0]["commissionAsset"] == "BTC"
    assert client.fetch_my_trades("BTC/USDT")[0]["takerOrMaker"] == "taker"
    assert amounts(client, "USDT") == (10_000 - ask / 10, Decimal(0))


def test_market_orders_in_base_and_in_quote(exchange: Any, client: Any) -> None:
    bid, ask = exchange.market.bid_ask("BTCUSDT")
    sold = client.create_order("BTC/USDT", "market", "sell", "0.1")
    assert (sold["status"], Decimal(sold["cost"])) == ("closed", bid / 10)
    bought = client.create_order("BTC/USDT", "market", "buy", None, None, {"cost": "1000"})
    assert Decimal(bought["filled"]) == Decimal("0.02499")
    assert Decimal(bought["cost"]) == ask * Decimal("0.02499")


def test_partial_fill_then_cancel(exchange: Any, client: Any) -> None:
    exchange.books.partial_fill_probability = Decimal(1)
    order = client.create_order("BTC/USDT", "limit", "buy", "0.1", "39000", {"clientOrderId": "one"})
    exchange.market.set_price("BTCUSDT", Decimal(38_000))
    partly = client.fetch_order(order["id"], "BTC/USDT")
    filled = Decimal(partly["filled"])
    assert partly["info"]["status"] == "PARTIALLY_FILLED"
    assert 0 < filled < Decimal("0.1")
    assert filled % Decimal("0.00001") == 0
    assert amounts(client, "USDT")[1] == (Decimal("0.1") - filled) * 39_000
    cancelled = client.cancel_order(None, "BTC/USDT", {"clientOrderId": "one"})
    assert (cancelled["status"], Decimal(cancelled["filled"])) == ("canceled", filled)
    assert amounts(client, "USDT") == (10_000 - filled * 39_000, Decimal(0))
    assert amounts(client, "BTC")[0] == 1 + filled * Decimal("0.999")


def test_one_lot_never_fills_partly(exchange: Any) -> None:
    exchange.books.partial_fill_probability = Decimal(1)
    assert exchange.books._filled_part(Decimal("0.00001"), Decimal("0.00001")) == Decimal("0.00001")


def test_partial_fill_is_at_least_one_lot(exchange: Any) -> None:
    exchange.books.partial_fill_probability = Decimal(1)
    lot = Decimal("0.00001")
    assert {exchange.books._filled_part(2 * lot, lot) for _ in range(50)} == {lot}
    assert {exchange.books._filled_part(3 * lot, lot) for _ in range(50)} == {lot, 2 * lot}


def test_client_id_can_be_used_again_once_closed(client: Any) -> None:
    first = client.create_order("BTC/USDT", "limit", "buy", "0.001", "39000", {"clientOrderId": "same"})
    with pytest.raises(ccxt.InvalidOrder, match=r"-2010.*Duplicate order sent\."):
        client.create_order("BTC/USDT", "limit", "buy", "0.001", "39000", {"clientOrderId": "same"})
    client.cancel_order(first["id"], "BTC/USDT")
    second = client.create_order("BTC/USDT", "limit", "buy", "0.001", "39500", {"clientOrderId": "same"})
    assert second["id"] != first["id"]
    assert client.fetch_order(None, "BTC/USDT", {"clientOrderId": "same"})["id"] == second["id"]


def test_cancel_all_of_one_symbol(client: Any) -> None:
    for price in ("39000", "38000"):
        client.create_order("BTC/USDT", "limit", "buy", "0.001", price)
    other = client.create_order("ETH/USDT", "limit", "buy", "0.01", "2400")
    client.cancel_all_orders("BTC/USDT")
    assert [order["id"] for order in client.fetch_open_orders()] == [other["id"]]
    assert {order["status"] for order in client.fetch_orders("BTC/USDT")} == {"canceled"}


def test_orders_and_trades_are_listed_in_pages(exchange: Any, client: Any) -> None:
    for _ in range(3):
        client.create_order("BTC/USDT", "limit", "buy", "0.001", "41000")
        exchange.now_ms += 1_000
    ids = [order["id"] for order in client.fetch_orders("BTC/USDT")]
    assert [o["id"] for o in client.fetch_orders("BTC/USDT", limit=2)] == ids[1:]
    assert [o["id"] for o in client.fetch_orders("BTC/USDT", params={"orderId": ids[1]})] == ids[1:]
    trades = client.fetch_my_trades("BTC/USDT")
    assert [t["order"] for t in trades] == ids
    assert client.fetch_my_trades("BTC/USDT", params={"orderId": ids[1]}) == trades[1:2]
    assert client.fetch_my_trades("BTC/USDT", params={"fromId": trades[1]["id"]}) == trades[1:]
    assert client.fetch_my_trades("BTC/USDT", since=trades[2]["timestamp"]) == trades[2:]
    assert client.fetch_my_trades("BTC/USDT", limit=1) == trades[2:]


@pytest.mark.parametrize(
    ("response_type", "keys"), [("ACK", {"price", "fills"}), ("RESULT", {"fills"}), ("FULL", set())]
)
def test_response_types(client: Any, response_type: str, keys: set[str]) -> None:
    client.load_markets()
    client.options["newOrderRespType"]["limit"] = response_type
    placed = client.create_order("BTC/USDT", "limit", "buy", "0.001", "39000")
    assert placed["id"] == "1"
    assert {"price", "fills"} - placed["info"].keys() == keys
