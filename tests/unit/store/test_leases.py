"""Leases: one run at a time works on an account, a tick has one run, and who has lost a lease can write nothing."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import ConflictError, TransientError
from botbalance.store.leases import LEASE_S, LastRun, Lease, LeasesTable
from botbalance.store.orders import OrdersTable, OrderStatus

from tests.unit.store.conftest import NOW
from tests.unit.store.faults import answers_lost, meanwhile, not_reached, refused
from tests.unit.store.test_orders import an_order

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TICK = NOW
UNTIL = NOW + 60
EXPIRED = NOW + LEASE_S
"""The first second at which a lease taken at NOW may be taken over."""


def at(second: int) -> Callable[[], int]:
    return lambda: second


def held(leases: LeasesTable, now: int = NOW, user_id: str = "alice") -> AbstractContextManager[Lease]:
    return leases.held(user_id, at(now), until=now + 60)


def number_of(leases: LeasesTable, ts_tick: int, now: int = NOW) -> int | None:
    """The number of the lease that a run for ``ts_tick`` got, None where it got none."""
    number = None
    with suppress(ConflictError), leases.held_for_tick("alice", ts_tick, at(now), until=now + 60) as lease:
        number = lease.number if lease else None
    return number


@contextmanager
def refuses(code: str) -> Iterator[None]:
    with pytest.raises((ConflictError, TransientError)) as raised:
        yield
    assert raised.value.code == code


def item_of(dynamodb: "DynamoDBClient", leases_table: str, user_id: str = "alice") -> Any:
    return dynamodb.get_item(TableName=leases_table, Key={"user_id": {"S": user_id}}, ConsistentRead=True)["Item"]


# one holder


def test_a_lease_is_one_run_s_at_a_time(leases: LeasesTable) -> None:
    with held(leases):
        for _ in range(2):
            with refuses("account_busy"), held(leases):
                pytest.fail("two runs have the lease")
    with held(leases) as again:
        assert again.number == 2


def test_a_lease_is_one_user_s(leases: LeasesTable) -> None:
    with held(leases) as alices, held(leases, user_id="bob") as bobs:
        assert (alices.user_id, alices.number) == ("alice", 1)
        assert (bobs.user_id, bobs.number) == ("bob", 1)


def test_a_run_by_hand_and_a_tick_exclude_each_other(leases: LeasesTable) -> None:
    with held(leases):
        assert number_of(leases, TICK) is None
    with leases.held_for_tick("alice", TICK, at(NOW), until=UNTIL) as ticking:
        assert ticking is not None
        with refuses("account_busy"), held(leases):
            pytest.fail("two runs have the lease")


@pytest.mark.parametrize(("later", "seconds"), [(0, 90), (60, 30), (89, 1)])
def test_a_busy_account_says_when_it_is_free_at_the_latest(leases: LeasesTable, later: int, seconds: int) -> None:
    with held(leases), pytest.raises(ConflictError, match=f"free again in {seconds} s at the latest"):  # noqa: SIM117
        with held(leases, NOW + later):
            pytest.fail("two runs have the lease")


class TroubleError(Exception):
    """What a run may end with."""


def test_a_run_that_fails_gives_its_lease_back(leases: LeasesTable) -> None:
    with pytest.raises(TroubleError), held(leases):
        raise TroubleError
    with held(leases) as after:
        assert after.number == 2


@pytest.mark.parametrize(
    ("until", "ends_at"),
    [(NOW + 30, NOW + 30), (NOW + LEASE_S, NOW + LEASE_S), (NOW + 900, NOW + LEASE_S)],
    ids=["the function ends first", "both", "the lease ends first"],
)
def test_a_lease_ends_with_itself_or_with_its_function(leases: LeasesTable, until: int, ends_at: int) -> None:
    with leases.held("alice", at(NOW), until=until) as lease:
        assert lease.ends_at == ends_at
    with leases.held_for_tick("alice", TICK, at(NOW), until=until) as lease_for_tick:
        assert lease_for_tick is not None
        assert lease_for_tick.ends_at == ends_at


def test_a_lease_outlives_the_function_that_holds_it(leases: LeasesTable) -> None:
    """A request of its last moment may still be on its way to the exchange."""
    with leases.held("alice", at(NOW), until=NOW + 30), refuses("account_busy"), held(leases, NOW + 31):
        pytest.fail("taken over too early")


def test_a_lease_whose_holder_is_gone_is_free_when_it_expires(leases: LeasesTable) -> None:
    with held(leases):
        with refuses("account_busy"), held(leases, EXPIRED - 1):
            pytest.fail("taken over too early")
        with held(leases, EXPIRED) as successor:
            assert successor.number == 2
            assert successor.ends_at == EXPIRED + 60


def test_a_number_never_comes_twice(leases: LeasesTable) -> None:
    """Given back or expired, taken by hand or for a tick, in vain in between: each taking raises it by one."""
    numbers = []
    with held(leases, NOW) as lease:
        numbers.append(lease.number)
    with held(leases, NOW) as expiring:
        numbers.append(expiring.number)
        with held(leases, NOW + 100) as successor:
            numbers.append(successor.number)
            assert number_of(leases, TICK, NOW + 100) is None
    numbers.append(number_of(leases, TICK, NOW + 101) or 0)
    assert number_of(leases, TICK, NOW + 102) is None
    numbers.append(number_of(leases, TICK + 30, NOW + 103) or 0)
    with held(leases, NOW) as last:  # a clock that is behind changes nothing
        numbers.append(last.number)
    assert numbers == [1, 2, 3, 4, 5, 6]


# taken over


def test_who_has_lost_the_lease_writes_nothing(leases: LeasesTable, orders: OrdersTable) -> None:
    with held(leases) as lost:
        assert orders.create(an_order(1), lost)
        with held(leases, EXPIRED) as current:
            with refuses("lease_lost"):
                orders.create(an_order(2), lost)
            with refuses("lease_lost"):
                orders.update(an_order(1).to(OrderStatus.OPEN), lost)
            assert orders.find("alice", an_order(2).client_order_id) is None
            assert orders.get("alice", an_order(1).client_order_id) == an_order(1)
            # and keeps nobody from writing
            opened = orders.update(an_order(1).to(OrderStatus.OPEN), current)
            assert orders.create(an_order(2), current)
        with refuses("lease_lost"):
            orders.update(opened.to(OrderStatus.FILLED), lost)
    assert orders.get("alice", opened.client_order_id) == opened


def test_a_lease_that_is_lost_while_a_write_is_on_its_way_stops_that_write(
    leases: LeasesTable, orders: OrdersTable, dynamodb: "DynamoDBClient"
) -> None:
    """To read the lease first and to write then would be too late: it is the write itself that has to fail."""
    found: list[list[str]] = []

    def successor() -> None:
        with held(leases, EXPIRED) as current:
            found.append([order.client_order_id for order in orders.watched("alice")])
            assert orders.create(an_order(9), current)

    with held(leases) as lost:
        orders.create(an_order(1), lost)
        with meanwhile(dynamodb, "TransactWriteItems", successor), refuses("lease_lost"):
            orders.create(an_order(2), lost)
        with refuses("lease_lost"):
            orders.create(an_order(3), lost)
    assert found == [[an_order(1).client_order_id]]
    assert list(orders.every("alice")) == [an_order(9, lease_number=2), an_order(1)]


def test_a_lease_that_is_lost_while_an_update_is_on_its_way_stops_that_update(
    leases: LeasesTable, orders: OrdersTable, dynamodb: "DynamoDBClient"
) -> None:
    """Also where the successor has not touched the order, so that its revision is still the one that was read."""

    def successor() -> None:
        with held(leases, EXPIRED):
            assert orders.watched("alice") == [an_order()]

    with held(leases) as lost:
        orders.create(an_order(), lost)
        with meanwhile(dynamodb, "TransactWriteItems", successor), refuses("lease_lost"):
            orders.update(an_order().to(OrderStatus.OPEN), lost)
    assert orders.get("alice", an_order().client_order_id) == an_order()


@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "for the tick"])
def test_a_lease_that_is_taken_while_one_s_own_request_for_it_is_on_its_way_is_the_other_s(
    leases: LeasesTable, dynamodb: "DynamoDBClient", by_hand: bool
) -> None:
    with ExitStack() as other:

        def take() -> None:
            if by_hand:
                other.enter_context(held(leases))
            else:
                other.enter_context(leases.held_for_tick("alice", TICK, at(NOW), until=UNTIL))

        with meanwhile(dynamodb, "UpdateItem", take):
            assert number_of(leases, TICK) is None


def test_a_lost_lease_is_told_from_a_changed_order(leases: LeasesTable, orders: OrdersTable) -> None:
    """Where both are so, the run must stop, not go on with its next order."""
    with held(leases) as lost:
        orders.create(an_order(), lost)
        with held(leases, EXPIRED) as current:
            orders.update(an_order().to(OrderStatus.OPEN), current)
            with refuses("lease_lost"):
                orders.update(an_order().to(OrderStatus.REJECTED), lost)
            with refuses("lease_lost"):
                orders.create(an_order(), lost)


def test_a_lease_that_has_ended_and_that_nobody_took_still_writes(leases: LeasesTable, orders: OrdersTable) -> None:
    """What an exchange did in the last moment is better written late than never."""
    with held(leases) as lease:
        pass
    assert orders.create(an_order(), lease)


def test_a_lease_is_no_leave_to_write_under_another_s(leases: LeasesTable, orders: OrdersTable) -> None:
    """Numbers of two users are alike; what is checked is the number of the lease's own user."""
    with held(leases) as alices, held(leases, user_id="bob"), held(leases, EXPIRED, user_id="bob") as bobs_second:
        assert orders.create(an_order(1), alices)
        assert bobs_second.number == 2
        with refuses("lease_lost"):
            orders.create(an_order(2), Lease(alices._table, "alice", bobs_second.number, UNTIL, None))


