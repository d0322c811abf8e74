"""HttpPool: the HTTP connections of a process to exchanges, kept once for all of its users.

What is shared is urllib3's pool, which is made for many threads. Sessions are not: a cookie that came with one user's
reply must not leave with another's request.

Requests carry keys and signed orders, so they go to the host that they were signed for and nowhere else: no redirect is
followed, and nothing is sent unencrypted except to this machine.
"""

from collections.abc import Collection
from functools import cache
from ssl import SSLContext
from typing import Any

from requests import Session
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from urllib3.util import parse_url
from urllib3.util.ssl_ import create_urllib3_context

from botbalance.errors import TransientError
from botbalance.settings import LOOPBACK_HOSTS

_HOSTS = 32
"""Hosts to which connections are kept: every exchange's few."""


class _DirectSession(Session):
    """A session that follows no redirect: a 3xx reply is returned as it came."""

    def get_redirect_target(self, resp: Any) -> None:
        return None


class HttpPool(HTTPAdapter):
    """At most ``most`` connections to each host at a time; whoever comes when all are busy waits for one.

    Plain http goes to ``plain_http_hosts`` only.
    """

    def __init__(self, most: int, plain_http_hosts: Collection[str] = LOOPBACK_HOSTS) -> None:
        super().__init__(pool_connections=_HOSTS, pool_maxsize=most, pool_block=True)
        self._plain_http_hosts = plain_http_hosts

    def send(self, request: Any, *args: Any, **settings: Any) -> Any:
        """As requests, but raises TransientError, before anything leaves, where it would leave unencrypted."""
        url = parse_url(request.url)
        if url.scheme != "https" and (url.host or "").strip("[]") not in self._plain_http_hosts:
            raise TransientError(
                "plain_http_refused", f"nothing is sent to {url.host} over {url.scheme}: expected https"
            )
        return super().send(request, *args, **settings)

    def session(self) -> Session:
        """A session of its own for one user, over these connections."""
        session = _DirectSession()
        session.trust_env = False
        for scheme in ("https://", "http://"):
            session.mount(scheme, self)
        return session

    def init_poolmanager(self, *sizes: Any, **settings: Any) -> None:
        """Make the pool, with certificates that are read once for all."""
        super().init_poolmanager(*sizes, **settings, ssl_context=_ssl_context())

    def cert_verify(self, conn: Any, *_: Any) -> None:
        """Certificates are always verified. Unlike in requests, they are not read again for every connection."""
        conn.cert_reqs = "CERT_REQUIRED"

    def close(self) -> None:
        """Nothing: this is one of its sessions being closed, and the others go on."""

    def close_all(self) -> None:
        """Close every connection that no request is using."""
        super().close()


@cache
def _ssl_context() -> SSLContext:
    """What requests would make anew for every connection, at 20 ms each."""
    context = create_urllib3_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context
