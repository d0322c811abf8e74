"""Runs that race for one account, each a thread or a process of its own; what they report is checked by the tests.

Processes import this module anew, so it brings nothing that only tests need.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import chain
from multiprocessing import get_context
from os import getpid
from typing import TYPE_CHECKING, Any, Protocol

import boto3
from botbalance.errors import ConflictError, TransientError
from botbalance.models.fill import OrderFill
from botbalance.models.order import Order
from botbalance.store.accounts import LEASE_S, AccountsTable, Lease, account_key
from botbalance.store.orders import OrdersTable
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_700_000_000
WRITERS = 3
"""How many threads of one holder create orders."""
OWN = 5
"""How many orders or fills a new holder writes."""
PATIENCE_S = 120
"""For how long a writer waits for the others: only a test that fails gets there."""
_PATIENT = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3})


class Barrier(Protocol):
    """A thread's or a process's."""

    def wait(self) -> int: ...
    def abort(self) -> None: ...


@dataclass(frozen=True)
class Engine:
    """Where a process finds the tables."""

    endpoint: str
    accounts_table: str
    orders_table: str

    def client(self) -> "DynamoDBClient":
        return boto3.client(
            "dynamodb",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=_PATIENT,
        )


def in_step[T](barrier: Barrier, rounds: int, attempt: Callable[[int], T]) -> list[T]:
    """Make each round's attempt at the same moment as the others who wait at ``barrier``; returns what came of each."""
    try:
        answers = []
        for number in range(rounds):
            barrier.wait()
            answers.append(attempt(number))
    except BaseException:
        barrier.abort()  # the others would wait in vain
        raise
    return answers


def in_threads[T](writers: Sequence[Callable[[], T]]) -> list[T]:
    """Run all ``writers`` at once, each in a thread."""
    with ThreadPoolExecutor(len(writers)) as pool:
        return [future.result(PATIENCE_S) for future in [pool.submit(writer) for writer in writers]]


def in_processes(writers: Sequence[Callable[..., Any]], engine: Engine, rounds: int) -> list[Any]:
    """Run all ``writers`` at once, each in a new interpreter, in step for ``rounds`` rounds."""
    context = get_context("spawn")
    barrier = context.Barrier(len(writers), timeout=PATIENCE_S)
    with ProcessPoolExecutor(len(writers), context, initializer=_meet_at, initargs=(barrier,)) as pool:
        return [future.result(PATIENCE_S) for future in [pool.submit(writer, engine, rounds) for writer in writers]]


_barrier: Barrier


