"""The thread that serves: starts, stops, and stays consistent under parallel requests."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import Any

import ccxt
import pytest
import requests

from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.matching_engine import MatchingEngine
from workbench.simulated_exchange.random_walk import RandomWalk
from workbench.simulated_exchange.server import ExchangeServer


@pytest.fixture
def api() -> BinanceApi:
    market = Market.with_default_filters({"BTCUSDT": Decimal(40_000)}, RandomWalk(seed=1, volatility=0.01))
    return BinanceApi(MatchingEngine(market))


def test_starts_stops_and_starts_again(api: BinanceApi) -> None:
    server = ExchangeServer(api)
    with pytest.raises(RuntimeError, match="not been started"):
        _ = server.url
    for _ in range(2):
        url = server.start().url
        assert url.startswith("http://127.0.0.1:")
        assert requests.get(f"{url}/api/v3/ping", timeout=5).status_code == 200
        with pytest.raises(RuntimeError, match="started already"):
            server.start()
        server.stop()
        server.stop()
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/api/v3/ping", timeout=5)


def test_taken_port_is_told(api: BinanceApi) -> None:
    with ExchangeServer(api) as first:
        second = ExchangeServer(api, port=int(first.url.rpartition(":")[2]))
        with pytest.raises(OSError, match="address already in use"):
            second.start()
        second.stop()


def test_stops_while_a_client_keeps_its_connection(api: BinanceApi) -> None:
    with requests.Session() as session:
        with ExchangeServer(api) as server:
            url = server.url
            assert session.get(f"{url}/api/v3/ping", timeout=5).status_code == 200
        with pytest.raises(requests.ConnectionError):
            session.get(f"{url}/api/v3/ping", timeout=5)


def test_parallel_orders_while_the_market_moves(api: BinanceApi, ccxt_client: Callable[..., Any]) -> None:
    books, market = api.books, api.market
    keys = [letter * 64 for letter in "abcd"]
    for key in keys:
        books.open_account(key, "s", {"USDT": Decimal(100_000), "BTC": Decimal(1)})

    def trade(key: str) -> int:
        client = ccxt_client(server.url, key, "s")
        for number in range(25):
            price = str(market.last_price("BTCUSDT") * (Decimal("0.999") if number % 2 else Decimal("1.01")) // 1)
            order = client.create_order("BTC/USDT", "limit", "buy", "0.001", price)
            if order["status"] == "open" and number % 3 == 0:
                with suppress(ccxt.OrderNotFound):
                    client.cancel_order(order["id"], "BTC/USDT")
            market.advance()
        return len(client.fetch_orders("BTC/USDT"))

    with ExchangeServer(api) as server, ThreadPoolExecutor(len(keys)) as pool:
        assert list(pool.map(trade, keys)) == [25] * len(keys)
    assert sorted(o.order_id for key in keys for o in books.orders(key)) == list(range(1, 101))
    for key in keys:
        trades, balance = books.trades(key), books.balances(key)
        spent = sum((trade.price * trade.qty for trade in trades), Decimal(0))
        locked = sum((order.remaining * order.price for order in books.open_orders(key)), Decimal(0))
        assert balance["USDT"].locked == locked
        assert balance["USDT"].free == 100_000 - spent - locked
        assert balance["BTC"].free == 1 + sum((t.qty - t.commission for t in trades), Decimal(0))
