"""Prints answers: as a table for a person, as JSON for a program."""

import json
import sys
from collections.abc import Callable
from typing import Any

import typer
from botbalance.errors import InvalidRequestError
from rich.console import Console, RenderableType
from rich.progress import Progress


def show(answer: Any, as_table: Callable[[Any], RenderableType], *, as_json: bool) -> None:
    """Print ``answer``, as JSON or through ``as_table``; raises InvalidRequestError where it has another shape."""
    if as_json:
        typer.echo(json.dumps(answer))
        return
    try:
        table = as_table(answer)
    except (LookupError, TypeError, ValueError, ArithmeticError):
        raise InvalidRequestError("not_an_api", "--url answers, but not as this API does") from None
    Console().print(table)


def progress_bar() -> Progress:
    """A bar for what takes long, on stderr, where that is a terminal."""
    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
