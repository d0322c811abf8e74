"""Functions are named by what they do or by what they give: no ``price_of``, ``orders_in`` or ``note_change``."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("layers/engine/python/botbalance", "functions", "workbench", "benchmarks", "tests")
# Whole phrases of the field, not a noun and what it belongs to.
PHRASES = {"sign_in", "stand_in", "run_stand_in", "on_behalf_of"}


def badly_named(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = node.name.removeprefix("_")
            allowed = name in PHRASES or name.startswith("test_")
            if not allowed and (name.endswith(("_of", "_in")) or name.startswith("note_")):
                yield f"{node.name}, line {node.lineno}"


@pytest.mark.parametrize("room", ROOMS)
def test_functions_are_verbs_or_nouns(room: str) -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in sorted((ROOT / room).rglob("*.py"))
        if (names := list(badly_named(path.read_text())))
    }
    assert not found


def test_the_words_are_found() -> None:
    source = "def price_of(): ...\ndef _orders_in(): ...\nasync def note_fill(): ...\ndef sign_in(): ..."
    assert list(badly_named(source)) == [
        "price_of, line 1",
        "_orders_in, line 2",
        "note_fill, line 3",
    ]
