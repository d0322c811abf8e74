"""Commands about where and what an owner is told."""

import re
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from botbalance.errors import InvalidRequestError
from botbalance.models.notification import Channel, Volume

from workbench.cli.account_commands import LOCAL_URL, Json, Limit, Token, Url
from workbench.cli.api_client import ApiClient
from workbench.cli.output import show
from workbench.cli.tables import deliveries_table, notifications_table

_PATH = "/api/me/notifications/"
_ANSWER_ONLY = ("channels", "available", "signing_secret")
_QUIET = re.compile(r"([0-9]{1,2})-([0-9]{1,2})")

app = typer.Typer(no_args_is_help=True, help="Where and what you are told.")


class Loudness(StrEnum):
    """How a kind of message is told."""

    LOUD = Volume.LOUD
    SILENT = Volume.SILENT
    OFF = Volume.OFF


ChannelName = Annotated[Channel, typer.Argument(help="telegram, discord, slack, email or webhook.")]


@app.command(name="show")
def show_notifications(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Show where and what you are told, and how each channel does."""
    show(ApiClient(url, token).get(_PATH), notifications_table, as_json=as_json)


@app.command(name="set")
def set_channel(
    channel: ChannelName,
    address: Annotated[str | None, typer.Option(help="Of email: the address that you sign in with.")] = None,
    chat_id: Annotated[str | None, typer.Option(help="Of telegram: the chat, by its number or @name.")] = None,
    to_url: Annotated[
        str | None, typer.Option("--to", help="Of discord, slack, webhook: the URL; asked for where it is not given.")
    ] = None,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Set up a channel, or replace it. What is secret is asked for, or read from standard input."""
    said: dict[str, str]
    match channel:
        case Channel.TELEGRAM:
            said = {"chat_id": chat_id or "", "bot_token": _secret("Bot token")}
        case Channel.EMAIL:
            said = {"address": address or ""}
        case _:
            said = {"url": to_url or _secret("URL")}
    client = ApiClient(url, token)
    stored = client.get(_PATH)
    _put(
        client,
        stored,
        _channels(stored) | {channel.value: {name: text for name, text in said.items() if text}},
        as_json,
    )


@app.command()
def remove(channel: ChannelName, url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Forget a channel."""
    client = ApiClient(url, token)
    stored = client.get(_PATH)
    left = _channels(stored)
    if left.pop(channel.value, None) is None:
        raise InvalidRequestError("channel", f"{channel.value} is not set up")
    _put(client, stored, left, as_json)


@app.command()
def tell(
    trouble: Annotated[Loudness | None, typer.Option(help="What keeps the account from being traded.")] = None,
    changes: Annotated[Loudness | None, typer.Option(help="What was changed, by whomever.")] = None,
    fills: Annotated[Loudness | None, typer.Option(help="Fills, all of a quarter of an hour together.")] = None,
    digest: Annotated[Loudness | None, typer.Option(help="Your day, which is also the sign of life.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="By the IANA's name: Europe/Berlin.")] = None,
    digest_hour: Annotated[int | None, typer.Option(min=0, max=23, help="When the digest comes.")] = None,
    quiet: Annotated[str | None, typer.Option(help="Quiet hours, 22-7, or none.")] = None,
    url: Url = LOCAL_URL,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Say what you want to be told, how loudly and when; what is not named stays as it is."""
    named: dict[str, Any] = {
        "trouble": trouble,
        "changes": changes,
        "fills": fills,
        "digest": digest,
        "time_zone": time_zone,
        "digest_hour": digest_hour,
    }
    client = ApiClient(url, token)
    stored = client.get(_PATH)
    changed = {name: value for name, value in named.items() if value is not None} | _quiet_hours(quiet)
    _put(client, stored | changed, _channels(stored), as_json)


@app.command()
def off(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Forget where and what you are told."""
    show(ApiClient(url, token).ask("DELETE", _PATH).document, notifications_table, as_json=as_json)


@app.command(name="test")
def send_test(url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """Send a message to every channel; `botbalance notifications deliveries` says what became of it."""
    show(ApiClient(url, token).post(f"{_PATH}test/"), deliveries_table, as_json=as_json)


@app.command()
def deliveries(limit: Limit = 20, url: Url = LOCAL_URL, token: Token = None, as_json: Json = False) -> None:
    """List what was sent and what was not, the newest first."""
    show(ApiClient(url, token).get(f"{_PATH}deliveries/?limit={limit}"), deliveries_table, as_json=as_json)


def _put(client: ApiClient, stored: dict[str, Any], channels: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001
    kept = {name: value for name, value in stored.items() if name not in _ANSWER_ONLY}
    answer = client.ask("PUT", _PATH, kept | {"channels": channels}).document
    show(answer, notifications_table, as_json=as_json)


def _channels(stored: dict[str, Any]) -> dict[str, Any]:
    """The channels that are set up, each to stay as it is."""
    return {one["channel"]: {} for one in stored["channels"]}


def _quiet_hours(quiet: str | None) -> dict[str, int | None]:
    if quiet is None:
        return {}
    if quiet == "none":
        return {"quiet_from": None, "quiet_until": None}
    found = _QUIET.fullmatch(quiet)
    if found is None:
        raise InvalidRequestError("quiet", f"--quiet is {quiet!r}, expected hours like 22-7, or none")
    return {"quiet_from": int(found[1]), "quiet_until": int(found[2])}


def _secret(name: str) -> str:
    """What must not be in the shell's history: asked for, or the next line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt(name, hide_input=True, err=True))
    return sys.stdin.readline().strip()
