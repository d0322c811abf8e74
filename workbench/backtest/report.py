"""A backtest as one HTML page that needs nothing else: no network, no script, no font of its own.

Nothing is computed here that is money: exact numbers are formatted, and series scaled for pictures.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from botbalance.engine import CancelReason
from botbalance.engine.arithmetic import NEAREST
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workbench.backtest.charts import (
    Event,
    Mark,
    Scale,
    Span,
    Tick,
    area_path,
    line_path,
    merged_marks,
    number,
    sampled,
    spread,
    time_ticks,
    value_scale,
    value_ticks,
)
from workbench.backtest.result import BacktestResult, FilledOrder
from workbench.candles.recording import Findings

_NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
_DAY_MS = 86_400_000
_SMALL_POINTS = 360
_SLOTS = 64
_ROWS, _SMALL_ROWS = 60, 24
_EXTREMES = 5
_PAUSES_SHOWN = 20

CANCELED_BECAUSE: Mapping[str, str] = {
    CancelReason.STALE_PRICE: "the market had moved away from it",
    CancelReason.SIDE_FLIPPED: "the asset was by then to be traded the other way",
    CancelReason.WITHIN_BAND: "the asset was back within its band",
    CancelReason.UNMANAGED: "the asset was no longer part of the strategy",
}


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a chart: ``path``, and its end's ``label`` (and second row ``value``) at ``label_y`` pixels."""

    look: str
    path: str
    label: str
    value: str
    label_y: float


@dataclass(frozen=True, slots=True)
class _Table:
    """A table behind a picture, as text."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Chart:
    """Everything that the template draws: heights in pixels, widths as shares or in ``charts.WIDTH``."""

    key: str
    title: str
    description: str
    note: str
    height: int
    size: str
    value_ticks: Sequence[tuple[float, str]]
    time_ticks: Sequence[Tick]
    lines: Sequence[_Line]
    table: _Table
    zero_y: float | None = None
    gain: str = ""
    loss: str = ""
    marks: Sequence[Mark] = ()

    @property
    def left(self) -> int:
        """Room for the labels of the values, in pixels."""
        return 12 + round(7.5 * max((len(label) for _, label in self.value_ticks), default=0))

    @property
    def right(self) -> int:
        """Room for the labels at the lines' ends, in pixels."""
        return 14 + round(8 * max((max(len(line.label), len(line.value)) for line in self.lines), default=0))


def render_report(result: BacktestResult) -> str:
    """The page. Names and sentences of the result are escaped; nothing in it is trusted to be HTML."""
    damaged = {symbol: found for symbol, found in result.data.items() if _complaints(found)}
    return _PAGE.render(
        r=result,
        assets=_assets(result),
        nav_chart=_nav_chart(result),
        bonus_chart=_bonus_chart(result),
        share_charts=_share_charts(result),
        price_charts=_price_charts(result),
        damaged=damaged,
        complaints={symbol: _complaints(found) for symbol, found in damaged.items()},
        finding_names=[
            (field.name, _FINDING_NAMES[field.name]) for field in fields(Findings) if field.name in _FINDING_NAMES
        ],
        canceled=[(CANCELED_BECAUSE.get(reason, reason), n) for reason, n in _canceled(result)],
        extremes=_extremes(result.fills),
        pauses=result.pauses[:_PAUSES_SHOWN],
        bars=_Bars(
            by_asset=_largest(result.bonus_by_asset.values()),
            by_month=_largest(month.bonus_quote for month in result.months),
            worth=_largest((result.nav_end, result.hold.nav_end, result.buy_once.nav_end, result.largest.nav_end)),
        ),
    )


_FINDING_NAMES = {
    "rows": "Rows",
    "first_ms": "First",
    "last_ms": "Last",
    "gaps": "Gaps",
    "missing": "Candles missing",
    "longest_gap": "Longest gap",
    "zero_rows": "Without a price",
    "leading_zero_rows": "of these, at the start",
    "duplicates": "Repeated",
    "unsorted": "Out of order",
    "widened": "Outside low … high",
    "off_grid": "Between two candles",
    "rounded": "Rounded",
}


@dataclass(frozen=True, slots=True)
class _Bars:
    """What fills a bar, by table."""

    by_asset: Decimal
    by_month: Decimal
    worth: Decimal


def _largest(values: Iterable[Decimal]) -> Decimal:
    return max((abs(value) for value in values), default=Decimal(0)) or Decimal(1)


def _assets(result: BacktestResult) -> list[str]:
    return list(dict.fromkeys((*result.target_allocations, *result.start_balances, *result.bonus_by_asset)))


def _canceled(result: BacktestResult) -> list[tuple[str, int]]:
    return sorted(result.orders.canceled.items(), key=lambda reason: -reason[1])


