"""What makes a picture of an account doubtful beside the last one. Pure: the caller remembers.

An answer can be well-formed and wrong: a price from a thin moment or a broken feed, an account that came back
without its holdings. Neither is a fact to trade on at once; a second look shows whether it stays.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import Literal

from botbalance.engine.arithmetic import HUNDRED, ONE, ZERO, ExactArithmetic
from botbalance.engine.valuation import Balance, pair_symbol

_NEXT_TO_NOTHING_PCT = Decimal(1)
"""Of what was held before; less than that counts as vanished."""

CALM_S = 600
"""Within so many seconds a price may move by the bound that is set, and no further."""
_ROUND_FACTORS = tuple(Decimal(factor) for factor in ("10", "0.1", "100", "0.01", "1000", "0.001"))
_NEAR_A_FACTOR_PCT = Decimal(25)
"""Farther from a round factor than that a change is none, however wide the bound."""
_FAR_FROM_FACTORS = Decimal(7)
"""What changed by less than this either way is near no round factor: 10 / 1.25 is 8."""
_LOGARITHMS = Context(prec=28)
"""A bound is no money: its roots and powers are rounded."""


type Redenominated = Literal["price", "quantity", "both"]


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look showed: ``prices`` in quote per base by symbol, ``held`` in units by asset, free and locked."""

    prices: Mapping[str, Decimal]
    held: Mapping[str, Decimal]


def observe(balances: Mapping[str, Balance], prices: Mapping[str, Decimal], assets: Collection[str]) -> Observation:
    """What a look at ``balances`` and ``prices`` shows of ``assets``."""
    with ExactArithmetic():
        return Observation(dict(prices), {asset: _held(balances.get(asset)) for asset in sorted(assets)})


def observed_nav(look: Observation, quote_asset: str) -> Decimal:
    """What a look showed to be worth in quote; what had no price counts as nothing."""
    with ExactArithmetic():
        return sum((held * _price(asset, look, quote_asset) for asset, held in look.held.items()), ZERO)


def jumped_symbols(
    prices: Mapping[str, Decimal], before: Mapping[str, Decimal], bound_pct: Decimal, seconds: int = 0
) -> list[str]:
    """The symbols whose price moved by more than ``bound_pct`` percent of what it was ``before``, sorted.

    ``before`` was so many ``seconds`` ago: the bound grows with them as :func:`bound_after` says.

    >>> before = {"BTCUSDT": Decimal(100), "ETHUSDT": Decimal(10)}
    >>> jumped_symbols({"BTCUSDT": Decimal(111), "ETHUSDT": Decimal(11)}, before, Decimal(10))
    ['BTCUSDT']
    """
    with ExactArithmetic():
        known = sorted(prices.keys() & before.keys())
        jumped = [symbol for symbol in known if _moved_by_more(prices[symbol], before[symbol], bound_pct)]
        if not jumped:  # as nearly always; to compute the wider bound takes longer than to compare all prices
            return []
        wider_pct = bound_after(bound_pct, seconds)
        return [symbol for symbol in jumped if _moved_by_more(prices[symbol], before[symbol], wider_pct)]


def bound_after(bound_pct: Decimal, seconds: int) -> Decimal:
    """By how many percent a price may move within so many seconds: ``bound_pct`` within ten minutes, and after that
    more with the square root of the time, as prices that walk at random do: 26 in an hour where it is 10.

    >>> bound_after(Decimal(10), 600), round(bound_after(Decimal(10), 3600))
    (Decimal('10'), 26)
    """
    if seconds <= CALM_S:
        return bound_pct
    with localcontext(_LOGARITHMS) as rounded:
        growth = ONE + rounded.divide(bound_pct, HUNDRED)
        return (growth ** rounded.divide(Decimal(seconds), Decimal(CALM_S)).sqrt() - ONE) * HUNDRED


