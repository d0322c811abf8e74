"""Runs that race for one account, in threads and in processes, on an engine that carries requests out at once.

moto has no such concurrency to show, so these are DynamoDB Local's alone.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from botbalance.errors import ConflictError
from botbalance.models.decision import Decision
from botbalance.models.order import Order
from botbalance.store.accounts import LEASE_S, AccountsTable, Lease
from botbalance.store.decisions import DecisionsTable
from botbalance.store.orders import OrdersTable
from botbalance.store.strategies import StrategiesTable

from tests.unit.store.concurrent_writers import (
    NOW,
    OWN,
    PATIENCE_S,
    Engine,
    add_fill,
    add_fills,
    an_order,
    claim,
    claim_ticks,
    decided,
    held,
    hold_until_lost,
    in_processes,
    in_step,
    in_threads,
    insist,
    succeed,
    taken_over,
    write_until_lost,
)
from tests.unit.store.conftest import NOOP_TTL_DAYS, TTL_DAYS
from tests.unit.store.test_decisions import TICK, a_decision
from tests.unit.store.test_strategies import STRATEGY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.parametrize("client", ["dynamodb-local"], indirect=True, scope="session")

RACERS = 8
ROUNDS = 15


@pytest.fixture
def shared_accounts(repeating: "DynamoDBClient", accounts_table: str) -> AccountsTable:
    return AccountsTable(repeating, accounts_table)


@pytest.fixture
def shared_orders(repeating: "DynamoDBClient", orders_table: str) -> OrdersTable:
    return OrdersTable(repeating, orders_table)


@pytest.fixture
def engine(repeating: "DynamoDBClient", accounts_table: str, orders_table: str) -> Engine:
    return Engine(repeating.meta.endpoint_url, accounts_table, orders_table)


def race[T](attempt: Callable[[int, int], T], writers: int = RACERS, rounds: int = ROUNDS) -> list[list[T]]:
    """What came of ``attempt(writer, round)``, all writers at once, by round."""
    barrier = Barrier(writers, timeout=PATIENCE_S)
    answers = in_threads([partial(in_step, barrier, rounds, partial(attempt, writer)) for writer in range(writers)])
    return [list(of_round) for of_round in zip(*answers, strict=True)]


# one wins


def test_of_threads_that_claim_a_tick_exactly_one_gets_it(shared_accounts: AccountsTable) -> None:
    rounds = race(lambda _, number: claim(shared_accounts, "alice", TICK + 30 * number))
    winners = [[number for number in of_round if number is not None] for of_round in rounds]
    assert winners == [[number] for number in range(1, ROUNDS + 1)]


def test_of_processes_that_claim_a_tick_exactly_one_gets_it(engine: Engine) -> None:
    processes = in_processes([claim_ticks] * 3, engine, ROUNDS)
    winners = [[number for number in of_round if number is not None] for of_round in zip(*processes, strict=True)]
    assert winners == [[number] for number in range(1, ROUNDS + 1)]


def test_of_threads_that_want_the_account_exactly_one_has_it(shared_accounts: AccountsTable) -> None:
    """Until it is given back, and that it is only after everybody has tried."""
    tried = Barrier(RACERS, timeout=PATIENCE_S)

    def want(_: int, __: int) -> int | None:
        with suppress(ConflictError), held(shared_accounts, "alice", NOW) as lease:
            tried.wait()
            return lease.fencing_token
        tried.wait()
        return None

    winners = [[number for number in of_round if number is not None] for of_round in race(want)]
    assert winners == [[number] for number in range(1, ROUNDS + 1)]


def test_of_threads_that_take_an_expired_lease_over_exactly_one_gets_it(shared_accounts: AccountsTable) -> None:
    def take_over(_: int, number: int) -> int | None:
        with suppress(ConflictError):  # whoever gets it never gives it back
            return shared_accounts.acquire("alice", NOW + LEASE_S * number)[0].fencing_token
        return None

    winners = [[number for number in of_round if number is not None] for of_round in race(take_over)]
    assert winners == [[number] for number in range(1, ROUNDS + 1)]


def test_of_threads_that_write_an_intent_exactly_one_does(
    shared_accounts: AccountsTable, shared_orders: OrdersTable
) -> None:
    with held(shared_accounts, "alice", NOW) as lease:

        def write(writer: int, number: int) -> bool:
            intent = an_order("alice", number, placed_at=NOW + writer)
            return insist(partial(shared_orders.create, intent, lease, decided(lease)))

        rounds = race(write)
    assert [of_round.count(True) for of_round in rounds] == [1] * ROUNDS
    orders = {order.client_order_id: order for order in shared_orders.iter_all("alice")}
    assert len(orders) == ROUNDS
    for number, of_round in enumerate(rounds):
        assert orders[an_order("alice", number).client_order_id].placed_at == NOW + of_round.index(True)


def test_of_threads_that_read_the_same_revision_exactly_one_writes(
    shared_accounts: AccountsTable, shared_orders: OrdersTable
) -> None:
    everybody_has_read = Barrier(RACERS, timeout=PATIENCE_S)
    with held(shared_accounts, "alice", NOW) as lease:
        shared_orders.create(an_order("alice", 0), lease, decided(lease))

        def write(writer: int, number: int) -> Order | None:
            order = shared_orders.get("alice", an_order("alice", 0).client_order_id)
            everybody_has_read.wait()
            changed = order.model_copy(update={"reason": f"{number}-{writer}"})
            with suppress(ConflictError):
                return insist(partial(shared_orders.update, changed, lease))
            return None

        rounds = race(write)
    winners = [[order for order in of_round if order is not None] for of_round in rounds]
    assert [[order.revision for order in of_round] for of_round in winners] == [[n] for n in range(1, ROUNDS + 1)]
    assert shared_orders.get("alice", an_order("alice", 0).client_order_id) == winners[-1][0]


def test_of_many_logs_of_a_tick_the_latest_lease_s_stays(repeating: "DynamoDBClient", decisions_table: str) -> None:
    decisions = DecisionsTable(repeating, decisions_table, TTL_DAYS, NOOP_TTL_DAYS)

    def log(writer: int, number: int) -> bool:
        decision: Decision = a_decision(TICK + 30 * number, reason=f"lease {writer}")
        lease = Lease("leases", "alice", writer, NOW + 60) if writer else None
        return decisions.log(decision, lease)

    rounds = race(log)
    for number, of_round in enumerate(rounds):
        assert of_round[RACERS - 1]
        assert decisions.get("alice", TICK + 30 * number).reason == f"lease {RACERS - 1}"


# nothing is lost


def test_no_optimistic_update_of_threads_is_lost(shared_accounts: AccountsTable, shared_orders: OrdersTable) -> None:
    writers, rounds = 4, 10
    with held(shared_accounts, "alice", NOW) as lease:
        shared_orders.create(an_order("alice", 0), lease, decided(lease))

        def add(writer: int, number: int) -> int:
            order = shared_orders.get("alice", an_order("alice", 0).client_order_id)
            return add_fill(shared_orders, lease, order, f"{writer}-{number}")

        revisions = [revision for of_round in race(add, writers, rounds) for revision in of_round]
    order = shared_orders.get("alice", an_order("alice", 0).client_order_id)
    assert sorted(revisions) == list(range(1, writers * rounds + 1))
    assert order.revision == len(order.fills) == writers * rounds
    assert {fill.trade_id for fill in order.fills} == {f"{r}-{n}" for r in range(writers) for n in range(rounds)}


def test_no_optimistic_update_of_processes_is_lost(
    shared_accounts: AccountsTable, shared_orders: OrdersTable, engine: Engine
) -> None:
    writers, rounds = 3, 10
    with held(shared_accounts, "alice", NOW) as lease:
        shared_orders.create(an_order("alice", 0), lease, decided(lease))
        processes = in_processes([partial(add_fills, lease.fencing_token)] * writers, engine, rounds)
    order = shared_orders.get("alice", an_order("alice", 0).client_order_id)
    assert sorted(chain.from_iterable(processes)) == list(range(1, writers * rounds + 1))
    assert order.revision == len({fill.trade_id for fill in order.fills}) == len(order.fills) == writers * rounds


def test_no_save_of_a_strategy_is_lost(repeating: "DynamoDBClient", strategies_table: str) -> None:
    strategies = StrategiesTable(repeating, strategies_table)
    strategies.save(STRATEGY)
    writers, rounds = 4, 10

    def add(writer: int, number: int) -> int:
        for _ in range(1_000):
            read = strategies.get("alice")
            targets = read.target_allocations | {f"COIN-{writer}-{number}": read.order_size_pct}
            with suppress(ConflictError):
                return strategies.save(read.model_copy(update={"target_allocations": targets})).version
        raise AssertionError("a thousand times too late")

    versions = [version for of_round in race(add, writers, rounds) for version in of_round]
    assert sorted(versions) == list(range(2, writers * rounds + 2))
    coins = {f"COIN-{writer}-{number}" for writer in range(writers) for number in range(rounds)}
    assert strategies.get("alice").target_allocations.keys() == STRATEGY.target_allocations.keys() | coins


# a lease is taken over while its holder writes


def taking_over(leases: AccountsTable, orders: OrdersTable, user_id: str) -> tuple[list[int], list[int], Order]:
    """Two holders book fills of one order; the revisions that each wrote, and the order in the end."""
    order = an_order(user_id, 0)
    under_way = Barrier(2, timeout=PATIENCE_S)
    with held(leases, user_id, NOW) as lost:
        orders.create(order, lost, decided(lost))

        def hold() -> list[int]:
            revisions: list[int] = []
            write_until_lost(lambda nth: revisions.append(add_fill(orders, lost, order, f"old-{nth}")), under_way.wait)
            return revisions

        def succeed() -> list[int]:
            under_way.wait()
            with taken_over(leases, user_id) as lease:
                return [add_fill(orders, lease, order, f"new-{nth}") for nth in range(OWN)]

        old, new = in_threads([hold, succeed])
    return old, new, orders.get(user_id, order.client_order_id)


def test_after_the_new_holder_s_first_write_the_old_one_never_writes(
    shared_accounts: AccountsTable, shared_orders: OrdersTable
) -> None:
    """Every write raises the order's revision, so revisions tell whose write came when."""
    for number in range(8):
        old, new, order = taking_over(shared_accounts, shared_orders, f"user-{number}")
        assert len(old) >= 3
        assert len(new) == OWN
        assert old + new == list(range(1, len(old) + OWN + 1))
        assert order.revision == len(old) + OWN
        assert [fill.trade_id for fill in order.fills] == [
            *(f"old-{nth}" for nth in range(len(old))),
            *(f"new-{nth}" for nth in range(OWN)),
        ]


def test_what_the_new_holder_finds_is_all_that_the_old_one_ever_wrote(
    shared_orders: OrdersTable, engine: Engine
) -> None:
    """Otherwise it could order a pair for which an intent is still to come."""
    rounds = 6
    old, new = in_processes([hold_until_lost, succeed], engine, rounds)
    for number in range(rounds):
        seen, written = new[number]
        assert sorted(seen) == sorted(old[number])
        assert len(seen) >= 3
        assert len(written) == OWN
        there = {order.client_order_id: order.fencing_token for order in shared_orders.iter_all(f"user-{number}")}
        assert there == dict.fromkeys(seen, 1) | dict.fromkeys(written, 2)
