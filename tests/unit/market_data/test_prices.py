"""PriceService: one usable price for everybody, or none and the names of the pairs."""

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from botbalance.engine import PriceUnavailableError
from botbalance.errors import InvalidRequestError, TransientError
from botbalance.market_data.price_service import FAILURE_SHARED_S

from tests.fixtures.cache_table import Clock
from tests.integration.exchange.simulated import Exchange, Fault
from tests.unit.market_data.conftest import Process, StartProcess

BTC, ETH = "BTCUSDT", "ETHUSDT"
TICKERS = ("GET", "/api/v3/ticker/24hr")
GOOD = {"lastPrice": "100", "bidPrice": "99", "askPrice": "102"}


def quote(exchange: Exchange, **by_symbol: dict[str, Any]) -> None:
    """Let the exchange quote this, and nothing else."""
    tickers = [{"symbol": symbol, **GOOD, **fields} for symbol, fields in by_symbol.items()]
    exchange.api.faults[TICKERS] = Fault.body(
        json.dumps([{name: text for name, text in ticker.items() if text is not None} for ticker in tickers])
    )


def asked(exchange: Exchange) -> int:
    """How often the exchange was asked for prices."""
    return exchange.api.count(*TICKERS)


# which price


def test_by_default_the_price_is_the_last_trade(process: Process, exchange: Exchange) -> None:
    quote(exchange, BTCUSDT={}, ETHUSDT={"lastPrice": "0.000000000000000001", "bidPrice": None, "askPrice": None})
    assert process.prices.prices("binance", [BTC, ETH]) == {BTC: Decimal(100), ETH: Decimal("1e-18")}


def test_mid_is_halfway_between_best_bid_and_best_ask(start_process: StartProcess, exchange: Exchange) -> None:
    quote(exchange, BTCUSDT={"bidPrice": "99.01", "askPrice": "99.02"})
    assert start_process(pricing_source="mid").prices.prices("binance", [BTC]) == {BTC: Decimal("99.015")}


@pytest.mark.parametrize("source", ["last", "mid"])
def test_bid_and_ask_that_meet_are_not_crossed(start_process: StartProcess, exchange: Exchange, source: str) -> None:
    quote(exchange, BTCUSDT={"bidPrice": "100", "askPrice": "100"})
    assert start_process(pricing_source=source).prices.prices("binance", [BTC]) == {BTC: Decimal(100)}


@pytest.mark.parametrize(
    ("source", "broken"),
    [
        (source, broken)
        for source in ("last", "mid")
        for broken in (
            {"lastPrice": "-1"},
            {"lastPrice": "Infinity"},
            {"bidPrice": "-1"},
            {"askPrice": "-0.01"},
            {"bidPrice": "103"},
            {"lastPrice": "0", "bidPrice": "0", "askPrice": "0"},
            {"lastPrice": None, "bidPrice": None, "askPrice": None},
        )
    ]
    + [
        ("last", {"lastPrice": "0"}),
        ("last", {"lastPrice": None}),
        ("mid", {"bidPrice": None}),
        ("mid", {"askPrice": None}),
        ("mid", {"bidPrice": "0"}),
        ("mid", {"askPrice": "0"}),
    ],
    ids=str,
)
def test_a_quote_that_cannot_be_right_is_no_price(
    start_process: StartProcess, exchange: Exchange, source: str, broken: dict[str, Any]
) -> None:
    quote(exchange, BTCUSDT=broken, ETHUSDT={})
    prices = start_process(pricing_source=source).prices
    with pytest.raises((PriceUnavailableError, TransientError)) as raised:
        prices.prices("binance", [ETH, BTC])
    if isinstance(raised.value, PriceUnavailableError):
        assert raised.value.symbols == (BTC,)


@pytest.mark.parametrize("number", ["NaN", "sNaN", "abc", ""])
@pytest.mark.parametrize("field", ["lastPrice", "bidPrice"])
@pytest.mark.parametrize("source", ["last", "mid"])
def test_a_quote_that_is_no_number_never_becomes_a_price(
    start_process: StartProcess, exchange: Exchange, source: str, field: str, number: str
) -> None:
    quote(exchange, BTCUSDT={field: number})
    try:
        found = start_process(pricing_source=source).prices.prices("binance", [BTC])
    except (PriceUnavailableError, TransientError):
        return
    expected = {("last", "bidPrice"): Decimal(100), ("mid", "lastPrice"): Decimal("100.5")}
    assert found == {BTC: expected[source, field]}, "only a field that is not needed may be wrong"


def test_every_pair_without_a_price_is_named(process: Process, exchange: Exchange) -> None:
    quote(exchange, BTCUSDT={"lastPrice": "0"}, XRPUSDT={})
    with pytest.raises(PriceUnavailableError) as raised:
        process.prices.prices("binance", [BTC, "XRPUSDT", ETH])
    assert raised.value.symbols == (BTC, ETH)


def test_a_pair_that_the_exchange_does_not_list_is_the_request_s_fault(process: Process) -> None:
    with pytest.raises(InvalidRequestError, match="NOSUCHUSDT"):
        process.prices.prices("binance", [BTC, "NOSUCHUSDT"])


def test_no_pairs_are_no_prices_and_no_request(process: Process, exchange: Exchange) -> None:
    assert process.prices.prices("binance", [], fresh=True) == {}
    assert exchange.api.requests == []


# the cache


def test_within_the_ttl_the_exchange_is_asked_once(process: Process, exchange: Exchange, clock: Clock) -> None:
    first = process.prices.prices("binance", [BTC, ETH])
    exchange.market.set_price(BTC, Decimal(50_000))
    clock.now += 4
    assert process.prices.prices("binance", [BTC, ETH]) == first
    assert process.prices.prices("binance", [ETH]) == {ETH: first[ETH]}
    assert asked(exchange) == 1


