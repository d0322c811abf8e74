"""Leases and states: an account has one run at a time, a tick one at most, and who has lost a lease writes nothing."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.engine import AssetBounds, BudgetRule, NoTradeRegion, Tally, finding_id
from botbalance.errors import ConflictError, TransientError
from botbalance.models.account_state import (
    AccountState,
    BudgetPause,
    BudgetState,
    FillTotals,
    LastObservation,
    NoTradeNote,
    Recount,
    RefusedPair,
)
from botbalance.models.order import OrderStatus
from botbalance.store.accounts import LEASE_S, AccountsTable, Lease, account_key
from botbalance.store.compression import compress
from botbalance.store.dynamodb import shard_name
from botbalance.store.orders import OrdersTable
from botbalance.trading.tallies import kept_budgets

from tests.unit.store.concurrent_writers import decided, held
from tests.unit.store.conftest import NOW
from tests.unit.store.faults import answers_lost, meanwhile, not_reached, refused
from tests.unit.store.test_orders import an_order, moved
from workbench.aws.usage_meter import item_size

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TICK = NOW
EXPIRED = NOW + LEASE_S
"""The first second at which a lease taken at NOW may be taken over."""
OBSERVATION = LastObservation(seen_at=NOW, prices={"BTCUSDT": Decimal("0.000000000000000001")}, held={})
STATE = AccountState(
    last_observation=OBSERVATION,
    no_unreconciled_orders=True,
    refused_pairs={"BTCUSDT": RefusedPair(times=3, retry_at=NOW + 60, reason="пять 😀")},
    fill_totals={"binance": {"BTC": FillTotals(fills=1, net={"BTC": Decimal("-0.1")})}},
)
NOTE = NoTradeNote(
    engine_version="1",
    strategy_version=7,
    exchange="binance",
    looked_at=NOW,
    look_again_at=NOW + 60,
    prices={},
    bounds=NoTradeRegion(Decimal(1), ()),
)


@contextmanager
def refuses(code: str) -> Iterator[None]:
    with pytest.raises((ConflictError, TransientError)) as raised:
        yield
    assert raised.value.code == code


def take_token(accounts: AccountsTable, ts_tick: int, now: int = NOW) -> int | None:
    """The fencing token of a run for ``ts_tick`` that has ended already, None where there was none."""
    try:
        with held(accounts, "alice", now, ts_tick) as lease:
            return lease.fencing_token
    except ConflictError:
        return None


def read_item(dynamodb: "DynamoDBClient", accounts_table: str) -> Any:
    return dynamodb.get_item(TableName=accounts_table, Key=account_key("alice"), ConsistentRead=True)["Item"]


# one holder


def test_a_lease_is_one_run_s_at_a_time(accounts: AccountsTable) -> None:
    with held(accounts, "alice"):
        for ts_tick in (None, TICK):
            with refuses("account_busy"):
                accounts.acquire("alice", EXPIRED - 1, ts_tick=ts_tick)
    with held(accounts, "alice") as again:
        assert again.fencing_token == 2


def test_a_lease_is_one_user_s(accounts: AccountsTable) -> None:
    with held(accounts, "alice") as alices, held(accounts, "bob") as bobs:
        assert (alices.user_id, alices.fencing_token) == ("alice", 1)
        assert (bobs.user_id, bobs.fencing_token) == ("bob", 1)


@pytest.mark.parametrize(("later", "seconds"), [(0, 90), (60, 30), (89, 1)])
def test_a_busy_account_says_when_it_is_free_at_the_latest(accounts: AccountsTable, later: int, seconds: int) -> None:
    with held(accounts, "alice"), pytest.raises(ConflictError, match=f"free again in {seconds} s at the latest"):
        accounts.acquire("alice", NOW + later)


def test_a_lease_whose_holder_is_gone_is_free_when_it_expires(accounts: AccountsTable) -> None:
    accounts.acquire("alice", NOW)
    lease, _ = accounts.acquire("alice", EXPIRED)
    assert (lease.fencing_token, lease.ends_at) == (2, EXPIRED + LEASE_S)


def test_a_token_never_comes_twice(accounts: AccountsTable) -> None:
    """Released or expired, taken by hand or for a tick, in vain in between: each taking raises it by one."""
    tokens: list[int | None] = []
    with held(accounts, "alice") as lease:
        tokens.append(lease.fencing_token)
    tokens.append(accounts.acquire("alice", NOW)[0].fencing_token)
    with held(accounts, "alice", NOW + 100) as successor:
        tokens.append(successor.fencing_token)
        assert take_token(accounts, TICK, NOW + 100) is None
    tokens.append(take_token(accounts, TICK, NOW + 101))
    assert take_token(accounts, TICK, NOW + 102) is None
    with held(accounts, "alice", NOW) as last:  # a clock that is behind changes nothing
        tokens.append(last.fencing_token)
    assert tokens == [1, 2, 3, 4, 5]


# taken over


def test_who_has_lost_the_lease_writes_nothing(accounts: AccountsTable, orders: OrdersTable) -> None:
    lost, _ = accounts.acquire("alice", NOW)
    assert orders.create(an_order(1), lost, decided(lost))
    with held(accounts, "alice", EXPIRED) as current:
        with refuses("lease_lost"):
            orders.create(an_order(2), lost, decided(lost))
        with refuses("lease_lost"):
            orders.update(moved(an_order(1), OrderStatus.OPEN), lost)
        assert orders.find("alice", an_order(2).client_order_id) is None
        assert orders.get("alice", an_order(1).client_order_id) == an_order(1)
        # and keeps nobody from writing
        opened = orders.update(moved(an_order(1), OrderStatus.OPEN), current)
        assert orders.create(an_order(2), current, decided(current))
    with refuses("lease_lost"):
        orders.update(moved(opened, OrderStatus.FILLED), lost)
    assert orders.get("alice", opened.client_order_id) == opened


@pytest.mark.parametrize("update", [False, True], ids=["an intent", "an update"])
def test_a_lease_that_is_lost_while_a_write_is_on_its_way_stops_that_write(
    accounts: AccountsTable, orders: OrdersTable, dynamodb: "DynamoDBClient", update: bool
) -> None:
    """To read the lease first and to write then would be too late: it is the write itself that has to fail."""
    lost, _ = accounts.acquire("alice", NOW)
    orders.create(an_order(1), lost, decided(lost))
    with meanwhile(dynamodb, "TransactWriteItems", lambda: accounts.acquire("alice", EXPIRED)), refuses("lease_lost"):
        if update:
            orders.update(moved(an_order(1), OrderStatus.OPEN), lost)
        else:
            orders.create(an_order(2), lost, decided(lost))
    assert list(orders.iter_all("alice")) == [an_order(1)]


def test_a_lost_lease_is_told_from_a_changed_order(accounts: AccountsTable, orders: OrdersTable) -> None:
    """Where both are so, the run must stop, not go on with its next order."""
    lost, _ = accounts.acquire("alice", NOW)
    orders.create(an_order(), lost, decided(lost))
    with held(accounts, "alice", EXPIRED) as current:
        orders.update(moved(an_order(), OrderStatus.OPEN), current)
        with refuses("lease_lost"):
            orders.update(moved(an_order(), OrderStatus.REJECTED), lost)
        with refuses("lease_lost"):
            orders.create(an_order(), lost, decided(lost))


def test_an_intent_of_another_strategy_than_the_stored_one_is_not_written(
    accounts: AccountsTable, orders: OrdersTable
) -> None:
    with held(accounts, "alice") as lease:
        changed = decided(lease) | {"ConditionExpression": "attribute_exists(user_id)"}
        with refuses("strategy_changed"):
            orders.create(an_order(), lease, changed)
        assert orders.find("alice", an_order().client_order_id) is None


def test_a_lease_that_has_ended_and_that_nobody_took_still_writes(accounts: AccountsTable, orders: OrdersTable) -> None:
    """What an exchange did in the last moment is better written late than never."""
    with held(accounts, "alice") as lease:
        pass
    assert orders.create(an_order(), lease, decided(lease))


@pytest.mark.parametrize("token", [1, 3], ids=["an older one", "one that was never given"])
def test_a_lease_with_another_token_writes_nothing(accounts: AccountsTable, orders: OrdersTable, token: int) -> None:
    with held(accounts, "alice"):
        pass
    with held(accounts, "alice") as lease, refuses("lease_lost"):
        orders.create(an_order(), Lease(lease.table, "alice", token, EXPIRED), decided(lease))


def test_releasing_a_lost_lease_takes_nothing_away(
    accounts: AccountsTable, dynamodb: "DynamoDBClient", accounts_table: str, caplog: pytest.LogCaptureFixture
) -> None:
    lost, _ = accounts.acquire("alice", NOW)
    current, _ = accounts.acquire("alice", EXPIRED)
    before = read_item(dynamodb, accounts_table)
    accounts.release(lost, STATE)
    assert read_item(dynamodb, accounts_table) == before
    with refuses("account_busy"):
        accounts.acquire("alice", EXPIRED + 1)
    accounts.release(current, AccountState())
    assert [record.getMessage() for record in caplog.records] == ["lease lost before its end"]


def test_orders_are_written_with_the_end_of_a_lease(accounts: AccountsTable, orders: OrdersTable) -> None:
    with held(accounts, "alice") as lease:
        orders.create(an_order(), lease, decided(lease))
    ending, _ = accounts.acquire("alice", NOW)
    written = orders.get("alice", an_order().client_order_id)
    rests = written.model_copy(update={"status": OrderStatus.OPEN})
    accounts.release(ending, STATE, orders.transact_update(rests, ending))
    found = orders.get("alice", written.client_order_id)
    assert (found.status, found.revision, found.fencing_token) == (OrderStatus.OPEN, 1, ending.fencing_token)
    assert accounts.find_state("alice") == STATE
    assert take_token(accounts, TICK) == ending.fencing_token + 1


def test_what_was_changed_meanwhile_is_left_out_and_the_rest_is_written(
    accounts: AccountsTable, orders: OrdersTable, caplog: pytest.LogCaptureFixture
) -> None:
    with held(accounts, "alice") as lease:
        orders.create(an_order(), lease, decided(lease))
        orders.create(an_order(client_order_id="b" * 20), lease, decided(lease))
    ending, _ = accounts.acquire("alice", NOW)
    first, second = (orders.get("alice", id_) for id_ in (an_order().client_order_id, "b" * 20))
    orders.update(first.model_copy(update={"reason": "written"}), ending)
    rest = [order.model_copy(update={"status": OrderStatus.OPEN}) for order in (first, second)]
    accounts.release(ending, STATE, *(orders.transact_update(order, ending) for order in rest))
    assert orders.get("alice", first.client_order_id).reason == "written"
    assert orders.get("alice", second.client_order_id).status is OrderStatus.OPEN
    assert accounts.find_state("alice") == STATE
    assert [record.getMessage() for record in caplog.records] == ["not written with the end of a lease"]


# the claim of a tick


def test_after_a_tick_comes_the_next_and_never_the_same_or_an_earlier_one(accounts: AccountsTable) -> None:
    ticks = (TICK + 30, TICK, TICK + 29, TICK + 30, TICK + 31, TICK + 60, 0, TICK + 59)
    assert [take_token(accounts, tick) for tick in ticks] == [1, None, None, None, 2, 3, None, None]


def test_a_run_by_hand_claims_no_tick_and_forgets_none(accounts: AccountsTable) -> None:
    assert take_token(accounts, TICK) == 1
    with held(accounts, "alice") as by_hand:
        assert by_hand.fencing_token == 2
    assert take_token(accounts, TICK) is None
    assert take_token(accounts, TICK + 30) == 3


def test_a_claimed_tick_is_told_from_a_busy_account(accounts: AccountsTable) -> None:
    with held(accounts, "alice", ts_tick=TICK):
        for ts_tick in (TICK, TICK - 30):  # busy too, but with nothing left to wait for
            with refuses("tick_claimed"):
                accounts.acquire("alice", NOW, ts_tick=ts_tick)
        with refuses("account_busy"):
            accounts.acquire("alice", NOW, ts_tick=TICK + 30)
    with refuses("tick_claimed"):
        accounts.acquire("alice", NOW, ts_tick=TICK)


def test_a_tick_that_found_the_account_busy_is_not_claimed(accounts: AccountsTable) -> None:
    with held(accounts, "alice"):
        assert take_token(accounts, TICK) is None
    assert take_token(accounts, TICK) == 2


# the state


def test_what_a_run_leaves_the_next_one_finds_to_the_last_digit(accounts: AccountsTable) -> None:
    lease, found = accounts.acquire("alice", NOW)
    assert found == AccountState(fill_totals={})
    accounts.release(lease, STATE)
    assert accounts.find_state("alice") == STATE
    assert accounts.acquire("alice", NOW)[1] == STATE
    assert accounts.find_state("bob") == AccountState(fill_totals={})


def test_what_was_traded_and_paused_is_found_to_the_last_digit(accounts: AccountsTable) -> None:
    tally = Tally(bought=Decimal("1e-18"), paid=Decimal("12345678901234567890.123456789"), buys=1, placed=2)
    pause = BudgetPause(rule=BudgetRule.CHURN, symbol="BTCUSDT", since=NOW, evidence="it lost 3.6 %")
    of_account = BudgetState(
        tallies={"BTCUSDT": {NOW // 3600: tally}},
        pauses={finding_id(pause.rule, pause.symbol): pause},
        warned={"turnover": NOW},
        resumed={"fall-ETHUSDT": NOW - 1},
    )
    budgets = {"binance-paper#2": of_account}
    lease, _ = accounts.acquire("alice", NOW)
    accounts.release(lease, AccountState(budgets=budgets))
    assert accounts.find_state("alice").budgets == budgets
    lease, found = accounts.acquire("alice", NOW)
    assert found.budgets == budgets
    _, after_a_death = accounts.acquire("alice", lease.ends_at)
    assert after_a_death.budgets == budgets


def test_what_a_run_that_died_may_have_changed_is_unknown_to_the_next_one(accounts: AccountsTable) -> None:
    lease, _ = accounts.acquire("alice", NOW)
    accounts.release(lease, STATE)
    accounts.acquire("alice", NOW)
    _, found = accounts.acquire("alice", EXPIRED)
    assert (found.no_unreconciled_orders, found.fill_totals) == (False, None)
    assert (found.last_observation, found.refused_pairs) == (STATE.last_observation, STATE.refused_pairs)
    assert accounts.find_state("alice").fill_totals is None


def test_the_first_run_of_all_may_have_died_too(accounts: AccountsTable) -> None:
    accounts.acquire("alice", NOW)
    assert accounts.acquire("alice", EXPIRED)[1] == AccountState()


def test_the_note_for_quiet_ticks_is_there_until_somebody_works_on_the_account(accounts: AccountsTable) -> None:
    with held(accounts, "alice", ts_tick=TICK):
        pass
    assert accounts.last_runs(["alice", "bob"])["alice"].note() is None
    lease, _ = accounts.acquire("alice", NOW)
    accounts.release(lease, AccountState(no_trade_note=NOTE))
    runs = accounts.last_runs(["alice", "bob"])
    assert runs.keys() == {"alice"}
    assert (runs["alice"].last_tick, runs["alice"].note()) == (TICK, NOTE)
    lease, found = accounts.acquire("alice", NOW)
    assert found.no_trade_note == NOTE  # whoever ends what was quiet learns of it
    assert accounts.last_runs(["alice"])["alice"].note() is None
    _, found = accounts.acquire("alice", lease.ends_at)
    assert found.no_trade_note is None  # the run before has died, and nobody knows what it did


def test_the_last_runs_of_many_are_read_as_ranges_of_their_shards(
    accounts: AccountsTable, dynamodb: "DynamoDBClient"
) -> None:
    """Whoever is between them and was not asked for is left out, and so is who is not there."""
    users = [f"user-{number:03}" for number in range(100)]
    for number, user in enumerate(users):
        with held(accounts, user, ts_tick=TICK + number):
            pass
    asked: list[Any] = []

    def note(params: Any, **_: Any) -> None:
        asked.append(params)

    dynamodb.meta.events.register("before-parameter-build.dynamodb.Query", note)
    wanted = users[10:90:2]
    try:
        runs = accounts.last_runs([*wanted, "nobody", wanted[0]])
    finally:
        dynamodb.meta.events.unregister("before-parameter-build.dynamodb.Query", note)
    assert {user: run.last_tick for user, run in runs.items()} == {user: TICK + int(user[5:]) for user in wanted}
    assert len(asked) == len({shard_name(user) for user in [*wanted, "nobody"]})
    assert accounts.last_runs([]) == {}


def test_a_state_of_ten_assets_is_written_in_one_kilobyte(
    accounts: AccountsTable, dynamodb: "DynamoDBClient", accounts_table: str
) -> None:
    assets = [f"ASSET{number}" for number in range(10)]
    prices = {f"{asset}USDT": Decimal(f"{number + 1}234.56780000") for number, asset in enumerate(assets)}
    held_now = {asset: Decimal(f"{number}.98765432") for number, asset in enumerate(assets)}
    bounds = tuple(
        AssetBounds(f"{asset}USDT", held_now[asset], Decimal(9), Decimal(-50), Decimal(50)) for asset in assets
    )
    state = AccountState(
        last_observation=LastObservation(seen_at=NOW, prices=prices, held=held_now, committed=held_now),
        no_trade_note=NOTE.model_copy(update={"prices": prices, "bounds": NoTradeRegion(Decimal(1000), bounds)}),
        fill_totals={"binance": {one: FillTotals(fills=7, net={one: -held}) for one, held in held_now.items()}},
    )
    lease, _ = accounts.acquire("alice", NOW, ts_tick=TICK)
    accounts.release(lease, state)
    assert accounts.find_state("alice") == state
    assert item_size(read_item(dynamodb, accounts_table)) <= 1024


def test_what_is_counted_of_fifty_pairs_fits_into_an_item(
    accounts: AccountsTable, dynamodb: "DynamoDBClient", accounts_table: str
) -> None:
    """Every pair trades in every hour, and all of it is counted anew: there is no more to remember."""
    digits = Random(1)

    def number() -> Decimal:
        return Decimal(digits.randrange(10**12)).scaleb(-8)

    hours = {
        hour: Tally(number(), number(), number(), number(), number(), number(), 3, 4, 9, nav=number())
        for hour in range(NOW // 3600 - 720, NOW // 3600)
    }
    every_hour = {"binance": BudgetState(tallies={f"ASSET{pair}USDT": hours for pair in range(50)})}
    budgets = kept_budgets(every_hour, NOW)
    day = (NOW // 3600 - 144) // 24 * 24
    assert total_paid(budgets, day) == total_paid(every_hour, day)
    state = AccountState(budgets=budgets, recount=Recount(budgets=budgets))
    lease, _ = accounts.acquire("alice", NOW)
    accounts.release(lease, state)
    assert accounts.find_state("alice") == state
    assert item_size(read_item(dynamodb, accounts_table)) < 300 * 1024


def total_paid(budgets: dict[str, BudgetState], since_hour: int) -> Decimal:
    """In one pair, since an hour with which a day begins."""
    hours = budgets["binance"].tallies["ASSET7USDT"]
    return sum((tally.paid for hour, tally in hours.items() if hour >= since_hour), Decimal(0))


def test_a_state_of_another_version_is_none_and_somebody_is_told(
    accounts: AccountsTable, dynamodb: "DynamoDBClient", accounts_table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What it is compared with and counts on from is begun anew; nobody is kept from trading for want of it."""
    lease, _ = accounts.acquire("alice", NOW)
    accounts.release(lease, AccountState(no_trade_note=NOTE))
    document = {"schema_version": 2, "no_trade_note": {"schema_version": 99}}
    other: Any = {"account_state": {"B": compress(json.dumps(document).encode())}}
    dynamodb.put_item(TableName=accounts_table, Item=read_item(dynamodb, accounts_table) | other)
    assert accounts.last_runs(["alice"])["alice"].note() is None
    assert accounts.acquire("alice", NOW)[1] == AccountState()
    [record] = caplog.records
    assert (record.__dict__["alarm"], record.__dict__["user_id"]) == ("unknown_schema", "alice")


