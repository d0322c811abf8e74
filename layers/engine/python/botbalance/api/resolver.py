"""One resolver for every HTTP function: validation on, every error a problem document, nothing cached."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.utilities.typing import LambdaContext

from botbalance.api.problems import BodyTooLarge, InvalidJson, problem, problem_of
from botbalance.errors import NotAuthenticated
from botbalance.log import logger

MOST_BODY_CHARACTERS = 65_536


def new_resolver() -> APIGatewayRestResolver:
    """A resolver for API Gateway's REST events; paths match with and without their trailing slash."""
    app = APIGatewayRestResolver(enable_validation=True, json_body_deserializer=read_json)
    app.exception_handler(Exception)(problem_of)
    app.not_found(_no_such_route)
    app.use([_never_cached])
    return app


def handler_of(app: APIGatewayRestResolver) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """The entry point for API Gateway of a function whose routes are in ``app``."""

    @logger.inject_lambda_context(clear_state=True)
    def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        if "//" in event["path"]:  # orders/$ID/ with an empty ID must not mean all orders
            event = {**event, "path": "/no-such-route"}
        return app.resolve(_with_json_for_a_form(event), context)

    return lambda_handler


def user_of(app: APIGatewayRestResolver) -> str:
    """Who is calling: the subject of the token that the gateway's authorizer checked. Never a request field."""
    authorizer: Mapping[str, Any] = app.current_event.raw_event.get("requestContext", {}).get("authorizer") or {}
    subject = (authorizer.get("claims") or {}).get("sub")
    if not subject:
        raise NotAuthenticated("not_authenticated", "no valid token: expected Authorization: Bearer …")
    logger.append_keys(user_id=subject)
    return str(subject)


def remaining_ms(app: APIGatewayRestResolver) -> int:
    """For how many milliseconds the function may still run."""
    context: LambdaContext = app.lambda_context
    return context.get_remaining_time_in_millis()


def _with_json_for_a_form(event: dict[str, Any]) -> dict[str, Any]:
    """``event``, a body that is called a form called JSON: this API has no forms, and ``curl -d`` says so of JSON."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if not str(headers.get("content-type", "")).startswith("application/x-www-form-urlencoded"):
        return event
    return {**event, "headers": headers | {"content-type": "application/json"}, "multiValueHeaders": None}


def read_json(text: str | bytes) -> Any:
    """A JSON document, every number in it exact; refuses what most readers would silently take half of."""
    if len(text) > MOST_BODY_CHARACTERS:
        raise BodyTooLarge(
            "body_too_large", f"the body has {len(text)} characters, expected at most {MOST_BODY_CHARACTERS}"
        )
    try:
        return json.loads(
            text, parse_float=_number, parse_int=_number, parse_constant=_number, object_pairs_hook=_object_of
        )
    except RecursionError:
        raise InvalidJson("invalid_json", "the JSON is nested too deeply, expected a flat object") from None


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what even a Decimal holds
        return Decimal("Infinity")


def _object_of(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidJson("invalid_json", f"{twice[:100]} is there twice, expected every name once")
    return found


def _never_cached(app: APIGatewayRestResolver, next_middleware: NextMiddleware) -> Response[Any]:
    response: Response[Any] = next_middleware(app)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _no_such_route(_: Exception) -> Response[str]:
    return problem(HTTPStatus.NOT_FOUND, "no_such_route", "no such route")
