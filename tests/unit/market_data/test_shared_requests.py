"""What a tick's workers ask of an exchange: each symbol once, by one of them for all."""

import json
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from urllib.parse import parse_qs

import pytest
from botbalance.accounts.weight_budgets import Caller, Purpose, on_behalf_of
from botbalance.errors import InvalidRequestError, RateLimitedError, TransientError
from botbalance.market_data import traded_ranges
from botbalance.market_data.public_adapters import PublicAdapters
from botbalance.market_data.shared_requests import CLAIM_S, FAILED_S, MOST_WATCHED, SharedRequests
from botbalance.store.cache import CacheTable, Claim

from tests.fixtures.cache_table import Clock
from tests.integration.exchange.simulated import Exchange, Fault
from tests.unit.market_data.conftest import Process, StartProcess

SYMBOLS = ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
KLINES = ("GET", "/api/v3/klines")
TICKERS = ("GET", "/api/v3/ticker/24hr")
WORKERS = 6
ATTEMPTS = 3
"""Of a read that fails."""


def asked(exchange: Exchange) -> Counter[str]:
    """How often the exchange was asked for each symbol's minutes."""
    return Counter(
        parse_qs(request.query)["symbol"][0] for request in exchange.api.requests if request.path == KLINES[1]
    )


def all_at_once(workers: list[Process], work: Callable[[Process], None]) -> None:
    barrier = Barrier(len(workers))

    def one(worker: Process) -> None:
        barrier.wait()
        work(worker)

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(one, workers))


def test_workers_that_begin_together_ask_for_each_symbol_once(
    start_process: StartProcess, exchange: Exchange, clock: Clock
) -> None:
    workers = [start_process(pause=time.sleep) for _ in range(WORKERS)]
    for tick in (1, 2):
        all_at_once(workers, lambda worker: worker.ranges.prefetch("binance", SYMBOLS))
        assert asked(exchange) == dict.fromkeys(SYMBOLS, tick)
        for worker in workers:
            assert all(worker.ranges.since("binance", symbol, clock()) is not None for symbol in SYMBOLS)
        clock.now += 30
        exchange.market.advance()


def test_one_request_prices_everything_for_all_workers(start_process: StartProcess, exchange: Exchange) -> None:
    workers = [start_process(pause=time.sleep) for _ in range(WORKERS)]
    all_at_once(workers, lambda worker: worker.prices.prefetch("binance", SYMBOLS))
    assert exchange.api.count(*TICKERS) == 1
    for worker in workers:
        assert len(worker.prices.prices("binance", SYMBOLS)) == len(SYMBOLS)
    assert exchange.api.count(*TICKERS) == 1


def test_whoever_asks_asks_for_what_the_others_needed_lately(
    start_process: StartProcess, exchange: Exchange, clock: Clock
) -> None:
    first, second = start_process(), start_process()
    first.ranges.prefetch("binance", SYMBOLS[:1])
    second.ranges.prefetch("binance", SYMBOLS[1:])
    exchange.api.requests.clear()
    clock.now += 30
    first.ranges.prefetch("binance", SYMBOLS[:1])
    assert asked(exchange) == dict.fromkeys(SYMBOLS, 1)
    second.ranges.prefetch("binance", SYMBOLS[1:])
    assert asked(exchange) == dict.fromkeys(SYMBOLS, 1)


def test_ranges_live_for_their_tick_and_no_longer(start_process: StartProcess, clock: Clock) -> None:
    worker = start_process()
    clock.now -= clock.now % 30 - 5
    worker.ranges.prefetch("binance", SYMBOLS)
    clock.now += 24
    assert worker.ranges.since("binance", "BTCUSDT", clock()) is not None
    clock.now += 1
    assert worker.ranges.since("binance", "BTCUSDT", clock()) is None


