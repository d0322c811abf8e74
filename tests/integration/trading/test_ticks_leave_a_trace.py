"""Whatever keeps a user from being ticked leaves a decision, a count and, where it is our own fault, an alarm."""

import json
from decimal import Decimal
from typing import Any

import pytest
from botbalance.deadline import RESERVE_S, Deadline
from botbalance.log import logger
from botbalance.trading import rebalance, tick_batch
from botbalance.trading.tick import strategy_tick

from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness
from workbench.faults.kinds import FaultKind, Where

D = Decimal


def lines(caplog: pytest.LogCaptureFixture, **facts: Any) -> list[dict[str, Any]]:
    """What was logged with these ``facts``."""
    return [record.__dict__ for record in caplog.records if facts.items() <= record.__dict__.items()]


def break_one_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebalance, "evaluate_inputs", lambda *_: 1 / 0)


def test_a_defect_in_every_tick_is_told_at_every_tick_and_logged_as_each_user_s(
    harness: TradingHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger=logger.name)
    break_one_tick(monkeypatch)
    for _ in range(3):
        harness.now += 30
        assert harness.work(harness.message(harness.user)) == []
        decision = harness.context.decisions.get(harness.user, harness.now)
        assert (decision.outcome, decision.reason_code) == ("skipped", "tick_failed")
        assert "ZeroDivisionError" in (decision.reason or "")
    assert len(lines(caplog, alarm="tick_failed", user_id=harness.user)) == 3
    assert [(line["users"], line["failed"], line["left_out"]) for line in lines(caplog, message="users ticked")] == [
        (1, 1, 0)
    ] * 3


def test_a_defect_before_any_user_is_known_fails_the_message_with_an_alarm(
    harness: TradingHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tick_batch, "already_ran", lambda *_: 1 / 0)
    harness.now += 30
    assert harness.work(harness.message(harness.user)) == [0]
    (line,) = lines(caplog, alarm="message_failed")
    assert "ZeroDivisionError" in line["reason"]


def test_users_whose_turn_did_not_come_have_a_decision_and_are_counted(
    newcomer: TradingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """An exchange that takes eight seconds for a read leaves no time for the last of them."""
    caplog.set_level("INFO", logger=logger.name)
    harness = newcomer
    users = [f"{harness.user}-{number}" for number in range(4)]
    for user in users:
        harness.open_account(user, TEN_THOUSAND_USDT)
        harness.set_strategy({"BTC": "50", "USDT": "50"}, user=user)
    harness.services = harness.another_process()
    object.__setattr__(harness.services.settings, "work_threads", 1)

    def slow(boundary: str) -> None:
        if boundary.startswith("before GET /api/v3/"):
            harness.now += 8

    harness.services.on_boundary = slow
    harness.now += 30
    ts_tick = harness.now
    assert harness.work(json.dumps({"ts_tick": ts_tick, "users": harness.versions(*users)})) == []
    assert harness.now - ts_tick <= 60
    reasons = [harness.context.decisions.get(user, ts_tick).reason_code for user in users]
    left_out = [reason for reason in reasons if reason is not None]
    assert len(left_out) == 3
    assert set(left_out) <= {"out_of_time", "tick_late"}
    (line,) = lines(caplog, message="users ticked")
    assert (line["users"], line["failed"], line["left_out"]) == (4, 0, 3)


def test_two_slow_answers_and_their_repetitions_end_with_the_run_s_time(harness: TradingHarness) -> None:
    """503 twice, each after nine seconds: with both reads that would be 72 s in a function of 60."""
    for where in (Where.OPEN_ORDERS, Where.BALANCES):
        harness.injector.script(FaultKind.SERVER_ERROR, where, times=2)
    started = harness.now + 30
    deadline = started + 60
    timeouts = []

    def slow(boundary: str) -> None:
        """The exchange takes nine seconds, or as long as it is waited for."""
        if boundary.startswith("before GET /api/v3/"):
            client = harness.context.clients.get(harness.user, "binance")._client  # type: ignore[attr-defined]
            timeouts.append(client.timeout / 1000)
            harness.now += min(9, int(client.timeout / 1000))

    job = harness.job()
    harness.now = started
    harness.services.on_boundary = slow
    context = harness.services.with_deadline(60_000)
    assert context.deadline == Deadline(deadline, harness.services.clock)
    decision = strategy_tick(context, job, started)
    assert decision is not None
    assert harness.now <= deadline
    assert max(timeouts) == 10
    assert timeouts[-1] <= 60 - 9 * (len(timeouts) - 1) - RESERVE_S
    assert "s are left of this run" in (decision.reason or "")
