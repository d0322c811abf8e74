"""The API's answers as tables for a person; the JSON is the same thing for a program."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from workbench.cli.words import ORDER_STATES, SKIP_REASONS, in_words

_BAR_WIDTH = 16
_VERDICT_STYLES = {"pass": "green", "warn": "yellow", "fail": "red", "unknown": "dim"}  # nosec B105  # a verdict


@dataclass(frozen=True, slots=True)
class WidestThatFits:
    """The first of several tables that fits the terminal without cutting anything; else the last."""

    tables: Sequence[Table]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.update(width=10_000)
        fits = (table for table in self.tables if Measurement.get(console, wide, table).maximum <= options.max_width)
        yield next(fits, self.tables[-1])


def plan_table(plan: Mapping[str, Any]) -> RenderableType:
    """A plan: every asset with what would be done about it, and why not."""
    table = _table(
        f"{plan['mode']} · NAV {amount(plan['nav'])} {plan['quote_asset']} · drift {percent(plan['drift_pct'])} · "
        f"one order is worth {amount(plan['quote_amount'])} · the band is {amount(plan['band_quote'])} "
        f"({percent(plan['band_pct'])})",
        "asset",
        "share",
        "target",
        "",
        "delta",
        "what to do",
        numbers=("share", "target", "delta"),
    )
    for row in plan["assets"]:
        table.add_row(
            row["asset"],
            percent(row["weight_pct"]),
            percent(row["target_pct"]),
            share_bar(row["weight_pct"], row["target_pct"]),
            amount(row["delta_quote"]),
            _what_to_do(row),
        )
    warnings = [Text(f"! {warning['message']}", style="yellow") for warning in plan["warnings"]]
    return Group(table, *convergence_line(plan), *warnings)


def convergence_line(plan: Mapping[str, Any]) -> list[Text]:
    """About how long it takes until every asset is within its band; nothing where they all are."""
    found = plan["convergence"]
    if found["symbol"] is None:
        return []
    bringing = f"Into the band: about {amount(found['fills'])} orders in {found['symbol']}, the farthest off"
    if found["hours"] is None:
        return [Text(f"{bringing}; how long each takes depends on how far the price swings in an hour.")]
    hours, swings = amount(found["hours"]), percent(found["hourly_volatility_pct"])
    return [Text(f"{bringing}: about {hours} hours, if the price goes on to swing by {swings} an hour.")]


def execution_table(execution: Mapping[str, Any]) -> RenderableType:
    """What execute placed, or why nothing."""
    if execution["orders"]:
        return orders_table(execution["orders"], "orders placed")
    holds = [
        f"{row['asset']}: {SKIP_REASONS.get(row['hold'], in_words(row['hold']))}"
        for row in execution["assets"]
        if row["symbol"]
    ]
    return Text(f"No orders placed. {', '.join(holds)}")


def orders_table(orders: Iterable[Mapping[str, Any]], title: str = "orders") -> RenderableType:
    """Orders, as the API lists them; where there is little room, without their ids."""
    rows = list(orders)
    numbers = ("price", "quantity", "filled")

    def with_columns(columns: tuple[str, ...]) -> Table:
        table = _table(title, *columns, numbers=numbers)
        for order in rows:
            cells = {
                "order": order["client_order_id"],
                "pair": order["symbol"],
                "side": _side(order["side"]),
                "price": order["limit_price"],
                "quantity": order["base_qty"],
                "filled": order["filled_qty"],
                "state": ORDER_STATES.get(order["status"], order["status"]),
                "note": in_words(order["reason"] or ""),
            }
            table.add_row(*(cells[column] for column in columns))
        return table

    every = ("order", "pair", "side", "price", "quantity", "filled", "state", "note")
    return WidestThatFits([with_columns(every), with_columns(every[1:]), with_columns(every[1:-1])])


def decisions_table(decisions: Iterable[Mapping[str, Any]], title: str = "decisions") -> RenderableType:
    """Decisions, as the API lists them."""
    table = _table(title, "tick", "NAV", "drift", "placed", "cancelled", "note", numbers=("NAV", "drift"))
    for decision in decisions:
        table.add_row(
            datetime.fromtimestamp(decision["ts_tick"], UTC).strftime("%H:%M:%S"),
            amount(decision["nav"]) if decision["nav"] else "",
            percent(decision["drift_pct"]) if decision["drift_pct"] else "",
            str(len(decision["placed"]) or ""),
            str(len(decision["canceled"]) or ""),
            decision["reason"] or "",
        )
    return table


def activity_table(activity: Iterable[Mapping[str, Any]]) -> RenderableType:
    """What was done to the account, as the API lists it; what changed as ``name: before → after``."""
    table = _table("activity", "time", "by", "what", "which", "note", numbers=())
    for one in activity:
        when = datetime.fromtimestamp(one["at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        changed = [line for line in (_changed(one["before"], one["after"]), one["reason"]) if line]
        table.add_row(when, one["actor"], one["action"], one["subject"] or "", "\n".join(changed))
    return table


def _changed(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    old, new = before or {}, after or {}
    names = dict.fromkeys([*old, *new])
    return ", ".join(f"{name}: {old.get(name, 'none')} → {new.get(name, 'none')}" for name in names)


def pauses_table(pauses: Iterable[Mapping[str, Any]], title: str = "pauses") -> RenderableType:
    """What holds trading back, with the evidence; a sentence where nothing does."""
    rows = list(pauses)
    if not rows:
        return Text("Nothing is paused.")
    table = _table(title, "pause", "since", "note", numbers=())
    for pause in rows:
        since = datetime.fromtimestamp(pause["since"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(pause["pause_id"], since, pause["evidence"])
    return table


def paper_table(account: Mapping[str, Any]) -> RenderableType:
    """A paper account: what it has, what it started with, what was moved since, and what its reader has to know."""
    title = f"PAPER: {account['exchange']}, epoch {account['epoch']}"
    table = _table(
        title,
        "asset",
        "free",
        "locked",
        "at the start",
        "moved since",
        numbers=("free", "locked", "at the start", "moved since"),
    )
    for balance in account["balances"]:
        asset = balance["asset"]
        start, moved = (account[name].get(asset, "0") for name in ("start_balances", "transfers"))
        table.add_row(asset, *map(amount, (balance["free"], balance["locked"], start, moved)))
    gaps = [Text(f"{gap['symbol']}: a gap of {(gap['until'] - gap['since']) // 60} minutes") for gap in account["gaps"]]
    return Group(table, *gaps, Text(account["caveat"]))


def canceled_table(answer: Mapping[str, Any]) -> RenderableType:
    """What a stop, or cancelling everything, did."""
    off = [Text("The autopilot is off.", style="bold")] if answer.get("autopilot_enabled") is False else []
    if not answer["orders"]:
        return Group(*off, Text("No order of this system was resting."))
    return Group(*off, orders_table(answer["orders"], "orders, as they ended"))


def strategy_table(strategy: Mapping[str, Any]) -> RenderableType:
    """A strategy as it is stored, and what its owner should know about it."""
    switch = "autopilot on" if strategy["autopilot_enabled"] else "autopilot off"
    table = _table(
        f"{strategy['exchange']} · {switch} · version {strategy['version']}", "", "value", numbers=("value",)
    )
    for asset, pct in strategy["target_allocations"].items():
        table.add_row(asset, percent(pct))
    for name, value in strategy.items():
        if name.endswith(("_pct", "_quote", "_s")) or name in {"quote_asset", "post_only"}:
            table.add_row(name, "not set" if value is None else str(value))
    if strategy["disabled_reason"]:
        table.caption = f"Switched off by the system: {strategy['disabled_reason']}"
    return Group(table, *(Text(f"! {found['message']}", style="yellow") for found in strategy.get("warnings", [])))


def performance_table(performance: Mapping[str, Any]) -> RenderableType:
    """What rebalancing added to holding, in all and by asset."""
    if not performance["available"]:
        return Text(f"Not known now: {performance['unavailable']}", style="yellow")
    quote = performance["quote_asset"]
    table = _table(f"worth {amount(performance['nav'])} {quote}", "", quote, "fills", numbers=(quote, "fills"))
    table.add_row("just holding", amount(performance["hold_quote"]), "")
    for part in performance["by_asset"]:
        table.add_row(f"added by {part['name']}", signed(part["bonus_quote"]), str(part["fills"]))
    table.add_row(
        "added by rebalancing", signed(performance["bonus_quote"]), str(performance["fills_count"]), style="bold"
    )
    return table


def check_table(check: Mapping[str, Any]) -> RenderableType:
    """A check of an account, and what to do about what is not in order."""
    table = _table("ready" if check["ready"] else "not ready", "", "item", "note", numbers=())
    for item in check["items"]:
        note = item["found"] if item["remedy"] is None else f"{item['found']}\n→ {item['remedy']}"
        table.add_row(Text(item["verdict"], style=_VERDICT_STYLES[item["verdict"]]), item["name"], note)
    return table


def replay_table(replay: Mapping[str, Any]) -> RenderableType:
    """A decision computed again: that nothing differs, or what."""
    engines = f"engine {replay['engine_then']}, today {replay['engine_today']}"
    name = f"{replay['user_id']}, tick {replay['ts_tick']} ({engines})"
    if replay["outcome"] == "skipped":
        return Text(f"{name}: nothing was decided: {replay['reason']}")
    if not replay["differences"]:
        return Text(f"{name}: today's engine decides the same, to the last digit.", style="green")
    return Text("\n".join([f"{name}: today's engine decides otherwise.", *replay["differences"]]), style="red")


def soak_table(soak: Mapping[str, Any]) -> RenderableType:
    """What a soak found: what it did, which faults it met, and what is wrong."""
    table = _table(
        f"{soak['users']} users, {soak['ticks']} ticks, seed {soak['seed']}: {soak['seconds']} s", "", "", numbers=("",)
    )
    for name, value in soak.items():
        if isinstance(value, int) and name not in {"users", "ticks", "seed"}:
            table.add_row(name.replace("_", " "), str(value))
    faults = ", ".join(f"{name} {number}" for name, number in soak["faults_injected"].items())
    verdict = Text("\n".join(soak["findings"]), style="red") if soak["findings"] else Text("Nothing is wrong.", "green")
    return Group(table, Text(f"Faults: {faults or 'none'}"), verdict)


def simulation_table(simulation: Mapping[str, Any]) -> RenderableType:
    """What a simulation did and met, and what it found: the story of the shortest way there."""
    table = _table(f"{simulation['orders']} orders, seed {simulation['seed']}", "", "", numbers=("",))
    for name in ("episodes", "steps", "choice_points", "fills", "decisions", "processes_died"):
        table.add_row(name.replace("_", " "), str(simulation[name]))
    kinds = [
        Text(f"{kind.capitalize()}: {', '.join(f'{name} {number}' for name, number in simulation[kind].items())}")
        for kind in ("faults", "manners", "acts", "alarms")
    ]
    failure = simulation["failure"]
    if failure is None:
        return Group(table, *kinds, Text("Nothing is wrong.", "green"))
    found = f"{failure['invariant']} at step {failure['step']} of episode {failure['seed']}: {failure['what']}"
    return Group(table, *kinds, Text("\n".join(simulation["story"])), Text(found, "red"))


def backtest_table(result: Mapping[str, Any]) -> RenderableType:
    """What a backtest found: against both yardsticks, and what it took."""
    quote = result["quote_asset"]
    table = _table(
        f"{_day(result['start_ms'])} to {_day(result['end_ms'])}: {result['candles']:,} candles",
        "",
        quote,
        "return",
        numbers=(quote, "return"),
    )
    table.add_row("start", amount(result["nav_start"]), "")
    for name, worth, pct in (
        ("rebalanced", result["nav_end"], result["return_pct"]),
        ("starting quantities held", result["hold_quote"], result["hold"]["return_pct"]),
        ("targets bought once and held", result["buy_once"]["nav_end"], result["buy_once"]["return_pct"]),
        (f"all in {result['largest_asset']}", result["largest"]["nav_end"], result["largest"]["return_pct"]),
    ):
        table.add_row(name, amount(worth), percent(pct))
    table.add_row("rebalancing bonus", amount(result["bonus_quote"]), "")
    start, end, oversized = result["band_start"], result["band_end"], result["oversized"]
    growth, orders, drawdown = result["growth"], result["orders"], result["drawdown"]
    of_assets = ", ".join(f"{asset} {amount(bonus)}" for asset, bonus in result["bonus_by_asset"].items())
    canceled = ", ".join(f"{number} {reason.replace('_', ' ')}" for reason, number in orders["canceled"].items())
    facts = [
        f"Bonus by asset: {of_assets or 'none'}.",
        f"Growth against the targets bought once: volatility return {percent(growth['volatility_return_pct'])} − "
        f"dispersion {percent(growth['dispersion_pct'])} = {percent(growth['rebalancing_return_pct'])}.",
        f"{orders['placed']} orders: {orders['filled']} filled, cancelled {canceled or 'none'}, "
        f"{orders['resting']} resting.",
        f"Turnover {amount(result['turnover_quote'])}, fees {amount(result['fees_quote'])} {quote}: "
        f"{amount(result['turnover_of_nav'])} times and {percent(result['fees_of_nav_pct'])} of the start.",
        *_yearly(result),
        *_paused(result["pauses"]),
        f"The band: {amount(start['quote'])} {quote} ({percent(start['pct'])} of NAV) at the start, "
        f"{amount(end['quote'])} ({percent(end['pct'])}) at the end. An order was worth more than it at "
        f"{percent(oversized['candles_pct'])} of candles; {oversized['fills']:,} fills of such orders paid "
        f"{amount(oversized['fees_quote'])} in fees.",
        f"Inside the band {percent(result['inside_band_pct'])} of the time; drift {percent(result['mean_drift_pct'])} "
        f"on average; deepest fall {percent(drawdown['pct'])}.",
        f"Market rules: {result['rules_source']}.",
    ]
    flaws = [Text(flaw, style="yellow") for flaw in _flaws(result["data"])]
    held_was_better = result["bonus_quote"].startswith("-")
    verdict = Text(result["verdict"], style="bold red" if held_was_better else "bold green")
    warnings = [Text(f"! {warning}", style="bold yellow") for warning in result["warnings"]]
    return Group(*warnings, table, Text("\n".join(facts)), *flaws, verdict)


_PAUSES_SHOWN = 3


def _paused(pauses: Sequence[Mapping[str, Any]]) -> list[str]:
    """When budgets would have paused what, and because of what: the first ones, and how many more."""
    shown = [
        f"Would have been paused on {_day(pause['from_ms'])}, because {pause['evidence']}."
        for pause in pauses[:_PAUSES_SHOWN]
    ]
    more = Counter(pause["rule"].replace("_", " ") for pause in pauses[_PAUSES_SHOWN:])
    if more:
        counted = ", ".join(f"{number} by {rule}" for rule, number in more.most_common())
        shown.append(f"And {more.total()} times more, until {_day(pauses[-1]['from_ms'])}: {counted}.")
    return shown


def _yearly(result: Mapping[str, Any]) -> list[str]:
    """Return and risk a year; nothing where the time was too short to tell."""
    if result["return_a_year_pct"] is None:
        return []
    ratios = [f"{name} {amount(result[name.lower()])}" for name in ("Sharpe", "Sortino") if result[name.lower()]]
    return [f"{percent(result['return_a_year_pct'])} a year; {', '.join(ratios) or 'no ratios'} (no riskless rate)."]


def search_table(found: Mapping[str, Any]) -> RenderableType:
    """The best combinations in-sample, what each was worth out-of-sample, the walk forward, and every warning."""
    columns = ("size %", "step %", "band", "band %", "in-sample", "out-of-sample", "fills")
    tried = _table(
        f"{len(found['tried'])} combinations: growth over buying once, mean of a window", *columns, numbers=columns
    )
    for one in found["tried"][:20]:
        tried.add_row(
            *_combination(one["combination"]),
            percent(one["in_sample_pct"]),
            percent(one["out_of_sample_pct"]),
            str(sum(score["fills"] for score in one["scores"])),
        )
    walked = ("from", "size %", "step %", "band", "band %", "in-sample", "out-of-sample", "best there")
    folds = _table("walking forward: the best of one window, on the next", *walked, numbers=walked[1:])
    for fold in found["folds"]:
        folds.add_row(
            _day(fold["out_of_sample_from_ms"]),
            *_combination(fold["chosen"]),
            percent(fold["in_sample_pct"]),
            percent(fold["out_of_sample_pct"]),
            percent(fold["best_possible_pct"]),
        )
    return Group(tried, folds, *(Text(f"! {warning}", style="yellow") for warning in found["warnings"]))


def _combination(combination: Mapping[str, str | None]) -> list[str]:
    return ["" if value is None else f"{Decimal(value).normalize():f}" for value in combination.values()]


def cost_table(found: Mapping[str, Any]) -> RenderableType:
    """What so many users cost in a month, a column each: a table a configuration, and the prices."""
    prices = ", ".join(
        f"{Decimal(price['dollars']):.10f}".rstrip("0").rstrip(".")
        + f" a {price['per']} ({price['seen'] or 'believed'})"
        for price in found["prices"].values()
    )
    note = f"List prices of us-east-1, with the month they were seen in: {prices}. --json names where each is stated."
    return Group(*map(_bill_table, found["bills"]), Text(note, style="dim"))


def _bill_table(bill: Mapping[str, Any]) -> RenderableType:
    configuration, costs = bill["configuration"], bill["costs"]
    columns = [f"{cost['users']:,} {'user' if cost['users'] == 1 else 'users'}" for cost in costs]
    title = (
        f"US dollars a month, {configuration['name']} configuration: DecisionLog={configuration['decision_log']}, "
        f"DispatchChunk={configuration['chunk']}, {'a' if configuration['own_users'] else 'no'} user pool of its own"
    )
    table = _table(title, "", *columns, numbers=tuple(columns))
    for part in costs[0]["parts"]:
        table.add_row(part, *(amount(cost["parts"][part]) for cost in costs))
    table.add_row("before addresses", *(amount(cost["before_addresses"]) for cost in costs), style="bold")
    per_user = [f"{Decimal(cost['per_user_before_addresses']):,.4f}" for cost in costs]
    table.add_row("per user before addresses", *per_user, style="bold")
    table.add_row("addresses", *(amount(cost["addresses"]) for cost in costs))
    table.add_row("total", *(amount(cost["total"]) for cost in costs), style="bold")
    table.add_row("per user", *(f"{Decimal(cost['per_user']):,.4f}" for cost in costs), style="bold")
    return table


def notifications_table(found: Mapping[str, Any]) -> RenderableType:
    """Where an owner is told, and what."""
    quiet = "none" if found["quiet_from"] is None else f"{found['quiet_from']}-{found['quiet_until']}"
    told = ", ".join(f"{name} {found[name]}" for name in ("trouble", "changes", "fills", "digest"))
    table = _table(
        f"{told} · digest at {found['digest_hour']} · quiet hours {quiet} · {found['time_zone']}",
        "channel",
        "leads to",
        "state",
        "last sent",
        numbers=(),
    )
    for one in found["channels"]:
        state = "on" if one["on"] else f"OFF: {one['off_reason']}"
        if one["on"] and one["failing_since"] is not None:
            state = f"failing since {_moment(one['failing_since'])}"
        sent = "never" if one["last_sent_at"] is None else _moment(one["last_sent_at"])
        table.add_row(one["channel"], one["hint"], state, sent)
    lines = [] if found["channels"] else [Text("! Nobody is told: set up a channel.", style="yellow")]
    if found["signing_secret"] is not None:
        lines.append(Text(f"Messages are signed by {found['signing_secret']}, which is not shown again."))
    return Group(table, *lines)


def deliveries_table(found: Mapping[str, Any]) -> RenderableType:
    """Messages and what became of them, the newest first."""
    table = _table("messages", "when", "to", "state", "what", "why not", numbers=())
    for one in found["deliveries"]:
        title = one["title"] or one["kind"]
        table.add_row(_moment(one["created_at"]), one["channel"], one["state"], title, one["error"] or "")
    return table


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "minutes").removesuffix("+00:00")


def _flaws(data: Mapping[str, Any]) -> Iterable[str]:
    """What is wrong with recordings, a line a symbol."""
    for symbol, found in data.items():
        names = ("gaps", "missing", "zero_rows", "duplicates", "unsorted", "widened", "off_grid", "rounded")
        counts = [f"{found[name]} {name.replace('_', ' ')}" for name in names if found[name]]
        if counts:
            yield f"! {symbol}'s recording has {', '.join(counts)} in {found['rows']:,} rows"


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


def share_bar(weight_pct: str, target_pct: str) -> Text:
    """The share as a bar on a scale of 0 to 100 %, with a mark where the target is."""
    filled = round(Decimal(weight_pct) / 100 * _BAR_WIDTH)
    mark = min(_BAR_WIDTH - 1, round(Decimal(target_pct) / 100 * _BAR_WIDTH))
    bar = Text("█" * filled + "·" * (_BAR_WIDTH - filled), style="cyan")
    return Text.assemble(bar[:mark], ("┃", "bold"), bar[mark + 1 :])


def amount(number: str) -> str:
    """An amount of the quote asset, to the cent."""
    return f"{Decimal(number):,.2f}"


def signed(number: str) -> str:
    """An amount that is added or lost, to the cent, with its sign."""
    return f"{Decimal(number):+,.2f}"


def percent(number: str) -> str:
    """A percentage, to two places."""
    return f"{Decimal(number):.2f} %"


def _what_to_do(row: Mapping[str, Any]) -> Text:
    action = row["action"]
    if action is None:
        return Text(SKIP_REASONS.get(row["hold"], in_words(row["hold"])), style="dim")
    capped = " (capped)" if action["capped"] else ""
    return Text.assemble(_side(action["side"]), f" {action['base_qty']} at {action['limit_price']}{capped}")


def _side(side: str) -> Text:
    return Text(side, style="green" if side == "buy" else "red")


def _table(title: str, *columns: str, numbers: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", no_wrap=column != "note")
    return table
