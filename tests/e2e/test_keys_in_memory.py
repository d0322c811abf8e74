"""A user's key is nowhere in the memory of the process that traded with it, once it is deleted."""

import os
import re
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
import requests

from tests.e2e.command import LONGEST_S, start
from workbench.simulated_exchange.control_client import ControlClient

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows a process's memory as a file")
STRATEGY = {
    "target_allocations": {"BTC": "50", "USDT": "50"},
    "order_size_pct": "2",
    "order_step_pct": "0.4",
    "min_delta_quote": "50",
}

FREED_IS_OVERWRITTEN = {"PYTHONMALLOC": "malloc_debug", "MALLOC_PERTURB_": "165"}
"""Python's allocator and glibc's overwrite what they free, so whatever is found is still held by something.

Without them a freed block keeps its bytes until it is used again, which may take any time.
"""


def read_url(process: Popen[str]) -> str:
    """Where it says that it serves."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:[0-9]+", line):
            return found[0]
    raise AssertionError(process.stderr.read() if process.stderr else "")


@pytest.fixture
def processes() -> Iterator[list[Popen[str]]]:
    started: list[Popen[str]] = []
    yield started
    for process in reversed(started):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONGEST_S)


def occurrences(process: Popen[str], *texts: str) -> list[int]:
    """How often each of ``texts`` is in the memory of ``process``, which stands still meanwhile."""
    counts = [0] * len(texts)
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    try:
        with Path(f"/proc/{process.pid}/mem").open("rb") as memory:
            for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines():
                addresses, rights = line.split()[:2]
                first, end = (int(address, 16) for address in addresses.split("-"))
                if not rights.startswith("rw"):
                    continue
                memory.seek(first)
                held = memory.read(end - first)
                for index, text in enumerate(texts):
                    counts[index] += held.count(text.encode())
    finally:
        process.send_signal(signal.SIGCONT)
    return counts


def test_a_deleted_key_is_nowhere_in_memory(processes: list[Popen[str]]) -> None:
    processes.append(start("exchange", "--port", "0"))
    exchange = read_url(processes[0])
    arguments = ("local", "--exchange", exchange, "--port", "0", "--tick-seconds", "3600")
    processes.append(start(*arguments, **FREED_IS_OVERWRITTEN))
    running, api = processes[1], read_url(processes[1])
    key, secret = f"key-{secrets.token_hex(16)}", f"secret-{secrets.token_hex(16)}"
    with closing(ControlClient(exchange)) as control:
        control.open_account(key, secret, {"USDT": Decimal(10_000)})

    def ask(method: str, path: str, document: Any = None) -> None:
        headers = {"Authorization": "Bearer ann"}
        requests.request(method, f"{api}/api/me/{path}", json=document, headers=headers, timeout=30).raise_for_status()

    ask("PUT", "exchange/credentials/", {"api_key": key, "secret": secret})
    ask("PUT", "strategies/rebalance/", STRATEGY)
    ask("GET", "strategies/rebalance/plan/")
    assert all(count > 0 for count in occurrences(running, key, secret))
    ask("DELETE", "exchange/credentials/")
    ask("GET", "exchange/credentials/")
    assert occurrences(running, key, secret) == [0, 0]
