"""What rebalancing earned, exactly, against having held the starting quantities.

With V_hold the first snapshot's quantities (plus deposits and withdrawals in kind) at today's prices, a fill
of quantity x of base b (side s = +1 for a buy, −1 for a sell) at price p in quote c with fee φ in coin f
contributes exactly s·x·(P_b − p·P_c) − φ·P_f to V − V_hold, and the contributions add up to it.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from botbalance.engine.errors import PriceUnavailable
from botbalance.engine.exact import ZERO, ExactArithmetic
from botbalance.engine.fills import Fill


def hold_value(quantities: Mapping[str, Decimal], prices: Mapping[str, Decimal]) -> Decimal:
    """What ``quantities`` (asset to units) are worth at ``prices`` (asset to quote): V_hold.

    Raises PriceUnavailable, naming the assets, where one with a quantity has no price.
    """
    _require_prices((asset for asset, quantity in quantities.items() if quantity), prices)
    with ExactArithmetic():
        return sum((quantity * prices[asset] for asset, quantity in quantities.items() if quantity), ZERO)


def fill_contribution(fill: Fill, prices: Mapping[str, Decimal]) -> Decimal:
    """What one fill added to V − V_hold at ``prices`` (asset to quote), its fee included; can be negative."""
    _require_prices((fill.base, fill.quote, fill.fee_asset) if fill.fee else (fill.base, fill.quote), prices)
    with ExactArithmetic():
        gained = fill.base_qty * (prices[fill.base] - fill.price * prices[fill.quote])
        fee = fill.fee * prices[fill.fee_asset] if fill.fee else ZERO
        return (gained if fill.side == "buy" else -gained) - fee


def rebalancing_bonus(fills: Iterable[Fill], prices: Mapping[str, Decimal]) -> Decimal:
    """The sum of all contributions, in the asset of ``prices``; negative where holding was better."""
    contributions = [fill_contribution(fill, prices) for fill in fills]
    with ExactArithmetic():
        return sum(contributions, ZERO)


def _require_prices(assets: Iterable[str], prices: Mapping[str, Decimal]) -> None:
    missing = sorted({asset for asset in assets if not _usable(prices.get(asset))})
    if missing:
        raise PriceUnavailable(missing)


def _usable(price: Decimal | None) -> bool:
    return price is not None and price.is_finite() and price > ZERO
