"""How long a function takes to start: each handler's import, side by side with what is usually imported.

    .venv/bin/python benchmarks/cold_start.py

Every figure is the median of fresh processes, taken in turns, in milliseconds for the import alone; "of naive" is a
share of the naive one beside it. The handlers are imported from the layers as they are built for deployment; the naive
function imports all of ccxt, boto3's resources and all of Powertools that its tutorials use, from an environment with
the same versions.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from workbench.aws.build import HANDLERS, build_application, find_uv

ROUNDS = 5
PYTHON = f"{sys.base_prefix}/bin/python3.13"
IMAGE = "public.ecr.aws/lambda/python:3.13"
NAIVE = "naive"
_NAIVE_IMPORTS = """
import ccxt, boto3
boto3.resource("dynamodb", region_name="eu-central-1")
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities import batch, data_classes, feature_flags, idempotency, parameters, parser
from aws_lambda_powertools.utilities import validation
Logger(service="naive"); Metrics(namespace="naive"); Tracer(service="naive")
"""

_WITH_BYTECODE: tuple[str, ...] = ()
_WITHOUT = ("-B", "-X", "pycache_prefix=/nonexistent")

type Command = Callable[[str, tuple[str, ...]], list[str]]
"""The command that imports a handler (or what the naive one does), with these options of the interpreter."""


def program(name: str, paths: list[str]) -> str:
    """A program that prints how many milliseconds the import of ``name`` takes."""
    statement = _NAIVE_IMPORTS if name == NAIVE else f"import {name}"
    return (
        f"import sys, time; began = time.perf_counter(); sys.path[:0] = {paths!r}\n{statement}\n"
        "print((time.perf_counter() - began) * 1000)"
    )


def naive_environment(uv: Path, target: Path) -> Path:
    """All of what is locked, and Powertools with everything that it can use, in bytecode."""
    wanted = [f"{name}=={version(name.partition('[')[0])}" for name in ("aws-lambda-powertools[all]", "boto3", "ccxt")]
    command = [
        str(uv),
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        PYTHON,
        "--target",
        str(target),
        *wanted,
    ]
    subprocess.run(command, cwd=target.parent, check=True)
    return target


def on_this_machine(built: list[Path], naive: Path) -> Command:
    """In a fresh interpreter, which sees nothing but the layers, or the naive environment."""

    def command(name: str, options: tuple[str, ...]) -> list[str]:
        paths = [str(naive)] if name == NAIVE else [*map(str, built)]
        return [PYTHON, "-I", "-S", *options, "-c", program(name, paths)]

    return command


def on_the_lambda_runtime(built: list[Path], naive: Path) -> Command:
    """In a fresh container of the Lambda image."""

    functions, python = built

    def command(name: str, options: tuple[str, ...]) -> list[str]:
        mounted = ["/naive"] if name == NAIVE else ["/var/task", "/opt/python"]
        volumes = [
            f"--volume={functions}:/var/task:ro",
            f"--volume={python}:/opt/python:ro",
            f"--volume={naive}:/naive:ro",
        ]
        run = ["docker", "run", "--rm", "--network=none", "--entrypoint=python3", *volumes, IMAGE]
        return [*run, "-I", *options, "-c", program(name, mounted)]

    return command


def measured(command: Command, options: tuple[str, ...]) -> dict[str, float]:
    """The median of each handler and of the naive one, in milliseconds."""
    taken: dict[str, list[float]] = {name: [] for name in (*HANDLERS, NAIVE)}
    for _ in range(ROUNDS):
        for name, times in taken.items():
            run = subprocess.run(command(name, options), check=True, capture_output=True, text=True)
            times.append(float(run.stdout))
    return {name: median(times) for name, times in taken.items()}


def has_the_image() -> bool:
    """Whether a Docker engine answers here and has the Lambda image."""
    if shutil.which("docker") is None:
        return False
    return not subprocess.run(["docker", "image", "inspect", IMAGE], check=False, capture_output=True).returncode


def main() -> None:
    """Measure and print."""
    console = Console()
    uv = find_uv()
    if uv is None:
        raise SystemExit("uv is neither in .bootstrap/bin nor on the path; `make build` brings it")
    machine = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
    with tempfile.TemporaryDirectory() as target:
        built = build_application(uv, machine, Path(target, "built"))
        naive = naive_environment(uv, Path(target, "naive"))
        size = sum(path.stat().st_size for path in built[1].rglob("*") if path.is_file())
        console.print(f"Both layers for {machine}: {size / 1e6:.1f} MB unzipped, bytecode included.")
        places = {"on this machine": on_this_machine(built, naive)}
        if has_the_image():
            places["on the Lambda runtime"] = on_the_lambda_runtime(built, naive)
        else:
            console.print(f"Not measured on the Lambda runtime: no Docker engine here has {IMAGE}.")
        for place, command in places.items():
            table = Table(title=f"Import {place}, ms (median of {ROUNDS})", title_justify="left")
            for column in ("", "with bytecode", "of naive", "without", "of naive"):
                table.add_column(column, justify="right" if column else "left")
            with_bytecode, without = measured(command, _WITH_BYTECODE), measured(command, _WITHOUT)
            for name in with_bytecode:
                table.add_row(
                    name,
                    f"{with_bytecode[name]:.0f}",
                    f"{with_bytecode[name] / with_bytecode[NAIVE]:.2f}",
                    f"{without[name]:.0f}",
                    f"{without[name] / without[NAIVE]:.2f}",
                )
            console.print(table)


if __name__ == "__main__":
    main()
