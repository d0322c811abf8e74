"""What POST execute answers where it was stopped midway, through the handler that is deployed."""

import json
from pathlib import Path
from typing import Any

import pytest
from botbalance import bootstrap
from execute import app as execute_app

from tests.integration.trading.harness import TradingHarness
from workbench.faults.kinds import FaultKind, Where
from workbench.local.lambda_runtime import InvocationContext

EVENT = Path(__file__).parents[3] / "events/execute.json"


def execute(harness: TradingHarness, **headers: str) -> tuple[int, dict[str, Any]]:
    event = json.loads(EVENT.read_text())
    event["requestContext"]["authorizer"]["claims"]["sub"] = harness.user
    event["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
    bootstrap.use(harness.services)
    try:
        context: Any = InvocationContext("execute", 29_000)
        answer = execute_app.lambda_handler(event, context)
    finally:
        bootstrap.use(None)
    return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture
def manual(harness: TradingHarness) -> TradingHarness:
    harness.set_strategy(autopilot=False)
    return harness


def test_an_intent_that_could_not_be_written_is_no_success_and_not_remembered(manual: TradingHarness) -> None:
    manual.injector.script(FaultKind.THROTTLED, Where.TRANSACTION, attempts=3)
    status, body = execute(manual, Idempotency_Key="one")
    assert (status, body["code"]) == (503, "storage_unavailable")
    assert [(entry["symbol"], entry["code"]) for entry in body["not_placed"]] == [
        (symbol, "storage_unavailable") for symbol in ("BTCUSDT", "ETHUSDT", "XRPUSDT")
    ]
    assert manual.booked() == []
    manual.now += 60
    status, body = execute(manual, Idempotency_Key="one")
    assert (status, len(body["orders"]), body["not_placed"]) == (200, 3, [])
    again = execute(manual, Idempotency_Key="one")
    assert again == (status, body)
    assert len(manual.asked("POST")) == 3


def test_without_time_left_the_answer_says_so(manual: TradingHarness) -> None:
    def slow(boundary: str) -> None:
        if boundary in {"after GET /api/v3/openOrders", "after GET /api/v3/account"}:
            manual.now += 8

    manual.services.on_boundary = slow
    status, body = execute(manual)
    assert (status, body["code"]) == (503, "out_of_time")
    assert len(body["not_placed"]) == 3
    assert manual.booked() == []


def test_what_was_sent_and_what_was_not_are_both_told(manual: TradingHarness) -> None:
    def slow(boundary: str) -> None:
        if boundary == "after POST /api/v3/order":
            manual.now += 10

    manual.services.on_boundary = slow
    status, body = execute(manual)
    assert status == 200
    sent = [order["symbol"] for order in body["orders"]]
    assert sent == ["BTCUSDT", "ETHUSDT"][: len(sent)]
    assert [entry["symbol"] for entry in body["not_placed"]] == ["BTCUSDT", "ETHUSDT", "XRPUSDT"][len(sent) :]
    assert {entry["code"] for entry in body["not_placed"]} <= {"out_of_time", "prices_expired"}
    assert len(manual.asked("POST")) == len(sent) >= 1


def test_a_key_that_may_not_trade_is_the_owner_s_to_mend(manual: TradingHarness) -> None:
    manual.injector.script(FaultKind.NO_PERMISSION, Where.PLACE_ORDER, times=9)
    status, body = execute(manual)
    assert (status, body["code"]) == (409, "exchange_key_refused")
    assert [entry["symbol"] for entry in body["not_placed"]] == ["ETHUSDT", "XRPUSDT"]
    assert len(manual.asked("POST")) == 1


def test_an_order_of_unknown_fate_is_an_order(manual: TradingHarness) -> None:
    """429 says nothing of whether it was taken: it may rest, so this was no answer in which nothing was sent."""
    manual.injector.script(FaultKind.LIMITED, Where.PLACE_ORDER)
    status, body = execute(manual)
    assert status == 200
    assert [(order["symbol"], order["status"]) for order in body["orders"]] == [("BTCUSDT", "PENDING")]
    assert {entry["code"] for entry in body["not_placed"]} == {"exchange_rate_limit"}
