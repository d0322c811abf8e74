"""The blocks of commands on the operators' pages, and a shell that runs them as they are written."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = ("deploy.md", "operate.md")
NOT_RUN: Mapping[str, str] = {
    "make deploy": "the test does what it does, with what the emulator cannot take left out",
    'make deploy PARAMETERS="AlarmEmail': "likewise",
    "make web && make deploy": "likewise; the dashboard is deployed with the second release",
    "git pull": "a release of a changed engine is deployed in its place",
    "git switch --detach": "likewise",
}
"""The first words of the blocks that are not run as they are written, and why. What they name is checked against what
there is, by tests/e2e/test_documented_commands.py."""


_HEADING_OR_BLOCK = r"^## (?P<heading>.*?)$|^```sh\n(?P<text>.*?)^```"


class Block(NamedTuple):
    """Commands, and the page and heading where they are."""

    page: str
    heading: str
    text: str


def blocks() -> Iterator[Block]:
    """Every block of shell lines of the operators' pages, in their order."""
    for page in PAGES:
        heading = ""
        text = (ROOT / "docs" / page).read_text()
        for found in re.finditer(_HEADING_OR_BLOCK, text, re.DOTALL | re.MULTILINE):
            if found["heading"] is not None:
                heading = found["heading"]
            else:
                yield Block(page, heading, found["text"])


def is_run(block: Block) -> bool:
    """Whether the block is run as it is written."""
    return not block.text.startswith(tuple(NOT_RUN))


class OperatorsShell:
    """One bash, in ``folder``, in which an operator does what the pages say.

    ``written`` are words of the pages that each reader has to replace, and by what.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], written: Mapping[str, str]) -> None:
        self._folder = folder
        self._written = written
        self._ran: list[Block] = []
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._say("set -eu -o pipefail")

    @property
    def ran(self) -> list[Block]:
        """What was run, in this order."""
        return self._ran

    def run(self, page: str, heading: str, typed: str = "", *, only_first: bool = False) -> str:
        """Run the blocks under a heading one after the other, or the first of them; ``typed`` is what they are
        answered. Returns what they have printed.
        """
        chosen = [block for block in blocks() if (block.page, block.heading) == (page, heading) and is_run(block)]
        assert chosen, f"{page} has no block that is run under {heading!r}"
        return "".join(self._run(block, typed) for block in chosen[: 1 if only_first else None])

    def close(self) -> None:
        """End the shell."""
        with self._bash:
            self._bash.kill()

    def _run(self, block: Block, typed: str) -> str:
        text = block.text
        for word, meant in self._written.items():
            text = text.replace(word, meant)
        script, answers = self._folder / "block.sh", self._folder / "typed"
        script.write_text(text)
        answers.write_text(typed)
        self._say(". ./block.sh < typed; echo; echo ran to its end")
        printed = self._hear()
        self._ran.append(block)
        return printed

    def _say(self, line: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{line}\n")
        self._bash.stdin.flush()

    def _hear(self) -> str:
        assert self._bash.stdout is not None
        lines: list[str] = []
        for line in self._bash.stdout:
            if line == "ran to its end\n":
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"{(self._folder / 'block.sh').read_text()}\nended the shell:\n{''.join(lines)}")
