"""What MiniStack cannot take of the template, left out of a copy; everything else is deployed as it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.unit.architecture.transformed import get_att_as_lists
from workbench.aws.template import CloudFormationLoader


def adapt_built_template(built: Path, parameters: Mapping[str, str], gateway: str) -> Path:
    """Write the adapted copy beside the template that `sam build` has built; returns its path.

    ``gateway`` is the URL at which MiniStack answers, API Gateway among the rest.
    """
    template: dict[str, Any] = get_att_as_lists(yaml.load(built.read_text(), Loader=CloudFormationLoader))
    _without_gradual_deployment(template)
    _without_metric_math(template)
    _without_branding(template)
    _with_the_api_on_loopback(template, gateway)
    _with_plain_concurrency(template)
    _with_the_state_machine_in_json(template, built)
    _with_parameters_as_defaults(template, parameters)
    adapted = built.with_name("adapted.json")
    adapted.write_text(json.dumps(template))
    return adapted


def _without_gradual_deployment(template: dict[str, Any]) -> None:
    """MiniStack has no CodeDeploy: a new version is live at once."""
    del template["Globals"]["Function"]["DeploymentPreference"]


def _without_metric_math(template: dict[str, Any]) -> None:
    """MiniStack takes no alarm on an expression over metrics. It applies no metric filter either: none would sound."""
    resources = template["Resources"]
    template["Resources"] = {
        name: resource
        for name, resource in resources.items()
        if resource["Type"] != "AWS::CloudWatch::Alarm" or "Metrics" not in resource["Properties"]
    }


def _without_branding(template: dict[str, Any]) -> None:
    """MiniStack has the domain of the sign-in pages, and no pages to give a style to."""
    del template["Resources"]["SignInPages"]


def _with_the_api_on_loopback(template: dict[str, Any], gateway: str) -> None:
    """Nobody on loopback reaches a host of AWS's: the API is where MiniStack serves it. Nothing is encrypted."""
    address = urlsplit(gateway)
    template["Outputs"]["ApiUrl"]["Value"] = {"Fn::Sub": f"{gateway}/_aws/execute-api/${{Api}}/live/"}
    distribution = template["Resources"]["WebDistribution"]["Properties"]["DistributionConfig"]
    [api] = [origin for origin in distribution["Origins"] if origin["Id"] == "api"]
    api["DomainName"] = address.hostname
    api["OriginPath"] = {"Fn::Sub": "/_aws/execute-api/${Api}/live"}
    api["CustomOriginConfig"] = {"OriginProtocolPolicy": "http-only", "HTTPPort": address.port}
    for behaviour in (distribution["DefaultCacheBehavior"], *distribution["CacheBehaviors"]):
        behaviour["ViewerProtocolPolicy"] = "allow-all"
    statements = template["Resources"]["WebBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    statements[:] = [statement for statement in statements if statement["Effect"] == "Allow"]


def _with_plain_concurrency(template: dict[str, Any]) -> None:
    """MiniStack compares MaximumConcurrency with numbers and gets the parameter's text."""
    source = template["Resources"]["WorkFunction"]["Properties"]["Events"]["Users"]["Properties"]
    source["ScalingConfig"]["MaximumConcurrency"] = 2


def _with_the_state_machine_in_json(template: dict[str, Any], built: Path) -> None:
    """MiniStack reads a state machine's definition as JSON only; AWS takes YAML, too."""
    machine = template["Resources"]["TickSchedule"]["Properties"]
    definition = built.parent / machine["DefinitionUri"]
    in_json = built.with_name("autopilot.asl.json")
    in_json.write_text(json.dumps(yaml.safe_load(definition.read_text())))
    machine["DefinitionUri"] = in_json.name


def _with_parameters_as_defaults(template: dict[str, Any], parameters: Mapping[str, str]) -> None:
    """MiniStack runs SAM's transform without the deployment's parameters: it would find no release."""
    for name, value in parameters.items():
        template["Parameters"][name]["Default"] = value
