"""An exchange that fails as a test tells it to, and ccxt's own class behind the adapter talking to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from botbalance.exchange.adapter import OrderRequest, SubmitResult
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.fixtures.running import running_emulator
from workbench.faults.exchange import FaultyExchange
from workbench.faults.injector import Fault, Injector
from workbench.simulated_exchange.binance_api import Reply, Request
from workbench.simulated_exchange.market import FrozenPrices, Market
from workbench.simulated_exchange.matching_engine import MatchingEngine, Order
from workbench.simulated_exchange.server import ExchangeServer

FIRST_PRICES = {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_500), "XRPUSDT": Decimal("0.5")}
KEY, OTHER_KEY = "k" * 64, "o" * 64
SECRET = "a secret"
BALANCES = {"USDT": Decimal(10_000), "BTC": Decimal(1)}
START = 1_700_000_010
CLIENT_ID = "0123456789abcdef0123"


@dataclass
class Observed:
    """What the exchange's observer was told of one request."""

    request: Request
    reply: Reply | None
    fault: Fault | None


@dataclass
class Exchange:
    """``now`` in epoch seconds stands still unless a test moves it."""

    now: int = START
    observed: list[Observed] = field(default_factory=list)
    adapters: list[CcxtAdapter] = field(default_factory=list)
    url: str = ""
    on_request: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.market = Market.with_default_filters(FIRST_PRICES, FrozenPrices(start_ms=START * 1000))
        self.books = MatchingEngine(self.market, partial_fill_probability=Decimal(0), clock=lambda: self.now * 1000)
        for key in (KEY, OTHER_KEY):
            self.books.open_account(key, SECRET, BALANCES)
        self.injector = Injector(lambda: self.now)
        self.api = FaultyExchange(self.books, self.injector, self.observe)

    def observe(self, request: Request, reply: Reply | None, fault: Fault | None) -> None:
        self.observed.append(Observed(request, reply, fault))
        self.on_request()

    def connect(self, key: str = KEY, *, timeout_s: float = 10) -> CcxtAdapter:
        """An adapter that knows the markets already and waits for nothing between its attempts."""
        adapter = CcxtAdapter(
            "binance", api_key=key, secret=SECRET, base_url=self.url, timeout_s=timeout_s, sleep=lambda _: None
        )
        self.adapters.append(adapter)
        adapter.load_listings(list(adapter.market_listings(FIRST_PRICES).values()))
        self.observed.clear()
        return adapter

    def orders(self, key: str = KEY) -> list[Order]:
        return self.books.orders(key)


def place(adapter: CcxtAdapter, client_order_id: str = CLIENT_ID, symbol: str = "BTCUSDT") -> SubmitResult:
    """Send an order to buy that rests: 0.01 BTC at 39,000, or what costs as much."""
    price = {"BTCUSDT": Decimal(39_000), "ETHUSDT": Decimal(2_400)}[symbol]
    return adapter.place_order(OrderRequest(symbol, "buy", price, Decimal("0.02"), client_order_id, post_only=True))


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    running = Exchange()
    with ExchangeServer(running.api) as server:
        running.url = server.url
        yield running
        for adapter in running.adapters:
            adapter.close()


@pytest.fixture
def trader(exchange: Exchange) -> CcxtAdapter:
    return exchange.connect()


@pytest.fixture(scope="session")
def ministack() -> Iterator[str]:
    """The URL of a DynamoDB and a KMS outside of this process."""
    with running_emulator() as url:
        yield url
