"""One resolver for every HTTP function: validation on, every error a problem document, nothing cached."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from botbalance.accounts.weight_budgets import on_behalf_of
from botbalance.api.problems import BodyTooLargeError, InvalidJsonError, invalid_request, problem, to_problem
from botbalance.api.request_limits import RequestKind, RequestLimits
from botbalance.errors import RateLimitedError, UnauthenticatedError
from botbalance.log import logger

MOST_BODY_CHARACTERS = 65_536
CLIENTS_VARIABLE = "UserPoolClients"
"""The stage's variable with the ids of the clients whose users may call, with a comma between several."""
EXPOSED = "ETag, Link, Retry-After, X-Request-Id"
"""The headers that a web page of another origin may read."""
_JSON = {"application/json", "application/merge-patch+json"}


def new_resolver() -> APIGatewayRestResolver:
    """A resolver for API Gateway's REST events; paths match with and without their trailing slash."""
    app = APIGatewayRestResolver(enable_validation=True, json_body_deserializer=read_json)
    app.exception_handler(Exception)(to_problem)
    app.not_found(_no_such_route)
    app.use([_refuse_unknown_parameters])
    return app


def make_handler(
    app: APIGatewayRestResolver, cors_origin: Callable[[], str], limits: Callable[[], RequestLimits] | None = None
) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """The entry point for API Gateway of a function whose routes are in ``app``.

    ``cors_origin`` is the origin of a web page that may read its answers, or ``none``; ``limits`` are each user's, None
    where nothing is any user's. Whatever is asked of an exchange is asked on behalf of the user who calls. HEAD is
    answered as GET is, without the body.
    """

    @logger.inject_lambda_context(clear_state=True, log_event=False)
    def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        request_id = str(event.get("requestContext", {}).get("requestId", context.aws_request_id))
        logger.append_keys(request_id=request_id)
        event = _without_base_path(event)
        if "//" in event["path"]:  # orders/$ID/ with an empty ID must not mean all orders
            event = {**event, "path": "/no-such-route"}
        head = event["httpMethod"] == "HEAD"
        if head:
            event = {**event, "httpMethod": "GET"}
        user_id = _subject(event)
        try:
            if user_id and limits is not None:
                limits().require(user_id, _kind(event))
        except RateLimitedError as error:
            answer = _as_answer(to_problem(error))
        else:
            with on_behalf_of(user_id, request_id=request_id):
                answer = app.resolve(_with_content_type_told(event), context)
        answer["multiValueHeaders"] |= {
            name: [value] for name, value in _headers_of_all(request_id, cors_origin()).items()
        }
        return {**answer, "body": ""} if head else answer

    return lambda_handler


def current_user_id(app: APIGatewayRestResolver) -> str:
    """Who is calling: the subject of the token that the gateway's authorizer checked. Never a request field."""
    subject = _subject(app.current_event.raw_event)
    if not subject:
        raise UnauthenticatedError("not_authenticated", "no valid token: expected Authorization: Bearer …")
    logger.append_keys(user_id=subject)
    return subject


def current_email(app: APIGatewayRestResolver) -> str | None:
    """The e-mail address of whoever is calling, which their sign-in has verified; None where the token tells none."""
    claims = _claims(app.current_event.raw_event)
    is_verified = str(claims.get("email_verified", "")).lower() == "true"
    return str(claims["email"]) if is_verified and claims.get("email") else None


def remaining_ms(app: APIGatewayRestResolver) -> int:
    """For how many milliseconds the function may still run."""
    context: LambdaContext = app.lambda_context
    return context.get_remaining_time_in_millis()


def _kind(event: Mapping[str, Any]) -> RequestKind:
    """What a request may do; a preview, which is told what to look at, changes nothing."""
    route = event["path"].rstrip("/").rpartition("/")[2]
    if event["httpMethod"] == "GET" or route == "preview":
        return RequestKind.READ
    return RequestKind.STOP if route == "stop" else RequestKind.CHANGE


