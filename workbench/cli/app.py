"""The command line: run the whole product on one machine, or ask a running one."""

import math
import os
import re
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from botbalance import __version__
from botbalance.engine import InvalidInputError
from botbalance.errors import BotBalanceError, InvalidRequestError, SettingsError
from platformdirs import user_data_path
from pydantic import ValidationError
from pydantic_core import to_jsonable_python
from rich.console import Console

from workbench.aws.emulator import LOOPBACK
from workbench.candles.errors import CandleFileError
from workbench.cli import account_commands, candle_commands, notification_commands, paper_commands
from workbench.cli.account_commands import DEFAULT_PORT, LOCAL_URL, Json, Token, Url
from workbench.cli.api_client import ApiClient
from workbench.cli.output import progress_bar, show
from workbench.cli.tables import (
    backtest_table,
    cost_table,
    replay_table,
    search_table,
    simulation_table,
    soak_table,
)

if TYPE_CHECKING:
    from workbench.backtest.backtest import BacktestFiles

EXCHANGE_PORT = 8788

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its help calls a flag <bool>
    help="Keeps a crypto portfolio at its target shares with limit orders.",
)

app.add_typer(account_commands.app)
app.add_typer(candle_commands.app, name="candles")
app.add_typer(paper_commands.app, name="paper")
app.add_typer(notification_commands.app, name="notifications")


class BandPct(StrEnum):
    """Bands for which it was measured how often there is something to do."""

    HALF = "0.5"
    ONE = "1"


Seed = Annotated[int, typer.Option(help="Of the random prices and partial fills.")]
Candles = Annotated[Path | None, typer.Option(help="A folder of recorded candles, in place of random prices.")]
Speed = Annotated[int, typer.Option(min=1, max=10_000, help="Candles that pass with each tick.")]
StrategyFile = Annotated[Path | None, typer.Option(help="A JSON file with targets and parameters.")]
LocalBalances = Annotated[
    Path | None, typer.Option(help="A JSON file with what to start with, by asset; else a portfolio off its targets.")
]
FreezePrices = Annotated[bool, typer.Option("--freeze-prices", help="Let no price move.")]
CandlesFolder = Annotated[
    Path, typer.Option("--candles", help="A folder of recorded candles, a file a pair: BTCUSDT.csv, .csv.gz, .parquet.")
]
HistoryStrategy = Annotated[Path, typer.Option("--strategy", help="A JSON file with targets and parameters.")]
Timeframe = Annotated[
    str | None, typer.Option(help="Which candles, where a folder has several lengths: 1h; else the shortest.")
]
Values = Annotated[str | None, typer.Option(help="Values to try: 0.5,1,2.")]
Start = Annotated[str | None, typer.Option(help="Leave out what is before: 2018-01-31, or a time, in UTC.")]
End = Annotated[str | None, typer.Option(help="Leave out what is after.")]
FeePct = Annotated[str, typer.Option(help="The maker's fee, in percent of what is traded.")]
Rules = Annotated[Path | None, typer.Option(help="A JSON file with the markets' rules, by pair; else plausible ones.")]
RulesOf = Annotated[str | None, typer.Option(help="The exchange to ask for its rules, once; they are kept.")]
StartBalances = Annotated[
    Path | None, typer.Option(help="A JSON file with what to start with, by asset; else a portfolio on its targets.")
]
StartNav = Annotated[str, typer.Option(help="What a portfolio that is not given is worth at the start, in quote.")]
_OF_THE_MARKET = ("seed", "candles", "speed", "strategy", "balances", "freeze_prices")
_NOT_ON_PAPER = (
    "seed",
    "candles",
    "speed",
    "freeze_prices",
    "dynamodb",
    "sam_environment",
    "listen",
    "open_to_network",
)
_MOST_USERS = 100_000_000
_BETWEEN_LINES_OF_A_RECORDING_S = 1.0
"""A recording passes as fast as it goes, and a line takes as long as a tick."""


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature of a callback
    if wanted:
        typer.echo(f"botbalance {__version__}")
        raise typer.Exit


