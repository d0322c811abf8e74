"""ccxt's clients, taught to reach a stand-in, to keep to a rate limit and to tell whether an order was sent.

Requests are never repeated by ccxt: a repeated POST could be a second order. Numbers stay the exchange's strings.
"""

import json
import pickle  # nosec B403
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from botbalance.deadline import seconds_for_exchange
from botbalance.engine import format_decimal
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.errors import CredentialsRejectedError, InvalidRequestError, TransientError
from botbalance.exchange.adapter import KEY_REFUSED, RateLimiter
from botbalance.exchange.ccxt_errors import (
    class_names,
    is_answer,
    is_ban,
    is_revoked_key,
    limits_requests,
    malformed_reply,
    retry_after_s,
)
from botbalance.exchange.ccxt_import import exchange_class
from botbalance.exchange.ccxt_parsing import is_content, is_number
from botbalance.exchange.profiles import PROFILES, ExchangeProfile

_SETTINGS: dict[str, Any] = {
    "number": str,
    "enableRateLimit": False,
    "enableLastJsonResponse": True,
    "enableLastHttpResponse": True,
    "enableLastResponseHeaders": True,
    "options": {
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        "fetchMarkets": {"types": ["spot"], "fetchTickersFees": False},
        "fetchMargins": False,
        "fetchCurrencies": False,
        "defaultType": "spot",
    },
}

_SHARED = frozenset(
    {
        "api",
        "ecdsaCurves",
        "ecdsaPrehashedAlgorithms",
        "exceptions",
        "features",
        "fees",
        "has",
        "httpExceptions",
        "urls",
    }
)
"""What ccxt tells of an exchange and never changes: most of a client's 300 kB, kept once for all of them."""
_MARKETS_KEPT = 1000
"""Markets kept as ccxt has them, some 15 kB each, for all clients that trade them."""

_GUESSES = ("uta", "unifiedAccount")
"""ccxt's options for what kind of account Bitget's and Gate's is; it guesses them where it could not ask."""

_MINUTE_MS = 60_000
_AMOUNTS = ("free", "used", "total", "debt")


class UnlimitedRateLimiter:
    """The rate limiter of a connection on its own: nobody else is to learn of its limits."""

    def require(self) -> None:
        """Every request may be sent."""

    @contextmanager
    def request(self, *, sends: bool, weight: int) -> Iterator[None]:
        """Every request may be sent, at once."""
        yield

    def record_weight(self, weight: int) -> None:
        """Weights are not counted."""

    def record_limit(self, retry_after_s: int, *, whole_host: bool) -> None:
        """Limits are not remembered."""


def new_client(profile: ExchangeProfile) -> Any:
    """ccxt's client without a key and a session, for a tenth of what making one anew takes."""
    client = copy(_original_client(profile.name))
    vars(client).update(pickle.loads(_own_parts(profile.name)))  # noqa: S301  # nosec B301  # pickled below
    return client


@cache
def _own_parts(exchange: str) -> bytes:
    """The attributes that each client needs a copy of, pickled: read anew in a tenth of the time of a deep copy."""
    facts = vars(_original_client(exchange)).items()
    own = {name: value for name, value in facts if name not in _SHARED and isinstance(value, dict | list)}
    return pickle.dumps(own)


@cache
def _original_client(exchange: str) -> Any:
    """The client whose copies all the others are."""
    profile = find_profile(exchange)
    client = _client_class(profile)(_SETTINGS)
    if profile.is_test:
        client.set_sandbox_mode(True)
    client.has["fetchCurrencies"] = False  # markets need none, and some exchanges want a key for them
    if profile.family == "htx":  # where ccxt has another form for this
        client.options["fetchMarkets"] = {"types": {"spot": True}}
    client.session.close()
    client.session = None
    return client


@lru_cache(_MARKETS_KEPT)
def parsed_market(exchange: str, document: str) -> dict[str, Any]:
    """What ccxt makes of one market, by the names of its attributes. Read by many clients, and changed by none.

    Where it finds several precisions of a currency, of which nothing is made here, the joined tables have any of them.
    """
    client = new_client(find_profile(exchange))
    before = dict(vars(client))
    market = json.loads(document)
    client.set_markets({market["symbol"]: market})
    return {name: value for name, value in vars(client).items() if value is not before.get(name)}


