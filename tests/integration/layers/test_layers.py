"""The two layers, built for Lambda's platform: small, complete, and in bytecode."""

import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from botbalance.exchange.profiles import ccxt_modules
from botbalance.settings import Settings

from tests.thorough import pick_sample
from workbench.aws.build import HANDLERS, ROOT, build_application, find_uv

LONGEST_S = 120
"""That any program here may take."""
LARGEST_BYTES = 60_000_000
TABLES = {name.upper(): name for name in Settings.model_fields if name.endswith("_table")}
"""The environment without which no function works."""
EXCHANGES = tuple(ccxt_modules())
MACHINE = {"arm64": b"\xb7\x00", "x86_64": b"\x3e\x00"}
"""An ELF file's word for the processor that it is for, by architecture."""
ARCHITECTURES = pick_sample(["x86_64", "arm64"], number=1, turn=0)

type Build = Callable[[str], list[Path]]


@pytest.fixture(scope="session")
def uv() -> Path:
    """The package installer, which the layers are built with."""
    found = find_uv()
    if found is None:
        pytest.skip("uv is neither in .bootstrap/bin nor on the path; `make build` brings it")
    return found


@pytest.fixture(scope="session")
def build(uv: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The functions and the merged layers for an architecture, built once.

    Where no package index answers they cannot be built, and the tests skip; CI has one.
    """

    @cache
    def build_once(architecture: str) -> list[Path]:
        try:
            return build_application(uv, architecture, tmp_path_factory.mktemp(architecture))
        except subprocess.CalledProcessError:
            if os.environ.get("CI"):
                raise
            pytest.skip("the layers cannot be built here: their wheels are in no cache, or no package index answers")

    return build_once


def in_layers_alone(built: list[Path], program: str) -> str:
    """What ``program`` prints where there is nothing but the layers and the functions."""
    beginning = f"import sys; sys.path[:0] = {[*map(str, built)]!r}\n"
    command = [f"{sys.base_prefix}/bin/python3.13", "-I", "-S", "-c", beginning + program]
    return subprocess.run(command, env={}, check=True, capture_output=True, text=True, timeout=LONGEST_S).stdout


def test_the_vendor_layer_is_made_of_what_is_locked(uv: Path) -> None:
    written = subprocess.run(
        ["make", "--silent", "--dry-run", "requirements"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    ).stdout
    arguments = written.replace("\\\n", " ").split()
    arguments = arguments[arguments.index("export") : arguments.index("--output-file")]
    locked = subprocess.run(
        [uv, *arguments], cwd=ROOT, check=True, capture_output=True, text=True, timeout=LONGEST_S
    ).stdout
    assert (ROOT / "layers/vendor/requirements.txt").read_text() == locked
    assert locked.count("--hash=sha256:") > locked.count("==")


def test_whoever_is_not_in_the_layer_is_not_asked_for_by_us() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    written = (ROOT / "layers/vendor/requirements.txt").read_text()
    for requirement in wanted:
        name = requirement.replace(">", "=").partition("=")[0]
        assert f"\n{name}==" in f"\n{written}"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_both_layers_together_are_small(build: Build, architecture: str) -> None:
    _, python = build(architecture)
    files = [path for path in python.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST_BYTES


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_module_is_there_in_bytecode_that_no_clock_makes_stale(build: Build, architecture: str) -> None:
    modules = [module for part in build(architecture) for module in part.rglob("*.py")]
    assert len(modules) > 500
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-313.pyc"
        head = compiled.read_bytes()[:8]
        assert head == importlib.util.MAGIC_NUMBER + b"\x01\x00\x00\x00", f"{module}: by hash, and unchecked"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiled_libraries_are_for_the_processor_that_was_asked_for(build: Build, architecture: str) -> None:
    _, python = build(architecture)
    libraries = list(python.rglob("*.so"))
    assert len(libraries) >= 3
    for library in libraries:
        assert library.read_bytes()[18:20] == MACHINE[architecture], library


@pytest.mark.parametrize("handler", HANDLERS)
def test_every_handler_is_complete_in_the_layers(build: Build, handler: str) -> None:
    printed = in_layers_alone(build("x86_64"), f"import {handler}; print({handler}.lambda_handler.__name__)")
    assert printed.strip() in {"lambda_handler", "decorate"}


def test_health_needs_neither_an_exchange_nor_a_table(build: Build) -> None:
    """What a function imports when it starts is what its first request waits for."""
    program = f"""
import json, os, sys
os.environ |= {TABLES!r}
from plan.app import lambda_handler
event = json.loads({(ROOT / "events/plan.json").read_text()!r}) | {{"path": "/api/health", "resource": "/api/health"}}
del event["requestContext"]["authorizer"]  # anybody may ask
class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "plan"
print(lambda_handler(event, Context)["statusCode"], *sorted({{"ccxt", "boto3", "botocore.client"}} & set(sys.modules)))
"""
    assert in_layers_alone(build("x86_64"), program).split() == ["200"]


def test_the_description_of_the_api_is_made_there_too(build: Build) -> None:
    program = f"""
import json, os
os.environ |= {TABLES!r}
from openapi.app import lambda_handler
event = json.loads({(ROOT / "events/reference.json").read_text()!r})
class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "openapi"
print(len(json.loads(lambda_handler(event, Context)["body"])["paths"]))
"""
    assert int(in_layers_alone(build("x86_64"), program)) > 10


def test_idempotency_keys_find_all_that_they_need(build: Build) -> None:
    assert (
        in_layers_alone(build("x86_64"), "import botbalance.api.idempotency as m; print(m.KEPT_S)").strip() == "86400"
    )


def test_every_exchange_can_be_signed_for(build: Build) -> None:
    program = f"""
from botbalance.errors import TransientError
from botbalance.exchange.ccxt_adapter import CcxtAdapter
for name in {EXCHANGES!r}:
    key = {{"api_key": "k" * 32, "secret": "c2VjcmV0" * 8, "password": "p"}}
    account = CcxtAdapter(name, base_url="http://127.0.0.1:9", sleep=lambda _: None, timeout_s=1, **key)
    try:
        account.balances()
    except TransientError as error:  # nobody answers there, but everything up to the request was at hand
        print(name)
"""
    assert in_layers_alone(build("x86_64"), program).split() == list(EXCHANGES)


def test_every_service_can_be_called(build: Build) -> None:
    program = """
import boto3
for service in ("dynamodb", "kms", "sqs"):
    boto3.client(service, region_name="eu-central-1", aws_access_key_id="k", aws_secret_access_key="s")
    print(service)
"""
    assert in_layers_alone(build("x86_64"), program).split() == ["dynamodb", "kms", "sqs"]


def test_the_engine_layer_is_our_code_alone(build: Build) -> None:
    sources = {path.relative_to(ROOT / "layers/engine/python") for path in ours(ROOT / "layers/engine/python")}
    _, python = build("arm64")
    built = {path.relative_to(python) for path in ours(python)}
    assert built == sources


def ours(python: Path) -> set[Path]:
    return set((python / "botbalance").rglob("*.py"))
