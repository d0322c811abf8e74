"""An API behind a custom domain's base path: the gateway passes it on in the path."""

import json
from pathlib import Path

import pytest

from workbench.aws.template import read_template
from workbench.local.lambda_runtime import LambdaRuntime

EVENTS = Path(__file__).parents[3] / "events"


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("base_path", ["", "/bot", "/v1/bot"])
def test_the_plan_is_answered_behind_a_base_path(base_path: str) -> None:
    event = json.loads((EVENTS / "plan.json").read_text())
    event["path"] = base_path + event["path"]
    answer = LambdaRuntime().invoke(read_template().functions()["PlanFunction"]["Handler"], event)
    assert answer["statusCode"] == 200, answer["body"][:200]


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("path", ["/bot/health", "/bot/apiary/me/orders/", "/api//me/orders/"])
def test_what_is_no_route_is_none_behind_it_either(path: str) -> None:
    event = json.loads((EVENTS / "plan.json").read_text()) | {"path": path}
    answer = LambdaRuntime().invoke(read_template().functions()["PlanFunction"]["Handler"], event)
    assert answer["statusCode"] == 404
