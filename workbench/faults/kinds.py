"""The table of faults: the name of each, what it does, which requests it can strike, and how often at random."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from botbalance.errors import InvalidRequestError


class Where(StrEnum):
    """What a request is for."""

    PLACE_ORDER = "place_order"
    CANCEL_ORDER = "cancel_order"
    FIND_ORDER = "find_order"
    OPEN_ORDERS = "open_orders"
    ALL_ORDERS = "all_orders"
    TRADES = "trades"
    BALANCES = "balances"
    KEY_RIGHTS = "key_permissions"
    QUOTES = "quotes"
    MARKETS = "markets"
    TIME = "time"
    DATABASE_READ = "database_read"
    DATABASE_WRITE = "database_write"
    TRANSACTION = "transaction"
    BATCH_READ = "batch_read"
    BATCH_WRITE = "batch_write"
    DECRYPTION = "decryption"


class FaultKind(StrEnum):
    """The name of a fault; :data:`KINDS` says what it does."""

    NOT_RECEIVED = "not_received"
    RESET_AFTER = "reset_after"
    TIMEOUT_AFTER = "timeout_after"
    TRUNCATED = "truncated"
    GARBAGE = "garbage"
    SERVER_ERROR = "server_error"
    SERVER_ERROR_AFTER = "server_error_after"
    MAINTENANCE = "maintenance"
    LIMITED = "limited"
    BANNED = "banned"
    CLOCK_SKEW = "clock_skew"
    REVOKED = "revoked"
    NO_PERMISSION = "no_permission"
    DUPLICATE = "duplicate"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    PRICE_BAND = "price_band"
    TOO_MANY_ORDERS = "too_many_orders"
    WOULD_TAKE = "would_take"
    LATE_FILL = "late_fill"
    LATE_REPORT = "late_report"
    NOT_YET_SHOWN = "not_yet_shown"
    STALE_ORDER = "stale_order"
    OVERFILLED = "overfilled"
    VANISHED_BALANCES = "vanished_balances"
    DOUBTFUL_QUOTE = "doubtful_quote"
    PRICE_JUMP = "price_jump"
    THROTTLED = "throttled"
    UNPROCESSED = "unprocessed"
    TRANSACTION_CONFLICT = "transaction_conflict"
    DB_TIMEOUT = "db_timeout"
    DB_TIMEOUT_APPLIED = "db_timeout_applied"
    KMS_FAILED = "kms_failed"

    def describe(self) -> str:
        """What it does, in a line."""
        return KINDS[self].description


@dataclass(frozen=True, slots=True)
class Kind:
    """``variants`` are the forms that a fault comes in; ``weight`` is how often it comes at random, beside the others.

    ``most_attempts``: at random it meets one to that many consecutive attempts of the same call.
    """

    description: str
    where: frozenset[Where]
    variants: tuple[str, ...] = ("",)
    weight: int = 20
    most_attempts: int = 1


_PLACE = frozenset({Where.PLACE_ORDER})
_TRADING = _PLACE | {Where.CANCEL_ORDER}
_SIGNED = _TRADING | {
    Where.FIND_ORDER,
    Where.OPEN_ORDERS,
    Where.ALL_ORDERS,
    Where.TRADES,
    Where.BALANCES,
    Where.KEY_RIGHTS,
}
_EXCHANGE = _SIGNED | {Where.QUOTES, Where.MARKETS, Where.TIME}
_ORDER_READS = frozenset({Where.FIND_ORDER, Where.OPEN_ORDERS})
_DATABASE_WRITES = frozenset({Where.DATABASE_WRITE, Where.TRANSACTION, Where.BATCH_WRITE})
_DATABASE = _DATABASE_WRITES | {Where.DATABASE_READ, Where.BATCH_READ}

KINDS: Mapping[FaultKind, Kind] = {
    FaultKind.NOT_RECEIVED: Kind("the connection is closed before the request has any effect", _EXCHANGE),
    FaultKind.RESET_AFTER: Kind("the request has its effect, then the connection is reset", _EXCHANGE),
    FaultKind.TIMEOUT_AFTER: Kind(
        "the request has its effect, then nothing comes until the client gives up", _EXCHANGE, weight=2
    ),
    FaultKind.TRUNCATED: Kind("the request has its effect, and half of the reply arrives", _EXCHANGE),
    FaultKind.GARBAGE: Kind(
        "the request has its effect, and the reply is HTTP 200 with nonsense",
        _EXCHANGE,
        ("html", "empty", "broken_json", "object", "list", "null", "text"),
    ),
    FaultKind.SERVER_ERROR: Kind("HTTP 5xx, and no effect", _EXCHANGE, ("500", "502", "503")),
    FaultKind.SERVER_ERROR_AFTER: Kind(
        "the request has its effect, and the reply is HTTP 5xx (504: status unknown, -1007)",
        _EXCHANGE,
        ("500", "502", "503", "504"),
    ),
    FaultKind.MAINTENANCE: Kind(
        "the exchange is under maintenance: a page with 503, the message, or -1016; no effect",
        _EXCHANGE,
        ("page", "message", "shut_down"),
    ),
    FaultKind.LIMITED: Kind(
        "429 with Retry-After, and no effect; every request of that key is answered so until then", _EXCHANGE, weight=6
    ),
    FaultKind.BANNED: Kind(
        "418 with Retry-After, and no effect; every request of any key is answered so until then", _EXCHANGE, weight=1
    ),
    FaultKind.CLOCK_SKEW: Kind("the request's timestamp is refused (-1021), without effect", _SIGNED),
    FaultKind.REVOKED: Kind("the key is refused (-2015), without effect", _SIGNED, weight=2),
    FaultKind.NO_PERMISSION: Kind("the key may not trade (-2015), without effect", _TRADING, weight=2),
    FaultKind.DUPLICATE: Kind("the order is accepted, and refused as a duplicate (-2010)", _PLACE),
    FaultKind.INSUFFICIENT_BALANCE: Kind("the order is refused for want of money (-2010), though it is there", _PLACE),
    FaultKind.PRICE_BAND: Kind("the order's price is refused as too far from the market's (-1013)", _PLACE),
    FaultKind.TOO_MANY_ORDERS: Kind("the order is refused because too many are open (-2010)", _PLACE),
    FaultKind.WOULD_TAKE: Kind("the order is refused because it would take (-2010)", _PLACE),
    FaultKind.LATE_FILL: Kind(
        "a resting order fills, whole or half: right before its cancel, or after the reply was made",
        _TRADING | {Where.OPEN_ORDERS, Where.BALANCES},
        ("whole", "half"),
    ),
    FaultKind.LATE_REPORT: Kind("the newest trade is not in the list yet", frozenset({Where.TRADES})),
    FaultKind.NOT_YET_SHOWN: Kind("the newest order is not there yet (-2013, or not in the list)", _ORDER_READS),
    FaultKind.STALE_ORDER: Kind("an order is shown as it was before its newest fill", _ORDER_READS),
    FaultKind.OVERFILLED: Kind("an order is shown with twice its quantity filled", _ORDER_READS),
    FaultKind.VANISHED_BALANCES: Kind(
        "the account comes back without balances, or with one of them",
        frozenset({Where.BALANCES}),
        ("empty", "shrunken"),
    ),
    FaultKind.DOUBTFUL_QUOTE: Kind(
        "a market's prices are zero, negative, NaN, absent, or its bid is above its ask",
        frozenset({Where.QUOTES}),
        ("zero", "negative", "nan", "missing", "crossed"),
    ),
    FaultKind.PRICE_JUMP: Kind(
        "a market's prices are three times as high, or a third, in one reply", frozenset({Where.QUOTES}), ("up", "down")
    ),
    FaultKind.THROTTLED: Kind(
        "DynamoDB throttles, and does nothing",
        _DATABASE,
        ("ProvisionedThroughputExceededException", "ThrottlingException"),
        most_attempts=3,
    ),
    FaultKind.UNPROCESSED: Kind(
        "a batch comes back unprocessed, all of it", frozenset({Where.BATCH_READ, Where.BATCH_WRITE})
    ),
    FaultKind.TRANSACTION_CONFLICT: Kind(
        "DynamoDB cancels a transaction because of another one", frozenset({Where.TRANSACTION})
    ),
    FaultKind.DB_TIMEOUT: Kind("DynamoDB does nothing and does not answer", _DATABASE, most_attempts=3),
    FaultKind.DB_TIMEOUT_APPLIED: Kind(
        "DynamoDB does what it was asked to and does not answer", _DATABASE_WRITES, most_attempts=3
    ),
    FaultKind.KMS_FAILED: Kind(
        "KMS does not decrypt",
        frozenset({Where.DECRYPTION}),
        ("KMSInternalException", "ThrottlingException"),
        most_attempts=3,
    ),
}


def kinds_named(names: str) -> frozenset[FaultKind]:
    """The kinds in a list as ``limited,banned``, or every kind for ``all``; raises InvalidRequestError for any other
    name."""
    if names == "all":
        return frozenset(FaultKind)
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in set(FaultKind)]
    if unknown:
        raise InvalidRequestError(
            "unknown_fault",
            f"faults names {', '.join(map(repr, unknown))}, expected all or some of {', '.join(FaultKind)}",
        )
    return frozenset(map(FaultKind, wanted))
