"""When a resting order fills, and what the fill brings."""

from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from botbalance.engine import Fill, Side, new_fill, trades_through

D = Decimal


@pytest.mark.parametrize(
    ("side", "low", "high", "fills"),
    [
        ("buy", "99.99", "101", True),
        ("buy", "100", "101", False),  # touched: others stand before us
        ("buy", "100.01", "101", False),
        ("buy", "90", "95", True),
        ("sell", "99", "100.01", True),
        ("sell", "99", "100", False),
        ("sell", "99", "99.99", False),
        ("sell", "105", "110", True),
    ],
)
def test_an_order_at_100_fills_only_where_the_market_trades_through_it(
    side: Side, low: str, high: str, fills: bool
) -> None:
    assert trades_through(side, D(100), D(low), D(high)) is fills


def test_the_fee_of_a_buy_is_taken_from_the_base_received() -> None:
    # 0.1 % of 0.25 ETH
    fill = new_fill("ETH", "USDT", "buy", D("2591.08"), D("0.25"), D("0.1"))
    assert fill == Fill("ETH", "USDT", "buy", D("2591.08"), D("0.25"), D("0.00025"), "ETH")


def test_the_fee_of_a_sell_is_taken_from_the_quote_received() -> None:
    # 0.1 % of 0.25 × 2591.08 = 647.77
    fill = new_fill("ETH", "USDT", "sell", D("2591.08"), D("0.25"), D("0.1"))
    assert fill == Fill("ETH", "USDT", "sell", D("2591.08"), D("0.25"), D("0.64777"), "USDT")


def test_no_fee_is_zero() -> None:
    assert new_fill("ETH", "USDT", "sell", D(2), D(3), D(0)).fee == 0


def test_fees_are_exact_in_any_decimal_context() -> None:
    for precision in (1, 28):
        with localcontext(Context(prec=precision)):
            fill = new_fill("ETH", "BTC", "sell", D("0.12345678"), D("98765432.123456789012345678"), D("0.075"))
        received = Fraction("98765432.123456789012345678") * Fraction("0.12345678")
        assert Fraction(fill.fee) == received * 75 / 100_000
