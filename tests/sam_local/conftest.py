"""A local run whose exchange, queue and tables containers can reach, and the deployed API on top of it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.command import finish, start
from tests.sam_local.sam import address_for_containers, api, free_port, require_lambda_runtime
from workbench.aws.build import ROOT

DYNAMODB_LOCAL = ROOT.parent / "shared" / "tools" / "dynamodb-local"
USER = {"Authorization": "Bearer demo"}
_RUNS_AT = "BotBalance runs at "


@dataclass(frozen=True)
class LocalRun:
    """A running `botbalance local`: its own API, and the file with the functions' environment."""

    url: str
    variables: Path

    def environment(self) -> dict[str, str]:
        """The functions' environment, as containers have it."""
        variables: dict[str, str] = json.loads(self.variables.read_text())["Parameters"]
        return variables

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What its API answers, which must be a success."""
        answer = requests.request(method, self.url + path, json=body, headers=USER, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def autopilot(self, *, enabled: bool) -> None:
        self.ask("PUT", "/api/me/strategies/rebalance/autopilot/", {"enabled": enabled})


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[list[str]]:
    """The options that name AWS's own DynamoDB engine; none where it is not at hand, and the embedded one serves."""
    if url := os.environ.get("BOTBALANCE_TEST_DYNAMODB"):
        yield ["--dynamodb", url]
    elif DYNAMODB_LOCAL.exists():
        port = str(free_port())
        started = subprocess.run([DYNAMODB_LOCAL, "start", port], check=True, capture_output=True, text=True)
        yield ["--dynamodb", started.stdout.strip()]
        subprocess.run([DYNAMODB_LOCAL, "stop", port], check=False, capture_output=True)
    else:
        yield []


@pytest.fixture(scope="session")
def running(dynamodb: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    """Prices stand still, and the first tick of its own comes after the tests."""
    require_lambda_runtime()
    variables = tmp_path_factory.mktemp("sam") / "environment.json"
    process = start(
        "local",
        *("--freeze-prices", "--tick-seconds", "3600", "--port", "0"),
        *("--listen", address_for_containers(), "--open-to-network", "--sam-environment", str(variables)),
        *dynamodb,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith(_RUNS_AT):
            pytest.fail(f"the local run does not start: {finish(process)}")
        yield LocalRun(line.removeprefix(_RUNS_AT).partition(",")[0], variables)
    finally:
        process.send_signal(signal.SIGINT)
        finish(process)


@pytest.fixture
def local(running: LocalRun) -> LocalRun:
    """The local run with nothing resting and the autopilot off, whatever a test before has done."""
    running.autopilot(enabled=False)
    running.ask("DELETE", "/api/me/orders/")
    return running


@pytest.fixture(scope="session")
def sam_api(running: LocalRun) -> Iterator[str]:
    """The deployed API's URL."""
    with api(running.variables) as url:
        yield url
