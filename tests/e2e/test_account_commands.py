"""Commands about an account, against the product on this machine: what they say, and what they did."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workbench.cli import app as cli
from workbench.local.stack import Options, Stack

STRATEGY = {
    "target_allocations": {"BTC": "40", "ETH": "25", "SOL": "15", "BNB": "10", "USDT": "10"},
    "order_size_pct": "2",
    "order_step_pct": "0.4",
    "min_delta_quote": "120",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(Options(freeze_prices=True, autopilot=False)) as started:
        yield started


@pytest.fixture
def command(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command in this process against the API; returns what it printed, and requires that it ended well."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["botbalance", *arguments])
        monkeypatch.setenv("BOTBALANCE_URL", stack.url)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        assert not ended.value.code, output.err
        return output.out

    return run


@pytest.fixture
def refused(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command likewise; returns what it said on stderr, and requires that it failed."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["botbalance", *arguments])
        monkeypatch.setenv("BOTBALANCE_URL", stack.url)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    return run


@pytest.fixture(autouse=True)
def nothing_rests(stack: Stack, command: Callable[..., str]) -> None:
    """Stops what rests and goes on to the next tick: an order's id is one a tick."""
    command("stop")
    stack.tick()


def orders_at(command: Callable[..., str], status: str) -> set[str]:
    found = json.loads(command("orders", "--status", status, "--json"))
    return {order["client_order_id"] for order in found["orders"]}


def test_execute_places_orders_and_stop_cancels_them(command: Callable[..., str]) -> None:
    placed = json.loads(command("execute", "--json"))["orders"]
    assert {order["symbol"] for order in placed} == {"BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"}
    assert orders_at(command, "open") == {order["client_order_id"] for order in placed}
    said = command("stop")
    assert "The autopilot is off." in said
    assert "BTCUSDT" in said
    assert orders_at(command, "open") == set()


def test_one_order_is_cancelled_and_the_others_rest(command: Callable[..., str]) -> None:
    first, *others = json.loads(command("execute", "--json"))["orders"]
    assert json.loads(command("cancel", first["client_order_id"], "--json"))["status"] == "CANCELED"
    assert orders_at(command, "open") == {order["client_order_id"] for order in others}
    assert len(json.loads(command("cancel", "--all", "--json"))["orders"]) == len(others) == 3


def test_the_autopilot_is_switched_and_ticks_are_listed(stack: Stack, command: Callable[..., str]) -> None:
    assert "autopilot on" in command("autopilot", "on")
    stack.tick()
    assert len(json.loads(command("decisions", "--limit", "1", "--json"))["decisions"]) == 1
    assert "NAV" in command("decisions")
    assert "autopilot off" in command("autopilot", "off")


def test_a_strategy_is_set_from_a_file_and_edited(
    command: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "strategy.json"
    file.write_text("\ufeff" + json.dumps(STRATEGY))
    assert json.loads(command("strategy", "set", str(file), "--json"))["order_step_pct"] == "0.4"
    monkeypatch.setenv("EDITOR", "sed -i s/0.4/0.5/")
    command("strategy", "edit")
    assert json.loads(command("strategy", "show", "--json"))["order_step_pct"] == "0.5"


def test_the_first_strategy_of_somebody_is_set_from_a_file_too(command: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "strategy.json"
    file.write_text(json.dumps(STRATEGY))
    assert (
        json.loads(command("strategy", "set", str(file), "--token", "somebody-new", "--json"))["order_size_pct"] == "2"
    )
    assert json.loads(command("strategy", "show", "--token", "somebody-new", "--json"))["order_size_pct"] == "2"


def test_activity_lists_who_did_what_newest_first(stack: Stack, command: Callable[..., str]) -> None:
    command("autopilot", "on")
    stack.tick()  # a moment is a second, and within one there is no order
    command("stop")
    listed = json.loads(command("activity", "--limit", "10", "--json"))["activity"]
    switched = [
        (one["actor"], one["action"]) for one in listed if one["action"] in {"autopilot.enabled", "trading.stopped"}
    ]
    assert switched[:2] == [("user", "trading.stopped"), ("user", "autopilot.enabled")]
    assert "trading.stopped" in command("activity")


def test_nothing_is_paused_and_an_unknown_pause_is_named(
    command: Callable[..., str], refused: Callable[..., str]
) -> None:
    assert "Nothing is paused." in command("pauses")
    assert "doubt-BTCUSDT" in refused("resume", "doubt-BTCUSDT")


def test_an_order_is_resolved_by_its_owner_only_once_the_exchange_has_lost_it(
    command: Callable[..., str], refused: Callable[..., str]
) -> None:
    first, *_ = json.loads(command("execute", "--json"))["orders"]
    order = first["client_order_id"]
    assert "filled needs filled_qty and price" in refused("resolve", order, "filled")
    assert order in refused("resolve", order, "canceled")


def test_performance_adds_up_and_the_doctor_finds_the_account_ready(command: Callable[..., str]) -> None:
    assert "added by rebalancing" in command("performance")
    assert "ready" in command("doctor")
    assert "BTC" in command("plan")


def test_a_paper_account_is_opened_funded_shown_and_reset(
    command: Callable[..., str], refused: Callable[..., str], tmp_path: Path
) -> None:
    assert "no paper account is open on binance-paper" in refused("paper", "show")
    balances = tmp_path / "balances.json"
    balances.write_text('{"USDT": "10000", "BTC": "0.1"}')
    assert "PAPER: binance-paper, epoch 1" in command("paper", "reset", str(balances))
    command("paper", "deposit", "usdt", "500.25")
    moved = json.loads(command("paper", "withdraw", "BTC", "0.04", "--json"))
    assert moved["transfers"] == {"USDT": "500.25", "BTC": "-0.04"}
    assert "balances.USDT.free" in refused("paper", "withdraw", "USDT", "10500.26")
    assert "Paper is optimistic" in command("paper", "show")
    anew = json.loads(command("paper", "reset", str(balances), "--json"))
    assert (anew["epoch"], anew["transfers"]) == (2, {})
    assert anew["earlier"][0]["balances"] == {"USDT": "10500.25", "BTC": "0.06"}
    assert "binance-paper" in refused("paper", "reset", str(balances), "--exchange", "binance")
