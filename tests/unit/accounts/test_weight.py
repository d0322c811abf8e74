"""What an address may ask in a clock minute: reads stop early, orders late, and all processes count together."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.accounts.rate_limits import HEAVIEST_READ, SHARED_EVERY, RateLimits
from botbalance.errors import RateLimitedError
from botbalance.exchange.adapter import OrderAccepted, OrderRejected, OrderRequest, RateLimiter
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.store.cache import Cached, CacheTable

from tests.fixtures.cache_table import START, Clock
from tests.integration.exchange.simulated import Exchange, Fault
from workbench.simulated_exchange.binance_api import Reply, Request

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ADDRESS = "203.0.113.7"
LIMIT = 6000
READS_STOP = 4800
SENDING_STOPS = 5700
LEFT_S = 60 - START % 60
WEIGHT_KEY = f"weight#binance#{ADDRESS}#{START // 60}"
ACCOUNT = ("GET", "/api/v3/account")


@pytest.fixture(autouse=True)
def _exchange_of_this_minute(exchange: Exchange, clock: Clock) -> None:
    exchange.books.now_ms = lambda: clock.now * 1000
    exchange.api.weight_limit = LIMIT


@pytest.fixture
def limits(cache: CacheTable, clock: Clock) -> RateLimits:
    return RateLimits(cache, clock, ADDRESS)


@pytest.fixture
def elsewhere(cache: CacheTable, clock: Clock) -> RateLimits:
    """Another process, which leaves from the same address."""
    return RateLimits(cache, clock, ADDRESS)


@pytest.fixture
def trader(exchange: Exchange, limits: RateLimits) -> CcxtAdapter:
    return exchange.trader(rate_limiter=limits.of("binance", "ann"))


def use_up(exchange: Exchange, weight: int) -> None:
    """Let somebody else at this address use the minute's weight, in twenties."""
    while exchange.api.weight_used_total < weight:
        exchange.api.answer(Request("GET", "/api/v3/exchangeInfo"))


def read_until_stopped(*traders: CcxtAdapter) -> RateLimitedError:
    """Ask for all open orders, in turn, until one may not."""
    for _ in range(LIMIT // HEAVIEST_READ):
        for trader in traders:
            try:
                trader.open_orders()
            except RateLimitedError as wait:
                return wait
    raise AssertionError("nobody was stopped")


def place(trader: CcxtAdapter, client_id: str = "0123456789abcdef0123") -> Any:
    return trader.place_order(
        OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), client_id, post_only=True)
    )


def tell(rate_limiter: RateLimiter, weight: int) -> None:
    """Let the exchange tell that much in its reply to a cancel."""
    with rate_limiter.request(sends=True, weight=1):
        rate_limiter.record_weight(weight)


def may_read(rate_limiter: RateLimiter) -> bool:
    try:
        with rate_limiter.request(sends=False, weight=80):
            return True
    except RateLimitedError:
        return False


@contextmanager
def noted(client: "DynamoDBClient", operation: str) -> Iterator[list[str]]:
    calls: list[str] = []

    def note(**_: Any) -> None:
        calls.append(operation)

    client.meta.events.register(f"before-call.dynamodb.{operation}", note)
    try:
        yield calls
    finally:
        client.meta.events.unregister(f"before-call.dynamodb.{operation}", note)


# one process


def test_reads_stop_at_their_share_until_the_next_minute(trader: CcxtAdapter, exchange: Exchange, clock: Clock) -> None:
    wait = read_until_stopped(trader)
    used, sent = exchange.api.weight_used_total, len(exchange.api.requests)
    assert READS_STOP - HEAVIEST_READ < used <= READS_STOP
    assert wait.code == "exchange_rate_limit"
    assert wait.retry_after_s == LEFT_S
    assert f"{used} of the 6000 that binance allows a minute are used: no reads for {LEFT_S} s" in str(wait)
    reads: list[Callable[[], object]] = [trader.balances, lambda: trader.quotes(["BTCUSDT"])]
    clock.now += LEFT_S - 1
    for read in reads:
        with pytest.raises(RateLimitedError, match="for 1 s"):
            read()
    assert len(exchange.api.requests) == sent
    assert exchange.slept == []
    clock.now += 1
    assert trader.balances()
    assert len(exchange.api.requests) == sent + 1


def test_orders_and_cancels_go_on_when_reads_have_stopped(trader: CcxtAdapter, exchange: Exchange) -> None:
    read_until_stopped(trader)
    assert isinstance(place(trader), OrderAccepted)
    trader.cancel_order("BTCUSDT", "0123456789abcdef0123")
    with pytest.raises(RateLimitedError):
        trader.find_order("BTCUSDT", "0123456789abcdef0123")


