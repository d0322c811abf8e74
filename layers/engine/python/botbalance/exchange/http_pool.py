"""Connections: the HTTP connections of a process to exchanges, kept once for all of its users.

What is shared is urllib3's pool, which is made for many threads. Sessions are not: a cookie that came with one user's
reply must not leave with another's request.
"""

from functools import cache
from ssl import SSLContext
from typing import Any

from requests import Session
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

_HOSTS = 32
"""Hosts to which connections are kept: every exchange's few."""


class Connections(HTTPAdapter):
    """At most ``most`` connections to each host at a time; whoever comes when all are busy waits for one."""

    def __init__(self, most: int) -> None:
        super().__init__(pool_connections=_HOSTS, pool_maxsize=most, pool_block=True)

    def session(self) -> Session:
        """A session of its own for one user, over these connections."""
        session = Session()
        session.trust_env = False
        for scheme in ("https://", "http://"):
            session.mount(scheme, self)
        return session

    def init_poolmanager(self, *sizes: Any, **settings: Any) -> None:
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
