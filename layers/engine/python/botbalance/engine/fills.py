"""When a resting limit order fills, and what a fill brings: on paper, on the simulated exchange and in the backtest."""

from decimal import Decimal

from botbalance.engine.arithmetic import PERCENT, ZERO, ExactArithmetic
from botbalance.engine.market_rules import Side
from botbalance.engine.record import record


@record
class Fill:
    """A trade of ``base_qty`` of ``base`` at ``price`` (quote per base); ``fee`` in units of ``fee_asset``."""

    base: str
    quote: str
    side: Side
    price: Decimal
    base_qty: Decimal
    fee: Decimal
    fee_asset: str

    @property
    def quote_qty(self) -> Decimal:
        """What was paid or received for it, before the fee, in quote."""
        with ExactArithmetic():
            return self.price * self.base_qty


def trades_through(side: Side, limit_price: Decimal, low: Decimal, high: Decimal) -> bool:
    """Whether a resting order fills in an interval whose trades were between ``low`` and ``high``.

    The market must trade *through* the limit: at the limit itself others stand before us in the queue, so an
    equal price does not count.

    >>> trades_through("buy", Decimal(100), Decimal(100), Decimal(105))
    False
    >>> trades_through("buy", Decimal(100), Decimal("99.99"), Decimal(105))
    True
    """
    return low < limit_price if side == "buy" else high > limit_price


def fillable_qty(
    side: Side,
    limit_price: Decimal,
    remaining: Decimal,
    low: Decimal,
    high: Decimal,
    *,
    volume: Decimal | None = None,
    max_volume_fraction: Decimal | None = None,
    lot_size: Decimal | None = None,
) -> Decimal:
    """How much of ``remaining`` (base) of a resting order fills in an interval that traded ``low`` … ``high``.

    All of it, unless ``max_volume_fraction`` (0 to 1) says which part of the interval's ``volume`` (base) may be ours:
    then so many whole lots at most, and the rest goes on resting. Whoever lets several orders fill in one interval
    hands each what the others have left of ``volume``.

    >>> fillable_qty("sell", Decimal(100), Decimal(3), Decimal(95), Decimal(101))
    Decimal('3')
    >>> a_tenth = {"volume": Decimal("12.7"), "max_volume_fraction": Decimal("0.1"), "lot_size": Decimal("0.5")}
    >>> fillable_qty("sell", Decimal(100), Decimal(3), Decimal(95), Decimal(101), **a_tenth)
    Decimal('1.0')
    """
    if not trades_through(side, limit_price, low, high):
        return ZERO
    if max_volume_fraction is None or volume is None:
        return remaining
    with ExactArithmetic():
        ours = volume * max_volume_fraction
        if lot_size is not None:
            ours = ours // lot_size * lot_size
        return min(remaining, ours)


def new_fill(
    base: str,
    quote: str,
    side: Side,
    price: Decimal,
    base_qty: Decimal,
    fee_pct: Decimal,
    *,
    fee_in_quote: bool = False,
) -> Fill:
    """The fill of ``base_qty`` at ``price``, its fee of ``fee_pct`` percent taken from the received asset.

    Where the exchange charges every ``fee_in_quote``, a buy pays it on top.

    >>> fill = new_fill("BTC", "USDT", "buy", Decimal(40000), Decimal("0.5"), Decimal("0.1"))
    >>> fill.fee, fill.fee_asset
    (Decimal('0.0005'), 'BTC')
    """
    in_base = side == "buy" and not fee_in_quote
    with ExactArithmetic():
        fee = (base_qty if in_base else base_qty * price) * fee_pct * PERCENT
    return Fill(base, quote, side, price, base_qty, fee, base if in_base else quote)
