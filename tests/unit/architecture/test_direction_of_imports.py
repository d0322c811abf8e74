"""Imports point one way; the contracts are in pyproject.toml."""

from pathlib import Path

from importlinter.cli import lint_imports

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_imports_point_one_way() -> None:
    assert lint_imports(config_filename=str(PYPROJECT), no_cache=True) == 0
