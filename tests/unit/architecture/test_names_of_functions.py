"""Functions are named by what they do or by what they give: no ``price_of``, ``orders_in`` or ``note_change``.

Words that nobody else in the field would understand are gone."""

import ast
import re
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


OLD_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        MendRequest NotThere TryAgainLater WaitUntilAllowed CallOwner VersionNeeded StaleVersion NotAuthenticated
        InvalidSettings in_our_words desk Desk desk_for stand_down require_belief may_be_spent at_risk doubted_prices
        QuietNote quiet_users book_not_found amend_strategy bring_up_to_date cancel_every lease_number give_back
        leaves_quiet nothing_watched take_items_as_sent booked_qty END_OF_TIME changed_nothing MOST_KEPT make_known
        use_listings KeyRights takes_post_only reported_client_id fate_of_order TradedMinute QuietBounds HoldReason
        vanished_assets value_without tolerance_pct_of EveryCredentialsView WholeDecisionView embedded_aws ControlDoor
        FollowingClock Lifeline Occasion in_vain open_books Yardstick stand_ins sabotage racers make_trial troubles
        """,
    )
)
"""Each has a word of the field in its place."""
ENDINGS = {".py", ".yaml", ".yml", ".md", ".json", ".ts", ".tsx"}


def old_words(text: str) -> set[str]:
    return set(OLD_WORDS) & set(re.findall(r"\w+", text))


@pytest.mark.parametrize("room", [*ROOMS, "docs", "infra", "events", "web/src"])
def test_no_old_word_is_left(room: str) -> None:
    found = {
        str(path.relative_to(ROOT)): words
        for path in sorted((ROOT / room).rglob("*"))
        if path.suffix in ENDINGS and path != Path(__file__) and (words := old_words(path.read_text()))
    }
    assert found == {}


def test_an_old_word_is_found() -> None:
    assert old_words("class Desk:\n    troubles = stand_in()") == {"Desk", "troubles"}