def test_a_symbol_that_cannot_be_had_keeps_no_other_from_being_known(
    start_process: StartProcess, exchange: Exchange, clock: Clock
) -> None:
    exchange.api.faults[KLINES] = Fault.error(400, '{"code": -1121, "msg": "Invalid symbol."}', times=1)
    worker = start_process()
    worker.ranges.prefetch("binance", SYMBOLS)
    known = [symbol for symbol in SYMBOLS if worker.ranges.since("binance", symbol, clock()) is not None]
    assert len(known) == len(SYMBOLS) - 1


def test_candles_that_are_not_told_are_asked_for_by_one_worker_while_prices_answer(
    start_process: StartProcess, exchange: Exchange, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traded_ranges, "THREADS", 1)
    exchange.api.faults[KLINES] = Fault.error(503)
    workers = [start_process() for _ in range(WORKERS)]
    for worker in workers:
        worker.ranges.prefetch("binance", SYMBOLS)
        assert len(worker.prices.prices("binance", SYMBOLS)) == len(SYMBOLS)
    assert asked(exchange) == {SYMBOLS[0]: ATTEMPTS}
    exchange.api.faults.clear()
    clock.now += FAILED_S
    workers[-1].ranges.prefetch("binance", SYMBOLS)
    assert all(workers[-1].ranges.since("binance", symbol, clock()) is not None for symbol in SYMBOLS)


@pytest.mark.parametrize("fault", [Fault.body("[]"), Fault.error(400, '{"code": -1121, "msg": "Invalid symbol."}')])
def test_candles_of_one_market_that_mean_nothing_are_no_answer_to_the_others(
    start_process: StartProcess, exchange: Exchange, clock: Clock, fault: Fault
) -> None:
    exchange.api.faults[KLINES[0], f"{KLINES[1]}?symbol={SYMBOLS[0]}"] = fault

    def wait(_: float) -> None:
        raise AssertionError("nobody is waited for")

    first, second = start_process(), start_process(pause=wait)
    first.ranges.prefetch("binance", SYMBOLS[:1])
    second.ranges.prefetch("binance", SYMBOLS[1:])
    assert all(second.ranges.since("binance", symbol, clock()) is not None for symbol in SYMBOLS[1:])


def test_a_symbol_that_is_listed_no_more_stops_nobody_else(
    start_process: StartProcess, cache: CacheTable, clock: Clock
) -> None:
    cache.claim("requests#quote#binance", clock(), 1)
    cache.release("requests#quote#binance", json.dumps({"GONEUSDT": clock() + 3600}), clock() + 3600)
    worker = start_process()
    worker.prices.prefetch("binance", SYMBOLS)
    assert worker.prices.prices("binance", SYMBOLS)["ETHUSDT"] > Decimal(0)


def test_what_a_person_asks_for_is_asked_for_by_no_tick_and_counted_as_that_person_s(
    start_process: StartProcess, exchange: Exchange, clock: Clock
) -> None:
    """Else whoever looks at one market after another would have every tick ask for all of them, at its own expense."""
    counted: list[Caller] = []
    worker = start_process(counted=counted)
    worker.ranges.prefetch("binance", SYMBOLS[:1])
    counted.clear()
    with on_behalf_of("mallory"):
        worker.ranges.prefetch("binance", SYMBOLS)
    assert worker.ranges.since("binance", SYMBOLS[2], clock()) is not None
    assert {(each.user_id, each.purpose) for each in counted} == {("mallory", Purpose.PERSON)}
    exchange.api.requests.clear()
    clock.now += 30
    worker.ranges.prefetch("binance", SYMBOLS[:1])
    assert asked(exchange) == {SYMBOLS[0]: 1}


def test_a_tick_does_not_wait_for_what_a_person_asks_for(cache: CacheTable, clock: Clock) -> None:
    def ask(_: object) -> set[str]:
        raise TransientError("exchange_rate_limit", "that person has used up a share")

    with pytest.raises(TransientError):
        SharedRequests(cache, clock, lambda _: None, lambda: False).fetch("x", ["A"], set, ask)
    assert cache.read_claim("requests#x", clock()) == Claim()


