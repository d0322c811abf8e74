"""HttpPool: the HTTP connections of a process to exchanges, kept once for all of its users.

ccxt asks through it in place of a session of requests, of which it needs little: merging a session's settings into each
request takes longer than sending it. No cookie is kept: one that came with one user's reply must not leave with
another's request.

Requests carry keys and signed orders, so they go to the host that they were signed for and nowhere else: no redirect is
followed, and nothing is sent unencrypted except to this machine.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from typing import Any

from requests import ConnectionError as UnreachableError
from requests import ConnectTimeout, HTTPError, ReadTimeout
from requests.adapters import DEFAULT_CA_BUNDLE_PATH
from requests.exceptions import ContentDecodingError, SSLError
from requests.utils import default_headers
from urllib3 import PoolManager, exceptions
from urllib3.util import parse_url
from urllib3.util.ssl_ import create_urllib3_context

from botbalance.errors import TransientError
from botbalance.settings import LOOPBACK_HOSTS

_HOSTS = 32
"""Hosts to which connections are kept: every exchange's few."""
_WITHOUT_BODY = {"GET", "HEAD"}
"""Methods whose requests do not tell that their body is empty."""


@dataclass(slots=True)
class HttpResponse:
    """A reply as ccxt reads it, under the names that requests has."""

    status_code: int
    reason: str | None
    headers: Mapping[str, str]
    content: bytes
    encoding: str = "utf-8"

    @property
    def text(self) -> str:
        """The body, with a mark in place of what is not in its encoding."""
        return self.content.decode(self.encoding, "replace")

    def raise_for_status(self) -> None:
        """Raise HTTPError for a status from 400 on."""
        if self.status_code >= 400:
            raise HTTPError(f"HTTP {self.status_code}")


class HttpPool:
    """At most ``most`` connections to each host at a time; whoever comes when all are busy waits for one.

    Plain http goes to ``plain_http_hosts`` only.
    """

    def __init__(self, most: int, plain_http_hosts: Collection[str] = LOOPBACK_HOSTS) -> None:
        self._plain_http_hosts = plain_http_hosts
        self._connections = PoolManager(_HOSTS, maxsize=most, block=True, ssl_context=_ssl_context())
        self.headers = default_headers()
        """Which ccxt puts into each request."""
        self.cookies: dict[str, str] = {}
        """None, ever; ccxt clears them before each request."""

    def request(
        self,
        method: str,
        url: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: int | float | None = None,
        **_: Any,
    ) -> HttpResponse:
        """Send one request, once, and read its reply; ``timeout`` in seconds. Certificates are always verified.

        Raises what requests would, and TransientError, before anything leaves, where it would leave unencrypted.
        """
        target = parse_url(url)
        if target.scheme != "https" and (target.host or "").strip("[]") not in self._plain_http_hosts:
            raise TransientError(
                "plain_http_refused", f"nothing is sent to {target.host} over {target.scheme}: expected https"
            )
        sent = dict(headers or {})
        if data is None and method not in _WITHOUT_BODY:
            sent["Content-Length"] = "0"
        with _errors_of_requests():
            host = self._connections.connection_from_host(target.host, target.port, target.scheme)
            reply = host.urlopen(
                method, target.request_uri, body=data, headers=sent, timeout=timeout, retries=False, redirect=False
            )
        return HttpResponse(reply.status, reply.reason, reply.headers, reply.data)

    def close(self) -> None:
        """Nothing: this is one of its clients being closed, and the others go on."""

    def close_all(self) -> None:
        """Close every connection that no request is using."""
        self._connections.clear()


@contextmanager
def _errors_of_requests() -> Iterator[None]:
    """Raise what ccxt knows, requests' exceptions, for urllib3's."""
    try:
        yield
    except exceptions.NewConnectionError as error:  # to urllib3, a kind of timeout
        raise UnreachableError(error) from error
    except exceptions.ConnectTimeoutError as error:
        raise ConnectTimeout(error) from error
    except exceptions.ReadTimeoutError as error:
        raise ReadTimeout(error) from error
    except exceptions.SSLError as error:
        raise SSLError(error) from error
    except exceptions.DecodeError as error:
        raise ContentDecodingError(error) from error
    except (exceptions.HTTPError, OSError) as error:
        raise UnreachableError(error) from error


@cache
def _ssl_context() -> SSLContext:
    """What requests would make anew for every connection, at 20 ms each."""
    context = create_urllib3_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context
