"""What an account is worth and how far it is from its targets.

Percent is percent (12.5 means one eighth), amounts are in the quote asset, prices in quote per base.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from botbalance.engine.arithmetic import DOWN, HUNDRED, NEAREST, ONE, PERCENT, UP, ZERO, format_decimal
from botbalance.engine.errors import InvalidInputError, InvalidStrategyError, PriceUnavailableError
from botbalance.engine.market_rules import MarketRules
from botbalance.engine.record import record


@record
class Balance:
    """What an account has of one asset, in units of it: ``free`` can be spent, ``locked`` rests in orders."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


NOTHING = Balance()
"""The balance of an asset that an account does not have."""
_PLACES = 30

# (asset, symbol, balance, held, price, value, target percent). A plain tuple, because a named one costs more
# than everything else a quiet decision does for an asset; it does not leave the engine.
type Holding = tuple[str, str, Balance, Decimal, Decimal | None, Decimal, Decimal]


def pair_symbol(base: str, quote: str) -> str:
    """The name of a pair, as exchanges without a separator have it.

    >>> pair_symbol("BTC", "USDT")
    'BTCUSDT'
    """
    return base + quote


def pairs_by_symbol(target_allocations: Iterable[str], quote_asset: str) -> dict[str, str]:
    """The pairs that a strategy with these targets trades, symbol to asset, in the order of its targets.

    >>> pairs_by_symbol(["BTC", "ETH", "USDT"], "USDT")
    {'BTCUSDT': 'BTC', 'ETHUSDT': 'ETH'}
    """
    return {pair_symbol(asset, quote_asset): asset for asset in target_allocations if asset != quote_asset}


def value_holdings(
    balances: Mapping[str, Balance],
    targets: Mapping[str, Decimal],
    prices: Mapping[str, Decimal],
    rules: Mapping[str, MarketRules],
    quote_asset: str,
) -> tuple[Decimal, list[Holding]]:
    """NAV in quote, and one holding for every managed asset except the quote, in the order of ``targets``.

    Must run in exact arithmetic. Raises InvalidInputError or InvalidStrategyError for numbers that cannot be, and
    PriceUnavailableError, naming every symbol, where an asset that is held, or wanted in a market that trades, has no
    price > 0. The loop only
    notices that something is doubtful, which costs next to nothing; what it is, is looked for afterwards.
    """
    if sum(targets.values(), ZERO) != HUNDRED:
        validate_targets(targets)
    quote_balance = balances.get(quote_asset, NOTHING)
    nav = quote_balance.free + quote_balance.locked
    doubtful = quote_balance.free.is_signed() or quote_balance.locked.is_signed()
    holdings: list[Holding] = []
    for asset, target in targets.items():
        if target.is_signed():
            doubtful = True
        if asset == quote_asset:
            continue
        symbol = asset + quote_asset  # pair_symbol, without a call in the loop of every decision
        if symbol not in rules:
            raise InvalidStrategyError("target_allocations", repr(asset), _expected_asset(asset, symbol, targets))
        balance = balances.get(asset, NOTHING)
        held, locked = balance.free, balance.locked
        if held.is_signed() or locked.is_signed():
            doubtful = True
        if locked:
            held += locked
        price = prices.get(symbol)
        if not price or price.is_signed():
            doubtful = True
            holdings.append((asset, symbol, balance, held, None, ZERO, target))
            continue
        value = held * price
        nav += value
        holdings.append((asset, symbol, balance, held, price, value, target))
    if not balances.keys() <= targets.keys() and _any_unmanaged_unreadable(balances, targets):
        doubtful = True
    if doubtful or not nav or not nav.is_finite():
        validate_numbers(balances, targets, prices, quote_asset)
        require_prices(balances, targets, prices, rules, quote_asset)
    if not nav:
        raise InvalidInputError("current_balances", "worth 0 in managed assets", "a portfolio with a NAV > 0")
    return nav, holdings


def _any_unmanaged_unreadable(balances: Mapping[str, Balance], targets: Mapping[str, Decimal]) -> bool:
    """Whether a balance that the loop over ``targets`` did not see is not finite."""
    for asset, balance in balances.items():
        if asset not in targets and not (balance.free.is_finite() and balance.locked.is_finite()):
            return True
    return False


def _expected_asset(asset: str, symbol: str, targets: Mapping[str, Decimal]) -> str:
    if any(other != asset and other.strip().upper() == asset.strip().upper() for other in targets):
        return "each asset once"
    return f"an asset whose pair {symbol} has market rules"


def validate_targets(targets: Mapping[str, Decimal]) -> None:
    """Raise InvalidStrategyError for the first target that is no percentage, or for a sum other than 100."""
    for asset, target in targets.items():
        field = f"target_allocations.{asset}"
        if not isinstance(target, Decimal) or not target.is_finite():
            raise InvalidStrategyError(field, repr(target), "a finite number from 0 to 100 (percent)")
        if target < ZERO or target > HUNDRED:
            raise InvalidStrategyError(field, target, "a percentage from 0 to 100")
        validate_digits([(field, target)], InvalidStrategyError)
    total = sum(targets.values(), ZERO)
    if total != HUNDRED:
        raise InvalidStrategyError("target_allocations", f"a sum of {format_decimal(total)}", "a sum of exactly 100")


