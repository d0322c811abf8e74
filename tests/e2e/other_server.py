"""A handler that answers what this API never would."""

from typing import Any

ANSWERS: dict[str, tuple[int, str, str]] = {
    "html": (200, "text/html", "<html>hello</html>"),
    "empty": (200, "application/json", ""),
    "object": (200, "application/json", '{"hello": "harness"}'),
    "list": (200, "application/json", "[1, 2]"),
    "null": (200, "application/json", "null"),
    "text": (200, "application/json", '"hello"'),
    "error": (500, "text/plain", "oh no"),
    "error-list": (500, "application/json", "[]"),
    "numbers": (
        200,
        "application/json",
        '{"mode": 1, "nav": "x", "quote_asset": 1, "drift_pct": null, "quote_amount": [], "assets": 5, "warnings": 1}',
    ),
}


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    del context
    status, content_type, body = ANSWERS[event["pathParameters"]["kind"]]
    return {"statusCode": status, "headers": {"Content-Type": content_type}, "body": body}