def test_a_price_past_its_ttl_is_not_used(process: Process, exchange: Exchange, clock: Clock) -> None:
    process.prices.prices("binance", [BTC])
    exchange.market.set_price(BTC, Decimal(50_000))
    clock.now += 5
    assert process.prices.prices("binance", [BTC]) == {BTC: Decimal(50_000)}
    assert asked(exchange) == 2


def test_a_price_that_takes_long_to_come_is_as_old_as_that(
    process: Process, exchange: Exchange, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.prices.prices("binance", [BTC])
    asked_at, last_price = clock.now, exchange.market.last_price

    def late(symbol: str) -> Decimal:
        clock.now = asked_at + 4
        return last_price(symbol)

    monkeypatch.setattr(exchange.market, "last_price", late)
    _, expires_at = process.prices.prices_and_expiry("binance", [BTC], fresh=True)
    assert (clock.now, expires_at) == (asked_at + 4, asked_at + 5)


def test_the_ttl_is_what_the_settings_say(start_process: StartProcess, exchange: Exchange, clock: Clock) -> None:
    prices = start_process(pricing_ttl=10).prices
    prices.prices("binance", [BTC])
    clock.now += 9
    prices.prices("binance", [BTC])
    assert asked(exchange) == 1
    clock.now += 1
    prices.prices("binance", [BTC])
    assert asked(exchange) == 2


def test_another_process_takes_the_price_from_the_shared_cache(
    start_process: StartProcess, exchange: Exchange, clock: Clock
) -> None:
    first = start_process().prices.prices("binance", [BTC])
    exchange.market.set_price(BTC, Decimal(50_000))
    another = start_process().prices
    clock.now += 4
    assert another.prices("binance", [BTC]) == first
    assert asked(exchange) == 1
    clock.now += 1
    assert another.prices("binance", [BTC]) == {BTC: Decimal(50_000)}


def test_a_shared_price_keeps_every_digit(start_process: StartProcess, exchange: Exchange) -> None:
    quote(exchange, BTCUSDT={"lastPrice": "123456.123456789012345678"})
    assert start_process().prices.prices("binance", [BTC]) == start_process().prices.prices("binance", [BTC])
    assert asked(exchange) == 1
    assert start_process().prices.prices("binance", [BTC])[BTC] == Decimal("123456.123456789012345678")


def test_one_missing_pair_asks_for_all_so_that_a_request_has_one_set(process: Process, exchange: Exchange) -> None:
    process.prices.prices("binance", [BTC])
    exchange.market.set_price(BTC, Decimal(50_000))
    assert process.prices.prices("binance", [BTC, ETH]) == {BTC: Decimal(50_000), ETH: Decimal(2_500)}


def test_a_quote_without_a_price_is_not_cached(process: Process, exchange: Exchange) -> None:
    quote(exchange, BTCUSDT={"lastPrice": "0"})
    with pytest.raises(PriceUnavailableError):
        process.prices.prices("binance", [BTC])
    exchange.api.faults.clear()
    assert process.prices.prices("binance", [BTC]) == {BTC: Decimal(40_000)}


def test_fresh_asks_the_exchange_and_everybody_gets_the_answer(process: Process, exchange: Exchange) -> None:
    process.prices.prices("binance", [BTC])
    exchange.market.set_price(BTC, Decimal(50_000))
    assert process.prices.prices("binance", [BTC], fresh=True) == {BTC: Decimal(50_000)}
    assert process.prices.prices("binance", [BTC]) == {BTC: Decimal(50_000)}
    assert asked(exchange) == 2


def test_without_the_cache_every_request_asks_and_nothing_is_left_behind(
    start_process: StartProcess, exchange: Exchange
) -> None:
    prices = start_process(pricing_use_cache=False).prices
    prices.prices("binance", [BTC])
    exchange.market.set_price(BTC, Decimal(50_000))
    assert prices.prices("binance", [BTC]) == {BTC: Decimal(50_000)}
    start_process().prices.prices("binance", [BTC])
    assert asked(exchange) == 3


def test_users_at_once_share_one_request(process: Process, exchange: Exchange) -> None:
    together = Barrier(8)

    def ask(_: int) -> dict[str, Decimal]:
        together.wait()
        return process.prices.prices("binance", [BTC, ETH])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert answers == [{BTC: Decimal(40_000), ETH: Decimal(2_500)}] * 8
    assert asked(exchange) == 1
    assert exchange.api.count("GET", "/api/v3/exchangeInfo") == 1


def test_an_exchange_that_fails_is_asked_again_in_a_moment_and_not_by_everybody_at_once(
    process: Process, exchange: Exchange, clock: Clock
) -> None:
    exchange.api.faults[TICKERS] = Fault.error(503, times=3)  # a read is tried three times
    for _ in range(5):
        with pytest.raises(TransientError):
            process.prices.prices("binance", [BTC])
    assert asked(exchange) == 3
    clock.now += FAILURE_SHARED_S
    assert process.prices.prices("binance", [BTC]) == {BTC: Decimal(40_000)}


def test_whoever_wants_a_fresh_price_asks_although_another_was_just_refused(
    process: Process, exchange: Exchange
) -> None:
    exchange.api.faults[TICKERS] = Fault.error(503, times=3)
    with pytest.raises(TransientError):
        process.prices.prices("binance", [BTC])
    assert process.prices.prices("binance", [BTC], fresh=True) == {BTC: Decimal(40_000)}
