"""The way from ccxt to a simulated exchange in the same process: no socket, and nothing of what HTTP takes around
one."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from botbalance.exchange.http_pool import HttpPool, HttpResponse
from requests.structures import CaseInsensitiveDict

from workbench.simulated_exchange.binance_api import Reply, Request


class InProcessConnections(HttpPool):
    """Hands every request to ``url`` to ``answer``, which may raise what requests would."""

    def __init__(self, url: str, answer: Callable[[Request], Reply]) -> None:
        super().__init__(1)
        self._url = url
        self._answer = answer

    def request(
        self,
        method: str,
        url: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> HttpResponse:
        """Have a request answered here."""
        path, _sign, query = url.removeprefix(self._url).partition("?")
        lowered = {name.lower(): str(value) for name, value in (headers or {}).items()}
        reply = self._answer(Request(method.upper(), path, query, (data or b"").decode(), lowered))
        told = _headers(reply.content_type)
        told = CaseInsensitiveDict({**told, **reply.headers}) if reply.headers else told
        return HttpResponse(reply.status, "OK" if reply.status == 200 else "Error", told, reply.text.encode())


@cache
def _headers(content_type: str) -> CaseInsensitiveDict[str]:
    """Those of a reply that has none of its own; nobody writes to them."""
    return CaseInsensitiveDict({"Content-Type": content_type})
