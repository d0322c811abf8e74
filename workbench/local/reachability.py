"""Whether an exchange can be reached from here, and where not: which host, why, and what to do. One quick request."""

from botbalance.errors import BotBalanceError, InvalidRequestError, TransientError
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.exchange.profiles import PROFILES, is_paper, market_exchange

_TIMEOUT_S = 5
_TO_DO = (
    (
        ("NameResolutionError", "getaddrinfo", "Name or service not known", "nodename nor servname"),
        "its name is not found",
        "check the connection to the internet and the DNS",
    ),
    (
        ("ProxyError", "Tunnel connection failed"),
        "the proxy does not let it through",
        "allow this host in the proxy, or unset HTTPS_PROXY",
    ),
    (
        ("SSLError", "CERTIFICATE_VERIFY_FAILED"),
        "its certificate is not trusted here",
        "check for a proxy that inspects TLS, and the machine's time",
    ),
    (("timed out", "Timeout"), "it does not answer in time", "check the connection, a firewall or a VPN"),
    (("refused", "unreachable"), "no connection comes about", "check the connection, a firewall or a VPN"),
    (("451", "403", "exchange_refuses_region"), "it serves nobody here", "run this elsewhere"),
)
"""What an error's text has, what that means, and what to do about it."""


def require_exchange(exchange: str, base_url: str | None) -> None:
    """Raise TransientError, in one line for a person, where ``exchange`` does not answer; waits some seconds at most.

    ``base_url`` stands in for its own host. Raises InvalidRequestError for an exchange that has no paper accounts.
    """
    with_paper = [market_exchange(name) for name in PROFILES if is_paper(name)]
    if exchange not in with_paper:
        raise InvalidRequestError("paper", f"--paper is {exchange!r}, expected one of {', '.join(with_paper)}")
    adapter = CcxtAdapter(exchange, base_url=base_url, timeout_s=_TIMEOUT_S, sleep=lambda _: None)
    try:
        adapter.clock_offset_ms()
    except BotBalanceError as error:
        host = base_url or adapter.host
        why, to_do = _explained(error)
        raise TransientError(
            "exchange_unreachable",
            f"{exchange} cannot be reached at {host}: {why}; {to_do}, or choose another exchange with --paper",
        ) from None
    finally:
        adapter.close()


def _explained(error: BotBalanceError) -> tuple[str, str]:
    """Why it was not reached, and what to do about that."""
    text = " ".join(_causes(error))
    for signs, why, to_do in _TO_DO:
        if any(sign in text for sign in signs):
            return why, to_do
    return str(error).rstrip("."), "check the connection and try again"


def _causes(error: BaseException) -> list[str]:
    """The classes and words of an error, and of all that it came of."""
    texts, current, seen = [], error, set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        texts.append(f"{type(current).__name__} {current}")
        current = current.__cause__ or current.__context__  # type: ignore[assignment]
    return texts