def test_of_what_others_needed_the_newest_are_asked_for(cache: CacheTable, clock: Clock) -> None:
    requests = SharedRequests(cache, clock, lambda _: None, in_a_tick)
    for first in (0, MOST_WATCHED):
        symbols = {f"COIN{number}" for number in range(first, first + MOST_WATCHED)}
        requests.fetch("x", symbols, set, set)
        clock.now += 1
    asked_for: list[set[str]] = []

    def ask(wanted: Collection[str]) -> Collection[str]:
        asked_for.append(set(wanted))
        return wanted

    requests.fetch("x", ["A"], set, ask)
    assert asked_for == [symbols | {"A"}]


# SharedRequests by itself


def in_a_tick() -> bool:
    return True


@pytest.fixture
def told() -> set[str]:
    """What the exchange told, to whomever."""
    return set()


def test_a_claim_of_a_worker_that_died_is_void_after_a_while(cache: CacheTable, clock: Clock, told: set[str]) -> None:
    cache.claim("requests#x", clock(), CLAIM_S)

    def pause(_: float) -> None:
        clock.now += 1

    SharedRequests(cache, clock, pause, in_a_tick).fetch("x", ["A"], lambda wanted: set(wanted) - told, told.union)
    assert cache.claim("requests#x", clock(), 1) == json.dumps({"A": clock() + 3600}, separators=(",", ":"))


def test_who_waited_long_enough_asks_alone(cache: CacheTable, clock: Clock) -> None:
    cache.claim("requests#x", clock(), 1_000)
    asked_for: list[set[str]] = []

    def ask(wanted: object) -> set[str]:
        asked_for.append(set(wanted))  # type: ignore[call-overload]
        return {"A"}

    SharedRequests(cache, clock, lambda _: None, in_a_tick).fetch("x", ["A"], set, ask)
    assert asked_for == [{"A"}]


def test_what_another_asked_for_meanwhile_is_not_asked_for_again(cache: CacheTable, clock: Clock) -> None:
    cache.claim("requests#x", clock(), CLAIM_S)
    there: set[str] = set()

    def others_are_answered(_: float) -> None:
        there.add("A")
        cache.release("requests#x", "{}", clock() + 60)

    def ask(_: object) -> set[str]:
        raise AssertionError("it was there already")

    SharedRequests(cache, clock, others_are_answered, in_a_tick).fetch(
        "x", ["A"], lambda wanted: set(wanted) - there, ask
    )


def test_a_failure_is_the_answer_to_all_for_a_moment(cache: CacheTable, clock: Clock) -> None:
    asked: list[object] = []

    def ask(wanted: object) -> set[str]:
        asked.append(wanted)
        raise TransientError("exchange_unreachable", "nobody answers")

    def wait(_: float) -> None:
        raise AssertionError("the answer was there already")

    requests = SharedRequests(cache, clock, wait, in_a_tick)
    for _ in range(3):
        with pytest.raises(TransientError, match="nobody answers") as raised:
            requests.fetch("x", ["A"], set, ask)
        assert raised.value.code == "exchange_unreachable"
    assert len(asked) == 1
    clock.now += FAILED_S
    requests.fetch("x", ["A"], set, set)
    assert cache.read_claim("requests#x", clock()) == Claim()


def test_who_waits_for_one_that_fails_is_told_so(cache: CacheTable, clock: Clock) -> None:
    cache.claim("requests#x", clock(), CLAIM_S)

    def the_other_fails(_: float) -> None:
        failure = json.dumps(["exchange_unreachable", "nobody answers"])
        cache.fail("requests#x", failure, clock() + FAILED_S, clock() + 60)

    def ask(_: object) -> set[str]:
        raise AssertionError("it was told already")

    with pytest.raises(TransientError, match="nobody answers"):
        SharedRequests(cache, clock, the_other_fails, in_a_tick).fetch("x", ["A"], set, ask)


