"""Klines of every interval, from candles of one length, worked out by hand."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.simulated_exchange.conftest import Door
from workbench.simulated_exchange.klines import INTERVALS, Kline, build_klines, closes_at, opens_at
from workbench.simulated_exchange.market import MINUTE_MS, Candle, Market
from workbench.simulated_exchange.random_walk import RandomWalk
from workbench.simulated_exchange.simulation import Simulation

HALF_MINUTE_MS = 30_000
HOUR_MS = 3_600_000
START_MS = int(datetime(2024, 5, 1, tzinfo=UTC).timestamp()) * 1000  # a Wednesday


def ms(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1000


def candle(opened: int, open_: str, high: str, low: str, close: str, volume: str = "1") -> Candle:
    return Candle(opened, *map(Decimal, (open_, high, low, close, volume)))


HALVES = [
    candle(START_MS, "10", "12", "9", "11"),
    candle(START_MS + 30_000, "11", "15", "10", "14", "2"),
    candle(START_MS + 60_000, "14", "14", "7", "8", "0"),
]


def klines(interval: str, candles: list[Candle] = HALVES, candle_ms: int = HALF_MINUTE_MS, **asked: int) -> list[Kline]:
    wanted: dict[str, Any] = {"start": None, "end": None, "limit": 500} | asked
    return build_klines(candles, candle_ms, interval, **wanted)


def whole(told: Iterable[int | Decimal]) -> list[int]:
    """The same numbers, which are whole ones in these tests."""
    numbers = list(told)
    assert all(number == int(number) for number in numbers)
    return [int(number) for number in numbers]


def test_a_minute_is_put_together_from_its_candles() -> None:
    first, second = klines("1m")
    assert whole(first) == [START_MS, 10, 15, 9, 14, 3, START_MS + 59_999, 11 + 28, 2]
    assert whole(second) == [START_MS + 60_000, 14, 14, 7, 8, 0, START_MS + 119_999, 0, 0]


def test_a_finer_interval_finds_what_a_candle_traded_at_its_beginning_and_then_its_close() -> None:
    hour = candle(START_MS, "10", "12", "9", "11")
    quarters = klines("15m", [hour], HOUR_MS)
    assert [kline.open_time - START_MS for kline in quarters] == [0, 900_000, 1_800_000, 2_700_000]
    assert whole(quarters[0][1:6]) == [10, 12, 9, 11, 1]
    assert [whole(kline[1:6]) for kline in quarters[1:]] == [[11, 11, 11, 11, 0]] * 3


def test_a_start_gives_the_first_and_no_start_the_last() -> None:
    hours = [candle(START_MS + HOUR_MS * n, "1", "1", "1", str(n + 1)) for n in range(5)]
    opened = [kline.open_time for kline in klines("1m", hours, HOUR_MS, start=START_MS + HOUR_MS, limit=2)]
    assert opened == [START_MS + HOUR_MS, START_MS + HOUR_MS + MINUTE_MS]
    assert whole(kline.close for kline in klines("1m", hours, HOUR_MS, limit=61)) == [4] + [5] * 60
    assert whole(kline.close for kline in klines("1h", hours, HOUR_MS, end=START_MS + HOUR_MS)) == [1, 2]
    until = klines("1s", hours, HOUR_MS, end=START_MS + 2 * HOUR_MS, limit=2)
    assert [kline.open_time for kline in until] == [START_MS + 2 * HOUR_MS - 1000, START_MS + 2 * HOUR_MS]
    assert whole(kline.close for kline in until) == [2, 3]


@pytest.mark.parametrize(
    ("interval", "at", "opens", "closes"),
    [
        ("1m", "2024-05-15 10:17:31", "2024-05-15 10:17", "2024-05-15 10:18"),
        ("4h", "2024-05-15 10:17:31", "2024-05-15 08:00", "2024-05-15 12:00"),
        ("1d", "2024-05-15 10:17:31", "2024-05-15 00:00", "2024-05-16 00:00"),
        ("1w", "2024-05-15 10:17:31", "2024-05-13 00:00", "2024-05-20 00:00"),  # from a Monday
        ("3d", "2017-08-17 10:00:00", "2017-08-16 00:00", "2017-08-19 00:00"),
        ("1M", "2024-02-29 23:59:59", "2024-02-01 00:00", "2024-03-01 00:00"),
        ("1M", "2024-12-31 23:59:59", "2024-12-01 00:00", "2025-01-01 00:00"),
    ],
)
def test_intervals_begin_where_binances_do(interval: str, at: str, opens: str, closes: str) -> None:
    assert opens_at(interval, ms(at)) == ms(opens)
    assert closes_at(interval, ms(opens)) == ms(closes) - 1


@given(st.sampled_from(INTERVALS), st.integers(ms("2015-01-01 00:00"), ms("2035-01-01 00:00")), st.integers(-48, 56))
def test_every_moment_is_in_one_interval_whatever_the_time_zone(interval: str, at: int, quarters: int) -> None:
    offset = quarters * 900_000
    opened = opens_at(interval, at, offset)
    closed = closes_at(interval, opened, offset)
    assert opened <= at <= closed
    assert opens_at(interval, opened, offset) == opens_at(interval, closed, offset) == opened
    assert opens_at(interval, closed + 1, offset) == closed + 1


def test_a_time_zone_moves_the_day(door: Door) -> None:
    asked = {"symbol": "BTCUSDT", "interval": "1d"}
    [[utc, *_]] = door.ask("/api/v3/klines", **asked)
    assert utc % 86_400_000 == 0
    for zone, quarters in (("8", 32), ("-1:00", -4), ("05:45", 23)):
        [[opened, *_]] = door.ask("/api/v3/klines", **asked, timeZone=zone)
        assert (opened + quarters * 900_000) % 86_400_000 == 0
    for zone in ("15", "-12:15", "Mars"):
        assert door.ask("/api/v3/klines", **asked, timeZone=zone)["code"] == -1130


def test_in_a_run_klines_end_now_and_each_holds_the_ticks_of_its_minute() -> None:
    """A tick is half a minute: candles that are called a minute long would run ahead of the clock, twice as fast."""
    simulation = Simulation(seed=3)
    started = simulation.clock.milliseconds()
    for _ in range(300):
        simulation.next_tick(2)
    now = simulation.clock.milliseconds()
    candles = simulation.market.candles("BTCUSDT")[1:]
    assert (candles[0].open_time, now - candles[-1].open_time) == (started, 15_000)
    minutes = klines("1m", list(candles), 15_000, start=started - started % MINUTE_MS)
    assert [later.open_time - earlier.open_time for earlier, later in pairwise(minutes)] == [MINUTE_MS] * (
        len(minutes) - 1
    )
    assert minutes[-1].close == simulation.market.last_price("BTCUSDT")
    assert sum(kline.trades for kline in minutes) == 600


def test_public_trades_agree_with_the_klines(door: Door) -> None:
    market = Market.with_default_filters({"BTCUSDT": Decimal(40_000)}, RandomWalk(seed=1, start_ms=START_MS))
    door.api.market.__dict__.update(market.__dict__)
    for _ in range(12):
        market.advance()
    trades = door.ask("/api/v3/trades", symbol="BTCUSDT", limit=5)
    told = door.ask("/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=5)
    assert [(t["time"], t["price"], t["qty"], t["quoteQty"]) for t in trades] == [
        (k[0], k[4], k[5], k[7]) for k in told
    ]
    assert [t["isBuyerMaker"] for t in trades] == [Decimal(k[4]) < Decimal(k[1]) for k in told]
    whole = door.ask("/api/v3/aggTrades", symbol="BTCUSDT")
    assert [(t["a"], t["p"], t["q"]) for t in whole[-5:]] == [(t["id"], t["price"], t["qty"]) for t in trades]
    after = door.ask("/api/v3/aggTrades", symbol="BTCUSDT", fromId=whole[3]["a"], limit=2)
    assert after == whole[3:5]
    assert door.ask("/api/v3/aggTrades", symbol="BTCUSDT", startTime=whole[2]["T"], endTime=whole[4]["T"]) == whole[2:5]
    assert door.ask("/api/v3/aggTrades", symbol="BTCUSDT", fromId=1, startTime=1)["code"] == -1128
    average = door.ask("/api/v3/avgPrice", symbol="BTCUSDT")
    paid, volume = (sum((Decimal(t[key]) for t in trades), Decimal(0)) for key in ("quoteQty", "qty"))
    assert abs(Decimal(average["price"]) * volume - paid) < Decimal("1e-8") * volume
    assert (average["mins"], average["closeTime"]) == (5, told[-1][6])


def test_where_nobody_traded_the_average_is_the_last_price(door: Door) -> None:
    assert door.ask("/api/v3/avgPrice", symbol="BTCUSDT")["price"] == "40000.00000000"
    assert door.ask("/api/v3/trades", symbol="BTCUSDT") == []
