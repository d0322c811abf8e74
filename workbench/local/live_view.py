"""The view of a local run: how it stands first, then as much as the terminal has room for. Pure.

The documents are those of the API, so that the view shows nothing that the API does not say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from workbench.cli.tables import WidestThatFits, amount, percent, share_bar, signed
from workbench.cli.words import SKIP_REASONS, in_words

_ASSET_COLUMNS = (
    ("asset", "price", "held", "share", "target", "bar", "to target", "next", "now"),
    ("asset", "price", "held", "share", "target", "bar", "to target", "now"),
    ("asset", "price", "share", "target", "bar", "to target", "now"),
    ("asset", "share", "target", "bar", "to target", "now"),
    ("asset", "share", "target", "to target", "now"),
    ("asset", "share", "target", "now"),
)
"""From the widest terminal to the narrowest."""
_WORDS = {"asset", "bar", "next", "now"}
_MOST_LINES = 8
"""Of decisions, and of fills, however high the terminal is."""


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """One moment of a run: ``plan``, ``orders`` and ``decisions`` as the API answers, newest first.

    Amounts are in quote. ``worth`` counts everything that was held at the start or bought since, so it is the same
    basis before and after a change of the targets; ``left`` is what of it is in assets that are no target any more.
    """

    ticks: int
    url: str
    plan: Mapping[str, Any]
    orders: Sequence[Mapping[str, Any]]
    decisions: Sequence[Mapping[str, Any]]
    start_worth: Decimal
    worth: Decimal
    hold: Decimal
    left: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class LiveView:
    """Shows a :class:`LiveStatus` in the terminal's size: the outcome always, the rest where there is room."""

    status: LiveStatus

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        head = Group(_title(self.status), _outcome(self.status), *_left(self.status))
        assets = _assets(self.status)
        warnings = [Text(f"! {found['message']}", style="yellow") for found in self.status.plan["warnings"]]
        parts: list[RenderableType] = [head, assets, *warnings]
        used = sum(len(console.render_lines(part, options)) for part in parts)
        yield from parts
        room = max(0, (options.height or console.height) - used - 1)
        decisions = _cut(list(_decision_lines(self.status.decisions)), min(_MOST_LINES, max(2, room // 2)), room)
        fills = _cut(list(_fill_lines(self.status.orders)), _MOST_LINES, room - len(decisions))
        yield from fills
        yield from decisions


def _title(status: LiveStatus) -> Text:
    ticks = "1 tick" if status.ticks == 1 else f"{status.ticks} ticks"
    mode = "autopilot on" if status.plan["mode"] == "autopilot" else "autopilot off"
    return Text(f"BotBalance · {mode} · {ticks} · {status.url} · Ctrl-C ends it", style="bold", overflow="ellipsis")


def _outcome(status: LiveStatus) -> Table:
    """What it is worth, what holding would be worth, and the difference, in three rows."""
    quote, bonus = status.plan["quote_asset"], status.worth - status.hold
    filled = sum(1 for order in status.orders if order["fills"])
    resting = sum(1 for order in status.orders if order["status"] in {"PENDING", "OPEN", "PARTIALLY_FILLED"})
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row("Worth", f"{amount(str(status.worth))} {quote}", f"at the start {amount(str(status.start_worth))}")
    table.add_row("Just holding", f"{amount(str(status.hold))} {quote}", f"drift {percent(status.plan['drift_pct'])}")
    word = "earned" if bonus >= 0 else "cost"
    style = "bold green" if bonus >= 0 else "bold red"
    table.add_row(
        Text(f"Rebalancing {word}", style=style),
        Text(f"{signed(str(bonus))} {quote}", style=style),
        f"{filled} orders filled, {resting} resting",
    )
    return table


def _left(status: LiveStatus) -> Iterator[Text]:
    for asset, worth in status.left.items():
        yield Text(f"Of this, {amount(str(worth))} is in {asset}, which is no target any more.", style="yellow")


def _assets(status: LiveStatus) -> WidestThatFits:
    resting = {
        order["symbol"]: order for order in status.orders if order["status"] in {"PENDING", "OPEN", "PARTIALLY_FILLED"}
    }
    rows = [_asset_cells(row, resting.get(row["symbol"])) for row in status.plan["assets"]]
    tables = []
    for columns in _ASSET_COLUMNS:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
        for column in columns:
            justify: JustifyMethod = "left" if column in _WORDS else "right"
            table.add_column("" if column == "bar" else column, justify=justify, no_wrap=column != "now")
        for cells in rows:
            table.add_row(*(cells[column] for column in columns))
        tables.append(table)
    return WidestThatFits(tables)


def _asset_cells(row: Mapping[str, Any], order: Mapping[str, Any] | None) -> dict[str, RenderableType]:
    return {
        "asset": row["asset"],
        "price": "" if row["symbol"] is None else f"{Decimal(row['price']):,f}",
        "held": f"{Decimal(row['held']):f}",
        "share": percent(row["weight_pct"]),
        "target": percent(row["target_pct"]),
        "bar": share_bar(row["weight_pct"], row["target_pct"]),
        "to target": signed(row["delta_quote"]),
        "next": _next(row),
        "now": _now(row, order),
    }


def _now(row: Mapping[str, Any], order: Mapping[str, Any] | None) -> Text:
    """What the asset's order is doing, or why there is none."""
    if order is not None:
        price, market = Decimal(order["limit_price"]), Decimal(row["price"] or order["limit_price"])
        away = (price / market - 1) * 100
        words = "sells at" if order["side"] == "sell" else "buys at"
        return Text(f"{words} {price:,f} ({away:+.1f} %)", style="red" if order["side"] == "sell" else "green")
    if row["action"] is not None:
        side = "sell" if row["action"]["side"] == "sell" else "buy"
        return Text(f"would {side} at {Decimal(row['action']['limit_price']):,f}")
    return Text(SKIP_REASONS.get(row["hold"], in_words(row["hold"])), style="dim")


def _next(row: Mapping[str, Any]) -> str:
    """At which prices something would happen, where the asset is inside its band."""
    if row["hold"] != "within_band":
        return ""
    parts = [
        f"{word} {Decimal(row[field]):,f}"
        for word, field in (("buy at", "buy_trigger"), ("sell at", "sell_trigger"))
        if row[field] is not None
    ]
    return ", ".join(parts)


def _fill_lines(orders: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """The newest fills first, a line each."""
    fills = [(fill["traded_at_ms"], order, fill) for order in orders for fill in order["fills"]]
    for at_ms, order, fill in sorted(fills, key=lambda found: found[0], reverse=True):
        bought = order["side"] == "buy"
        what = f"{fill['base_qty']} {order['symbol']} at {Decimal(fill['price']):,f}"
        line = (
            f"{_clock(at_ms // 1000)}  {'bought' if bought else 'sold'} {what}, fee {fill['fee']} {fill['fee_asset']}"
        )
        yield Text(line, style="green" if bought else "red", no_wrap=True, overflow="ellipsis")


def _decision_lines(decisions: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """The newest decisions first; ticks in a row at which the same was said are one line."""
    for said, run in groupby(decisions, key=_said):
        ticks = list(run)
        times = _clock(ticks[0]["ts_tick"])
        if len(ticks) > 1:
            times = f"{_clock(ticks[-1]['ts_tick'])} to {times}"
        count = "" if len(ticks) == 1 else f" ({len(ticks)} ticks)"
        yield Text(f"{times}  {said}{count}", style="dim", no_wrap=True, overflow="ellipsis")


def _said(decision: Mapping[str, Any]) -> str:
    if decision["outcome"] == "skipped":
        return f"decided nothing: {decision['reason']}"
    counts = ((len(decision["placed"]), "placed"), (len(decision["canceled"]), "cancelled"))
    parts = [f"{number} {word}" for number, word in counts if number]
    return ", ".join(parts) or "nothing to do"


def _cut(lines: list[Text], most: int, room: int) -> list[Text]:
    return lines[: max(0, min(most, room))]


def _clock(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%H:%M:%S")
