"""The way from ccxt to a simulated exchange in the same process: no socket, and nothing of what requests does around
one."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from botbalance.exchange.http_pool import HttpPool
from requests import Response, Session
from requests.structures import CaseInsensitiveDict

from workbench.simulated_exchange.binance_api import Reply, Request


class InProcessConnections(HttpPool):
    """Gives sessions that hand every request to ``url`` to ``answer``, which may raise what requests would."""

    def __init__(self, url: str, answer: Callable[[Request], Reply]) -> None:
        super().__init__(1)
        self._url = url
        self._answer = answer

    def session(self) -> Session:
        """A session whose requests are answered here."""
        return _InProcessSession(self._url, self._answer)


class _InProcessSession(Session):
    def __init__(self, url: str, answer: Callable[[Request], Reply]) -> None:
        super().__init__()
        self._url = url
        self._answer = answer

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        data: str | bytes | None = None,
        headers: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Response:
        path, _sign, query = url.removeprefix(self._url).partition("?")
        body = data.decode() if isinstance(data, bytes) else data or ""
        lowered = {name.lower(): str(value) for name, value in (headers or {}).items()}
        return _response(url, self._answer(Request(method.upper(), path, query, body, lowered)))


_UNANSWERED = Response()
"""What every response begins as; making one anew takes as long as half of what the exchange does."""


@cache
def _headers(content_type: str) -> CaseInsensitiveDict[str]:
    """Those of a reply that has none of its own; nobody writes to them."""
    return CaseInsensitiveDict({"Content-Type": content_type})


def _response(url: str, reply: Reply) -> Response:
    response = Response.__new__(Response)
    vars(response).update(vars(_UNANSWERED))
    response.status_code = reply.status
    headers = _headers(reply.content_type)
    response.headers = CaseInsensitiveDict({**headers, **reply.headers}) if reply.headers else headers
    response.encoding = "utf-8"
    response.url = url
    response.reason = "OK" if reply.status == 200 else "Error"
    vars(response)["_content"] = reply.text.encode()
    return response
