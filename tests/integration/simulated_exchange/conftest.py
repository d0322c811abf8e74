"""An exchange whose prices stand still, and ccxt's own binance class talking to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest

from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.market import FrozenPrices, Market
from workbench.simulated_exchange.matching_engine import MatchingEngine
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
    client = ccxt.binance(
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