def test_a_lease_that_was_never_taken_writes_nothing(leases_table: str, orders: OrdersTable) -> None:
    with refuses("lease_lost"):
        orders.create(an_order(), Lease(leases_table, "alice", 1, UNTIL, None))


def test_giving_back_a_lost_lease_takes_nothing_away(
    leases: LeasesTable,
    dynamodb: "DynamoDBClient",
    leases_table: str,
    orders: OrdersTable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost = ExitStack()
    lost.enter_context(held(leases)).memory = "what the old holder saw"
    with held(leases, EXPIRED) as current:
        before = item_of(dynamodb, leases_table)
        lost.close()
        assert item_of(dynamodb, leases_table) == before
        assert before["ends_at"] == {"N": str(EXPIRED + LEASE_S)}
        with refuses("account_busy"), held(leases, EXPIRED + 1):
            pytest.fail("the old holder gave the new one's lease away")
        assert orders.create(an_order(), current)
        current.memory = "what the new holder saw"
    with held(leases, EXPIRED + 2) as after:
        assert after.memory == "what the new holder saw"
    assert [record.getMessage() for record in caplog.records] == ["lease not given back"]


# the claim of a tick


def test_a_tick_has_one_run(leases: LeasesTable) -> None:
    assert number_of(leases, TICK) == 1
    assert number_of(leases, TICK) is None
    assert number_of(leases, TICK, EXPIRED + 1) is None


def test_a_tick_is_another_one_for_another_user(leases: LeasesTable) -> None:
    assert number_of(leases, TICK) == 1
    with leases.held_for_tick("bob", TICK, at(NOW), until=UNTIL) as lease:
        assert lease is not None


def test_after_a_tick_comes_the_next_and_never_an_earlier_one(leases: LeasesTable) -> None:
    ticks = (TICK + 30, TICK, TICK + 29, TICK + 30, TICK + 31, TICK + 60, 0, TICK + 59)
    assert [number_of(leases, tick) for tick in ticks] == [1, None, None, None, 2, 3, None, None]


def test_a_failed_run_has_had_its_tick(leases: LeasesTable) -> None:
    """It may have sent something; what it left is the next tick's."""
    with pytest.raises(TroubleError), leases.held_for_tick("alice", TICK, at(NOW), until=UNTIL):
        raise TroubleError
    assert number_of(leases, TICK) is None
    assert number_of(leases, TICK + 30) == 2


def test_a_tick_that_found_the_account_busy_is_not_claimed(leases: LeasesTable) -> None:
    with held(leases):
        assert number_of(leases, TICK) is None
    assert number_of(leases, TICK) == 2


def test_a_run_by_hand_claims_no_tick_and_forgets_none(leases: LeasesTable) -> None:
    assert number_of(leases, TICK) == 1
    with held(leases) as by_hand:
        assert by_hand.number == 2
    assert number_of(leases, TICK) is None
    assert number_of(leases, TICK + 30) == 3


def test_a_claimed_tick_is_none_and_a_busy_account_a_conflict(leases: LeasesTable) -> None:
    with leases.held_for_tick("alice", TICK, at(NOW), until=UNTIL) as lease:
        assert lease is not None
        for ts_tick in (TICK, TICK - 30):  # busy too, but with nothing left to wait for
            with leases.held_for_tick("alice", ts_tick, at(NOW), until=UNTIL) as none:
                assert none is None
        with refuses("account_busy"), leases.held_for_tick("alice", TICK + 30, at(NOW), until=UNTIL):
            pytest.fail("two runs have the lease")
    for ts_tick in (TICK, TICK - 30):
        with leases.held_for_tick("alice", ts_tick, at(NOW), until=UNTIL) as none:
            assert none is None


def test_a_tick_of_a_busy_account_that_never_ticked_is_a_conflict(leases: LeasesTable) -> None:
    with held(leases), refuses("account_busy"), leases.held_for_tick("alice", 0, at(NOW), until=UNTIL):
        pytest.fail("two runs have the lease")


# the memory


def test_what_a_run_notes_the_next_one_finds(leases: LeasesTable) -> None:
    notes = ['{"seen_at": 1}', '{"price": "0.000000000000000001"}', "пять 😀", '{"seen_at": 1}']
    found = []
    for number, note in enumerate(notes):
        with leases.held_for_tick("alice", TICK + number, at(NOW), until=UNTIL) as lease:
            assert lease is not None
            found.append(lease.memory)
            lease.memory = note
    with held(leases) as last:
        found.append(last.memory)
    assert found == [None, *notes]


def test_a_run_that_notes_nothing_keeps_what_was_noted(leases: LeasesTable) -> None:
    with held(leases) as lease:
        lease.memory = "noted"
    with held(leases):
        pass
    with held(leases) as lease:
        lease.memory = None
    assert number_of(leases, TICK) == 4
    with held(leases) as lease:
        assert lease.memory == "noted"


def test_a_failed_run_s_note_is_kept_too(leases: LeasesTable) -> None:
    """A picture that is doubted ends the run, and has to be remembered as doubted."""

    def run() -> None:
        with held(leases) as lease:
            lease.memory = "doubted"
            raise TroubleError

    with pytest.raises(TroubleError):
        run()
    with held(leases) as after:
        assert after.memory == "doubted"


def test_a_successor_finds_what_was_noted_before_the_run_that_was_lost(leases: LeasesTable) -> None:
    with held(leases) as lease:
        lease.memory = "noted"
    with held(leases) as lost:
        lost.memory = "never written"
        with held(leases, EXPIRED) as successor:
            assert successor.memory == "noted"
    with held(leases, EXPIRED) as after:
        assert after.memory == "noted"


def test_memories_are_by_user(leases: LeasesTable) -> None:
    with held(leases) as lease:
        lease.memory = "alice's"
    with held(leases, user_id="bob") as bobs:
        assert bobs.memory is None


# lost answers


@pytest.fixture
def repeated(repeating: "DynamoDBClient", leases_table: str) -> LeasesTable:
    return LeasesTable(repeating, leases_table)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_taking_whose_answer_was_lost_is_one_s_own(
    leases: LeasesTable, repeated: LeasesTable, repeating: "DynamoDBClient", lost: int
) -> None:
    with held(leases) as before:
        before.memory = "noted"
    with ExitStack() as afterwards:
        with answers_lost(repeating, "UpdateItem", lost) as sent:
            lease = afterwards.enter_context(repeated.held_for_tick("alice", TICK, at(NOW), until=UNTIL))
        assert len(sent) == lost + 1
        assert lease is not None
        assert (lease.number, lease.ends_at, lease.memory) == (2, UNTIL, "noted")
        with refuses("account_busy"), held(leases):
            pytest.fail("two runs have the lease")
    with held(leases) as after:
        assert after.number == 3


def test_another_s_taking_is_not_mistaken_for_one_s_own(
    leases: LeasesTable, repeated: LeasesTable, repeating: "DynamoDBClient"
) -> None:
    with held(leases), answers_lost(repeating, "UpdateItem") as sent, refuses("account_busy"), held(repeated):
        pytest.fail("two runs have the lease")
    assert len(sent) == 2


def test_a_taking_of_which_nothing_is_known_is_no_leave_to_work(
    leases: LeasesTable, repeated: LeasesTable, repeating: "DynamoDBClient"
) -> None:
    """It was carried out, though: the account is busy until that lease ends, and the tick has had its run."""
    with answers_lost(repeating, "UpdateItem", 3) as sent, refuses("storage_unavailable"):
        number_of(repeated, TICK)
    assert len(sent) == 3
    with refuses("account_busy"), held(leases, EXPIRED - 1):
        pytest.fail("taken over too early")
    assert number_of(leases, TICK, EXPIRED) is None
    assert number_of(leases, TICK + 30, EXPIRED) == 2


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "TransactionConflictException"])
def test_a_taking_that_was_refused_leaves_the_account_free(
    leases: LeasesTable, dynamodb: "DynamoDBClient", code: str
) -> None:
    with refused(dynamodb, "UpdateItem", code), refuses("storage_unavailable"):
        number_of(leases, TICK)
    assert number_of(leases, TICK) == 1