def _meet_at(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 - a barrier reaches another process at its start, or not at all
    _barrier = barrier


def insist[T](write: Callable[[], T]) -> T:
    """Repeat a write for as long as the engine cancels it because it met another one: then nothing was written."""
    for _ in range(1_000):
        try:
            return write()
        except TransientError:
            continue
    raise AssertionError("a thousand times in vain")


def an_order(user_id: str, number: int, placed_at: int = NOW) -> Order:
    return Order(
        user_id=user_id,
        client_order_id=f"{number:020x}",
        exchange="binance",
        symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        side="buy",
        limit_price=Decimal(40_000),
        base_qty=Decimal(1),
        quote_amount=Decimal(40_000),
        source="autopilot",
        ts_tick=NOW,
        order_index=0,
        placed_at=placed_at,
        updated_at=NOW,
    )


@contextmanager
def held(accounts: AccountsTable, user_id: str, now: int = NOW, ts_tick: int | None = None) -> Iterator[Lease]:
    """Work on the user's account alone, and leave it as it was found."""
    lease, state = accounts.acquire(user_id, now, ts_tick=ts_tick)
    try:
        yield lease
    finally:
        accounts.release(lease, state)


@contextmanager
def taken_over(accounts: AccountsTable, user_id: str) -> Iterator[Lease]:
    """The user's lease, after its holder's has expired."""
    lease, state = insist(lambda: accounts.acquire(user_id, NOW + LEASE_S))
    try:
        yield lease
    finally:
        accounts.release(lease, state)


def decided(lease: Lease) -> dict[str, Any]:
    """A condition that always holds, where an intent's is that its strategy is unchanged."""
    return {
        "TableName": lease.table,
        "Key": account_key("nobody"),
        "ConditionExpression": "attribute_not_exists(user_id)",
    }


def with_fill(order: Order, trade_id: str) -> Order:
    fill = OrderFill(
        trade_id=trade_id, price=Decimal(40_000), base_qty=Decimal(1), fee=Decimal(0), fee_asset="BTC", traded_at_ms=0
    )
    return order.model_copy(update={"fills": (*order.fills, fill)})


def claim(accounts: AccountsTable, user_id: str, ts_tick: int) -> int | None:
    """The fencing token of the run for that tick, None where another one has or had it."""
    try:
        with held(accounts, user_id, ts_tick=ts_tick) as lease:
            return lease.fencing_token
    except ConflictError:
        return None


def add_fill(orders: OrdersTable, lease: Lease, order: Order, trade_id: str) -> int:
    """Book a fill by the optimistic lock, however often others come first; returns the revision that has it."""
    for _ in range(1_000):
        try:
            return insist(partial(orders.update, with_fill(order, trade_id), lease)).revision
        except ConflictError as error:
            if error.code != "order_changed":
                raise
        order = orders.get(order.user_id, order.client_order_id)
    raise AssertionError("a thousand times too late")


def write_until_lost(write: Callable[[int], None], under_way: Callable[[], object]) -> None:
    """``write`` again and again, until the lease is somebody else's; ``under_way`` is called after the third time."""
    for number in range(10_000):
        if number == 3:
            under_way()
        try:
            write(number)
        except ConflictError as error:
            if error.code != "lease_lost":
                raise
            return
    raise AssertionError("the lease was never lost")


# writers that are processes


def claim_ticks(engine: Engine, rounds: int) -> list[int | None]:
    """Claim a tick a round."""
    with closing(engine.client()) as client:
        leases = AccountsTable(client, engine.accounts_table)
        return in_step(_barrier, rounds, lambda number: claim(leases, "alice", NOW + 30 * number))


def add_fills(fencing_token: int, engine: Engine, rounds: int) -> list[int]:
    """Book a fill a round, all of one order; returns the revisions that have them."""
    lease = Lease(engine.accounts_table, "alice", fencing_token, NOW + 60)
    with closing(engine.client()) as client:
        orders = OrdersTable(client, engine.orders_table)

        def add(number: int) -> int:
            order = orders.get("alice", an_order("alice", 0).client_order_id)
            return add_fill(orders, lease, order, f"{getpid()}-{number}")

        return in_step(_barrier, rounds, add)


def hold_until_lost(engine: Engine, rounds: int) -> list[list[str]]:
    """Hold a new user's lease each round, and create orders until it is lost; returns the ids that were written."""
    with closing(engine.client()) as client:
        leases, orders = AccountsTable(client, engine.accounts_table), OrdersTable(client, engine.orders_table)

        def hold(number: int) -> list[str]:
            user_id = f"user-{number}"
            with held(leases, user_id, NOW) as lease:

                def writer(place: int) -> list[str]:
                    written = []

                    def write(nth: int) -> None:
                        order = an_order(user_id, place * 10_000 + nth)
                        assert insist(lambda: orders.create(order, lease, decided(lease)))
                        written.append(order.client_order_id)

                    write_until_lost(write, _barrier.wait if place == 0 else lambda: None)
                    return written

                return list(chain.from_iterable(in_threads([partial(writer, place) for place in range(WRITERS)])))

        return in_step(_barrier, rounds, hold)


def succeed(engine: Engine, rounds: int) -> list[tuple[list[str], list[str]]]:
    """Take each user's lease over and create orders; returns the ids that were there, and those written."""
    with closing(engine.client()) as client:
        leases, orders = AccountsTable(client, engine.accounts_table), OrdersTable(client, engine.orders_table)

        def take_over(number: int) -> tuple[list[str], list[str]]:
            user_id = f"user-{number}"
            _barrier.wait()  # until the other one is under way
            with taken_over(leases, user_id) as lease:
                seen = [order.client_order_id for order in orders.unreconciled(user_id)]
                written = [an_order(user_id, 1_000_000 + nth) for nth in range(OWN)]
                for order in written:
                    assert insist(partial(orders.create, order, lease, decided(lease)))
            return seen, [order.client_order_id for order in written]

        return in_step(_barrier, rounds, take_over)
