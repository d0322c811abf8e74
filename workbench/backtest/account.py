"""An account of a backtest: what is free, what is locked in resting orders, and everything that was traded. Exact."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from botbalance.engine import (
    Action,
    Balance,
    CancelReason,
    Fill,
    MarketRules,
    RestingOrder,
    book_fill,
    fill_of,
    lock,
    release,
    trades_through,
)


@dataclass(slots=True)
class PlacedOrder:
    """An order, as placed by ``action`` at the end of candle ``placed_in``.

    It fills in candle ``ended_in``, or is given up at its end for a reason; as long as neither happened it rests.
    """

    number: int
    action: Action
    placed_in: int
    locked: Decimal
    resting: RestingOrder
    ended_in: int | None = None
    fill: Fill | None = None
    canceled: CancelReason | None = None


@dataclass(slots=True)
class Account:
    """Balances and resting orders, at most one a pair. Methods must run in exact arithmetic.

    ``fee_pct`` is charged in percent of what a fill brings, or in quote where the market's rules say so.
    """

    market_rules: Mapping[str, MarketRules]
    fee_pct: Decimal
    balances: dict[str, Balance]
    resting: dict[str, PlacedOrder] = field(default_factory=dict)
    orders: list[PlacedOrder] = field(default_factory=list)

    def place(self, action: Action, candle: int, placed_at: int) -> None:
        """Let an order rest from the end of ``candle`` (``placed_at`` in epoch seconds) on; its funds are locked."""
        market = self.market_rules[action.symbol]
        if action.side == "buy":
            asset, locked = market.quote, market.cost_of_buy(action.notional)
        else:
            asset, locked = market.base, action.base_qty
        self.balances |= lock(self.balances, asset, locked)
        number = len(self.orders)
        resting = RestingOrder(str(number), action.symbol, action.side, action.limit_price, placed_at)
        order = PlacedOrder(number, action, candle, locked, resting)
        self.orders.append(order)
        self.resting[action.symbol] = order

    def cancel(self, order: PlacedOrder, candle: int, reason: CancelReason) -> None:
        """Give up a resting order at the end of ``candle``: its funds are free again."""
        market = self.market_rules[order.action.symbol]
        spent = market.quote if order.action.side == "buy" else market.base
        self.balances |= release(self.balances, spent, order.locked)
        self._end(order, candle)
        order.canceled = reason

    def trade(self, symbol: str, candle: int, low: Decimal, high: Decimal) -> None:
        """Fill the pair's resting order if a candle that traded between ``low`` and ``high`` went through its limit."""
        order = self.resting.get(symbol)
        if order is None or not trades_through(order.action.side, order.action.limit_price, low, high):
            return
        market, action = self.market_rules[symbol], order.action
        fee_in_quote = bool(market.quote_fee_pct)
        fill = fill_of(
            market.base,
            market.quote,
            action.side,
            action.limit_price,
            action.base_qty,
            self.fee_pct,
            fee_in_quote=fee_in_quote,
        )
        self.balances |= book_fill(self.balances, fill, unlocked=order.locked)
        self._end(order, candle)
        order.fill = fill

    def _end(self, order: PlacedOrder, candle: int) -> None:
        del self.resting[order.action.symbol]
        order.ended_in = candle