def _extremes(fills: Sequence[FilledOrder]) -> list[FilledOrder]:
    """The fills that added most and cost most, the best first; all of them where there are few."""
    ranked = sorted(fills, key=lambda fill: -fill.bonus_quote)
    return ranked if len(ranked) <= 2 * _EXTREMES else ranked[:_EXTREMES] + ranked[-_EXTREMES:]


def _complaints(found: Findings) -> list[str]:
    """What is wrong with a recording, in words."""
    said = []
    if found.gaps:
        said.append(
            f"{found.missing:,} {_plural(found.missing, 'candle')} missing in"
            f" {found.gaps:,} {_plural(found.gaps, 'gap')} (longest: {found.longest_gap:,})"
        )
    if found.zero_rows:
        leading = f" ({found.leading_zero_rows:,} before the first one)" if found.leading_zero_rows else ""
        said.append(f"{found.zero_rows:,} {_plural(found.zero_rows, 'row')} without a price{leading}")
    if found.duplicates:
        said.append(f"{found.duplicates:,} repeated {_plural(found.duplicates, 'row')} left out")
    if found.unsorted:
        said.append(f"{found.unsorted:,} {_plural(found.unsorted, 'row')} out of order, sorted")
    if found.widened:
        said.append(f"{found.widened:,} {_plural(found.widened, 'row')} with an open or close outside low … high")
    if found.off_grid:
        said.append(
            f"{found.off_grid:,} {_plural(found.off_grid, 'row')} between two candles, moved to their beginning"
        )
    if found.rounded:
        said.append(f"{found.rounded:,} {_plural(found.rounded, 'row')} of binary fractions, rounded")
    if found.doubts:
        said.append(f"{len(found.doubts):,} doubtful {_plural(len(found.doubts), 'price')}")
    return said


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


# Charts


def _nav_chart(result: BacktestResult) -> _Chart:
    series, span, height = result.series, _span(result), 300
    named = [("nav", "Rebalanced", series.nav), ("hold", "Held", series.hold), ("once", "Bought once", series.buy_once)]
    scale = value_scale([value for _, _, values in named for value in values], may_be_log=True)
    ends = spread([_end_y(values, scale, height) for _, _, values in named], 32, height)
    times = _times(result)
    return _Chart(
        key="nav",
        title="NAV against both yardsticks",
        description=" ".join(_in_words(name, values, times, 2, f" {result.quote_asset}") for _, name, values in named),
        note=f"Worth in {result.quote_asset}{', on a logarithmic scale' if scale.log else ''}.",
        height=height,
        size="large",
        value_ticks=_heights(scale, height, 5),
        time_ticks=time_ticks(span, 6),
        lines=[
            _Line(look, line_path(series.times_ms, values, span, scale, height), name, _last(values, 2), y)
            for (look, name, values), y in zip(named, ends, strict=True)
        ],
        table=_table(
            f"NAV and both yardsticks, in {result.quote_asset}",
            result,
            {name: [_or_dash(value, 2) for value in values] for _, name, values in named},
            _ROWS,
        ),
    )


def _bonus_chart(result: BacktestResult) -> _Chart:
    series, span, height = result.series, _span(result), 220
    bonus = [nav - hold for nav, hold in zip(series.nav, series.hold, strict=True)]
    scale = value_scale(bonus, include=[0.0])
    return _Chart(
        key="bonus",
        title="Rebalancing bonus so far",
        description=_in_words("NAV less the worth of holding", bonus, _times(result), 2, f" {result.quote_asset}"),
        note=f"NAV less the worth of holding, in {result.quote_asset}: above the zero line rebalancing was ahead,"
        " below it was behind.",
        height=height,
        size="large",
        value_ticks=_heights(scale, height, 4),
        time_ticks=time_ticks(span, 6),
        lines=[
            _Line(
                "bonus",
                line_path(series.times_ms, bonus, span, scale, height),
                "Ahead" if result.bonus_quote > 0 else "Behind" if result.bonus_quote < 0 else "Even",
                signed(result.bonus_quote),
                spread([_end_y(bonus, scale, height)], 32, height)[0],
            )
        ],
        table=_table(
            f"Rebalancing bonus so far, in {result.quote_asset}",
            result,
            {"Bonus": [_or_dash(value, 2, sign=True) for value in bonus]},
            _ROWS,
        ),
        zero_y=round(scale.y(0.0, height), 1),
        gain=area_path(series.times_ms, bonus, span, scale, height, above=True),
        loss=area_path(series.times_ms, bonus, span, scale, height, above=False),
    )


