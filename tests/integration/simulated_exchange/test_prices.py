"""Where prices come from: the random walk and recorded candles."""

import gzip
import math
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import correlation, pstdev

import pytest

from workbench.candles.errors import CandleFileError
from workbench.candles.recording import recorded_symbols
from workbench.simulated_exchange.market import Candle, FrozenPrices, Market
from workbench.simulated_exchange.random_walk import RandomWalk
from workbench.simulated_exchange.recorded_candles import OutOfCandlesError, RecordedCandles

FIRST_PRICES = {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_500), "XRPUSDT": Decimal("0.5")}


def walked(candles: int, walk: RandomWalk) -> dict[str, list[Candle]]:
    market = Market.with_default_filters(FIRST_PRICES, walk)
    for _ in range(candles):
        market.advance()
    return {symbol: list(market.candles(symbol))[-candles:] for symbol in FIRST_PRICES}


def returns(candles: list[Candle]) -> list[float]:
    return [math.log(candle.close / candle.open) for candle in candles]


def test_same_seed_same_prices() -> None:
    assert walked(50, RandomWalk(seed=3, start_ms=0)) == walked(50, RandomWalk(seed=3, start_ms=0))
    assert walked(50, RandomWalk(seed=3, start_ms=0)) != walked(50, RandomWalk(seed=4, start_ms=0))


def test_walk_has_the_volatility_correlation_and_wicks_asked_for() -> None:
    candles = walked(1_400, RandomWalk(seed=1, volatility=0.004, correlation=0.6))
    btc, eth = returns(candles["BTCUSDT"]), returns(candles["ETHUSDT"])
    assert 0.0036 < pstdev(btc) < 0.0044
    assert 0.52 < correlation(btc, eth) < 0.68
    wicked = [c for c in candles["BTCUSDT"] if c.high > max(c.open, c.close) and c.low < min(c.open, c.close)]
    assert len(wicked) > 400


def test_walk_stays_on_the_grid_above_zero_and_unbroken() -> None:
    for symbol, candles in walked(300, RandomWalk(seed=2, volatility=0.2)).items():
        tick = {"BTCUSDT": "0.01", "ETHUSDT": "0.01", "XRPUSDT": "0.00001"}[symbol]
        for candle in candles:
            assert all(price > 0 and price % Decimal(tick) == 0 for price in candle[1:5])
            assert candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
        assert all(later.open == earlier.close for earlier, later in pairwise(candles))


def test_walk_goes_on_from_a_price_set_by_hand() -> None:
    market = Market.with_default_filters(FIRST_PRICES, RandomWalk(seed=1))
    market.set_price("BTCUSDT", Decimal(50_000))
    market.advance()
    assert market.candles("BTCUSDT")[-1].open == 50_000


def test_halted_symbol_stands_still() -> None:
    market = Market.with_default_filters(FIRST_PRICES, RandomWalk(seed=1))
    market.halt("BTCUSDT")
    market.advance()
    assert market.last_price("BTCUSDT") == 40_000
    assert market.last_price("ETHUSDT") != 2_500


def test_frozen_prices_stand_still() -> None:
    market = Market.with_default_filters(FIRST_PRICES, FrozenPrices())
    market.advance()
    assert {symbol: market.last_price(symbol) for symbol in FIRST_PRICES} == FIRST_PRICES
    assert len(market.candles("BTCUSDT")) == 1


@pytest.mark.parametrize(("volatility", "share"), [(-0.1, 0.5), (1.0, 0.5), (0.1, 1.1), (0.1, -0.1)])
def test_walk_refuses_impossible_parameters(volatility: float, share: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        RandomWalk(seed=1, volatility=volatility, correlation=share)


HEADER = "timestamp,open,high,low,close,volume\n"
HOUR = 3_600_000
MIDNIGHT = 1_500_076_800_000
EIGHT = MIDNIGHT + 8 * HOUR


def rows(first_hour: int, *prices: str) -> str:
    return "".join(f"{MIDNIGHT + (first_hour + n) * HOUR},{p},{p},{p},{p},1\n" for n, p in enumerate(prices))


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "-").replace("_", ".")
            path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        return tmp_path

    return write


