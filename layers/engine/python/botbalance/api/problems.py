"""Errors as ``application/problem+json`` (RFC 9457): every exception of ours is mapped here.

What API Gateway refuses by itself has the same form, from the template.

``code`` is stable and meant for programs; ``detail`` is meant for people and names the field, the value and
what would be right. Nothing of the inside (traces, class names, tables) ever leaves.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.exceptions import ServiceError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
)
from pydantic import Field

from botbalance.api.fields import ResponseModel
from botbalance.api.order_schemas import NotPlacedView
from botbalance.api.problem_codes import ProblemCode
from botbalance.engine import InvalidInputError, InvalidStrategyError, PriceUnavailableError
from botbalance.errors import (
    BotBalanceError,
    ConflictError,
    CredentialsRejectedError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    PreconditionRequiredError,
    RateLimitedError,
    TransientError,
    UnauthenticatedError,
)
from botbalance.log import logger

CONTENT_TYPE = "application/problem+json"


class WrongField(ResponseModel):
    """A field of a request that cannot be as it is."""

    field: str
    expected: str
    value: str | None = None


class ProblemView(ResponseModel):
    """What went wrong (RFC 9457)."""

    type: Annotated[str, Field(examples=["about:blank"])]
    title: Annotated[str, Field(examples=["Unprocessable Entity"])]
    status: int
    code: Annotated[ProblemCode, Field(description="Stable, for programs.", examples=["invalid_strategy"])]
    detail: Annotated[
        str,
        Field(
            description="For people: the field, its value and what would be right.",
            examples=["target_allocations is a sum of 99.99, expected a sum of exactly 100 (percent)"],
        ),
    ]
    field: str | None = None
    value: Any = None
    expected: str | None = None
    errors: list[WrongField] | None = None
    retry_after_s: int | None = None
    not_placed: list[NotPlacedView] | None = None


class InvalidJsonError(InvalidRequestError):
    """The body is no JSON document that can be relied on."""


class BodyTooLargeError(InvalidRequestError):
    """The body is longer than anything that the API takes."""


_STATUS: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (UnauthenticatedError, HTTPStatus.UNAUTHORIZED),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (PreconditionRequiredError, HTTPStatus.PRECONDITION_REQUIRED),
    (PreconditionFailedError, HTTPStatus.PRECONDITION_FAILED),
    (CredentialsRejectedError, HTTPStatus.CONFLICT),
    (InvalidJsonError, HTTPStatus.BAD_REQUEST),
    (BodyTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidRequestError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (RateLimitedError, HTTPStatus.TOO_MANY_REQUESTS),
    (TransientError, HTTPStatus.SERVICE_UNAVAILABLE),
    (PriceUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (InvalidStrategyError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InvalidInputError, HTTPStatus.CONFLICT),
)

_CODE_OF_ENGINE_ERROR: tuple[tuple[type[Exception], str], ...] = (
    (PriceUnavailableError, "price_unavailable"),
    (InvalidStrategyError, "invalid_strategy"),
    (InvalidInputError, "no_decision_possible"),
)

_EXPECTED_OF_TYPE = {
    "missing": "it to be there",
    "extra_forbidden": "no such field",
    "json_invalid": "valid JSON",
    "string_type": "text",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "dict_type": "an object",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "decimal_max_digits": "at most {max_digits} digits",
    "bool_type": "true or false",
}
"""What would be right, in our words, by the kind of error; what is not here, the validator says well itself."""

_NEVER_REPEATED = {"api_key", "secret", "password"}
"""Fields whose values appear in no answer."""
_LONGEST_VALUE = 60


def problem(status: HTTPStatus, code: str, detail: str, **more: Any) -> Response[str]:
    """One problem document as a response; ``more`` are its further members."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "code": code, "detail": detail}
    return Response(
        status_code=status.value, content_type=CONTENT_TYPE, body=json.dumps(body | more), headers=_headers(more)
    )


def to_problem(error: Exception) -> Response[str]:
    """The problem document of any exception that a route raised."""
    if isinstance(error, (BotBalanceError, InvalidInputError)):
        return _of_our_own(error)
    if isinstance(error, RequestValidationError):
        return _of_request(error)
    if isinstance(error, ServiceError):
        status = HTTPStatus(error.status_code)
        return problem(status, "invalid_request", str(error.msg))
    if isinstance(error, RequestUnsupportedContentType):
        return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json", "expected Content-Type: application/json")
    logger.exception("request failed")
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "something went wrong here, not in the request")


def _of_our_own(error: BotBalanceError | InvalidInputError) -> Response[str]:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    more: dict[str, Any] = {}
    if isinstance(error, BotBalanceError):
        code = error.code
        more = dict(error.members)
    else:
        code = next(code for kind, code in _CODE_OF_ENGINE_ERROR if isinstance(error, kind))
        more = {"field": error.field, "value": error.value, "expected": error.expected}
        if isinstance(error, InvalidStrategyError):
            wrong = [{"field": one.field, "expected": one.expected, "value": one.value} for one in error.errors]
            more = {"errors": wrong} if len(wrong) > 1 else more | {"errors": wrong}
    if isinstance(error, RateLimitedError):
        more["retry_after_s"] = error.retry_after_s
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        logger.warning("request could not be met", code=code, detail=str(error))
    return problem(status, code, str(error), **more)


def invalid_request(wrong: list[dict[str, str]]) -> Response[str]:
    """The problem of a request whose fields ``wrong`` cannot be as they are: all of them at once."""
    more: dict[str, Any] = {"errors": wrong}
    if len(wrong) == 1:
        more = wrong[0] | more
    detail = "; ".join(map(_sentence, wrong))
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail, **more)


def _of_request(error: RequestValidationError) -> Response[str]:
    if any(found["type"].startswith("json_") for found in error.errors()):
        return problem(HTTPStatus.BAD_REQUEST, "invalid_json", "the body is not valid JSON")
    wrong = []
    for found in error.errors():
        place = [str(part) for part in found["loc"] if part not in {"body", "query", "path", "header"}]
        entry = {"field": ".".join(place) or "body", "expected": _expected(found)}
        wrong.append(entry | _find_value(found, place))
    return invalid_request(wrong)


def _expected(found: Mapping[str, Any]) -> str:
    ours = _EXPECTED_OF_TYPE.get(found["type"])
    if ours is None:
        return str(found["msg"]).removeprefix("Input should be ")
    return ours.format_map(defaultdict(str, found.get("ctx") or {}))


def _find_value(found: Mapping[str, Any], place: list[str]) -> dict[str, str]:
    """The offending value, where it is a plain one in a field that is known and no secret."""
    value = found.get("input")
    if not place or _NEVER_REPEATED & set(place) or found["type"] in {"missing", "extra_forbidden"}:
        return {}
    return {"value": str(value)[:_LONGEST_VALUE]} if isinstance(value, str | int | float | Decimal) else {}


def _sentence(entry: Mapping[str, str]) -> str:
    found = f" is {entry['value']}," if "value" in entry else ":"
    return f"{entry['field']}{found} expected {entry['expected']}"


def _headers(more: dict[str, Any]) -> dict[str, str | list[str]]:
    headers: dict[str, str | list[str]] = {}
    if "retry_after_s" in more:
        headers["Retry-After"] = str(more["retry_after_s"])
    return headers