def test_sending_stops_before_the_exchange_refuses_it(trader: CcxtAdapter, exchange: Exchange, clock: Clock) -> None:
    trader.balances()
    use_up(exchange, SENDING_STOPS - 1)
    assert isinstance(place(trader), OrderAccepted)  # here it is learned what others have used
    exchange.api.requests.clear()
    refused = place(trader, "another")
    assert isinstance(refused, OrderRejected)
    assert refused.code == "exchange_rate_limit"
    assert f"no requests for {LEFT_S} s" in refused.reason
    with pytest.raises(RateLimitedError, match="no requests"):
        trader.cancel_order("BTCUSDT", "0123456789abcdef0123")
    assert exchange.api.requests == []
    clock.now += LEFT_S
    assert isinstance(place(trader, "another"), OrderAccepted)


def test_what_is_under_way_counts(limits: RateLimits) -> None:
    tell(limits.of("binance", "ann"), READS_STOP - 2 * HEAVIEST_READ)
    first, second, third = (limits.of("binance", user) for user in ("ann", "bob", "carol"))
    with first.request(sends=False, weight=80), second.request(sends=False, weight=80):
        assert not may_read(third)
    assert may_read(third)


def test_a_request_that_fails_is_not_under_way_any_more(trader: CcxtAdapter, exchange: Exchange) -> None:
    for _ in range(2 * READS_STOP // HEAVIEST_READ):
        exchange.api.faults[ACCOUNT] = Fault.error(400, '{"code":-1100,"msg":"Illegal characters."}')
        with pytest.raises(Exception, match="exchange"):
            trader.balances()
    exchange.api.faults.clear()
    assert trader.balances()


@pytest.mark.parametrize("told", [None, "", "lots", "-5900", "5900.0", "²", "0x1700", "5900, 1"])
def test_a_figure_that_is_missing_or_garbled_is_ignored(
    trader: CcxtAdapter, exchange: Exchange, told: str | None
) -> None:
    trader.balances()
    body = exchange.api.answer_to(ACCOUNT[1], "omitZeroBalances=true", signed_by="k" * 64)
    headers = {} if told is None else {"X-MBX-USED-WEIGHT-1M": told}
    exchange.api.faults[ACCOUNT] = Fault(Reply(200, body, headers=headers))
    for _ in range(2):
        assert trader.balances()
    exchange.api.faults.clear()
    read_until_stopped(trader)
    assert exchange.api.weight_used_total > READS_STOP - HEAVIEST_READ


def test_a_refusal_tells_too(trader: CcxtAdapter, exchange: Exchange) -> None:
    headers = {"X-MBX-USED-WEIGHT-1M": "4790"}
    exchange.api.faults[ACCOUNT] = Fault(Reply(400, '{"code":-1100,"msg":"Illegal."}', headers=headers))
    with pytest.raises(Exception, match="exchange"):
        trader.balances()
    exchange.api.requests.clear()
    with pytest.raises(RateLimitedError):
        trader.open_orders()
    assert exchange.api.requests == []


@pytest.mark.parametrize("exchange_name", ["okx", "kraken"])
def test_an_exchange_that_tells_nothing_has_no_budget(limits: RateLimits, exchange_name: str) -> None:
    rate_limiter = limits.of(exchange_name, "ann")
    tell(rate_limiter, 10 * LIMIT)
    assert may_read(rate_limiter)
    rate_limiter.require()


def test_what_was_told_of_the_minute_before_is_not_this_minute_s(limits: RateLimits, clock: Clock) -> None:
    rate_limiter = limits.of("binance", "ann")
    with rate_limiter.request(sends=False, weight=80):
        clock.now += LEFT_S
        rate_limiter.record_weight(READS_STOP)  # sent before the minute was over
    assert may_read(rate_limiter)


def test_an_exchange_whose_clock_is_behind_does_not_stop_a_whole_minute(limits: RateLimits, clock: Clock) -> None:
    rate_limiter = limits.of("binance", "ann")
    tell(rate_limiter, READS_STOP)
    clock.now += LEFT_S
    tell(rate_limiter, READS_STOP + 1)  # still the exchange's minute before
    assert may_read(rate_limiter)
    tell(rate_limiter, 1)  # a new one
    tell(rate_limiter, READS_STOP + 1)
    assert not may_read(rate_limiter)


def test_much_use_in_the_first_second_counts_where_the_minute_before_was_quiet(
    limits: RateLimits, clock: Clock
) -> None:
    clock.now += LEFT_S
    rate_limiter = limits.of("binance", "ann")
    tell(rate_limiter, READS_STOP)
    assert not may_read(rate_limiter)


def test_a_reply_that_was_overtaken_does_not_lower_what_is_used(cache: CacheTable, clock: Clock) -> None:
    rate_limiter = RateLimits(cache, clock).of("binance", "ann")
    tell(rate_limiter, READS_STOP)
    tell(rate_limiter, READS_STOP - 2 * HEAVIEST_READ)
    assert not may_read(rate_limiter)


# several processes


def test_another_process_stops_by_what_is_in_the_table(
    trader: CcxtAdapter, exchange: Exchange, elsewhere: RateLimits, cache: CacheTable, clock: Clock
) -> None:
    use_up(exchange, READS_STOP)
    assert isinstance(place(trader), OrderAccepted)
    used = exchange.api.weight_used_total
    assert cache.get_many([WEIGHT_KEY], clock.now) == {
        WEIGHT_KEY: Cached(f'{{"used": {used}}}', (START // 60 + 1) * 60),
    }
    other = exchange.connect(rate_limiter=elsewhere.of("binance", "bob"))
    elsewhere.refresh("binance", ["bob"])
    with pytest.raises(RateLimitedError, match=f"{used} of the 6000"):
        other.balances()
    assert exchange.api.weight_used_total == used
    clock.now += LEFT_S
    assert other.balances()


def test_two_processes_in_turn_stay_together_within_one_read(
    trader: CcxtAdapter, exchange: Exchange, elsewhere: RateLimits
) -> None:
    other = exchange.trader(rate_limiter=elsewhere.of("binance", "bob"))
    read_until_stopped(trader, other)
    for each in (trader, other):
        read_until_stopped(each)
    assert READS_STOP - HEAVIEST_READ < exchange.api.weight_used_total <= READS_STOP + HEAVIEST_READ


def test_two_processes_at_once_go_beyond_it_by_what_the_other_has_under_way_at_most(
    exchange: Exchange, limits: RateLimits, elsewhere: RateLimits
) -> None:
    threads_each = 3
    processes = [limits, elsewhere]
    traders = [exchange.trader(rate_limiter=of.of("binance", "ann")) for of in processes for _ in range(threads_each)]
    with ThreadPoolExecutor(len(traders)) as pool:
        stopped = list(pool.map(read_until_stopped, traders))
    assert len(stopped) == len(traders)
    bound = READS_STOP + (len(processes) - 1) * threads_each * HEAVIEST_READ
    assert READS_STOP - threads_each * HEAVIEST_READ < exchange.api.weight_used_total <= bound < SENDING_STOPS


def test_a_quiet_minute_writes_nothing_and_a_busy_one_now_and_then(
    limits: RateLimits, client: "DynamoDBClient", clock: Clock
) -> None:
    rate_limiter = limits.of("binance", "ann")
    with noted(client, "BatchWriteItem") as writes:
        for used in range(0, SHARED_EVERY, 20):
            tell(rate_limiter, used)
        assert writes == []
        for used in range(SHARED_EVERY, 2000, 20):  # all in one second
            tell(rate_limiter, used)
        assert len(writes) == 1
        clock.now += 1
        tell(rate_limiter, 2000)
        assert len(writes) == 2
        for used in range(2000, 2000 + SHARED_EVERY, 20):
            clock.now += 1
            tell(rate_limiter, used)
        assert len(writes) == 2


def test_a_process_does_not_repeat_what_another_has_written(
    limits: RateLimits, elsewhere: RateLimits, client: "DynamoDBClient"
) -> None:
    tell(limits.of("binance", "ann"), 2000)
    elsewhere.refresh("binance", [])
    with noted(client, "BatchWriteItem") as writes:
        tell(elsewhere.of("binance", "bob"), 2100)
    assert writes == []


def test_refreshing_is_still_one_read(limits: RateLimits, client: "DynamoDBClient") -> None:
    with noted(client, "BatchGetItem") as reads:
        limits.refresh("binance", ["ann", "bob"])
    assert len(reads) == 1


def test_another_address_has_a_budget_of_its_own(limits: RateLimits, cache: CacheTable, clock: Clock) -> None:
    tell(limits.of("binance", "ann"), READS_STOP)
    other = RateLimits(cache, clock, "203.0.113.8")
    other.refresh("binance", ["ann"])
    assert may_read(other.of("binance", "ann"))


def test_without_a_fixed_address_each_process_goes_by_what_it_is_told(
    cache: CacheTable, clock: Clock, client: "DynamoDBClient"
) -> None:
    first, second = RateLimits(cache, clock), RateLimits(cache, clock)
    with noted(client, "BatchWriteItem") as writes:
        tell(first.of("binance", "ann"), READS_STOP)
    assert writes == []
    second.refresh("binance", ["ann"])
    assert not may_read(first.of("binance", "ann"))
    assert may_read(second.of("binance", "ann"))


def test_a_table_that_cannot_be_reached_leaves_what_the_exchange_tells(limits: RateLimits, cache: CacheTable) -> None:
    cache._table = "no-such-table"
    tell(limits.of("binance", "ann"), READS_STOP)
    limits.refresh("binance", ["ann"])
    assert not may_read(limits.of("binance", "ann"))
