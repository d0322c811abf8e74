"""MarketRulesService: one download of an exchange's markets serves everybody for a while."""

import pytest
from botbalance.errors import InvalidRequestError, TransientError

from tests.fixtures.cache_table import Clock
from tests.integration.exchange.simulated import Exchange, Fault
from tests.unit.market_data.conftest import Process, StartProcess

INFO = ("GET", "/api/v3/exchangeInfo")
TTL = 3_600


def test_markets_are_downloaded_once(process: Process, exchange: Exchange) -> None:
    first = process.rules.listings("binance", ["BTCUSDT"])
    assert process.rules.listings("binance", ["BTCUSDT"]) == first
    assert exchange.api.count(*INFO) == 1


def test_another_process_takes_them_from_the_shared_cache(start_process: StartProcess, exchange: Exchange) -> None:
    first = start_process().rules.listings("binance", ["BTCUSDT", "ETHUSDT"])
    assert start_process().rules.listings("binance", ["ETHUSDT", "BTCUSDT"]) == first
    assert exchange.api.count(*INFO) == 1


def test_only_what_is_missing_is_downloaded(process: Process, exchange: Exchange) -> None:
    process.rules.listings("binance", ["BTCUSDT"])
    assert process.rules.listings("binance", ["BTCUSDT", "ETHUSDT"]).keys() == {"BTCUSDT", "ETHUSDT"}
    assert exchange.api.count(*INFO) == 2


def test_rules_are_downloaded_again_after_their_ttl(process: Process, exchange: Exchange, clock: Clock) -> None:
    assert process.rules.listings("binance", ["BTCUSDT"])["BTCUSDT"].rules.trading
    exchange.market.halt("BTCUSDT")
    clock.now += TTL - 1
    assert process.rules.listings("binance", ["BTCUSDT"])["BTCUSDT"].rules.trading
    clock.now += 1
    assert not process.rules.listings("binance", ["BTCUSDT"])["BTCUSDT"].rules.trading


def test_rules_from_the_shared_cache_do_not_get_a_second_life(
    start_process: StartProcess, exchange: Exchange, clock: Clock
) -> None:
    start_process().rules.listings("binance", ["BTCUSDT"])
    exchange.market.halt("BTCUSDT")
    another = start_process().rules
    clock.now += TTL - 1
    another.listings("binance", ["BTCUSDT"])
    clock.now += 1
    assert not another.listings("binance", ["BTCUSDT"])["BTCUSDT"].rules.trading


def test_all_unknown_markets_are_named(process: Process) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        process.rules.listings("binance", ["NOSUCHUSDT", "BTCUSDT", "GONEUSDT"])
    assert raised.value.code == "unknown_market"
    assert "NOSUCHUSDT, GONEUSDT" in str(raised.value)
    assert "BTCUSDT" not in str(raised.value)


def test_a_garbage_answer_is_not_an_exchange_without_markets(process: Process, exchange: Exchange) -> None:
    exchange.api.faults[INFO] = Fault.body("{}")
    with pytest.raises(TransientError):
        process.rules.listings("binance", ["BTCUSDT"])
    exchange.api.faults.clear()
    assert process.rules.listings("binance", ["BTCUSDT"]).keys() == {"BTCUSDT"}


def test_no_markets_are_no_request(process: Process, exchange: Exchange) -> None:
    assert process.rules.listings("binance", []) == {}
    assert exchange.api.requests == []


def test_markets_that_do_not_exist_are_not_asked_for_again(
    start_process: StartProcess, exchange: Exchange, clock: Clock
) -> None:
    here, elsewhere = start_process().rules, start_process().rules
    with pytest.raises(InvalidRequestError):
        here.listings("binance", ["BTCUSDT", "FIRSTUSDT"])
    asked = exchange.api.count(*INFO)
    for number in range(50):
        for process in (here, elsewhere):
            with pytest.raises(InvalidRequestError, match=f"^INVENTED{number}USDT: "):
                process.listings("binance", ["BTCUSDT", f"INVENTED{number}USDT"])
    assert exchange.api.count(*INFO) == asked
    clock.now += TTL
    with pytest.raises(InvalidRequestError):
        here.listings("binance", ["FIRSTUSDT"])
    assert exchange.api.count(*INFO) == 2 * asked


def test_a_market_that_exists_is_listed_although_others_named_beside_it_do_not(process: Process) -> None:
    for symbols in (["NOSUCHUSDT"], ["ETHUSDT", "NOSUCHUSDT"]):
        with pytest.raises(InvalidRequestError, match=r"^NOSUCHUSDT: "):
            process.rules.listings("binance", symbols)
    assert process.rules.listings("binance", ["ETHUSDT", "XRPUSDT"]).keys() == {"ETHUSDT", "XRPUSDT"}


def test_the_pairs_of_an_exchange_are_downloaded_once_for_all(start_process: StartProcess, exchange: Exchange) -> None:
    expected = sorted((symbol.removesuffix("USDT"), "USDT") for symbol in exchange.market.specs)
    for _ in range(3):
        assert start_process().rules.pairs("binance") == expected
    assert exchange.api.count(*INFO) == 1


def test_a_market_that_is_gone_is_found_out_by_its_price_and_keeps_no_other_from_having_one(
    start_process: StartProcess, exchange: Exchange, clock: Clock
) -> None:
    process, another = start_process(), start_process()
    process.prices.prices("binance", ["BTCUSDT", "ETHUSDT"])
    another.rules.listings("binance", ["ETHUSDT"])
    clock.now += 11
    del exchange.market.specs["BTCUSDT"]
    with pytest.raises(TransientError, match="lists one of BTCUSDT, ETHUSDT no more"):
        process.prices.prices("binance", ["BTCUSDT", "ETHUSDT"])
    assert process.rules.listed("binance", ["BTCUSDT", "ETHUSDT"]).keys() == {"ETHUSDT"}
    assert start_process().rules.listed("binance", ["BTCUSDT", "ETHUSDT"]).keys() == {"ETHUSDT"}
    clock.now += 3
    assert process.prices.prices("binance", ["ETHUSDT"]).keys() == {"ETHUSDT"}


def test_listings_are_not_downloaded_at_every_price_that_is_refused(
    process: Process, exchange: Exchange, clock: Clock
) -> None:
    process.rules.listings("binance", ["BTCUSDT"])
    for _ in range(3):
        process.rules.recheck("binance", ["BTCUSDT"])
    downloaded = exchange.api.count(*INFO)
    clock.now += 60
    process.rules.recheck("binance", ["BTCUSDT"])
    assert exchange.api.count(*INFO) > downloaded