def _share_charts(result: BacktestResult) -> list[tuple[str, _Chart]]:
    series, span, height, found = result.series, _span(result), 110, []
    for i, (asset, weights) in enumerate(series.weights_pct.items()):
        target = result.target_allocations.get(asset, Decimal(0))
        scale = value_scale(weights, include=[float(target)])
        ends = spread([_end_y(weights, scale, height), scale.y(float(target), height)], 15, height)
        flat = [float(target)] * len(series.times_ms)
        chart = _Chart(
            key=f"share-{i}",
            title=f"Share of {asset} against its target of {percent(target)}",
            description=_in_words("Share", weights, _times(result), 1, f"{_NARROW_SPACE}%"),
            note="",
            height=height,
            size="small",
            value_ticks=_heights(scale, height, 3),
            time_ticks=time_ticks(span, 3 if span.end_ms - span.start_ms > 3 * _DAY_MS else 1),  # hours need room
            lines=[
                _Line(
                    "target", line_path(_ends(series.times_ms), _ends(flat), span, scale, height), "target", "", ends[1]
                ),
                _Line(
                    "nav",
                    line_path(series.times_ms, weights, span, scale, height, _SMALL_POINTS),
                    f"{_last(weights, 1)}{_NARROW_SPACE}%",
                    "",
                    ends[0],
                ),
            ],
            table=_table(
                f"Share of {asset}, in percent (target {percent(target)})",
                result,
                {"Share": [_or_dash(value, 2) for value in weights]},
                _SMALL_ROWS,
            ),
        )
        found.append((asset, chart))
    return found


def _price_charts(result: BacktestResult) -> list[tuple[str, _Chart]]:
    series, span, height, found = result.series, _span(result), 190, []
    by_symbol: dict[str, list[FilledOrder]] = {symbol: [] for symbol in series.prices}
    for fill in result.fills:
        by_symbol.setdefault(fill.symbol, []).append(fill)
    for i, (symbol, fills) in enumerate(by_symbol.items()):
        prices = [price if price > 0 else math.nan for price in series.prices.get(symbol, [math.nan] * len(series.nav))]
        events = [Event(fill.filled_at_ms, float(fill.price), up=fill.side == "buy") for fill in fills]
        scale = value_scale(prices, include=(event.value for event in events), may_be_log=True)
        decimals = _decimals(prices)
        buys = sum(event.up for event in events)
        rules = result.market_rules.get(symbol)
        chart = _Chart(
            key=f"price-{i}",
            title=f"Price of {symbol} and its fills",
            description=_in_words("Price", prices, _times(result), decimals, "")
            + f" {_counted(buys, len(fills) - buys)}.",
            note=_counted(buys, len(fills) - buys) + ("; logarithmic scale" if scale.log else ""),
            height=height,
            size="medium",
            value_ticks=_heights(scale, height, 4),
            time_ticks=time_ticks(span, 4),
            lines=[
                _Line(
                    "price",
                    line_path(series.times_ms, prices, span, scale, height, _SMALL_POINTS),
                    _last(prices, decimals),
                    "",
                    spread([_end_y(prices, scale, height)], 16, height)[0],
                )
            ],
            marks=merged_marks(events, span, scale, height, _SLOTS),
            table=_price_table(symbol, result, prices, decimals, events),
        )
        found.append((rules.base if rules else symbol, chart))
    return found


def _price_table(
    symbol: str, result: BacktestResult, prices: Sequence[float], decimals: int, events: Sequence[Event]
) -> _Table:
    """The price at moments, and how many fills there were since the moment before."""
    kept = sampled(len(prices), _SMALL_ROWS)
    buys, sells = [0] * len(kept), [0] * len(kept)
    row = 0
    for event in sorted(events, key=lambda event: event.at_ms):
        while row < len(kept) - 1 and result.series.times_ms[kept[row]] < event.at_ms:
            row += 1
        (buys if event.up else sells)[row] += 1
    times = _times(result)
    return _Table(
        f"Price of {symbol}, and the buys and sells since the row before",
        ("Time (UTC)", "Price", "Buys", "Sells"),
        [
            (times[i], _or_dash(prices[i], decimals), f"{b:,}", f"{s:,}")
            for i, b, s in zip(kept, buys, sells, strict=True)
        ],
    )


def _counted(buys: int, sells: int) -> str:
    if not buys + sells:
        return "No fills"
    return f"{buys:,} {_plural(buys, 'buy')}, {sells:,} {_plural(sells, 'sell')}"


def _table(caption: str, result: BacktestResult, columns: Mapping[str, Sequence[str]], most: int) -> _Table:
    times = _times(result)
    kept = sampled(len(times), most)
    return _Table(
        caption, ("Time (UTC)", *columns), [(times[i], *(column[i] for column in columns.values())) for i in kept]
    )


