"""Only ``botbalance.exchange`` and the simulated exchange name exchanges: everybody else asks their profiles."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from botbalance.exchange.profiles import PROFILES, ccxt_modules, is_paper, market_exchange

ROOT = Path(__file__).parents[3]
SOURCES = [
    path
    for folder in ("layers/engine/python/botbalance", "functions", "workbench", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not {"exchange", "simulated_exchange"} & set(path.relative_to(ROOT).parts)
]
NAMES = re.compile(rf"\b({'|'.join(map(re.escape, sorted(PROFILES, key=len, reverse=True)))})\b")


def constants(path: Path) -> Iterator[str]:
    """The texts of a module that are no docstrings and no comments."""
    tree = ast.parse(path.read_text())
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_exchange_is_named_here(path: Path) -> None:
    # "gate" is an English word too: as a text of its own only it is the exchange
    named = [text for text in constants(path) if NAMES.fullmatch(text) or NAMES.search(text.replace("gate", ""))]
    assert named == []


def test_the_layer_of_libraries_keeps_the_classes_of_all_profiles() -> None:
    assert (ROOT / "layers/vendor/exchanges.txt").read_text().split() == ccxt_modules()


def test_a_paper_account_says_so_in_its_name_and_is_as_its_exchange_in_what_is_public() -> None:
    paper = {name: profile for name, profile in PROFILES.items() if is_paper(name)}
    assert set(paper) == {f"{name}-paper" for name, one in PROFILES.items() if not one.is_test and not is_paper(name)}
    for name, profile in paper.items():
        real = PROFILES[market_exchange(name)]
        assert name == f"{real.name}-paper"
        assert (profile.ccxt_class, profile.fee_on_top, profile.candle_gaps) == (
            real.ccxt_class,
            real.fee_on_top,
            real.candle_gaps,
        )
        assert (profile.key_has_password, profile.weight_per_minute) == (False, None)


def test_an_environment_for_tests_says_so_in_its_name() -> None:
    tests = {name for name, profile in PROFILES.items() if profile.is_test}
    assert tests == {name for name in PROFILES if "-" in name} - {name for name in PROFILES if is_paper(name)}
    assert {PROFILES[name].family for name in tests} <= {name for name in PROFILES if name not in tests}
