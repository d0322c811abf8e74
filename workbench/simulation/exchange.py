"""The simulated exchange with manners: what real ones do that is no fault of the wire.

Each manner can be drawn at random, or set by a test; docs/reliability.md lists what they are.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from botbalance.engine import transfer
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.exchange.profiles import ExchangeProfile, Paging

from workbench.faults.corrupted_replies import before_trade
from workbench.faults.exchange import Delivery, FaultyExchange, Observer, Outcome
from workbench.faults.injector import Injector
from workbench.simulated_exchange import errors, responses
from workbench.simulated_exchange.binance_api import Reply, Request, refused
from workbench.simulated_exchange.errors import ExchangeError
from workbench.simulated_exchange.matching_engine import Account, MatchingEngine, NewOrder, Order, OrderType, Trade
from workbench.simulation.choices import Choices

FEE_COIN = "BNB"
NOT_PERMITTED = "This symbol is not permitted for this account."
STRANGE_COIN = "SHIB2"
"""Of which accounts have a negative dust where the exchange has that manner."""


class Manner(StrEnum):
    """What an exchange does beside failing."""

    REJECTS_LATE = "rejects_late"
    """It acknowledges an order and rejects it afterwards."""
    BALANCES_LAG = "balances_lag"
    """Balances are those of one look before."""
    FORGETS = "forgets"
    """Orders that ended without a fill are unknown after a while."""
    DELISTS = "delists"
    """A market is gone from the listing."""
    HALTS = "halts"
    """A market takes no orders for a while."""
    REDENOMINATES = "redenominates"
    """A coin becomes ten, the balances and the price not at the same moment."""
    EARN = "earn"
    """Coins move into another wrapping and back."""
    FEES_IN_THIRD_COIN = "fees_in_third_coin"
    NEGATIVE_DUST = "negative_dust"
    UNKNOWN_STATUS = "unknown_status"
    """A stranger's order has a status that nobody knows."""
    REFUSES_FOR_GOOD = "refuses_for_good"
    """An account may not trade a market."""
    STALE_PRICES = "stale_prices"
    """Tickers are those of a while ago."""
    ACKNOWLEDGES_LATE = "acknowledges_late"
    """It takes an order, does not answer in time, and knows no such order for a while."""
    ORDERS_LAG = "orders_lag"
    """An order is shown, or its trades are told, as they were before the last trade."""
    PAGES = "pages"
    """It gives its lists in short pages."""


PASSING = frozenset(
    {
        Manner.REJECTS_LATE,
        Manner.BALANCES_LAG,
        Manner.STALE_PRICES,
        Manner.FORGETS,
        Manner.HALTS,
        Manner.ACKNOWLEDGES_LATE,
        Manner.ORDERS_LAG,
    }
)
"""Manners that end with the faults; the others stay, and nobody may be kept from trading by them."""
CHANCES: Mapping[Manner, float] = {
    Manner.REJECTS_LATE: 0.1,
    Manner.BALANCES_LAG: 0.3,
    Manner.STALE_PRICES: 0.3,
    Manner.NEGATIVE_DUST: 1,
    Manner.ACKNOWLEDGES_LATE: 0.15,
    Manner.ORDERS_LAG: 0.3,
}
"""How often one shows in a request that it can show in."""
UNKNOWN_S = (5, 45, 60, 75, 90)
"""For how long an order that was taken is not known: less than the two minutes after which that may be believed."""
LONGEST_ORDER_LAG_MS = 120_000
KNOWN_MS = 60_000
"""For how long an order that ended without a fill is known, where such are forgotten."""
PAGE = 3
"""Entries of a list, where it comes in pages."""
_OF_OPEN_ORDERS = frozenset({Manner.UNKNOWN_STATUS, Manner.ORDERS_LAG, Manner.PAGES})


def in_pages(profile: ExchangeProfile) -> ExchangeProfile:
    """The profile of an exchange whose lists come in short pages."""
    paging = Paging(size=PAGE, parameter="page")
    return replace(profile, open_orders=paging, fills=paging)


