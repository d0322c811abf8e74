"""The simulated exchange, failing as exchanges do: performs what the injector decides, between effect and reply.

Limits are real here. After 429 every request of that key, and after 418 every request of any key, is answered so
until Retry-After has passed on the exchange's clock, and each such request is recorded as a violation. What others
sent at the very moment of a ban, or over the shared public connection at the moment of a limit, is answered as usual:
they could not know yet, and what they meet must not depend on who came first.
"""

import json
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from requests.exceptions import ChunkedEncodingError, ConnectionError, ReadTimeout  # noqa: A004 - as requests names it

from workbench.faults import corrupted_replies
from workbench.faults.injector import Fault, Injector, RequestInfo
from workbench.faults.kinds import FaultKind, Where
from workbench.simulated_exchange import errors
from workbench.simulated_exchange.binance_api import BinanceApi, Reply, Request, read_request, refused, to_response
from workbench.simulated_exchange.errors import ExchangeError
from workbench.simulated_exchange.matching_engine import MatchingEngine

RETRY_AFTER_S = 60
_SYMBOL = re.compile("[A-Z0-9]+")
_PLACES = {
    ("POST", "/api/v3/order"): Where.PLACE_ORDER,
    ("DELETE", "/api/v3/order"): Where.CANCEL_ORDER,
    ("DELETE", "/api/v3/openOrders"): Where.CANCEL_ORDER,
    ("GET", "/api/v3/order"): Where.FIND_ORDER,
    ("GET", "/api/v3/openOrders"): Where.OPEN_ORDERS,
    ("GET", "/api/v3/allOrders"): Where.ALL_ORDERS,
    ("GET", "/api/v3/myTrades"): Where.TRADES,
    ("GET", "/api/v3/account"): Where.BALANCES,
    ("GET", "/sapi/v1/account/apiRestrictions"): Where.KEY_RIGHTS,
    ("GET", "/api/v3/ticker/24hr"): Where.QUOTES,
    ("GET", "/api/v3/ticker/price"): Where.QUOTES,
    ("GET", "/api/v3/ticker/bookTicker"): Where.QUOTES,
    ("GET", "/api/v3/exchangeInfo"): Where.MARKETS,
    ("GET", "/api/v3/time"): Where.TIME,
}
_REFUSALS = {
    FaultKind.CLOCK_SKEW: ExchangeError(-1021, "Timestamp for this request is outside of the recvWindow."),
    FaultKind.REVOKED: errors.unknown_key(),
    FaultKind.NO_PERMISSION: errors.unknown_key(),
    FaultKind.INSUFFICIENT_BALANCE: errors.insufficient_balance(),
    FaultKind.PRICE_BAND: errors.filter_failure("PERCENT_PRICE_BY_SIDE"),
    FaultKind.TOO_MANY_ORDERS: errors.too_many_open_orders(),
    FaultKind.WOULD_TAKE: errors.would_take(),
}
_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
_REASONS = {"500": "Internal Server Error", "502": "Bad ApiGateway", "503": "Service Unavailable"}
_MAINTENANCE = {
    "page": Reply(503, _PAGE.format("System is under maintenance."), "text/html"),
    "message": refused(ExchangeError(1, "System is under maintenance.", 503)),
    "shut_down": refused(ExchangeError(-1016, "This service is no longer available.", 503)),
}
_STATE_UNKNOWN = refused(
    ExchangeError(
        -1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown.", 504
    )
)
_GARBAGE = {
    "html": Reply(200, _PAGE.format("Just a moment..."), "text/html"),
    "empty": Reply(200, ""),
    "broken_json": Reply(200, '{"symbol":"BTCUSDT","orderId":1,"pri'),
    "object": Reply(200, "{}"),
    "list": Reply(200, "[]"),
    "null": Reply(200, "null"),
    "text": Reply(200, '"ok"'),
}


class Delivery(Enum):
    """How a reply reaches its client, if it does."""

    WHOLE = auto()
    HALF = auto()
    CLOSED = auto()
    RESET = auto()
    SILENCE = auto()


