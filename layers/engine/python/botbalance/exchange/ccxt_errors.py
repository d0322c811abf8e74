"""What an exchange's errors mean: for an order that was sent, and for whoever asked.

An order is over only when the exchange definitely refused it, or when nothing was sent at all. Everything
else leaves its fate unknown: it may rest on the exchange, or have been filled already, and must be looked up.
Classes are named rather than imported, so that the table can be read and tested without ccxt.
"""

import re
from enum import StrEnum
from typing import Any

from botbalance.errors import (
    BotBalanceError,
    CredentialsRejectedError,
    InvalidRequestError,
    RateLimitedError,
    TransientError,
)
from botbalance.exchange.adapter import (
    DOUBTFUL_REPLY,
    KEY_REFUSED,
    PAIR_NOT_PERMITTED,
    RATE_LIMITED,
    REGION_REFUSED,
    WOULD_TAKE,
    MarketGoneError,
)
from botbalance.exchange.profiles import ExchangeProfile


class SubmitStatus(StrEnum):
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
        "InvalidOrder",
        "BadRequest",
    }
)
"""ccxt's classes, without their children: ``DuplicateOrderId`` is an ``InvalidOrder``, and the order exists."""

_ALREADY_THERE = ("duplicate", "repeated", "already exist")
"""How exchanges say that a client id is taken, in lower case."""

_WRONG_CLOCK_WORDS = "REQUEST_EXPIRED"
"""How Gate says that a request was signed too long ago; ccxt takes that for a wrong key."""

_WOULD_TAKE = re.compile(r"post.?only|OrderImmediatelyFillable|immediately match", re.IGNORECASE)
"""How exchanges say that a post-only order would have traded at once."""

_REGION_REFUSED = re.compile(
    r"restricted location|not available in your (country|region|jurisdiction)|block access from your country",
    re.IGNORECASE,
)
"""How exchanges, and what stands before them, refuse whoever asks from a place that they do not serve."""
_UNAVAILABLE_FOR_LEGAL_REASONS = 451

_DEFAULT_RETRY_AFTER_S = 60
_BANNED_UNTIL = re.compile(r"banned until (\d{13})")
"""How a ban without the header says when it ends, in epoch milliseconds."""


class RetryableReadError(TransientError):
    """What a moment may mend: no reply, the exchange's own trouble, or garbage."""


class OrderNotFoundError(TransientError):
    """The exchange knows no order by that id."""


def classify_submit_error(error: BaseException, profile: ExchangeProfile, *, sent: bool) -> SubmitStatus:
    """The fate of an order whose placement raised ``error``; ``sent`` says whether the request went out.

    A refusal of a duplicate means that the id is already there: the order exists, so it is looked up.
    """
    if not sent:
        return SubmitStatus.REFUSED
    words = str(error).lower()
    if any(phrase in words for phrase in _ALREADY_THERE):
        return SubmitStatus.UNKNOWN
    if is_revoked_key(error, profile) or is_wrong_clock(error) or type(error).__name__ in _DEFINITE_REFUSALS:
        return SubmitStatus.REFUSED
    if is_region_refused(error, profile) or any(
        _said(error, words) for words in (profile.refused, profile.never_for_pair)
    ):
        return SubmitStatus.REFUSED
    return SubmitStatus.UNKNOWN


def is_revoked_key(error: BaseException, profile: ExchangeProfile) -> bool:
    """Whether the exchange accepts the key, or its whole account, no more, also where ccxt takes that for something
    that passes.

    Binance answers −2015 for a revoked key; ccxt reports it as DDoSProtection once the key has worked before.
    """
    if is_wrong_clock(error) or is_region_refused(error, profile) or _said(error, profile.never_for_pair):
        return False
    names = class_names(error)
    if "AuthenticationError" in names or ("DDoSProtection" in names and "-2015" in str(error)):
        return True
    refused = _said(error, profile.key_refused) or _said(error, profile.account_suspended)
    return "ExchangeError" in names and refused


def is_region_refused(error: BaseException, profile: ExchangeProfile, http_status: int | None = None) -> bool:
    """Whether the exchange serves nobody at the place from which it was asked."""
    if http_status == _UNAVAILABLE_FOR_LEGAL_REASONS:
        return True
    return _REGION_REFUSED.search(str(error)) is not None or _said(error, profile.region_refused)


def is_wrong_clock(error: BaseException) -> bool:
    """Whether the exchange refused a request because of when it was signed."""
    return type(error).__name__ == "InvalidNonce" or _WRONG_CLOCK_WORDS in str(error)


def is_unknown_order(error: BaseException, profile: ExchangeProfile) -> bool:
    """Whether the exchange says that it knows no order by the id it was asked for."""
    return "OrderNotFound" in class_names(error) or _said(error, profile.unknown_order)


def would_take(words: str) -> bool:
    """Whether a refusal in these words is of a post-only order that would have traded at once."""
    return _WOULD_TAKE.search(words) is not None


def _said(error: BaseException, words: str | None) -> bool:
    return words is not None and re.search(words, str(error), re.DOTALL) is not None


