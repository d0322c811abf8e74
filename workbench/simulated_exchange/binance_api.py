"""Binance's REST API over the books: routes, signatures, weights, errors.

``BinanceApi.answer`` is the whole effect of a request and knows no network; ``BinanceApi.serve`` is the one door
through which every HTTP request goes in and every reply goes out. Faults belong between the two.
"""

import hmac
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import cast

from aiohttp import web

from workbench.simulated_exchange import errors
from workbench.simulated_exchange.account_routes import AccountRoutes
from workbench.simulated_exchange.errors import ExchangeError
from workbench.simulated_exchange.limits import ORDER_LIMITS, REQUEST_WEIGHT_LIMIT, OrderLimit, Window
from workbench.simulated_exchange.market_routes import MarketRoutes
from workbench.simulated_exchange.matching_engine import Account, MatchingEngine, epoch_ms
from workbench.simulated_exchange.order_routes import OrderRoutes
from workbench.simulated_exchange.parameters import Parameters, decode_pairs
from workbench.simulated_exchange.routes import Route

KEY_FORMAT = re.compile(r"[A-Za-z0-9]{64}")
DEFAULT_RECV_WINDOW_MS = 5_000
LONGEST_RECV_WINDOW_MS = 60_000
RECV_WINDOW_DECIMALS = 3
FIRST_MICROSECONDS = 10**15
"""A timestamp from here on is in microseconds: in milliseconds it would be the year 33658."""
ALLOWED_AHEAD_MS = 1_000
NOT_FOUND = "<html><head><title>404 Not Found</title></head><body><center><h1>404 Not Found</h1></center></body></html>"