_LOST = {
    FaultKind.RESET_AFTER: Delivery.RESET,
    FaultKind.TIMEOUT_AFTER: Delivery.SILENCE,
    FaultKind.TRUNCATED: Delivery.HALF,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of a request; ``fault`` is what struck it, None where the reply is honest."""

    reply: Reply
    delivery: Delivery = Delivery.WHOLE
    fault: Fault | None = None


def received(outcome: Outcome) -> Reply:
    """The reply that a client in this process gets; raises what requests would where it does not arrive whole."""
    match outcome.delivery:
        case Delivery.SILENCE:
            raise ReadTimeout("Read timed out.")
        case Delivery.RESET:
            raise ConnectionError("Connection reset by peer")
        case Delivery.CLOSED:
            raise ConnectionError("Remote end closed connection without response")
        case Delivery.HALF:
            raise ChunkedEncodingError("Connection broken: IncompleteRead")
        case Delivery.WHOLE:
            return outcome.reply


@dataclass(frozen=True, slots=True)
class Limit:
    """No requests from ``since`` until ``until``, in epoch seconds: of ``subject`` (429), or of anybody (418)."""

    status: int
    subject: str | None
    since: int
    until: int
    fault: Fault

    def binds(self, subject: str | None, now: int) -> bool:
        """Whether ``subject`` must not ask ``now``."""
        told_itself = subject is not None and subject == self.subject
        binds_all = self.status == 418 or subject == self.subject
        return now < self.until and (told_itself or (binds_all and now > self.since))

    def reply(self, now: int) -> Reply:
        """What is said to requests that it binds."""
        message = "Way too much request weight used; IP banned." if self.status == 418 else "Too many requests."
        return refused(ExchangeError(-1003, message, self.status), {"Retry-After": str(self.until - now)})


@dataclass(frozen=True, slots=True)
class Violation:
    """A request that was sent ``at`` an epoch second at which ``limit`` had forbidden it."""

    limit: Limit
    subject: str | None
    path: str
    at: int


type Observer = Callable[[Request, Reply | None, Fault | None], None]


class FaultyExchange(BinanceApi):
    """Answers from ``books`` as the exchange does, save where ``injector`` decides otherwise.

    The injector's clock and that of the books have to be the same. ``observer`` is called for every request, in the
    order of their effects, with the reply that was sent whole (None where none was) and with the fault that made it
    another than the honest one, and so with the API key (``request.api_key``); it must be quick.
    :meth:`answer` stays honest.
    """

    def __init__(self, books: MatchingEngine, injector: Injector, observer: Observer = lambda *_: None) -> None:
        super().__init__(books)
        self._injector = injector
        self._observer = observer
        self._limits: list[Limit] = []
        self._violations: list[Violation] = []

    def violations(self) -> list[Violation]:
        """Every request that a limit had forbidden."""
        with self.market.exclusive():
            return list(self._violations)

    async def serve(self, incoming: web.Request) -> web.StreamResponse:
        """Read a request and deliver what comes of it."""
        return await _delivered(incoming, self.outcome(await read_request(incoming)))

    def outcome(self, request: Request) -> Outcome:
        """What comes of ``request``: its effect, if it has one, and what is said about it."""
        with self.market.exclusive():
            outcome = self._outcome(request)
            said = outcome.reply if outcome.delivery is Delivery.WHOLE else None
            self._observer(request, said, outcome.fault)
            return outcome

    def _outcome(self, request: Request) -> Outcome:
        now, path = self._injector.clock(), f"{request.method} {request.path}"
        # Of several that bind always the same one, whichever was set first.
        binding = (limit for limit in self._limits if limit.binds(request.api_key, now))
        limit = min(binding, key=lambda it: (it.status, it.since, it.subject or ""), default=None)
        if limit is not None:
            self._violations.append(Violation(limit, request.api_key, path, now))
            return Outcome(limit.reply(now), fault=limit.fault)
        where = _PLACES.get((request.method, request.path))
        if where is None:
            return Outcome(self.answer(request))
        occasion = RequestInfo(where, request.api_key, path, _find_symbols(request))
        fault = self._injector.choose(occasion)
        if fault is None:
            return Outcome(self.answer(request))
        outcome = self._instead_of_effect(fault, request, now) or self._beside_effect(fault, request, where, now)
        if outcome.fault is not None:
            self._injector.record(outcome.fault, occasion)
        return outcome

    def _instead_of_effect(self, fault: Fault, request: Request, now: int) -> Outcome | None:
        """What a fault that keeps the request from having any effect makes of it; None for other faults."""
        delivery = Delivery.WHOLE
        match fault.kind:
            case FaultKind.NOT_RECEIVED:
                reply, delivery = _GARBAGE["empty"], Delivery.CLOSED  # none is sent
            case FaultKind.SERVER_ERROR:
                reply = _broken_down(fault.variant)
            case FaultKind.MAINTENANCE:
                reply = _MAINTENANCE[fault.variant]
            case FaultKind.LIMITED | FaultKind.BANNED:
                status = 429 if fault.kind is FaultKind.LIMITED else 418
                limit = Limit(status, request.api_key, now, now + RETRY_AFTER_S, fault)
                self._limits = [*(other for other in self._limits if now < other.until), limit]
                reply = limit.reply(now)
            case kind if kind in _REFUSALS:
                reply = refused(_REFUSALS[kind])
            case _:
                return None
        return Outcome(reply, delivery, fault)

    def _beside_effect(self, fault: Fault, request: Request, where: Where, now: int) -> Outcome:
        """The request's effect, and what the fault makes of its reply; the honest one where it finds nothing to do."""
        if fault.kind is FaultKind.LATE_FILL and where is Where.CANCEL_ORDER:
            filled = self._fill(fault, request, self._to_cancel(request))
            return Outcome(self.answer(request), fault=fault if filled else None)
        honest = self.answer(request)
        if fault.kind in _LOST:
            return Outcome(honest, _LOST[fault.kind], fault)
        if fault.kind is FaultKind.GARBAGE:
            return Outcome(_GARBAGE[fault.variant], fault=fault)
        if fault.kind is FaultKind.SERVER_ERROR_AFTER:
            return Outcome(_broken_down(fault.variant), fault=fault)
        changed = self._changed(fault, request, where, honest, now) if honest.status == 200 else None
        return Outcome(honest) if changed is None else Outcome(changed, fault=fault)

    def _changed(self, fault: Fault, request: Request, where: Where, honest: Reply, now: int) -> Reply | None:
        """What is said instead of an honest reply that has news; None where there is nothing to change."""
        content, now_ms = json.loads(honest.text), now * 1000
        match fault.kind:
            case FaultKind.DUPLICATE:
                return refused(errors.duplicate_order())
            case FaultKind.LATE_FILL:
                placed = [content["orderId"]] if where is Where.PLACE_ORDER else None
                return honest if self._fill(fault, request, placed) else None
            case FaultKind.LATE_REPORT:
                said = corrupted_replies.late_report(content, now_ms)
            case FaultKind.NOT_YET_SHOWN:
                said = corrupted_replies.not_yet_shown(content, now_ms)
            case FaultKind.STALE_ORDER:
                account = self.books.account(request.api_key or "")
                symbol = request.parameters.get("symbol")
                said = account and corrupted_replies.stale_order(fault, content, account, symbol, now_ms)
            case _:
                said = corrupted_replies.CONTENTS[fault.kind](fault, content)
        if said is None or isinstance(said, Reply):
            return said
        return Reply(200, json.dumps(said), headers=honest.headers)

    def _to_cancel(self, request: Request) -> list[int]:
        """The ids of the orders that a cancel is about."""
        asked, account = request.parameters, self.books.account(request.api_key or "")
        return [
            order.order_id
            for order in (() if account is None else account.find_open_orders(asked.get("symbol", "")))
            if asked.get("orderId", str(order.order_id)) == str(order.order_id)
            and asked.get("origClientOrderId", order.client_order_id) == order.client_order_id
        ]

    def _fill(self, fault: Fault, request: Request, among: list[int] | None) -> bool:
        """Fill one of the resting orders ``among`` these ids, or of all of the account; False where none rests."""
        account = self.books.account(request.api_key or "")
        resting = [] if account is None else self.books.open_orders(account.api_key)
        possible = [order.order_id for order in resting if among is None or order.order_id in among]
        if account is None or not possible:
            return False
        self.books.fill_now(account.api_key, fault.choose_one(possible), whole=fault.variant == "whole")
        return True


class _Nothing(web.Response):
    """Sends not a byte; ``stays`` keeps the connection open, until the client closes it or the server stops."""

    def __init__(self, *, stays: bool) -> None:
        super().__init__()
        self._stays = stays

    @property
    def keep_alive(self) -> bool:
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return


async def _delivered(incoming: web.Request, outcome: Outcome) -> web.StreamResponse:
    if outcome.delivery is Delivery.WHOLE:
        return to_response(outcome.reply)
    if outcome.delivery is Delivery.HALF:
        return await _half(incoming, outcome.reply)
    if outcome.delivery is Delivery.RESET and incoming.transport is not None:
        # Closed without lingering, a connection is reset: the client learns more than that it ended.
        connection = incoming.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        incoming.transport.abort()
    return _Nothing(stays=outcome.delivery is Delivery.SILENCE)


async def _half(incoming: web.Request, reply: Reply) -> web.StreamResponse:
    body = reply.text.encode()
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_type, response.content_length = reply.content_type, len(body)
    response.force_close()
    await response.prepare(incoming)
    await response.write(body[: len(body) // 2])
    return response


def _broken_down(status: str) -> Reply:
    return (
        _STATE_UNKNOWN
        if status == "504"
        else Reply(int(status), _PAGE.format(f"{status} {_REASONS[status]}"), "text/html")
    )


def _find_symbols(request: Request) -> frozenset[str]:
    asked = request.parameters
    return frozenset(_SYMBOL.findall(asked.get("symbol", "") + asked.get("symbols", "")))
