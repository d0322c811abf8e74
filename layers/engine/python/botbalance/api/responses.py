"""What a route may answer, for the OpenAPI document."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel

from botbalance.api.problems import CONTENT_TYPE, ProblemView

CSV: Literal["text/csv"] = "text/csv"
JSON: Literal["application/json"] = "application/json"
ETAG = {"ETag": "The version of the strategy, for If-Match."}
NEXT_PAGE = {"Link": "Where the next page is (RFC 8288); absent on the last one."}
_EVERYWHERE = (401, 422, 429, 500, 503)
"""What any route may answer besides its own: no token, a bad parameter, too many requests, our own trouble."""


def answers(
    success: type[BaseModel] | Literal["text/csv", "application/json"],
    *problems: int,
    headers: Mapping[str, str] | None = None,
) -> dict[int, Any]:
    """The responses of a route: on success of this shape, or content type, with these ``headers``; and its problems."""
    content: dict[str, Any]
    match success:
        case "text/csv":
            content = {CSV: {"schema": {"type": "string"}}}
        case "application/json":
            content = {JSON: {"schema": {"type": "object"}}}
        case _:
            content = {JSON: {"model": success}}
    responses: dict[int, Any] = {
        200: {"description": "Done.", "content": content, "headers": _described(headers or {})}
    }
    for status in sorted({*problems, *_EVERYWHERE}):
        responses[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {CONTENT_TYPE: {"model": ProblemView}},
            "headers": _described({"Retry-After": "In how many seconds to try again."} if status in {429, 503} else {}),
        }
    return responses


def _described(headers: Mapping[str, str]) -> dict[str, Any]:
    of_all = {"X-Request-Id": "The name of this request in our logs."}
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in {**of_all, **headers}.items()}
