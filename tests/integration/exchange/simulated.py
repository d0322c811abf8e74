"""A simulated exchange that counts its requests and misbehaves where a test asks it to."""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Self

from aiohttp import web
from botbalance.exchange.adapter import RateLimiter
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from workbench.simulated_exchange.binance_api import BinanceApi, Reply, Request
from workbench.simulated_exchange.market import FrozenPrices, Market
from workbench.simulated_exchange.matching_engine import MatchingEngine, epoch_ms
from workbench.simulated_exchange.server import ExchangeServer

FIRST_PRICES = {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_500), "XRPUSDT": Decimal("0.5")}
KEY = "k" * 64
SECRET = "a secret"
BALANCES = {"USDT": Decimal(10_000), "BTC": Decimal(1)}
SOME_MS = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """What an endpoint does instead of answering: ``reply``, or closing the connection where that is None.

    ``after_effect`` lets the request have its effect first; ``times`` is how often it happens (0: always).
    """

    reply: Reply | None = None
    after_effect: bool = False
    times: int = 0

    @classmethod
    def body(cls, text: str, *, after_effect: bool = False, content_type: str = "application/json") -> Self:
        """HTTP 200 with ``text`` as its body."""
        return cls(Reply(200, text, content_type), after_effect=after_effect)

    @classmethod
    def error(cls, status: int, text: str = "", *, times: int = 0, retry_after: str | None = None) -> Self:
        """An HTTP error, with the header Retry-After where there is one."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return cls(Reply(status, text, headers=headers), times=times)


class MisbehavingApi(BinanceApi):
    """``faults`` by method and path, ``everywhere`` for the rest; ``requests`` are all that came.

    A path may have its query's symbol with it, as in ``/api/v3/klines?symbol=BTCUSDT``.
    """

    def __init__(self, books: MatchingEngine) -> None:
        super().__init__(books)
        self.requests: list[Request] = []
        self.faults: dict[tuple[str, str], Fault] = {}
        self.everywhere: Fault | None = None

    def count(self, method: str, path: str) -> int:
        """How many requests came to an endpoint."""
        return sum((request.method, request.path) == (method, path) for request in self.requests)

    def answer_to(self, path: str, query: str = "", *, signed_by: str | None = None) -> str:
        """The body that a GET of ``path`` is answered with, for a test to distort; as ``signed_by`` for an account."""
        if signed_by is not None:
            account = self.books.account(signed_by)
            assert account is not None
            parameters = f"{query}&timestamp={epoch_ms()}".removeprefix("&")
            signature = hmac.digest(account.secret.encode(), parameters.encode(), "sha256").hex()
            query = f"{parameters}&signature={signature}"
        reply = self.answer(Request("GET", path, query, headers={"x-mbx-apikey": signed_by or ""}))
        assert reply.status == 200, reply.text
        return reply.text

    async def serve(self, incoming: web.Request) -> web.StreamResponse:
        path, _, query = incoming.raw_path.partition("?")
        self.requests.append(Request(incoming.method, path, query, (await incoming.read()).decode()))
        where = (incoming.method, f"{path}?symbol={incoming.query.get('symbol', '')}")
        if where not in self.faults:
            where = (incoming.method, path)
        fault = self.faults.get(where, self.everywhere)
        if fault is None:
            return await super().serve(incoming)
        if fault.times == 1:
            del self.faults[where]
        elif fault.times:
            self.faults[where] = replace(fault, times=fault.times - 1)
        if fault.after_effect:
            await super().serve(incoming)
        if fault.reply is None:
            if incoming.transport is not None:
                incoming.transport.close()
            return web.Response()
        said = fault.reply
        return web.Response(status=said.status, text=said.text, content_type=said.content_type, headers=said.headers)


@dataclass
class Exchange:
    """A running simulated exchange; ``connect`` makes adapters, which are closed with it.

    ``slept`` are the waits that they asked for; nobody waits.
    """

    market: Market
    books: MatchingEngine
    api: MisbehavingApi
    url: str
    adapters: list[CcxtAdapter] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def connect(
        self,
        api_key: str = KEY,
        secret: str = SECRET,
        *,
        name: str = "binance",
        rate_limiter: RateLimiter | None = None,
        timeout_s: float = 10,
    ) -> CcxtAdapter:
        """An adapter with that key; of another exchange's class where ``name`` says so."""
        adapter = CcxtAdapter(
            name,
            api_key=api_key,
            secret=secret,
            password="a password",
            base_url=self.url,
            rate_limiter=rate_limiter,
            timeout_s=timeout_s,
            sleep=self.slept.append,
        )
        self.adapters.append(adapter)
        return adapter

    def trader(
        self,
        api_key: str = KEY,
        secret: str = SECRET,
        *,
        rate_limiter: RateLimiter | None = None,
        timeout_s: float = 10,
    ) -> CcxtAdapter:
        """An adapter that knows the markets already; the requests for that are not counted."""
        adapter = self.connect(api_key, secret, rate_limiter=rate_limiter, timeout_s=timeout_s)
        adapter.load_listings(list(adapter.market_listings(self.market.specs).values()))
        self.api.requests.clear()
        return adapter


@contextmanager
def running_exchange(market: Market | None = None) -> Iterator[Exchange]:
    """A simulated exchange on loopback whose prices stand still, with one account."""
    market = market or Market.with_default_filters(FIRST_PRICES, FrozenPrices(start_ms=SOME_MS))
    books = MatchingEngine(market, partial_fill_probability=Decimal(0), clock=lambda: SOME_MS)
    books.open_account(KEY, SECRET, BALANCES)
    api = MisbehavingApi(books)
    with ExchangeServer(api) as server:
        exchange = Exchange(market, books, api, server.url)
        yield exchange
        for adapter in exchange.adapters:
            adapter.close()