# lost answers


@pytest.fixture
def repeated(repeating: "DynamoDBClient", accounts_table: str) -> AccountsTable:
    return AccountsTable(repeating, accounts_table)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_taking_whose_answer_was_lost_is_one_s_own(
    accounts: AccountsTable, repeated: AccountsTable, repeating: "DynamoDBClient", lost: int
) -> None:
    lease, _ = accounts.acquire("alice", NOW)
    accounts.release(lease, STATE)
    with answers_lost(repeating, "UpdateItem", lost) as sent:
        lease, found = repeated.acquire("alice", NOW, ts_tick=TICK)
    assert len(sent) == lost + 1
    assert (lease.fencing_token, lease.ends_at, found) == (2, EXPIRED, STATE)
    with refuses("account_busy"):
        accounts.acquire("alice", NOW)


def test_another_s_taking_is_not_mistaken_for_one_s_own(
    accounts: AccountsTable, repeated: AccountsTable, repeating: "DynamoDBClient"
) -> None:
    with held(accounts, "alice"), answers_lost(repeating, "UpdateItem") as sent, refuses("account_busy"):
        repeated.acquire("alice", NOW)
    assert len(sent) == 2


@pytest.mark.parametrize("ts_tick", [None, TICK], ids=["by hand", "for the tick"])
def test_a_lease_that_is_taken_while_one_s_own_request_for_it_is_on_its_way_is_the_other_s(
    accounts: AccountsTable, dynamodb: "DynamoDBClient", ts_tick: int | None
) -> None:
    with meanwhile(dynamodb, "UpdateItem", lambda: accounts.acquire("alice", NOW, ts_tick=ts_tick)):
        assert take_token(accounts, TICK) is None


