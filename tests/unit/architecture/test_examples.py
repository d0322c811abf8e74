"""Every example in a docstring runs, and shows what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = {"botbalance": ROOT / "layers/engine/python", "workbench": ROOT}
MODULES = sorted(
    ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
    for package, folder in PACKAGES.items()
    for file in (folder / package).rglob("*.py")
    if ">>>" in file.read_text()
)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_run(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module), verbose=False)
    assert tried
    assert not failed


def test_the_engine_has_examples() -> None:
    assert len([module for module in MODULES if module.startswith("botbalance.engine.")]) >= 8
