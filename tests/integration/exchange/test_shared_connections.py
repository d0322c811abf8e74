"""Many users over few connections: nothing of one's requests leaves with another's."""

import json
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
import requests
from aiohttp import web
from botbalance.exchange import ccxt_client, http_pool
from botbalance.exchange.adapter import OrderRequest
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.exchange.http_pool import HttpPool
from botbalance.exchange.profiles import PROFILES
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from workbench.simulated_exchange.binance_api import BinanceApi, Request, read_request, to_response
from workbench.simulated_exchange.market import FrozenPrices, Market
from workbench.simulated_exchange.matching_engine import MatchingEngine
from workbench.simulated_exchange.server import ExchangeServer

PRICES = {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_500), "XRPUSDT": Decimal("0.5")}
USERS = 24
MOST = 4
CLIENT_ID = "0123456789abcdef0123"


def make_key(user: int) -> str:
    return f"{user:064}"


class WatchedApi(BinanceApi):
    """Knows every connection by its client's port, and leaves each client a cookie that names its key."""

    def __init__(self, books: MatchingEngine) -> None:
        super().__init__(books, weight_limit=1_000_000)
        self.connections: set[int] = set()
        self.requests: list[Request] = []

    async def serve(self, incoming: web.Request) -> web.StreamResponse:
        assert incoming.transport is not None
        self.connections.add(incoming.transport.get_extra_info("peername")[1])
        request = await read_request(incoming)
        self.requests.append(request)
        response = to_response(self.answer(request))
        response.set_cookie("whose", request.api_key or "nobody")
        return response


@pytest.fixture
def api() -> WatchedApi:
    books = MatchingEngine(Market.with_default_filters(PRICES, FrozenPrices()), partial_fill_probability=Decimal(0))
    for user in range(USERS):
        books.open_account(make_key(user), f"secret of {user}", {"USDT": Decimal(1000 + user)})
    return WatchedApi(books)


@pytest.fixture
def url(api: WatchedApi) -> Iterator[str]:
    with ExchangeServer(api) as server:
        yield server.url


@pytest.fixture
def shared() -> Iterator[HttpPool]:
    connections = HttpPool(MOST)
    yield connections
    connections.close_all()


@pytest.fixture
def adapters(url: str, shared: HttpPool) -> list[CcxtAdapter]:
    """One a user, who know the markets."""
    made = [
        CcxtAdapter("binance", api_key=make_key(user), secret=f"secret of {user}", base_url=url, connections=shared)
        for user in range(USERS)
    ]
    listings = list(made[0].market_listings(PRICES).values())
    for adapter in made:
        adapter.load_listings(listings)
    return made


def test_many_adapters_in_many_threads_use_few_connections(adapters: list[CcxtAdapter], api: WatchedApi) -> None:
    with ThreadPoolExecutor(USERS) as pool:
        list(pool.map(CcxtAdapter.balances, adapters))
    assert len(api.requests) == 1 + USERS
    assert 1 <= len(api.connections) <= MOST


def test_one_after_the_other_they_use_one(adapters: list[CcxtAdapter], api: WatchedApi) -> None:
    for adapter in adapters:
        adapter.balances()
    assert len(api.connections) == 1


def test_every_request_is_signed_with_its_own_user_s_key(adapters: list[CcxtAdapter], api: WatchedApi) -> None:
    """The exchange refuses a signature that is not the key's, and the holdings tell whose key it was."""
    together = Barrier(USERS)

    def trade(user: int) -> None:
        adapter = adapters[user]
        together.wait()
        for number in range(8):
            held = adapter.balances()["USDT"]
            assert held.free + held.locked == 1000 + user
            client_id = f"{user}of{number}"
            placed = adapter.place_order(
                OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.001"), client_id, post_only=True)
            )
            assert type(placed).__name__ == "OrderAccepted", placed
            assert [order.client_order_id for order in adapter.open_orders()] == [client_id]
            adapter.cancel_order("BTCUSDT", client_id)

    with ThreadPoolExecutor(USERS) as pool:
        list(pool.map(trade, range(USERS)))
    for user in range(USERS):
        ids = {order.client_order_id for order in api.books.orders(make_key(user))}
        assert ids == {f"{user}of{number}" for number in range(8)}
        assert api.weight_used[make_key(user)] == 8 * (20 + 1 + 80 + 1)
    assert [request for request in api.requests if "cookie" in request.headers] == []
    assert len(api.connections) <= MOST


def test_no_cookie_is_kept(shared: HttpPool, url: str, api: WatchedApi) -> None:
    for _ in range(2):
        assert "whose=nobody" in shared.request("GET", f"{url}/api/v3/ping", timeout=5).headers["Set-Cookie"]
    assert [request.headers.get("cookie") for request in api.requests] == [None, None]
    assert len(api.connections) == 1


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("GET", "", None),
        ("GET", "symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D&signature=0f", None),
        ("GET", 'symbols=["BTCUSDT"]&note=a b~c%c3%a9\N{LATIN SMALL LETTER E WITH ACUTE}', None),
        ("POST", "", b"symbol=BTCUSDT&side=BUY"),
        ("POST", "symbol=BTCUSDT", None),
        ("PUT", "", b""),
        ("DELETE", "symbol=BTCUSDT", None),
        ("DELETE", "", b'{"order_id": "1"}'),
    ],
)
def test_what_is_sent_is_what_requests_sends(
    shared: HttpPool, url: str, api: WatchedApi, method: str, query: str, body: bytes | None
) -> None:
    """It is requests that ccxt and exchanges are tried with."""
    target = f"{url}/api/v3/ping" + (f"?{query}" if query else "")
    headers = {**shared.headers, "X-MBX-APIKEY": "a key", "Content-Type": "application/x-www-form-urlencoded"}
    with requests.Session() as session:
        session.request(method, target, data=body, headers=headers, timeout=5)
    shared.request(method, target, data=body, headers=headers, timeout=5)
    by_requests, ours = api.requests
    assert ours == by_requests