def validate_numbers(
    balances: Mapping[str, Balance],
    targets: Mapping[str, Decimal],
    prices: Mapping[str, Decimal],
    quote_asset: str,
) -> None:
    """Raise for the first number that cannot be: not a Decimal, not finite, negative; or for targets that cannot be.

    Balances that are not managed may be below zero, as specks and debts are: nothing is decided on them.

    A price that is NaN or negative is a missing price; :func:`require_prices` names it with the others.
    """
    validate_targets(targets)
    for asset, balance in balances.items():
        for part, amount in (("free", balance.free), ("locked", balance.locked)):
            field = f"current_balances.{asset}.{part}"
            if not isinstance(amount, Decimal) or not amount.is_finite():
                raise InvalidInputError(field, repr(amount), "a finite Decimal >= 0")
            if amount < ZERO and (asset in targets or asset == quote_asset):
                raise InvalidInputError(field, amount, "a balance >= 0")
    for symbol, price in prices.items():
        if not isinstance(price, Decimal) or price.is_infinite():
            raise InvalidInputError(f"market_prices.{symbol}", repr(price), "a finite Decimal > 0")


def require_prices(
    balances: Mapping[str, Balance],
    targets: Mapping[str, Decimal],
    prices: Mapping[str, Decimal],
    rules: Mapping[str, MarketRules],
    quote_asset: str,
) -> None:
    """Raise PriceUnavailableError for all managed assets held or wanted without a price > 0, or priced NaN.

    What is wanted needs none while its market does not trade: nothing of it is held, and nothing can be bought.
    """
    unpriced = []
    for asset, target in targets.items():
        if asset == quote_asset:
            continue
        symbol = pair_symbol(asset, quote_asset)
        price, balance = prices.get(symbol, ZERO), balances.get(asset, NOTHING)
        market = rules.get(symbol)
        needed = balance.free or balance.locked or (target and (market is None or market.trading))
        if price.is_nan() or (price <= ZERO and needed):
            unpriced.append(symbol)
    if unpriced:
        raise PriceUnavailableError(unpriced)


def validate_digits(numbers: Iterable[tuple[str, Decimal]], error: type[InvalidInputError]) -> None:
    """Raise ``error`` for the first (field, number) with more digits than exact arithmetic leaves room for.

    With at most ``_PLACES`` on both sides of every point, no intermediate result has over 200 digits.
    """
    for field, number in numbers:
        exponent = number.as_tuple().exponent
        if number and (number.adjusted() >= _PLACES or (isinstance(exponent, int) and exponent < -_PLACES)):
            raise error(field, number, f"at most {_PLACES} digits before and after the point")


def share_pct(value: Decimal, nav: Decimal) -> Decimal:
    """``value`` in percent of ``nav``, to 28 significant digits.

    >>> share_pct(Decimal(30), Decimal(120))
    Decimal('25')
    """
    return NEAREST.divide(value * HUNDRED, nav)


def drift_pct(deltas: Iterable[Decimal], nav: Decimal) -> Decimal:
    """½ Σ |weight − target| in percent: the share of NAV that would have to be traded."""
    return NEAREST.divide(sum(map(abs, deltas), ZERO) * 50, nav)


def trigger_prices(
    nav: Decimal, held: Decimal, value: Decimal, target_pct: Decimal, min_delta: Decimal, min_delta_pct: Decimal | None
) -> tuple[Decimal | None, Decimal | None]:
    """The prices at which a buy and a sell of the asset start, every other price as it is.

    With K the rest of NAV, q the quantity held, w the target as a fraction and m the band in quote, a buy starts
    at p <= (w·K − m) / (q·(1 − w)), a sell at p >= (w·K + m) / (q·(1 − w)). A band of b, a fraction of NAV, moves with
    the price itself: then it is p <= (w − b)·K / (q·(1 − w + b)) and p >= (w + b)·K / (q·(1 − w − b)). Where both
    bounds are set, the later of the two prices counts. Rounded to 28 digits so that at the returned price the trade
    does start. None where no price makes it start.

    Half of it in one coin, which is 0.25 units at 4000, and the other half in quote; a band of 100:

    >>> prices = trigger_prices(Decimal(2000), Decimal("0.25"), Decimal(1000), Decimal(50), Decimal(100), None)
    >>> [format_decimal(price) for price in prices]
    ['3200', '4800']
    """
    weight = target_pct * PERCENT
    if not held or not ZERO < weight < ONE:
        return None, None
    rest = nav - value
    wanted = weight * rest
    divisor = held * (ONE - weight)
    buy = DOWN.divide(wanted - min_delta, divisor) if wanted > min_delta else None
    sell: Decimal | None = UP.divide(wanted + min_delta, divisor)
    if min_delta_pct is not None:
        share = min_delta_pct * PERCENT
        buys, sells = weight - share, ONE - weight - share
        if buy is not None:
            buy = min(buy, DOWN.divide(buys * rest, held * (ONE - buys))) if buys > ZERO else None
        if sell is not None:
            sell = max(sell, UP.divide((weight + share) * rest, held * sells)) if sells > ZERO else None
    return buy, sell
