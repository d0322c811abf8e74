"""What rebalancing earned, exactly, against having held the starting quantities.

With V_hold the first snapshot's quantities (plus deposits and withdrawals in kind) at today's prices, a fill
of quantity x of base b (side s = +1 for a buy, −1 for a sell) at price p in quote c with fee φ in coin f
contributes exactly s·x·(P_b − p·P_c) − φ·P_f to V − V_hold, and the contributions add up to it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine.arithmetic import ZERO, ExactArithmetic
from botbalance.engine.errors import PriceUnavailableError
from botbalance.engine.fills import Fill


@dataclass(frozen=True, slots=True)
class Bonus:
    """What each of a list of fills contributed, in quote, in their order; and the same by base asset and by day.

    Each of the three adds up to ``total``.
    """

    total: Decimal
    by_fill: tuple[Decimal, ...]
    by_asset: Mapping[str, Decimal]
    by_day: Mapping[str, Decimal]


def hold_value(quantities: Mapping[str, Decimal], prices: Mapping[str, Decimal]) -> Decimal:
    """What ``quantities`` (asset to units) are worth at ``prices`` (asset to quote): V_hold.

    Raises PriceUnavailableError, naming the assets, where one with a quantity has no price.

    >>> hold_value({"BTC": Decimal("0.5"), "USDT": Decimal(100)}, {"BTC": Decimal(40000), "USDT": Decimal(1)})
    Decimal('20100.0')
    """
    _require_prices((asset for asset, quantity in quantities.items() if quantity), prices)
    with ExactArithmetic():
        return sum((quantity * prices[asset] for asset, quantity in quantities.items() if quantity), ZERO)


def fill_contribution(fill: Fill, prices: Mapping[str, Decimal]) -> Decimal:
    """What one fill added to V − V_hold at ``prices`` (asset to quote), its fee included; can be negative.

    Two BTC bought at 90 for a fee of 0.2 USDT are worth 20 more at 100:

    >>> fill = Fill("BTC", "USDT", "buy", Decimal(90), Decimal(2), Decimal("0.2"), "USDT")
    >>> fill_contribution(fill, {"BTC": Decimal(100), "USDT": Decimal(1)})
    Decimal('19.8')
    """
    _require_prices(_valued(fill), prices)
    with ExactArithmetic():
        gained = fill.base_qty * (prices[fill.base] - fill.price * prices[fill.quote])
        fee = fill.fee * prices[fill.fee_asset] if fill.fee else ZERO
        return (gained if fill.side == "buy" else -gained) - fee


def net_quantities(fills: Iterable[Fill], before: Mapping[str, Decimal] | None = None) -> dict[str, Decimal]:
    """What ``fills`` add to and take from each asset, fees included, on top of what was so ``before``.

    At any prices, the sum of quantity × price over it is the fills' rebalancing bonus, to the last digit.

    >>> net_quantities([Fill("BTC", "USDT", "sell", Decimal(90), Decimal(2), Decimal("0.2"), "USDT")])
    {'BTC': Decimal('-2'), 'USDT': Decimal('179.8')}
    """
    net = dict(before or {})
    with ExactArithmetic():
        for fill in fills:
            sign = 1 if fill.side == "buy" else -1
            net[fill.base] = net.get(fill.base, ZERO) + sign * fill.base_qty
            net[fill.quote] = net.get(fill.quote, ZERO) - sign * fill.base_qty * fill.price
            if fill.fee:
                net[fill.fee_asset] = net.get(fill.fee_asset, ZERO) - fill.fee
    return net


def bonus_by_asset(net: Mapping[str, Mapping[str, Decimal]], prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What the fills of each base asset have added at ``prices``, by the net quantities of these fills.

    Raises PriceUnavailableError where an asset with a net quantity has no price.
    """
    return {base: hold_value(quantities, prices) for base, quantities in net.items()}


def sum_exactly(amounts: Iterable[Decimal]) -> Decimal:
    """The sum of ``amounts``, every digit of it."""
    with ExactArithmetic():
        return sum(amounts, ZERO)


def rebalancing_bonus(fills: Iterable[Fill], prices: Mapping[str, Decimal]) -> Decimal:
    """The sum of all contributions, in the asset of ``prices``; negative where holding was better.

    One BTC bought at 90 and sold at 110 has added 20, at whatever price:

    >>> sides = {"buy": Decimal(90), "sell": Decimal(110)}
    >>> fills = [Fill("BTC", "USDT", side, price, Decimal(1), ZERO, "USDT") for side, price in sides.items()]
    >>> rebalancing_bonus(fills, {"BTC": Decimal(300), "USDT": Decimal(1)})
    Decimal('20')
    """
    return sum_exactly([fill_contribution(fill, prices) for fill in fills])


def compute_bonus(dated_fills: Sequence[tuple[str, Fill]], prices: Mapping[str, Decimal]) -> Bonus:
    """The contributions of fills, each with the day (in any form) that it counts for, at ``prices`` (asset to quote).

    Raises PriceUnavailableError, naming the assets, where one that was traded or paid as a fee has no price.
    """
    fills = [fill for _, fill in dated_fills]
    _require_prices((asset for fill in fills for asset in _valued(fill)), prices)
    by_fill = tuple(fill_contribution(fill, prices) for fill in fills)
    by_asset: dict[str, Decimal] = {}
    by_day: dict[str, Decimal] = {}
    with ExactArithmetic():
        for (day, fill), contribution in zip(dated_fills, by_fill, strict=True):
            by_asset[fill.base] = by_asset.get(fill.base, ZERO) + contribution
            by_day[day] = by_day.get(day, ZERO) + contribution
    return Bonus(sum_exactly(by_fill), by_fill, by_asset, by_day)


def hold_value_from_nav(nav: Decimal, bonus: Decimal) -> Decimal:
    """What a portfolio worth ``nav`` would be worth had none of the fills happened that added ``bonus``: V_hold.

    Deposits and withdrawals are in both, so they are neither profit nor loss.

    >>> hold_value_from_nav(Decimal(1000), Decimal("9.58"))
    Decimal('990.42')
    """
    with ExactArithmetic():
        return nav - bonus


def _valued(fill: Fill) -> tuple[str, ...]:
    """The assets whose prices a fill's contribution takes."""
    return (fill.base, fill.quote, fill.fee_asset) if fill.fee else (fill.base, fill.quote)


def _require_prices(assets: Iterable[str], prices: Mapping[str, Decimal]) -> None:
    missing = sorted({asset for asset in assets if not _usable(prices.get(asset))})
    if missing:
        raise PriceUnavailableError(missing)


def _usable(price: Decimal | None) -> bool:
    return price is not None and price.is_finite() and price > ZERO
