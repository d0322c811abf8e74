"""One resolver for every HTTP function: validation on, every error a problem document, nothing cached."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

from botbalance.api.problems import problem, problem_of
from botbalance.errors import NotAuthenticated
from botbalance.log import logger

MOST_BODY_BYTES = 65_536


def new_resolver() -> APIGatewayRestResolver:
    """A resolver for API Gateway's REST events; paths match with and without their trailing slash."""
    app = APIGatewayRestResolver(enable_validation=True)
    app.exception_handler(Exception)(problem_of)
    app.not_found(_no_such_route)
    app.use([_guard])
    return app


def user_of(app: APIGatewayRestResolver) -> str:
    """Who is calling: the subject of the token that the gateway's authorizer checked. Never a request field."""
    authorizer: Mapping[str, Any] = app.current_event.raw_event.get("requestContext", {}).get("authorizer") or {}
    subject = (authorizer.get("claims") or {}).get("sub")
    if not subject:
        raise NotAuthenticated("not_authenticated", "no valid token: expected Authorization: Bearer …")
    logger.append_keys(user_id=subject)
    return str(subject)


def _guard(app: APIGatewayRestResolver, next_middleware: NextMiddleware) -> Response[Any]:
    body = app.current_event.body
    if body is not None and len(body) > MOST_BODY_BYTES:
        return problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "body_too_large",
            f"the body has {len(body)} bytes, expected at most {MOST_BODY_BYTES}",
        )
    response: Response[Any] = next_middleware(app)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _no_such_route(_: Exception) -> Response[str]:
    return problem(HTTPStatus.NOT_FOUND, "no_such_route", "no such route; see GET /api/openapi.json")
