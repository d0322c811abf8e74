"""The OpenAPI 3.1 document of all functions together, made from their routes, shapes and docstrings."""

import inspect
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import account.app
import execute.app
import plan.app
from aws_lambda_powertools.event_handler.openapi.merge import OpenAPIMerge
from botbalance import __version__

import openapi.app

SECURITY = "token"
_FUNCTIONS: tuple[ModuleType, ...] = (plan.app, execute.app, account.app, openapi.app)
_ABOUT = """Keeps a crypto portfolio at its target shares with limit orders.

Paths are taken with and without a trailing slash. Money, prices, quantities and percentages are strings of exact
decimals; times are epoch seconds, or milliseconds where the name ends in `_ms`. Errors are `application/problem+json`
(RFC 9457) with a stable `code`; docs/api.md lists them all. Every answer has an `X-Request-Id`.
"""
_HEADERS = {"if-match": "If-Match", "idempotency-key": "Idempotency-Key"}
"""Headers as docs/api.md spells them, by the form that the resolver reads them in."""
_TAGS = {
    "strategies": "strategy",
    "portfolio": "portfolio",
    "pauses": "orders",
    "balances": "portfolio",
    "orders": "orders",
    "fills.csv": "orders",
    "exports": "orders",
    "decisions": "decisions",
    "exchange": "exchange",
    "overview": "portfolio",
    "activity": "activity",
    "notifications": "notifications",
}


def openapi_document() -> dict[str, Any]:
    """The document, as JSON has it."""
    merge = OpenAPIMerge(title="BotBalance", version=__version__, description=_ABOUT, on_conflict="error")
    documents = [json.loads(function.app.get_openapi_json_schema(title="BotBalance")) for function in _FUNCTIONS]
    for function, part in zip(_FUNCTIONS, documents, strict=True):
        for path, method, operation in _operations(part):
            _complete(operation, path, method, function)
        merge.add_schema(part)
    document = merge.get_openapi_schema()
    document["components"]["securitySchemes"] = {
        SECURITY: {"type": "http", "scheme": "bearer", "description": "An ID token of the user pool."}
    }
    for unused in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    for methods in document["paths"].values():
        if "get" in methods:
            methods["head"] = _head(methods["get"])
    document["paths"] = dict(sorted(document["paths"].items()))
    document["components"]["schemas"] = dict(sorted(document["components"]["schemas"].items()))
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _complete(operation: dict[str, Any], path: str, method: str, function: ModuleType) -> None:
    """Add what the routes have in common, and what their docstrings say."""
    operation["operationId"] = operation["operationId"].partition("_api_")[0]
    summary, _, description = (inspect.getdoc(getattr(function, operation["operationId"])) or "").partition("\n\n")
    operation["summary"] = summary.rstrip(".")
    if description:
        operation["description"] = description
    parts = path.split("/")
    about_a_user = parts[2] == "me"
    operation["tags"] = [_TAGS[parts[3]] if about_a_user else "service"]
    operation["security"] = [{SECURITY: []}] if about_a_user else []
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "header":
            parameter["name"] = _HEADERS[parameter["name"]]
    operation["responses"] = dict(sorted(operation["responses"].items()))
    if not about_a_user:
        del operation["responses"]["401"]


def _head(get: dict[str, Any]) -> dict[str, Any]:
    """What HEAD does where GET does this: the same, without a body."""
    responses = {
        status: {part: told for part, told in response.items() if part != "content"}
        for status, response in get["responses"].items()
    }
    summary = f"{get['summary']}: status and headers alone"
    return {**get, "operationId": f"head_{get['operationId'].removeprefix('get_')}", "summary": summary} | {
        "responses": responses
    }


if __name__ == "__main__":
    print(json.dumps(openapi_document(), indent=2))
