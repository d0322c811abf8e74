"""The way from ccxt's session to the simulated exchange, without a socket."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from botbalance.exchange.http_pool import Connections
from requests import PreparedRequest, Response
from requests.exceptions import ChunkedEncodingError, ConnectionError, ReadTimeout  # noqa: A004 - as requests names it
from requests.structures import CaseInsensitiveDict

from workbench.faults.exchange import Delivery, Outcome
from workbench.simulated_exchange.binance_api import Request

EXCHANGE_URL = "http://127.0.0.1:9"
"""Where nobody listens: whatever went past this adapter would fail."""


class InProcessTransport(Connections):
    """Hands every request to ``answer``, and its outcome back as requests would have met it on the wire."""

    def __init__(self, answer: Callable[[Request], Outcome]) -> None:
        super().__init__(1)
        self._answer = answer

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        url = urlsplit(request.url or "")
        body = request.body or ""
        outcome = self._answer(
            Request(
                request.method or "GET",
                url.path,
                url.query,
                body.decode() if isinstance(body, bytes) else body,
                {name.lower(): str(value) for name, value in request.headers.items()},
            )
        )
        match outcome.delivery:
            case Delivery.SILENCE:
                raise ReadTimeout("Read timed out.", request=request)
            case Delivery.RESET:
                raise ConnectionError("Connection reset by peer", request=request)
            case Delivery.CLOSED:
                raise ConnectionError("Remote end closed connection without response", request=request)
            case Delivery.HALF:
                raise ChunkedEncodingError("Connection broken: IncompleteRead", request=request)
        return _response(request, outcome)


def _response(request: PreparedRequest, outcome: Outcome) -> Response:
    reply = outcome.reply
    response = Response()
    response.status_code = reply.status
    response.headers = CaseInsensitiveDict({**reply.headers, "Content-Type": reply.content_type})
    response.encoding = "utf-8"
    response.url = request.url or ""
    response.request = request
    response.reason = "OK" if reply.status == 200 else "Error"
    vars(response)["_content"] = reply.text.encode()
    return response
