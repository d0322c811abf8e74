"""One user's world: an exchange that can be made to fail, and the real services between it and the tables."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto
from itertools import count
from typing import Any

from aiohttp import web
from botbalance.bootstrap import Services
from botbalance.exchange.client_ids import canonical_client_order_id
from botbalance.settings import read_settings
from botbalance.store.credentials import ExchangeKey
from botbalance.store.decisions import Decision
from botbalance.store.orders import Order, OrderStatus
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import Desk
from botbalance.trading.strategy import change_strategy, switch_autopilot
from botbalance.trading.tick import strategy_tick

from workbench.exchange.binance_api import BinanceApi
from workbench.exchange.books import Books
from workbench.exchange.books import Order as BookedOrder
from workbench.exchange.market import FrozenPrices, Market
from workbench.exchange.server import ExchangeServer

FIRST_PRICES = {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_500), "XRPUSDT": Decimal("0.5")}
TARGETS = {"BTC": "30", "ETH": "30", "XRP": "20", "USDT": "20"}
"""Of an account that is all quote, so that a first decision buys all three."""
TEN_THOUSAND_USDT = {"USDT": Decimal(10_000)}
START = 1_700_000_010
DAY_S = 86_400
_WORLDS = count()
ORDER_PATH = "/api/v3/order"


class Fault(Enum):
    """What goes wrong with one request to the exchange."""

    NONE = auto()
    NOT_RECEIVED = auto()
    """The connection breaks before the exchange has read the request."""
    REPLY_LOST = auto()
    """The exchange does what it was asked to do; the connection breaks before it answers."""
    LIMITED = auto()
    """The exchange wants no more requests for a minute: 429."""


@dataclass(frozen=True)
class Seen:
    """A request that reached the exchange's door; ``text`` is its query and body."""

    method: str
    path: str
    text: str

    def is_order_for(self, symbol: str) -> bool:
        return self.method == "POST" and self.path == ORDER_PATH and f"symbol={symbol}" in self.text

    def is_about_order_on(self, symbol: str) -> bool:
        return self.path == ORDER_PATH and f"symbol={symbol}" in self.text


class Door(BinanceApi):
    """The exchange's API; it notes every request and lets ``fault_of`` break some."""

    def __init__(self, books: Books) -> None:
        super().__init__(books)
        self.seen: list[Seen] = []
        self.fault_of: Callable[[Seen], Fault] = lambda _: Fault.NONE

    async def serve(self, incoming: web.Request) -> web.StreamResponse:
        seen = Seen(incoming.method, incoming.path, incoming.query_string + "&" + await incoming.text())
        self.seen.append(seen)
        fault = self.fault_of(seen)
        if fault is Fault.NOT_RECEIVED:
            _hang_up(incoming)
            return web.Response()
        if fault is Fault.LIMITED:
            refusal = {"code": -1003, "msg": "Too many requests."}
            return web.json_response(refusal, status=429, headers={"Retry-After": "60"})
        reply = await super().serve(incoming)
        if fault is Fault.REPLY_LOST:
            _hang_up(incoming)
        return reply

    def orders_sent(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == "POST"]


def _hang_up(incoming: web.Request) -> None:
    if incoming.transport is not None:
        incoming.transport.abort()


@dataclass
class World:
    """Time stands still unless a test moves ``now`` (epoch seconds); ``slept`` are the waits that were asked for."""

    market: Market
    books: Books
    door: Door
    services: Services
    user: str
    now: int
    slept: list[float] = field(default_factory=list)

    @property
    def desk(self) -> Desk:
        return self.services.desk

    @property
    def key(self) -> str:
        return f"key-of-{self.user}"

    def open_account(self, user: str, balances: Mapping[str, Decimal]) -> None:
        """An account on the exchange for ``user``, its key stored here."""
        self.books.open_account(f"key-of-{user}", f"secret-of-{user}", balances)
        self.services.credentials.save(user, "binance", ExchangeKey(f"key-of-{user}", f"secret-of-{user}"), self.now)

    def set_strategy(
        self, targets: Mapping[str, str] | None = None, *, user: str | None = None, autopilot: bool = True, **more: Any
    ) -> Strategy:
        parameters: dict[str, Any] = {
            "target_allocations": {asset: Decimal(share) for asset, share in (targets or TARGETS).items()},
            "quote_asset": "USDT",
            "exchange": "binance",
            "order_size_pct": Decimal(2),
            "order_step_pct": Decimal("0.4"),
            "min_delta_quote": Decimal(50),
        }
        change_strategy(self.desk, user or self.user, parameters | more)
        return switch_autopilot(self.desk, user or self.user, enabled=autopilot)

    def tick(self, seconds: int = 30) -> Decision:
        """Go on by ``seconds`` and tick the user there; the tick must be decided or skipped with a reason."""
        self.now += seconds
        decision = strategy_tick(self.desk, self.user, self.now)
        assert decision is not None
        return decision

    def orders(self, user: str | None = None) -> list[Order]:
        """Ours, newest first."""
        return list(self.desk.orders.every(user or self.user))

    def order_on(self, symbol: str) -> Order:
        """The one that there is on ``symbol``."""
        (order,) = [order for order in self.orders() if order.symbol == symbol]
        return order

    def booked(self, user: str | None = None) -> list[BookedOrder]:
        """The exchange's, oldest first."""
        return self.books.orders(f"key-of-{user or self.user}")

    def intent(self, symbol: str, *, limit_price: str, base_qty: str, ts_tick: int | None = None) -> Order:
        """An intent to buy, not written anywhere yet."""
        ts_tick = self.now if ts_tick is None else ts_tick
        return Order(
            user_id=self.user,
            client_order_id=canonical_client_order_id(self.user, symbol, "buy", ts_tick, 0),
            exchange="binance",
            symbol=symbol,
            base=symbol.removesuffix("USDT"),
            quote="USDT",
            side="buy",
            limit_price=Decimal(limit_price),
            base_qty=Decimal(base_qty),
            quote_amount=Decimal(200),
            source="autopilot",
            ts_tick=ts_tick,
            order_index=0,
            placed_at=ts_tick,
            updated_at=ts_tick,
        )

    def statuses(self) -> dict[str, OrderStatus]:
        return {order.symbol: order.status for order in self.orders()}


@contextmanager
def new_world(environment: Mapping[str, str], user: str, **settings: str) -> Iterator[World]:
    """A world for ``user``, who has no account and no strategy yet; ``settings`` are environment variables.

    Every world is in a month of its own, so that what one leaves in the cache has long expired in the next.
    """
    market = Market.with_default_filters(FIRST_PRICES, FrozenPrices())
    books = Books(market, partial_fill_probability=Decimal(0), clock=lambda: world.now * 1000)
    door = Door(books)
    slept: list[float] = []
    with ExchangeServer(door) as server:
        services = Services(
            read_settings({**environment, "EXCHANGE_BASE_URL": server.url, **settings}),
            clock=lambda: world.now,
            sleep=slept.append,
        )
        world = World(market, books, door, services, user, now=START + next(_WORLDS) * 30 * DAY_S, slept=slept)
        try:
            yield world
        finally:
            services.close()