def joined_markets(parts: Sequence[Any]) -> Any:
    """One table or list of many markets, sorted as ccxt sorts it, from those of each."""
    if isinstance(parts[0], dict):
        joined = {key: value for part in parts for key, value in part.items()}
        return dict(sorted(joined.items()))
    return sorted({entry for part in parts for entry in part})


def _client_class(profile: ExchangeProfile) -> type[Any]:
    """ccxt's class of an exchange, with what a client does otherwise."""
    original = exchange_class(profile.ccxt_class)
    return type(original.__name__, (_Client, original), {"profile": profile})


if TYPE_CHECKING:
    _CcxtClass = Any
else:
    _CcxtClass = object  # ccxt's class of an exchange comes after it


class _Client(_CcxtClass):  # type: ignore[misc]
    """What a client does otherwise than ccxt's: it can reach a stand-in host, and tells whether an order was sent.

    ccxt picks its error table by the official host, so the host is swapped on the way out only and swapped back where
    errors are told apart.
    """

    profile: ExchangeProfile
    rate_limiter: RateLimiter
    rerouted_to: str | None = None
    official_url = ""
    longest_timeout_s: int | float
    order_was_sent = False
    http_status: int | None = None
    failure: Exception | None = None
    request_weight = 1

    def sign(self, *request: Any, **more: Any) -> Any:
        """As ccxt, but a secret that no request can be signed with is the key's fault, not the exchange's."""
        try:
            return super().sign(*request, **more)
        except Exception as error:
            if "BaseError" in class_names(error):
                raise
            raise CredentialsRejectedError(
                KEY_REFUSED, f"the secret cannot be read: expected it as {self.profile.name} gave it"
            ) from None

    def fetch2(
        self, path: str, api: Any = "public", method: str = "GET", params: Any = None, config: Any = None
    ) -> Any:
        """As ccxt, and notes what the exchange counts the request for."""
        self.request_weight = _request_weight(self, path, api, method, params or {}, config or {})
        return super().fetch2(path, api, method, params or {}, config or {})

    def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """As ccxt, within the rate limit, and none of a call's failures is passed over.

        ccxt passes over that of the request by which it tells what kind of account this is, and guesses.
        """
        if self.failure is not None:
            for guess in _GUESSES:
                self.options.pop(guess, None)
            raise self.failure
        self.timeout = seconds_for_exchange(self.longest_timeout_s) * 1000
        self.official_url = url
        self.http_status = self.last_http_response = self.last_json_response = self.last_response_headers = None
        try:
            with self.rate_limiter.request(sends=method != "GET", weight=self.request_weight):
                if method != "GET":
                    self.order_was_sent = True
                if self.rerouted_to is not None:
                    url = "/".join((self.rerouted_to.rstrip("/"), *url.split("/", 3)[3:]))
                return super().fetch(url, method, headers, body)
        except Exception as error:
            if not is_answer(error, self):
                self.failure = error
            if limits_requests(error, self) and not is_revoked_key(error, self.profile):
                self.rate_limiter.record_limit(retry_after_s(self), whole_host=is_ban(self))
            raise

    def on_rest_response(self, code: int, reason: str, url: str, method: str, headers: Any, *rest: Any) -> Any:
        self.http_status = code
        used = headers.get(self.profile.weight_header, "") if self.profile.weight_header else ""
        if used.isdecimal():
            self.rate_limiter.record_weight(int(used))
        if 300 <= code < 400:  # whatever stands there is no answer, and nobody goes where it points
            raise TransientError(
                "exchange_redirects", f"{self.profile.name} answers from another address (HTTP {code})"
            )
        return super().on_rest_response(code, reason, url, method, headers, *rest)

    def handle_errors(self, code: int, reason: str, url: str, *rest: Any) -> Any:
        if code < 400 and not is_content(self.profile, self.last_json_response):
            raise malformed_reply("reply", self.last_http_response)
        return super().handle_errors(code, reason, self.official_url, *rest)

    # Orders come on the market's grid. ccxt would round what is off it, a buy above its limit too, through a
    # float and in the thread's own decimal context; as it is, the exchange refuses it.

    def price_to_precision(self, symbol: str, price: str) -> str:
        return price

    def amount_to_precision(self, symbol: str, amount: str) -> str:
        return amount

    def filter_by_symbol_since_limit(self, array: Any, *_: Any) -> Any:
        """Unlike ccxt, nothing is left out unseen of what came, for want of a time or of a symbol as expected."""
        return array

    def safe_balance(self, balance: dict[str, Any]) -> Any:
        """As ccxt, which stumbles over the whole account where one coin's amount is no number: it has none then.

        What is told by kinds of entries that ccxt leaves out is held and locked.
        """
        for entry in _entries_of_kinds(balance, self.profile.locked_kinds):
            account = balance.setdefault(self.safe_currency_code(entry.get("currency")), self.account())
            if is_number(entry.get("balance")):
                account["used"] = _sum(account.get("used") or "0", entry["balance"])
            else:  # of such a coin nothing is known
                account |= dict.fromkeys(_AMOUNTS)
        for coin, account in balance.items():
            if coin != "info" and isinstance(account, dict):
                account |= {kind: None for kind in _AMOUNTS if not is_number(account.get(kind))}
        return super().safe_balance(balance)

    def load_markets(self, reload: Any = False, params: Any = None) -> Any:
        """As ccxt with ``reload``; otherwise what is loaded, which may be nothing: no download for each user."""
        if reload:
            return super().load_markets(True, params or {})
        if self.markets is None:
            self.set_markets({})
        return self.markets

    def fetch_swap_markets(self, *_: Any) -> Any:
        """None are traded here; MEXC's are on another host."""
        return []

    def fetch_markets(self, *params: Any) -> Any:
        """As ccxt, but an exchange without markets is a garbage reply: it must not replace those known."""
        markets = super().fetch_markets(*params)
        if not markets:
            raise malformed_reply("markets", self.last_http_response)
        return markets


