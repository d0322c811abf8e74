"""Runs the installed ``botbalance`` as a user does."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("botbalance"))
LONGEST_S = 100


def environment(**more: str) -> dict[str, str]:
    """This one, with nothing of colours, widths or prices set."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PRICING_", "AWS_", "FORCE_"))}
    return kept | {"COLUMNS": "120", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"} | more


def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
    """A running ``botbalance``; whoever starts it must end it."""
    return subprocess.Popen(
        [COMMAND, *arguments],
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit code, standard output and standard error."""
    try:
        output, errors = process.communicate(timeout=LONGEST_S)
    finally:
        process.kill()
    return process.returncode, output, errors


def run(*arguments: str) -> tuple[int, str, str]:
    return finish(start(*arguments))


def only_line(status: int, output: str, errors: str) -> str:
    """The one line on standard error of a run that must have failed with nothing else to say."""
    assert status != 0, output
    assert "Traceback" not in errors
    assert len(errors.splitlines()) == 1, errors
    assert errors.startswith("botbalance: ")
    return errors.strip()
