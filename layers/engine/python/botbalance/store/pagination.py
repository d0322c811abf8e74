"""Lists by page and by time: where the next page starts, opaque to whoever passes it back, and from when to when."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import NamedTuple

from botbalance.errors import InvalidRequestError

MAX_EPOCH_S = 99_999_999_999
"""No time is later."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From ``since`` to ``until``, both in epoch seconds and included; raises InvalidRequestError where the end is
    first."""

    since: int = 0
    until: int = MAX_EPOCH_S

    def __post_init__(self) -> None:
        if self.until < self.since:
            raise InvalidRequestError(
                "invalid_period", f"until is {self.until}, expected a time not before since {self.since}"
            )

    def require(self, cursor: str, moment: int) -> None:
        """Raise InvalidRequestError for a cursor that stands at a ``moment`` outside of this range: it is another
        list's."""
        if not self.since <= moment <= self.until:
            raise InvalidRequestError(
                "invalid_cursor", f"cursor is {cursor[:40]!r}, expected one of the same since and until"
            )


ALWAYS = TimeRange()


class Page[T](NamedTuple):
    """Some of a list; ``cursor`` asks for the next ones, None where these were the last."""

    items: list[T]
    cursor: str | None


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
