"""What an account is worth and how far it is from its targets.

Percent is percent (12.5 means one eighth), amounts are in the quote asset, prices in quote per base.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine.errors import InvalidInput, InvalidStrategy, PriceUnavailable
from botbalance.engine.exact import DOWN, HUNDRED, NEAREST, ONE, PERCENT, UP, ZERO
from botbalance.engine.rules import MarketRules


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has of one asset, in units of it: ``free`` can be spent, ``locked`` rests in orders."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


_NOTHING = Balance()

# (asset, symbol, balance, held, price, value, target percent). A plain tuple, because a named one costs more
# than everything else a quiet decision does for an asset; it does not leave the engine.
type Holding = tuple[str, str, Balance, Decimal, Decimal | None, Decimal, Decimal]


def value_holdings(
    balances: Mapping[str, Balance],
    targets: Mapping[str, Decimal],
    prices: Mapping[str, Decimal],
    rules: Mapping[str, MarketRules],
    quote_asset: str,
) -> tuple[Decimal, list[Holding]]:
    """NAV in quote, and one holding for every managed asset except the quote, in the order of ``targets``.

    Must run in exact arithmetic. Raises InvalidInput or InvalidStrategy for numbers that cannot be, and
    PriceUnavailable, naming every symbol, where a held or wanted asset has no price > 0.
    """
    if sum(targets.values(), ZERO) != HUNDRED:
        refuse_impossible_numbers(balances, targets, prices)
        raise InvalidStrategy("target_allocations", f"a sum of {sum(targets.values()):f}", "a sum of exactly 100")
    quote_balance = balances.get(quote_asset, _NOTHING)
    nav = quote_balance.free + quote_balance.locked
    holdings: list[Holding] = []
    unpriced: list[str] = []
    for asset, target in targets.items():
        if target.is_signed():
            refuse_impossible_numbers(balances, targets, prices)
        if asset == quote_asset:
            continue
        symbol = asset + quote_asset
        if symbol not in rules:
            raise InvalidStrategy("target_allocations", repr(asset), _expected_asset(asset, symbol, targets))
        balance = balances.get(asset, _NOTHING)
        held = balance.free
        if balance.locked:
            held += balance.locked
        price = prices.get(symbol)
        if not price or price.is_signed():
            if held or target:
                unpriced.append(symbol)
            holdings.append((asset, symbol, balance, held, None, ZERO, target))
            continue
        value = held * price
        nav += value
        holdings.append((asset, symbol, balance, held, price, value, target))
    if unpriced or not nav or not nav.is_finite() or _any_signed(balances):
        refuse_impossible_numbers(balances, targets, prices)
    if unpriced:
        raise PriceUnavailable(unpriced)
    if not nav:
        raise InvalidInput("current_balances", "worth 0 in managed assets", "a portfolio with a NAV > 0")
    return nav, holdings


def _any_signed(balances: Mapping[str, Balance]) -> bool:
    for balance in balances.values():
        if balance.free.is_signed() or balance.locked.is_signed():
            return True
    return False


def _expected_asset(asset: str, symbol: str, targets: Mapping[str, Decimal]) -> str:
    if any(other != asset and other.strip().upper() == asset.strip().upper() for other in targets):
        return "each asset once"
    return f"an asset whose pair {symbol} has market rules"


def refuse_impossible_numbers(
    balances: Mapping[str, Balance], targets: Mapping[str, Decimal], prices: Mapping[str, Decimal]
) -> None:
    """Raise for the first number that cannot be: not a Decimal, not finite, negative, a target over 100.

    The computation notices that something is wrong for nearly nothing; this says what it was.
    """
    for asset, target in targets.items():
        field = f"target_allocations.{asset}"
        if not isinstance(target, Decimal) or not target.is_finite():
            raise InvalidStrategy(field, repr(target), "a finite Decimal from 0 to 100 (percent)")
        if target < ZERO or target > HUNDRED:
            raise InvalidStrategy(field, target, "a percentage from 0 to 100")
    for asset, balance in balances.items():
        for part, amount in (("free", balance.free), ("locked", balance.locked)):
            field = f"current_balances.{asset}.{part}"
            if not isinstance(amount, Decimal) or not amount.is_finite():
                raise InvalidInput(field, repr(amount), "a finite Decimal >= 0")
            if amount < ZERO:
                raise InvalidInput(field, amount, "a balance >= 0")
    for symbol, price in prices.items():
        if not isinstance(price, Decimal) or price.is_infinite():
            raise InvalidInput(f"market_prices.{symbol}", repr(price), "a finite Decimal > 0")
    not_numbers = [symbol for symbol, price in prices.items() if price.is_nan()]
    if not_numbers:
        raise PriceUnavailable(not_numbers)


def share_pct(value: Decimal, nav: Decimal) -> Decimal:
    """``value`` in percent of ``nav``, to 28 significant digits."""
    return NEAREST.divide(value * HUNDRED, nav)


def drift_pct(deltas: Iterable[Decimal], nav: Decimal) -> Decimal:
    """½ Σ |weight − target| in percent: the share of NAV that would have to be traded."""
    return NEAREST.divide(sum(map(abs, deltas), ZERO) * 50, nav)


def trigger_prices(
    nav: Decimal, held: Decimal, value: Decimal, target_pct: Decimal, band: Decimal
) -> tuple[Decimal | None, Decimal | None]:
    """The prices at which a buy and a sell of the asset start, every other price as it is.

    A buy starts at p <= (w·K − m) / (q·(1 − w)), a sell at p >= (w·K + m) / (q·(1 − w)), with K the rest of
    NAV, q the quantity held, w the target as a fraction and m the band. Rounded to 28 digits so that at the
    returned price the trade does start. None where no price makes it start.
    """
    weight = target_pct * PERCENT
    if not held or not ZERO < weight < ONE:
        return None, None
    wanted = weight * (nav - value)
    divisor = held * (ONE - weight)
    buy = DOWN.divide(wanted - band, divisor) if wanted > band else None
    return buy, UP.divide(wanted + band, divisor)