def _subject(event: Mapping[str, Any]) -> str:
    """The token's subject; empty where the gateway checked none, or one that is not for this API."""
    return str(_claims(event).get("sub") or "")


def _claims(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the token says that the gateway checked; nothing where it is no ID token of a client that may call.

    The gateway checks who signed a token and whether it has expired, not which client of the pool it was made for.
    Which clients may call, the stage says; a local run's has none, and no tokens.
    """
    authorizer: Mapping[str, Any] = event.get("requestContext", {}).get("authorizer") or {}
    claims: Mapping[str, Any] = authorizer.get("claims") or {}
    clients = (event.get("stageVariables") or {}).get(CLIENTS_VARIABLE)
    if clients is None or (claims.get("token_use") == "id" and claims.get("aud") in clients.split(",")):
        return claims
    return {}


def _as_answer(response: Response[str]) -> dict[str, Any]:
    """A response as API Gateway takes it, that no route made."""
    headers = {name: [str(value)] for name, value in response.headers.items()}
    return {
        "statusCode": response.status_code,
        "body": response.body,
        "isBase64Encoded": False,
        "multiValueHeaders": headers | {"Content-Type": [str(response.content_type)]},
    }


def _headers_of_all(request_id: str, origin: str) -> dict[str, str]:
    """What every answer has, a problem too."""
    headers = {"Cache-Control": "no-store", "X-Request-Id": request_id}
    if origin != "none":
        headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED, "Vary": "Origin"}
    return headers


def _without_base_path(event: dict[str, Any]) -> dict[str, Any]:
    """``event``, its path without what a custom domain maps the API to: ``/bot/api/health`` → ``/api/health``."""
    before, api, path = str(event["path"]).partition("/api/")
    return event if not before else {**event, "path": api + path}


def _with_content_type_told(event: dict[str, Any]) -> dict[str, Any]:
    """``event``, its body called JSON where it is called by another name of that, and something else where it is not.

    A web page of another origin can send a form, a text or what has no type at all without asking whether it may; JSON
    it cannot.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    told = str(headers.get("content-type", "")).partition(";")[0].strip().lower()
    # What is not JSON the resolver refuses, instead of reading it as what it is.
    headers["content-type"] = "application/json" if told in _JSON or not event.get("body") else "not/json"
    return {**event, "headers": headers, "multiValueHeaders": None}


def read_json(text: str | bytes) -> Any:
    """A JSON document, every number in it exact; refuses what most readers would silently take half of."""
    if len(text) > MOST_BODY_CHARACTERS:
        raise BodyTooLargeError(
            "body_too_large", f"the body has {len(text)} characters, expected at most {MOST_BODY_CHARACTERS}"
        )
    try:
        return json.loads(
            text, parse_float=_number, parse_int=_number, parse_constant=_number, object_pairs_hook=_build_object
        )
    except RecursionError:
        raise InvalidJsonError("invalid_json", "the JSON is nested too deeply, expected a flat object") from None


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what even a Decimal holds
        return Decimal("Infinity")


def _build_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidJsonError("invalid_json", f"{twice[:100]} is there twice, expected every name once")
    return found


def _refuse_unknown_parameters(app: APIGatewayRestResolver, following: Callable[..., Response[Any]]) -> Response[Any]:
    """Refuse a query parameter that the route does not have: one that is misspelled would silently filter nothing."""
    known = {parameter.alias or parameter.name for parameter in app.context["_route"].dependant.query_params}
    unknown = sorted(set(app.current_event.query_string_parameters or {}) - known)
    if unknown:
        expected = f"one of {', '.join(sorted(known))}" if known else "no parameter"
        wrong = [{"field": name[:100], "expected": expected} for name in unknown]
        return invalid_request(wrong)
    return following(app)


def _no_such_route(_: Exception) -> Response[str]:
    return problem(HTTPStatus.NOT_FOUND, "no_such_route", "no such route")
