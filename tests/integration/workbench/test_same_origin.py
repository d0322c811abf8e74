"""No page of another origin moves anything on this machine: not the API, its tick or the exchange's control."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from botbalance.errors import InvalidRequestError

from workbench.aws.template import Route
from workbench.local.api_gateway import ApiGateway
from workbench.local.lambda_runtime import LambdaRuntime
from workbench.local.same_origin import require_same_origin
from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.control_api import ControlApi
from workbench.simulated_exchange.server import ExchangeServer
from workbench.simulated_exchange.simulation import Simulation

PAGE = "https://app.example.com"
STRANGERS = ["http://evil.example.com", "https://127.0.0.1", "http://127.0.0.1:1", "null", "", "http://localhost.evil"]
ELSEWHERE = ["evil.example.com", "evil.example.com:80", "127.0.0.1.evil.example.com", "127.0.0.1@evil", "[", ""]


@pytest.fixture(scope="module")
def gateway() -> Iterator[tuple[str, list[int]]]:
    """Its URL, and what its tick and its one route were called for."""
    called: list[int] = []

    def tick() -> dict[str, Any]:
        called.append(1)
        return {}

    route = Route("GET", "/api/me/orders", "tests.integration.workbench.echo.lambda_handler", public=False)
    running = ApiGateway([route], LambdaRuntime(), tick, port=0, preflight={"Access-Control-Allow-Origin": PAGE})
    running.start()
    yield running.url, called
    running.stop()


@pytest.fixture(scope="module")
def exchange() -> Iterator[tuple[str, Simulation]]:
    simulation = Simulation()
    with ExchangeServer(BinanceApi(simulation.books), more=ControlApi(simulation).routes()) as server:
        yield server.url, simulation


@pytest.mark.parametrize(
    "header", [*({"Origin": origin} for origin in STRANGERS), *({"Host": host} for host in ELSEWHERE)]
)
def test_a_page_of_another_origin_is_refused(gateway: tuple[str, list[int]], header: dict[str, str]) -> None:
    url, called = gateway
    for method, path in (("POST", "/local/tick"), ("GET", "/api/me/orders"), ("OPTIONS", "/api/me/orders")):
        answer = requests.request(method, url + path, headers=header, timeout=10)
        assert answer.status_code in {400, 403}, (path, answer.text)
    assert called == []


def test_programs_and_the_server_s_own_pages_are_answered(gateway: tuple[str, list[int]]) -> None:
    url, called = gateway
    port = url.rpartition(":")[2]
    own: list[dict[str, str]] = [
        {},
        {"Origin": url},
        {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"},
        {"Origin": PAGE},
    ]
    for headers in own:
        assert requests.post(f"{url}/local/tick", headers=headers, timeout=10).status_code == 200
        assert requests.get(f"{url}/api/me/orders", headers=headers, timeout=10).status_code == 200
    assert len(called) == len(own)


@pytest.mark.parametrize(
    "header", [*({"Origin": origin} for origin in STRANGERS), *({"Host": host} for host in ELSEWHERE)]
)
def test_the_exchange_s_control_is_no_page_s(exchange: tuple[str, Simulation], header: dict[str, str]) -> None:
    url, simulation = exchange
    before = simulation.clock()
    json = {"Content-Type": "application/json"}
    for method, path, body in (
        ("POST", "/simulator/tick", '{"candles": 1}'),
        ("PUT", f"/simulator/accounts/{'k' * 64}", '{"secret": "s", "balances": {}}'),
        ("GET", "/simulator/pairs", None),
    ):
        answer = requests.request(method, url + path, data=body, headers=json | header, timeout=10)
        assert answer.status_code in {400, 403}, (path, answer.text)
    assert simulation.clock() == before
    assert simulation.books.account("k" * 64) is None


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_the_exchange_s_control_takes_json_only_as_json(exchange: tuple[str, Simulation], content_type: str) -> None:
    url, simulation = exchange
    before = simulation.clock()
    answer = requests.post(
        f"{url}/simulator/tick", data='{"candles": 1}', headers={"Content-Type": content_type}, timeout=10
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "not_json")
    assert simulation.clock() == before


def test_names_of_this_machine_are_taken_with_any_port() -> None:
    for host in ("127.0.0.1", "127.0.0.1:8000", "localhost:1", "[::1]:9", "LOCALHOST"):
        require_same_origin({"Host": host})
    for host in ELSEWHERE:
        with pytest.raises(InvalidRequestError, match=r"^Host is "):
            require_same_origin({"Host": host})
