"""What one user's own requests may take of an exchange's weight, and what is kept back for ticks and stops."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.accounts.rate_limits import HEAVIEST_READ, RateLimits
from botbalance.accounts.weight_budgets import BOUNDS, Purpose, WeightBudgets, caller, on_behalf_of, with_purpose
from botbalance.errors import RateLimitedError
from botbalance.exchange.adapter import OrderAccepted, OrderRejected, OrderRequest
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.store.cache import CacheTable

from tests.fixtures.cache_table import CACHE, START, Clock
from tests.integration.exchange.simulated import BALANCES, Exchange
from tests.thorough import thorough_only

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIMIT = 6000
PERSON = 1200
MINUTE = START // 60
LEFT_S = 60 - START % 60


@pytest.fixture(autouse=True)
def _exchange_of_this_minute(exchange: Exchange, clock: Clock) -> None:
    exchange.books.now_ms = lambda: clock.now * 1000
    exchange.api.weight_limit = LIMIT


@pytest.fixture
def limits(cache: CacheTable, clock: Clock) -> RateLimits:
    return RateLimits(cache, clock, "203.0.113.7")


@pytest.fixture
def budgets(cache: CacheTable, clock: Clock) -> WeightBudgets:
    return WeightBudgets(cache, clock)


@pytest.fixture
def attacker(exchange: Exchange, limits: RateLimits) -> CcxtAdapter:
    return exchange.trader(rate_limiter=limits.of("binance", "mallory"))


@pytest.fixture
def victim(exchange: Exchange, limits: RateLimits) -> CcxtAdapter:
    exchange.books.open_account("v" * 64, "secret of ann", BALANCES)
    return exchange.trader("v" * 64, "secret of ann", rate_limiter=limits.of("binance", "ann"))


def spend_all(budgets: WeightBudgets, user_id: str, purpose: Purpose, weight: int = 20) -> int:
    """Spend until no more may be spent; returns how much it was."""
    spent = 0
    with on_behalf_of(user_id, purpose), suppress(RateLimitedError):
        while spent <= LIMIT:
            budgets.spend("binance", weight)
            spent += weight
    return spent


def until_refused(request: Callable[[], object]) -> int:
    """How often ``request`` was answered before it was refused."""
    for done in range(LIMIT):
        try:
            request()
        except RateLimitedError:
            return done
    raise AssertionError("it was never refused")


@pytest.mark.parametrize("purpose", [Purpose.PERSON, Purpose.STOP, Purpose.TRIAL])
def test_a_user_has_a_share_of_the_minute(budgets: WeightBudgets, clock: Clock, purpose: Purpose) -> None:
    share = LIMIT * (BOUNDS[purpose].user_pct or 0) // 100
    assert spend_all(budgets, "mallory", purpose) == share
    with on_behalf_of("mallory", purpose), pytest.raises(RateLimitedError) as raised:
        budgets.spend("binance", 1)
    assert str(share) in str(raised.value)
    assert raised.value.retry_after_s == LEFT_S
    assert spend_all(budgets, "ann", purpose) == share
    clock.now += LEFT_S
    assert spend_all(budgets, "mallory", purpose) == share


def test_what_one_purpose_uses_up_another_still_has(budgets: WeightBudgets) -> None:
    spend_all(budgets, "ann", Purpose.PERSON)
    spend_all(budgets, "ann", Purpose.TRIAL)
    assert spend_all(budgets, "ann", Purpose.STOP) == LIMIT * 20 // 100


def test_ticks_are_counted_for_nobody(budgets: WeightBudgets) -> None:
    assert (caller().user_id, caller().purpose) == (None, Purpose.TICK)
    for _ in range(LIMIT):
        budgets.spend("binance", HEAVIEST_READ)
    with with_purpose(Purpose.PERSON):  # what a tick comes by remains a tick's
        assert caller().purpose is Purpose.TICK


@pytest.mark.parametrize("purpose", [Purpose.PERSON, Purpose.STOP, Purpose.TRIAL])
def test_requests_are_counted_where_an_exchange_tells_no_weight(
    budgets: WeightBudgets, clock: Clock, purpose: Purpose
) -> None:
    most = BOUNDS[purpose].user_requests
    for user_id in ("mallory", "ann"):
        with on_behalf_of(user_id, purpose):
            assert until_refused(lambda: budgets.spend("kraken", HEAVIEST_READ)) == most
    clock.now += LEFT_S
    with on_behalf_of("mallory", purpose):
        budgets.spend("kraken", 1)


def test_ticks_send_any_number_of_requests(budgets: WeightBudgets) -> None:
    for _ in range(LIMIT):
        budgets.spend("kraken", HEAVIEST_READ)


def test_processes_count_together(cache: CacheTable, clock: Clock) -> None:
    processes = [WeightBudgets(cache, clock) for _ in range(5)]
    spent = [spend_all(process, "mallory", Purpose.PERSON) for process in processes]
    assert spent == [PERSON, 0, 0, 0, 0]


def test_threads_count_together(budgets: WeightBudgets) -> None:
    with ThreadPoolExecutor(8) as pool:
        spent = sum(pool.map(lambda _: spend_all(budgets, "mallory", Purpose.PERSON, 1), range(8)))
    assert spent == PERSON


def test_a_budget_that_is_spent_costs_no_write(
    budgets: WeightBudgets, client: "DynamoDBClient", cache: CacheTable
) -> None:
    spend_all(budgets, "mallory", Purpose.PERSON)
    item = {"key": {"S": f"budget#binance#person#mallory#{MINUTE}"}}
    before = client.get_item(TableName=CACHE, Key=item)["Item"]
    for _ in range(100):
        spend_all(budgets, "mallory", Purpose.PERSON)
    assert client.get_item(TableName=CACHE, Key=item)["Item"] == before
    assert before["expires_at"] == {"N": str((MINUTE + 1) * 60)}
    assert int(before["used"]["N"]) <= PERSON + HEAVIEST_READ + 100


@thorough_only
def test_without_the_table_each_process_counts_by_itself(client: "DynamoDBClient", clock: Clock) -> None:
    unreachable = CacheTable(client, "no-such-table")
    assert spend_all(WeightBudgets(unreachable, clock), "mallory", Purpose.PERSON) == PERSON


# on the exchange


def test_requests_count_for_what_the_exchange_counts_them_for(attacker: CcxtAdapter, exchange: Exchange) -> None:
    spent: list[int] = []
    attacker._client.rate_limiter.limits.spend = lambda _, weight: spent.append(weight)
    requests: list[Callable[[], Any]] = [
        attacker.balances,
        attacker.open_orders,
        lambda: attacker.quotes(["BTCUSDT"]),
        lambda: attacker.quotes(["BTCUSDT", "ETHUSDT", "XRPUSDT"]),
        lambda: attacker.find_order("BTCUSDT", "0" * 20),
        lambda: attacker.market_listings(["BTCUSDT"]),
        lambda: attacker.trades("BTCUSDT", "1"),
        attacker.clock_offset_ms,
    ]
    for request in requests:
        spent.clear()
        before = exchange.api.weight_used_total
        request()
        assert sum(spent) == exchange.api.weight_used_total - before, request


def test_a_user_without_end_leaves_the_others_their_reads(
    attacker: CcxtAdapter, victim: CcxtAdapter, exchange: Exchange
) -> None:
    before = exchange.api.weight_used_total
    with on_behalf_of("mallory"):
        assert until_refused(attacker.open_orders) == 15
        assert exchange.api.weight_used_total - before <= PERSON
        assert until_refused(attacker.balances) <= 1
    with on_behalf_of("ann"):
        assert victim.open_orders() == []
    assert victim.balances()


def test_people_together_leave_ticks_and_stops_their_reserve(
    attacker: CcxtAdapter, victim: CcxtAdapter, exchange: Exchange
) -> None:
    for number in range(20):
        with on_behalf_of(f"mallory-{number}"):
            until_refused(attacker.open_orders)
    assert exchange.api.weight_used_total <= LIMIT * 50 // 100
    with on_behalf_of("ann"), pytest.raises(RateLimitedError, match="no reads"):
        victim.open_orders()
    with on_behalf_of("ann", Purpose.STOP):
        assert until_refused(victim.open_orders) >= 10
    assert until_refused(victim.open_orders) >= 5
    assert exchange.api.weight_used_total <= LIMIT * 80 // 100


def test_orders_by_hand_stop_before_those_of_ticks_and_before_cancels(
    victim: CcxtAdapter, exchange: Exchange, limits: RateLimits
) -> None:
    limits.of("binance", None).record_weight(LIMIT * 80 // 100)
    with limits.of("binance", None).request(sends=True, weight=1):
        pass
    tell = limits.of("binance", None)
    with tell.request(sends=True, weight=1):
        tell.record_weight(LIMIT * 80 // 100)
    sent = (Decimal(39_000), Decimal("0.01"))
    with on_behalf_of("ann"):
        refused = victim.place_order(OrderRequest("BTCUSDT", "buy", *sent, "0" * 20, post_only=True))
    assert isinstance(refused, OrderRejected)
    assert refused.code == "exchange_rate_limit"
    exchange.api.requests.clear()
    assert isinstance(
        victim.place_order(OrderRequest("BTCUSDT", "buy", *sent, "1" * 20, post_only=True)), OrderAccepted
    )
