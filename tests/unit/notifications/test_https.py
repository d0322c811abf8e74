"""Nothing is sent but to the public internet, whatever an address is called or resolves to."""

import socket
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from botbalance.notifications import https
from botbalance.notifications.channels import PostRequest
from botbalance.notifications.https import BlockedAddressError, NoAnswerError, NotSentError, is_public, post

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.64.0.1",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:db8::1",
    "not an address",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "149.154.167.220", "2606:4700:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused_before_anything_is_sent(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "_connection", lambda *_: pytest.fail("a connection was made"))
    assert not is_public(address)
    with pytest.raises(BlockedAddressError, match="public internet"):
        post(PostRequest("https://hook.example.com/", "{}"), resolving=lambda *_: [address])


@pytest.mark.parametrize("address", PRIVATE[:-1])
def test_one_address_that_is_not_public_among_others_is_enough(address: str) -> None:
    with pytest.raises(BlockedAddressError):
        post(PostRequest("https://hook.example.com/", "{}"), resolving=lambda *_: ["8.8.8.8", address])


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_not_refused(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:7f00:1]/",
        "https://localhost/",
        "https://user@127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
    ],
)
def test_however_this_machine_is_spelled_it_is_not_reached(url: str) -> None:
    with pytest.raises((BlockedAddressError, NotSentError)):
        post(PostRequest(url, "{}"))


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/", "ftp://8.8.8.8/", "https:///", "file:///etc/passwd", "https://a:x/"]
)
def test_only_https_is_spoken(url: str) -> None:
    with pytest.raises(BlockedAddressError):
        post(PostRequest(url, "{}"), resolving=lambda *_: ["8.8.8.8"])


def test_loopback_is_let_in_where_everything_runs_on_one_machine_and_no_more_than_that() -> None:
    for address in ("10.0.0.1", "169.254.169.254"):
        with pytest.raises(BlockedAddressError):
            post(PostRequest("http://hook/", "{}"), allows_loopback=True, resolving=lambda *_, a=address: [a])
    with pytest.raises(NotSentError):  # nobody listens there
        post(PostRequest("http://127.0.0.1:9/", "{}"), allows_loopback=True)


def test_a_connection_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to another address a moment later changes nothing."""
    asked = iter([["8.8.8.8"], ["127.0.0.1"]])
    reached = []

    def connect(address: Any, *_: Any, **__: Any) -> socket.socket:
        reached.append(address)
        raise OSError("no network here")

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    with pytest.raises(NotSentError):
        post(PostRequest("https://rebinding.example.com/", "{}"), resolving=lambda *_: next(asked))
    assert reached == [("8.8.8.8", 443)]


@pytest.fixture
def slow() -> Iterator[str]:
    """A server that sends its headers a byte at a time, for ever."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while True:
                    self.wfile.write(b"x" * 100)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_headers_without_end_are_no_answer(slow: str) -> None:
    with pytest.raises(NoAnswerError):
        post(PostRequest(slow, "{}"), allows_loopback=True)


def test_a_certificate_of_another_name_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    connection: Any = https._connection("https", "8.8.8.8", 443, "hook.example.com")
    assert connection.server_hostname == connection.assert_hostname == "hook.example.com"
    assert connection.cert_reqs in {"CERT_REQUIRED", ssl.CERT_REQUIRED}


def test_an_error_shows_nothing_of_the_url() -> None:
    secret = "SECRETTOKEN"
    request = PostRequest(f"https://127.0.0.1/bot{secret}/send", "{}")
    assert secret not in repr(request)
    with pytest.raises(BlockedAddressError) as raised:
        post(request)
    assert secret not in str(raised.value)
