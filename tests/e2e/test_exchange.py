"""`botbalance exchange`: the simulated exchange in a process of its own."""

import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.e2e.command import finish, only_line, parse_summary, run, start
from tests.thorough import thorough_only


@pytest.fixture
def exchange() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """One that runs, and its URL."""
    process = start("exchange", "--port", "0", "--seed", "7")
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split(" runs at ")[1].split(". ")[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_polite_kill_end_it_cleanly(
    exchange: tuple[subprocess.Popen[str], str], sent: signal.Signals
) -> None:
    process, url = exchange
    with requests.Session() as session:  # whose connection stays open
        assert session.get(f"{url}/api/v3/ping", timeout=20).json() == {}
        process.send_signal(sent)
        assert finish(process) == (0, "", "")


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = only_line(*run("exchange", "--port", str(taken.getsockname()[1])))
    assert "another program uses it" in line
    assert "--port" in line


@thorough_only
def test_a_run_on_it_meets_the_same_market_and_the_next_one_is_told_of_orders_it_does_not_know(
    exchange: tuple[subprocess.Popen[str], str],
) -> None:
    _, url = exchange
    fast = ("local", "--port", "0", "--tick-seconds", "0", "--ticks", "5", "--json")
    processes = start(*fast, "--exchange", url), start(*fast, "--seed", "7"), start(*fast, "--seed", "8")
    there, alone, other = (parse_summary(*finish(process)) for process in processes)
    of_the_market = ("ticks", "nav_start", "hold_quote", "drift_start_pct")
    assert [there[name] for name in of_the_market] == [alone[name] for name in of_the_market]
    assert there["hold_quote"] != other["hold_quote"]
    assert there["orders_filled"] > 0

    second = run("local", "--port", "0", "--ticks", "1", "--json", "--exchange", url)
    assert "orders of an earlier run, and these tables none" in only_line(*second)
