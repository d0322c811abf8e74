"""How a connection ends, as a client of plain HTTP sees it, and that the server holds on to none of them."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, IncompleteRead, RemoteDisconnected
from urllib.parse import urlsplit

import pytest

from tests.integration.faults.conftest import Exchange
from workbench.faults.kinds import FaultKind, Where
from workbench.simulated_exchange.server import ExchangeServer

K = FaultKind
PATH = "/api/v3/ticker/24hr"


def ask(exchange: Exchange, *, timeout: float = 5, whenever_sent: Callable[[], object] = lambda: None) -> bytes:
    connection = HTTPConnection(urlsplit(exchange.url).netloc, timeout=timeout)
    try:
        connection.request("GET", PATH)
        whenever_sent()
        return connection.getresponse().read()
    finally:
        connection.close()


def test_closed_without_a_word(exchange: Exchange) -> None:
    exchange.injector.script(K.NOT_RECEIVED, Where.QUOTES)
    with pytest.raises(RemoteDisconnected):
        ask(exchange)


def test_reset(exchange: Exchange) -> None:
    exchange.injector.script(K.RESET_AFTER, Where.QUOTES)
    with pytest.raises(ConnectionResetError) as raised:
        ask(exchange)
    assert not isinstance(raised.value, RemoteDisconnected)


def test_half_of_what_was_announced(exchange: Exchange) -> None:
    honest = ask(exchange)
    exchange.injector.script(K.TRUNCATED, Where.QUOTES)
    with pytest.raises(IncompleteRead) as raised:
        ask(exchange)
    assert abs(len(honest) - len(raised.value.partial) - (raised.value.expected or 0)) < 20  # its times differ
    assert len(raised.value.partial) == pytest.approx(len(honest) // 2, abs=10)
    assert ask(exchange)


def test_silence(exchange: Exchange) -> None:
    exchange.injector.script(K.TIMEOUT_AFTER, Where.QUOTES)
    with pytest.raises(TimeoutError):
        ask(exchange, timeout=0.2)
    assert ask(exchange)


def test_a_client_in_silence_is_let_go_when_the_server_stops() -> None:
    exchange = Exchange()
    exchange.injector.script(K.TIMEOUT_AFTER, Where.QUOTES)
    with ThreadPoolExecutor(1) as pool:
        with ExchangeServer(exchange.api) as server:
            exchange.url = server.url
            waiting = pool.submit(ask, exchange, timeout=60)
            while not exchange.injector.hits():
                assert not waiting.done()
        with pytest.raises(RemoteDisconnected):
            waiting.result(timeout=30)


def test_no_task_is_left_of_clients_that_gave_up(exchange: Exchange) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    exchange.injector.script(K.TIMEOUT_AFTER, Where.QUOTES, times=5)
    exchange.on_request = lambda: loops.append(asyncio.get_running_loop())
    for number in range(1, 6):
        with socket.create_connection(("127.0.0.1", urlsplit(exchange.url).port or 0), timeout=5) as connection:
            connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: exchange\r\n\r\n".encode())
            while len(exchange.injector.hits()) < number:
                assert len(loops) <= number
    for _ in range(1_000):  # each is a turn in which the server may notice who has gone
        tasks = asyncio.run_coroutine_threadsafe(_tasks(), loops[0]).result(timeout=5)
        if tasks == 2:
            return
    pytest.fail(f"{tasks} tasks are left, expected the server's and the one that counts them")


async def _tasks() -> int:
    return len(asyncio.all_tasks())
