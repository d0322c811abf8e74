"""PriceHighs: each pair's own high, whatever another pair meets, and no more requests than a look may use."""

import json
from collections import Counter
from decimal import Decimal
from urllib.parse import parse_qs

import pytest
from botbalance.deadline import Deadline, bounded_by
from botbalance.engine.durations import HOUR_S
from botbalance.market_data import price_highs
from botbalance.market_data.price_highs import ASKED_FOR_S, FAILED_WAITS_S, STILL_USED_S, UNKNOWN_TOLD_EVERY_S

from tests.fixtures.cache_table import Clock
from tests.integration.exchange.simulated import FIRST_PRICES, Exchange, Fault
from tests.unit.market_data.conftest import Process, StartProcess
from workbench.simulated_exchange.binance_api import Reply, Request

BTC, ETH, XRP = FIRST_PRICES
KLINES = "/api/v3/klines"
SINCE = dict.fromkeys(FIRST_PRICES, 0)
BROKEN = ("GET", f"{KLINES}?symbol={BTC}")


def asked(exchange: Exchange) -> Counter[str]:
    """How often the exchange was asked for each symbol's hours."""
    requests = [request for request in exchange.api.requests if request.path == KLINES]
    return Counter(parse_qs(request.query)["symbol"][0] for request in requests)


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.alarm for record in caplog.records if hasattr(record, "alarm")]


@pytest.mark.parametrize(
    "fault",
    [Fault.body("[]"), Fault.body("{}"), Fault.error(400, '{"code": -1121, "msg": "Invalid symbol."}')],
    ids=str,
)
def test_a_pair_that_cannot_be_had_keeps_no_other_without_its_high(
    process: Process, exchange: Exchange, fault: Fault
) -> None:
    exchange.api.faults[BROKEN] = fault
    assert process.highs.of_week("binance", SINCE) == {ETH: FIRST_PRICES[ETH], XRP: FIRST_PRICES[XRP]}
    exchange.api.requests.clear()
    assert process.highs.of_week("binance", SINCE).keys() == {ETH, XRP}
    assert not asked(exchange)


def test_a_pair_that_fails_is_asked_for_again_ever_later(process: Process, exchange: Exchange, clock: Clock) -> None:
    exchange.api.faults[BROKEN] = Fault.body("[]")
    for wait in (*FAILED_WAITS_S, FAILED_WAITS_S[-1]):
        exchange.api.requests.clear()
        process.highs.of_week("binance", {BTC: 0})
        before = asked(exchange)[BTC]
        assert before > 0
        clock.now += wait - 1
        process.highs.of_week("binance", {BTC: 0})
        assert asked(exchange)[BTC] == before
        clock.now += 1
    del exchange.api.faults[BROKEN]
    assert process.highs.of_week("binance", {BTC: 0}) == {BTC: FIRST_PRICES[BTC]}


