"""Runs the stack tick by tick, shows it, and sums it up."""

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from logging import StreamHandler
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Any, Protocol, Self

import typer
from botbalance import bootstrap
from botbalance.api.decision_schemas import DecisionView
from botbalance.api.order_schemas import OrderView
from botbalance.api.portfolio_schemas import PlanView
from botbalance.engine import InvalidInputError, SkipReason
from botbalance.errors import BotBalanceError
from botbalance.log import logger
from botbalance.models.order import OrderStatus
from botbalance.trading.plan import expected_convergence
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from workbench.cli.stop_signals import StopSignals, stop_signals
from workbench.cli.tables import amount, percent
from workbench.local.api_gateway import DEMO_USER, SWAGGER_PATH
from workbench.local.live_view import LiveStatus, LiveView
from workbench.local.stack import PortfolioStatus
from workbench.simulated_exchange.recorded_candles import OutOfCandlesError

_LAST_DECISIONS = 50
_NOT_TO_BE_TOLD = (BotBalanceError, InvalidInputError)
"""What is raised where there is no portfolio to show: its owner may have taken the strategy or the key away."""
_BETWEEN_VIEWS_S = 0.2
"""A view takes as long as a tick: where ticks come faster than this, not each is shown."""
_RESTING = (OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How long to run: ``ticks`` None means until it is stopped; ``tick_seconds`` 0 means as fast as it goes.

    Outside of a terminal there is at most a line every ``between_lines_s``: each asks what a tick asks.
    """

    tick_seconds: float
    ticks: int | None
    between_lines_s: float = 0


class LocalStack(Protocol):
    """What can be run here: on a simulated exchange, or on paper."""

    @property
    def url(self) -> str:
        """Where the API answers, without a trailing slash."""

    @property
    def described(self) -> str:
        """What it runs on."""

    @property
    def signing_secret(self) -> str | None:
        """By which messages to ``--notify`` are signed; None where none are sent."""

    def __enter__(self) -> Self:
        """Start everything."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""

    def tick(self) -> dict[str, Any]:
        """Run the autopilot once."""

    def standing(self) -> PortfolioStatus:
        """Where the portfolio stands now."""

    def book_differences(self) -> list[str]:
        """In what the books that count and ours disagree."""


def run(to_run: LocalStack, pace: RunLimits, console: Console, *, as_json: bool) -> bool:
    """Run until the ticks are done, the candles have run out or somebody stops it; True where the books agree.

    In a terminal the view is redrawn with every tick; elsewhere each tick is a line, unless ``pace`` wants fewer.
    Ctrl-C and a polite kill let the tick under way end first, so that no order is left half placed.
    """
    live = console.is_terminal and not as_json
    logger.setLevel("WARNING")
    with stop_signals() as stopped, _log_in_a_file() if live else _no_view() as log, to_run as stack:
        start = stack.standing()
        if not as_json:
            print_banner(console, stack)
            if log is not None:
                console.print(f"Its log: {log}")
        ticks = 0
        try:
            with Live(console=console, auto_refresh=False, screen=False) if live else _no_view() as view:
                shown_at = -math.inf
                between_s = pace.between_lines_s if view is None else _BETWEEN_VIEWS_S
                for ticks in _ticks(stack, pace, stopped):
                    if as_json or time.monotonic() - shown_at < between_s:
                        continue
                    shown_at = time.monotonic()
                    if view is not None:
                        view.update(_view(stack, start, ticks), refresh=True)
                    elif ticks:
                        console.print(_line(stack, ticks))
                if view is not None:
                    view.update(_view(stack, start, ticks), refresh=True)
        except OutOfCandlesError as ended:
            if not as_json:
                console.print(f"The candles have run out: {ended}.")
        if stopped.is_set and not as_json:
            console.print("Stopping.")
        return _finish(stack, start, ticks, console, as_json=as_json)


def _ticks(stack: LocalStack, pace: RunLimits, stopped: StopSignals) -> Iterator[int]:
    """Tick by tick until ``stopped``, the number of ticks done so far; first of all 0, before anything is traded."""
    yield 0
    due = time.monotonic()
    for done in count(1) if pace.ticks is None else range(1, pace.ticks + 1):
        due += pace.tick_seconds
        if stopped.wait(max(0, due - time.monotonic())):
            return
        stack.tick()
        yield done


def _finish(stack: LocalStack, start: PortfolioStatus, ticks: int, console: Console, *, as_json: bool) -> bool:
    differing = stack.book_differences()
    try:
        end = stack.standing()
    except _NOT_TO_BE_TOLD as error:
        if as_json:
            told = {"ticks": ticks, "unavailable": str(error), "books_agree": not differing}
            typer.echo(json.dumps(told | {"book_differences": differing}))
        else:
            console.print(f"{_ticks_done(ticks)}. Where the portfolio stands cannot be told: {error}.")
        return not differing
    summary = {
        "ticks": ticks,
        "orders_placed": len([order for order in end.orders if order.status is not OrderStatus.REJECTED]),
        "orders_filled": len(end.orders_with_status(OrderStatus.FILLED)),
        "orders_open": len(end.orders_with_status(*_RESTING)),
        "nav_start": _money(start.plan.evaluation.nav),
        "nav_end": _money(end.plan.evaluation.nav),
        "drift_start_pct": f"{start.plan.evaluation.drift_pct:.4f}",
        "drift_end_pct": f"{end.plan.evaluation.drift_pct:.4f}",
        "hold_quote": _money(end.hold_quote),
        "bonus_quote": _money(end.bonus_quote),
        "same_assets": _managed(start) == _managed(end),
        "paused": [row.asset for row in end.plan.evaluation.rows if row.hold is SkipReason.PAUSED],
        "books_agree": not differing,
        "book_differences": differing,
    }
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        print_summary(summary, console)
    return not differing


def _view(stack: LocalStack, start: PortfolioStatus, ticks: int) -> RenderableType:
    try:
        now = stack.standing()
    except _NOT_TO_BE_TOLD as error:
        title = Text(f"BotBalance · {_ticks_done(ticks)} · {stack.url} · Ctrl-C ends it", style="bold")
        return Group(title, Text(f"Where the portfolio stands cannot be told: {error}", style="yellow"))
    context = bootstrap.services().context
    page = context.decisions.page(DEMO_USER, limit=_LAST_DECISIONS)
    return LiveView(
        LiveStatus(
            ticks=ticks,
            url=stack.url,
            plan=PlanView.of(now.plan, expected_convergence(context, now.plan)).model_dump(mode="json"),
            orders=[OrderView.model_validate(order).model_dump(mode="json") for order in now.orders],
            decisions=[DecisionView.of(decision).model_dump(mode="json") for decision in page.items],
            start_worth=start.hold_quote,
            worth=now.worth,
            hold=now.hold_quote,
            left=now.left,
        )
    )


def _managed(standing: PortfolioStatus) -> set[str]:
    return {row.asset for row in standing.plan.evaluation.rows}


def _line(stack: LocalStack, ticks: int) -> str:
    try:
        now = stack.standing()
    except _NOT_TO_BE_TOLD as error:
        return f"tick {ticks}: where the portfolio stands cannot be told: {error}"
    evaluation = now.plan.evaluation
    return (
        f"tick {ticks}: worth {amount(str(now.worth))} {now.plan.strategy.quote_asset}, "
        f"drift {percent(str(evaluation.drift_pct))}, {len(now.orders_with_status(*_RESTING))} resting, "
        f"{len(now.orders_with_status(OrderStatus.FILLED))} filled, bonus {amount(str(now.bonus_quote))}"
    )


def print_banner(console: Console, stack: LocalStack) -> None:
    """Say where the product runs, and how to end it."""
    console.print(f"BotBalance runs at {stack.url}, {stack.described}. Ctrl-C ends it.")
    console.print(f"A page to try it on: {stack.url}{SWAGGER_PATH}")
    if stack.signing_secret is not None:
        console.print(f"Messages to --notify are signed by {stack.signing_secret}")
    console.print(f"Try: curl -s {stack.url}/api/me/strategies/rebalance/plan/")


def print_summary(summary: dict[str, Any], console: Console) -> None:
    """Say what came of the run."""
    drift = f"{percent(summary['drift_start_pct'])} → {percent(summary['drift_end_pct'])}"
    console.print(
        f"{_ticks_done(summary['ticks'])}: {summary['orders_placed']} orders placed, "
        f"{summary['orders_filled']} filled, {summary['orders_open']} open. Drift {drift}. "
        f"NAV {amount(summary['nav_start'])} → {amount(summary['nav_end'])}; "
        f"just holding {amount(summary['hold_quote'])}, rebalancing {amount(summary['bonus_quote'])}.",
        soft_wrap=True,
    )
    if not summary["same_assets"]:
        console.print("The strategy's assets changed: NAV counts those of now, holding and rebalancing count all.")
    if summary["paused"]:
        console.print(
            f"Not traded for now: {', '.join(summary['paused'])}. `./botbalance pauses` tells why while it runs."
        )
    if summary["books_agree"]:
        console.print("The exchange's books and ours agree, order by order and fill by fill.")
    for difference in summary["book_differences"]:
        console.print(f"The books differ: {difference}", style="red")


def _ticks_done(ticks: int) -> str:
    return "1 tick" if ticks == 1 else f"{ticks} ticks"


def _money(number: Any) -> str:
    return f"{number.normalize():f}"


@contextmanager
def _log_in_a_file() -> Iterator[Path]:
    """Write the log to a new file in the machine's folder for temporary ones, since the view has the terminal."""
    handler = logger.registered_handler
    if not isinstance(handler, StreamHandler):
        raise TypeError(f"the log's handler is {handler!r}, expected one that writes to a stream")
    with NamedTemporaryFile("w", prefix="botbalance-", suffix=".log", delete=False) as file:
        before = handler.setStream(file)
        try:
            yield Path(file.name)
        finally:
            handler.setStream(before or sys.stderr)


@contextmanager
def _no_view() -> Iterator[None]:
    yield None
