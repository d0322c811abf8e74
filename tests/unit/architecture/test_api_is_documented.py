"""What people build on is written down, and as it is: the OpenAPI document, and every code of a problem."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args

import botbalance.errors
import pytest
from botbalance.api.account_schemas import StrategyRequest
from botbalance.api.fields import Exchange, ResponseModel
from botbalance.api.problem_codes import ProblemCode
from botbalance.engine import StrategyConfig
from botbalance.exchange.profiles import PROFILES
from botbalance.models.strategy import Strategy
from openapi import app
from openapi.document import openapi_document

ROOT = Path(__file__).parents[3]
SOURCES = [*(ROOT / "layers/engine/python/botbalance").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
ERRORS = {name for name, value in vars(botbalance.errors).items() if isinstance(value, type)}
NEVER_ANSWERED = {"queue_refused", "invalid_tick", "tick_late", "tick_failed"}
"""Raised by what no request reaches."""


def codes() -> Iterator[str]:
    """The codes of all errors that are raised with one, by name or by constant."""
    texts = {path: path.read_text() for path in SOURCES}
    constants = dict(re.findall(r'^([A-Z_]+) = "([a-z_]+)"$', "\n".join(texts.values()), re.MULTILINE))
    for text in texts.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                at = 1 if node.func.id == "problem" else 0
                if node.func.id not in {
                    *ERRORS,
                    "problem",
                    "RetryableReadError",
                    "InvalidJsonError",
                    "BodyTooLargeError",
                }:
                    continue
                code = node.args[at]
                if isinstance(code, ast.Constant):
                    yield str(code.value)
                elif isinstance(code, ast.Name) and code.id in constants:
                    yield constants[code.id]


def test_every_code_of_a_problem_is_explained() -> None:
    found = set(codes()) - NEVER_ANSWERED
    assert {"key_may_withdraw", "exchange_rate_limit", "storage_unavailable", "trading_halted"} <= found
    explained = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs/api.md").read_text()))
    assert found - explained == set()


def test_a_problem_has_no_other_code_than_the_document_lists() -> None:
    listed = set(get_args(ProblemCode))
    assert set(codes()) - NEVER_ANSWERED - listed == set()
    told = (ROOT / "docs/api.md").read_text().partition("## Errors")[2]
    assert listed - set(re.findall(r"`([a-z_]+)`", told)) == set()
    assert set(openapi_document()["components"]["schemas"]["ProblemView"]["properties"]["code"]["enum"]) == listed


def test_the_committed_document_is_what_the_code_says() -> None:
    """Otherwise: make openapi."""
    assert json.loads((ROOT / "docs/openapi.json").read_text()) == openapi_document()


def test_the_document_is_made_once_however_often_it_is_asked_for() -> None:
    app.document_text.cache_clear()
    answers = {app.get_openapi().body for _ in range(3)}
    assert [json.loads(str(answer)) for answer in answers] == [openapi_document()]
    assert (app.document_text.cache_info().misses, app.document_text.cache_info().hits) == (1, 2)


@pytest.mark.parametrize("path", openapi_document()["paths"])
def test_every_route_is_described_with_its_problems(path: str) -> None:
    for method, operation in openapi_document()["paths"][path].items():
        assert operation["summary"]
        assert {"200", "422", "429", "500", "503"} <= set(operation["responses"])
        for status, response in operation["responses"].items():
            if method == "head":
                assert "content" not in response
                continue
            content = set(response["content"])
            assert content == {"application/problem+json"} if status != "200" else len(content) == 1
        if path.startswith("/api/me/"):
            assert operation["security"] == [{"token": []}]
            assert "401" in operation["responses"]


def test_every_example_of_an_answer_is_one() -> None:
    shown = {shape: shape.model_config.get("json_schema_extra") for shape in every_answer(ResponseModel)}
    examples = {shape: extra["examples"] for shape, extra in shown.items() if isinstance(extra, dict)}
    assert len(examples) >= 8
    for shape, of_shape in examples.items():
        for example in of_shape if isinstance(of_shape, list) else []:
            assert json.loads(shape.model_validate(example).model_dump_json()) == example, shape


def every_answer(shape: type[ResponseModel]) -> Iterator[type[ResponseModel]]:
    for kind in shape.__subclasses__():
        yield kind
        yield from every_answer(kind)


def test_no_two_routes_have_one_name() -> None:
    names = [operation["operationId"] for path in openapi_document()["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_every_exchange_that_is_accepted_can_look_orders_up() -> None:
    assert set(get_args(Exchange)) == set(PROFILES)


def test_a_patch_can_name_whatever_its_owner_may_set() -> None:
    schemas = openapi_document()["components"]["schemas"]
    assert set(schemas["StrategyPatch"]["properties"]) == set(schemas["StrategyRequest"]["properties"])
    system_own = {
        "schema_version",
        "user_id",
        "autopilot_enabled",
        "disabled_reason",
        "stopping",
        "version",
        "updated_at",
    }
    assert set(schemas["StrategyRequest"]["properties"]) == set(Strategy.model_fields) - system_own


def test_what_a_strategy_does_not_say_is_the_same_in_the_engine_the_store_and_the_api() -> None:
    of_store = {name: field.default for name, field in Strategy.model_fields.items() if not field.is_required()}
    of_engine = {field.name: field.default for field in fields(StrategyConfig) if field.default is not MISSING}
    of_api = {name: field.default for name, field in StrategyRequest.model_fields.items() if name in of_engine}
    assert {name: of_store[name] for name in of_engine} == of_engine == of_api
