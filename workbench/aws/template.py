"""Reads infra/template.yaml: the tables, queues, routes, handlers and environment that are deployed.

The local stack is built from it, so a route or table that is missing there is missing here too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"


class CloudFormationLoader(yaml.CSafeLoader):
    """YAML with CloudFormation's short functions: ``!Ref X`` becomes ``{"Ref": "X"}``."""


def _intrinsic(loader: CloudFormationLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in {"Ref", "Condition"} else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {name: loader.construct_mapping(node, deep=True)}
    raise TypeError(f"!{tag} of {node!r}, expected a scalar, sequence or mapping")


CloudFormationLoader.add_multi_constructor("!", _intrinsic)


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path of the API (``/api/me/orders/{client_order_id}``), and the handler behind it."""

    method: str
    path: str
    handler: str
    public: bool


class Template:
    """A SAM template, as far as a local stack needs it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of every resource of a type (``AWS::DynamoDB::Table``), by logical id."""
        return {
            logical_id: resource.get("Properties", {})
            for logical_id, resource in self._document["Resources"].items()
            if resource["Type"] == kind
        }

    def default(self, parameter: str) -> str:
        """What a parameter is where nobody says otherwise."""
        return str(self._document["Parameters"][parameter]["Default"])

    def logical_ids(self) -> set[str]:
        """The names of all resources."""
        return set(self._document["Resources"])

    def retained(self, logical_id: str) -> bool:
        """Whether the resource stays when the stack is deleted, or replaces it."""
        resource = self._document["Resources"][logical_id]
        return bool(
            resource.get("DeletionPolicy") == "RetainExceptOnCreate" and resource.get("UpdateReplacePolicy") == "Retain"
        )

    def function_defaults(self) -> dict[str, Any]:
        """The properties that all functions share."""
        defaults: dict[str, Any] = self._document["Globals"]["Function"]
        return defaults

    def functions(self) -> dict[str, dict[str, Any]]:
        """The properties of every function, by logical id."""
        return self.resources("AWS::Serverless::Function")

    def preflight(self) -> dict[str, str]:
        """The headers by which the API tells a web page what it may ask for; the origin is not among them."""
        [api] = self.resources("AWS::Serverless::Api").values()
        return {
            f"Access-Control-{name}": str(api["Cors"][key]).strip("'")
            for name, key in (
                ("Allow-Methods", "AllowMethods"),
                ("Allow-Headers", "AllowHeaders"),
                ("Max-Age", "MaxAge"),
            )
        }

    def routes(self) -> Iterator[Route]:
        """Every route of the API."""
        for function in self.functions().values():
            for event in function.get("Events", {}).values():
                if event["Type"] == "Api":
                    properties = event["Properties"]
                    yield Route(
                        method=properties["Method"].upper(),
                        path=properties["Path"],
                        handler=function["Handler"],
                        public=properties.get("Auth", {}).get("Authorizer") == "NONE",
                    )

    def environment(self, physical_ids: Mapping[str, str]) -> dict[str, str]:
        """The environment of all functions together, every reference replaced by its physical id.

        ``physical_ids`` names the resources; one that is not there is empty. Parameters take their defaults.
        """
        merged = dict(self.function_defaults()["Environment"]["Variables"])
        for function in self.functions().values():
            merged |= function.get("Environment", {}).get("Variables", {})
        return {name: self._resolve(value, physical_ids) for name, value in merged.items()}

    def _resolve(self, value: Any, physical_ids: Mapping[str, str]) -> str:
        if isinstance(value, dict) and set(value) == {"Ref"}:
            name = value["Ref"]
            if name in physical_ids:
                return physical_ids[name]
            return "" if name in self.logical_ids() else self.default(name)
        if isinstance(value, dict) and set(value) == {"Fn::If"}:
            condition, if_met, otherwise = value["Fn::If"]
            return self._resolve(if_met if self._met(condition) else otherwise, physical_ids)
        if isinstance(value, dict):
            raise TypeError(f"an environment variable is {value}, expected a plain value, a !Ref or an !If")
        return str(value)

    def _met(self, condition: str) -> bool:
        """Whether a condition that compares a parameter holds with the parameter's default."""
        parameter, value = self._document["Conditions"][condition]["Fn::Equals"]
        return bool(self._document["Parameters"][parameter["Ref"]]["Default"] == value)


@cache
def read_template(path: Path = TEMPLATE) -> Template:
    """The project's template."""
    return Template(yaml.load(path.read_text(), Loader=CloudFormationLoader))  # noqa: S506  # nosec B506  # a SafeLoader
