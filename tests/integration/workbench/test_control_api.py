"""What only a simulated exchange lets anybody do, asked over HTTP beside Binance's routes."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from botbalance.engine import Balance
from botbalance.errors import InvalidRequestError, TransientError

from workbench.aws.template import Route
from workbench.local.api_gateway import ApiGateway
from workbench.local.lambda_runtime import LambdaRuntime
from workbench.portfolios.demo import FIRST_PRICES
from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.control_api import ControlApi
from workbench.simulated_exchange.control_client import ControlClient
from workbench.simulated_exchange.matching_engine import NewOrder, OrderType
from workbench.simulated_exchange.recorded_candles import OutOfCandlesError
from workbench.simulated_exchange.server import ExchangeServer
from workbench.simulated_exchange.simulation import Simulation

MONEY = {"USDT": Decimal("10000.000000000000000001"), "BTC": Decimal("1E-18"), "ETH": Decimal(0)}
JSON = {"Content-Type": "application/json"}
type Open = Callable[..., tuple[Simulation, ControlClient]]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens exchanges with the simulation's options, each with a client of its door; closes them all."""
    running: list[tuple[ExchangeServer, ControlClient]] = []

    def open_exchange(**options: Any) -> tuple[Simulation, ControlClient]:
        simulation = Simulation(**options)
        server = ExchangeServer(BinanceApi(simulation.books), more=ControlApi(simulation).routes())
        client = ControlClient(server.start().url)
        running.append((server, client))
        return simulation, client

    yield open_exchange
    for server, client in running:
        client.close()
        server.stop()


def read_prices(client: ControlClient) -> dict[str, Decimal]:
    return {pair.symbol: pair.last_price for pair in client.pairs()}


def test_it_tells_which_exchange_it_is_and_what_a_run_starts_with(opened: Open) -> None:
    simulation, client = opened(speed=3)
    about = client.about()
    assert about.id == simulation.id
    assert (about.speed, about.orders) == (3, 0)
    assert about.strategy == simulation.strategy
    assert about.start_balances == simulation.start_balances
    assert {pair.symbol: (pair.base, pair.quote) for pair in client.pairs()} == {
        f"{asset}USDT": (asset, "USDT") for asset in FIRST_PRICES
    }
    assert opened()[1].about().id != about.id


def test_a_tick_moves_time_by_thirty_seconds_and_the_market_by_its_candles(opened: Open) -> None:
    simulation, client = opened(seed=1)
    before, prices = client.about().now, read_prices(client)
    assert client.next_tick(5) == client.about().now == before + 30
    assert len(simulation.market.candles("BTCUSDT")) == 1 + 5
    assert read_prices(client) == {symbol: simulation.market.last_price(symbol) for symbol in prices}
    assert read_prices(client) != prices


def test_a_tick_of_no_candles_moves_only_the_time(opened: Open) -> None:
    _, client = opened(seed=1)
    before, prices = client.about().now, read_prices(client)
    assert client.next_tick(0) == before + 30
    assert read_prices(client) == prices


def test_the_end_of_the_candles_is_told_once_there_is_nothing_left(opened: Open, tmp_path: Path) -> None:
    rows = [f"{1_500_000_000_000 + minute * 60_000},1,2,1,1,1" for minute in range(3)]
    (tmp_path / "BTCUSDT.csv").write_text("\n".join(rows))
    simulation, client = opened(candles=tmp_path)
    client.next_tick(2)
    client.next_tick(2)
    assert len(simulation.market.candles("BTCUSDT")) == 1 + 3
    with pytest.raises(OutOfCandlesError, match="all 3 recorded candles"):
        client.next_tick(2)


def test_an_account_is_opened_once_and_kept_as_it_is(opened: Open) -> None:
    simulation, client = opened()
    assert client.open_account("a/key?", "secret", MONEY) == MONEY
    simulation.books.transfer("a/key?", "USDT", Decimal(-1000))
    assert client.open_account("a/key?", "another", {"USDT": Decimal(5)}) == MONEY
    account = simulation.books.account("a/key?")
    assert account is not None
    assert account.secret == "secret"
    assert account.balances["USDT"].free == MONEY["USDT"] - 1000


