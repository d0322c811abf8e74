"""The API as strangers meet it: by the lines of its guide, and by everything that its document lets them send."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from tests.e2e.command import start
from tests.thorough import thorough_only

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "api.md"
EXAMPLES = "8"
"""Random requests to each route and phase."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where a run answers that waits an hour for its first tick."""
    with running() as there:
        yield there


@contextmanager
def running() -> Iterator[str]:
    process = start("local", "--port", "0", "--tick-seconds", "3600", "--freeze-prices")
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        Thread(target=process.stderr.read, daemon=True).start()  # or it stands still once its log has filled the pipe
        yield process.stdout.readline().split(" runs at ")[1].split(",")[0]
    finally:
        process.kill()
        process.communicate()


def lines_of_the_guide() -> list[str]:
    return [line for line in GUIDE.read_text().splitlines() if line.startswith("curl ")]


def run_as_written(line: str, url: str) -> Any:
    environment = os.environ | {"API": f"{url}/api", "TOKEN": "demo"}
    finished = subprocess.run(
        ["bash", "-c", line], env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    answer = json.loads(finished.stdout)
    assert "code" not in answer, answer
    return answer


def test_the_ten_lines_of_the_guide_lead_to_an_executed_plan(url: str) -> None:
    lines = lines_of_the_guide()
    assert len(lines) == 10
    answers = [run_as_written(line, url) for line in lines]
    plan, execution, orders = answers[-3:]
    actions = {(action["symbol"], action["limit_price"], action["base_qty"]) for action in plan["actions"]}
    assert len(actions) >= 3
    assert {(order["symbol"], order["limit_price"], order["base_qty"]) for order in execution["orders"]} == actions
    assert {order["status"] for order in execution["orders"]} == {"OPEN"}
    listed = {order["client_order_id"] for order in orders["orders"]}
    assert {order["client_order_id"] for order in execution["orders"]} <= listed
    assert run_as_written(lines[8], url) == execution, "the same Idempotency-Key is answered with the same orders"


@thorough_only
def test_whatever_the_document_allows_is_answered_as_it_says() -> None:
    with running() as url:
        send_whatever_is_allowed(url)


def send_whatever_is_allowed(url: str) -> None:
    command = [f"{sys.prefix}/bin/schemathesis", "--config-file", str(ROOT / "schemathesis.toml"), "run"]
    document = f"{url}/api/openapi.json"
    options = ["--max-examples", EXAMPLES, "--checks", "all", "--seed", "7", "--no-color"]
    finished = subprocess.run(
        [*command, document, "-H", "Authorization: Bearer demo", *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert finished.returncode == 0, finished.stdout[-8000:]
    generated = re.search(r"(\d+) generated", finished.stdout)
    assert generated is not None
    assert int(generated[1]) > 500, finished.stdout[-3000:]


def test_a_page_to_try_it_on_needs_no_network(url: str) -> None:
    page = requests.get(f"{url}/docs", timeout=60)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "/api/me/strategies/rebalance/execute" in page.text
    assert "SwaggerUIBundle" in page.text
    assert requests.get(f"{url}/docs?format=json", timeout=60).json()["info"]["title"] == "BotBalance"
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page.text)
