"""An exchange whose prices stand still, and ccxt's own binance class talking to it."""

import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from workbench.simulated_exchange.binance_api import BinanceApi, Request
from workbench.simulated_exchange.market import FrozenPrices, Market
from workbench.simulated_exchange.matching_engine import MatchingEngine, epoch_ms
from workbench.simulated_exchange.server import ExchangeServer

FIRST_PRICES = {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_500), "XRPUSDT": Decimal("0.5")}
KEY = "k" * 64
SECRET = "a secret"
BALANCES = {"USDT": Decimal(10_000), "BTC": Decimal(1)}
SHARED_DATA = Path(__file__).parents[3] / ".." / "shared" / "data"

type Connect = Callable[..., Any]


@dataclass
class Exchange:
    market: Market
    books: MatchingEngine
    server: ExchangeServer
    now_ms: int
    key: str = KEY
    secret: str = SECRET


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    market = Market.with_default_filters(FIRST_PRICES, FrozenPrices())
    books = MatchingEngine(market, partial_fill_probability=Decimal(0), clock=lambda: running.now_ms)
    with ExchangeServer(BinanceApi(books)) as server:
        running = Exchange(market, books, server, now_ms=1_700_000_000_000)
        books.open_account(KEY, SECRET, BALANCES)
        yield running


@dataclass
class Door:
    """Asks the API itself, without a server: what it answers, and with which headers."""

    api: BinanceApi
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, **parameters: object) -> Any:
        """What ``GET`` of a public path answers."""
        return self._answer(Request("GET", path, query=urlencode(parameters)))

    def signed(self, method: str, path: str, **parameters: object) -> Any:
        """What a request with the key answers."""
        query = urlencode({"timestamp": epoch_ms(), **parameters})
        signature = hmac.digest(SECRET.encode(), query.encode(), "sha256").hex()
        return self._answer(
            Request(method, path, query=f"{query}&signature={signature}", headers={"x-mbx-apikey": KEY})
        )

    def unsigned(self, query: str) -> Any:
        """What a signed path answers to exactly this query, sent with the key."""
        return self._answer(Request("GET", "/api/v3/account", query=query, headers={"x-mbx-apikey": KEY}))

    def order(self, **changes: object) -> Any:
        """What placing an order answers: a buy that rests, unless ``changes`` say otherwise."""
        wanted = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.001",
            "price": "39000",
        }
        return self.signed("POST", "/api/v3/order", **wanted | changes)

    def _answer(self, request: Request) -> Any:
        reply = self.api.answer(request)
        self.headers = dict(reply.headers)
        return json.loads(reply.text)


@pytest.fixture
def door() -> Door:
    """An exchange whose prices and clock stand still, without limits."""
    market = Market.with_default_filters(FIRST_PRICES, FrozenPrices())
    books = MatchingEngine(market, partial_fill_probability=Decimal(0), clock=lambda: 1_700_000_000_000)
    books.open_account(KEY, SECRET, BALANCES)
    return Door(BinanceApi(books))


@pytest.fixture
def ccxt_client() -> Iterator[Connect]:
    """Makes ccxt clients of (url, key, secret), and closes their sessions."""
    clients = []

    def make(url: str, key: str, secret: str) -> Any:
        client = _client(url, key, secret)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.session.close()


@pytest.fixture
def connect(exchange: Exchange, ccxt_client: Connect) -> Connect:
    def connect_client(key: str = KEY, secret: str = SECRET) -> Any:
        return ccxt_client(exchange.server.url, key, secret)

    return connect_client


@pytest.fixture
def client(connect: Connect) -> Any:
    return connect()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the recorded data beside the repository (../shared/data) is not here")
    return SHARED_DATA


def _client(url: str, key: str, secret: str) -> Any:
    # By its own module: where a stand-in has taken the package's place, that has no classes of exchanges.
    client = import_module("ccxt.binance").binance(
        {
            "apiKey": key,
            "secret": secret,
            "enableRateLimit": False,
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
            },
        }
    )
    client.number = str
    client.urls["api"].update(public=f"{url}/api/v3", private=f"{url}/api/v3", sapi=f"{url}/sapi/v1")
    return client
