"""The history of 500 ticks with deposits and withdrawals, against the exchange's own books, to the last digit.

The expectation is computed in fractions from the exchange's trades and balances, and never asks the product's orders.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from workbench.simulated_exchange.matching_engine import Trade
from workbench.simulation.exchange import FEE_COIN
from workbench.simulation.owners import Act, Owners
from workbench.simulation.world import CALM, QUOTE, User, World

TICKS = 500
APART_S = 600
"""The market goes on by so much between two ticks: these 500 are three and a half days."""
TARGETS = {"BTC": "30", "ETH": "25", "SOL": "20", "USDT": "25"}
MANAGED = set(TARGETS)
STRATEGY = {
    "target_allocations": TARGETS,
    "order_size_pct": "1",
    "order_step_pct": "0.2",
    "min_delta_quote": "50",
    "budgets": {"churn_pct": "1000", "fees_pct": "100", "losing_round_trips": 100_000, "orders_per_pair": 100_000},
}
"""Orders larger than the band trade to and fro, so that there is much to add up: no budget is to end that."""
START = {"BTC": Decimal("0.07"), "ETH": Decimal("1.1"), "SOL": Decimal(25), QUOTE: Decimal(4000), FEE_COIN: Decimal(2)}
TRANSFERS = {
    100: ("ETH", Decimal("0.25")),
    180: (QUOTE, Decimal("-312.5")),
    260: ("BTC", Decimal("-0.003")),
    390: (QUOTE, Decimal("1000.01")),
}
"""By tick: deposits, and withdrawals."""
HISTORY = "/api/me/portfolio/history"
PERFORMANCE = "/api/me/portfolio/performance"


@dataclass(frozen=True)
class Seen:
    """The exchange's books as they were after a tick; ``start`` is what was held at first, transfers included."""

    prices: Mapping[str, Fraction]
    held: Mapping[str, Fraction]
    start: Mapping[str, Fraction]
    trades: int


@dataclass(frozen=True)
class Run:
    """What the exchange saw, by tick, and what the product then told."""

    seen: Mapping[int, Seen]
    trades: list[Trade]
    told: Mapping[str, Any]
    performance: Any


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    world = World("history", users=1)
    world.rates, world.injector.active = CALM, False
    user = world.users[0]
    with world.entered():
        yield _run(world, user)


