"""The dashboard as it is deployed: a private bucket and the API behind one name, and what copies the files there."""

import importlib.util
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.unit.architecture.transformed import transformed
from workbench.aws.release import ROOT, compute_release
from workbench.local import dashboard
from workbench.local.dashboard import SECURITY_HEADERS

BUCKET = "web-files"
CONFIG = {"mode": "cognito", "clientId": "client"}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)


def web_resources() -> dict[str, Any]:
    return {name: one for name, one in transformed()["Resources"].items() if name.startswith("Web")}


def resource_properties(name: str) -> Any:
    return web_resources()[name]["Properties"]


def test_off_there_is_none_of_it_and_off_is_the_default() -> None:
    template = transformed()
    assert template["Parameters"]["WebApp"]["Default"] == "false"
    assert len(web_resources()) == 8
    assert {one.get("Condition") for one in web_resources().values()} == {"Web"}
    assert template["Outputs"]["WebUrl"]["Condition"] == "Web"


def test_nobody_reads_the_bucket_but_this_distribution() -> None:
    blocked = resource_properties("WebBucket")["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    assert len(blocked) == 4
    allowed, denied = resource_properties("WebBucketPolicy")["PolicyDocument"]["Statement"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "cloudfront.amazonaws.com"}, "s3:GetObject")
    assert "distribution/${WebDistribution}" in str(allowed["Condition"]["StringEquals"]["AWS:SourceArn"])
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    access = resource_properties("WebOriginAccess")["OriginAccessControlConfig"]
    assert (access["SigningBehavior"], access["SigningProtocol"]) == ("always", "sigv4")


def test_the_api_is_behind_the_same_name_and_never_cached() -> None:
    distribution = resource_properties("WebDistribution")["DistributionConfig"]
    files, api = distribution["Origins"]
    assert distribution["DefaultCacheBehavior"]["TargetOriginId"] == files["Id"]
    assert files["OriginAccessControlId"] == {"Fn::GetAtt": ["WebOriginAccess", "Id"]}
    assert api["OriginPath"] == "/live"
    [behaviour] = distribution["CacheBehaviors"]
    assert (behaviour["PathPattern"], behaviour["TargetOriginId"]) == ("/api/*", api["Id"])
    assert behaviour["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "CachingDisabled"
    assert behaviour["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac", "AllViewerExceptHostHeader"
    assert set(behaviour["AllowedMethods"]) >= {"GET", "PUT", "PATCH", "POST", "DELETE"}
    # An error page of the distribution would take the place of the API's own problems.
    assert "CustomErrorResponses" not in distribution


def directives(policy: str) -> dict[str, set[str]]:
    parts = [part.split() for part in policy.split(";") if part.strip()]
    return {name: set(sources) for name, *sources in parts}


def test_the_policy_is_the_one_of_a_local_run_and_the_sign_in_s_origins() -> None:
    headers = resource_properties("WebHeaders")["ResponseHeadersPolicyConfig"]
    deployed = directives(headers["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Fn::Sub"])
    local = directives(SECURITY_HEADERS["Content-Security-Policy"])
    assert not any("unsafe" in source for sources in deployed.values() for source in sources)
    sign_in = deployed["connect-src"] - local["connect-src"]
    assert sign_in == {
        "https://cognito-idp.${AWS::Region}.amazonaws.com",
        "https://${SignInDomain}.auth.${AWS::Region}.amazoncognito.com",
    }
    assert deployed | {"connect-src": local["connect-src"]} == local


def test_other_files_are_another_release(tmp_path: Path) -> None:
    (tmp_path / "infra/web_files/dist").mkdir(parents=True)
    page = tmp_path / "infra/web_files/dist/index.html"
    page.write_text("one")
    first = compute_release({}, tmp_path)
    page.write_text("another")
    assert compute_release({}, tmp_path) != first
    assert resource_properties("WebFiles")["Release"] == {"Ref": "Release"}


def test_files_are_kept_by_browsers_as_long_here_as_there(web_files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "DIST", web_files.DIST)
    kept = {path: dashboard.dashboard_file(path, []) for path in ("/", "/favicon.svg", "/assets/index-abc.js")}
    assert {path: file.cache_control if file else None for path, file in kept.items()} == {
        "/": web_files.ASK_AGAIN,
        "/favicon.svg": web_files.ASK_AGAIN,
        "/assets/index-abc.js": web_files.IMMUTABLE,
    }


# What copies the files -----------------------------------------------------------------------------------------


@pytest.fixture
def web_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The function's module, with a dashboard of three files."""
    spec = importlib.util.spec_from_file_location("web_files_app", ROOT / "infra/web_files/app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "assets").mkdir()
    for name in ("index.html", "favicon.svg", "assets/index-abc.js"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(module, "DIST", tmp_path)
    return module


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Where CloudFormation waits for an answer, and the answers that came."""
    received: list[dict[str, Any]] = []

    class Waiting(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = HTTPServer(("127.0.0.1", 0), Waiting)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/answer", received
    server.shutdown()
    server.server_close()


def ask(module: Any, url: str, kind: str) -> None:
    event = {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "WebFiles",
        "ResourceProperties": {"Bucket": BUCKET, "Config": json.dumps(CONFIG)},
    }
    module.lambda_handler(event, None)


def test_files_are_copied_with_how_long_they_last_and_go_with_the_stack(
    web_files: Any, s3: Any, answers: tuple[str, list[dict[str, Any]]]
) -> None:
    url, received = answers
    ask(web_files, url, "Create")
    found = {
        one["Key"]: s3.get_object(Bucket=BUCKET, Key=one["Key"])
        for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    }
    assert {key: (one["ContentType"], one["CacheControl"]) for key, one in found.items()} == {
        "index.html": ("text/html", "no-cache"),
        "favicon.svg": ("image/svg+xml", "no-cache"),
        "config.json": ("application/json", "no-cache"),
        "assets/index-abc.js": ("text/javascript", "public, max-age=31536000, immutable"),
    }
    assert json.loads(found["config.json"]["Body"].read()) == CONFIG
    ask(web_files, url, "Update")
    ask(web_files, url, "Delete")
    assert "Versions" not in s3.list_object_versions(Bucket=BUCKET)
    assert [(one["Status"], one["PhysicalResourceId"]) for one in received] == [("SUCCESS", BUCKET)] * 3


def test_a_dashboard_that_is_not_built_fails_the_deployment_and_says_why(
    web_files: Any, s3: Any, answers: tuple[str, list[dict[str, Any]]]
) -> None:
    del s3
    (web_files.DIST / "index.html").unlink()
    ask(web_files, answers[0], "Create")
    [answer] = answers[1]
    assert answer["Status"] == "FAILED"
    assert "run make web" in answer["Reason"]
