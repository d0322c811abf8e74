"""`botbalance local`: a whole run on one machine, from a process of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.command import finish, only_line, parse_summary, run, start
from workbench.cli import app as cli

SHARED_CANDLES = Path(__file__).parents[3] / "shared" / "data" / "candles"
FAST = ("--tick-seconds", "0", "--port", "0", "--json")
HOUR_MS = 3_600_000


def runs(*several: Sequence[str]) -> list[dict[str, Any]]:
    """The summaries of several runs side by side."""
    processes = [start("local", *FAST, *arguments) for arguments in several]
    return [parse_summary(*finish(process)) for process in processes]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """The summary of a run in this process, which spares it the imports."""

    def run_command(*arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["botbalance", "local", *FAST, *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return parse_summary(ended.value.code or 0, *capfd.readouterr())

    return run_command


def write_candles(folder: Path, symbol: str, prices: Sequence[str]) -> None:
    rows = [
        f"{1_500_000_000_000 + number * HOUR_MS},{price},{Decimal(price) * 3 / 2},{Decimal(price) / 2},{price},10"
        for number, price in enumerate(prices)
    ]
    (folder / f"{symbol}.csv").write_text("\n".join(rows))


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    """Eight hours in which everything trades through everything."""
    folder = tmp_path / "candles"
    folder.mkdir()
    write_candles(folder, "BTCUSDT", ["4000", "4100", "3900", "4200", "3800", "4000", "4000", "4100"])
    write_candles(folder, "ETHUSDT", ["200", "190", "210", "220", "180", "200", "195", "205"])
    return folder


def test_twenty_ticks_bring_the_portfolio_nearer_to_its_targets_and_every_number_adds_up() -> None:
    first, again, other = runs(
        ("--ticks", "20", "--seed", "7"), ("--ticks", "20", "--seed", "7"), ("--ticks", "20", "--seed", "8")
    )
    for found in (first, other):
        assert found["ticks"] == 20
        assert Decimal(found["drift_end_pct"]) < Decimal(found["drift_start_pct"])
        assert found["orders_placed"] >= found["orders_filled"] + found["orders_open"]
        assert found["orders_filled"] > 0
        assert found["nav_start"] == "10000"
    assert first == again
    assert first != other


def test_with_frozen_prices_nothing_fills(run_here: Callable[..., dict[str, Any]], candles: Path) -> None:
    for arguments in ([], ["--candles", str(candles)]):
        found = run_here("--ticks", "3", "--freeze-prices", *arguments)
        assert found["orders_filled"] == 0
        assert found["orders_placed"] == found["orders_open"] > 0
        assert found["nav_start"] == found["nav_end"] == found["hold_quote"]
        assert found["bonus_quote"] == "0"


def test_candles_are_replayed_and_their_end_is_a_clean_one(
    run_here: Callable[..., dict[str, Any]], candles: Path, tmp_path: Path
) -> None:
    strategy = tmp_path / "strategy.json"
    strategy.write_text(
        json.dumps(
            {
                "target_allocations": {"BTC": "50", "USDT": "50"},
                "order_size_pct": "3",
                "order_step_pct": "1",
                "min_delta_quote": "20",
            }
        )
    )
    whole = run_here("--ticks", "100", "--candles", str(candles))
    two = run_here("--ticks", "2", "--candles", str(candles), "--strategy", str(strategy))
    fast = run_here("--ticks", "100", "--speed", "3", "--candles", str(candles))
    assert whole["ticks"] == 8
    assert whole["orders_filled"] > 0
    assert two["ticks"] == 2
    assert fast["ticks"] == 3


@pytest.mark.parametrize("start_of_file", ["", "\ufeff"])
def test_a_strategy_of_cash_only_has_nothing_to_do(
    run_here: Callable[..., dict[str, Any]], tmp_path: Path, start_of_file: str
) -> None:
    file = tmp_path / "cash.json"
    cash = {"target_allocations": {"USDT": 100}, "order_size_pct": 1, "order_step_pct": 1, "min_delta_quote": 60}
    file.write_text(start_of_file + json.dumps(cash))
    summary = run_here("--ticks", "2", "--strategy", str(file))
    assert (summary["orders_placed"], summary["nav_end"], summary["drift_end_pct"]) == (0, "10000", "0.0000")


def test_the_recorded_candles_beside_the_repository_are_replayed(run_here: Callable[..., dict[str, Any]]) -> None:
    if not SHARED_CANDLES.is_dir():
        pytest.skip("the recorded candles beside the repository (../shared/data/candles) are not here")
    assert run_here("--ticks", "5", "--candles", str(SHARED_CANDLES))["ticks"] == 5


@pytest.fixture
def waiting() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A run that waits an hour for its first tick, and where its API answers."""
    process = start("local", "--port", "0", "--tick-seconds", "3600")
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split(" runs at ")[1].split(",")[0]
        assert process.stdout.readline().strip().endswith(f"{url}/docs")
        assert process.stdout.readline().startswith("Try:")
        yield process, url
    finally:
        process.kill()
        process.communicate()