def round_factor(now: Decimal, before: Decimal, bound_pct: Decimal) -> Decimal | None:
    """The factor of a redenomination that took a number from ``before`` to ``now``, within ``bound_pct`` percent.

    10, 100, 1000, or one over it; None where the change is none of these.

    >>> round_factor(Decimal("5.1"), Decimal("0.5"), Decimal(10))
    Decimal('10')
    """
    if now <= ZERO or before <= ZERO:
        return None
    with localcontext(_LOGARITHMS):
        if before < now * _FAR_FROM_FACTORS and now < before * _FAR_FROM_FACTORS:
            return None
        most_pct = HUNDRED + min(bound_pct, _NEAR_A_FACTOR_PCT)
        for factor in _ROUND_FACTORS:
            expected = before * factor
            if expected * HUNDRED <= now * most_pct and now * HUNDRED <= expected * most_pct:
                return factor
    return None


def redenominations(
    seen: Observation, before: Observation, *, quote_asset: str, bound_pct: Decimal
) -> dict[str, Redenominated]:
    """The held assets of which the quantity or the price changed by a round factor: what changed, by asset.

    Where it is not ``both``, the exchange may tell the old number of the one beside the new number of the other, and
    any decision is off by that factor.

    A thousand old units for each new one, and only the price tells of it so far:

    >>> seen, before = ({"TUSDT": Decimal(p)} for p in (2000, 2))
    >>> held = {"T": Decimal(5)}
    >>> redenominations(Observation(seen, held), Observation(before, held), quote_asset="USDT", bound_pct=Decimal(10))
    {'T': 'price'}
    """
    found: dict[str, Redenominated] = {}
    for asset, held in seen.held.items():
        symbol = pair_symbol(asset, quote_asset)
        if asset == quote_asset or symbol not in seen.prices or symbol not in before.prices:
            continue
        last_held = before.held.get(asset, ZERO)
        of_price = round_factor(seen.prices[symbol], before.prices[symbol], bound_pct)
        of_quantity = round_factor(held, last_held, bound_pct)
        if not (held or last_held):
            continue
        if of_price is not None and of_quantity is not None and of_price * of_quantity == ONE:
            found[asset] = "both"
        elif of_price is not None:
            found[asset] = "price"
        elif of_quantity is not None:
            found[asset] = "quantity"
    return found


def appeared_balances(
    seen: Observation,
    before: Observation,
    *,
    quote_asset: str,
    worth_at_least: Decimal,
    received: Mapping[str, Decimal],
) -> list[str]:
    """The assets of which at least twice as much is there as ``before`` and our own orders explain, sorted.

    ``worth_at_least`` in quote: what is worth less now may appear unnoticed. ``received`` is what this system's own
    orders may have brought since, in units by asset.

    >>> price = {"BTCUSDT": Decimal(40000)}
    >>> seen, before = (Observation(price, {"BTC": Decimal(units)}) for units in (3, 1))
    >>> appeared_balances(seen, before, quote_asset="USDT", worth_at_least=Decimal(50), received={})
    ['BTC']
    >>> appeared_balances(seen, before, quote_asset="USDT", worth_at_least=Decimal(50), received={"BTC": Decimal(2)})
    []
    """
    with ExactArithmetic():
        return sorted(
            asset
            for asset, held in seen.held.items()
            if held * _price(asset, seen, quote_asset) >= worth_at_least
            and held >= 2 * (before.held.get(asset, ZERO) + received.get(asset, ZERO))
        )


def missing_balances(
    balances: Mapping[str, Balance],
    before: Observation,
    *,
    quote_asset: str,
    worth_at_least: Decimal,
    spent: Collection[str],
) -> list[str]:
    """The assets of which next to nothing is left though ``before`` they were worth something, sorted.

    ``worth_at_least`` in quote: what was worth less before may vanish unnoticed. ``spent`` are the assets that
    this system's own orders may have spent since.
    """
    with ExactArithmetic():
        return sorted(
            asset
            for asset, held in before.held.items()
            if asset not in spent
            and held * _price(asset, before, quote_asset) >= worth_at_least
            and _held(balances.get(asset)) * HUNDRED < held * _NEXT_TO_NOTHING_PCT
        )


def _moved_by_more(price: Decimal, before: Decimal, bound_pct: Decimal) -> bool:
    return abs(price - before) * HUNDRED > before * bound_pct


def _price(asset: str, look: Observation, quote_asset: str) -> Decimal:
    return Decimal(1) if asset == quote_asset else look.prices.get(pair_symbol(asset, quote_asset), ZERO)


def _held(balance: Balance | None) -> Decimal:
    return ZERO if balance is None else balance.free + balance.locked
