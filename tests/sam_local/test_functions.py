"""Plan, execute, account, dispatch and work, each in the Lambda runtime."""

import json
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from tests.sam_local.conftest import USER, LocalRun
from tests.sam_local.sam import invoke
from workbench.aws.build import ROOT
from workbench.aws.resources import CREDENTIALS
from workbench.local.clock import tick_at

PLAN = "/api/me/strategies/rebalance/plan"
EXECUTE = "/api/me/strategies/rebalance/execute"
ORDERS = "/api/me/orders"
TICK_S = 30


def event(name: str) -> Any:
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


def next_tick() -> int:
    """Not over before half a minute has passed, however long a container takes to start."""
    return (int(time.time()) // TICK_S + 1) * TICK_S


def actions(plan: Any) -> list[tuple[str, ...]]:
    planned = [asset["action"] for asset in plan["assets"] if asset["action"]]
    return sorted((a["symbol"], a["side"], a["limit_price"], a["base_qty"]) for a in planned)


def placed(orders: Any) -> list[tuple[str, ...]]:
    return sorted((o["symbol"], o["side"], o["limit_price"], o["base_qty"]) for o in orders)


def test_health_needs_no_user(sam_api: str) -> None:
    answer = requests.get(f"{sam_api}/api/health", timeout=60)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(("method", "path"), [("GET", PLAN), ("POST", EXECUTE), ("GET", ORDERS)])
def test_everything_about_a_user_needs_a_token(sam_api: str, method: str, path: str) -> None:
    assert requests.request(method, sam_api + path, timeout=60).status_code == 401


def test_what_is_planned_is_executed_to_the_last_digit(sam_api: str, local: LocalRun) -> None:
    plan = requests.get(f"{sam_api}{PLAN}/", headers=USER, timeout=60)
    without_slash = requests.get(sam_api + PLAN, headers=USER, timeout=60)
    assert plan.status_code == without_slash.status_code == 200, plan.text
    assert actions(plan.json()) == actions(without_slash.json()) == actions(local.ask("GET", f"{PLAN}/"))
    assert len(actions(plan.json())) == 4

    execution = requests.post(f"{sam_api}{EXECUTE}/", headers=USER, timeout=60)
    assert execution.status_code == 200, execution.text
    assert placed(execution.json()["orders"]) == actions(plan.json())

    listed = requests.get(f"{sam_api}{ORDERS}/", headers=USER, timeout=60)
    resting = [order for order in listed.json()["orders"] if order["status"] == "OPEN"]
    assert placed(resting) == actions(plan.json())


def test_another_user_sees_none_of_it(sam_api: str) -> None:
    answer = requests.get(f"{sam_api}{ORDERS}/", headers={"Authorization": "Bearer somebody"}, timeout=60)
    assert (answer.status_code, answer.json()["orders"]) == (200, [])


def test_a_strategy_that_cannot_be_is_refused_as_a_problem(sam_api: str) -> None:
    answer = requests.put(
        f"{sam_api}/api/me/strategies/rebalance/", json={"target_allocations": {}}, headers=USER, timeout=60
    )
    assert answer.status_code in {400, 422}
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_autopilot_ticks_from_the_schedule_to_the_logged_decision(local: LocalRun) -> None:
    local.autopilot(enabled=True)
    ts_tick = next_tick()
    dispatched = invoke("DispatchFunction", event("dispatch") | {"tick_at": tick_at(ts_tick)}, local.variables)
    assert dispatched == {"ts_tick": ts_tick, "users": 1, "messages": 1}

    environment = local.environment()
    sqs: Any = boto3.client(
        "sqs",
        endpoint_url=environment["SQS_ENDPOINT"],
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    (message,) = sqs.receive_message(QueueUrl=environment["TICK_QUEUE_URL"])["Messages"]
    sqs.delete_message(QueueUrl=environment["TICK_QUEUE_URL"], ReceiptHandle=message["ReceiptHandle"])
    sqs.close()
    work = event("work")
    work["Records"][0] |= {"messageId": message["MessageId"], "body": message["Body"]}
    assert invoke("WorkFunction", work, local.variables) == {"batchItemFailures": []}

    decision = local.ask("GET", f"/api/me/decisions/{ts_tick}/")
    assert (decision["outcome"], decision["reason"]) == ("decided", None)
    assert len(decision["placed"]) == 4


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "events").glob("*.json"))])
def test_every_sample_event_is_answered(local: LocalRun, name: str) -> None:
    answer = invoke(f"{name.capitalize()}Function", event(name), local.variables)
    if name == "dispatch":
        assert answer == {"ts_tick": 1_769_860_830, "users": 0, "messages": 0}
    elif name == "collect":  # for a user who has no channel
        assert answer == {"activities": 1, "queued": 0}
    elif name == "due":
        assert answer == {"queued": 0}
    elif name == "leavers":  # there is no user pool on one machine, and it believes none that it cannot ask
        assert (answer["errorType"], "user pool" in answer["errorMessage"]) == ("TransientError", True)
    elif name in {"work", "deliver"}:  # a tick of long ago, which is left out; a message that nobody knows
        assert answer == {"batchItemFailures": []}
    else:
        assert answer["statusCode"] == 200
        assert "BTC" in answer["body"]


def test_there_is_a_sample_event_for_every_function() -> None:
    handlers = {"account", "collect", "deliver", "dispatch", "due", "execute", "leavers", "plan", "reference", "work"}
    assert {Path(path).stem for path in (ROOT / "events").glob("*.json")} == handlers
