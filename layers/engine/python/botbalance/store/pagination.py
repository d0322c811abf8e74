"""Cursors: where the next page starts, opaque to whoever passes them back."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from botbalance.errors import InvalidRequestError


def encode_cursor(*parts: str) -> str:
    """The parts of a start key as one URL-safe word."""
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *patterns: str) -> list[str]:
    """The parts that :func:`encode_cursor` was given, each matching its pattern whole.

    Raises InvalidRequestError for anything else, so that nothing forged reaches DynamoDB as a key.
    """
    try:
        parts = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        parts = None
    if (
        not isinstance(parts, list)
        or len(parts) != len(patterns)
        or not all(
            isinstance(part, str) and re.fullmatch(pattern, part) for part, pattern in zip(parts, patterns, strict=True)
        )
    ):
        raise InvalidRequestError("invalid_cursor", f"cursor is {cursor[:40]!r}, expected one from an earlier page")
    return parts
