"""The engine is pure: it imports nothing that reads a clock, a network or a file, and no float is in it."""

import ast
from pathlib import Path

import botbalance.engine
import pytest

ALLOWED = {"collections.abc", "dataclasses", "decimal", "enum", "typing"}
FORBIDDEN_CALLS = {"float", "open", "print", "input", "eval", "exec", "__import__", "round", "id", "hash"}
MODULES = sorted(Path(botbalance.engine.__file__).parent.glob("**/*.py"))


def test_there_are_modules_to_look_at() -> None:
    assert {"rebalance.py", "market_rules.py", "valuation.py", "arithmetic.py"} <= {module.name for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_imports_only_pure_modules_and_the_engine(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}:{node.lineno} imports relatively"
            names = [node.module or ""]
        else:
            continue
        for name in names:
            inside = name == "botbalance.engine" or name.startswith("botbalance.engine.")
            assert inside or name in ALLOWED, f"{module.name}:{node.lineno} imports {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_has_no_floats_no_side_effects_and_no_global_state(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, (float, complex)), f"{module.name}:{node.lineno} has a float"
        if isinstance(node, ast.Name):
            assert node.id not in FORBIDDEN_CALLS, f"{module.name}:{node.lineno} uses {node.id}"
        assert not isinstance(node, (ast.Global, ast.Nonlocal)), module.name


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_true_division_appears_nowhere(module: Path) -> None:
    """A quotient is floored onto a grid, or rounded by a context that says how: never by ``/``."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.BinOp | ast.AugAssign):
            assert not isinstance(node.op, ast.Div), f"{module.name}:{node.lineno} divides"
