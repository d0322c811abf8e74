"""What an exchange says of its limits holds for the key or the host, here and in every process, until its time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.accounts.rate_limits import RateLimits
from botbalance.errors import CredentialsRejectedError, RateLimitedError, TransientError
from botbalance.exchange.adapter import OrderRejected, OrderRequest, OrderUnknown, RateLimiter
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.store.cache import Cached, CacheTable

from tests.fixtures.cache_table import START, Clock
from tests.integration.exchange.simulated import BALANCES, Exchange, Fault

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CLIENT_ID = "0123456789abcdef0123"
ACCOUNT = ("GET", "/api/v3/account")
ORDER = ("POST", "/api/v3/order")
LIMITED = {429: Fault.error(429, "{}", retry_after="17"), 418: Fault.error(418, "{}", retry_after="17")}


def seconds_left(rate_limiter: RateLimiter) -> int:
    """What is left of a limit; 0 where there is none."""
    try:
        rate_limiter.require()
    except RateLimitedError as wait:
        return wait.retry_after_s
    return 0


@pytest.fixture
def trader(exchange: Exchange, limits: RateLimits) -> CcxtAdapter:
    return exchange.trader(rate_limiter=limits.of("binance", "ann"))


@pytest.fixture
def other(exchange: Exchange, limits: RateLimits) -> CcxtAdapter:
    exchange.books.open_account("o" * 64, "secret of bob", BALANCES)
    return exchange.trader("o" * 64, "secret of bob", rate_limiter=limits.of("binance", "bob"))


@pytest.fixture
def public(exchange: Exchange, limits: RateLimits) -> CcxtAdapter:
    return exchange.trader("", "", rate_limiter=limits.of("binance", None))


def limit(exchange: Exchange, trader: CcxtAdapter, status: int) -> None:
    """Let the exchange answer the next request with that status, once, and forget what came so far."""
    exchange.api.faults[ACCOUNT] = LIMITED[status]
    with pytest.raises(RateLimitedError):
        trader.balances()
    exchange.api.faults.clear()
    exchange.api.requests.clear()


# at the door


@pytest.mark.parametrize("status", LIMITED)
def test_no_request_reaches_the_exchange_before_its_time(
    trader: CcxtAdapter, exchange: Exchange, clock: Clock, status: int
) -> None:
    limit(exchange, trader, status)
    reads: list[Callable[[], object]] = [
        trader.balances,
        trader.open_orders,
        lambda: trader.quotes(["BTCUSDT"]),
        lambda: trader.find_order("BTCUSDT", CLIENT_ID),
        lambda: trader.cancel_order("BTCUSDT", CLIENT_ID),
        lambda: trader.trades("BTCUSDT", "1"),
        lambda: trader.market_listings(["BTCUSDT"]),
    ]
    for passed in (0, 1, 16):
        clock.now = START + passed
        for read in reads:
            with pytest.raises(RateLimitedError) as raised:
                read()
            assert raised.value.retry_after_s == 17 - passed
    assert exchange.api.requests == []
    assert exchange.slept == []
    clock.now += 1
    assert trader.balances()
    assert exchange.api.count(*ACCOUNT) == 1


def test_429_is_this_key_s_alone(
    trader: CcxtAdapter, other: CcxtAdapter, public: CcxtAdapter, exchange: Exchange
) -> None:
    limit(exchange, trader, 429)
    with pytest.raises(RateLimitedError, match=r"binance .*this key for 17 s"):
        trader.balances()
    assert other.balances()
    assert public.quotes(["BTCUSDT"])
    assert trader.exchange == "binance"


def test_418_is_the_whole_host_s(
    trader: CcxtAdapter, other: CcxtAdapter, public: CcxtAdapter, exchange: Exchange, clock: Clock
) -> None:
    limit(exchange, trader, 418)
    reads: list[Callable[[], object]] = [trader.balances, other.balances, lambda: public.quotes(["BTCUSDT"])]
    for read in reads:
        with pytest.raises(RateLimitedError, match=r"binance .*this host for 17 s"):
            read()
    assert exchange.api.requests == []
    clock.now += 17
    assert other.balances()


def test_what_is_asked_without_a_key_has_its_own_limit(
    trader: CcxtAdapter, public: CcxtAdapter, exchange: Exchange
) -> None:
    exchange.api.faults["GET", "/api/v3/ticker/24hr"] = LIMITED[429]
    for _ in range(2):
        with pytest.raises(RateLimitedError):
            public.quotes(["BTCUSDT"])
    assert exchange.api.count("GET", "/api/v3/ticker/24hr") == 1
    assert trader.balances()


def test_another_exchange_is_not_affected(trader: CcxtAdapter, exchange: Exchange, limits: RateLimits) -> None:
    limit(exchange, trader, 418)
    assert seconds_left(limits.of("okx", "ann")) == 0
    assert seconds_left(limits.of("okx", None)) == 0
    assert seconds_left(limits.of("binance", "bob")) == 17


@pytest.mark.parametrize("retry_after", [None, "soon", ""])
def test_a_limit_without_a_time_is_a_minute(
    trader: CcxtAdapter, exchange: Exchange, limits: RateLimits, retry_after: str | None
) -> None:
    exchange.api.faults[ACCOUNT] = Fault.error(429, "{}", retry_after=retry_after)
    with pytest.raises(RateLimitedError):
        trader.balances()
    assert seconds_left(limits.of("binance", "ann")) == 60


def test_too_many_requests_is_a_limit_whatever_its_status(
    trader: CcxtAdapter, exchange: Exchange, limits: RateLimits
) -> None:
    exchange.api.faults[ACCOUNT] = Fault.error(400, '{"code":-1003,"msg":"Too many requests queued."}')
    with pytest.raises(RateLimitedError):
        trader.balances()
    assert seconds_left(limits.of("binance", "ann")) == 60
    assert seconds_left(limits.of("binance", "bob")) == 0


def test_a_refused_key_is_no_limit(trader: CcxtAdapter, exchange: Exchange, limits: RateLimits) -> None:
    trader.balances()
    exchange.api.faults[ACCOUNT] = Fault.error(401, '{"code":-2015,"msg":"Invalid API-key, IP, or permissions."}')
    with pytest.raises(CredentialsRejectedError):
        trader.balances()
    assert seconds_left(limits.of("binance", "ann")) == 0


@pytest.mark.parametrize("fault", [Fault.error(503, "{}"), Fault(), Fault.body("<html></html>")], ids=str)
def test_other_trouble_is_no_limit(trader: CcxtAdapter, exchange: Exchange, limits: RateLimits, fault: Fault) -> None:
    exchange.api.faults[ACCOUNT] = fault
    with pytest.raises(Exception, match="exchange"):
        trader.balances()
    assert seconds_left(limits.of("binance", "ann")) == 0


# orders


def place(trader: CcxtAdapter) -> Any:
    return trader.place_order(
        OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True)
    )


def test_an_order_that_may_not_be_sent_does_not_exist(trader: CcxtAdapter, exchange: Exchange, clock: Clock) -> None:
    limit(exchange, trader, 429)
    placement = place(trader)
    assert isinstance(placement, OrderRejected)
    assert placement.code == "exchange_rate_limit"
    assert "17 s" in placement.reason
    assert exchange.api.requests == []
    clock.now += 17
    assert not isinstance(place(trader), OrderRejected)


@pytest.mark.parametrize(("status", "stops_others"), [(429, False), (418, True)])
def test_an_order_that_was_answered_with_a_limit_is_unknown_and_the_limit_holds(
    trader: CcxtAdapter, other: CcxtAdapter, exchange: Exchange, status: int, stops_others: bool
) -> None:
    exchange.api.faults[ORDER] = LIMITED[status]
    placement = place(trader)
    assert isinstance(placement, OrderUnknown)
    assert placement.retry_after_s == 17
    exchange.api.faults.clear()
    with pytest.raises(RateLimitedError):
        trader.find_order("BTCUSDT", CLIENT_ID)
    assert isinstance(place(other), OrderRejected) is stops_others
    assert exchange.api.count(*ORDER) == 1 + (not stops_others)


TOO_FREQUENT = '{"retCode":10403,"retMsg":"access too frequent"}'
NOT_FROM_HERE = "The Amazon CloudFront distribution is configured to block access from your country."


@pytest.mark.parametrize(
    ("status", "body", "ann_waits", "bob_waits"),
    [(403, TOO_FREQUENT, 600, 600), (429, "{}", 60, 0), (403, "no reason", 60, 0), (403, NOT_FROM_HERE, 0, 0)],
    ids=["a ban of the address", "a limit of the key", "a refusal of one request", "a place that is not served"],
)
def test_bybit_bans_an_address_with_the_status_by_which_it_refuses_places(
    exchange: Exchange, limits: RateLimits, status: int, body: str, ann_waits: int, bob_waits: int
) -> None:
    adapter = exchange.connect(name="bybit", rate_limiter=limits.of("bybit", "ann"))
    exchange.api.faults["GET", "/v5/account/wallet-balance"] = Fault.error(status, body)
    exchange.api.faults["GET", "/v5/user/query-api"] = Fault.error(status, body)
    with pytest.raises(TransientError if ann_waits == 0 else RateLimitedError):
        adapter.balances()
    assert seconds_left(limits.of("bybit", "ann")) == ann_waits
    assert seconds_left(limits.of("bybit", "bob")) == bob_waits


# between processes


def test_another_process_learns_of_a_limit_by_refreshing(
    trader: CcxtAdapter, exchange: Exchange, cache: CacheTable, clock: Clock
) -> None:
    limit(exchange, trader, 429)
    elsewhere = RateLimits(cache, clock)
    assert seconds_left(elsewhere.of("binance", "ann")) == 0
    elsewhere.refresh("binance", ["bob"])
    assert seconds_left(elsewhere.of("binance", "ann")) == 0
    clock.now += 7
    elsewhere.refresh("binance", ["bob", "ann"])
    assert seconds_left(elsewhere.of("binance", "ann")) == 10
    assert seconds_left(elsewhere.of("binance", "bob")) == 0
    assert seconds_left(elsewhere.of("binance", None)) == 0


def test_a_limit_on_the_host_is_learned_whoever_is_asked_for(
    trader: CcxtAdapter, exchange: Exchange, cache: CacheTable, clock: Clock
) -> None:
    limit(exchange, trader, 418)
    elsewhere = RateLimits(cache, clock)
    elsewhere.refresh("okx", ["ann"])
    assert seconds_left(elsewhere.of("binance", None)) == 0
    elsewhere.refresh("binance", [])
    assert seconds_left(elsewhere.of("binance", None)) == 17
    assert seconds_left(elsewhere.of("binance", "bob")) == 17


def test_a_limit_on_what_is_asked_without_a_key_is_learned_too(
    limits: RateLimits, cache: CacheTable, clock: Clock
) -> None:
    limits.of("binance", None).record_limit(17, whole_host=False)
    elsewhere = RateLimits(cache, clock)
    elsewhere.refresh("binance", ["ann"])
    assert seconds_left(elsewhere.of("binance", None)) == 17
    assert seconds_left(elsewhere.of("binance", "ann")) == 0


def test_the_table_holds_a_limit_until_its_second(limits: RateLimits, cache: CacheTable, clock: Clock) -> None:
    limits.of("binance", "ann").record_limit(17, whole_host=False)
    limits.of("binance", "ann").record_limit(90, whole_host=True)
    assert cache.get_many(["limit#binance#ann", "limit#binance"], clock.now) == {
        "limit#binance#ann": Cached('{"retry_after_s": 17}', clock.now + 17),
        "limit#binance": Cached('{"retry_after_s": 90}', clock.now + 90),
    }


def test_a_limit_is_never_shortened(limits: RateLimits, cache: CacheTable, clock: Clock) -> None:
    rate_limiter = limits.of("binance", "ann")
    rate_limiter.record_limit(90, whole_host=False)
    rate_limiter.record_limit(17, whole_host=False)
    assert seconds_left(rate_limiter) == 90
    elsewhere = RateLimits(cache, clock)
    elsewhere.refresh("binance", ["ann"])
    assert seconds_left(elsewhere.of("binance", "ann")) == 90
    cache.put_many({"limit#binance#ann": "{}"}, clock.now + 5)
    limits.refresh("binance", ["ann"])
    assert seconds_left(rate_limiter) == 90


def test_the_longer_of_two_limits_is_the_one_that_is_told(limits: RateLimits) -> None:
    rate_limiter = limits.of("binance", "ann")
    rate_limiter.record_limit(30, whole_host=True)
    with pytest.raises(RateLimitedError, match="this host for 30 s"):
        rate_limiter.require()
    rate_limiter.record_limit(40, whole_host=False)
    with pytest.raises(RateLimitedError, match="this key for 40 s") as raised:
        rate_limiter.require()
    assert raised.value.code == "exchange_rate_limit"


def test_a_table_that_cannot_be_reached_leaves_the_memory(limits: RateLimits, cache: CacheTable, clock: Clock) -> None:
    cache._table = "no-such-table"
    rate_limiter = limits.of("binance", "ann")
    rate_limiter.record_limit(17, whole_host=True)
    limits.refresh("binance", ["ann"])
    assert seconds_left(rate_limiter) == 17
    clock.now += 17
    assert seconds_left(rate_limiter) == 0


def test_refreshing_is_one_read_for_any_number_of_users(limits: RateLimits, client: "DynamoDBClient") -> None:
    reads: list[str] = []

    def note(**_: Any) -> None:
        reads.append("read")

    client.meta.events.register("before-call.dynamodb.BatchGetItem", note)
    try:
        limits.refresh("binance", [f"user-{number}" for number in range(50)])
    finally:
        client.meta.events.unregister("before-call.dynamodb.BatchGetItem", note)
    assert reads == ["read"]


def test_any_number_of_threads_may_share_it(limits: RateLimits) -> None:
    with ThreadPoolExecutor(8) as threads:
        for seconds in range(1, 101):
            threads.submit(limits.of("binance", "ann").record_limit, seconds, whole_host=bool(seconds % 2))
    assert seconds_left(limits.of("binance", "ann")) == 100
    assert seconds_left(limits.of("binance", "bob")) == 99
