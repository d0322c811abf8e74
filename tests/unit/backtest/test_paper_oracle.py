"""A paper account, a backtest and the simulated exchange over the same minutes, to the last digit.

Ten thousand minutes: ``python -m workbench.audit.paper_oracle``.
"""

from decimal import Decimal

import pytest
from botbalance.exchange import paper_books
from botbalance.exchange.paper_adapter import MAX_VOLUME_FRACTION

from workbench.audit.paper_oracle import BooksDifferError, compare, made_up_minutes


@pytest.mark.parametrize("max_volume_fraction", [None, MAX_VOLUME_FRACTION])
def test_trap_5_optimistic_as_a_backtest_of_the_same_minutes_is_and_not_more(
    max_volume_fraction: Decimal | None,
) -> None:
    figures = compare(2, 400, max_volume_fraction)
    assert figures.same
    assert min(figures.fills, figures.restarts, figures.gaps) > 15
    assert figures.canceled
    assert bool(figures.in_parts) is (max_volume_fraction is not None)


def test_the_comparison_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper_books, "MINUTE_S", 120)  # an order then waits for every other minute
    with pytest.raises(BooksDifferError, match=r"the backtest has .* the paper account"):
        compare(2, 400, None)


def test_made_up_minutes_have_wicks_and_gaps_and_are_the_same_again() -> None:
    one, other = made_up_minutes(3, 300), made_up_minutes(3, 300)
    assert [list(row) for row in one.low] == [list(row) for row in other.low]
    assert len(one) < 300
    assert not one.complete.all()
    assert any(
        (low < close).any() and (high > close).any()
        for low, high, close in zip(one.low, one.high, one.close, strict=True)
    )
