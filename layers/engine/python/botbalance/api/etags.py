"""Versions of what is stored, as HTTP names them: ``ETag`` in an answer, ``If-Match`` in what changes it."""

import re

from botbalance.errors import InvalidRequestError, PreconditionFailedError, PreconditionRequiredError
from botbalance.models.strategy import Strategy

_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')
_WELL_FORMED = re.compile(r'\s*(\*|(W/)?"[^"]*"(\s*,\s*(W/)?"[^"]*")*)\s*')


def etag(strategy: Strategy) -> str:
    """The name of this version of the strategy."""
    return f'"{strategy.version}"'


def require_version(stored: Strategy | None, if_match: str | None) -> None:
    """Let a change pass only where it was made knowing ``stored``, the strategy as it is (RFC 9110, 13.1.1).

    Raises PreconditionRequiredError (428) where there is one and nothing was said of it, PreconditionFailedError
    (412) where something else was said, InvalidRequestError where that is no ETag. ``*`` is whichever there is.
    """
    if if_match is None:
        if stored is not None:
            raise PreconditionRequiredError(
                "version_needed",
                "If-Match is missing, expected the ETag of the strategy that this changes, as GET answers it, or *",
            )
        return
    if not _WELL_FORMED.fullmatch(if_match):
        raise InvalidRequestError(
            "invalid_request",
            f"If-Match is {if_match[:60]}, expected an ETag in double quotes, as GET answers it, or *",
        )
    if stored is None:
        raise PreconditionFailedError(
            "version_stale", f"If-Match is {if_match[:60]}, expected none: no strategy is stored yet"
        )
    if if_match.strip() == "*":
        return
    strong = {tag for weak, tag in _ENTITY_TAG.findall(if_match) if not weak}
    if str(stored.version) not in strong:
        raise PreconditionFailedError(
            "version_stale",
            f"If-Match is {if_match[:60]}, expected {etag(stored)}: the strategy was changed meanwhile",
        )
