"""Runs the installed ``botbalance`` as a user does."""

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

COMMAND = str(Path(sys.executable).with_name("botbalance"))
LONGEST_S = 100
LIBRARY_WORDS = re.compile(r"\b[A-Z]\w+(Error|Exception|Schema)\b|\[Errno|Input should be|Value error")
"""What a person who mistyped something should not have to read: names of classes, and a validator's own sentences."""
SUMMARY_KEYS = {
    "ticks",
    "orders_placed",
    "orders_filled",
    "orders_open",
    "nav_start",
    "nav_end",
    "drift_start_pct",
    "drift_end_pct",
    "bonus_quote",
    "hold_quote",
    "paused",
    "books_agree",
    "book_differences",
}


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


def finish(process: subprocess.Popen[str], longest_s: int = LONGEST_S) -> tuple[int, str, str]:
    """Its exit code, standard output and standard error."""
    try:
        output, errors = process.communicate(timeout=longest_s)
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
    assert not LIBRARY_WORDS.search(errors), errors
    return errors.strip()


def parse_summary(status: str | int, output: str, errors: str) -> dict[str, Any]:
    """The JSON at the end of a run, which must have ended well and whose numbers must add up."""
    assert status == 0, errors
    assert errors == ""
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert set(found) >= SUMMARY_KEYS
    for name in ("nav_start", "nav_end", "drift_start_pct", "drift_end_pct", "bonus_quote", "hold_quote"):
        assert isinstance(found[name], str)
        assert "e" not in found[name].lower()
    assert Decimal(found["nav_end"]) == Decimal(found["hold_quote"]) + Decimal(found["bonus_quote"])
    assert found["books_agree"] is True
    assert found["book_differences"] == []
    return found


def read_until(process: subprocess.Popen[str], beginning: str) -> None:
    """Read what ``process`` prints until a line begins so."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return
    pytest.fail(f"the run ended before {beginning!r}: {process.communicate()[1]}")
