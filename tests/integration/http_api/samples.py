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

    def parameters_in(self, place: str) -> list[dict[str, Any]]:
        return [parameter for parameter in self.told.get("parameters", []) if parameter["in"] == place]

    def body(self) -> Any:
        """A body that fits its schema; None where it takes none."""
        request = self.told.get("requestBody")
        return sample_of(request["content"]["application/json"]["schema"]) if request else None


def operations() -> list[Operation]:
    return [
        Operation(method.upper(), path, told)
        for path, methods in DOCUMENT["paths"].items()
        for method, told in methods.items()
    ]


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def sample_of(schema: Mapping[str, Any]) -> Any:
    """Something that fits ``schema``: its example where it has one, and every field that it names."""
    if "$ref" in schema:
        return sample_of(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for told in ("examples", "enum"):
        if told in schema:
            return schema[told][0]
    if schema.get("type") == "object":
        return {name: sample_of(field) for name, field in schema.get("properties", {}).items()}
    if "default" in schema:
        return schema["default"]
    if "anyOf" in schema:
        return sample_of(schema["anyOf"][0])
    plain = {"boolean": False, "integer": schema.get("minimum", 1), "string": "k" * max(8, schema.get("minLength", 0))}
    return plain[schema["type"]]


def values_of(name: str, document: Any) -> Iterator[Any]:
    """Every value of a field of that name, however deep it lies."""
    if isinstance(document, dict):
        for field, value in document.items():
            if field == name:
                yield value
            yield from values_of(name, value)
    elif isinstance(document, list):
        for entry in document:
            yield from values_of(name, entry)
