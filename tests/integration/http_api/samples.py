"""Requests made from the OpenAPI document, so that a new route has one by itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from openapi.document import openapi_document

DOCUMENT = openapi_document()


@dataclass(frozen=True)
class Operation:
    """One method and path of the document, with what it says of them."""

    method: str
    path: str
    told: Mapping[str, Any]

    @property
    def public(self) -> bool:
        return not self.told["security"]

    def select_parameters(self, place: str) -> list[dict[str, Any]]:
        return [parameter for parameter in self.told.get("parameters", []) if parameter["in"] == place]

    def body(self) -> Any:
        """A body that fits its schema; None where it takes none."""
        request = self.told.get("requestBody")
        return make_sample(request["content"]["application/json"]["schema"]) if request else None


def operations() -> list[Operation]:
    """All but HEAD, which is GET without its body (test_head.py)."""
    return [
        Operation(method.upper(), path, told)
        for path, methods in DOCUMENT["paths"].items()
        for method, told in methods.items()
        if method != "head"
    ]


def operation_name(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def make_sample(schema: Mapping[str, Any]) -> Any:
    """Something that fits ``schema``: its example where it has one, and every field that it names."""
    if "$ref" in schema:
        return make_sample(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for told in ("examples", "enum"):
        if told in schema:
            return schema[told][0]
    if schema.get("type") == "object":
        return {name: make_sample(field) for name, field in schema.get("properties", {}).items()}
    if "default" in schema:
        return schema["default"]
    if "anyOf" in schema:
        return make_sample(schema["anyOf"][0])
    plain = {"boolean": False, "integer": schema.get("minimum", 1), "string": "k" * max(8, schema.get("minLength", 0))}
    return plain[schema["type"]]


def find_values(name: str, document: Any) -> Iterator[Any]:
    """Every value of a field of that name, however deep it lies."""
    if isinstance(document, dict):
        for field, value in document.items():
            if field == name:
                yield value
            yield from find_values(name, value)
    elif isinstance(document, list):
        for entry in document:
            yield from find_values(name, entry)
