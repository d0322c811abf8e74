"""Every client is driven through the exchange that `botbalance exchange` runs, each in an environment of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import start
from workbench.simulated_exchange.control_client import ControlClient

ROOT = Path(__file__).parents[2]
CLIENTS = Path(__file__).parent / "clients"
SCRIPTS = sorted(CLIENTS.glob("*_client.py"))
UV = next((str(path) for path in (ROOT / ".bootstrap/bin/uv",) if path.exists()), shutil.which("uv"))
TICKS = 60
SECRET = "s" * 64
OUT_OF_REACH = re.compile(r"dns error|Failed to fetch|Connection refused|error sending request|No solution found")
DEPENDENCY = re.compile(r'# dependencies = \["(?P<package>[\w-]+)==(?P<version>[\w.]+)"\]')


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A running exchange, whose market has moved for a while."""
    process = start("exchange", "--port", "0", "--seed", "7")
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split(" runs at ")[1].split(". ")[0]
        control = ControlClient(address)
        for _ in range(TICKS):
            control.next_tick(1)
        control.close()
        yield address
    finally:
        process.kill()
        process.communicate()


def drive(script: Path, url: str) -> dict[str, Any]:
    """What a client saw; skips where it cannot be installed here."""
    if UV is None:
        pytest.skip("uv is not here, which installs the client")
    key = script.stem.replace("_", "").ljust(64, "k")
    control = ControlClient(url)
    control.open_account(key, SECRET, {"USDT": Decimal(10_000), "BTC": Decimal(1)})
    control.close()
    command = [UV, "run", "--quiet", "--no-project", "--python", sys.executable, "--script", str(script)]
    environment = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
    found = subprocess.run(
        [*command, url, key, SECRET], capture_output=True, text=True, timeout=200, check=False, env=environment
    )
    if found.returncode and OUT_OF_REACH.search(found.stderr):
        pytest.skip(f"the package index is out of reach, or has not this client: {found.stderr.splitlines()[-1]}")
    assert found.returncode == 0, found.stderr[-3000:]
    seen: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return seen


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_client_finds_what_it_expects(script: Path, url: str) -> None:
    seen = drive(script, url)
    assert seen["failed"] == {}
    row = f"| {seen['client']} {seen['version']} | {len(seen['passed'])} | {len(seen['not_offered'])} |"
    assert row in (ROOT / "docs/exchanges.md").read_text()


def test_every_client_names_the_one_version_that_it_was_tried_with() -> None:
    named = [DEPENDENCY.search(script.read_text()) for script in SCRIPTS]
    assert all(named)
    assert {found["package"] for found in named if found} == {
        "python-binance",
        "binance-connector",
        "binance-sdk-spot",
        "freqtrade",
    }