def test_replay_starts_where_every_symbol_has_prices(record: Callable[..., Path]) -> None:
    folder = record(
        BTCUSDT__1h_csv_gz=HEADER + rows(1, "100", "101", "102", "103"),
        ETHUSDT_csv=rows(1, "0", "0", "7", "8"),
    )
    source = RecordedCandles(folder, ["BTCUSDT", "ETHUSDT"])
    assert source.first_prices == {"BTCUSDT": Decimal(102), "ETHUSDT": Decimal(7)}
    assert (source.remaining, source.candle_ms) == (2, HOUR)
    market = Market.with_default_filters(source.first_prices, source)
    market.advance()
    market.advance()
    assert market.last_price("BTCUSDT") == 103
    assert market.last_price("ETHUSDT") == 8
    assert [(candle.open_time - MIDNIGHT) // HOUR for candle in market.candles("BTCUSDT")] == [2, 3, 4]
    assert source.remaining == 0
    with pytest.raises(OutOfCandlesError, match="all 2 recorded candles"):
        market.advance()
    assert market.last_price("BTCUSDT") == 103


def test_times_that_one_symbol_lacks_are_left_out(record: Callable[..., Path]) -> None:
    folder = record(BTCUSDT_csv=rows(1, "1", "2", "3"), ETHUSDT_csv=rows(1, "1") + rows(3, "3"))
    assert RecordedCandles(folder, ["BTCUSDT", "ETHUSDT"]).remaining == 2


def test_files_of_a_symbol_follow_one_another(record: Callable[..., Path]) -> None:
    folder = record(BTCUSDT__a_csv=HEADER + rows(1, "1", "2"), BTCUSDT__b_csv=rows(3, "3"), BTCUSDTX_csv=rows(1, "9"))
    assert RecordedCandles(folder, ["BTCUSDT"]).remaining == 3
    assert recorded_symbols(folder) == ["BTCUSDT", "BTCUSDTX"]


def test_row_that_repeats_another_is_skipped(record: Callable[..., Path]) -> None:
    folder = record(BTCUSDT_csv=rows(1, "0") + rows(1, "0", "5") + rows(2, "5", "6"))
    assert RecordedCandles(folder, ["BTCUSDT"]).remaining == 2


def test_rows_in_disorder_are_replayed_in_order(record: Callable[..., Path]) -> None:
    source = RecordedCandles(record(BTCUSDT_csv=rows(2, "2", "3") + rows(1, "1")), ["BTCUSDT"])
    assert [source.next_candles({})["BTCUSDT"].close for _ in range(3)] == [1, 2, 3]
    assert source.recordings["BTCUSDT"].findings.unsorted == 1


def test_extremes_are_widened_to_hold_open_and_close(record: Callable[..., Path]) -> None:
    source = RecordedCandles(record(BTCUSDT_csv=f"{EIGHT},10,10.5,10.2,10.6,1\n"), ["BTCUSDT"])
    candle = source.next_candles({})["BTCUSDT"]
    assert (candle.low, candle.high) == (Decimal(10), Decimal("10.6"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "cannot be read"),
        (HEADER, "has no rows"),
        (rows(1, "0", "0"), "has no candle of BTCUSDT with a price"),
        (rows(1, "1") + rows(1, "2"), r"line 2: timestamp is \d+, which .* 1, 1, 1, 1, 1 and 2, 2, 2, 2, 1"),
        (HEADER + rows(1, "1", "x"), r"line 3: open is 'x', expected a number >= 0"),
        (rows(1, "-1"), r"line 1: open is '-1', expected a number >= 0"),
        (rows(1, "NaN"), r"line 1: open is 'NaN', expected a number >= 0"),
        (rows(1, "Infinity"), r"line 1: open is 'Infinity'"),
        (rows(1, "1", "0", "1").replace(",0,", ",1,", 1), r"line 2: a price is 0 .* expected prices > 0"),
        (f"{EIGHT},1,1,0,1,1\n", r"line 1: a price is 0"),
        (f"{EIGHT},1,1,2,1,1\n", r"line 1: low is 2 and high is 1, expected low <= high"),
        (f"{EIGHT},1,1,1,1\n", r"line 1: fewer than 6 columns, expected timestamp, open"),
        ("yesterday,1,1,1,1,1\n", r"line 1: the header is yesterday,1,1,1,1,1, which has no timestamp and no open"),
        ("1.5,1,1,1,1,1\n", r"line 1: timestamp is 1\.5, expected a time between 2009 and 2100"),
        ("time,close,open,high,low,amount\n", r"line 1: the header is"),
        (f'{EIGHT},"1,1,1,1,1\n', "cannot be read"),
    ],
)
def test_malformed_files_are_refused(record: Callable[..., Path], text: str, problem: str) -> None:
    folder = record(BTCUSDT_csv=text)
    with pytest.raises(CandleFileError, match=rf"BTCUSDT\.csv.*{problem}"):
        RecordedCandles(folder, ["BTCUSDT"])


@pytest.mark.parametrize(
    "content", [b"not gzip at all", gzip.compress(b"1500000000000,1,1,1,1,1\n", mtime=0)[:-9], b"\xff\xfe"]
)
def test_unreadable_archives_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "BTCUSDT.csv.gz").write_bytes(content)
    with pytest.raises(CandleFileError, match="cannot be read"):
        RecordedCandles(tmp_path, ["BTCUSDT"])


def test_missing_folders_files_and_overlaps_are_named(record: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(CandleFileError, match=r"nowhere.*is not a folder"):
        RecordedCandles(tmp_path / "nowhere", ["BTCUSDT"])
    with pytest.raises(CandleFileError, match="has no file for BTCUSDT"):
        RecordedCandles(tmp_path, ["BTCUSDT"])
    with pytest.raises(CandleFileError, match="has no candle files"):
        recorded_symbols(tmp_path)
    folder = record(BTCUSDT_csv=rows(1, "1"), ETHUSDT_csv=rows(2, "1"))
    with pytest.raises(CandleFileError, match="have no time in common"):
        RecordedCandles(folder, ["BTCUSDT", "ETHUSDT"])