def test_closing_one_closes_nobody_else_s_connection(
    adapters: list[CcxtAdapter], api: WatchedApi, shared: HttpPool
) -> None:
    adapters[0].balances()
    adapters[0].close()
    adapters.pop(0)._client.close()
    adapters[0].balances()
    assert len(api.connections) == 1
    shared.close_all()
    adapters[0].balances()
    assert len(api.connections) == 2


def test_an_adapter_on_its_own_closes_what_it_opened(url: str, api: WatchedApi) -> None:
    adapter = CcxtAdapter("binance", base_url=url)
    for _ in range(2):
        adapter.clock_offset_ms()
    assert len(api.connections) == 1
    adapter.close()
    adapter.clock_offset_ms()
    adapter.close()
    assert len(api.connections) == 2


# what ccxt knows of an exchange, kept once


def test_clients_share_what_the_exchange_is_and_nothing_that_is_a_user_s(adapters: list[CcxtAdapter]) -> None:
    first, second = vars(adapters[0]._client), vars(adapters[1]._client)
    mutable = {name for name in first.keys() & second.keys() if isinstance(first[name], dict | list)}
    assert {name for name in mutable if first[name] is second[name]} == ccxt_client._SHARED
    assert first["apiKey"] != second["apiKey"]
    for symbol, market in first["markets"].items():
        assert market is second["markets"][symbol]


def test_a_clock_that_is_off_is_one_client_s_alone(adapters: list[CcxtAdapter]) -> None:
    adapters[0]._client.options["timeDifference"] = 5
    adapters[0]._client.options["networks"]["BTC"] = "changed"
    assert adapters[1]._client.options["timeDifference"] == 0
    assert adapters[1]._client.options["networks"]["BTC"] == "BTC"


def test_nothing_that_is_shared_is_ever_changed(adapters: list[CcxtAdapter]) -> None:
    def what_is_shared() -> dict[str, Any]:
        client = vars(adapters[0]._client)
        return {name: client[name] for name in (*ccxt_client._SHARED, "markets", "markets_by_id", "currencies")}

    before = deepcopy(what_is_shared())
    for adapter in adapters[:2]:
        adapter.quotes(PRICES)
        adapter.balances()
        adapter.key_permissions()
        adapter.clock_offset_ms()
        adapter.fees("BTCUSDT")
        adapter.place_order(
            OrderRequest("BTCUSDT", "buy", Decimal(40_100), Decimal("0.001"), CLIENT_ID, post_only=False)
        )
        adapter.place_order(
            OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.001"), CLIENT_ID, post_only=True)
        )
        order = adapter.find_order("BTCUSDT", CLIENT_ID)
        assert order is not None
        adapter.trades("BTCUSDT", order.exchange_order_id)
        adapter.open_orders()
        adapter.cancel_order("BTCUSDT", CLIENT_ID)
        adapter._set_clock()
    assert what_is_shared() == before


def test_markets_joined_from_single_ones_are_what_ccxt_makes_of_all(adapters: list[CcxtAdapter]) -> None:
    listings = adapters[0].market_listings(PRICES)
    for symbols in (["XRPUSDT", "BTCUSDT"], ["ETHUSDT"], list(PRICES)):
        documents = [json.loads(listings[symbol].document) for symbol in symbols]
        by_ccxt = ccxt_client.new_client(PROFILES["binance"])
        by_ccxt.set_markets({document["symbol"]: document for document in documents})
        adapters[1].load_listings([listings[symbol] for symbol in symbols])
        for name in ccxt_client.parsed_market("binance", listings["BTCUSDT"].document):
            joined, expected = getattr(adapters[1]._client, name), getattr(by_ccxt, name)
            assert joined == expected, name
            assert type(joined) is type(expected), name


def test_no_markets_are_none(adapters: list[CcxtAdapter]) -> None:
    adapters[0].load_listings([])
    assert not adapters[0]._client.markets


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """For 127.0.0.1, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a stranger")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ports: set[int]

    def do_GET(self) -> None:
        self.ports.add(self.client_address[1])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger(certificate: Path) -> Iterator[str]:
    """An HTTPS server whose certificate nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    Hello.ports = set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("verify", [True, False])
def test_a_certificate_that_nobody_vouches_for_is_refused(shared: HttpPool, stranger: str, verify: bool) -> None:
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shared.request("GET", stranger, timeout=5, verify=verify)


def test_one_context_serves_every_connection(stranger: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    class Context(ssl.SSLContext):
        def load_verify_locations(self, *files: Any, **more: Any) -> None:
            loaded.append("loaded")
            super().load_verify_locations(*files, **more)

    trusting = Context(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(certificate)
    monkeypatch.setattr(http_pool, "_ssl_context", lambda: trusting)
    with closing(HttpPool(1)) as shared:
        for _ in range(3):
            assert shared.request("GET", stranger, timeout=5).status_code == 200
        assert len(Hello.ports) == 1
        shared.close_all()
        shared.request("GET", stranger, timeout=5)
        shared.close_all()
    assert len(Hello.ports) == 2
    assert loaded == ["loaded"]