# giving back


def test_a_lease_that_cannot_be_given_back_ends_by_itself(
    leases: LeasesTable, dynamodb: "DynamoDBClient", caplog: pytest.LogCaptureFixture
) -> None:
    """What the run has done is not undone by that, so it does not fail."""
    with ExitStack() as afterwards, held(leases) as lease:
        lease.memory = "never written"
        afterwards.enter_context(not_reached(dynamodb, "UpdateItem"))
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.WARNING, "lease not given back")
    assert record.__dict__["user_id"] == "alice"
    assert "ReadTimeoutError" in record.__dict__["reason"]
    with refuses("account_busy"), held(leases, EXPIRED - 1):
        pytest.fail("taken over too early")
    with held(leases, EXPIRED) as after:
        assert (after.number, after.memory) == (2, None)


def test_a_run_s_own_trouble_is_told_where_its_lease_cannot_be_given_back_either(
    leases: LeasesTable, dynamodb: "DynamoDBClient"
) -> None:
    def run() -> None:
        with ExitStack() as afterwards, held(leases):
            afterwards.enter_context(refused(dynamodb, "UpdateItem", "InternalServerError"))
            raise TroubleError

    with pytest.raises(TroubleError):
        run()
    with refuses("account_busy"), held(leases):
        pytest.fail("the lease was given back")


