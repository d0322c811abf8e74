"""The engine's own decimal arithmetic: exact, and the same under any ambient decimal context.

Products, sums and integer quotients are exact here or raise ``decimal.Inexact``; only quotients that
are reported, never traded on, are rounded, each by one of the three contexts that say how.
"""

from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    getcontext,
    setcontext,
)

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)
PERCENT = Decimal("0.01")

_PRECISION = 200  # a 30-digit balance × a 17-digit price × the parameters needs under 70; digits unused cost nothing
_EXACT = Context(
    prec=_PRECISION,
    Emin=MIN_EMIN,
    Emax=MAX_EMAX,
    traps=[InvalidOperation, DivisionByZero, Overflow, Inexact],
)


def _quotients(rounding: str) -> Context:
    return Context(prec=28, rounding=rounding, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[InvalidOperation])


NEAREST = _quotients(ROUND_HALF_EVEN)
DOWN = _quotients(ROUND_FLOOR)
UP = _quotients(ROUND_CEILING)


class ExactArithmetic:
    """A ``with`` block in exact arithmetic, whatever decimal context the caller has set.

    A class, because a generator's context manager costs as much as a third of a quiet decision.
    """

    __slots__ = ("_ambient",)

    def __enter__(self) -> None:
        self._ambient = getcontext()
        setcontext(_EXACT)

    def __exit__(self, *_: object) -> None:
        setcontext(self._ambient)


def ceil_div(numerator: Decimal, divisor: Decimal) -> Decimal:
    """The smallest integer >= numerator / divisor, for numerator >= 0 and divisor > 0.

    >>> ceil_div(Decimal("0.7"), Decimal("0.25"))
    Decimal('3')
    """
    quotient, remainder = divmod(numerator, divisor)
    return quotient + ONE if remainder else quotient


def format_decimal(number: Decimal) -> str:
    """``number`` in full: every digit, without an exponent or trailing zeros.

    >>> format_decimal(Decimal("1E-8")), format_decimal(Decimal("2.500")), format_decimal(Decimal("1E+3"))
    ('0.00000001', '2.5', '1000')
    """
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
