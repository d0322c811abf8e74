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
    fillable_qty,
    lock,
    new_fill,
    release,
)
from botbalance.engine.arithmetic import ZERO


@dataclass(slots=True)
class PlacedOrder:
    """An order, as placed by ``action`` at the end of candle ``placed_in``.

    It fills in candle ``ended_in``, or is given up at its end for a reason; as long as neither happened it rests.
    ``fills`` are by the candle that each was in: a bounded volume fills an order in parts. ``locked`` is what its
    unfilled part ties up.
    """

    number: int
    action: Action
    placed_in: int
    locked: Decimal
    resting: RestingOrder
    ended_in: int | None = None
    fills: list[tuple[int, Fill]] = field(default_factory=list)
    canceled: CancelReason | None = None

    @property
    def fill(self) -> Fill | None:
        """Its last fill, which where no volume is bounded is its only one."""
        return self.fills[-1][1] if self.fills else None

    @property
    def remaining(self) -> Decimal:
        """What may still fill, in base."""
        return self.action.base_qty - sum((fill.base_qty for _, fill in self.fills), ZERO)


@dataclass(slots=True)
class Account:
    """Balances and resting orders, at most one a pair. Methods must run in exact arithmetic.

    ``fee_pct`` is charged in percent of what a fill brings, or in quote where the market's rules say so. At most
    ``max_volume_fraction`` (0 to 1; None: no bound) of a candle's volume fills an order.
    """

    market_rules: Mapping[str, MarketRules]
    fee_pct: Decimal
    balances: dict[str, Balance]
    max_volume_fraction: Decimal | None = None
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

    def trade(
        self, symbol: str, candle: int, low: Decimal, high: Decimal, volume: Decimal | None = None
    ) -> Fill | None:
        """Fill the pair's resting order if a candle that traded between ``low`` and ``high`` went through its limit."""
        order = self.resting.get(symbol)
        if order is None:
            return None
        market, action, remaining = self.market_rules[symbol], order.action, order.remaining
        base_qty = fillable_qty(
            action.side,
            action.limit_price,
            remaining,
            low,
            high,
            volume=volume,
            max_volume_fraction=self.max_volume_fraction,
            lot_size=market.lot_size,
        )
        if not base_qty:
            return None
        fee_in_quote = bool(market.quote_fee_pct)
        fill = new_fill(
            market.base,
            market.quote,
            action.side,
            action.limit_price,
            base_qty,
            self.fee_pct,
            fee_in_quote=fee_in_quote,
        )
        whole = base_qty == remaining
        cost = market.cost_of_buy(fill.quote_qty) if action.side == "buy" else base_qty
        unlocked = order.locked if whole else cost
        self.balances |= book_fill(self.balances, fill, unlocked=unlocked)
        order.locked -= unlocked
        order.fills.append((candle, fill))
        if whole:
            self._end(order, candle)
        return fill

    def _end(self, order: PlacedOrder, candle: int) -> None:
        del self.resting[order.action.symbol]
        order.ended_in = candle
