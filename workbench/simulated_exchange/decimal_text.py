"""How this exchange writes and rounds numbers: exact, plain, never scientific."""

from decimal import Decimal

from botbalance.engine.arithmetic import ONE, ZERO, ExactArithmetic

BINANCE_DECIMALS = 8


def decimal_text(value: Decimal) -> str:
    """``value`` in full, with at least 8 decimals and more where it has more.

    >>> decimal_text(Decimal("1e-9")), decimal_text(Decimal("2.50"))
    ('0.000000001', '2.50000000')
    """
    text = format(value, "f")
    point = text.find(".")
    if point < 0:
        return f"{text}.{'0' * BINANCE_DECIMALS}"
    shortest = point + 1 + BINANCE_DECIMALS
    return (text if len(text) <= shortest else text.rstrip("0")).ljust(shortest, "0")


def count_decimals(value: Decimal) -> int:
    """How many digits after the point ``value`` needs, and 8 at least, as Binance's precisions."""
    return len(decimal_text(value).partition(".")[2])


def to_grid(value: Decimal, step: Decimal) -> Decimal:
    """``value`` >= 0 on the grid of ``step``, half to even."""
    with ExactArithmetic():
        steps, rest = divmod(value, step)
        doubled = rest + rest
        if doubled > step or (doubled == step and steps % 2 == ONE):
            steps += ONE
        return steps * step if steps else ZERO
