"""Candles downloaded by ccxt's own binance class over HTTP, from the simulated exchange."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botbalance.errors import InvalidRequestError, TransientError

from tests.integration.exchange.simulated import Exchange, Fault, running_exchange
from workbench.candles.download import FIRST_REPEATED_AFTER_S, REPEATED_AFTER_S, fetch_candles
from workbench.candles.recording import Recording, read_recording
from workbench.simulated_exchange.decimal_text import decimal_text
from workbench.simulated_exchange.market import Candle, Market
from workbench.simulated_exchange.random_walk import RandomWalk

START = 1_500_000_000_000 // 60_000 * 60_000
MINUTE = 60_000
PRICES = {"BTCUSDT": Decimal(40_000), "PEPEUSDT": Decimal("0.00000123")}
KLINES = ("GET", "/api/v3/klines")

type Fetch = Callable[..., Path]


@pytest.fixture(scope="module")
def market() -> Market:
    """1,200 minutes that traded after the first: more than there are on a page."""
    market = Market.with_default_filters(PRICES, RandomWalk(seed=1, start_ms=START))
    for _ in range(1_200):
        market.advance()
    return market


@pytest.fixture
def exchange(market: Market) -> Iterator[Exchange]:
    with running_exchange(market) as running:
        yield running


@pytest.fixture
def fetch(exchange: Exchange, tmp_path: Path) -> Fetch:
    def fetch_from_simulation(first: int = 0, end: int = 1_201, **other: Any) -> Path:
        """The minutes from ``first`` to ``end``."""
        asked: dict[str, Any] = {"exchange": "binance", "symbol": "BTC/USDT", "timeframe": "1m", "folder": tmp_path}
        asked |= {"start_ms": START + first * MINUTE, "end_ms": START + end * MINUTE, "on_progress": lambda *_: None}
        return fetch_candles(**asked | {"base_url": exchange.url, "sleep": exchange.slept.append} | other)

    return fetch_from_simulation


def traded(market: Market, symbol: str = "BTCUSDT") -> list[Candle]:
    return list(market.candles(symbol))


def written(path: Path) -> list[str]:
    header, *rows = path.read_text().splitlines()
    assert header == "timestamp,open,high,low,close,volume"
    return rows


def as_rows(candles: list[Candle]) -> list[str]:
    return [",".join([str(candle.open_time), *map(decimal_text, candle[1:])]) for candle in candles]


def test_every_candle_is_written_once_in_the_exchanges_own_digits(
    fetch: Fetch, exchange: Exchange, market: Market, tmp_path: Path
) -> None:
    progress: list[tuple[int, int]] = []
    path = fetch(on_progress=lambda *told: progress.append(told))
    assert path == tmp_path / "BTCUSDT-1m.csv"
    assert written(path) == as_rows(traded(market))
    assert progress == [(0, 1_201), (1_000, 1_201), (1_201, 1_201)]
    assert exchange.api.count(*KLINES) == 2


def test_what_is_downloaded_is_read_back_exactly(fetch: Fetch, market: Market, tmp_path: Path) -> None:
    fetch(symbol="PEPE/USDT")
    recording: Recording = read_recording(tmp_path, "PEPEUSDT")
    expected = traded(market, "PEPEUSDT")
    assert [recording.price(units) for units in recording.close] == [candle.close for candle in expected]
    assert [recording.volume(at) for at in range(len(expected))] == [candle.volume for candle in expected]
    assert (recording.findings.gaps, recording.findings.duplicates, recording.findings.unsorted) == (0, 0, 0)


def test_only_what_was_asked_for_is_written(fetch: Fetch, market: Market) -> None:
    assert written(fetch(10, 20)) == as_rows(traded(market)[10:20])


def test_a_candle_that_ends_after_the_end_is_not_written(fetch: Fetch, market: Market) -> None:
    assert written(fetch(10, end_ms=START + 20 * MINUTE - 1)) == as_rows(traded(market)[10:19])


def test_a_candle_that_is_still_open_is_not_written(fetch: Fetch, market: Market) -> None:
    now = START / 1000 + 20 * 60
    assert written(fetch(10, clock=lambda: now - 0.001)) == as_rows(traded(market)[10:19])
    assert written(fetch(10, clock=lambda: now)) == as_rows(traded(market)[10:20])


def test_a_download_goes_on_where_it_ended(fetch: Fetch, exchange: Exchange, market: Market) -> None:
    fetch(0, 1_000)
    exchange.api.requests.clear()
    progress: list[tuple[int, int]] = []
    path = fetch(on_progress=lambda *told: progress.append(told))
    assert written(path) == as_rows(traded(market))
    assert progress == [(1_000, 1_201), (1_201, 1_201)]
    assert exchange.api.count(*KLINES) == 1


def test_a_download_that_is_whole_asks_for_nothing(fetch: Fetch, exchange: Exchange) -> None:
    before = fetch(0, 100).read_bytes()
    exchange.api.requests.clear()
    assert fetch(0, 100).read_bytes() == before
    assert exchange.api.count(*KLINES) == 0


def test_a_download_leaves_no_hole_behind_an_earlier_one(fetch: Fetch, market: Market) -> None:
    fetch(0, 10)
    assert written(fetch(50, 60)) == as_rows(traded(market)[:60])


@pytest.mark.parametrize("kept", range(0, 160, 7))
def test_a_download_that_was_killed_goes_on_with_whole_lines(fetch: Fetch, market: Market, kept: int) -> None:
    """Wherever the file is torn: in the header, in the first row, in or behind a later one."""
    path = fetch(0, 5)
    path.write_bytes(path.read_bytes()[:kept])
    assert written(fetch(0, 8)) == as_rows(traded(market)[:8])


def test_what_the_network_loses_is_asked_for_again(fetch: Fetch, exchange: Exchange, market: Market) -> None:
    exchange.api.faults[KLINES] = Fault.error(503, times=2)
    assert written(fetch()) == as_rows(traded(market))
    assert exchange.slept == list(REPEATED_AFTER_S[:2])


def test_an_exchange_that_stays_away_is_given_up_and_gone_on_with_later(
    fetch: Fetch, exchange: Exchange, market: Market
) -> None:
    fetch(0, 10)
    exchange.api.faults[KLINES] = Fault()
    with pytest.raises(TransientError, match="binance cannot be reached"):
        fetch()
    assert exchange.slept == list(REPEATED_AFTER_S)
    exchange.api.faults.clear()
    assert written(fetch()) == as_rows(traded(market))


def test_whoever_is_offline_learns_it_in_seconds(tmp_path: Path) -> None:
    slept: list[float] = []
    with pytest.raises(TransientError, match=r"reached: 127\.0\.0\.1 refuses or drops the connection"):
        fetch_candles(
            "binance",
            "BTC/USDT",
            "1m",
            0,
            60_000,
            tmp_path,
            on_progress=lambda done, total: None,
            base_url="http://127.0.0.1:9",
            sleep=slept.append,
        )
    assert slept == list(FIRST_REPEATED_AFTER_S)
    assert sum(slept) < 5


@pytest.mark.parametrize(
    "garbage",
    [
        "{}",
        '{"a": 1}',
        '"?"',
        "[1]",
        "[[1]]",
        '[["x"]]',
        '[[1500000000000,"1","1","1","1"]]',
        '[[1500000000000,"1","x","1","1","1"]]',
        '[[1500000000000,"1","inf","1","1","1"]]',
    ],
)
def test_garbage_is_not_written(fetch: Fetch, exchange: Exchange, tmp_path: Path, garbage: str) -> None:
    exchange.api.faults[KLINES] = Fault.body(garbage)
    with pytest.raises(TransientError, match="binance did not answer as expected"):
        fetch(0, 10)
    assert list(tmp_path.iterdir()) == []


def test_an_exchange_without_markets_is_doubted(fetch: Fetch, exchange: Exchange) -> None:
    exchange.api.faults["GET", "/api/v3/exchangeInfo"] = Fault.body("{}")
    with pytest.raises(TransientError, match="it lists no spot market"):
        fetch()


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"exchange": "binanze"}, "exchange is 'binanze', expected one that ccxt knows"),
        ({"symbol": "BTC/USDC"}, "symbol is 'BTC/USDC', expected a spot market of binance such as BTC/USDT"),
        ({"symbol": "BTCUSDT"}, "symbol is 'BTCUSDT', expected a spot market of binance such as BTC/USDT"),
        ({"timeframe": "7m"}, "timeframe is '7m', expected one of binance's: 1s, 1m, 3m"),
        ({"timeframe": "1M"}, "timeframe is '1M', expected one of binance's: .* 1w$"),
        (
            {"start_ms": START + 2_000 * MINUTE, "end_ms": START + 3_000 * MINUTE},
            "binance has no closed 1m candle of BTC",
        ),
    ],
)
def test_what_the_exchange_does_not_have_is_named(
    fetch: Fetch, tmp_path: Path, asked: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        fetch(**asked)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["1500000000000,1,1,1,1,1\n", "notes", "timestamp,open,high,low,close,volume\nnotes\n"]
)
def test_a_file_that_is_no_download_is_left_as_it_is(fetch: Fetch, tmp_path: Path, text: str) -> None:
    path = tmp_path / "BTCUSDT-1m.csv"
    path.write_text(text)
    with pytest.raises(
        InvalidRequestError, match=r"BTCUSDT-1m\.csv (begins with|has the line) .*expected '?timestamp,open"
    ):
        fetch()
    assert path.read_text() == text


def test_a_file_that_begins_too_late_is_named_and_left(fetch: Fetch) -> None:
    before = fetch(10, 20).read_bytes()
    with pytest.raises(InvalidRequestError, match=rf"begins at {START + 10 * MINUTE}, expected {START}: move it away"):
        fetch(0, 30)
    assert fetch(10, 20).read_bytes() == before


def test_a_coin_that_was_listed_later_goes_on_from_there(fetch: Fetch, market: Market) -> None:
    fetch(-500, 10)
    assert written(fetch(-500, 20)) == as_rows(traded(market)[:20])
