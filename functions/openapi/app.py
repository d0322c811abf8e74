"""Describes the API to programs."""

import json
from functools import cache
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from botbalance.api.resolver import make_handler, new_resolver
from botbalance.api.responses import JSON, answers
from botbalance.bootstrap import services

app = new_resolver()


@app.get("/api/openapi.json", responses=answers(JSON))
def get_openapi() -> Response[str]:
    """This document."""
    return Response(HTTPStatus.OK, JSON, document_text())


@cache
def document_text() -> str:
    """The document, made once: anybody may ask for it, without a token, and making it takes half a second."""
    from openapi.document import openapi_document  # noqa: PLC0415 - imports every function

    return json.dumps(openapi_document())


lambda_handler = make_handler(app, lambda: services().settings.cors_origin)
