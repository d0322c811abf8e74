"""What an exchange names its trades is a text in a spreadsheet, never a formula."""

import pytest
from botbalance.api.order_schemas import _cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_shown_as_the_text_that_it_is(text: str) -> None:
    assert _cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "123", "BNB", "a=b", "0-1"])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert _cell(text) == text
