"""How the API is described on one machine: the deployed document, but for the token, and a page to try it out on."""

import json
from importlib.resources import files
from typing import Any

from aws_lambda_powertools.event_handler.openapi.swagger_ui import generate_swagger_html
from openapi.document import openapi_document


def local_document() -> dict[str, Any]:
    """The OpenAPI document as it is true of the local gateway: there nobody needs a token."""
    document = openapi_document()
    for methods in document["paths"].values():
        for operation in methods.values():
            if operation["security"]:
                operation["security"].append({})
    return document


def swagger_page() -> str:
    """HTML with Swagger UI, its styles and the document in it, so that no network is needed to show it."""
    parts = files("aws_lambda_powertools.event_handler.openapi.swagger_ui")
    return generate_swagger_html(
        json.dumps(local_document()),
        (parts / "swagger-ui-bundle.min.js").read_text(encoding="utf-8"),
        (parts / "swagger-ui.min.css").read_text(encoding="utf-8"),
        swagger_base_url="",
        oauth2_config=None,
    )