class MannerlyBooks(MatchingEngine):
    """Books that may take their fees in a third coin."""

    fees_in_third_coin = False

    def _fill(
        self, account: Account, order: Order, price: Decimal, qty: Decimal, *, is_maker: bool
    ) -> tuple[Order, Trade]:
        order, trade = super()._fill(account, order, price, qty, is_maker=is_maker)
        paid = trade.quote_qty / 1_000_000  # what the coin is worth does not matter here
        if self.fees_in_third_coin and account.free_balance(FEE_COIN) > paid:
            account.balances |= transfer(account.balances, trade.commission_asset, trade.commission)
            account.balances |= transfer(account.balances, FEE_COIN, -paid)
            trade = replace(trade, commission=paid, commission_asset=FEE_COIN)
            account.trades[-1] = trade
        return order, trade


class MannerlyExchange(FaultyExchange):
    """A faulty exchange with the ``manners`` that are on; ``choices`` say when they show."""

    def __init__(self, books: MannerlyBooks, injector: Injector, observer: Observer, choices: Choices) -> None:
        super().__init__(books, injector, observer)
        self._choices = choices
        self.manners: set[Manner] = set()
        self.rejected: set[int] = set()
        self.not_permitted: set[tuple[str, str]] = set()
        self.delisted: set[str] = set()
        self.chances = dict(CHANCES)
        self.unknown_s: Sequence[int] = UNKNOWN_S
        self._unknown_until: dict[int, int] = {}
        """By order id, until when (epoch ms) nobody is told of the order."""
        names = {("GET", "/api/v3/openOrders"): "page", ("GET", "/api/v3/myTrades"): "page"}
        for route, name in names.items():  # as exchanges have it whose lists come in pages
            self._routes[route] = replace(self._routes[route], names=self._routes[route].names | {name})
        self._accounts_shown: dict[str, str] = {}
        self._tickers_shown: dict[str, str] = {}

    def answer(self, request: Request) -> Reply:
        """What the exchange says when nothing fails."""
        gone = self._gone(request)
        if gone is not None:
            return gone
        path = f"{request.method} {request.path}"
        if path == "POST /api/v3/order" and (request.api_key, request.parameters.get("symbol")) in self.not_permitted:
            self._choices.count(f"manner:{Manner.REFUSES_FOR_GOOD}")
            return refused(ExchangeError(-2010, NOT_PERMITTED))
        if path == "DELETE /api/v3/order" and self._unknown_until and self._is_unknown_to_cancel(request):
            return refused(errors.unknown_order())
        reply = super().answer(request)
        manners: Mapping[str, Callable[[Request, Reply], Reply]] = {
            "POST /api/v3/order": self._after_placing,
            "GET /api/v3/order": self._order_shown,
            "GET /api/v3/account": self._account_shown,
            "GET /api/v3/openOrders": self._open_orders_shown,
            "GET /api/v3/myTrades": self._trades_shown,
            "GET /api/v3/ticker/24hr": self._tickers_of_before,
            "GET /api/v3/exchangeInfo": self._listing,
        }
        shown = manners.get(path)
        return reply if shown is None or reply.status != 200 else shown(request, reply)

    def _outcome(self, request: Request) -> Outcome:
        outcome = super()._outcome(request)
        placed = request.method == "POST" and request.path == "/api/v3/order" and outcome.reply.status == 200
        if not placed or outcome.delivery is not Delivery.WHOLE:
            return outcome
        account = self.books.account(request.api_key or "")
        if account is None or outcome.fault is not None or not self._shows(Manner.ACKNOWLEDGES_LATE):
            return outcome
        order_id = json.loads(outcome.reply.text)["orderId"]
        self._unknown_until[order_id] = self.books.now_ms() + self._choices.choose_one(self.unknown_s) * 1000
        return replace(outcome, delivery=self._choices.choose_one([Delivery.SILENCE, Delivery.RESET]))

    # what owners and strangers do in the exchange's own app

    def place_by_hand(self, api_key: str, symbol: str, quote_amount: Decimal) -> bool:
        """Rest an order that is none of ours; False where the account cannot."""
        with self.market.exclusive():
            spec = self.market.specs[symbol]
            price = self.market.last_price(symbol) * Decimal("0.9") // spec.tick_size * spec.tick_size
            qty = quote_amount // (price * spec.lot_size) * spec.lot_size
            order = NewOrder(symbol, "buy", OrderType.LIMIT, f"app-{self._choices.between(0, 10**9)}", qty, price)
            try:
                self.books.place(api_key, order)
            except ExchangeError:
                return False
            return True

    def cancel_by_hand(self, api_key: str, order: Order) -> None:
        """Cancel whoever's order in the app."""
        self.books.cancel(api_key, order.symbol, order_id=order.order_id)

    # manners that happen at a moment

    def delist(self, symbol: str) -> None:
        """Take a market from the listing, and cancel what rests there."""
        with self.market.exclusive():
            for api_key in self.books.api_keys():
                for order in self.books.open_orders(api_key, symbol):
                    self.books.cancel(api_key, symbol, order_id=order.order_id)
            self.delisted.add(symbol)

    def redenominate_balances(self, asset: str, factor: int) -> None:
        """The first half: every account has ``factor`` times as many; what rested on its markets is cancelled."""
        with self.market.exclusive(), ExactArithmetic():
            for api_key in self.books.api_keys():
                account = self.books.account(api_key)
                for symbol, spec in self.market.specs.items():
                    if account is not None and spec.base == asset:
                        for order in account.find_open_orders(symbol):
                            self.books.cancel(api_key, symbol, order_id=order.order_id)
                if account is not None:
                    more = account.free_balance(asset) * (factor - 1)
                    account.balances |= transfer(account.balances, asset, more)

    def redenominate_price(self, symbol: str, factor: int) -> None:
        """The second half: its price is one ``factor``-th."""
        self.market.set_price(symbol, self.market.last_price(symbol) / factor)

    def wrap(self, api_key: str, asset: str) -> bool:
        """Move what is free of a coin into Earn, or back where it is there; False where there is nothing to move."""
        with self.market.exclusive():
            account = self.books.account(api_key)
            if account is None:
                return False
            wrapped = f"LD{asset}"
            source, target = (wrapped, asset) if account.free_balance(wrapped) else (asset, wrapped)
            amount = account.free_balance(source)
            if not amount:
                return False
            account.balances |= transfer(account.balances, source, -amount)
            account.balances |= transfer(account.balances, target, amount)
            return True

    # replies

    def _shows(self, manner: Manner) -> bool:
        shows = manner in self.manners and self._choices.happens(self.chances[manner])
        if shows:
            self._choices.count(f"manner:{manner}")
        return shows

    def _gone(self, request: Request) -> Reply | None:
        if not self.delisted:
            return None
        asked = request.parameters
        wanted = {asked.get("symbol", ""), *json.loads(asked.get("symbols", "[]"))}
        return refused(errors.invalid_symbol()) if wanted & self.delisted else None

    def _listing(self, _: Request, reply: Reply) -> Reply:
        if not self.delisted:
            return reply
        content = json.loads(reply.text)
        content["symbols"] = [one for one in content["symbols"] if one["symbol"] not in self.delisted]
        return replace(reply, text=json.dumps(content))

    def _after_placing(self, request: Request, reply: Reply) -> Reply:
        content = json.loads(reply.text)
        account = self.books.account(request.api_key or "")
        order = None if account is None else account.orders[content["orderId"]]
        if order is not None and order.status.is_open and self._shows(Manner.REJECTS_LATE):
            self.books.cancel(request.api_key or "", order.symbol, order_id=order.order_id)
            self.rejected.add(order.order_id)
        return reply

    def _is_unknown(self, order_id: int) -> bool:
        return self._unknown_until.get(order_id, 0) > self.books.now_ms()

    def _is_unknown_to_cancel(self, request: Request) -> bool:
        asked, account = request.parameters, self.books.account(request.api_key or "")
        orders = () if account is None else account.find_open_orders(asked.get("symbol", ""))
        return any(
            self._is_unknown(order.order_id)
            for order in orders
            if asked.get("origClientOrderId") == order.client_order_id or asked.get("orderId") == str(order.order_id)
        )

    def _order_shown(self, request: Request, reply: Reply) -> Reply:
        content = json.loads(reply.text)
        if self._is_unknown(content["orderId"]):
            return refused(errors.no_such_order())
        before = self._as_before(request.api_key or "", content["orderId"])
        if before is not None:
            return replace(reply, text=json.dumps(before))
        if content["orderId"] in self.rejected:
            return replace(reply, text=json.dumps(content | {"status": "REJECTED"}))
        ended_without_a_fill = content["status"] == "CANCELED" and not Decimal(content["executedQty"])
        long_ago = self.books.now_ms() - content["updateTime"] > KNOWN_MS
        if ended_without_a_fill and long_ago and Manner.FORGETS in self.manners:
            self._choices.count(f"manner:{Manner.FORGETS}")
            return refused(errors.no_such_order())
        return reply

    def _account_shown(self, request: Request, reply: Reply) -> Reply:
        key = request.api_key or ""
        before = self._accounts_shown.get(key, reply.text)
        self._accounts_shown[key] = reply.text
        text = before if before != reply.text and self._shows(Manner.BALANCES_LAG) else reply.text
        if self._shows(Manner.NEGATIVE_DUST):
            content = json.loads(text)
            content["balances"].append({"asset": STRANGE_COIN, "free": "-0.00000001", "locked": "0.00000000"})
            text = json.dumps(content)
        return replace(reply, text=text)

    def _as_before(self, api_key: str, order_id: int) -> dict[str, Any] | None:
        """The order as it was before its last trade, where that was lately and a copy that lags is asked."""
        if Manner.ORDERS_LAG not in self.manners:
            return None
        account = self.books.account(api_key)
        if account is None:
            return None
        since = self.books.now_ms() - LONGEST_ORDER_LAG_MS
        last = next((trade for trade in reversed(account.trades) if trade.order_id == order_id), None)
        if last is None or last.time < since or not self._shows(Manner.ORDERS_LAG):
            return None
        return responses.order(before_trade(account.orders[order_id], last))

    def _open_orders_shown(self, request: Request, reply: Reply) -> Reply:
        if not self.manners & _OF_OPEN_ORDERS and not self._unknown_until:
            return reply
        content: list[dict[str, Any]] = json.loads(reply.text)
        known = [order for order in content if not self._is_unknown(order["orderId"])]
        known = [self._as_before(request.api_key or "", order["orderId"]) or order for order in known]
        changed = [self._with_unknown_status(order) for order in known]
        return replace(reply, text=json.dumps(self._page(request, changed, "orderId")))

    def _with_unknown_status(self, order: dict[str, Any]) -> dict[str, Any]:
        if Manner.UNKNOWN_STATUS not in self.manners or not order["clientOrderId"].startswith("app-"):
            return order
        self._choices.count(f"manner:{Manner.UNKNOWN_STATUS}")
        return order | {"status": "PENDING_REVIEW"}

    def _trades_shown(self, request: Request, reply: Reply) -> Reply:
        if not self.manners & {Manner.ORDERS_LAG, Manner.PAGES}:
            return reply
        account, order_id = self.books.account(request.api_key or ""), request.parameters.get("orderId", "")
        booked = [] if account is None else account.trades
        trades = [responses.trade(trade) for trade in booked if str(trade.order_id) == order_id]
        if trades and self.books.now_ms() - trades[-1]["time"] < LONGEST_ORDER_LAG_MS:
            trades = trades[:-1] if self._shows(Manner.ORDERS_LAG) else trades
        return replace(reply, text=json.dumps(self._page(request, trades, "id")))

    def _page(self, request: Request, entries: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
        """The page that is asked for; those with the highest ids come first, so that the oldest come last."""
        if Manner.PAGES not in self.manners:
            return entries
        entries = sorted(entries, key=lambda entry: int(entry[by]), reverse=True)
        number = int(request.parameters.get("page", "1"))
        if len(entries) > number * PAGE:
            self._choices.count(f"manner:{Manner.PAGES}")
        return entries[(number - 1) * PAGE : number * PAGE]

    def _tickers_of_before(self, request: Request, reply: Reply) -> Reply:
        before = self._tickers_shown.get(request.query, reply.text)
        stale = before != reply.text and self._shows(Manner.STALE_PRICES)
        if not stale:
            self._tickers_shown[request.query] = reply.text
        return replace(reply, text=before) if stale else reply
