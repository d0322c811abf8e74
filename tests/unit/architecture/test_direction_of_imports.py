"""Imports point one way; the contracts are in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_imports_point_one_way() -> None:
    """In a process of its own: the checker silences every logger of the one that it runs in."""
    checker = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run(
        [checker, "--config", PYPROJECT, "--no-cache"], check=False, capture_output=True, text=True, timeout=100
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