def ends_cleanly(process: subprocess.Popen[str], sent: signal.Signals) -> None:
    process.send_signal(sent)
    status, output, errors = finish(process)
    assert (status, errors) == (0, "")
    assert " ticks: " in output
    assert "books and ours agree" in output


def test_a_polite_kill_between_ticks_ends_the_run_cleanly(waiting: tuple[subprocess.Popen[str], str]) -> None:
    ends_cleanly(waiting[0], signal.SIGTERM)


def test_a_signal_while_ticking_ends_the_run_after_that_tick() -> None:
    process = start("local", "--port", "0", "--tick-seconds", "0")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("tick ") and int(line.split()[1].rstrip(":")) >= 2:
            break
    else:
        pytest.fail("the run ended before its second tick")
    ends_cleanly(process, signal.SIGINT)


def test_the_commands_ask_a_running_stack_until_ctrl_c_ends_it(
    waiting: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = waiting
    questions = [
        start("plan", "--url", url),
        start("plan", "--url", url, "--json"),
        start("execute", "--url", url),
        start("plan", "--url", url, "--token", "somebody-else"),
        start("local", "--port", url.rpartition(":")[2], "--ticks", "1"),
    ]
    table, as_json, executed, stranger, second = [finish(question) for question in questions]
    assert (table[0], table[2]) == (0, "")
    assert "autopilot · NAV" in table[1]
    assert json.loads(as_json[1]) == requests.get(f"{url}/api/me/strategies/rebalance/plan/", timeout=60).json()
    assert "autopilot is on" in only_line(*executed)
    assert "no strategy is set" in only_line(*stranger)
    assert "another program uses it" in only_line(*second)

    status, output, errors = run("tick", "--url", url, "--json")
    assert (status, errors) == (0, "")
    assert json.loads(output)["decisions"][0]["outcome"] == "decided"
    status, output, errors = run("tick", "--url", url)
    assert (status, errors) == (0, "")
    assert "decision" in output

    switch = f"{url}/api/me/strategies/rebalance/autopilot/"
    assert requests.put(switch, json={"enabled": False}, timeout=60).ok
    assert "autopilot is off" in only_line(*run("tick", "--url", url))
    status, output, errors = run("execute", "--url", url)
    assert (status, errors) == (0, "")
    assert "orders placed" in output

    ends_cleanly(process, signal.SIGINT)


def test_a_run_starts_with_the_given_balances(run_here: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    balances = tmp_path / "balances.json"
    balances.write_text('{"BTC": "0.1", "USDT": "500"}')
    found = run_here("--ticks", "1", "--freeze-prices", "--balances", str(balances))
    assert Decimal(found["nav_start"]) == Decimal("43250.52") / 10 + 500
