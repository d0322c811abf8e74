"""Signing in to a deployed API, against a server that answers as Cognito documents it."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from botbalance.errors import InvalidRequestError, TransientError

from workbench.cli.sign_in import id_token

ANSWERS: dict[str, tuple[int, dict[str, Any]]] = {
    "right": (200, {"AuthenticationResult": {"IdToken": "the.id.token", "ExpiresIn": 3600}}),
    "wrong": (400, {"__type": "NotAuthorizedException", "message": "Incorrect username or password."}),
    "new": (200, {"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": "s"}),
}


class Cognito(BaseHTTPRequestHandler):
    """InitiateAuth, whose answer the password chooses."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["X-Amz-Target"].endswith(".InitiateAuth")
        assert "Authorization" not in self.headers, "nobody needs keys of an AWS account to sign in"
        status, answer = ANSWERS[asked["AuthParameters"]["PASSWORD"]]
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing is said."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Cognito) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_right_password_gives_the_id_token(url: str) -> None:
    assert id_token("client", "eu-central-1", "me@example.com", "right", url) == "the.id.token"


def test_a_wrong_password_is_refused_in_the_pools_words(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="Incorrect username or password"):
        id_token("client", "eu-central-1", "me@example.com", "wrong", url)


def test_a_challenge_is_named(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="NEW_PASSWORD_REQUIRED"):
        id_token("client", "eu-central-1", "me@example.com", "new", url)


def test_nobody_there_is_no_traceback() -> None:
    with pytest.raises(TransientError, match="does not answer"):
        id_token("client", "eu-central-1", "me@example.com", "right", "http://127.0.0.1:9")