def test_what_was_needed_lately_outlasts_a_failure(cache: CacheTable, clock: Clock) -> None:
    requests = SharedRequests(cache, clock, lambda _: None, in_a_tick)
    requests.fetch("x", ["A"], set, set)

    def fail(_: object) -> set[str]:
        raise TransientError("exchange_unreachable", "nobody answers")

    with pytest.raises(TransientError):
        requests.fetch("x", ["B"], set, fail)
    clock.now += FAILED_S
    asked_for: list[set[str]] = []

    def ask(wanted: Collection[str]) -> Collection[str]:
        asked_for.append(set(wanted))
        return wanted

    requests.fetch("x", ["B"], set, ask)
    assert asked_for == [{"A", "B"}]


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("exchange_rate_limit", "no more for now", 1),
        TransientError("out_of_time", "this run has no time left"),
        TransientError("market_gone", "one is listed no more"),
        InvalidRequestError("unknown_market", "one is listed no more"),
        ZeroDivisionError("a defect"),
    ],
    ids=repr,
)
def test_what_is_the_asker_s_own_trouble_is_nobody_else_s(cache: CacheTable, clock: Clock, error: Exception) -> None:
    def fail(_: object) -> set[str]:
        raise error

    def wait(_: float) -> None:
        raise AssertionError("nobody asks")

    requests = SharedRequests(cache, clock, wait, in_a_tick)
    with pytest.raises(type(error)):
        requests.fetch("x", ["A"], set, fail)
    asked_for: list[set[str]] = []

    def ask(wanted: Collection[str]) -> Collection[str]:
        asked_for.append(set(wanted))
        return wanted

    requests.fetch("x", ["A"], set, ask)
    assert asked_for == [{"A"}]


def test_one_worker_asks_an_exchange_that_fails_and_the_others_are_told(
    start_process: StartProcess, exchange: Exchange, clock: Clock
) -> None:
    start_process().rules.listed("binance", SYMBOLS)
    exchange.api.faults[TICKERS] = Fault.error(503)
    workers = [start_process(pause=time.sleep) for _ in range(WORKERS)]
    all_at_once(workers, lambda worker: worker.prices.prefetch("binance", SYMBOLS))
    one_worker_s = exchange.api.count(*TICKERS)
    assert one_worker_s == ATTEMPTS
    for worker in workers:  # nor does any user of theirs ask at that tick
        assert worker.prices.prices_or_empty("binance", SYMBOLS) == {}
    assert exchange.api.count(*TICKERS) == one_worker_s
    del exchange.api.faults[TICKERS]
    clock.now += FAILED_S
    workers[0].prices.prefetch("binance", SYMBOLS)
    assert len(workers[1].prices.prices_or_empty("binance", SYMBOLS)) == len(SYMBOLS)


def test_what_nobody_lists_is_no_reason_to_ask_for_the_others_symbols(cache: CacheTable, clock: Clock) -> None:
    cache.claim("requests#x", clock(), 1)
    cache.release("requests#x", json.dumps({"GONE": clock() + 60}), clock() + 60)
    asked_for: list[set[str]] = []

    def ask(wanted: object) -> set[str]:
        asked_for.append(set(wanted))  # type: ignore[call-overload]
        if "GONE" in asked_for[-1]:
            raise InvalidRequestError("unknown_market", "GONE")
        return asked_for[-1]

    SharedRequests(cache, clock, lambda _: None, in_a_tick).fetch("x", ["A"], set, ask)
    assert asked_for == [{"A", "GONE"}, {"A"}]


# PublicAdapters


def test_no_adapter_is_used_by_two_threads_at_once(exchange: Exchange) -> None:
    adapters = PublicAdapters(lambda _: exchange.connect("", ""))
    with adapters.borrow("binance") as first, adapters.borrow("binance") as second:
        assert first is not second
    with adapters.borrow("binance") as again:
        assert again in (first, second)
    assert len(exchange.adapters) == 2
