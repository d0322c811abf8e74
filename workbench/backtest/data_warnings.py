"""What a reader must know of the recorded prices before believing a result: said first, by whatever shows one."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from botbalance.engine import format_decimal
from botbalance.engine.arithmetic import NEAREST

from workbench.backtest.timeline import Timeline
from workbench.candles.doubts import Doubt, Kind, clean_window
from workbench.candles.recording import Recording

_LOOKS_LIKE: dict[Kind, str] = {
    "round_factor": "a factor that round looks like a split, a new denomination or a decimal point that moved",
    "taken_back": "the next candle took it back, as a broken feed does",
    "too_large": "no market makes such a move in one candle",
    "wick": "its close knows nothing of it",
}


def doubts_within(recordings: Sequence[Recording], start_ms: int, end_ms: int) -> list[Doubt]:
    """The doubted prices of candles that open from ``start_ms`` on and before ``end_ms``, oldest first."""
    found = [doubt for recording in recordings for doubt in recording.findings.doubts]
    return sorted((doubt for doubt in found if start_ms <= doubt.at_ms < end_ms), key=lambda doubt: doubt.at_ms)


def find_warnings(recordings: Sequence[Recording], timeline: Timeline, end_ms: int | None = None) -> list[str]:
    """A sentence for each finding that may change the result, the worst first; ``end_ms`` is where it was to end."""
    return [
        *_of_doubts(recordings, timeline),
        *_of_ends(recordings, timeline, end_ms),
        *_of_gaps(recordings),
        *_of_other_timeframes(recordings),
    ]


def _of_doubts(recordings: Sequence[Recording], timeline: Timeline) -> Iterator[str]:
    start, end = int(timeline.times_ms[0]), int(timeline.times_ms[-1]) + timeline.candle_ms
    doubts = doubts_within(recordings, start, end)
    if not doubts:
        return
    for doubt in doubts[:3]:
        yield (
            f"Doubtful price: {doubt.symbol} went from {format_decimal(doubt.before)} to {format_decimal(doubt.after)} "
            f"({_factor(doubt)}) in the candle of {_minute(doubt.at_ms)} UTC; {_LOOKS_LIKE[doubt.kind]}."
        )
    more = f" There are {len(doubts) - 3} more of these." if len(doubts) > 3 else ""
    clean_start, clean_end = clean_window(tuple(doubts), start, end)
    options = [f"--start {_minute(clean_start, 'T')}"] if clean_start > start else []
    options += [f"--end {_minute(clean_end, 'T')}"] if clean_end < end else []
    yield f"The result rests on what is doubted.{more} The longest time without a doubt: {' '.join(options)}."


def _of_ends(recordings: Sequence[Recording], timeline: Timeline, end_ms: int | None) -> Iterator[str]:
    candle_ms = timeline.candle_ms
    lasts = {recording.symbol: int(recording.times_ms[-1]) for recording in recordings}
    latest = max(lasts.values())
    if end_ms is not None:
        latest = min(latest, end_ms - candle_ms)
    for symbol, last in lasts.items():
        if last < latest:
            left_out = (latest - last) // candle_ms
            yield (
                f"{symbol}'s recording ends {_minute(last + candle_ms)} UTC, {left_out:,} candles before the others', "
                "and everything after that was left out. Had the asset died then, that loss would not be in the result."
            )


def _of_gaps(recordings: Sequence[Recording]) -> Iterator[str]:
    for recording in recordings:
        found = recording.findings
        if found.gaps:
            yield (
                f"{recording.symbol}'s recording lacks {found.missing:,} candles in {found.gaps:,} "
                f"{'gap' if found.gaps == 1 else 'gaps'}, the longest of {found.longest_gap:,}."
            )


def _of_other_timeframes(recordings: Sequence[Recording]) -> Iterator[str]:
    for recording in recordings:
        for other in recording.findings.other_timeframes:
            yield f"{recording.symbol} has candles of {other} too, which were not read; --timeframe chooses."


def _factor(doubt: Doubt) -> str:
    if doubt.after >= doubt.before:
        return f"times {NEAREST.divide(doubt.after, doubt.before):.2f}"
    return f"divided by {NEAREST.divide(doubt.before, doubt.after):.2f}"


def _minute(time_ms: int, separator: str = " ") -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d{separator}%H:%M}"