def test_somebody_is_told_of_a_pair_that_is_bought_without_a_high(
    process: Process, exchange: Exchange, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    process.highs.of_week("binance", {BTC: 0})
    exchange.api.faults[BROKEN] = Fault.body("[]")
    clock.now += HOUR_S
    for _ in range(3):
        assert process.highs.of_week("binance", {BTC: 0}) == {BTC: FIRST_PRICES[BTC]}  # as it was an hour ago
        clock.now += FAILED_WAITS_S[-1]
    assert not alarms(caplog)
    clock.now += STILL_USED_S
    assert process.highs.of_week("binance", {BTC: 0}) == {}
    assert not alarms(caplog)  # once may be chance
    clock.now += FAILED_WAITS_S[-1]
    assert process.highs.of_week("binance", {BTC: 0}) == {}
    assert alarms(caplog) == ["price_high_unknown"]


def test_a_pair_that_failed_once_and_has_no_time_to_be_asked_for_since_is_told(
    process: Process, exchange: Exchange, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.api.faults[BROKEN] = Fault.body("[]")
    for expected in ([], ["price_high_unknown"], ["price_high_unknown"] * 2):
        process.highs.of_week("binance", {BTC: 0})
        assert alarms(caplog) == expected
        exchange.api.faults["GET", KLINES] = Fault.error(429, retry_after="60")
        clock.now += UNKNOWN_TOLD_EVERY_S


def test_what_nobody_wanted_for_a_day_may_have_been_known_meanwhile(
    process: Process, exchange: Exchange, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.api.faults[BROKEN] = Fault.body("[]")
    for _ in range(2):
        process.highs.of_week("binance", {BTC: 0})
        clock.now += STILL_USED_S + 1
    assert not alarms(caplog)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (KLINES, Fault.error(429, retry_after="60")),
        ("/api/v3/exchangeInfo", Fault.error(503)),
    ],
    ids=["it limits requests", "its markets are not known"],
)
def test_somebody_is_told_where_no_pair_s_high_can_be_had_for_five_minutes(
    process: Process, exchange: Exchange, clock: Clock, caplog: pytest.LogCaptureFixture, path: str, fault: Fault
) -> None:
    exchange.api.faults["GET", path] = fault
    told = []
    for seconds in (0, 299, 1, 299, 1):
        clock.now += seconds
        assert process.highs.of_week("binance", SINCE) == {}
        told.append(len(alarms(caplog)))
    assert told == [0, 0, 1, 1, 2]
    alarm = next(record.__dict__ for record in caplog.records if hasattr(record, "alarm"))
    assert (alarm["alarm"], alarm["exchange"], alarm["symbols"]) == ("price_high_unknown", "binance", sorted(SINCE))
    del exchange.api.faults["GET", path]
    assert process.highs.of_week("binance", SINCE).keys() == SINCE.keys()
    exchange.api.faults["GET", path] = fault
    clock.now += HOUR_S + STILL_USED_S
    assert process.highs.of_week("binance", SINCE) == {}
    assert len(alarms(caplog)) == 2, "what was known meanwhile begins anew"


def test_of_pairs_long_unknown_those_are_told_that_still_are(
    process: Process, exchange: Exchange, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    limit = Fault.error(429, retry_after="60")
    exchange.api.faults["GET", KLINES] = limit
    process.highs.of_week("binance", SINCE)
    del exchange.api.faults["GET", KLINES]
    exchange.api.faults["GET", f"{KLINES}?symbol={XRP}"] = limit
    clock.now += UNKNOWN_TOLD_EVERY_S
    assert process.highs.of_week("binance", SINCE).keys() == {BTC, ETH}
    assert [record.__dict__["symbols"] for record in caplog.records if hasattr(record, "alarm")] == [[XRP]]


def test_somebody_is_told_where_no_run_has_time_to_ask_for_five_minutes(
    process: Process, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    process.rules.listings("binance", FIRST_PRICES)
    for expected in ([], ["price_high_unknown"]):
        with bounded_by(Deadline(clock.now + 1, clock)):
            assert process.highs.of_week("binance", SINCE) == {}
        assert alarms(caplog) == expected
        clock.now += UNKNOWN_TOLD_EVERY_S


def test_nobody_is_told_while_highs_of_the_last_day_are_left(
    process: Process, exchange: Exchange, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    process.highs.of_week("binance", SINCE)
    exchange.api.faults["GET", KLINES] = Fault.error(429, retry_after="60")
    for _ in range(3):
        clock.now += HOUR_S
        assert process.highs.of_week("binance", SINCE).keys() == SINCE.keys()
    assert not alarms(caplog)


def test_a_slow_exchange_is_asked_for_a_while_and_for_the_rest_at_the_next_look(
    start_process: StartProcess, exchange: Exchange, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start_process()
    answer = exchange.api.answer

    def slowly(request: Request) -> Reply:
        clock.now += ASKED_FOR_S if request.path == KLINES else 0
        return answer(request)

    monkeypatch.setattr(exchange.api, "answer", slowly)
    assert [len(process.highs.of_week("binance", SINCE)) for _ in range(4)] == [1, 2, 3, 3]
    assert set(asked(exchange).values()) == {1}


def test_an_exchange_that_limits_requests_is_asked_no_further(process: Process, exchange: Exchange) -> None:
    exchange.api.faults["GET", KLINES] = Fault.error(429, retry_after="60")
    assert process.highs.of_week("binance", SINCE) == {}
    assert asked(exchange).total() == 1


def test_a_run_that_has_no_time_left_asks_for_none_and_blames_none(
    process: Process, exchange: Exchange, clock: Clock
) -> None:
    process.rules.listings("binance", FIRST_PRICES)
    with bounded_by(Deadline(clock.now + 1, clock)):
        assert process.highs.of_week("binance", SINCE) == {}
    assert not asked(exchange)
    assert process.highs.of_week("binance", SINCE).keys() == FIRST_PRICES.keys()


def test_what_failed_before_comes_last(
    process: Process, exchange: Exchange, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_highs, "MOST_ASKED", 1)
    exchange.api.faults[BROKEN] = Fault.body("[]")
    for expected in ([], [ETH], [ETH, XRP]):
        assert list(process.highs.of_week("binance", SINCE)) == expected
        clock.now += FAILED_WAITS_S[0]


def test_a_look_asks_for_a_bounded_number_of_pairs(
    process: Process, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_highs, "MOST_ASKED", 2)
    assert [len(process.highs.of_week("binance", SINCE)) for _ in range(2)] == [2, 3]


def test_the_high_is_the_highest_of_the_hours_since(process: Process, exchange: Exchange, clock: Clock) -> None:
    assert process.highs.of_week("binance", {ETH: 0}) == {ETH: Decimal(2_500)}
    assert process.highs.of_week("binance", {ETH: clock.now + HOUR_S}) == {}


def tell_hours(exchange: Exchange, *highs: tuple[int, str]) -> None:
    """Let the exchange tell of BTC these hours, by when they open (epoch seconds)."""
    rows = [[at * 1000, "5", high, "5", "5", "1", at * 1000 + 1, "5", 1, "1", "5", "0"] for at, high in highs]
    exchange.api.faults[BROKEN] = Fault.body(json.dumps(rows))


def asked_since(exchange: Exchange) -> list[int]:
    """From when on (epoch seconds) the exchange was asked for hours."""
    asked = [parse_qs(request.query)["startTime"][0] for request in exchange.api.requests if request.path == KLINES]
    return [int(time_ms) // 1000 for time_ms in asked]


def test_hours_that_were_over_are_not_asked_for_again(process: Process, exchange: Exchange, clock: Clock) -> None:
    first = clock.now - clock.now % HOUR_S
    tell_hours(exchange, (first - HOUR_S, "10"), (first, "7"))
    assert process.highs.of_week("binance", {BTC: first}) == {BTC: Decimal(7)}
    clock.now += HOUR_S
    exchange.api.requests.clear()
    tell_hours(exchange, (first, "9"), (first + HOUR_S, "8"))
    found = [process.highs.of_week("binance", {BTC: since})[BTC] for since in (0, first, first + HOUR_S)]
    assert found == [10, 9, 8]
    assert asked_since(exchange) == [first]


def test_a_market_that_stands_still_is_asked_from_its_last_hour_on(
    process: Process, exchange: Exchange, clock: Clock
) -> None:
    """Later ones would be none, which is not believed of an exchange that tells every hour."""
    last = clock.now - clock.now % HOUR_S
    tell_hours(exchange, (last, "7"))
    for _ in range(3):
        assert process.highs.of_week("binance", {BTC: 0}) == {BTC: Decimal(7)}
        clock.now += HOUR_S
    assert asked_since(exchange)[1:] == [last, last]
