"""Requests that the document forbids are refused, also those that the validator by itself would take."""

from decimal import Decimal
from typing import Any

import pytest
from botbalance.api import account_schemas, notification_schemas, order_schemas, paper_schemas
from botbalance.api.fields import RequestModel
from pydantic import TypeAdapter, ValidationError

MODULES = {module.__name__ for module in (account_schemas, notification_schemas, order_schemas, paper_schemas)}
SHAPES = [shape for shape in RequestModel.__subclasses__() if shape.__module__ in MODULES]


def validation_errors(shape: type[RequestModel], value: object) -> list[Any]:
    """As the resolver validates: with attributes."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(shape).validate_python(value, from_attributes=True)
    return refused.value.errors()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("value", [Decimal(0), Decimal("-1.5"), 0, "", "text", True, None, []], ids=repr)
def test_what_is_no_object_is_no_request(shape: type[RequestModel], value: object) -> None:
    assert [(error["loc"], error["type"]) for error in validation_errors(shape, value)] == [((), "model_type")]


@pytest.mark.parametrize(
    ("shape", "field"),
    [
        (notification_schemas.NotificationsRequest, "channels"),
        (notification_schemas.ChannelsRequest, "telegram"),
        (account_schemas.StrategyPatch, "budgets"),
    ],
)
def test_a_number_in_the_place_of_an_object_is_refused_by_its_field(shape: type[RequestModel], field: str) -> None:
    """Taken as an empty object, it would forget every channel."""
    assert [error["loc"] for error in validation_errors(shape, {field: Decimal(0)})] == [(field,)]
    assert TypeAdapter(shape).validate_python({field: {}}, from_attributes=True)


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_is_no_longer_than_the_document_says(sign: str) -> None:
    def moved(quantity: str) -> object:
        return {"asset": "BTC", "quantity": quantity}

    longest = sign + "0" * (42 - len(sign))
    read = TypeAdapter(paper_schemas.PaperTransferRequest).validate_python(moved(longest), from_attributes=True)
    assert read.quantity == 0
    [error] = validation_errors(paper_schemas.PaperTransferRequest, moved(f"{longest}0"))
    assert (error["loc"], error["type"], error["ctx"]) == (("quantity",), "string_too_long", {"max_length": 42})