def _entries_of_kinds(balance: Mapping[str, Any], kinds: Collection[str]) -> list[Any]:
    """The entries of those kinds in HTX's list of what an account holds."""
    if not kinds:
        return []
    told = balance["info"]
    entries = told["data"].get("list") if isinstance(told, dict) and isinstance(told.get("data"), dict) else None
    return [entry for entry in entries or [] if entry.get("type") in kinds]


def _sum(one: str, other: str) -> str:
    """The sum of two numbers, exact."""
    with ExactArithmetic():
        return format_decimal(Decimal(str(one)) + Decimal(str(other)))


def mended_secret(secret: str) -> str:
    """``secret`` as the exchange gave it: without the blanks around it, a PEM with its line breaks as such.

    >>> mended_secret(" -----BEGIN EC PRIVATE KEY-----\\\\nMHc\\\\n-----END EC PRIVATE KEY-----\\n")
    '-----BEGIN EC PRIVATE KEY-----\\nMHc\\n-----END EC PRIVATE KEY-----'
    """
    text = secret.strip()
    if not text.startswith("-----BEGIN"):
        return text
    return text.replace("\\n", "\n").replace("\r", "")


def _request_weight(client: Any, path: str, api: Any, method: str, params: Any, config: Any) -> int:
    """What the exchange counts a request for, where it counts weight at all.

    ccxt has costs instead: how often a request that costs 1 may be sent is ``rateLimit``, in milliseconds.
    """
    profile: ExchangeProfile = client.profile
    match profile.family, path:  # where ccxt knows the most only that it may cost
        case "binance", "ticker/24hr" if "symbols" in params:
            symbols = params["symbols"].count(",") + 1
            return 2 if symbols <= 20 else 40 if symbols <= 100 else 80
        case "binance", "myTrades" if "orderId" in params:
            return 5
    if profile.weight_per_minute is None:
        return 1
    cost = Decimal(str(client.calculate_rate_limiter_cost(api, method, path, params, config)))
    per_cost: int = client.rateLimit
    return max(1, round(cost * per_cost * profile.weight_per_minute / _MINUTE_MS))


def find_profile(exchange: str) -> ExchangeProfile:
    """The profile of that name; of others that ccxt has, one with no more than that, for what is public.

    Raises InvalidRequestError where ccxt has none.
    """
    if exchange in PROFILES:
        return PROFILES[exchange]
    try:
        exchange_class(exchange)
    except ModuleNotFoundError:
        raise InvalidRequestError(
            "unknown_exchange", f"exchange is {exchange!r}, expected one that ccxt knows"
        ) from None
    return ExchangeProfile(name=exchange, ccxt_class=exchange, family=exchange)
