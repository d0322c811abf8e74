"""Asks a running API, as curl would; a problem document becomes one line."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import requests
from botbalance.errors import InvalidRequestError, TransientError

TIMEOUT_S = 60


class Versioned(NamedTuple):
    """An answer and its ETag; None where it has none."""

    document: Any
    etag: str | None


class ApiClient:
    """The API at ``url`` (``http://127.0.0.1:8787``), as the user whom ``token`` names."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Any:
        """The answer to a GET; raises InvalidRequestError for a problem, TransientError where nobody answers."""
        return self.ask("GET", path).document

    def post(self, path: str, body: Any = None) -> Any:
        """The answer to a POST; raises like :meth:`get`."""
        return self.ask("POST", path, body).document

    def ask(self, method: str, path: str, body: Any = None, *, if_match: str | None = None) -> Versioned:
        """The answer to any request, with its version; ``body`` goes as JSON. Raises like :meth:`get`."""
        answer = self._send(method, path, body, {"If-Match": if_match} if if_match else {})
        document = self._document(answer)
        if not answer.ok:
            raise _problem(answer, document)
        return Versioned(document, answer.headers.get("ETag"))

    def pages(self, path: str, query: str = "") -> Iterator[str]:
        """The texts of a list and of every page after it, as their headers Link lead on; raises like :meth:`get`."""
        following: str | None = query
        while following is not None:
            answer = self._send("GET", f"{path}{following}", None, {})
            if not answer.ok:
                raise _problem(answer, self._document(answer))
            yield answer.content.decode("utf-8")
            following = answer.links["next"]["url"] if "next" in answer.links else None

    def _send(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> requests.Response:
        try:
            return requests.request(
                method, f"{self._url}{path}", headers={**self._headers, **headers}, json=body, timeout=TIMEOUT_S
            )
        except requests.RequestException as error:
            raise TransientError("api_unreachable", f"--url is {self._url}: {_reason(error)}") from None
        except ValueError:  # of http.client, for what no header may hold
            raise InvalidRequestError("token", "--token has a character that no token has") from None

    def _document(self, answer: requests.Response) -> dict[str, Any]:
        try:
            document = answer.json()
        except requests.JSONDecodeError:
            raise TransientError(
                "not_an_api", f"--url is {self._url}: it answered {answer.status_code}, and not with JSON"
            ) from None
        if not isinstance(document, dict):
            raise TransientError(
                "not_an_api", f"--url is {self._url}: it answered {answer.status_code} with other JSON"
            )
        return document


def _problem(answer: requests.Response, document: Mapping[str, Any]) -> InvalidRequestError:
    return InvalidRequestError(str(document.get("code", answer.status_code)), str(document.get("detail", document)))


def _reason(error: requests.RequestException) -> str:
    """What went wrong, in words that do not need the library's manual."""
    match error:
        case requests.Timeout():
            return f"no answer within {TIMEOUT_S} s"
        case requests.exceptions.SSLError():
            return "its certificate is not trusted here"
        case requests.ConnectionError():
            return "nobody answers there; `make run` starts the API on this machine"
        case requests.exceptions.InvalidHeader():
            return "--token has a character that no token has"
        case requests.exceptions.TooManyRedirects():
            return "it redirects without end"
        case _:
            return "that is no address of an API, expected one like http://127.0.0.1:8787"