def translate_ccxt_error(what: str, error: Exception, client: Any) -> BotBalanceError:
    """What ``error``, raised while ``what`` was asked for, is in this house."""
    names = class_names(error)
    if "BaseError" not in names:  # not one of ccxt's: it, or we, stumbled over what came back
        return malformed_reply(what, redacted_message(error))
    if (refused := _refusal_of_all(error, client)) is not None:
        return refused
    # A cancel that is refused because of the order, or its market: whether that ended, or never was, a look-up tells.
    if is_unknown_order(error, client.profile) or (what == "cancel" and names & {"InvalidOrder", "BadSymbol"}):
        return OrderNotFoundError("order_not_found", redacted_message(error))
    if "BadSymbol" in names:
        return _market_unknown(what, redacted_message(error))
    # Not its words: they hold the request's address and whatever page came back.
    kind = RetryableReadError if _may_pass(error, client) else TransientError
    return kind("exchange_unavailable", f"the exchange did not answer as expected ({type(error).__name__})")


def _market_unknown(what: str, words: str) -> BotBalanceError:
    if what in {"order", "orders"}:  # it was listed when the order was meant to be sent
        return MarketGoneError("market_gone", words)
    return InvalidRequestError("unknown_market", words)


def _refusal_of_all(error: Exception, client: Any) -> BotBalanceError | None:
    """Why the exchange refuses whatever is asked now: the key, the place, or how much is asked; None: it does not."""
    if is_region_refused(error, client.profile, client.http_status):
        return TransientError(REGION_REFUSED, _refused_here(client.profile.name, error))
    if is_revoked_key(error, client.profile):
        return CredentialsRejectedError(KEY_REFUSED, f"the exchange refuses the API key: {_exchange_words(error)}")
    if limits_requests(error, client):
        wait = retry_after_s(client)
        return RateLimitedError(RATE_LIMITED, f"the exchange limits requests for {wait} s", wait)
    return None


def refusal_code(error: Exception, client: Any) -> str:
    """``InsufficientFunds`` → ``insufficient_funds``; every refusal of the key itself has one code."""
    if (refused := _refusal_of_all(error, client)) is not None:
        return refused.code
    if _said(error, client.profile.never_for_pair):
        return PAIR_NOT_PERMITTED
    if isinstance(error, BotBalanceError):
        return error.code
    if is_wrong_clock(error):
        return "invalid_nonce"
    if would_take(f"{type(error).__name__}: {error}"):
        return WOULD_TAKE
    name = type(error).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def submit_message(error: Exception, client: Any) -> str:
    """Why an order was refused, for its owner: the exchange's words, and what to do where its place is the reason."""
    if is_region_refused(error, client.profile, client.http_status):
        return _refused_here(client.profile.name, error)
    return redacted_message(error)


def _refused_here(exchange: str, error: Exception) -> str:
    return (
        f"{exchange} serves nobody from where this runs: run it elsewhere, as in another AWS region, or use the "
        f"exchange's regional variant ({redacted_message(error)})"
    )


def _may_pass(error: Exception, client: Any) -> bool:
    """Whether the same read may succeed in a moment. A timeout has cost its seconds already."""
    names, status = class_names(error), client.http_status
    if status is None:
        return "NetworkError" in names and "RequestTimeout" not in names
    if is_wrong_clock(error):
        return False
    return status >= 500 or (status < 400 and "OperationFailed" in names)


def is_answer(error: Exception, client: Any) -> bool:
    """Whether ``error`` is what the exchange says to a request, not that it could say nothing."""
    return "ExchangeError" in class_names(error) and client.http_status is not None and client.http_status < 500


def class_names(error: BaseException) -> set[str]:
    """The names of ``error``'s class and of all that it is made from."""
    return {error_class.__name__ for error_class in type(error).__mro__}


def limits_requests(error: Exception, client: Any) -> bool:
    """Whether the exchange wants fewer requests: by the class of ``error``, or where its words have none by status."""
    if is_region_refused(error, client.profile, client.http_status):  # Bybit's bans have the status of its refusals
        return False
    limited = class_names(error) & {"DDoSProtection", "RateLimitExceeded"}
    return client.http_status == 429 or is_ban(client) or bool(limited)


def retry_after_s(client: Any) -> int:
    """For how many seconds the exchange wants no requests, as its last reply tells or as is safe."""
    headers = client.last_response_headers or {}
    text = next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), "")
    if text.isdecimal():
        return int(text)
    banned = _BANNED_UNTIL.search(str(client.last_http_response))
    if banned:
        return max(1, -(-(int(banned[1]) - int(client.milliseconds())) // 1000))
    return int(client.profile.ban_s) if is_ban(client) else _DEFAULT_RETRY_AFTER_S


def is_ban(client: Any) -> bool:
    """Whether the last reply refuses this address, and not one key or one request."""
    said = re.search(client.profile.ban_words, str(client.last_http_response))
    return client.http_status == client.profile.ban_status and said is not None


def redacted_message(error: Exception) -> str:
    """The error's class and words, without the address of the request, which is signed."""
    return f"{type(error).__name__}: {_exchange_words(error)}"[:300]


def _exchange_words(error: Exception) -> str:
    """The error's words alone, without addresses."""
    return re.sub(r"https?://\S+", "…", str(error))[:300]


def malformed_reply(what: str, found: object) -> RetryableReadError:
    """The error for a reply that is no fact: ``what`` was read, and what was found."""
    return RetryableReadError(DOUBTFUL_REPLY, f"the exchange's {what} cannot be right: {str(found)[:200]}")
