"""What the shapes of requests and answers are made of.

Money and percentages are strings in JSON, exact and never scientific. The shapes themselves are in modules of their
own, so that a function imports no others than its routes'.
"""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from botbalance.engine import format_decimal
from botbalance.exchange.profiles import PROFILES, is_paper

_PERCENT_PLACES = Decimal("1e-8")
_TRIGGER_DIGITS = 12
_PLAINLY_WRITTEN = re.compile(r"^-?[0-9]+(\.[0-9]+)?$", re.ASCII)
_MOST_DIGITS = 40
_LONGEST_NUMBER = _MOST_DIGITS + len("-.")
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)


def number_schema(
    description: str, example: str, *, above: int | None = None, least: int | None = None, most: int | None = None
) -> WithJsonSchema:
    """How a number in a request is described: as a number in this range, or a string of one."""
    bounds = {"exclusiveMinimum": above, "minimum": least, "maximum": most}
    number: dict[str, Any] = {"type": "number"} | {name: bound for name, bound in bounds.items() if bound is not None}
    text = {"type": "string", "pattern": _PLAINLY_WRITTEN.pattern, "maxLength": _LONGEST_NUMBER}
    return WithJsonSchema(
        {"anyOf": [text, number], "description": description, "examples": [example]}, mode="validation"
    )


def _plainly_written(number: object) -> object:
    if isinstance(number, str) and not _PLAINLY_WRITTEN.fullmatch(number):
        raise PydanticCustomError("plain_number", "a finite number, written without an exponent")
    if isinstance(number, str) and len(number) > _LONGEST_NUMBER:  # zeros in front are no digits of a Decimal
        raise PydanticCustomError("string_too_long", "a shorter number", {"max_length": _LONGEST_NUMBER})
    return number


def _no_text(number: object) -> object:
    if isinstance(number, str | bool):
        raise PydanticCustomError("whole_number", "a whole number")
    return number


def _plain_percent(number: Decimal) -> str:
    return format_decimal(number.quantize(_PERCENT_PLACES, context=_WIDE))


def _decimal_text(description: str) -> Any:
    """The schema of a decimal in an answer."""
    schema = {"type": "string", "format": "decimal", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "description": description}
    return WithJsonSchema(schema, mode="serialization")


Money = Annotated[Decimal, PlainSerializer(format_decimal, return_type=str), _decimal_text("Exact, every digit.")]
"""An amount, price or quantity, exact."""
Percent = Annotated[
    Decimal, PlainSerializer(_plain_percent, return_type=str), _decimal_text("Percent, to eight places.")
]
"""Percent, shown to eight places."""
BuyTrigger = Annotated[
    Decimal,
    PlainSerializer(lambda price: format_decimal(Context(_TRIGGER_DIGITS, ROUND_FLOOR).plus(price)), return_type=str),
    _decimal_text("At this price, other prices unchanged, a buy starts."),
]
"""The price at which a buy starts, to twelve digits, rounded so that there it does."""
SellTrigger = Annotated[
    Decimal,
    PlainSerializer(lambda price: format_decimal(Context(_TRIGGER_DIGITS, ROUND_CEILING).plus(price)), return_type=str),
    _decimal_text("At this price, other prices unchanged, a sell starts."),
]
"""The price at which a sell starts, to twelve digits, rounded so that there it does."""
Number = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=_MOST_DIGITS), BeforeValidator(_plainly_written)]
"""A number in a request: a JSON number, or a string of it that is written without an exponent."""
NoText = BeforeValidator(_no_text)
"""Of a number: it is none where it is written as text."""
Flag = Annotated[bool, Field(strict=True)]
"""true or false, and nothing else that might mean them."""
Asset = Annotated[str, StringConstraints(min_length=1, max_length=20, pattern=r"^[^\s/:]+$")]
if TYPE_CHECKING:
    Exchange = str
    PaperExchange = str
else:  # mypy takes no literal that is computed
    Exchange = Literal[*PROFILES]
    PaperExchange = Literal[*filter(is_paper, PROFILES)]
"""The exchanges that can be traded on, and those of them that are paper accounts; docs/exchanges.md says what has been
verified of each."""


class ResponseModel(BaseModel):
    """An answer's shape, or a part of one; built when it is first used, so that a function starts sooner."""

    model_config = ConfigDict(from_attributes=True, defer_build=True)


def example(**example: Any) -> ConfigDict:
    """The configuration of an answer's shape with an example of it, for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [example]})


class RequestModel(BaseModel):
    """A request's shape, which takes no field that it does not know; built when it is first used."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _require_object(cls, value: object) -> object:
        """The resolver reads attributes, too: a number, which has none of these, would pass as an empty object."""
        if not isinstance(value, dict | cls):
            raise PydanticCustomError("model_type", "an object")
        return value


def patch_model[M: RequestModel](model: type[M]) -> type[M]:
    """Make every field of ``model`` one that may be left out, with no default that anybody sees.

    Of what is left out nothing is known but that: ``model_dump(exclude_unset=True)`` does not name it.
    """
    for field in model.__pydantic_fields__.values():  # before the shape is built, which is when it is first used
        field.default, field.default_factory, field.json_schema_extra = None, None, _without_default
    return model


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]
