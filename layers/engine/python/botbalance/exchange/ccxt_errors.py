"""Whether an exchange's answer to an order is final, in one table.

An order is over only when the exchange definitely refused it, or when nothing was sent at all. Everything
else leaves its fate unknown: it may rest on the exchange, or have been filled already, and must be looked up.
Classes are named rather than imported, so that the table can be read and tested without ccxt.
"""

import re
from enum import StrEnum


class Fate(StrEnum):
    """What is known of an order after the exchange answered with an error."""

    REFUSED = "refused"
    """It does not exist and never will."""
    UNKNOWN = "unknown"
    """It may exist: look it up by its client id, and never send it again."""


_DEFINITE_REFUSALS = frozenset(
    {
        "InsufficientFunds",
        "BadSymbol",
        "OrderImmediatelyFillable",
        "MarketClosed",
        "InvalidNonce",
        "InvalidOrder",
        "BadRequest",
    }
)
"""ccxt's classes, without their children: ``DuplicateOrderId`` is an ``InvalidOrder``, and the order exists."""

_ALREADY_THERE = ("duplicate", "repeated", "already exist")
"""How exchanges say that a client id is taken, in lower case."""

_DEFINITE_WORDS = re.compile(
    r'^kraken .*"(EOrder:(Cost minimum not met|Post only order|Tick size check failed)|EQuery:Unknown asset pair)"'
    # Its answer to a new order says whether there is one; only not where it does not know itself why.
    r'|^coinbase .*"success":\s*false.*"error":\s*"(?!UNKNOWN_FAILURE)\w',
    re.DOTALL,
)
"""Definite refusals that ccxt has no class for."""

_KEY_REFUSED_WORDS = re.compile(
    r'^okx .*"50120"|^mexc .*"code":\s*(10072|700006)\b|^coinbase .*"error":\s*"Unauthorized"', re.DOTALL
)
"""How a key, its rights or its addresses are refused where ccxt takes that for something else."""

_WRONG_CLOCK_WORDS = "REQUEST_EXPIRED"
"""How Gate says that a request was signed too long ago; ccxt takes that for a wrong key."""

_WOULD_TAKE = re.compile(r"post.?only|OrderImmediatelyFillable|immediately match", re.IGNORECASE)
"""How exchanges say that a post-only order would have traded at once."""

_UNKNOWN_ORDER = re.compile(r'"code":\s*-20(11|13)\b')
"""MEXC has these codes from Binance; ccxt gives them their meaning on Binance only."""


def classify_submit_error(error: BaseException, *, sent: bool) -> Fate:
    """The fate of an order whose placement raised ``error``; ``sent`` says whether the request went out.

    A refusal of a duplicate means that the id is already there: the order exists, so it is looked up.
    """
    if not sent:
        return Fate.REFUSED
    words = str(error).lower()
    if any(phrase in words for phrase in _ALREADY_THERE):
        return Fate.UNKNOWN
    if is_revoked_key(error) or is_wrong_clock(error) or type(error).__name__ in _DEFINITE_REFUSALS:
        return Fate.REFUSED
    if _DEFINITE_WORDS.search(str(error)):
        return Fate.REFUSED
    return Fate.UNKNOWN


def is_revoked_key(error: BaseException) -> bool:
    """Whether the exchange no longer accepts the key, also where ccxt takes that for a temporary ban.

    Binance answers −2015 for a revoked key; ccxt reports it as DDoSProtection once the key has worked before.
    """
    if is_wrong_clock(error):
        return False
    names = {error_class.__name__ for error_class in type(error).__mro__}
    if "AuthenticationError" in names or ("DDoSProtection" in names and "-2015" in str(error)):
        return True
    return "ExchangeError" in names and _KEY_REFUSED_WORDS.search(str(error)) is not None


def is_wrong_clock(error: BaseException) -> bool:
    """Whether the exchange refused a request because of when it was signed."""
    return type(error).__name__ == "InvalidNonce" or _WRONG_CLOCK_WORDS in str(error)


def is_unknown_order(error: BaseException) -> bool:
    """Whether the exchange says that it knows no order by the id it was asked for."""
    names = {error_class.__name__ for error_class in type(error).__mro__}
    return "OrderNotFound" in names or _UNKNOWN_ORDER.search(str(error)) is not None


def would_take(words: str) -> bool:
    """Whether a refusal in these words is of a post-only order that would have traded at once."""
    return _WOULD_TAKE.search(words) is not None
