"""Faults at random: the same for the same seed however threads interleave, of every kind, and all accounted for."""

import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from workbench.faults.exchange import FaultyExchange, Violation
from workbench.faults.injector import Fault, Hit, Injector
from workbench.faults.kinds import KINDS, FaultKind, Where
from workbench.simulated_exchange.binance_api import Reply, Request
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.matching_engine import MatchingEngine, epoch_ms
from workbench.simulated_exchange.random_walk import RandomWalk

START, TICK_S = 1_700_000_010, 30
KEYS = [letter * 64 for letter in "abcdefgh"]
SECRET = "a secret"
AWS = {
    Where.DATABASE_READ,
    Where.DATABASE_WRITE,
    Where.TRANSACTION,
    Where.BATCH_READ,
    Where.BATCH_WRITE,
    Where.DECRYPTION,
}
EXCHANGE_KINDS = tuple(kind for kind in KINDS if not KINDS[kind].where & AWS)


@dataclass
class Run:
    """A run of several users who each trade a little in every tick."""

    seed: int
    rate: float = 0.2
    kinds: Iterable[FaultKind] = EXCHANGE_KINDS
    now: int = START
    observed: list[tuple[Request, Reply | None, Fault | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        first_prices = {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_500)}
        self.market = Market.with_default_filters(first_prices, RandomWalk(seed=1, volatility=0.004))
        self.books = MatchingEngine(self.market, partial_fill_probability=Decimal("0.5"), clock=lambda: self.now * 1000)
        self.injector = Injector(lambda: self.now, seed=self.seed, kinds=list(self.kinds), rate=self.rate)
        self.api = FaultyExchange(self.books, self.injector, lambda *told: self.observed.append(told))
        for key in KEYS:
            self.books.open_account(key, SECRET, {"USDT": Decimal(100_000), "BTC": Decimal(1)})

    def ticks(self, number: int, all_users: Callable[[Callable[[str], None]], object]) -> None:
        for _ in range(number):
            self.now += TICK_S
            self.market.advance()
            all_users(self.tick)

    def tick(self, key: str) -> None:
        """Look, cancel what rests, place an order, look what became of it."""
        self._get("/api/v3/ticker/24hr", "")
        self._signed("GET", "/api/v3/openOrders", key)
        self._signed("GET", "/api/v3/account", key)
        for order in [order for order in self.books.open_orders(key) if self.now * 1000 - order.time > 60_000]:
            asked = f"symbol={order.symbol}&origClientOrderId={order.client_order_id}"
            self._signed("DELETE", "/api/v3/order", key, asked)
        for symbol, price in (("BTCUSDT", 39_990), ("ETHUSDT", 2_499)):
            wanted = f"symbol={symbol}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price={price}"
            named = f"{wanted}&newClientOrderId={symbol}-{self.now}"
            self._signed("POST", "/api/v3/order", key, named)
            asked = f"symbol={symbol}&origClientOrderId={symbol}-{self.now}"
            self._signed("GET", "/api/v3/order", key, asked)
            self._signed("GET", "/api/v3/myTrades", key, f"symbol={symbol}")

    def _get(self, path: str, query: str, key: str | None = None, method: str = "GET") -> None:
        headers = {} if key is None else {"x-mbx-apikey": key}
        self.api.outcome(Request(method, path, query, headers=headers))

    def _signed(self, method: str, path: str, key: str, asked: str = "") -> None:
        query = f"{asked}&timestamp={epoch_ms()}".removeprefix("&")
        signature = hmac.digest(SECRET.encode(), query.encode(), "sha256").hex()
        self._get(path, f"{query}&signature={signature}", key, method)

    def met_by(self, key: str) -> list[Hit]:
        return [hit for hit in self.injector.hits() if hit.subject == key]

    def traded_by(self, key: str) -> list[tuple[Any, ...]]:
        """What the user has to show for it, without the numbers that the exchange gives to orders as they come."""
        orders = self.books.orders(key)
        return [(o.client_order_id, o.status, o.executed_qty, o.executed_quote, o.update_time) for o in orders]

    def broken_by(self, key: str) -> list[tuple[Any, ...]]:
        return [_violation(violation) for violation in self.api.violations() if violation.subject == key]


def _violation(violation: Violation) -> tuple[Any, ...]:
    return violation.limit.fault.kind, violation.limit.until, violation.path, violation.at


def one_after_the_other(tick: Callable[[str], None]) -> None:
    for key in KEYS:
        tick(key)


def in_threads(tick: Callable[[str], None]) -> None:
    with ThreadPoolExecutor(len(KEYS)) as pool:
        list(pool.map(tick, KEYS))


def shuffled(seed: int) -> Callable[[Callable[[str], None]], None]:
    """The users in another order in every tick."""
    random = Random(seed)

    def every(tick: Callable[[str], None]) -> None:
        for key in random.sample(KEYS, len(KEYS)):
            tick(key)

    return every


def ran(ticks: int, all_users: Callable[[Callable[[str], None]], object], **options: Any) -> Run:
    run = Run(**options)
    run.ticks(ticks, all_users)
    return run


@pytest.mark.parametrize("seed", [1, 2])
def test_what_happens_to_a_user_does_not_depend_on_the_others(seed: int) -> None:
    runs = [ran(25, order, seed=seed) for order in (one_after_the_other, in_threads, in_threads, shuffled(seed))]
    assert len(runs[0].injector.hits()) > 100
    for run in runs[1:]:
        for key in KEYS:
            assert run.met_by(key) == runs[0].met_by(key)
            assert run.broken_by(key) == runs[0].broken_by(key)
            assert run.traded_by(key) == runs[0].traded_by(key)
            assert run.books.balances(key) == runs[0].books.balances(key)


def test_users_and_seeds_differ() -> None:
    one, other = ran(15, one_after_the_other, seed=1), ran(15, one_after_the_other, seed=2)
    met = [[(hit.fault, hit.path, hit.at) for hit in run.met_by(key)] for run in (one, other) for key in KEYS]
    assert all(met)
    assert all(one != other for number, one in enumerate(met) for other in met[:number])


def test_a_user_meets_the_same_whoever_else_is_there() -> None:
    """Save a ban, which is everybody's."""
    kinds = set(EXCHANGE_KINDS) - {FaultKind.BANNED}
    all_there, alone = ran(25, one_after_the_other, seed=3, kinds=kinds), Run(seed=3, kinds=kinds)
    alone.ticks(25, lambda tick: tick(KEYS[3]))
    assert alone.met_by(KEYS[3]) == all_there.met_by(KEYS[3]) != []
    assert alone.traded_by(KEYS[3]) == all_there.traded_by(KEYS[3])


def test_what_all_share_is_struck_alike_all_through_a_tick() -> None:
    run = ran(40, in_threads, seed=1, kinds=[FaultKind.SERVER_ERROR])
    struck = Counter(hit.at for hit in run.injector.hits() if hit.subject is None)
    assert set(struck.values()) == {len(KEYS)}
    assert 1 < len(struck) < 39


@pytest.mark.parametrize("kind", EXCHANGE_KINDS)
def test_every_kind_strikes_at_random_in_all_its_variants(kind: FaultKind) -> None:
    run = Run(seed=4, rate=0.5, kinds=[kind])
    met: set[str] = set()
    for _ in range(60):
        run.ticks(1, one_after_the_other)
        met |= {hit.fault.variant for hit in run.injector.hits()}
        if met == set(KINDS[kind].variants):
            return
    pytest.fail(f"{kind} came in {sorted(met)}, expected {KINDS[kind].variants}")


def test_all_kinds_strike_in_one_run() -> None:
    run = ran(150, one_after_the_other, seed=11, rate=0.3)
    assert run.injector.counts().keys() == set(EXCHANGE_KINDS)


def test_counts_hits_and_observations_agree() -> None:
    run = ran(30, in_threads, seed=5)
    limited = {FaultKind.LIMITED, FaultKind.BANNED}
    seen = Counter(fault.kind for _, _, fault in run.observed if fault is not None)
    counts = run.injector.counts()
    assert {kind: seen[kind] for kind in seen if kind not in limited} == {
        kind: counts[kind] for kind in counts if kind not in limited
    }
    assert sum(seen[kind] for kind in limited) == len(run.api.violations()) + sum(counts[kind] for kind in limited)
    assert run.injector.counts().total() == len(run.injector.hits())
    per_user = 9
    assert len(run.observed) >= 30 * len(KEYS) * per_user


def test_about_as_many_are_struck_as_asked_for() -> None:
    run = ran(40, one_after_the_other, seed=6, rate=0.1, kinds=[FaultKind.SERVER_ERROR])
    assert len(run.injector.hits()) / len(run.observed) == pytest.approx(0.1, abs=0.02)


def test_stopped_in_the_middle_everything_is_honest() -> None:
    run = ran(10, in_threads, seed=7, kinds=set(EXCHANGE_KINDS) - {FaultKind.LIMITED, FaultKind.BANNED})
    run.injector.active = False
    before = len(run.observed), run.injector.hits()
    run.ticks(10, in_threads)
    assert run.injector.hits() == before[1] != []
    assert {fault for _, _, fault in run.observed[before[0] :]} == {None}


def test_honest_replies_are_the_exchanges_own() -> None:
    """Beside faults that only lose replies, every order in an honest reply stands in the books just so."""
    run = ran(20, one_after_the_other, seed=8)
    for request, reply, fault in run.observed:
        if fault is None and request.path == "/api/v3/order" and request.method == "POST":
            assert reply is not None
            told = json.loads(reply.text)
            if reply.status == 200:
                order = run.books.find(request.api_key or "", told["symbol"], order_id=told["orderId"])
                assert order.client_order_id == told["clientOrderId"]


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to 1"):
        Injector(lambda: 0, rate=rate)
