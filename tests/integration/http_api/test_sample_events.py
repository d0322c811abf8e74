"""The sample events for ``sam local invoke``, answered by the handlers that the template names."""

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.aws.template import read_template
from workbench.local.lambda_runtime import LambdaRuntime
from workbench.local.stack import Stack

EVENTS = Path(__file__).parents[3] / "events"
FUNCTIONS = read_template().functions()


def answer_to(name: str) -> Any:
    event = json.loads((EVENTS / f"{name}.json").read_text())
    return LambdaRuntime().invoke(FUNCTIONS[f"{name.capitalize()}Function"]["Handler"], event)


def test_there_is_one_for_every_function() -> None:
    assert {f"{path.stem.capitalize()}Function" for path in EVENTS.glob("*.json")} == set(FUNCTIONS)


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("name", ["plan", "account", "execute"])
def test_those_of_the_api_are_answered_for_the_demo_user(name: str) -> None:
    answer = answer_to(name)
    assert answer["statusCode"] == 200, answer
    assert "BTC" in answer["body"]


def test_the_schedules_is_dispatched(stack: Stack) -> None:
    assert answer_to("dispatch") == {"ts_tick": 1_769_860_830, "users": 0, "messages": 0}
    assert stack.url


@pytest.mark.usefixtures("stack")
def test_the_queues_is_of_long_ago_and_left_out() -> None:
    assert answer_to("work") == {"batchItemFailures": []}
