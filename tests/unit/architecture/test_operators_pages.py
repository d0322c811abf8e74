"""What docs/deploy.md and docs/operate.md say of the template: parameters, alarms, rights, names."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.architecture.transformed import resources, transformed
from workbench.aws.template import read_template

ROOT = Path(__file__).parents[3]
DEPLOY = (ROOT / "docs/deploy.md").read_text()
OPERATE = (ROOT / "docs/operate.md").read_text()
SERVICES = {
    "ApiGateway": "API Gateway",
    "CodeDeploy": "CodeDeploy",
    "CloudFormation": "CloudFormation",
    "CloudFront": "CloudFront",
    "CloudWatch": "CloudWatch",
    "Cognito": "Cognito",
    "DynamoDB": "DynamoDB",
    "EC2": "EC2",
    "Events": "Events",
    "IAM": "IAM",
    "KMS": "KMS",
    "Lambda": "Lambda",
    "Logs": "Logs",
    "S3": "S3",
    "SNS": "SNS",
    "SQS": "SQS",
    "StepFunctions": "States",
}
"""The services of resource types, by the words of docs/deploy.md."""


@pytest.fixture
def formation(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    return transformed()


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The cells of the table under a heading, by what stands first in its row."""
    part = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = (line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| `"))
    return {first.strip("`"): cells for first, *cells in found}


def sounds_at(alarm: dict[str, Any]) -> tuple[str, str]:
    """An alarm's threshold, and for how long, in the words of docs/operate.md."""
    sign = {"GreaterThanThreshold": ">", "LessThanThreshold": "<"}[alarm["ComparisonOperator"]]
    of = alarm["EvaluationPeriods"]
    [seconds] = {
        alarm.get("Period"),
        *(metric["MetricStat"]["Period"] for metric in alarm.get("Metrics", []) if "MetricStat" in metric),
    } - {None}
    unit = {60: " minute", 300: " times 5 minutes"}[seconds]
    plural = "s" if of > 1 else ""
    return f"{sign} {alarm['Threshold']}", f"{alarm.get('DatapointsToAlarm', of)} of {of}{unit}{plural}"


def test_every_alarm_is_explained_with_its_threshold(formation: dict[str, Any]) -> None:
    alarms = resources(formation, "AWS::CloudWatch::Alarm")
    told = rows(OPERATE, "Alarms")
    assert set(told) == set(alarms)
    for name, alarm in alarms.items():
        threshold, duration = sounds_at(alarm["Properties"])
        at, what, to_do = told[name]
        assert re.fullmatch(rf"{re.escape(threshold)}( \([a-z ]+\))?, {duration}", at), name
        assert what, name
        assert to_do, name


def test_every_parameter_is_explained_with_its_default(formation: dict[str, Any]) -> None:
    told = rows(DEPLOY, "Deploy")
    parameters = formation["Parameters"]
    assert set(told) == set(parameters) - {"Release"}  # which `make deploy` computes
    for name, (default, _) in told.items():
        assert default.strip("`") == (str(parameters[name]["Default"]) or "none"), name


@pytest.mark.parametrize("page", [DEPLOY, OPERATE], ids=["deploy", "operate"])
def test_every_name_of_the_stack_exists(page: str, formation: dict[str, Any]) -> None:
    assert set(re.findall(r"\bout (\w+)\)", page)) <= set(formation["Outputs"])
    assert set(re.findall(r"\bphysical ([A-Z]\w+)", page)) <= set(formation["Resources"])
    named = set(re.findall(r"(\w+)=", " ".join(re.findall(r'PARAMETERS="([^"]*)"', page))))
    assert named <= set(formation["Parameters"])


def test_rights_name_every_service_that_a_deployment_makes_something_of(formation: dict[str, Any]) -> None:
    types = {resource["Type"] for resource in formation["Resources"].values()}
    types |= set(re.findall(r"Type: (AWS::\w+::\w+)", (ROOT / "infra/egress.yaml").read_text()))
    [rights] = re.findall(r"^\*\*Rights\.\*\*.*?^$", DEPLOY, re.DOTALL | re.MULTILINE)
    needed = {kind.split("::")[1] for kind in types if kind.startswith("AWS::")}
    assert [service for service in sorted(needed) if not re.search(rf"\b{SERVICES[service]}\b", rights)] == []


def test_every_function_has_its_rights_explained() -> None:
    part = DEPLOY.partition("## Who may do what\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| (\w+) \|", part, re.MULTILINE)[1:]
    assert {f"{name.capitalize()}Function" for name in told} == set(read_template().functions())
