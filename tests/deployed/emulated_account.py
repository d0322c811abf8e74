"""An AWS account on loopback, and the SAM CLI that deploys to it."""

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from tests.deployed.adaptations import adapt_built_template
from tests.deployed.documented import OperatorsShell
from workbench.aws.build import ROOT, bring_tool, find_uv
from workbench.aws.emulator import AwsEmulator
from workbench.aws.release import compute_release

REGION = "eu-central-1"
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
_ACCESS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
_LONGEST_COMMAND_S = 240


class EmulatedAccount:
    """MiniStack with all of AWS's services; nothing that runs here has anybody's credentials."""

    def __init__(self, home: Path) -> None:
        uv = find_uv()
        if uv is None:
            pytest.skip("uv is not at hand, which builds the layers")
        sam, aws = bring_tool("sam"), bring_tool("aws")
        if sam is None or aws is None:
            pytest.skip("the CLIs of SAM and AWS cannot be brought here: is the package index within reach?")
        self._uv, self._sam_cli, self._aws_cli = uv, sam, aws
        self._home = home
        self._emulator = AwsEmulator(whole=True)
        self.url = self._emulator.start()

    def wait(self) -> None:
        self._emulator.wait()

    def stop(self) -> None:
        self._emulator.stop()

    def client(self, service: str) -> Any:
        create: Any = boto3.client
        return create(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def build(self, checkout: Path) -> None:
        """`sam build` in a copy of the checkout."""
        self._sam(
            checkout, "build", "--cached", "--parallel", "--template", "infra/template.yaml",
            "--parameter-overrides", f"Architecture={ARCHITECTURE}",
        )  # fmt: skip

    def deploy(self, checkout: Path, stack: str, parameters: Mapping[str, str]) -> None:
        """`sam deploy` of what was built, with the release's name, as `make deploy` does it."""
        chosen = {"Architecture": ARCHITECTURE, **parameters}
        released = chosen | {"Release": compute_release(chosen, checkout)}
        adapted = adapt_built_template(checkout / ".aws-sam/build/template.yaml", released, self.url)
        self._sam(
            checkout, "deploy", "--template-file", str(adapted), "--stack-name", stack, "--region", REGION,
            "--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
            "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND",
            "--parameter-overrides", *(f"{name}={value}" for name, value in released.items()),
        )  # fmt: skip

    def shell(self, folder: Path, written: Mapping[str, str]) -> OperatorsShell:
        """A shell in ``folder``, which is made, signed in to this account, with the AWS CLI and botbalance."""
        (folder / "bin").mkdir(parents=True)
        aws = folder / "bin/aws"
        # Version 1 has a host of its own for queues, unless it is told one on the line.
        aws.write_text(f'#!/bin/sh\nexec {shlex.quote(str(self._aws_cli))} --endpoint-url {self.url} "$@"\n')
        aws.chmod(0o755)
        for name in ("botbalance", ".venv"):
            (folder / name).symlink_to(ROOT / name)
        environment = self._environment()
        path = f"{aws.parent}{os.pathsep}{environment['PATH']}"
        return OperatorsShell(folder, environment | {"PATH": path}, written)

    def outputs(self, stack: str) -> dict[str, str]:
        """The stack's outputs, by name."""
        [described] = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def resources(self, stack: str) -> dict[str, tuple[str, str]]:
        """The type and the physical id of the stack's resources, by logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
        return {
            resource["LogicalResourceId"]: (resource["ResourceType"], resource["PhysicalResourceId"])
            for page in pages
            for resource in page["StackResourceSummaries"]
            if resource["ResourceStatus"] != "DELETE_COMPLETE"
        }

    def log(self, group: str) -> list[dict[str, Any]]:
        """The functions' log: every line that is a JSON object."""
        return [json.loads(line) for line in self._log_lines(group) if line.startswith("{")]

    def crashes(self, group: str) -> list[str]:
        """What handlers have raised, as their runtime logs it: the last line of each traceback."""
        crashes, is_inside = [], False
        for line in self._log_lines(group):
            if is_inside and not line.startswith(" "):
                crashes.append(line)
                is_inside = False
            is_inside |= line.startswith("Traceback ")
        return crashes

    def _log_lines(self, group: str) -> list[str]:
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return [line for page in pages for event in page["events"] for line in event["message"].splitlines()]

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        kept |= {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_", "PIP_"))}
        kept |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        return (
            kept
            | _ACCESS
            | {
                "PATH": f"{self._uv.parent}{os.pathsep}{os.environ['PATH']}",
                "ARCHITECTURE": ARCHITECTURE,
                "AWS_ENDPOINT_URL": self.url,
                "NO_PROXY": "127.0.0.1,localhost",
                "SAM_CLI_TELEMETRY": "0",
                "AWS_CONFIG_FILE": str(self._home / "config"),
                "AWS_SHARED_CREDENTIALS_FILE": str(self._home / "credentials"),
            }
        )

    def _sam(self, folder: Path, *arguments: str) -> None:
        ran = subprocess.run(
            [self._sam_cli, *arguments],
            cwd=folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=_LONGEST_COMMAND_S,
            check=False,
        )
        assert ran.returncode == 0, f"sam {' '.join(arguments)}\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"


class Api:
    """The deployed API, as a signed-in user calls it."""

    def __init__(self, account: EmulatedAccount, stack: str, token: str | None) -> None:
        self._account = account
        self._stack = stack
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        """What it answers to ``/api/...``."""
        # Looked up each time: MiniStack makes another API of a changed definition, where AWS changes the one there is.
        rest_api = self._account.resources(self._stack)["Api"][1]
        url = f"{self._account.url}/_aws/execute-api/{rest_api}/live{path}"
        return requests.request(method, url, json=body, headers=self._headers, timeout=60)

    def expect(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON, which must be a success."""
        answer = self.ask(method, path, body)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        return answer.json() if answer.content else None
