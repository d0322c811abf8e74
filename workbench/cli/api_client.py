"""Asks a running API, as curl would; a problem document becomes one line."""

from typing import Any

import requests
from botbalance.errors import InvalidRequestError, TransientError

TIMEOUT_S = 60


class ApiClient:
    """The API at ``url`` (``http://127.0.0.1:8787``), as the user whom ``token`` names."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Any:
        """The answer to a GET; raises InvalidRequestError for a problem, TransientError where nobody answers."""
        return self._ask("GET", path)

    def post(self, path: str) -> Any:
        """The answer to a POST; raises like :meth:`get`."""
        return self._ask("POST", path)

    def _ask(self, method: str, path: str) -> Any:
        try:
            answer = requests.request(method, f"{self._url}{path}", headers=self._headers, timeout=TIMEOUT_S)
        except (requests.RequestException, ValueError) as error:
            raise TransientError(
                "api_unreachable", f"--url is {self._url}: no API answers there ({type(error).__name__})"
            ) from None
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
        if not answer.ok:
            raise InvalidRequestError(
                str(document.get("code", answer.status_code)), str(document.get("detail", document))
            )
        return document
