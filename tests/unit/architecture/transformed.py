"""The template as CloudFormation gets it: after SAM's own transform, the code packaged as `sam package` does."""

import copy
import logging
from functools import cache
from typing import Any

import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from workbench.aws.template import TEMPLATE, CloudFormationLoader

# It warns of features that nobody asked for.
logging.getLogger("samtranslator").setLevel(logging.ERROR)


@cache
def _source() -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader=CloudFormationLoader)
    return document


@cache
def transformed(*, engine: str = "engine", functions: str = "functions", **parameters: str) -> dict[str, Any]:
    """The CloudFormation template; ``engine`` and ``functions`` stand for what the code's archives hold.

    It is the same object for the same arguments: whoever wants another one copies it.
    """
    template = get_att_as_lists(copy.deepcopy(_source()))
    template["Globals"]["Function"]["CodeUri"] = f"s3://packaged/{functions}"
    for name, layer in template["Resources"].items():
        if layer["Type"] == "AWS::Serverless::LayerVersion":
            layer["Properties"]["ContentUri"] = f"s3://packaged/{engine if name == 'EngineLayer' else name}"
    machine = template["Resources"]["TickSchedule"]["Properties"]
    machine["DefinitionUri"] = "s3://packaged/autopilot"
    values = {"Release": "0" * 40} | parameters
    translator = Translator({}, Parser())
    result: dict[str, Any] = translator.translate(template, values)
    return result


def get_att_as_lists(value: Any) -> Any:
    """``!GetAtt A.B`` as ``["A", "B"]``, which is how SAM reads it."""
    if isinstance(value, list):
        return [get_att_as_lists(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("Fn::GetAtt"), str):
        return {"Fn::GetAtt": value["Fn::GetAtt"].split(".", 1)}
    return {key: get_att_as_lists(item) for key, item in value.items()}


def resources(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Every resource of a type, by logical id, with its properties and policies."""
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}
