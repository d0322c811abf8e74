"""The SAM CLI, and what it starts."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from workbench.aws.build import ROOT, bring_tool

BUILT = ROOT / ".aws-sam" / "x86_64"
IMAGE = "public.ecr.aws/lambda/python:3.13"
LONGEST_S = 120
_ENVIRONMENT = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
_AUTHORIZER = '''
def lambda_handler(event, context):
    """A bearer token is a user's name, as in a local run."""
    name = event["authorizationToken"].removeprefix("Bearer ")
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": event["methodArn"]}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": name, "policyDocument": policy, "context": {"claims": {"sub": name}}}
'''


def docker(*arguments: str) -> str:
    """What the Docker client prints; raises CalledProcessError where no engine answers."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def require_lambda_runtime() -> None:
    """Skip where functions cannot run here, and say why."""
    try:
        docker("image", "inspect", IMAGE)
    except FileNotFoundError:
        pytest.skip("there is no Docker client here")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no Docker engine here has {IMAGE}: {error.stderr.strip()}")
    if not (BUILT / "template.yaml").exists():
        pytest.skip("nothing is built: `make test-sam` builds and then runs this")


def address_for_containers() -> str:
    """This machine's address in Docker's default network: where a container's packets leave."""
    routes = docker("run", "--rm", "--entrypoint", "cat", IMAGE, "/proc/net/route").splitlines()[1:]
    (gateway,) = [bytes.fromhex(route.split()[2]) for route in routes if route.split()[1] == "00000000"]
    return ".".join(str(byte) for byte in reversed(gateway))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def template_with_local_users() -> Path:
    """The built template with a Lambda authorizer in place of Cognito's: `sam local` knows no other kind."""
    template = yaml.safe_load((BUILT / "template.yaml").read_text())
    authorizers = template["Resources"]["Api"]["Properties"]["Auth"]["Authorizers"]
    assert authorizers.keys() == {"Token"}
    del template["Resources"]["Api"]["Properties"]["Variables"]  # whose tokens are taken: here there are none
    authorizers["Token"] = {"FunctionArn": {"Fn::GetAtt": ["LocalUsers", "Arn"]}}
    template["Resources"]["LocalUsers"] = {
        "Type": "AWS::Serverless::Function",
        "Properties": {"CodeUri": "LocalUsers", "Handler": "authorizer.lambda_handler", "Layers": []},
    }
    code = BUILT / "LocalUsers" / "authorizer.py"
    code.parent.mkdir(exist_ok=True)
    code.write_text(_AUTHORIZER)
    changed = BUILT / "template-with-local-users.yaml"
    changed.write_text(json.dumps(template))
    return changed


def _command(verb: str, template: Path, variables: Path) -> list[str]:
    sam = bring_tool("sam")
    assert sam is not None
    options = {"--template": template, "--env-vars": variables, "--parameter-overrides": "Architecture=x86_64"}
    return [str(sam), "local", verb, *(str(word) for option in options.items() for word in option), "--skip-pull-image"]


def invoke(function: str, event: Mapping[str, Any], variables: Path) -> Any:
    """What ``function`` answers to ``event`` in a container of its own."""
    command = [*_command("invoke", BUILT / "template.yaml", variables), "--event", "-", function]
    run = subprocess.run(
        command,
        input=json.dumps(event),
        env=os.environ | _ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
    assert "(python3.13)" in run.stderr
    assert "inside runtime container" in run.stderr
    return json.loads(run.stdout)


@contextmanager
def api(variables: Path) -> Iterator[str]:
    """The API's URL, without a trailing slash, for as long as `sam local start-api` runs."""
    port = free_port()
    before = set(docker("ps", "--quiet").split())
    command = [*_command("start-api", template_with_local_users(), variables), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--warm-containers", "LAZY"],
        env=os.environ | _ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        told = []
        for line in process.stderr:  # it ends where the process does
            told.append(line)
            if "Running on" in line:
                break
        else:
            pytest.fail("sam local start-api ended: " + "".join(told))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=LONGEST_S)
        for container in set(docker("ps", "--quiet").split()) - before:
            docker("rm", "--force", container)
