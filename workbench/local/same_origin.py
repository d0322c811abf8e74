"""Who may ask a server on this machine: programs, and pages that the server itself has served.

Every page in this machine's browser can send requests to loopback: from its own origin, or under a name of its own that
it lets point here (DNS rebinding). The first are told by their Origin, the second by their Host.
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from botbalance.errors import InvalidRequestError

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
WRONG_HOST = "wrong_host"
WRONG_ORIGIN = "wrong_origin"
NOT_JSON = "not_json"


def require_same_origin(
    headers: Mapping[str, str], *, names: Collection[str] = LOOPBACK_NAMES, origins: Collection[str] = ()
) -> None:
    """Raise InvalidRequestError unless the request is to one of ``names``, and from no page or from one served there.

    ``origins`` are those of other pages that may ask, too.
    """
    host = headers.get("Host", "")
    if _hostname(f"//{host}") not in names:
        raise InvalidRequestError(WRONG_HOST, f"Host is {host[:100]!r}, expected one of {', '.join(sorted(names))}")
    origin = headers.get("Origin")
    if origin is not None and origin not in {f"http://{host}", *origins}:
        raise InvalidRequestError(WRONG_ORIGIN, f"Origin is {origin[:100]!r}, expected none, or http://{host}")


def require_json(headers: Mapping[str, str]) -> None:
    """Raise InvalidRequestError for a body that is not called JSON: a form of another page's, for one."""
    told = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if told != "application/json":
        raise InvalidRequestError(NOT_JSON, f"Content-Type is {told[:100]!r}, expected application/json")


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
