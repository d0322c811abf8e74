"""What the template deploys is what the code has: routes, tables, handlers, environment."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from botbalance.settings import Settings

from workbench.aws.template import TEMPLATE, Template, read_template

ROOT = Path(__file__).parents[3]
HTTP_FUNCTIONS = ("plan.app", "execute.app", "account.app", "openapi.app")


@pytest.fixture(scope="module")
def template() -> Template:
    return read_template()


def routes_in_code() -> set[tuple[str, str, str]]:
    found = set()
    for module in HTTP_FUNCTIONS:
        app: Any = import_module(module).app
        for route in [*app._static_routes, *app._dynamic_routes]:
            path = re.sub(r"<(\w+)>", r"{\1}", route.path)
            methods = {"GET", "HEAD"} if route.method.upper() == "GET" else {route.method.upper()}
            found |= {(f"{module}.lambda_handler", method, path) for method in methods}
    return found


def every_resource(template: Template) -> set[str]:
    return {
        logical_id
        for kind in ("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::KMS::Key")
        for logical_id in template.resources(kind)
    }


def test_every_route_of_the_code_is_in_the_template_and_the_other_way_round(template: Template) -> None:
    in_template = {(route.handler, route.method, route.path) for route in template.routes()}
    assert routes_in_code() == in_template


def test_every_route_about_a_user_is_authorised(template: Template) -> None:
    for route in template.routes():
        assert route.public is not route.path.startswith("/api/me/"), route


def test_every_handler_of_the_template_exists(template: Template) -> None:
    for logical_id, function in template.functions().items():
        module, _, name = function["Handler"].rpartition(".")
        assert callable(getattr(import_module(module), name)), logical_id


def test_the_environment_of_the_template_is_what_settings_read(template: Template) -> None:
    environment = template.environment({logical_id: logical_id for logical_id in every_resource(template)})
    unknown = {name for name in environment if name.lower() not in Settings.model_fields}
    assert unknown <= {"POWERTOOLS_LOG_LEVEL"}
    tables = {name for name in Settings.model_fields if name.endswith("_table")}
    assert tables == {name.lower() for name in environment if name.endswith("_TABLE")}
    assert len(template.resources("AWS::DynamoDB::Table")) == len(tables)


def test_every_setting_is_set_by_the_template_or_told_of_in_the_docs() -> None:
    told = TEMPLATE.read_text() + "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    own = {"aws_sam_local"}  # the SAM CLI's
    assert {name for name in Settings.model_fields if name.upper() not in told} == own


def test_every_queue_of_the_template_is_one_that_the_code_sends_to_or_its_dead_letters(template: Template) -> None:
    queues = template.resources("AWS::SQS::Queue")
    dead_letters = {
        queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"].partition(".")[0]
        for queue in queues.values()
        if "RedrivePolicy" in queue
    }
    environment = template.environment({logical_id: logical_id for logical_id in every_resource(template)})
    sent_to = {value for name, value in environment.items() if name.endswith("_QUEUE_URL")}
    assert sent_to | dead_letters == set(queues)
    assert {name.lower() for name in environment if name.endswith("_QUEUE_URL")} == {
        name for name in Settings.model_fields if name.endswith("_queue_url")
    }


def test_every_index_that_the_store_queries_is_in_the_template(template: Template) -> None:
    queried = set()
    for module in (ROOT / "layers/engine/python/botbalance/store").glob("*.py"):
        queried |= set(re.findall(r'^\w+_INDEX = "(\w+)"$', module.read_text(), re.MULTILINE))
    defined = {
        index["IndexName"]
        for table in template.resources("AWS::DynamoDB::Table").values()
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
        for index in table.get(kind, [])
    }
    assert queried == defined


def test_no_environment_variable_is_read_outside_of_settings() -> None:
    readers = {
        path.name
        for path in (ROOT / "layers/engine/python/botbalance").rglob("*.py")
        if re.search(r"\bos\.environ|\bgetenv\b", path.read_text())
    }
    assert readers == {"settings.py"}


def test_no_float_near_money() -> None:
    for room in ("engine", "trading", "exchange", "store"):
        for path in (ROOT / "layers/engine/python/botbalance" / room).rglob("*.py"):
            offending = [
                line for line in path.read_text().splitlines() if re.search(r"\bfloat\(|:\s*float\b|->\s*float\b", line)
            ]
            assert not offending, (path, offending)
