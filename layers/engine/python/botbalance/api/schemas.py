"""What the shapes of requests and answers are made of.

Money and percentages are strings in JSON, exact and never scientific. The shapes themselves are in modules of their
own, so that a function imports no others than its routes'.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints

_PERCENT_PLACES = Decimal("1e-8")
_TRIGGER_DIGITS = 12
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)


def _plain(number: Decimal) -> str:
    """Every digit, no exponent, no trailing zeros after the point."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain_percent(number: Decimal) -> str:
    return _plain(number.quantize(_PERCENT_PLACES, context=_WIDE))


Money = Annotated[Decimal, PlainSerializer(_plain, return_type=str)]
"""An amount, price or quantity, exact."""
Percent = Annotated[Decimal, PlainSerializer(_plain_percent, return_type=str)]
"""Percent, shown to eight places."""
BuyTrigger = Annotated[
    Decimal, PlainSerializer(lambda price: _plain(Context(_TRIGGER_DIGITS, ROUND_FLOOR).plus(price)), return_type=str)
]
"""The price at which a buy starts, to twelve digits, rounded so that there it does."""
SellTrigger = Annotated[
    Decimal, PlainSerializer(lambda price: _plain(Context(_TRIGGER_DIGITS, ROUND_CEILING).plus(price)), return_type=str)
]
"""The price at which a sell starts, to twelve digits, rounded so that there it does."""
Number = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=40)]
"""A number in a request: a JSON string, or a JSON number where its digits are few."""
Asset = Annotated[str, StringConstraints(min_length=1, max_length=20, pattern=r"^[^\s/:]+$")]
Exchange = Literal["binance"]
"""The exchanges on which the whole life of an order has been verified; docs/exchanges.md says how."""


class Answer(BaseModel):
    """An answer's shape, or a part of one; built when it is first used, so that a function starts sooner."""

    model_config = ConfigDict(from_attributes=True, defer_build=True)


class Request(BaseModel):
    """A request's shape, which takes no field that it does not know; built when it is first used."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
