"""The life of orders as hypothesis plays it: whatever may happen, in whatever order.

No rule depends on what has become of the orders so far: where it finds nothing to do, it does nothing.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.integration.life_cycle.order_model import FIRST_PRICES, QUOTE, Life, Run
from tests.integration.life_cycle.worker import TimeResponse
from workbench.faults.kinds import KINDS, FaultKind, Where

WEIGHTS: Mapping[Where, int] = {
    Where.PLACE_ORDER: 5,
    Where.TRANSACTION: 4,
    Where.CANCEL_ORDER: 3,
    Where.FIND_ORDER: 3,
    Where.OPEN_ORDERS: 2,
    Where.TRADES: 2,
    Where.BALANCES: 2,
    Where.QUOTES: 2,
    Where.DATABASE_WRITE: 2,
    Where.DATABASE_READ: 1,
    Where.BATCH_READ: 1,
    Where.BATCH_WRITE: 1,
    Where.DECRYPTION: 1,
    Where.MARKETS: 1,
    Where.TIME: 1,
}
"""How often each kind of request is struck, beside the others. A worker makes no others."""
NEAR_ORDERS = (
    "before POST",
    "after POST",
    "before DELETE",
    "after DELETE",
    "before dynamodb.TransactWriteItems",
    "after dynamodb.TransactWriteItems",
)
"""The boundaries at which the most is at stake."""
TARGETS = [
    {"BTC": 20, "ETH": 30, "XRP": 20, QUOTE: 30},
    {"BTC": 60, "ETH": 30, QUOTE: 10},
    {"XRP": 90, QUOTE: 10},
    {"BTC": 5, "BNB": 45, QUOTE: 50},
    {"ETH": 50, "XRP": 50},
]


class Before(StrEnum):
    """What the market does before a run."""

    NOTHING = "nothing"
    FILLS = "fills"
    """Every resting order fills, so that there is much to place."""
    MOVES = "moves"
    """Every price moves on, so that there is much to cancel."""


@dataclass(frozen=True)
class Fault:
    """A fault for the next ``times`` requests that it fits."""

    kind: FaultKind
    where: Where
    variant: str
    attempts: int
    times: int


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    """Any fault, wherever it may strike."""
    kind = draw(st.sampled_from(list(KINDS)))
    where = draw(
        st.sampled_from(
            [place for place, weight in WEIGHTS.items() for _ in range(weight) if place in KINDS[kind].where]
        )
    )
    variant = draw(st.sampled_from(KINDS[kind].variants))
    attempts = draw(st.integers(1, KINDS[kind].most_attempts))
    return Fault(kind, where, variant, attempts, draw(st.sampled_from([1, 1, 3])))


SYMBOLS = st.sampled_from(sorted(FIRST_PRICES))
SOME_FAULTS = st.lists(faults(), max_size=2)
RUNS = st.sampled_from([Run.TICK, Run.TICK, Run.EXECUTE, Run.CANCEL_EVERY, Run.LIST])
MOMENTS = st.one_of(
    st.builds(TimeResponse, st.just(""), st.integers(1, 40)),
    st.builds(TimeResponse, st.sampled_from(NEAR_ORDERS), st.integers(1, 3)),
    st.builds(TimeResponse, st.sampled_from(NEAR_ORDERS), st.integers(1, 3)),
)
BEFORE = st.sampled_from(Before)
WHICH = st.integers(0, 5)
CHANGES = st.fixed_dictionaries(
    {
        "target_allocations": st.sampled_from(
            [{asset: Decimal(share) for asset, share in targets.items()} for targets in TARGETS]
        )
    },
    optional={
        "order_size_pct": st.sampled_from([Decimal(1), Decimal(15), Decimal(70)]),
        "order_step_pct": st.sampled_from([Decimal("0.1"), Decimal(3)]),
        "order_max_age_s": st.just(900),
        "post_only": st.just(False),
    },
)


class LifeOfOrders(RuleBasedStateMachine):
    """One user's orders, from the first tick until everything is quiet again."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.life = Life(environment)

    @initialize(faults=SOME_FAULTS)
    def begin(self, faults: list[Fault]) -> None:
        self.ticks(1, Before.NOTHING, faults, 0)

    # time and the market

    @rule(seconds=st.sampled_from([1, 30, 60, 91, 121, 600]))
    def time_goes_on(self, seconds: int) -> None:
        self.life.time.go_on(seconds)

    @rule(symbol=SYMBOLS, percent=st.sampled_from([Decimal(-15), Decimal(-3), Decimal("0.5"), Decimal(4), Decimal(12)]))
    def market_moves(self, symbol: str, percent: Decimal) -> None:
        price = self.life.market.last_price(symbol)
        self.life.market.set_price(symbol, price * (100 + percent) / 100)

    @rule(which=WHICH, through=st.booleans())
    def market_meets_an_order(self, which: int, through: bool) -> None:
        order = _choose(self.life.resting(), which)
        if order is not None:
            beyond = self.life.market.specs[order.symbol].tick_size if through else Decimal(0)
            price = order.price - beyond if order.side == "buy" else order.price + beyond
            self.life.market.set_price(order.symbol, price)

    @rule(which=WHICH)
    def an_order_fills_in_part(self, which: int) -> None:
        order = _choose(self.life.resting(), which)
        if order is not None:
            self.life.books.fill_now(self.life.key, order.order_id, whole=False)

    # fault

    @rule(faults=st.lists(faults(), min_size=1, max_size=3))
    def faults_come(self, faults: list[Fault]) -> None:
        for fault in faults:
            self.life.injector.script(
                fault.kind, fault.where, variant=fault.variant, attempts=fault.attempts, times=fault.times
            )

    @rule(before=BEFORE, run=RUNS, at=MOMENTS)
    def a_worker_dies(self, before: Before, run: Run, at: TimeResponse) -> None:
        self._stir(before)
        self.life.be_ready_for(run)
        self.life.next_tick()
        self.life.kill(run, at)

    @rule(before=BEFORE, first=RUNS, at=MOMENTS, seconds=st.sampled_from([30, 91, 150]), second=RUNS)
    def two_runs_at_once(self, before: Before, first: Run, at: TimeResponse, seconds: int, second: Run) -> None:
        self._stir(before)
        self.life.be_ready_for(first)
        self.life.next_tick()
        self.life.run_beside(first, at, seconds, second)

    # what is done every day

    @rule(number=st.integers(1, 3), before=BEFORE, faults=SOME_FAULTS, slowness_s=st.sampled_from([0, 0, 1, 6]))
    def ticks(self, number: int, before: Before, faults: list[Fault], slowness_s: int) -> None:
        for _ in range(number):
            self._stir(before)
            self.life.be_ready_for(Run.TICK)
            self.faults_come(faults)
            self.life.perform(Run.TICK, ts_tick=self.life.next_tick(), slowness_s=slowness_s)

    @rule(earlier=st.sampled_from([0, 0, 30, 60]))
    def a_tick_is_delivered_again(self, earlier: int) -> None:
        self.life.deliver_again(self.life.last_tick - earlier)

    @rule(times=st.integers(1, 2), before=BEFORE, faults=SOME_FAULTS)
    def owner_trades_by_hand(self, times: int, before: Before, faults: list[Fault]) -> None:
        self._stir(before)
        self.life.be_ready_for(Run.EXECUTE)
        self.faults_come(faults)
        for _ in range(times):
            self.life.perform(Run.EXECUTE)

    @rule(run=st.sampled_from([Run.CANCEL_EVERY, Run.LIST]), faults=SOME_FAULTS)
    def owner_cancels_all_or_looks(self, run: Run, faults: list[Fault]) -> None:
        self.faults_come(faults)
        self.life.perform(run)

    @rule(which=WHICH)
    def owner_cancels_one(self, which: int) -> None:
        order = _choose(self.life.orders(), which)
        if order is not None:
            self.life.cancel_one(order.client_order_id)

    @rule(which=WHICH)
    def owner_cancels_at_the_exchange(self, which: int) -> None:
        order = _choose(self.life.resting(), which)
        if order is not None:
            self.life.books.cancel(self.life.key, order.symbol, order_id=order.order_id)

    @rule(changes=CHANGES)
    def owner_wants_something_else(self, changes: dict[str, object]) -> None:
        self.life.save_strategy(changes)

    @invariant()
    def nothing_is_wrong(self) -> None:
        self.life.check()

    def _stir(self, before: Before) -> None:
        if before is Before.FILLS:
            for order in self.life.resting():
                self.life.books.fill_now(self.life.key, order.order_id, whole=True)
        if before is Before.MOVES:
            self.life.time.go_on(60)
            for symbol in FIRST_PRICES:
                self.life.market.set_price(symbol, self.life.market.last_price(symbol) * Decimal("1.02"))

    def teardown(self) -> None:
        try:
            if sys.exception() is None:
                self.life.settle()
        finally:
            self.life.close()


def _choose[T](things: Sequence[T], which: int) -> T | None:
    return things[which % len(things)] if things else None
