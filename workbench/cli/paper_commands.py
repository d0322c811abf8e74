"""Commands about a paper account: show it, open or reset it, move money in and out of it on paper."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from botbalance.exchange.profiles import DEFAULT_PAPER_EXCHANGE

from workbench.cli.account_commands import LOCAL_URL, Json, Token, Url, read_json_text
from workbench.cli.api_client import ApiClient
from workbench.cli.output import show
from workbench.cli.tables import paper_table

_PAPER = "/api/me/exchange/paper/"

app = typer.Typer(no_args_is_help=True, help="Show, open or reset a paper account, or move money in and out of it.")

PaperExchange = Annotated[str, typer.Option(help="Which paper account: an exchange's name and -paper.")]
Asset = Annotated[str, typer.Argument(help="The asset: USDT.")]
Quantity = Annotated[str, typer.Argument(help="How much of it, in units.")]


@app.command(name="show")
def show_paper(
    exchange: PaperExchange = DEFAULT_PAPER_EXCHANGE, url: Url = LOCAL_URL, token: Token = None, as_json: Json = False
) -> None:
    """Show the account as it stands."""
    show(ApiClient(url, token).get(f"{_PAPER}?{urlencode({'exchange': exchange})}"), paper_table, as_json=as_json)


@app.command()
def reset(
    balances: Annotated[Path, typer.Argument(help='A JSON file with units by asset: {"USDT": "10000"}.')],
    exchange: PaperExchange = DEFAULT_PAPER_EXCHANGE,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Open the account with these balances, or start it anew: what rests is cancelled, earlier results stay."""
    body = {"exchange": exchange, "balances": read_json_text(balances.read_text("utf-8-sig"), str(balances))}
    show(ApiClient(url, token).ask("PUT", _PAPER, body).document, paper_table, as_json=as_json)


@app.command()
def deposit(
    asset: Asset,
    quantity: Quantity,
    exchange: PaperExchange = DEFAULT_PAPER_EXCHANGE,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Put money in, on paper; it is no profit."""
    show(_transfer(ApiClient(url, token), exchange, asset, quantity), paper_table, as_json=as_json)


@app.command()
def withdraw(
    asset: Asset,
    quantity: Quantity,
    exchange: PaperExchange = DEFAULT_PAPER_EXCHANGE,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Take out what is free, on paper; it is no loss."""
    show(_transfer(ApiClient(url, token), exchange, asset, f"-{quantity}"), paper_table, as_json=as_json)


def _transfer(client: ApiClient, exchange: str, asset: str, quantity: str) -> Any:
    return client.post(f"{_PAPER}transfers/", {"exchange": exchange, "asset": asset.upper(), "quantity": quantity})
