"""The index of promises names tests that exist, and all of this package."""

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TESTS = Path(__file__).parents[2]
PROMISES: list[dict[str, Any]] = tomllib.loads((HERE / "promises.toml").read_text())["promise"]
NAMED = [
    (TESTS / path, test)
    for promise in PROMISES
    for path, _, test in (name.partition("::") for name in promise["tests"])
]


def defined_tests(path: Path) -> set[str]:
    """Names of the test functions that ``path`` defines at its top."""
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    return {function.name for function in functions if function.name.startswith("test_")}


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED}), ids=lambda path: str(path.relative_to(TESTS)))
def test_every_named_test_exists(path: Path) -> None:
    assert {test for named_in, test in NAMED if named_in == path} <= defined_tests(path)


def test_every_test_of_this_package_keeps_a_promise() -> None:
    others = {(path, test) for path in HERE.glob("test_*.py") if path != Path(__file__) for test in defined_tests(path)}
    assert others == {(path, test) for path, test in NAMED if path.parent == HERE}


def test_every_promise_is_kept_by_a_test() -> None:
    assert len(PROMISES) >= 36
    assert [promise["text"] for promise in PROMISES if not promise["tests"]] == []
