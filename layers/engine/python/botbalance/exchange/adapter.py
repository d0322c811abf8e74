"""ExchangeAdapter: the port through which everything reaches an exchange, and the values that cross it.

Quantities and prices are exact Decimals in the exchange's own units; symbols have no separator (``BTCUSDT``).
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

from botbalance.engine import Balance, Fill, MarketRules, Side
from botbalance.errors import TransientError

CLOCK_MARGIN_S = 5
"""By so much our clock and an exchange's may be apart, and so late may the last trades of a minute be told."""


@dataclass(frozen=True, slots=True)
class MarketListing:
    """A market as the exchange lists it: its rules, and the document that the adapter needs to trade it.

    ``document`` is JSON, to be cached and handed back; only the adapter that made it reads it.
    """

    rules: MarketRules
    document: str


@dataclass(frozen=True, slots=True)
class Quote:
    """What a market says its price is, in quote per base; a field is None where the exchange gave no number."""

    last: Decimal | None
    bid: Decimal | None
    ask: Decimal | None


class HourlyHigh(NamedTuple):
    """The highest price (quote per base) at which a market traded in the hour from ``opens_at`` (epoch seconds) on."""

    opens_at: int
    high: Decimal


class MinuteRange(NamedTuple):
    """What a market traded in the minute from ``opens_at`` (epoch seconds) on.

    ``low`` and ``high`` are prices in quote per base, ``volume`` is in base.
    """

    opens_at: int
    low: Decimal
    high: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A limit order as it is asked for: ``limit_price`` in quote per base, ``base_qty`` in base.

    ``post_only``: refused where it would trade at once. ``client_order_id`` is the canonical one.
    """

    symbol: str
    side: Side
    limit_price: Decimal
    base_qty: Decimal
    client_order_id: str
    post_only: bool

    def find_refusal(self) -> "OrderRejected | None":
        """Why no exchange is asked to take it: a number that is not over zero; None where it may be sent."""
        for field, number in (("limit_price", self.limit_price), ("base_qty", self.base_qty)):
            if not number.is_finite() or number <= 0:
                return OrderRejected("invalid_number", f"{field} is {number}, expected a finite number > 0: not sent")
        return None


class ExchangeOrderStatus(StrEnum):
    """Where the exchange says an order is."""

    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"
    """It is there, in its market, and nothing else of what is told of it can be understood."""


@dataclass(frozen=True, slots=True)
class ExchangeOrder:
    """An order as the exchange reports it; ``filled_qty`` is cumulative, in base.

    ``limit_price`` is 0 for an order without a limit: never one of ours.
    ``client_order_id`` is in the form in which the exchange was sent it (None for orders without one).
    """

    exchange_order_id: str
    client_order_id: str | None
    symbol: str
    side: Side
    limit_price: Decimal
    base_qty: Decimal
    filled_qty: Decimal
    status: ExchangeOrderStatus
    reason: str | None = None
    """Why it was rejected, where the exchange tells: a code of ours, and its own words."""


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill of an order as the exchange booked it; ``traded_at_ms`` in epoch milliseconds."""

    trade_id: str
    exchange_order_id: str
    symbol: str
    fill: Fill
    traded_at_ms: int


@dataclass(frozen=True, slots=True)
class KeyPermissions:
    """What an exchange says that a key may do; None where it does not tell.

    ``bound_to_addresses``: whether the key works from listed addresses only.
    """

    may_trade: bool | None
    may_withdraw: bool | None
    bound_to_addresses: bool | None


@dataclass(frozen=True, slots=True)
class Fees:
    """What a trade costs, in percent of what it is worth; negative where the exchange pays for it."""

    maker_pct: Decimal
    taker_pct: Decimal


@dataclass(frozen=True, slots=True)
class OrderAccepted:
    """The exchange accepted the order."""

    order: ExchangeOrder


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """The exchange definitely refused the order: it does not exist. ``code`` is short, ``reason`` its words."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderUnknown:
    """The order may or may not exist: look it up by its client id, and never send it again.

    ``retry_after_s``: for how many seconds the exchange wants no requests at all, where that is why.
    """

    reason: str
    retry_after_s: int | None = None


class MarketGoneError(TransientError):
    """The exchange lists the market no more, and so tells nothing of an order there: not even that it never was."""


KEY_REFUSED = "exchange_key_refused"
"""The code of a refusal that only the account's owner can mend."""

WOULD_TAKE = "order_immediately_fillable"
"""The code of a post-only order that would have traded at once: no failure, the next one is priced anew."""

