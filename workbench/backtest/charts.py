"""The geometry of the report's pictures: series in, SVG paths, marks and ticks out. Pure; floats, for pictures only.

A plot is ``WIDTH`` units wide, stretched to whatever room there is, and as many pixels high as its caller says; y grows
downwards, as in SVG. A value that is not finite is a gap in its line.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

WIDTH = 1000
_LOG_FROM_RATIO = 10
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_MONTH_MS = 30 * _DAY_MS
_YEAR_MS = 365 * _DAY_MS


@dataclass(frozen=True, slots=True)
class Scale:
    """From ``low`` at the bottom of a plot to ``high`` at its top; ``log`` where equal steps are equal ratios."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """How far up a value is: 0 at ``low``, 1 at ``high``."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def y(self, value: float, height: float) -> float:
        """Where ``value`` is in a picture of that height, from its top."""
        return height * (1 - self.share(value))


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start_ms`` on the left to ``end_ms`` on the right, in epoch milliseconds."""

    start_ms: int
    end_ms: int

    def share(self, at_ms: float) -> float:
        """Where a moment is between the first (0) and the last (1)."""
        return (at_ms - self.start_ms) / (self.end_ms - self.start_ms) if self.end_ms > self.start_ms else 0.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at ``share`` of an axis, 0 (left, bottom) to 1."""

    share: float
    label: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened ``at_ms`` at ``value``; ``up`` or down."""

    at_ms: int
    value: float
    up: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """``count`` events of one direction, too close to be drawn apart, at ``x_pct`` of the width and ``y`` pixels."""

    x_pct: float
    y: float
    up: bool
    count: int


def value_scale(values: Iterable[float], *, include: Iterable[float] = (), may_be_log: bool = False) -> Scale:
    """A scale that holds all finite values and ``include``, with a little air; logarithmic where they span decades."""
    seen = [value for value in (*values, *include) if math.isfinite(value)]
    low, high = (min(seen), max(seen)) if seen else (0.0, 1.0)
    if may_be_log and low > 0 and high / low > _LOG_FROM_RATIO:
        air = (high / low) ** 0.04
        return Scale(low / air, high * air, log=True)
    air = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return Scale(low - air, high + air)


def value_ticks(scale: Scale, most: int) -> list[Tick]:
    """At most ``most`` round numbers on a scale, as many as there are (one more on a logarithmic one)."""
    if scale.log:
        values = _log_values(scale, most)
        return [Tick(scale.share(value), number(value, max(0, -math.floor(math.log10(value))))) for value in values]
    power = 10.0 ** math.floor(math.log10((scale.high - scale.low) / most))
    steps = [power * factor for factor in (1, 2, 2.5, 5, 10, 20)]
    step = next((s for s in steps if math.floor(scale.high / s) - math.ceil(scale.low / s) < most), steps[-1])
    decimals = next((d for d in range(15) if math.isclose(round(step, d), step)), 15)
    first, last = math.ceil(scale.low / step), math.floor(scale.high / step)
    return [Tick(scale.share(i * step), number(i * step, decimals)) for i in range(first, last + 1)]


def _log_values(scale: Scale, most: int) -> list[float]:
    decades = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    values: list[float] = []
    for factors, every in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3), ((1,), 5)):
        values = [f * 10.0**d for d in decades if d % every == 0 for f in factors]
        values = [value for value in values if scale.low <= value <= scale.high]
        if len(values) <= most + 1:
            break
    return values


def number(value: float, decimals: int) -> str:
    """A number for people: thousands apart, a true minus, no minus before nothing."""
    text = f"{value:,.{decimals}f}"
    return text.replace("-", "−") if text.strip("-0.,") else text.lstrip("-")


def time_ticks(span: Span, most: int) -> list[Tick]:
    """At most ``most`` round moments (UTC) of a span: years, months, days or hours, as they fit."""
    length = max(span.end_ms - span.start_ms, 1)
    start = datetime.fromtimestamp(span.start_ms / 1000, UTC)
    for months, about_ms in ((1, _MONTH_MS), (2, 2 * _MONTH_MS), (3, 3 * _MONTH_MS), (6, 6 * _MONTH_MS)):
        if length >= 2 * _MONTH_MS and length / about_ms <= most:
            return _labelled(span, _every_months(start, months, span.end_ms), "%b %Y")
    if length > 2 * _MONTH_MS:
        years = next(n for n in (1, 2, 5, 10, 20, 50) if length / (n * _YEAR_MS) <= most or n == 50)
        return _labelled(span, _every_months(start, 12 * years, span.end_ms), "%Y")
    hours = next((h for h in (1, 3, 6, 12, 24, 48, 168, 336) if length / (h * _HOUR_MS) <= most), 672)
    step = hours * _HOUR_MS
    first = -(-span.start_ms // step) * step
    moments = [datetime.fromtimestamp(at / 1000, UTC) for at in range(first, span.end_ms + 1, step)]
    return _labelled(span, moments, "%d %b" if hours >= 24 else "%d %b %H:%M")


def _every_months(start: datetime, months: int, end_ms: int) -> list[datetime]:
    year, month = start.year, 1
    found = []
    if months >= 12:
        year -= year % (months // 12)
    while (moment := datetime(year, month, 1, tzinfo=UTC)).timestamp() * 1000 <= end_ms:
        if moment >= start:
            found.append(moment)
        year, month = year + (month - 1 + months) // 12, (month - 1 + months) % 12 + 1
    return found


def _labelled(span: Span, moments: Iterable[datetime], pattern: str) -> list[Tick]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [Tick(span.share((m - epoch) // timedelta(milliseconds=1)), m.strftime(pattern)) for m in moments]


def sampled(count: int, most: int) -> list[int]:
    """At most ``most`` of the indices below ``count``, evenly spread, the first and the last included."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def thinned(values: Sequence[float], most: int) -> list[int]:
    """Indices of about ``most`` values that draw the same line: the ends, and each bucket's lowest and highest."""
    count = len(values)
    if count <= most:
        return list(range(count))
    edges = [round(i * count / (most // 2)) for i in range(most // 2 + 1)]
    kept = {0, count - 1}
    for low, high in pairwise(edges):
        finite = [i for i in range(low, high) if math.isfinite(values[i])]
        kept |= {min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)} if finite else {low}
    return sorted(kept)


def line_path(
    times_ms: Sequence[int], values: Sequence[float], span: Span, scale: Scale, height: float, most: int = 1000
) -> str:
    """A line through the values; a lone value between two gaps is a dot (a line of no length, with round ends)."""
    parts: list[str] = []
    pen_down = False
    for i in thinned(values, most):
        if not math.isfinite(values[i]):
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{_point(span.share(times_ms[i]), scale.y(values[i], height))}")
        if not pen_down:
            parts.append("h0")
        pen_down = True
    return "".join(parts)


def area_path(
    times_ms: Sequence[int], values: Sequence[float], span: Span, scale: Scale, height: float, *, above: bool
) -> str:
    """What is between zero and the line, where it is ``above`` zero, or below."""
    clipped = [max(v, 0.0) if above else min(v, 0.0) for v in values]
    if not any(clipped):
        return ""
    zero = scale.y(0.0, height)
    points = [_point(span.share(t), scale.y(v, height)) for t, v in zip(times_ms, clipped, strict=True)]
    ends = _point(span.share(times_ms[0]), zero), _point(span.share(times_ms[-1]), zero)
    return f"M{ends[0]}L{'L'.join(points)}L{ends[1]}Z"


def _point(share: float, y: float) -> str:
    return f"{share * WIDTH:.1f},{y:.1f}".replace(".0,", ",").removesuffix(".0")


def merged_marks(events: Iterable[Event], span: Span, scale: Scale, height: float, slots: int) -> list[Mark]:
    """The events as marks, at most one a direction and slot of the width, each at the middle of what it stands for."""
    merged: dict[tuple[int, bool], list[Event]] = {}
    for event in events:
        slot = min(int(span.share(event.at_ms) * slots), slots - 1)
        merged.setdefault((slot, event.up), []).append(event)
    return [
        Mark(
            x_pct=round(100 * sum(span.share(e.at_ms) for e in same) / len(same), 1),
            y=round(sum(scale.y(e.value, height) for e in same) / len(same), 1),
            up=up,
            count=len(same),
        )
        for (_, up), same in sorted(merged.items())
    ]


def spread(ys: Sequence[float], gap: float, height: float) -> list[float]:
    """The same heights in the same order, moved so that labels there are ``gap`` apart or more, and inside the plot."""
    order = sorted(range(len(ys)), key=ys.__getitem__)
    placed = list(ys)
    floor = 0.0
    for i in order:
        placed[i] = floor = max(ys[i], floor)
        floor += gap
    ceiling = height
    for i in reversed(order):
        placed[i] = ceiling = min(placed[i], ceiling)
        ceiling -= gap
    return [round(y, 1) for y in placed]
