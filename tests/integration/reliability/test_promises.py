"""The table of promises names tests that exist, and all of this package."""

import ast
import re
from pathlib import Path

import pytest

import tests.integration.reliability as package

HERE = Path(__file__).parent
TESTS = Path(__file__).parents[2]
NAMED = [
    (HERE / path if "/" not in path else TESTS / path, test)
    for path, test in re.findall(r"^    (\S+\.py)::(test_\w+)$", package.__doc__ or "", re.MULTILINE)
]


def the_tests_of(path: Path) -> set[str]:
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    return {function.name for function in functions if function.name.startswith("test_")}


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED}), ids=lambda path: str(path.relative_to(TESTS)))
def test_every_test_that_is_named_exists(path: Path) -> None:
    assert {test for named_in, test in NAMED if named_in == path} <= the_tests_of(path)


def test_every_test_of_this_package_keeps_a_promise() -> None:
    others = {(path, test) for path in HERE.glob("test_*.py") if path != Path(__file__) for test in the_tests_of(path)}
    assert others == {(path, test) for path, test in NAMED if path.parent == HERE}


def test_every_promise_is_kept_by_a_test() -> None:
    table = (package.__doc__ or "").partition("\nSENDING\n")[2]
    blocks = re.split(r"\n(?=\S)", re.sub(r"\n+[A-Z ]+\n+", "\n", table).strip())
    assert len(blocks) >= 36
    for block in blocks:
        assert re.search(r"\.py::test_", block), block
