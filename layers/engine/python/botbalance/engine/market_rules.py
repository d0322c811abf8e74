"""What a market accepts, and the one way to bring an order onto its grid.

The normalisation order is fixed (docs/engine.md): the price onto the tick grid, the quantity from the
rounded price, the quantity onto the lot grid, the notional checked last with what the rounding left.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from botbalance.engine.arithmetic import HUNDRED, ONE, PERCENT, UP, ZERO, ceil_div
from botbalance.engine.errors import InvalidInputError

type Side = Literal["buy", "sell"]


class SkipReason(StrEnum):
    """Why an asset is not traded by a decision."""

    QUOTE_ASSET = "quote_asset"
    WITHIN_BAND = "within_band"
    PAUSED = "paused"
    ACTIVE_ORDER = "active_order"
    MARKET_CLOSED = "market_closed"
    OUTSIDE_PRICE_LIMITS = "outside_price_limits"
    NO_FREE_BALANCE = "no_free_balance"
    BELOW_MIN_QTY = "below_min_qty"
    BELOW_MIN_NOTIONAL = "below_min_notional"


type NormalizedOrder = tuple[Decimal, Decimal, Decimal, bool]
"""An order that the market's rules accept: limit price (quote per base), quantity (base), notional, and whether it is
smaller than was asked for."""


@dataclass(frozen=True, slots=True)
class MarketRules:
    """The rules of one market, as the exchange states them.

    ``tick_size`` is the price grid (quote per base), ``lot_size`` the quantity grid (base);
    ``min_qty``/``max_qty`` are in base, ``min_price``/``max_price`` in quote per base,
    ``min_notional``/``max_notional`` in quote; None means the market has no such maximum.
    The four multipliers bound a limit price relative to the market price (a price band, by side);
    ``quote_fee_pct`` is the percentage that the exchange charges in quote on top of a buy (0 where the
    fee comes out of what is received). Raises InvalidInputError for a number that cannot be.
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_qty: Decimal = ZERO
    max_qty: Decimal | None = None
    min_price: Decimal = ZERO
    max_price: Decimal | None = None
    min_notional: Decimal = ZERO
    trading: bool = True
    max_notional: Decimal | None = None
    bid_multiplier_down: Decimal | None = None
    bid_multiplier_up: Decimal | None = None
    ask_multiplier_down: Decimal | None = None
    ask_multiplier_up: Decimal | None = None
    quote_fee_pct: Decimal = ZERO
    closed_side: Side | None = None
    """The side on which the market takes no orders while it trades on the other."""

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size"):
            _require(self.symbol, name, getattr(self, name), above_zero=True)
        for name in ("min_qty", "min_price", "min_notional", "quote_fee_pct"):
            _require(self.symbol, name, getattr(self, name), above_zero=False)
        for name in (
            "max_qty",
            "max_price",
            "max_notional",
            "bid_multiplier_down",
            "bid_multiplier_up",
            "ask_multiplier_down",
            "ask_multiplier_up",
        ):
            value = getattr(self, name)
            if value is not None:
                _require(self.symbol, name, value, above_zero=True)

    def takes(self, side: Side) -> bool:
        """Whether the market takes orders on that side now."""
        return self.trading and side != self.closed_side

    def round_price(self, side: Side, price: Decimal, market_price: Decimal) -> Decimal | None:
        """Bring ``price`` onto the tick grid, away from the market: a buy down, a sell up.

        None where the rounded price is zero or outside the market's price limits or price band.

        >>> rules = MarketRules("BTCUSDT", "BTC", "USDT", tick_size=Decimal("0.5"), lot_size=Decimal("0.001"))
        >>> [rules.round_price(side, Decimal("99.7"), Decimal(100)) for side in ("buy", "sell")]
        [Decimal('99.5'), Decimal('100.0')]
        """
        tick = self.tick_size
        rounded = price // tick * tick
        if side == "buy":
            lowest, highest = self.bid_multiplier_down, self.bid_multiplier_up
        else:
            lowest, highest = self.ask_multiplier_down, self.ask_multiplier_up
            if rounded != price:
                rounded += tick
        if not rounded or rounded < self.min_price or (self.max_price is not None and rounded > self.max_price):
            return None
        if lowest is not None and rounded < market_price * lowest:
            return None
        if highest is not None and rounded > market_price * highest:
            return None
        return rounded

    def forbids_steps(self, below: Decimal, above: Decimal) -> bool:
        """Whether the price band refuses a buy at ``below`` times the market price, or a sell at ``above`` times it."""
        lowest, highest = self.bid_multiplier_down, self.ask_multiplier_up
        return (lowest is not None and below < lowest) or (highest is not None and above > highest)

    def normalize_order(
        self, side: Side, limit_price: Decimal, quote_amount: Decimal, free: Decimal
    ) -> NormalizedOrder | SkipReason:
        """The order worth ``quote_amount`` at the rounded ``limit_price`` that ``free`` can pay for.

        ``limit_price`` comes from :meth:`round_price`. ``free`` caps the order: in quote for a buy (the
        quote-side fee must fit in too), in base for a sell. Returns the reason where no such order exists.

        >>> rules = MarketRules("BTCUSDT", "BTC", "USDT", tick_size=Decimal("0.5"), lot_size=Decimal("0.001"))
        >>> rules.normalize_order("buy", Decimal("99.5"), Decimal(10), free=Decimal(1000))
        (Decimal('99.5'), Decimal('0.100'), Decimal('9.9500'), False)
        >>> rules.normalize_order("buy", Decimal("99.5"), Decimal(10), free=Decimal(0)).value
        'no_free_balance'
        """
        if free <= ZERO:
            return SkipReason.NO_FREE_BALANCE
        lot = self.lot_size
        lot_notional = limit_price * lot
        lots = quote_amount // lot_notional
        if side == "buy":
            capped = free < self.cost_of_buy(quote_amount)
            if capped:
                lots = (free * HUNDRED) // (lot_notional * (HUNDRED + self.quote_fee_pct))
        else:
            capped = free * limit_price < quote_amount
            if capped:
                lots = free // lot
        base_qty = lots * lot
        notional = limit_price * base_qty
        if self.max_qty is not None and base_qty > self.max_qty:
            capped, base_qty = True, self.max_qty // lot * lot
            notional = limit_price * base_qty
        if self.max_notional is not None and notional > self.max_notional:
            capped, base_qty = True, self.max_notional // lot_notional * lot
            notional = limit_price * base_qty
        if not base_qty or base_qty < self.min_qty:
            return SkipReason.BELOW_MIN_QTY
        if notional < self.min_notional:
            return SkipReason.BELOW_MIN_NOTIONAL
        return limit_price, base_qty, notional, capped

    def cost_of_buy(self, notional: Decimal) -> Decimal:
        """What a buy worth ``notional`` takes from the free quote: with the fee where that is in quote."""
        if not self.quote_fee_pct:
            return notional
        return notional * (ONE + self.quote_fee_pct * PERCENT)

    def smallest_order(self, limit_price: Decimal) -> Decimal:
        """The smallest amount in quote whose order at ``limit_price`` passes both minima."""
        lots = max(
            ONE,
            ceil_div(self.min_qty, self.lot_size),
            ceil_div(self.min_notional, limit_price * self.lot_size),
        )
        return lots * self.lot_size * limit_price


def size_pct(amount: Decimal, nav: Decimal) -> Decimal:
    """The order size, in percent of ``nav``, that buys at least ``amount``: rounded up, so that it does.

    >>> size_pct(Decimal(10), Decimal(300))
    Decimal('3.33333334')
    """
    return UP.quantize(UP.divide(amount * HUNDRED, nav), Decimal("1e-8"))


def _require(symbol: str, name: str, value: object, *, above_zero: bool) -> None:
    field = f"market_rules.{symbol}.{name}"
    bound = "> 0" if above_zero else ">= 0"
    if not isinstance(value, Decimal) or not value.is_finite():
        raise InvalidInputError(field, repr(value), f"a finite Decimal {bound}")
    if value < ZERO or (above_zero and not value):
        raise InvalidInputError(field, value, f"a Decimal {bound}")
