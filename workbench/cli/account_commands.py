"""Commands that ask a running API about one account: the local one, or a deployed one with ``--url`` and a token."""

import json
import os
import shlex
import subprocess  # nosec B404  # for its user's own editor
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from botbalance.errors import InvalidRequestError

from workbench.cli.api_client import ApiClient
from workbench.cli.output import show
from workbench.cli.tables import (
    activity_table,
    canceled_table,
    check_table,
    decisions_table,
    execution_table,
    orders_table,
    pauses_table,
    performance_table,
    plan_table,
    strategy_table,
)

DEFAULT_PORT = 8787
LOCAL_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
_STRATEGY = "/api/me/strategies/rebalance/"
_EDITABLE = ("version", "created_at", "updated_at", "autopilot_enabled", "disabled_reason", "warnings", "user_id")
"""What the API adds to a strategy; whoever edits one gives back the rest."""

app = typer.Typer()
strategy_app = typer.Typer(no_args_is_help=True, help="Show, replace or edit the strategy.")
app.add_typer(strategy_app, name="strategy")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Url = Annotated[str, typer.Option(envvar="BOTBALANCE_URL", help="Where the API answers.")]
Token = Annotated[
    str | None,
    typer.Option(envvar="BOTBALANCE_TOKEN", help="The bearer token; on one machine, a user's name."),
]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many at most, the newest first.")]


class Switch(StrEnum):
    """Positions of the autopilot."""

    ON = "on"
    OFF = "off"


class Outcome(StrEnum):
    """What can have become of an order that the exchange no longer knows."""

    CANCELED = "canceled"
    FILLED = "filled"


@app.command()
def login(
    client_id: Annotated[str, typer.Option(help="The user pool's client: the stack's output UserPoolClientId.")],
    region: Annotated[str, typer.Option(help="Where the stack is deployed: eu-central-1.")],
    username: Annotated[str, typer.Option(help="Whose token it is: an e-mail address.")],
    cognito: Annotated[str | None, typer.Option(help="Another address of Cognito than AWS's own, by URL.")] = None,
) -> None:
    """Ask for the password and print a token of a deployed API: export BOTBALANCE_TOKEN=$(botbalance login ...)."""
    from workbench.cli.sign_in import id_token  # noqa: PLC0415 - boto3 takes a while to import

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    typer.echo(id_token(client_id, region, username, password, cognito))


class TaxTool(StrEnum):
    """Tools whose form of CSV is known."""

    KOINLY = "koinly"
    COINTRACKING = "cointracking"
    COINLEDGER = "coinledger"
    ROTKI = "rotki"


