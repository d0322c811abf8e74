"""TradedRanges: between which prices a market has traded since a moment, and nothing where that is not known."""

from decimal import Decimal

import pytest
from botbalance.engine.durations import MINUTE_S
from botbalance.errors import BotBalanceError
from botbalance.exchange.paper_books import ToldMinutes

from tests.fixtures.cache_table import Clock
from tests.integration.exchange.simulated import Exchange, Fault
from tests.unit.market_data.conftest import Process, StartProcess

BTC, ETH = "BTCUSDT", "ETHUSDT"
KLINES = ("GET", "/api/v3/klines")
PRICE = Decimal(40_000)


def test_a_minute_without_trades_is_followed_by_those_with_some(process: Process, clock: Clock) -> None:
    process.ranges.prefetch("binance", [BTC])
    assert process.ranges.since("binance", BTC, clock.now) == (PRICE, PRICE)
    assert process.ranges.since("binance", BTC, clock.now - 5 * MINUTE_S) == (PRICE, PRICE)
    assert process.ranges.since("binance", BTC, clock.now + MINUTE_S) is None


def test_nothing_is_known_of_minutes_that_were_not_asked_for(start_process: StartProcess, clock: Clock) -> None:
    process = start_process(portfolio_max_age=600)
    process.ranges.prefetch("binance", [BTC])
    oldest = clock.now - 600 - MINUTE_S
    assert process.ranges.since("binance", BTC, oldest) == (PRICE, PRICE)
    assert process.ranges.since("binance", BTC, oldest - MINUTE_S) is None


def test_a_range_is_over_with_its_tick_to_the_second(process: Process, exchange: Exchange, clock: Clock) -> None:
    process.ranges.prefetch("binance", [BTC])
    clock.now = clock.now // 30 * 30 + 29
    assert process.ranges.since("binance", BTC, clock.now) is not None
    clock.now += 1
    assert process.ranges.since("binance", BTC, clock.now) is None
    process.ranges.prefetch("binance", [BTC])
    assert process.ranges.since("binance", BTC, clock.now) is not None
    assert exchange.api.count(*KLINES) == 2


def test_trouble_with_an_exchange_leaves_its_ranges_unknown(process: Process, exchange: Exchange, clock: Clock) -> None:
    exchange.api.faults["GET", "/api/v3/exchangeInfo"] = Fault.error(503)
    process.ranges.prefetch("binance", [BTC])
    assert process.ranges.since("binance", BTC, clock.now) is None


def test_one_market_that_is_not_told_leaves_the_others_known(
    process: Process, exchange: Exchange, clock: Clock
) -> None:
    exchange.api.faults["GET", f"{KLINES[1]}?symbol={BTC}"] = Fault.body("[]")
    process.ranges.prefetch("binance", [BTC, ETH])
    assert process.ranges.since("binance", BTC, clock.now) is None
    assert process.ranges.since("binance", ETH, clock.now) is not None


def test_of_a_market_that_is_listed_no_more_no_minutes_are_told_and_in_an_outage_that_is_not_said(
    process: Process, exchange: Exchange, clock: Clock
) -> None:
    since = clock.now - clock.now % MINUTE_S - 10 * MINUTE_S
    exchange.api.faults["GET", "/api/v3/exchangeInfo"] = Fault.error(503)
    with pytest.raises(BotBalanceError):
        process.ranges.minutes("binance-paper", "GONEUSDT", since, 5)
    exchange.api.faults.clear()
    until = (clock.now - 5) // MINUTE_S * MINUTE_S
    assert process.ranges.minutes("binance-paper", "GONEUSDT", since, 5) == ToldMinutes([], until, until)
