"""A key and what it signed go to the exchange that was asked, and nowhere else: no redirect, no plain http."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, get_args

import pytest
from botbalance.api.fields import Exchange
from botbalance.errors import BotBalanceError, TransientError
from botbalance.exchange.adapter import OrderRequest, OrderUnknown
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.simulated import running_exchange

KEYS: dict[str, dict[str, str]] = {
    "coinbase": {"api_key": "organizations/k" * 3, "secret": "s" * 40},
}
REDIRECTS = [301, 302, 303, 307, 308]
EXCHANGES = get_args(Exchange)


class Elsewhere:
    """A server that redirects everything to another, a thief; its reply looks like content."""

    def __init__(self) -> None:
        self.status = 307
        self.asked: list[str] = []
        self.stolen: list[str] = []
        elsewhere = self

        class Thief(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                elsewhere.stolen.append(f"{self.command} {self.path} {dict(self.headers)}")
                self.send_response(200)
                self.end_headers()

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the library's names

            def log_message(self, *_: Any) -> None:
                pass

        class Redirector(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                elsewhere.asked.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b'[{"orderId": 1}]'
                self.send_response(elsewhere.status)
                self.send_header("Location", f"{elsewhere.thief_url}{self.path}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Redirector, Thief)]
        self.url, self.thief_url = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)
        for server in self._servers:
            Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Elsewhere]:
    with closing(Elsewhere()) as elsewhere:
        yield elsewhere


@pytest.fixture
def elsewhere(server: Elsewhere) -> Elsewhere:
    server.asked.clear()
    server.stolen.clear()
    server.status = 307
    return server


def make_adapter(name: str, url: str) -> CcxtAdapter:
    key: Any = KEYS.get(name, {"api_key": "k" * 32, "secret": "c2VjcmV0" * 4, "password": "p"})
    return CcxtAdapter(name, base_url=url, sleep=lambda _: None, timeout_s=2, **key)


@pytest.mark.parametrize("name", EXCHANGES)
def test_no_exchange_is_followed_elsewhere(name: str, elsewhere: Elsewhere) -> None:
    with closing(make_adapter(name, elsewhere.url)) as adapter:
        if name != "coinbase":  # whose requests are signed with an elliptic curve's key, which this is none of
            for read in (adapter.balances, adapter.open_orders):
                with pytest.raises(BotBalanceError):
                    read()
        with pytest.raises(TransientError, match=f"{name} answers from another address"):
            adapter.market_listings(["BTCUSDT"])
    assert elsewhere.asked
    assert elsewhere.stolen == []


@pytest.mark.parametrize("status", REDIRECTS)
def test_whatever_kind_of_redirect_it_is(elsewhere: Elsewhere, status: int) -> None:
    elsewhere.status = status
    with closing(make_adapter("binance", elsewhere.url)) as adapter:
        with pytest.raises(TransientError) as raised:
            adapter.open_orders()
        assert raised.value.code == "exchange_redirects"
    assert len(elsewhere.asked) == 1
    assert elsewhere.stolen == []


def test_an_order_that_was_redirected_is_unknown_and_was_sent_once(elsewhere: Elsewhere, listed: Any) -> None:
    with closing(make_adapter("binance", elsewhere.url)) as adapter:
        adapter.load_listings(listed)
        sent = adapter.place_order(
            OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), "0" * 20, post_only=True)
        )
        assert isinstance(sent, OrderUnknown)
        with pytest.raises(TransientError, match="another address"):
            adapter.cancel_order("BTCUSDT", "0" * 20)
    assert [request.split("?")[0] for request in elsewhere.asked] == ["POST /api/v3/order", "DELETE /api/v3/order"]
    assert elsewhere.stolen == []


@pytest.mark.parametrize("host", ["exchange.invalid", "127.0.0.1.invalid", "10.0.0.1"])
def test_nothing_is_sent_unencrypted_to_another_machine(host: str) -> None:
    with closing(make_adapter("binance", f"http://{host}:9")) as adapter:
        with pytest.raises(TransientError) as raised:
            adapter.balances()
        assert raised.value.code == "plain_http_refused"
        assert f"nothing is sent to {host} over http" in str(raised.value)


@pytest.fixture
def listed() -> Any:
    with running_exchange() as exchange:
        return list(exchange.connect().market_listings(["BTCUSDT"]).values())
