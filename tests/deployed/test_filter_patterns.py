"""What the stand-in for CloudWatch's metric filters counts."""

import pytest

from tests.deployed.filter_patterns import matches


@pytest.mark.parametrize(
    ("pattern", "line", "counted"),
    [
        ('{ $.alarm = "tick_failed" }', {"alarm": "tick_failed"}, True),
        ('{ $.alarm = "tick_failed" }', {"alarm": "tick_late"}, False),
        ('{ $.alarm = "tick_failed" }', {"message": "ticked"}, False),
        ('{ $.alarm = "a" || $.alarm = "b" }', {"alarm": "b"}, True),
        ('{ $.alarm = "*" && $.alarm != "a" }', {"alarm": "b"}, True),
        ('{ $.alarm = "*" && $.alarm != "a" }', {"alarm": "a"}, False),
        ('{ $.alarm = "*" && $.alarm != "a" }', {}, False),
    ],
)
def test_a_line_is_counted_where_its_fields_are_as_the_pattern_says(
    pattern: str, line: dict[str, str], counted: bool
) -> None:
    assert matches(pattern, line) is counted


def test_a_pattern_that_is_not_understood_counts_nothing_silently() -> None:
    with pytest.raises(ValueError, match="expected"):
        matches("{ $.users > 3 }", {"users": 4})
