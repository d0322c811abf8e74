"""A logged decision, read back, computes to the same digits; and one that was changed does not."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botbalance.errors import InvalidRequestError
from botbalance.models.decision import Decision

from tests.integration.trading.harness import TradingHarness
from workbench.audit.replay import read_decision, replay

EARLIER = json.loads((Path(__file__).parent / "decisions_of_engine_2.json").read_text())
COMMAND = str(Path(sys.executable).with_name("botbalance"))


@pytest.fixture
def logged(harness: TradingHarness) -> Decision:
    """A decision that places three orders, as it is read back."""
    harness.tick()
    return harness.context.decisions.get(harness.user, harness.now)


def changed(decision: Decision, **changes: Any) -> Decision:
    return read_decision(decision.model_copy(update=changes).model_dump_json())


def test_every_decision_of_a_run_replays_to_the_last_digit(harness: TradingHarness) -> None:
    harness.set_strategy(order_max_age_s=60)
    decisions = []
    for price in ("40000", "38000", "35000", "44000", "44000.01"):
        harness.market.set_price("BTCUSDT", Decimal(price))
        harness.now += 30
        assert harness.work(harness.message(harness.user)) == []
        decisions.append(harness.context.decisions.get(harness.user, harness.now))
    assert any(decision.placed for decision in decisions)
    assert any(decision.canceled for decision in decisions)
    assert [replay(decision).differences for decision in decisions] == [[]] * 5


@pytest.mark.parametrize("number", range(3))
def test_a_decision_of_an_earlier_engine_replays_without_a_difference(number: int) -> None:
    """Logged by version 2: one whose orders exceed the band without a warning then, a plain one, and one with a crumb
    of free quote."""
    decision = read_decision(EARLIER[number])
    assert decision.engine_version == "2"
    assert replay(decision).differences == []
    changed_row = json.loads(json.dumps(EARLIER[number]))
    changed_row["evaluation"]["rows"][0]["delta_quote"] = "1"
    assert len(replay(read_decision(changed_row)).differences) == 1
    changed_row["evaluation"] = EARLIER[number]["evaluation"] | {"actions": []}
    assert len(replay(read_decision(changed_row)).differences) == 1
    assert len(replay(read_decision(EARLIER[number] | {"canceled": {}})).differences) == 1


def test_a_changed_answer_is_found(logged: Decision) -> None:
    evaluation = logged.evaluation or {}
    different = replay(changed(logged, evaluation=evaluation | {"nav": "1"})).differences
    assert len(different) == 1
    assert different[0].startswith("evaluation.nav: 1 → 10000")


def test_a_changed_input_changes_the_answer(logged: Decision) -> None:
    inputs = logged.inputs or {}
    prices = inputs["market_prices"] | {"BTCUSDT": "20000"}
    different = replay(changed(logged, inputs=inputs | {"market_prices": prices})).differences
    assert any("limit_price" in line for line in different)


def test_a_cancel_that_nobody_would_make_is_found(logged: Decision) -> None:
    different = replay(changed(logged, canceled={"0" * 20: "stale_price"})).differences
    assert different == [f"canceled.{'0' * 20}: stale_price → None"]


def test_a_tick_that_was_skipped_has_nothing_to_differ_in(harness: TradingHarness) -> None:
    with harness.session():
        skipped = harness.tick()
    assert replay(skipped).differences == []
    assert replay(skipped).outcome == "skipped"


@pytest.mark.parametrize(
    ("document", "named"),
    [("nonsense", "JSON"), ("{}", "user_id"), ('{"schema_version": 2}', "schema_version"), ("[]", "document")],
)
def test_what_is_no_decision_is_refused(document: str, named: str) -> None:
    with pytest.raises(InvalidRequestError, match=named):
        read_decision(document)


def test_inputs_that_are_none_of_a_decision_are_refused(logged: Decision) -> None:
    with pytest.raises(InvalidRequestError, match="market_prices"):
        replay(changed(logged, inputs={"market_prices": {"BTCUSDT": "much"}}))


def test_the_command_says_whether_today_decides_the_same(logged: Decision, tmp_path: Path) -> None:
    file = tmp_path / "decision.json"
    file.write_text(logged.model_dump_json())
    same = subprocess.run([COMMAND, "replay", str(file), "--json"], capture_output=True, text=True, check=False)
    assert (same.returncode, same.stderr) == (0, "")
    assert json.loads(same.stdout)["differences"] == []

    file.write_text(changed(logged, canceled={"0" * 20: "stale_price"}).model_dump_json())
    other = subprocess.run([COMMAND, "replay", str(file)], capture_output=True, text=True, check=False)
    assert (other.returncode, other.stderr) == (1, "")
    assert "stale_price → None" in other.stdout


@pytest.mark.parametrize("arguments", [[], ["no-such-file.json"], ["x.json", "--tick", "30"]])
def test_the_command_says_in_a_line_what_it_needs(arguments: list[str]) -> None:
    done = subprocess.run([COMMAND, "replay", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