def test_a_release_whose_answer_was_lost_is_a_release(
    leases: LeasesTable, repeated: LeasesTable, repeating: "DynamoDBClient", caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as afterwards, held(repeated) as lease:
        lease.memory = "noted"
        sent = afterwards.enter_context(answers_lost(repeating, "UpdateItem"))
    assert len(sent) == 2
    assert caplog.records == []
    with held(leases) as after:
        assert (after.number, after.memory) == (2, "noted")


# a tick that looks before it takes the lease


def last_run(leases: LeasesTable, user_id: str = "alice") -> LastRun:
    return leases.last_runs([user_id])[user_id]


def looking(
    leases: LeasesTable, last: LastRun, ts_tick: int = TICK + 30, now: int = NOW
) -> AbstractContextManager[Lease | None]:
    return leases.held_for_tick("alice", ts_tick, at(now), until=now + 60, last=last)


@pytest.fixture
def settled(leases: LeasesTable) -> LastRun:
    """What a run leaves that had nothing to watch."""
    with leases.held_for_tick("alice", TICK, at(NOW), until=UNTIL) as lease:
        assert lease is not None
        lease.memory, lease.leaves_quiet, lease.leaves_nothing_watched = "seen", "quiet", True
    return last_run(leases)


def test_what_a_run_leaves_is_read_in_a_batch(leases: LeasesTable, settled: LastRun) -> None:
    assert (settled.last_tick, settled.number, settled.ends_at, settled.nothing_watched) == (TICK, 1, 0, True)
    assert settled.quiet_note() == "quiet"
    with looking(leases, settled) as lease:
        assert lease is not None
        assert (lease.number, lease.memory, lease.nothing_watched, lease.ends_at) == (2, "seen", True, NOW + 60)


def test_a_look_that_writes_no_order_is_one_write_at_its_end(
    leases: LeasesTable, dynamodb: "DynamoDBClient", leases_table: str, settled: LastRun
) -> None:
    before = item_of(dynamodb, leases_table)
    with looking(leases, settled) as lease:
        assert lease is not None
        assert item_of(dynamodb, leases_table) == before
        lease.memory, lease.leaves_quiet, lease.leaves_nothing_watched = "seen again", "still quiet", True
    after = last_run(leases)
    assert (after.last_tick, after.number, after.ends_at, after.nothing_watched) == (TICK + 30, 2, 0, True)
    assert after.quiet_note() == "still quiet"
    with held(leases) as by_hand:
        assert (by_hand.number, by_hand.memory, by_hand.nothing_watched) == (3, "seen again", True)


def test_a_look_that_leaves_nothing_takes_away_what_was_left(leases: LeasesTable, settled: LastRun) -> None:
    with looking(leases, settled):
        pass
    after = last_run(leases)
    assert (after.number, after.nothing_watched, after.quiet_note()) == (2, False, None)
    with held(leases) as by_hand:
        assert (by_hand.memory, by_hand.nothing_watched) == ("seen", False)


def test_the_first_order_takes_the_lease(leases: LeasesTable, orders: OrdersTable, settled: LastRun) -> None:
    with looking(leases, settled) as lease:
        assert lease is not None
        assert orders.create(an_order(), lease)
        with refuses("account_busy"), held(leases, EXPIRED - 1):
            pytest.fail("two runs have the lease")
        assert last_run(leases).quiet is None
        stored = orders.get("alice", an_order().client_order_id)
        assert orders.update(stored.model_copy(update={"status": OrderStatus.OPEN}), lease).lease_number == 2
        lease.memory = "seen again"
    after = last_run(leases)
    assert (after.last_tick, after.number, after.ends_at, after.nothing_watched) == (TICK + 30, 2, 0, False)
    with held(leases) as by_hand:
        assert (by_hand.number, by_hand.memory) == (3, "seen again")


@pytest.mark.parametrize("intermezzo", ["by hand", "a tick", "held still"])
def test_whoever_looked_while_another_run_worked_writes_nothing(
    leases: LeasesTable,
    orders: OrdersTable,
    dynamodb: "DynamoDBClient",
    leases_table: str,
    settled: LastRun,
    intermezzo: str,
) -> None:
    untouched: list[bool] = []
    with ExitStack() as other, refuses("lease_lost"), looking(leases, settled) as lease:
        assert lease is not None
        if intermezzo == "a tick":
            assert number_of(leases, TICK + 30) == 2
        else:
            other.enter_context(held(leases)).memory = "the other's"
            if intermezzo == "by hand":
                other.close()
        before = item_of(dynamodb, leases_table)
        with refuses("lease_lost"):
            orders.create(an_order(), lease)
        assert orders.find("alice", an_order().client_order_id) is None
        lease.memory, lease.leaves_quiet, lease.leaves_nothing_watched = "stale", "stale", True
        other.callback(lambda: untouched.append(item_of(dynamodb, leases_table) == before))
    assert untouched == [True]
    with held(leases, EXPIRED) as last:
        assert last.memory == ("seen" if intermezzo == "a tick" else "the other's")


def test_an_account_that_somebody_works_on_is_busy_for_whoever_would_look(
    leases: LeasesTable, settled: LastRun
) -> None:
    with held(leases):
        last = last_run(leases)
        assert (last.number, last.nothing_watched) == (2, False)
        with refuses("account_busy"), looking(leases, last):
            pytest.fail("two runs have the lease")
    killed = ExitStack()
    killed.enter_context(held(leases))
    with looking(leases, last_run(leases), TICK + 120, EXPIRED) as lease:
        assert lease is not None
        assert (lease.number, lease.nothing_watched) == (4, False)
        with refuses("account_busy"), held(leases, EXPIRED):
            pytest.fail("what a killed run left is looked at without the lease")


@pytest.mark.parametrize("ts_tick", [TICK, TICK - 30])
def test_who_would_look_for_a_tick_that_was_had_does_not(leases: LeasesTable, settled: LastRun, ts_tick: int) -> None:
    with looking(leases, settled, ts_tick) as lease:
        assert lease is None
    assert last_run(leases) == settled


def test_of_two_who_look_at_once_for_a_tick_one_has_had_it(leases: LeasesTable, settled: LastRun) -> None:
    with refuses("lease_lost"), looking(leases, settled) as first, looking(leases, settled) as second:
        assert first is not None
        assert second is not None
    assert last_run(leases).number == 2


def test_orders_of_an_earlier_run_are_never_taken_for_watched_no_more(
    leases: LeasesTable, orders: OrdersTable, settled: LastRun
) -> None:
    """An order undoes what was said before, and a run that was killed says nothing."""
    with held(leases) as lease:
        lease.leaves_nothing_watched = True
        assert orders.create(an_order(), lease)
    assert not last_run(leases).nothing_watched
    with held(leases) as after:
        assert not after.nothing_watched
        after.leaves_nothing_watched = True
    assert last_run(leases).nothing_watched
    killed = ExitStack()
    killed.enter_context(held(leases)).leaves_nothing_watched = True
    with held(leases, EXPIRED) as successor:
        assert not successor.nothing_watched


@pytest.mark.parametrize("lost", [1, 2])
def test_a_look_s_end_whose_answer_was_lost_is_its_end(
    leases: LeasesTable, repeated: LeasesTable, repeating: "DynamoDBClient", settled: LastRun, lost: int
) -> None:
    with ExitStack() as afterwards, looking(repeated, settled) as lease:
        assert lease is not None
        lease.leaves_quiet = "still quiet"
        sent = afterwards.enter_context(answers_lost(repeating, "UpdateItem", lost))
    assert len(sent) == lost + 1
    after = last_run(leases)
    assert (after.number, after.quiet_note()) == (2, "still quiet")


def test_a_look_of_whose_end_nothing_is_known_fails(
    leases: LeasesTable, repeated: LeasesTable, repeating: "DynamoDBClient", settled: LastRun
) -> None:
    with ExitStack() as afterwards, refuses("storage_unavailable"), looking(repeated, settled):
        afterwards.enter_context(answers_lost(repeating, "UpdateItem", 3))
    assert last_run(leases).number == 2


@pytest.mark.parametrize("lost", [1, 3])
def test_a_first_order_whose_answer_was_lost_has_taken_the_lease(
    leases: LeasesTable,
    orders_table: str,
    repeated: LeasesTable,
    repeating: "DynamoDBClient",
    settled: LastRun,
    lost: int,
) -> None:
    """Where all answers are lost the order is not known to be written; the end is, and nobody is kept waiting."""
    orders = OrdersTable(repeating, orders_table)
    with looking(repeated, settled) as lease:
        assert lease is not None
        with answers_lost(repeating, "TransactWriteItems", lost):
            if lost == 1:
                assert orders.create(an_order(), lease)
            else:
                with refuses("storage_unavailable"):
                    orders.create(an_order(), lease)
        with refuses("account_busy"), held(leases):
            pytest.fail("two runs have the lease")
    after = last_run(leases)
    assert (after.number, after.ends_at, after.nothing_watched) == (2, 0, False)
    assert orders.find("alice", an_order().client_order_id) is not None


# the time that is left


@pytest.mark.parametrize("now", [UNTIL - 60, UNTIL - 16, UNTIL - 15])
def test_there_is_time_to_send_and_settle_while_15_seconds_are_left(now: int) -> None:
    Lease("leases", "alice", 1, UNTIL, None).require_time(now)


@pytest.mark.parametrize(("now", "left"), [(UNTIL - 14, 14), (UNTIL - 1, 1), (UNTIL, 0), (UNTIL + 1, 0)])
def test_with_less_time_left_nothing_is_sent(now: int, left: int) -> None:
    with pytest.raises(TransientError, match=f"^{left} s are left, expected 15 ") as raised:
        Lease("leases", "alice", 1, UNTIL, None).require_time(now)
    assert raised.value.code == "out_of_time"
