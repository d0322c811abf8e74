"""Cursors: where the next page starts, opaque to whoever passes them back."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from botbalance.errors import MendRequest


def encode_cursor(*parts: str) -> str:
    """The parts of a start key as one URL-safe word."""
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, length: int) -> list[str]:
    """The parts that :func:`encode_cursor` was given; raises MendRequest for anything else."""
    try:
        parts = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, UnicodeError):
        parts = None
    if not isinstance(parts, list) or len(parts) != length or not all(isinstance(part, str) for part in parts):
        raise MendRequest("invalid_cursor", f"cursor is {cursor[:40]!r}, expected one from an earlier page")
    return parts