RATE_LIMITED = "exchange_rate_limit"
"""The code where the exchange wants no requests for now; as a refusal: the order was not sent."""

DOUBTFUL_REPLY = "doubtful_reply"
"""The code where the exchange told something that cannot be right."""

REGION_REFUSED = "exchange_refuses_region"
"""The code where the exchange serves nobody at the place that this runs at."""

PAIR_NOT_PERMITTED = "pair_not_permitted"
"""The code of a refusal that every order in this pair will meet: this account may not trade it there."""

type SubmitResult = OrderAccepted | OrderRejected | OrderUnknown


class RateLimiter(Protocol):
    """Whether requests may be sent to an exchange with one key."""

    def require(self) -> None:
        """Raise RateLimitedError while nothing may be read.

        The exchange wants no requests from this key or this host, or this minute's weight is used up.
        """

    def request(self, *, sends: bool, weight: int) -> AbstractContextManager[None]:
        """Around each request; raises RateLimitedError, before it, where it may not be sent now.

        ``sends``: whether it places or cancels an order, which goes on for longer than reading does. ``weight``: what
        the exchange counts it for.
        """

    def record_weight(self, weight: int) -> None:
        """Remember what the exchange says, in its reply to a request, that this host has used in this clock minute."""

    def record_limit(self, retry_after_s: int, *, whole_host: bool) -> None:
        """Remember that the exchange limits requests for so many seconds: from this key, or from this whole host."""


class ExchangeAdapter(Protocol):
    """One connection to one exchange: public, or with one user's keys.

    Reads raise TransientError where the exchange cannot be reached or its reply is doubtful, RateLimitedError
    where it limits requests and CredentialsRejectedError where it refuses the key. A doubtful reply is never returned.
    """

    exchange: str

    def close(self) -> None:
        """Forget the key, and close the connections to the exchange, save those that others share."""

    def market_listings(self, symbols: Collection[str]) -> dict[str, MarketListing]:
        """The listings of those of ``symbols`` that the exchange has as spot markets."""

    def spot_pairs(self) -> list[tuple[str, str]]:
        """Every spot market that the exchange lists, as base and quote, whether it trades now or not."""

    def load_listings(self, listings: Collection[MarketListing]) -> None:
        """Make markets known, so that the exchange is not asked for all of them."""

    def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        """What each of ``symbols`` trades at now; one that the exchange left out is absent."""

    def minute_ranges(self, symbol: str, since: int) -> list[MinuteRange]:
        """The minutes from ``since`` (epoch seconds, a full minute) on in which ``symbol`` traded, oldest first.

        At most the two hours that every exchange tells at once; the last minute is not over yet. Empty where it traded
        in none of them, or was not open, and the exchange says so by telling nothing.
        """

    def hourly_highs(self, symbol: str, since: int) -> list[HourlyHigh]:
        """The hours from ``since`` (epoch seconds, a full hour) on in which ``symbol`` traded, oldest first.

        A week of them, and the hour that is not over yet.
        """

    def balances(self) -> dict[str, Balance]:
        """Everything the account has, by asset; zero balances are left out."""

    def key_permissions(self) -> KeyPermissions:
        """What the key may do, as far as the exchange tells."""

    def clock_offset_ms(self) -> int:
        """By how many milliseconds the exchange's clock is ahead of ours; negative where it is behind."""

    def fees(self, symbol: str) -> Fees:
        """What this account pays for a trade of ``symbol``."""

    def supports_post_only(self, symbol: str) -> bool:
        """Whether an order in ``symbol`` can be refused by the exchange where it would trade at once."""

    def open_orders(self) -> list[ExchangeOrder]:
        """Every resting order of the account, whoever placed it."""

    def place_order(self, order: OrderRequest) -> SubmitResult:
        """Send one limit order, once. Never raises for what the exchange answers: the answer is the result."""

    def find_order(self, symbol: str, client_order_id: str) -> ExchangeOrder | None:
        """What became of the order with that canonical client id; None where the exchange knows none.

        Raises MarketGoneError where the market is listed no more, and the order cannot be asked for.
        """

    def cancel_order(self, symbol: str, client_order_id: str) -> None:
        """Ask for a cancel. Whether it was cancelled, or filled before, only a look-up tells."""

    def trades(self, symbol: str, exchange_order_id: str) -> Sequence[Trade]:
        """The fills of one order, oldest first."""

    def exchange_client_order_id(self, client_order_id: str) -> str:
        """The form in which this exchange reports the canonical ``client_order_id``."""