@app.callback()
def options_of_all(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep a crypto portfolio at its target shares with limit orders."""


@app.command()
def local(
    context: typer.Context,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The API's port; 0 takes any that is free.")
    ] = DEFAULT_PORT,
    tick_seconds: Annotated[float, typer.Option(min=0, max=3_600, help="Seconds between ticks; 0: no wait.")] = 30,
    ticks: Annotated[int | None, typer.Option(min=1, help="Stop after so many ticks.")] = None,
    seed: Seed = 0,
    candles: Candles = None,
    speed: Speed = 1,
    strategy: StrategyFile = None,
    balances: LocalBalances = None,
    freeze_prices: FreezePrices = False,
    dynamodb: Annotated[str | None, typer.Option(help="Another DynamoDB than the embedded one, by URL.")] = None,
    exchange: Annotated[
        str | None,
        typer.Option(help="A running `botbalance exchange`, by URL; to go on where a run ended, keep --dynamodb too."),
    ] = None,
    listen: Annotated[
        str, typer.Option(help="The address at which the exchange and the AWS services listen; not the API.")
    ] = LOOPBACK,
    open_to_network: Annotated[
        bool,
        typer.Option("--open-to-network", help="Let --listen be an address that others reach: nothing there asks who."),
    ] = False,
    notify: Annotated[
        str | None, typer.Option(help="Tell the demo user everything by signed messages to this URL.")
    ] = None,
    sam_environment: Annotated[
        Path | None,
        typer.Option(help="Write a file for `sam local … --env-vars FILE`, whose functions then work on all of this."),
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option(help="No simulated prices: trade on paper at this exchange's own, without any account."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="With --paper: the folder of its state; else one for this user.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run everything here: a simulated exchange, the API, and the autopilot. With --paper at real prices."""
    if not math.isfinite(tick_seconds):
        raise InvalidRequestError("tick_seconds", f"--tick-seconds is {tick_seconds}, expected a number from 0 to 3600")
    base_url = exchange or os.environ.get("EXCHANGE_BASE_URL") or None
    if paper is not None:  # first of all: whoever cannot reach it learns so before anything is started
        from workbench.local.reachability import require_exchange  # noqa: PLC0415

        _refuse_options(context, _NOT_ON_PAPER, "--paper trades at real prices, and keeps its own tables")
        require_exchange(paper, base_url)
    # Imported late, because the embedded services take seconds to import and the other commands need none.
    from workbench.local.run import LocalStack, RunLimits, run  # noqa: PLC0415

    limits = RunLimits(tick_seconds, ticks, between_lines_s=_BETWEEN_LINES_OF_A_RECORDING_S if candles else 0)
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    if paper is not None:
        from workbench.local.paper_stack import PaperOptions, PaperStack  # noqa: PLC0415

        folder = data or user_data_path("botbalance") / f"paper-{paper}"
        on_paper = PaperStack(PaperOptions(paper, folder, port, strategy, balances, base_url))
        if not run(on_paper, limits, console, as_json=as_json):
            raise typer.Exit(1)
        return
    from workbench.local.stack import Options, Stack  # noqa: PLC0415

    _refuse_options(context, ("data",), "without --paper nothing is kept")
    if exchange is not None:
        _refuse_options(context, _OF_THE_MARKET, "that is the market's: give it to botbalance exchange")
    _require_address(listen, open_to_network=open_to_network)
    options = Options(
        port=port,
        seed=seed,
        candles=candles,
        speed=speed,
        strategy=strategy,
        balances=balances,
        freeze_prices=freeze_prices,
        dynamodb=dynamodb,
        exchange=exchange,
        listen=listen,
        notify=notify,
        sam_environment=sam_environment,
    )
    stack: LocalStack = Stack(options)
    if not run(stack, limits, console, as_json=as_json):
        raise typer.Exit(1)


@app.command(name="exchange")
def exchange_alone(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Its port; 0 takes any that is free.")] = EXCHANGE_PORT,
    seed: Seed = 0,
    candles: Candles = None,
    speed: Speed = 1,
    strategy: StrategyFile = None,
    balances: LocalBalances = None,
    freeze_prices: FreezePrices = False,
) -> None:
    """Run only the simulated exchange, for `botbalance local --exchange`, which may then end and start again."""
    from workbench.simulated_exchange.simulation import Simulation  # noqa: PLC0415
    from workbench.simulated_exchange.standalone import serve  # noqa: PLC0415

    simulation = Simulation(
        seed=seed, candles=candles, speed=speed, strategy=strategy, balances=balances, freeze_prices=freeze_prices
    )
    serve(simulation, port, typer.echo)


@app.command(name="replay")
def replay_decision(
    decision: Annotated[Path | None, typer.Argument(help="A decision's JSON, as GET decisions/TICK/ answers.")] = None,
    tick: Annotated[
        int | None, typer.Option(min=0, help="In place of a file: the decision's tick, from --url.")
    ] = None,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Compute a logged decision again with today's engine, and show in what it differs, if in anything."""
    from workbench.audit.replay import read_decision, replay  # noqa: PLC0415

    if (decision is None) == (tick is None):
        raise InvalidRequestError("replay", "expected a file with a decision, or --tick, and not both")
    logged = (
        ApiClient(url, token).get(f"/api/me/decisions/{tick}/") if decision is None else decision.read_text("utf-8-sig")
    )
    result = replay(read_decision(logged))
    show(result.model_dump(), replay_table, as_json=as_json)
    if result.differences:
        raise typer.Exit(1)


@app.command()
def backtest(
    candles: CandlesFolder,
    strategy: HistoryStrategy,
    start: Start = None,
    end: End = None,
    fee_pct: FeePct = "0.1",
    rules: Rules = None,
    rules_of: RulesOf = None,
    balances: StartBalances = None,
    nav: StartNav = "10000",
    timeframe: Timeframe = None,
    report: Annotated[Path | None, typer.Option(help="Write a report to this HTML file, with pictures.")] = None,
    result_file: Annotated[
        Path | None,
        typer.Option("--result", help="Write everything to this JSON file, for the dashboard's page Backtest."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Try a strategy on recorded candles: what it would have done, against holding."""
    from workbench.backtest.backtest import as_document, prepare, run  # noqa: PLC0415 - numpy and arrow take a while
    from workbench.backtest.report import render_report  # noqa: PLC0415
    from workbench.backtest.result_file import write_result  # noqa: PLC0415
    from workbench.backtest.search_files import require_writable  # noqa: PLC0415

    require_writable("--result", result_file)
    if report is not None and not report.absolute().parent.is_dir():  # rather now than after a long run
        raise InvalidRequestError("report", f"--report is {report}, expected a file in a folder that exists")
    prepared = prepare(_history(candles, strategy, start, end, fee_pct, rules, rules_of, balances, nav, timeframe))
    with progress_bar() as bar:
        task = bar.add_task("candles", total=len(prepared.timeline))
        result = run(prepared, lambda done: bar.update(task, completed=done))
    if report is not None:
        report.write_text(render_report(result), "utf-8")
    if result_file is not None:
        write_result(result, result_file)
    show(as_document(result), backtest_table, as_json=as_json)


@app.command()
def optimize(
    candles: CandlesFolder,
    strategy: HistoryStrategy,
    size: Values = None,
    step: Values = None,
    band: Values = None,
    band_pct: Values = None,
    draws: Annotated[
        int | None, typer.Option("--random", min=2, max=100_000, help="Draw so many between the values, not a grid.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    folds: Annotated[int, typer.Option(min=1, max=100, help="Steps forward; one window more than that.")] = 4,
    start: Start = None,
    end: End = None,
    fee_pct: FeePct = "0.1",
    rules: Rules = None,
    rules_of: RulesOf = None,
    nav: StartNav = "10000",
    timeframe: Timeframe = None,
    best: Annotated[Path | None, typer.Option(help="Write the best in-sample to this file, as a strategy.")] = None,
    table: Annotated[Path | None, typer.Option(help="Write every combination to this .csv or .json file.")] = None,
    as_json: Json = False,
) -> None:
    """Search order size, step and band on recorded candles, and see whether what was best stays so.

    Values are given as 0.5,1,2: size, step and band_pct (the band as a share of NAV) in percent, the band in quote.
    Where no size, step or band is given, sound ones are tried: sizes of 0.5, 1 and 2 %, steps of 0.2, 0.4 and 0.8 %,
    bands of 2, 3 and 5 % of NAV.
    """
    from workbench.backtest.optimize import drawn, grid, ranges_for, search  # noqa: PLC0415
    from workbench.backtest.search_files import (  # noqa: PLC0415
        require_table_file,
        require_writable,
        write_strategy,
        write_table,
    )

    require_writable("--best", best)
    require_table_file(table)
    files = _history(candles, strategy, start, end, fee_pct, rules, rules_of, None, nav, timeframe)
    ranges = ranges_for(files.strategy, size, step, band, band_pct)
    combinations = grid(ranges) if draws is None else drawn(ranges, draws, seed)
    with progress_bar() as bar:
        task = bar.add_task("backtests", total=len(combinations) * (folds + 1))
        found = search(
            files, combinations, folds, on_grid=draws is None, on_progress=lambda done: bar.update(task, completed=done)
        )
    if best is not None:
        write_strategy(files.strategy, found.tried[0].combination, best)
    if table is not None:
        write_table(found, table)
    show(to_jsonable_python(found), search_table, as_json=as_json)


@app.command()
def cost(
    users: Annotated[str, typer.Option(help="How many; several for a column each.")] = "1,1000,100000,1000000",
    band_pct: Annotated[BandPct, typer.Option("--band", help="Their band, in percent of NAV.")] = BandPct.ONE,
    as_json: Json = False,
) -> None:
    """Estimate a month's cost on AWS, as deployed by default and as cheap as it gets: counted use, list prices."""
    from workbench.aws.cost import CHEAPEST, PRICES, default_configuration, estimate_cost  # noqa: PLC0415
    from workbench.aws.template import read_template  # noqa: PLC0415

    template = read_template()
    bills = []
    for configuration in (default_configuration(template), CHEAPEST):
        costs = [estimate_cost(_users(text), configuration, band_pct.value, template) for text in users.split(",")]
        lines = [
            to_jsonable_python(one)
            | {
                "before_addresses": one.before_addresses,
                "total": one.total,
                "per_user_before_addresses": one.per_user(one.before_addresses),
                "per_user": one.per_user(one.total),
            }
            for one in costs
        ]
        bills.append({"configuration": configuration, "costs": lines})
    show(to_jsonable_python({"bills": bills, "prices": PRICES}), cost_table, as_json=as_json)


@app.command()
def soak(
    users: Annotated[int, typer.Option(min=1, max=10_000, help="How many users.")] = 20,
    ticks: Annotated[int, typer.Option(min=1, help="How many ticks, and a few more without faults.")] = 300,
    faults: Annotated[str, typer.Option(help="all, none, or some of the kinds: NAME,NAME.")] = "all",
    seed: Annotated[int, typer.Option(help="Of the users, the prices and the faults.")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Worker processes at once.")] = 2,
    dynamodb: Annotated[str | None, typer.Option(help="Another DynamoDB than the embedded one, by URL.")] = None,
    as_json: Json = False,
) -> None:
    """Tick many users while everything fails that can, then compare the exchange's books with ours."""
    from workbench.soak.run import Options, Soak, faults_named  # noqa: PLC0415

    options = Options(users, ticks, faults_named(faults), seed, dynamodb, workers)
    with progress_bar() as bar:
        task = bar.add_task("ticks", total=ticks)
        result = Soak(options).run(lambda done: bar.update(task, completed=done))
    show(result.model_dump(), soak_table, as_json=as_json)
    if not result.clean:
        raise typer.Exit(1)


@app.command()
def simulate(
    seed: Annotated[int, typer.Option(help="Of everything: the same seed is the same history.")] = 1,
    orders: Annotated[int, typer.Option(min=1, help="How many orders.")] = 2_000,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so many minutes.")] = None,
    processes: Annotated[
        int, typer.Option(min=1, show_default="one a core", help="How many episodes at once; the result is the same.")
    ] = os.process_cpu_count() or 1,
    replay: Annotated[
        Path | None, typer.Option(help="A file with what --json printed of a failure: run that again, step by step.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate owners, an exchange with manners and every fault in one thread, and check what must hold throughout."""
    _without_random_hashes()
    from workbench.simulation.campaign import Campaign, format_story, read_failure  # noqa: PLC0415

    if replay is not None:
        typer.echo(format_story(read_failure(replay), typer.echo)[-1])
        raise typer.Exit(1)
    began = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task("orders", total=orders)
        campaign = Campaign(seed, orders, minutes, processes=processes)
        result = campaign.run(lambda done: bar.update(task, completed=done))
    seconds = time.monotonic() - began
    typer.echo(f"{result.orders} orders in {seconds:.1f} s: {result.orders / seconds:.0f} a second", err=True)
    show(result.model_dump(mode="json"), simulation_table, as_json=as_json)
    if result.failure is not None:
        raise typer.Exit(1)


_EXPECTED_OF_OPTION = {"int_parsing": "a whole number", "float_parsing": "a number"}
"""Of an option's value, by the kind of error; what is not here, the validator says well itself."""


def _explain(error: typer.TyperException) -> str:
    """What is wrong with the command: of an option its name, its value and what would be right."""
    cause = error.__cause__
    if not (isinstance(error, typer.BadParameter) and isinstance(cause, ValidationError) and error.param is not None):
        return error.format_message().replace("Value error, ", "")
    wrong = cause.errors()[0]
    expected = _EXPECTED_OF_OPTION.get(wrong["type"]) or wrong["msg"].removeprefix("Value error, ")
    expected = expected.removeprefix("Input should be ")
    expected = expected.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")
    return f"{error.param.opts[0]} is {wrong['input']!r}, expected {expected}"


def main() -> None:
    """Entry point: every failure that a user can mend is one line, and no traceback."""
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        if not error.format_message():  # without arguments the help was shown already
            sys.exit(2)
        _fail(_explain(error), 2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except (BotBalanceError, SettingsError, InvalidInputError, CandleFileError) as error:
        _fail(str(error), 2)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error), 1)
    sys.exit(status)


def _require_address(listen: str, *, open_to_network: bool) -> None:
    try:
        is_loopback = ip_address(listen).is_loopback
    except ValueError:
        raise InvalidRequestError(
            "listen", f"--listen is {listen!r}, expected an address of this machine: 127.0.0.1"
        ) from None
    if is_loopback:
        return
    danger = "whoever reaches it can read and write every table and decrypt every key"
    if not open_to_network:
        raise InvalidRequestError("listen", f"--listen is {listen}: {danger}; add --open-to-network if you mean it")
    typer.echo(f"botbalance: DynamoDB, KMS and the exchange are open at {listen}: {danger}", err=True)


def _refuse_options(context: typer.Context, names: Sequence[str], why: str) -> None:
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            option = f"--{name.replace('_', '-')}"
            raise InvalidRequestError("option_not_here", f"{option}: {why}")


def _without_random_hashes() -> None:
    """Start this process anew where the order of sets depends on chance: a history must not."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606  # nosec B606  # this very command


def _users(text: str) -> int:
    if not text.strip().isdecimal() or not 1 <= int(text) <= _MOST_USERS:
        raise InvalidRequestError("users", f"--users has {text!r}, expected numbers from 1 to {_MOST_USERS}: 1,1000")
    return int(text)


def _history(
    candles: Path,
    strategy: Path,
    start: str | None,
    end: str | None,
    fee_pct: str,
    rules: Path | None,
    rules_of: str | None,
    balances: Path | None,
    nav: str,
    timeframe: str | None,
) -> "BacktestFiles":
    """Where a trial on history takes everything from, its numbers read."""
    from workbench.backtest.backtest import BacktestFiles  # noqa: PLC0415
    from workbench.backtest.inputs import moment, number  # noqa: PLC0415

    if timeframe is not None and not re.fullmatch(r"[1-9][0-9]*[mhdw]", timeframe):
        raise InvalidRequestError("timeframe", f"--timeframe is {timeframe!r}, expected a candle's length: 1m, 1h, 1d")
    return BacktestFiles(
        candles=candles,
        strategy=strategy,
        start_ms=None if start is None else moment(start, "--start"),
        end_ms=None if end is None else moment(end, "--end"),
        fee_pct=number(fee_pct, "--fee-pct"),
        rules=rules,
        rules_of=rules_of,
        balances=balances,
        worth=number(nav, "--nav"),
        timeframe=timeframe,
    )


def _fail(message: str, status: int) -> NoReturn:
    one_line = " ".join(message.split())
    typer.echo(f"botbalance: {one_line}", err=True)
    sys.exit(status)
