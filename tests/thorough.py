"""How broadly the suite looks: with ``BOTBALANCE_TEST_THOROUGH=1``, as CI sets it, at every case and more examples."""

import os
from collections.abc import Sequence

import pytest

THOROUGH = os.environ.get("BOTBALANCE_TEST_THOROUGH") == "1"


thorough_only = pytest.mark.skipif(not THOROUGH, reason="set BOTBALANCE_TEST_THOROUGH=1 to try this, as CI does")
"""Marks a test that costs seconds and tries once more, in another way, what others try."""


def examples(few: int, many: int) -> int:
    """How many examples to try."""
    return many if THOROUGH else few


def pick_sample[T](cases: Sequence[T], number: int, turn: int) -> Sequence[T]:
    """``number`` of ``cases``, which stand for the others; each ``turn`` takes the next ones. All where thorough."""
    if THOROUGH or number >= len(cases):
        return cases
    return [cases[(turn * number + at) % len(cases)] for at in range(number)]
