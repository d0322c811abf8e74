"""Replies that are well-formed and wrong: what a price feed, an account or a lagging copy of the books may say.

Each takes what the exchange would say and returns what is said instead, or None where there is nothing to distort.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from botbalance.engine.arithmetic import NEAREST, ZERO

from workbench.faults.injector import Fault
from workbench.faults.kinds import FaultKind
from workbench.simulated_exchange import errors, responses
from workbench.simulated_exchange.binance_api import Reply, refused
from workbench.simulated_exchange.decimal_text import decimal_text
from workbench.simulated_exchange.matching_engine import Account, Order, OrderStatus, Trade

LONGEST_LAG_MS = 30_000
"""What happened longer ago than this, by the exchange's clock, is shown everywhere."""
_PRICES = ("price", "lastPrice", "bidPrice", "askPrice")
_JUMP = 3
_DOUBTFUL_PRICES = {"zero": "0.00000000", "nan": "NaN"}

type Json = Any


def vanished_balances(fault: Fault, content: Json) -> Json | None:
    """An account without balances, or with only one of those that are not zero."""
    held = [entry for entry in content["balances"] if Decimal(entry["free"]) or Decimal(entry["locked"])]
    if not held or (fault.variant == "shrunken" and len(held) == 1):
        return None
    return content | {"balances": [] if fault.variant == "empty" else [fault.choose_one(held)]}


def doubtful_quote(fault: Fault, content: Json) -> Json | None:
    """One market's ticker whose prices cannot be right, or a list without it."""
    tickers = content if isinstance(content, list) else [content]
    if not tickers:
        return None
    ticker = fault.choose_one(tickers)
    if fault.variant == "missing":
        return [other for other in content if other is not ticker] if isinstance(content, list) else None
    if fault.variant == "crossed":
        crossed = {"bidPrice": ticker.get("askPrice"), "askPrice": ticker.get("bidPrice")}
        return _with_changed(content, ticker, crossed) if "bidPrice" in ticker else None
    # All of them, also those that a client could make up a missing price from.
    prices = {name: text for name, text in ticker.items() if "price" in name.lower()}
    if fault.variant == "negative":
        changed = {name: f"-{text.removeprefix('-')}" for name, text in prices.items()}
    else:
        changed = dict.fromkeys(prices, _DOUBTFUL_PRICES[fault.variant])
    return _with_changed(content, ticker, changed)


def price_jump(fault: Fault, content: Json) -> Json | None:
    """One market's prices three times as high, or a third."""
    tickers = content if isinstance(content, list) else [content]
    if not tickers:
        return None
    ticker = fault.choose_one(tickers)

    def jumped(text: str) -> str:
        price = Decimal(text)
        jump = price * _JUMP if fault.variant == "up" else NEAREST.divide(price, Decimal(_JUMP))
        return format(NEAREST.quantize(jump, price), "f")

    return _with_changed(content, ticker, {name: jumped(ticker[name]) for name in _PRICES if name in ticker})


def overfilled(fault: Fault, content: Json) -> Json | None:
    """One order of which twice its quantity is filled."""
    orders = content if isinstance(content, list) else [content]
    if not orders:
        return None
    order = fault.choose_one(orders)
    qty = 2 * Decimal(order["origQty"])
    filled = {"executedQty": decimal_text(qty), "cummulativeQuoteQty": decimal_text(qty * Decimal(order["price"]))}
    return _with_changed(content, order, filled)


CONTENTS: Mapping[FaultKind, Callable[[Fault, Json], Json | None]] = {
    FaultKind.VANISHED_BALANCES: vanished_balances,
    FaultKind.DOUBTFUL_QUOTE: doubtful_quote,
    FaultKind.PRICE_JUMP: price_jump,
    FaultKind.OVERFILLED: overfilled,
}
"""Those that need to know nothing but what would be said."""


def late_report(content: Json, now_ms: int) -> Json | None:
    """The list of trades without its newest one."""
    newest = max(content, key=lambda trade: trade["id"], default=None)
    if newest is None or not _lags(newest["time"], now_ms):
        return None
    return [trade for trade in content if trade is not newest]


def not_yet_shown(content: Json, now_ms: int) -> Reply | Json | None:
    """The list of orders without its newest one, or no such order."""
    if not isinstance(content, list):
        return refused(errors.no_such_order()) if _lags(content["time"], now_ms) else None
    newest = max(content, key=lambda order: order["orderId"], default=None)
    if newest is None or not _lags(newest["time"], now_ms):
        return None
    return [order for order in content if order is not newest]


def stale_order(fault: Fault, content: Json, account: Account, symbol: str | None, now_ms: int) -> Json | None:
    """An order as it was before its newest fill; in a list (``symbol`` None: of all pairs) be it closed since."""
    newest = {
        trade.order_id: trade
        for trade in account.trades
        if _lags(trade.time, now_ms) and symbol in {None, trade.symbol}
    }
    if not isinstance(content, list):
        trade = newest.get(content["orderId"])
        return None if trade is None else responses.order(before_trade(account.orders[trade.order_id], trade))
    if not newest:
        return None
    trade = fault.choose_one(newest.values())
    return [
        *(order for order in content if order["orderId"] != trade.order_id),
        responses.order(before_trade(account.orders[trade.order_id], trade)),
    ]


def before_trade(order: Order, trade: Trade) -> Order:
    """``order`` as it was before its newest ``trade``."""
    executed_qty = order.executed_qty - trade.qty
    return replace(
        order,
        executed_qty=executed_qty,
        executed_quote=order.executed_quote - trade.quote_qty,
        status=OrderStatus.PARTIALLY_FILLED if executed_qty > ZERO else OrderStatus.NEW,
        update_time=order.time,
    )


def _lags(happened_ms: int, now_ms: int) -> bool:
    return now_ms - happened_ms < LONGEST_LAG_MS


def _with_changed(content: Json, entry: Json, changed: Mapping[str, str]) -> Json:
    if not isinstance(content, list):
        return content | changed
    return [other | changed if other is entry else other for other in content]
