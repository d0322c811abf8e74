"""Builds the layers that functions run on, as `sam build` does, for this machine or for Lambda's."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
HANDLERS = ("plan.app", "execute.app", "account.app", "tick.dispatch", "tick.work")
"""The modules that Lambda imports, one a function."""
_GOALS = {"engine": "build-EngineLayer", "vendor": "build-VendorLayer"}


def find_uv() -> Path | None:
    """The package installer that layers are built with; None where it is not at hand."""
    found = shutil.which("uv", path=f"{ROOT / '.bootstrap/bin'}{os.pathsep}{os.environ['PATH']}")
    return None if found is None else Path(found)


def build_layers(uv: Path, architecture: str, target: Path) -> Path:
    """Build both for ``architecture`` (``arm64`` or ``x86_64``), merged as in Lambda's ``/opt/python``; returns that.

    Raises CalledProcessError where that fails.
    """
    environment = os.environ | {
        "PATH": f"{uv.parent}{os.pathsep}{os.environ['PATH']}",
        "ARCHITECTURE": architecture,
        "ARTIFACTS_DIR": str(target),
    }
    for layer, goal in _GOALS.items():
        with (
            tempfile.TemporaryDirectory() as elsewhere
        ):  # as SAM does it, where the project's settings are out of sight
            copied = shutil.copytree(ROOT / "layers" / layer, Path(elsewhere) / layer)
            subprocess.run(["make", "--silent", "-C", copied, goal], env=environment, check=True)  # noqa: S603, S607
    return target / "python"