@app.command()
def plan(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Show what would be traded now; nothing is."""
    show(ApiClient(url, token).get(f"{_STRATEGY}plan/"), plan_table, as_json=as_json)


@app.command()
def execute(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Decide now and place the orders; refused while the autopilot is on."""
    show(ApiClient(url, token).post(f"{_STRATEGY}execute/"), execution_table, as_json=as_json)


@app.command()
def stop(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Switch the autopilot off and cancel every resting order of this system."""
    show(ApiClient(url, token).post(f"{_STRATEGY}stop/"), canceled_table, as_json=as_json)


@app.command()
def autopilot(
    switch: Annotated[Switch, typer.Argument(help="on or off.")],
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Switch the autopilot; it goes on only where the account is ready."""
    body = {"enabled": switch is Switch.ON}
    show(ApiClient(url, token).ask("PUT", f"{_STRATEGY}autopilot/", body).document, strategy_table, as_json=as_json)


@app.command()
def doctor(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Check whether the account is ready for the autopilot, and say what to do where it is not."""
    answer = ApiClient(url, token).get("/api/me/exchange/check/")
    show(answer, check_table, as_json=as_json)
    if not answer["ready"]:
        raise typer.Exit(1)


@app.command()
def orders(
    status: Annotated[str | None, typer.Option(help="Only those in this state: OPEN, FILLED, CANCELED ...")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only those of this pair: BTCUSDT.")] = None,
    limit: Limit = 20,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """List the orders, the newest first."""
    asked = _query(limit=limit, status=status and status.upper(), symbol=symbol and symbol.upper())
    answer = ApiClient(url, token).get(f"/api/me/orders/{asked}")
    show(answer, lambda found: orders_table(found["orders"]), as_json=as_json)


@app.command()
def cancel(
    client_order_id: Annotated[str | None, typer.Argument(help="The order, as `botbalance orders` names it.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Cancel every resting order.")] = False,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Cancel one order, or all; the autopilot stays as it is."""
    if (client_order_id is None) == (not every):
        raise InvalidRequestError("cancel", "expected an order's id, or --all, and not both")
    client = ApiClient(url, token)
    if client_order_id is None:
        show(client.ask("DELETE", "/api/me/orders/").document, canceled_table, as_json=as_json)
        return
    answer = client.ask("DELETE", f"/api/me/orders/{client_order_id}/").document
    show(answer, lambda order: orders_table([order], "cancelled"), as_json=as_json)


@app.command()
def decisions(limit: Limit = 20, url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """List the autopilot's decisions, the newest first."""
    answer = ApiClient(url, token).get(f"/api/me/decisions/{_query(limit=limit)}")
    show(answer, lambda found: decisions_table(found["decisions"]), as_json=as_json)


@app.command()
def activity(limit: Limit = 20, url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """List what was done to the account, by whom, the newest first."""
    answer = ApiClient(url, token).get(f"/api/me/activity/{_query(limit=limit)}")
    show(answer, lambda found: activity_table(found["activity"]), as_json=as_json)


@app.command()
def pauses(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """List what holds trading back until you resume it, with the evidence."""
    answer = ApiClient(url, token).get("/api/me/pauses/")
    show(answer, lambda found: pauses_table(found["pauses"]), as_json=as_json)


@app.command()
def resume(
    pause_id: Annotated[str, typer.Argument(help="The pause, as `botbalance pauses` names it.")],
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """End a pause: trading goes on as if what it was for were in order."""
    answer = ApiClient(url, token).post(f"/api/me/pauses/{pause_id}/resume/")
    show(answer, lambda pause: pauses_table([pause], "resumed"), as_json=as_json)


@app.command()
def resolve(
    client_order_id: Annotated[str, typer.Argument(help="The order, as `botbalance orders` names it.")],
    outcome: Annotated[Outcome, typer.Argument(help="canceled, or filled with --filled-qty and --price.")],
    filled_qty: Annotated[str | None, typer.Option(help="All that was filled of it, in base.")] = None,
    price: Annotated[str | None, typer.Option(help="What was paid for it, in quote per base.")] = None,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Say what became of an order that the exchange no longer knows."""
    told = {"outcome": outcome.value, "filled_qty": filled_qty, "price": price}
    body = {name: value for name, value in told.items() if value is not None}
    answer = ApiClient(url, token).post(f"/api/me/orders/{client_order_id}/resolve/", body)
    show(answer, lambda order: orders_table([order], "resolved"), as_json=as_json)


@app.command()
def export(
    tool: Annotated[TaxTool, typer.Argument(help="koinly, cointracking, coinledger or rotki.")],
    year: Annotated[int | None, typer.Argument(min=2009, max=2100, help="Of this year (UTC) only.")] = None,
    output: Annotated[Path | None, typer.Option(help="The file to write; else it is printed.")] = None,
    url: Url = LOCAL_URL,
    token: Token = None,
) -> None:
    """Write the fills as a CSV that a tax tool imports, oldest first. Deposits and withdrawals are not in it."""
    pages = ApiClient(url, token).pages(f"/api/me/exports/{tool.value}.csv", _query(year=year))
    text = "".join(pages)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8", newline="")
    typer.echo("Deposits and withdrawals are not in it: take those from the exchange.", err=True)


@app.command()
def performance(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Show what rebalancing added against just holding."""
    show(ApiClient(url, token).get("/api/me/portfolio/performance/"), performance_table, as_json=as_json)


@app.command()
def tick(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Run the autopilot once, now, and show its decision; only `botbalance local` can."""
    client = ApiClient(url, token)
    ts_tick = client.post("/local/tick")["ts_tick"]
    answer = client.get("/api/me/decisions/?limit=1")
    if [decision["ts_tick"] for decision in answer["decisions"]] != [ts_tick]:
        raise InvalidRequestError("nothing_decided", "nothing was decided: this user's autopilot is off")
    show(answer, lambda found: decisions_table(found["decisions"], "decision"), as_json=as_json)


@strategy_app.command(name="show")
def show_strategy(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Show the strategy as it is stored."""
    show(ApiClient(url, token).get(_STRATEGY), strategy_table, as_json=as_json)


@strategy_app.command(name="set")
def set_strategy(
    file: Annotated[Path, typer.Argument(help="A JSON file with targets and parameters.")],
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Replace the strategy by that of a file, and show what its owner should know about it."""
    client = ApiClient(url, token)
    document = read_json_text(file.read_text("utf-8-sig"), str(file))
    whichever_there_is = "*" if _has_strategy(client) else None
    show(client.ask("PUT", _STRATEGY, document, if_match=whichever_there_is).document, strategy_table, as_json=as_json)


def _has_strategy(client: ApiClient) -> bool:
    try:
        client.get(_STRATEGY)
    except InvalidRequestError as error:
        if error.code == "strategy_not_found":
            return False
        raise
    return True


@strategy_app.command(name="edit")
def edit_strategy(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Open the strategy in your editor ($EDITOR), and store what you saved.

    It is refused where somebody else has changed the strategy meanwhile.
    """
    client = ApiClient(url, token)
    stored = client.ask("GET", _STRATEGY)
    text = json.dumps({name: value for name, value in stored.document.items() if name not in _EDITABLE}, indent=2)
    edited = _edit(text)
    if edited.strip() == text.strip():
        typer.echo("Nothing was changed.", err=True)
        return
    answer = client.ask("PUT", _STRATEGY, read_json_text(edited, "the edited strategy"), if_match=stored.etag)
    show(answer.document, strategy_table, as_json=as_json)


def _edit(text: str) -> str:
    """``text`` as its owner leaves it in the editor that $VISUAL or $EDITOR names."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with TemporaryDirectory() as folder:
        file = Path(folder, "strategy.json")
        file.write_text(text, "utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)  # noqa: S603  # nosec B603  # its user's own
        except (OSError, subprocess.CalledProcessError, ValueError):
            raise InvalidRequestError("editor", f"the editor {editor!r} did not end well; set EDITOR") from None
        return file.read_text("utf-8-sig")


def read_json_text(text: str, name: str) -> Any:
    """The JSON in ``text``; raises InvalidRequestError, naming ``name`` and the place, where it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequestError("invalid_json", f"{name} is no JSON: {error.msg} at {place}") from None


def _query(**parameters: Any) -> str:
    given: Mapping[str, Any] = {name: value for name, value in parameters.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
