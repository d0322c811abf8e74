"""POSTs to addresses that users have typed: to the public internet alone, whatever their names resolve to.

A name is resolved once, every address it has must be public, and the connection goes to the one that was looked at: a
name that resolves to another address a moment later changes nothing. No redirect is followed, no proxy asked, and what
takes long is cut off. Only https, except to this machine where ``allows_loopback``.
"""

import socket
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Timer
from urllib.parse import SplitResult, urlsplit

import certifi
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError

from botbalance.notifications.channels import PostRequest

CONNECT_S, READ_S, TOTAL_S = 3, 5, 12
MOST_READ = 16_384
"""Bytes of an answer; of the rest nothing is wanted."""
_NOT_OURS = tuple(IPv6Address(prefix).packed[:12] for prefix in ("64:ff9b::", "::"))
"""The first 12 bytes of addresses that hold an IPv4 address for a translator."""

type Resolve = Callable[[str, int], list[str]]


class BlockedAddressError(Exception):
    """Nothing was sent: the address is not one to send to."""


class NotSentError(Exception):
    """Nothing was sent: nobody was reached."""


class NoAnswerError(Exception):
    """It was sent, or a part of it, and no answer came: it may have arrived."""


@dataclass(frozen=True, slots=True)
class PostResponse:
    """An answer: status, headers in lower case, and the beginning of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def resolve(host: str, port: int) -> list[str]:
    """Every address of ``host``; raises NotSentError where it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSentError(f"{host} has no address") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: str) -> bool:
    """Whether ``address``, or the IPv4 address that it holds, is one of the public internet."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found.sixtofour is not None or found.teredo is not None or found.packed[:12] in _NOT_OURS:
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def post(request: PostRequest, *, allows_loopback: bool = False, resolving: Resolve = resolve) -> PostResponse:
    """Send ``request`` once; returns whatever is answered, a redirect too.

    Raises BlockedAddressError, NotSentError, or NoAnswerError.
    """
    url = urlsplit(request.url)
    address, port = _address(url, resolving, allows_loopback=allows_loopback)
    host = url.hostname or ""
    connection = _connection(url.scheme, address, port, host)
    path = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
    headers = {
        "Host": url.netloc.rpartition("@")[2],
        "Content-Type": "application/json",
        "User-Agent": "BotBalance",
        "Connection": "close",
        **request.headers,
    }
    cut_off = Timer(TOTAL_S, lambda: _shut(connection))
    cut_off.daemon = True
    cut_off.start()
    with closing(connection):
        try:
            _connect(connection, host)
            connection.request("POST", path, body=request.body.encode(), headers=headers, preload_content=False)
            answer = connection.getresponse()
            status, told = answer.status, {name.lower(): value for name, value in answer.headers.items()}
            body = b""
            with suppress(OSError, HTTPError):  # that it was answered is known already
                body = answer.read(MOST_READ, decode_content=False)
        except (OSError, HTTPException, HTTPError) as error:
            raise NoAnswerError(f"{host} did not answer ({_name(error)})") from error
        finally:
            cut_off.cancel()
    return PostResponse(status, told, body)


def _address(url: SplitResult, resolving: Resolve, *, allows_loopback: bool) -> tuple[str, int]:
    """To where to connect, and the port."""
    host = url.hostname
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise BlockedAddressError("the URL's port is no port") from error
    if not host or url.scheme not in {"https", "http"}:
        raise BlockedAddressError("the URL is none of https")
    addresses = resolving(host, port)
    if allows_loopback and all(_is_loopback(address) for address in addresses):
        return addresses[0], port
    if url.scheme != "https":
        raise BlockedAddressError(f"{host} would be sent to unencrypted, expected https")
    if not addresses or not all(map(is_public, addresses)):
        raise BlockedAddressError(f"{host} is not an address of the public internet")
    return addresses[0], port


def _connect(connection: HTTPConnection, host: str) -> None:
    try:
        connection.connect()
    except (OSError, HTTPError) as error:
        raise NotSentError(f"{host} was not reached ({_name(error)})") from error
    if connection.sock is not None:
        connection.sock.settimeout(READ_S)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _connection(scheme: str, address: str, port: int, host: str) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(address, port, timeout=CONNECT_S)
    return HTTPSConnection(
        address,
        port,
        timeout=CONNECT_S,
        cert_reqs="CERT_REQUIRED",
        ca_certs=certifi.where(),
        server_hostname=host,
        assert_hostname=host,
    )


def _shut(connection: HTTPConnection) -> None:
    """End what is read or written at the moment."""
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _name(error: BaseException) -> str:
    """The kind of an error, without what it says: a URL may be in there, and a token in that."""
    if isinstance(error, NewConnectionError) and isinstance(error.__cause__, OSError):
        error = error.__cause__
    return type(error).__name__
