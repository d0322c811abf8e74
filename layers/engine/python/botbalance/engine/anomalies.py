"""What makes a picture of an account doubtful beside the last one. Pure: the caller remembers.

An answer can be well-formed and wrong: a price from a thin moment or a broken feed, an account that came back
without its holdings. Neither is a fact to trade on at once; a second look shows whether it stays.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine.arithmetic import HUNDRED, ZERO, ExactArithmetic
from botbalance.engine.valuation import Balance

_NEXT_TO_NOTHING_PCT = Decimal(1)
"""Of what was held before; less than that counts as vanished."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look showed: ``prices`` in quote per base by symbol, ``held`` in units by asset, free and locked."""

    prices: Mapping[str, Decimal]
    held: Mapping[str, Decimal]


def look_at(balances: Mapping[str, Balance], prices: Mapping[str, Decimal], assets: Collection[str]) -> Look:
    """What a look at ``balances`` and ``prices`` shows of ``assets``."""
    with ExactArithmetic():
        return Look(dict(prices), {asset: _held(balances.get(asset)) for asset in sorted(assets)})


def observed_nav(look: Look, quote_asset: str) -> Decimal:
    """What a look showed to be worth in quote; what had no price counts as nothing."""
    with ExactArithmetic():
        return sum((held * _price(asset, look, quote_asset) for asset, held in look.held.items()), ZERO)


def jumped_symbols(prices: Mapping[str, Decimal], before: Mapping[str, Decimal], bound_pct: Decimal) -> list[str]:
    """The symbols whose price moved by more than ``bound_pct`` percent of what it was ``before``, sorted."""
    with ExactArithmetic():
        return sorted(
            symbol
            for symbol, price in prices.items()
            if symbol in before and abs(price - before[symbol]) * HUNDRED > before[symbol] * bound_pct
        )


def missing_balances(
    balances: Mapping[str, Balance],
    before: Look,
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


def _price(asset: str, look: Look, quote_asset: str) -> Decimal:
    return Decimal(1) if asset == quote_asset else look.prices.get(asset + quote_asset, ZERO)


def _held(balance: Balance | None) -> Decimal:
    return ZERO if balance is None else balance.free + balance.locked
