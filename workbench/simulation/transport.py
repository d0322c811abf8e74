"""The way from ccxt to the simulated exchange, without a socket and without what requests does around one."""

from collections.abc import Callable, Mapping
from typing import Any

from botbalance.exchange.http_pool import HttpPool
from requests import Response, Session
from requests.exceptions import ChunkedEncodingError, ConnectionError, ReadTimeout  # noqa: A004 - as requests names it
from requests.structures import CaseInsensitiveDict

from workbench.faults.exchange import Delivery, Outcome
from workbench.simulated_exchange.binance_api import Request

EXCHANGE_URL = "http://127.0.0.1:9"
"""Where nobody listens: whatever went past this would fail."""


class InProcessTransport(HttpPool):
    """Gives sessions that hand every request to ``answer``, and its outcome back as it would have been met on the
    wire."""

    def __init__(self, answer: Callable[[Request], Outcome]) -> None:
        super().__init__(1)
        self._answer = answer

    def session(self) -> Session:
        return _InProcessSession(self._answer)


class _InProcessSession(Session):
    def __init__(self, answer: Callable[[Request], Outcome]) -> None:
        super().__init__()
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
        path, _sign, query = url.removeprefix(EXCHANGE_URL).partition("?")
        body = data.decode() if isinstance(data, bytes) else data or ""
        lowered = {name.lower(): str(value) for name, value in (headers or {}).items()}
        outcome = self._answer(Request(method.upper(), path, query, body, lowered))
        match outcome.delivery:
            case Delivery.SILENCE:
                raise ReadTimeout("Read timed out.")
            case Delivery.RESET:
                raise ConnectionError("Connection reset by peer")
            case Delivery.CLOSED:
                raise ConnectionError("Remote end closed connection without response")
            case Delivery.HALF:
                raise ChunkedEncodingError("Connection broken: IncompleteRead")
        return _response(url, outcome)


_UNANSWERED = Response()
"""What every response begins as; making one anew takes as long as half of what the exchange does."""


def _response(url: str, outcome: Outcome) -> Response:
    reply = outcome.reply
    response = Response.__new__(Response)
    vars(response).update(vars(_UNANSWERED))
    response.status_code = reply.status
    response.headers = CaseInsensitiveDict({**reply.headers, "Content-Type": reply.content_type})
    response.encoding = "utf-8"
    response.url = url
    response.reason = "OK" if reply.status == 200 else "Error"
    vars(response)["_content"] = reply.text.encode()
    return response
