"""Every command of README and docs/: run, here or by another test; run on the emulated deployment; or, where it needs
the outside or does not end, its words checked against what there is.

Three lists say which, two of patterns and one of pages. Each documented command has to be in exactly one of them.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import typer

from tests.deployed.documented import NOT_RUN, blocks, is_run
from tests.deployed.documented import PAGES as PAGES_OF_OPERATORS
from workbench.cli import app as cli
from workbench.local.stack import Options, Stack

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

RUN_HERE = (
    r"\./botbalance (plan|orders|performance|stop|decisions|tick|doctor|activity)( --limit 1)?",
    r"\./botbalance strategy (set my-strategy\.json|show)",
    r"\./botbalance cost .*",
    r"\./botbalance replay --tick THAT_NUMBER",
    r"\./botbalance backtest --candles (my-candles|candles|FOLDER) .*",
)
"""In this process, against the product on this machine, beside a strategy and a small recording."""
RUN_ELSEWHERE = (
    r"curl .*",  # docs/api.md: tests/e2e/test_api.py
    r"export API=.*",
    r"make (run|test)( .*)?",  # whoever runs this has run the one; the other is test_local_run.py's
)
"""By other tests on this machine."""
RUN_ON_THE_EMULATED_DEPLOYMENT = PAGES_OF_OPERATORS
"""Each block of these pages as it is written, by tests/deployed, but for those that it names, with the reason."""
WORDS_CHECKED = (
    r"\./botbalance (local|exchange|soak|simulate|optimize|candles|export|autopilot|strategy edit|cancel|login) ?.*",
    r"\./botbalance paper (show|reset|deposit|withdraw) ?.*",
    r"\./botbalance notifications .*",
    r"\./botbalance (--help|--version)",
    r"make [a-z-]+( .*)?",
    r"(PYTHONHASHSEED=0 )?\.venv/bin/(pytest|python) .*",
    r"BOTBALANCE_\w+=.* make [a-z-]+",
    r"sam local invoke .*",
    r"git (pull|switch --detach THE-COMMIT-BEFORE)",
    r"uv run pre-commit install",
)
"""They run without end, need the outside, or take long: their words are compared with what there is."""


def split_commands(block: str) -> Iterator[str]:
    """Comments left out, continued lines joined."""
    for line in block.replace("\\\n", " ").splitlines():
        command = re.sub(r"\s{2,}#.*$", "", line).strip()
        if command and not command.startswith("#"):
            yield re.sub(r"\s+", " ", command)


def documented_commands() -> Iterator[tuple[str, str]]:
    """Page and command, of every block of shell lines."""
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            for command in split_commands(block):
                yield page.name, command


COMMANDS = list(documented_commands())
ON_THE_DEPLOYMENT = {
    (block.page, command)
    for block in blocks()
    if block.page in RUN_ON_THE_EMULATED_DEPLOYMENT and is_run(block)
    for command in split_commands(block.text)
}


def in_list(command: str, patterns: tuple[str, ...]) -> bool:
    return any(re.fullmatch(pattern, command) for pattern in patterns)


def test_there_are_commands_on_the_pages_for_users() -> None:
    pages = {page for page, _ in COMMANDS}
    assert {"README.md", "deploy.md", "operate.md", "api.md", "developing.md", "backtest.md"} <= pages


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_is_in_a_list(page: str, command: str) -> None:
    if (page, command) in ON_THE_DEPLOYMENT:
        return
    lists = [in_list(command, RUN_HERE), in_list(command, RUN_ELSEWHERE) or in_list(command, WORDS_CHECKED)]
    assert lists.count(True) == 1, f"{page}: {command}"


def test_what_is_not_run_on_the_deployment_is_there_to_be_checked() -> None:
    left_out = [block.text for block in blocks() if not is_run(block)]
    assert [words for words in NOT_RUN if not any(text.startswith(words) for text in left_out)] == []


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(Options(freeze_prices=True)) as started:
        started.tick()
        yield started


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the documented commands name."""
    [strategy] = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "my-strategy.json").write_text(strategy)
    for name in ("my-candles", "candles", "FOLDER"):
        (tmp_path / name).mkdir()
        for symbol in ("BTCUSDT", "ETHUSDT"):
            rows = (f"{1_600_000_020_000 + 60_000 * minute},100,101,99,100,1" for minute in range(300))
            (tmp_path / name / f"{symbol}.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


HERE = sorted({command for _, command in COMMANDS if in_list(command, RUN_HERE)})


@pytest.mark.parametrize("command", HERE)
@pytest.mark.usefixtures("folder")
def test_a_command_runs_as_written(
    stack: Stack, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    switch = f"{stack.url}/api/me/strategies/rebalance/autopilot/"
    assert requests.put(
        switch, json={"enabled": True}, timeout=60
    ).ok  # as a run begins, whatever the command before did
    ts_tick = str(stack.tick()["ts_tick"])
    monkeypatch.setenv("BOTBALANCE_URL", stack.url)
    monkeypatch.setattr(sys, "argv", shlex.split(command.replace("THAT_NUMBER", ts_tick), comments=True))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code, capsys.readouterr().err
    assert capsys.readouterr().out


def parse_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that ``words`` name, and the words behind its name."""
    command: Any = typer.main.get_command(cli.app)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("command", sorted({command for _, command in COMMANDS if command.startswith("./botbalance")}))
def test_every_option_exists(command: str) -> None:
    found, words = parse_command(shlex.split(command, comments=True)[1:])
    known = {option for parameter in found.params for option in parameter.opts} | {"--help"}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("command", sorted({command for _, command in COMMANDS if re.search(r"\bmake [a-z]", command)}))
def test_every_make_target_exists(command: str) -> None:
    named = re.findall(r"\bmake ([a-z][a-z-]*)", command)
    assert set(named) <= TARGETS


@pytest.mark.parametrize("command", sorted({command for _, command in COMMANDS if ".venv/bin/" in command}))
def test_every_named_file_and_module_exists(command: str) -> None:
    words = shlex.split(command.partition(".venv/bin/")[2], comments=True)
    module = words[words.index("-m") + 1] if "-m" in words else None
    files = [word for word in words[1:] if word.startswith(("tests/", "benchmarks/"))]
    paths = [ROOT / file.partition("::")[0] for file in files]
    if module:
        package = ROOT / module.replace(".", "/")
        paths.append(package / "__main__.py" if package.is_dir() else package.with_suffix(".py"))
    assert paths
    assert [path for path in paths if not path.exists()] == []