def test_a_taking_of_which_nothing_is_known_is_no_leave_to_work(
    accounts: AccountsTable, repeated: AccountsTable, repeating: "DynamoDBClient"
) -> None:
    """It was carried out, though: the account is busy until that lease ends, and the tick has had its run."""
    with answers_lost(repeating, "UpdateItem", 3) as sent, refuses("storage_unavailable"):
        repeated.acquire("alice", NOW, ts_tick=TICK)
    assert len(sent) == 3
    with refuses("account_busy"):
        accounts.acquire("alice", EXPIRED - 1)
    assert take_token(accounts, TICK, EXPIRED) is None
    assert take_token(accounts, TICK + 30, EXPIRED) == 2


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "TransactionConflictException"])
def test_a_taking_that_was_refused_leaves_the_account_free(
    accounts: AccountsTable, dynamodb: "DynamoDBClient", code: str
) -> None:
    with refused(dynamodb, "UpdateItem", code), refuses("storage_unavailable"):
        accounts.acquire("alice", NOW)
    assert take_token(accounts, TICK) == 1


# releasing


def test_a_lease_that_cannot_be_released_ends_by_itself(accounts: AccountsTable, dynamodb: "DynamoDBClient") -> None:
    lease, _ = accounts.acquire("alice", NOW)
    with not_reached(dynamodb, "UpdateItem"), pytest.raises(TransientError, match="ReadTimeoutError"):
        accounts.release(lease, STATE)
    with refuses("account_busy"):
        accounts.acquire("alice", EXPIRED - 1)
    assert accounts.acquire("alice", EXPIRED)[0].fencing_token == 2


def test_a_release_whose_answer_was_lost_is_a_release(
    repeated: AccountsTable, repeating: "DynamoDBClient", caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        lease, _ = repeated.acquire("alice", NOW)
        sent = stack.enter_context(answers_lost(repeating, "UpdateItem"))
        repeated.release(lease, STATE)
    assert len(sent) == 2
    assert caplog.records == []
    assert repeated.acquire("alice", NOW)[1] == STATE
