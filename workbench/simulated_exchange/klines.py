"""Klines: a market's candles, put together or taken apart for the interval that is asked for.

Intervals begin where Binance's do: on the epoch's grid, weeks on Monday, months on the first, in UTC or in the time
zone that was asked for. An interval in which the market has no candle has no kline; Binance would tell a flat one.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby, islice
from typing import NamedTuple

from botbalance.engine.arithmetic import ZERO

from workbench.simulated_exchange.market import DAY_MS, MINUTE_MS, Candle

_HOUR_MS = 3_600_000
_MONTH = "1M"
_MONDAY_MS = 3 * DAY_MS
"""The epoch began on a Thursday, three days after a Monday."""
_LENGTHS_MS = {
    "1s": 1_000,
    **{f"{minutes}m": minutes * MINUTE_MS for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": hours * _HOUR_MS for hours in (1, 2, 4, 6, 8, 12)},
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
}
INTERVALS = (*_LENGTHS_MS, _MONTH)


class Kline(NamedTuple):
    """What one interval traded: times in epoch ms, prices in quote per base; ``trades`` is how many candles had any."""

    open_time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_time: int
    quote_volume: Decimal
    trades: int


def build_klines(
    candles: Sequence[Candle],
    candle_ms: int,
    interval: str,
    *,
    start: int | None,
    end: int | None,
    limit: int,
    offset_ms: int = 0,
) -> list[Kline]:
    """The klines that open between ``start`` and ``end`` (epoch ms): the first ``limit``, without a start the last.

    ``candles`` are ``candle_ms`` long, oldest first. A finer interval finds all that a candle traded at its beginning.
    ``offset_ms`` is by how much the wanted time zone is ahead of UTC.
    """
    parts = _LENGTHS_MS.get(interval, candle_ms)
    if parts < candle_ms:
        needed = _needed(candles, candle_ms, limit * parts // candle_ms + 2, start, end)
        candles = [part for candle in needed for part in _taken_apart(candle, candle_ms, parts)]
    grouped = groupby(candles, key=lambda candle: opens_at(interval, candle.open_time, offset_ms))
    groups = (
        (opened, list(group))
        for opened, group in grouped
        if (start is None or opened >= start) and (end is None or opened <= end)
    )
    wanted = list(groups)[-limit:] if start is None else islice(groups, limit)
    return [_put_together(opened, closes_at(interval, opened, offset_ms), group) for opened, group in wanted]


def opens_at(interval: str, time_ms: int, offset_ms: int = 0) -> int:
    """When the interval began that ``time_ms`` is in."""
    local = time_ms + offset_ms
    if interval == _MONTH:
        month = datetime.fromtimestamp(local / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return int(month.timestamp()) * 1000 - offset_ms
    shift = _MONDAY_MS if interval == "1w" else 0
    return (local + shift) // _LENGTHS_MS[interval] * _LENGTHS_MS[interval] - shift - offset_ms


def closes_at(interval: str, opened_ms: int, offset_ms: int = 0) -> int:
    """The last millisecond of the interval that began at ``opened_ms``."""
    if interval == _MONTH:
        return opens_at(interval, opened_ms + 31 * DAY_MS, offset_ms) - 1
    return opened_ms + _LENGTHS_MS[interval] - 1


def _needed(
    candles: Sequence[Candle], candle_ms: int, most: int, start: int | None, end: int | None
) -> Sequence[Candle]:
    """The ``most`` candles whose parts can be asked for: the first from ``start`` on, or the last until ``end``."""
    if start is None:
        return [candle for candle in candles if end is None or candle.open_time <= end][-most:]
    return [candle for candle in candles if candle.open_time + candle_ms > start][:most]


def _taken_apart(candle: Candle, candle_ms: int, part_ms: int) -> Iterator[Candle]:
    """A candle as shorter ones: all that it traded in the first of them, the rest flat at its close."""
    first = candle.open_time - candle.open_time % part_ms
    yield candle._replace(open_time=first)
    for opened in range(first + part_ms, candle.open_time + candle_ms, part_ms):
        yield Candle(opened, candle.close, candle.close, candle.close, candle.close, ZERO)


def _put_together(opened: int, closes: int, candles: Sequence[Candle]) -> Kline:
    return Kline(
        open_time=opened,
        open=candles[0].open,
        high=max(candle.high for candle in candles),
        low=min(candle.low for candle in candles),
        close=candles[-1].close,
        volume=sum((candle.volume for candle in candles), ZERO),
        close_time=closes,
        quote_volume=sum((candle.volume * candle.close for candle in candles), ZERO),
        trades=sum(1 for candle in candles if candle.volume),
    )
