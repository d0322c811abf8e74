"""Builds the functions and the layers that they run on, as `sam build` does, for this machine or for Lambda's."""

import os
import shutil
import subprocess  # nosec B404  # programs named here, by lists of arguments, without a shell
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANDLERS = ("plan.app", "execute.app", "account.app", "openapi.app", "tick.dispatch", "tick.work")
"""The modules that Lambda imports, one a function."""
LONGEST_BUILD_S = 600
_GOALS = {
    "layers/engine": ("build-EngineLayer", "."),
    "layers/vendor": ("build-VendorLayer", "."),
    "functions": ("build-Functions", "functions"),
}
"""By room: what to make of it, and where that goes."""


def find_uv() -> Path | None:
    """The package installer that layers are built with; None where it is not at hand."""
    found = shutil.which("uv", path=f"{ROOT / '.bootstrap/bin'}{os.pathsep}{os.environ['PATH']}")
    return None if found is None else Path(found)


def bring_tool(name: str) -> Path | None:
    """The program ``sam`` or ``aws``, of exactly what .ci/tools names, brought where it is not here yet; None where
    that fails.
    """
    brought = subprocess.run(  # noqa: S603  # nosec B603 B607  # a rule of our own Makefile
        ["make", "--silent", "-C", str(ROOT), f".bootstrap/tools/{name}/.installed"],  # noqa: S607
        stdout=subprocess.DEVNULL,
        check=False,
        timeout=LONGEST_BUILD_S,
    )
    return ROOT / f".bootstrap/tools/{name}/bin/{name}" if brought.returncode == 0 else None


def build_application(uv: Path, architecture: str, target: Path) -> list[Path]:
    """Build all for ``architecture`` (``arm64`` or ``x86_64``) in ``target``; returns what belongs on Python's path.

    That is the functions' code and both layers, merged as in Lambda's ``/opt/python``.

    Raises CalledProcessError where that fails.
    """
    environment = (
        os.environ
        | ({"UV_SYSTEM_CERTS": "1"} if (ROOT / ".bootstrap/system-certs").exists() else {})
        | {
            "PATH": f"{uv.parent}{os.pathsep}{os.environ['PATH']}",
            "ARCHITECTURE": architecture,
        }
    )
    for room, (goal, part) in _GOALS.items():
        artifacts = target / part
        artifacts.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory() as elsewhere
        ):  # as SAM does it, where the project's settings are out of sight
            copied = shutil.copytree(ROOT / room, Path(elsewhere) / "room")
            command = ["make", "--silent", "-C", str(copied), goal]
            subprocess.run(  # noqa: S603  # nosec B603  # rules of our own Makefiles
                command, env=environment | {"ARTIFACTS_DIR": str(artifacts)}, check=True, timeout=LONGEST_BUILD_S
            )
    return [target / "functions", target / "python"]