def _run(world: World, user: User) -> Run:
    owners, api_key = Owners(world), user.key.api_key
    world.books.open_account(api_key, user.key.secret, START)
    owners.do(Act.STORE_KEY, user)
    _settle(world)
    _ask(world, user, "PUT", "/api/me/strategies/rebalance", STRATEGY)
    owners.do(Act.AUTOPILOT_ON, user)
    _settle(world)
    start = {asset: Fraction(quantity) for asset, quantity in START.items()}
    seen = {}
    for number in range(TICKS):
        ts_tick = (world.clock.seconds() // APART_S + 1) * APART_S
        world.run_until(ts_tick * 1000)
        world.market.advance()
        if number in TRANSFERS:
            asset, quantity = TRANSFERS[number]
            world.books.transfer(api_key, asset, quantity)
            start[asset] += Fraction(quantity)
        world.books.fees_in_third_coin = number % 100 < 50
        world.dispatch(ts_tick)
        world.run_until((ts_tick + 2) * 1000)
        _settle(world)
        balances = world.books.balances(api_key)
        seen[ts_tick] = Seen(
            prices={asset: Fraction(_price(world, asset)) for asset in START},
            held={asset: Fraction(balances[asset].free + balances[asset].locked) for asset in START},
            start=dict(start),
            trades=len(world.books.trades(api_key)),
        )
    told = {step: _ask(world, user, "GET", HISTORY, query={"step": step}) for step in ("hour", "day", "month")}
    _ask(world, user, "PUT", "/api/me/strategies/rebalance/autopilot", {"enabled": False})
    performance = _ask(world, user, "GET", PERFORMANCE)
    assert world.findings.found == []
    return Run(seen, world.books.trades(api_key), told, performance)


def _price(world: World, asset: str) -> Decimal:
    return Decimal(1) if asset == QUOTE else world.market.last_price(asset + QUOTE)


def _settle(world: World) -> None:
    while world.scheduler.runs or any(user.busy for user in world.users):
        world.run_until(world.clock.now_ms + 1000)


def _ask(
    world: World, user: User, method: str, path: str, body: Any = None, query: dict[str, str] | None = None
) -> Any:
    found = []
    world.call(user, method, path, body, query=query, then=lambda status, text: found.append((status, text)))
    _settle(world)
    ((status, text),) = found
    assert status == 200, text
    return text


def _bonus(trades: list[Trade], prices: Mapping[str, Fraction]) -> Fraction:
    """The sum over fills: s·x·(P − p) − φ·P_f, the quote being worth 1."""
    total = Fraction(0)
    for trade in trades:
        base = trade.symbol.removesuffix(QUOTE)
        gained = Fraction(trade.qty) * (prices[base] - Fraction(trade.price))
        total += gained if trade.side == "buy" else -gained
        total -= Fraction(trade.commission) * prices[trade.commission_asset]
    return total


def _at(run: Run, point: Mapping[str, Any]) -> Seen:
    return run.seen[point["at"] // APART_S * APART_S]


def test_every_hour_has_a_point_and_the_run_traded(run: Run) -> None:
    points = run.told["hour"]["points"]
    hours = {moment // 3_600 for moment in run.seen}
    assert [point["at"] // 3_600 for point in points] == sorted(hours)
    assert len(points) >= TICKS * APART_S // 3_600 - 1
    assert len(run.trades) > 100
    assert {trade.commission_asset for trade in run.trades} == set(START)


def test_the_bonus_is_the_sum_over_all_fills_until_then(run: Run) -> None:
    for point in run.told["hour"]["points"]:
        seen = _at(run, point)
        assert Fraction(point["bonus_quote"]) == _bonus(run.trades[: seen.trades], seen.prices)


def test_nav_is_what_the_managed_assets_are_worth(run: Run) -> None:
    for point in run.told["hour"]["points"]:
        seen = _at(run, point)
        assert Fraction(point["nav"]) == sum(seen.held[asset] * seen.prices[asset] for asset in MANAGED)


def test_holding_is_what_was_there_at_first_with_deposits_and_withdrawals(run: Run) -> None:
    """Less the coin that fees are paid in, as it is: it is no part of the portfolio, and paying in it is a cost."""
    for point in run.told["hour"]["points"]:
        seen = _at(run, point)
        all_held = sum(seen.start[asset] * seen.prices[asset] for asset in START)
        assert Fraction(point["hold_quote"]) == all_held - seen.held[FEE_COIN] * seen.prices[FEE_COIN]
        assert Decimal(point["hold_quote"]) + Decimal(point["bonus_quote"]) == Decimal(point["nav"])


def test_days_and_months_end_with_their_last_hour_and_tell_what_was_added(run: Run) -> None:
    hours = run.told["hour"]["points"]
    for step, seconds in (("day", 86_400), ("month", 31 * 86_400)):
        points = run.told[step]["points"]
        last = {point["at"] // seconds if step == "day" else "all": point for point in hours}
        assert [point["bonus_quote"] for point in points] == [point["bonus_quote"] for point in last.values()]
        assert points[0]["added_quote"] is None
        for before, after in pairwise(points):
            assert Decimal(after["added_quote"]) == Decimal(after["bonus_quote"]) - Decimal(before["bonus_quote"])


def test_performance_is_the_sum_over_all_fills_too(run: Run) -> None:
    last = run.seen[max(run.seen)]
    assert Fraction(run.performance["bonus_quote"]) == _bonus(run.trades, last.prices)
    assert run.performance["fills_count"] == len(run.trades)
