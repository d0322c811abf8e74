"""Commands for recorded candles: download them, and write files of other kinds in the usual one."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from botbalance.errors import InvalidRequestError
from botbalance.exchange.profiles import DEFAULT_EXCHANGE, PROFILES

from workbench.cli.output import progress_bar

if TYPE_CHECKING:
    from workbench.candles.coverage import Coverage

PARTIAL = 3
"""The exit status of a download that is not whole."""

app = typer.Typer(no_args_is_help=True, help="Recorded candles.")


@app.command()
def fetch(
    folder: Annotated[Path, typer.Argument(help="Where to put the files, one a pair.")],
    pairs: Annotated[list[str], typer.Argument(help="BTC/USDT ETH/USDT ...")],
    start: Annotated[str, typer.Option(help="The first day: 2024-01-01, or a time, in UTC.")],
    end: Annotated[str | None, typer.Option(help="Not after that; now where not given.")] = None,
    source: Annotated[str, typer.Option("--exchange", help="Any that ccxt knows.")] = DEFAULT_EXCHANGE,
    timeframe: Annotated[str, typer.Option(help="The length of a candle: 1m, 5m, 1h, 1d.")] = "1m",
    base_url: Annotated[str | None, typer.Option(help="A simulated exchange's address, in place of its own.")] = None,
) -> None:
    """Download candles, and go on where an earlier download ended.

    Ends with 0 where every candle that was asked for is there, and with 3 where some are not.
    """
    from workbench.backtest.inputs import moment  # noqa: PLC0415
    from workbench.candles.coverage import coverage  # noqa: PLC0415
    from workbench.candles.download import fetch_candles  # noqa: PLC0415
    from workbench.candles.file_names import timeframe_ms  # noqa: PLC0415

    if base_url is not None and not _is_address(base_url):
        raise InvalidRequestError("base_url", f"--base-url is {base_url!r}, expected one like http://127.0.0.1:8788")
    start_ms = moment(start, "--start")
    now_ms = int(time.time() * 1000)
    end_ms = now_ms if end is None else min(now_ms, moment(end, "--end"))

    def download(pair: str) -> Path:
        with progress_bar() as bar:
            task = bar.add_task(pair, total=None)
            return fetch_candles(
                source,
                pair,
                timeframe,
                start_ms,
                end_ms,
                folder,
                on_progress=lambda done, total: bar.update(task, completed=done, total=total),
                base_url=base_url,
            )

    latest_only = PROFILES[source].candles_reach_back if source in PROFILES else None
    whole = True
    for pair in [pair for text in pairs for pair in text.split(",")]:
        path = download(pair)
        found = coverage(path, timeframe_ms(timeframe) or 1, start_ms, end_ms)
        typer.echo(f"{path}: {_in_words(found)}")
        if latest_only is not None and not found.is_whole:
            typer.echo(
                f"{source} gives its latest {latest_only} candles only, whatever is asked for: "
                "older ones are to be had from the files that it publishes.",
                err=True,
            )
        whole = whole and found.is_whole
    if not whole:
        raise typer.Exit(PARTIAL)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file of candles, however it is written.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write SYMBOL-TIMEFRAME.csv into.")],
    symbol: Annotated[str, typer.Option(help="The pair: BTCUSDT.")],
    columns: Annotated[
        str | None, typer.Option(help="Its columns, in its order: timestamp,open,close,high,low,volume.")
    ] = None,
    dates: Annotated[str | None, typer.Option(help="How it writes dates: %d/%m/%Y %H:%M, in UTC.")] = None,
    decimal_comma: Annotated[bool, typer.Option("--decimal-comma", help="It writes 40.000,5 for 40000.5.")] = False,
    encoding: Annotated[str | None, typer.Option(help="Of its text, where that is not UTF-8: utf-16, cp1252.")] = None,
) -> None:
    """Write a file whose columns, dates or numbers are unusual in the usual form; you say what is, nothing is guessed.

    Without --decimal-comma, commas stand between thousands.
    """
    from workbench.candles.convert import convert_file  # noqa: PLC0415
    from workbench.candles.files import Conventions  # noqa: PLC0415

    if not source.is_file():
        raise InvalidRequestError("file", f"IN is {source}, expected a file")
    if not (symbol.isalnum() and symbol.isascii()):
        raise InvalidRequestError("symbol", f"--symbol is {symbol!r}, expected a pair: BTCUSDT")
    named = None if columns is None else tuple(name.strip() for name in columns.split(","))
    written, count = convert_file(source, folder, symbol.upper(), Conventions(named, dates, decimal_comma), encoding)
    typer.echo(f"{written}: {count:,} candles")


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Where to put the files, one a pair.")],
    seed: Annotated[int, typer.Option(help="Of the random prices.")] = 0,
) -> None:
    """Make up 90 days of hourly candles of BTC, ETH and SOL in USDT, for a first backtest without a download."""
    from workbench.candles.sample import write_sample  # noqa: PLC0415

    for path in write_sample(folder, seed):
        typer.echo(path)


def _is_address(url: str) -> bool:
    try:
        address = urlsplit(url)
    except ValueError:  # a bracket that is not closed
        return False
    return address.scheme in {"http", "https"} and bool(address.hostname)


def _in_words(found: "Coverage") -> str:
    if found.is_whole:
        return f"whole: {found.there:,} candles"
    gaps = f"{found.holes:,} {'gap' if found.holes == 1 else 'gaps'}"
    return (
        f"not whole: {found.there:,} of {found.asked:,} candles, from {_minute(found.first_ms)} to "
        f"{_minute(found.last_ms)} UTC; {found.missing:,} missing in {gaps}, the longest of {found.longest:,} from "
        f"{_minute(found.longest_from_ms)} UTC on: the exchange has none there"
    )


def _minute(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M}"