def test_an_accounts_books_arrive_to_the_last_digit(opened: Open) -> None:
    simulation, client = opened(seed=1)
    client.open_account("key", "secret", MONEY)
    bid, ask = simulation.market.bid_ask("ETHUSDT")
    for number, price in enumerate((ask, bid - 1, bid / 2 // 1)):
        order = NewOrder("ETHUSDT", "buy", OrderType.LIMIT, f"order-{number}", Decimal("0.0123"), price)
        simulation.books.place("key", order)
    simulation.books.cancel("key", "ETHUSDT", client_order_id="order-2")

    booked = client.account_books("key")

    assert client.about().orders == 3
    assert booked.orders == simulation.books.orders("key")
    assert [str(order.price) for order in booked.orders] == [str(o.price) for o in simulation.books.orders("key")]
    assert booked.trades == simulation.books.trades("key") != []
    assert booked.balances == simulation.books.balances("key")
    assert booked.balances["BTC"] == Balance(Decimal("0.000000000000000001"), Decimal(0))


def test_an_unknown_account_has_no_books(opened: Open) -> None:
    _, client = opened()
    with pytest.raises(InvalidRequestError, match="no account has this key"):
        client.account_books("key")


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"candles": -1}', '{"candles": 1, "more": 1}', '{"candles": "x"}'])
def test_what_is_no_tick_moves_nothing(opened: Open, body: str) -> None:
    simulation, client = opened(seed=1)
    before, prices = client.about().now, read_prices(client)
    answer = requests.post(f"{client.url}/simulator/tick", data=body, headers=JSON, timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert (simulation.clock(), read_prices(client)) == (before, prices)


@pytest.mark.parametrize("balances", [{"USDT": "-1"}, {"USDT": "NaN"}, {"USDT": "x"}, []])
def test_an_account_of_less_than_nothing_is_not_opened(opened: Open, balances: Any) -> None:
    simulation, client = opened()
    body = {"secret": "secret", "balances": balances}
    answer = requests.put(f"{client.url}/simulator/accounts/key", json=body, headers=JSON, timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert simulation.books.account("key") is None


def test_binances_routes_are_answered_beside_it(opened: Open) -> None:
    _, client = opened()
    assert requests.get(f"{client.url}/api/v3/ping", timeout=20).json() == {}
    assert requests.get(f"{client.url}/nothing", timeout=20).status_code == 404
    assert requests.get(f"{client.url}/simulator/nothing", timeout=20).status_code == 404


@pytest.mark.parametrize("path", ["/simulator/tick", "/api/v3/order"])
def test_a_client_that_dies_in_the_middle_of_a_request_is_no_error(
    opened: Open, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    _, client = opened()
    before = client.about().now
    with socket.create_connection(("127.0.0.1", int(client.url.rpartition(":")[2])), timeout=20) as dying:
        dying.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        requests.get(f"{client.url}/api/v3/ping", timeout=20)  # by now the other request is being read
    requests.get(f"{client.url}/api/v3/ping", timeout=20)  # and by now it never will be
    assert client.about().now == before
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []


def test_an_exchange_without_the_door_has_none() -> None:
    with ExchangeServer(BinanceApi(Simulation().books)) as server:
        assert requests.get(f"{server.url}/simulator", timeout=20).status_code == 404
        with closing(ControlClient(server.url)) as client, pytest.raises(TransientError, match=server.url):
            client.about()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "http://[::1", "http://127.0.0.1:99999"])
def test_nobody_there_is_told_with_the_address(url: str) -> None:
    with closing(ControlClient(url)) as client, pytest.raises(TransientError, match="no simulated exchange is at"):
        client.about()


def test_something_else_there_is_told_with_the_address() -> None:
    routes = [Route("GET", "/simulator", "tests.integration.workbench.echo.lambda_handler", public=True)]
    gateway = ApiGateway(routes, LambdaRuntime(), dict, port=0, preflight={})
    gateway.start()
    try:
        with closing(ControlClient(gateway.url)) as client, pytest.raises(TransientError, match=gateway.url):
            client.about()
    finally:
        gateway.stop()