def _span(result: BacktestResult) -> Span:
    times = result.series.times_ms
    return Span(min(result.start_ms, *times), max(result.end_ms, *times))


def _times(result: BacktestResult) -> list[str]:
    """The moments of the series: days, or minutes where days would not tell them apart."""
    times = result.series.times_ms
    by_day = len(times) < 2 or times[-1] - times[0] >= _DAY_MS * (len(times) - 1)
    return [day(at) if by_day else moment(at) for at in times]


def _heights(scale: Scale, height: float, most: int) -> list[tuple[float, str]]:
    return [(round(height * (1 - tick.share), 1), tick.label) for tick in value_ticks(scale, most)]


def _ends[T](values: Sequence[T]) -> Sequence[T]:
    return values[:: max(len(values) - 1, 1)]


def _finite(values: Sequence[float]) -> list[int]:
    return [i for i in range(len(values)) if math.isfinite(values[i])]


def _end_y(values: Sequence[float], scale: Scale, height: float) -> float:
    finite = _finite(values)
    return scale.y(values[finite[-1]], height) if finite else height / 2


def _last(values: Sequence[float], decimals: int) -> str:
    finite = _finite(values)
    return number(values[finite[-1]], decimals) if finite else "no price"


def _or_dash(value: float, decimals: int, *, sign: bool = False) -> str:
    if not math.isfinite(value):
        return "–"
    return ("+" if sign and round(value, decimals) > 0 else "") + number(value, decimals)


def _decimals(values: Sequence[float]) -> int:
    """Enough for five digits of the smallest value."""
    smallest = min((value for value in values if math.isfinite(value) and value > 0), default=1.0)
    return min(max(2, 4 - math.floor(math.log10(smallest))), 12)


def _in_words(name: str, values: Sequence[float], times: Sequence[str], decimals: int, unit: str) -> str:
    """What a sighted reader sees first: the ends, the lowest and the highest."""
    finite = _finite(values)
    if not finite:
        return f"{name}: nothing recorded."
    low, high = min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)

    def at(i: int) -> str:
        return f"{number(values[i], decimals)}{unit} on {times[i]} UTC"

    return f"{name}: from {at(finite[0])} to {at(finite[-1])}; lowest {at(low)}, highest {at(high)}."


# Numbers for people


def money(value: Decimal) -> str:
    """Two decimals; more where two would say zero of what is not. Halves go to the even digit, whatever the ambient
    decimal context says: ccxt leaves its own way of rounding there."""
    places = 2
    if value and abs(value) < Decimal("0.005"):
        places = min(1 - value.adjusted(), 12)
    rounded = NEAREST.quantize(value, Decimal(1).scaleb(-places))
    return f"{rounded:,f}".replace("-", "−")


def signed(value: Decimal) -> str:
    """An amount with its sign."""
    return f"+{money(value)}" if value > 0 else money(value)


def percent(value: Decimal) -> str:
    """At most two decimals: 40 %, 12.5 %, 0.12 %."""
    text = money(value)
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{_NARROW_SPACE}%"


def signed_percent(value: Decimal) -> str:
    """Always with a sign, and with two decimals so that a column lines up."""
    return f"{signed(value)}{_NARROW_SPACE}%"


def exact(value: Decimal) -> str:
    """Every digit there is, and no zeros behind them."""
    text = f"{value:,f}".replace("-", "−")
    return text.rstrip("0").rstrip(".") if "." in text else text


def day(at_ms: int) -> str:
    """A date (UTC)."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


def moment(at_ms: int) -> str:
    """A date with its time (UTC)."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def duration(seconds: float) -> str:
    """The two largest units of a time: 2 d 5 h, 3 h 12 min, 45 s."""
    left, parts = int(seconds), []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if left >= length:
            parts.append(f"{left // length:,}{_NARROW_SPACE}{unit}")
            left %= length
    return " ".join(parts[:2]) or f"0{_NARROW_SPACE}s"


def against_holding(bonus: Decimal) -> str:
    """The sign in words."""
    return "ahead of holding" if bonus > 0 else "behind holding" if bonus < 0 else "the same as holding"


def _bar(value: Decimal, largest: Decimal) -> str:
    return f"{min(100.0, 100 * float(abs(value) / largest)):.1f}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "money": money,
    "signed": signed,
    "percent": percent,
    "signed_percent": signed_percent,
    "exact": exact,
    "day": day,
    "moment": moment,
    "duration": duration,
    "against_holding": against_holding,
    "bar": _bar,
    "plural": _plural,
}
_PAGE = _ENVIRONMENT.get_template("report.html.j2")