@dataclass(frozen=True)
class Request:
    """An HTTP request as it came: ``query`` and ``body`` still encoded, header names in lower case."""

    method: str
    path: str
    query: str = ""
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def api_key(self) -> str | None:
        """The key it was sent with; None on a public connection."""
        return self.headers.get("x-mbx-apikey")

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Those of query and body, decoded, whether they are as the API wants them or not."""
        return {name: value for name, value in (*self.query_pairs, *self.body_pairs) if value}

    @cached_property
    def query_pairs(self) -> list[tuple[str, str]]:
        """The query's names and values, decoded, as often as they are there."""
        return list(decode_pairs(self.query))

    @cached_property
    def body_pairs(self) -> list[tuple[str, str]]:
        """The body's."""
        return list(decode_pairs(self.body))


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: ``text`` is the body."""

    status: int
    text: str
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class BinanceApi:
    """Answers requests from ``books``.

    ``weight_limit`` is the request weight that an address may use in a minute before 429 (Binance: 6,000), and what is
    used of it is told with each reply; whoever asks here asks from the same address. With it an account's orders are
    limited as well. None allows and tells as if nothing was ever counted. ``weight_used`` is all that was used so far,
    by API key ("" without one).

    Minutes are those of the books' clock, and of ``wall_clock`` (epoch ms) where it is given: where time stands still
    between ticks, whoever waits as long as was asked must be let in again. Signatures' timestamps are checked against
    the real time, whatever clock the books have.
    """

    def __init__(
        self,
        books: MatchingEngine,
        *,
        weight_limit: int | None = None,
        wall_clock: Callable[[], int] | None = None,
    ) -> None:
        self.books = books
        self.market = books.market
        self.weight_used: Counter[str] = Counter()
        self.weight_limit = weight_limit
        clocks = [self._books_ms, *([wall_clock] if wall_clock else [])]
        self._minute = Window(60, clocks)
        self._orders = {limit: Window(limit.span_s, clocks) for limit in ORDER_LIMITS}
        self._routes: dict[tuple[str, str], Route] = {
            **MarketRoutes(
                self.market, self.server_time_ms, lambda: self.weight_limit or REQUEST_WEIGHT_LIMIT
            ).routes(),
            **AccountRoutes(books, self._orders_placed).routes(),
            **OrderRoutes(books).routes(),
        }

    def _books_ms(self) -> int:
        return self.books.now_ms()

    def server_time_ms(self) -> int:
        """The time by which signatures are judged, in epoch milliseconds: the real one."""
        return epoch_ms()

    # the door

    def application(self) -> web.Application:
        """An aiohttp application in which every request goes through :meth:`serve`."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.serve)
        return app

    async def serve(self, incoming: web.Request) -> web.StreamResponse:
        """Read a request, have its effect, send its reply."""
        return to_response(self.answer(await read_request(incoming)))

    def answer(self, request: Request) -> Reply:
        """The request's whole effect, and what is to be said about it."""
        route = self._routes.get((request.method, request.path))
        if route is None:
            return Reply(404, NOT_FOUND, "text/html")
        with self.market.exclusive():
            headers: dict[str, str] = {}
            try:
                content = self._content(route, request, headers)
            except ExchangeError as refusal:
                return refused(refusal, headers)
            return Reply(200, json.dumps(content), headers=headers)

    @property
    def weight_used_total(self) -> int:
        """All that was ever used, by whomever."""
        return self.weight_used.total()

    def _content(self, route: Route, request: Request, headers: dict[str, str]) -> object:
        """What ``route`` answers; ``headers`` are filled with what goes with it, also where it is refused."""
        parameters = Parameters.read(request.query_pairs, request.body_pairs)
        if request.path.startswith("/api/"):
            headers |= self._count_weight(route.weight(parameters), request.api_key)
            self._require_weight(headers)
        parameters.require_only(route.names)
        if not route.signed:
            return cast(Callable[[Parameters], object], route.handler)(parameters)
        account = self._authenticate(request, parameters)
        handler = cast(Callable[[Parameters, Account], object], route.handler)
        if not route.places_orders:
            return handler(parameters, account)
        self._require_order_allowed(account.api_key, headers)
        try:
            content = handler(parameters, account)
        except ExchangeError as refusal:
            if refusal.data is not None:  # a replacement, which counts even where nothing was placed
                headers |= self._count_order(account.api_key)
            raise
        headers |= self._count_order(account.api_key)
        return content

    # limits

    def _count_weight(self, weight: int, api_key: str | None) -> dict[str, str]:
        """Count a request, also one that is refused for it; returns the headers that tell, if any do."""
        self._minute.count("", weight)
        self.weight_used[api_key or ""] += weight
        if self.weight_limit is None:
            return {}
        used = str(self._minute.used(""))
        return {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}

    def _require_weight(self, headers: dict[str, str]) -> None:
        if self.weight_limit is not None and self._minute.used("") > self.weight_limit:
            headers["Retry-After"] = str(self._minute.ends_in_s())
            raise errors.too_much_weight(self.weight_limit)

    def _orders_placed(self, api_key: str) -> list[tuple[OrderLimit, int]]:
        return [(limit, window.used(api_key)) for limit, window in self._orders.items()]

    def _require_order_allowed(self, api_key: str, headers: dict[str, str]) -> None:
        if self.weight_limit is None:
            return
        for limit, window in self._orders.items():
            if window.used(api_key) >= limit.limit:
                headers["Retry-After"] = str(window.ends_in_s())
                raise errors.too_many_orders(limit.limit, f"{limit.interval_num} {limit.interval}")

    def _count_order(self, api_key: str) -> dict[str, str]:
        """Count an order that reached the matching engine; returns the headers that tell, if any do."""
        for window in self._orders.values():
            window.count(api_key, 1)
        if self.weight_limit is None:
            return {}
        return {limit.header: str(count) for limit, count in self._orders_placed(api_key)}

    # signatures

    def _authenticate(self, request: Request, parameters: Parameters) -> Account:
        api_key = request.api_key or ""
        account = self.books.account(api_key)
        if account is None:
            raise errors.unknown_key() if KEY_FORMAT.fullmatch(api_key) else errors.malformed_key()
        timestamp = parameters.integer("timestamp")
        if timestamp is None:
            raise errors.mandatory("timestamp")
        signature = parameters.text("signature")
        if not signature:
            raise errors.mandatory("signature")
        self._check_time(timestamp, parameters.decimal("recvWindow", RECV_WINDOW_DECIMALS))
        signed, separator, sent = _signed_part(request)
        expected = _keyed(account.secret).copy()
        expected.update(signed.encode())
        if not separator or not hmac.compare_digest(expected.hexdigest().encode(), sent.lower().encode()):
            raise ExchangeError(-1022, "Signature for this request is not valid.")
        return account

    def _check_time(self, timestamp: int, recv_window: Decimal | None) -> None:
        """Times in epoch ms; whoever sends microseconds is understood as well."""
        now = self.server_time_ms()
        if timestamp >= FIRST_MICROSECONDS:
            timestamp //= 1_000
        if recv_window is not None and recv_window > LONGEST_RECV_WINDOW_MS:
            raise ExchangeError(-1131, "recvWindow must be less than 60000.")
        if timestamp >= now + ALLOWED_AHEAD_MS:
            raise ExchangeError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - timestamp > (DEFAULT_RECV_WINDOW_MS if recv_window is None else recv_window):
            raise ExchangeError(-1021, "Timestamp for this request is outside of the recvWindow.")


async def read_request(incoming: web.Request) -> Request:
    """The request, read whole."""
    path, _, query = incoming.raw_path.partition("?")
    body = (await incoming.read()).decode("utf-8", errors="replace")
    headers = {name.lower(): value for name, value in incoming.headers.items()}
    return Request(incoming.method, path, query, body, headers)


def to_response(reply: Reply) -> web.Response:
    """``reply`` as aiohttp sends it."""
    return web.Response(status=reply.status, text=reply.text, content_type=reply.content_type, headers=reply.headers)


def refused(refusal: ExchangeError, headers: Mapping[str, str] | None = None) -> Reply:
    """What Binance says when it refuses."""
    told: dict[str, object] = {"code": refusal.code, "msg": refusal.message}
    if refusal.data is not None:
        told["data"] = refusal.data
    return Reply(refusal.status, json.dumps(told), headers=dict(headers or {}))


@lru_cache(1024)
def _keyed(secret: str) -> hmac.HMAC:
    """What a signature begins with: to take a secret in takes longer than to sign with it."""
    return hmac.new(secret.encode(), digestmod="sha256")


def _signed_part(request: Request) -> tuple[str, str, str]:
    """What was signed, a separator that is empty where none was found, and the signature that was sent.

    The signature is the last parameter; query and body are signed as one text, without anything between them.
    """
    in_body = "signature=" in request.body
    carrier = request.body if in_body else request.query
    signed, separator, sent = carrier.rpartition("signature=")
    signed = signed.removesuffix("&")
    return (request.query + signed if in_body else signed + request.body), separator, sent
