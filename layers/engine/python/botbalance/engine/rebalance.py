"""The decision: what to buy and sell now. The one place where a price, a quantity or a weight is computed.

Pure: no network, no clock, no randomness, no state; the same inputs give the same bytes out. The rules are
docs/engine.md, step by step. Plan, execute, the autopilot and the backtest all come through here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, Inexact, InvalidOperation
from enum import StrEnum
from typing import NamedTuple

from botbalance.engine.arithmetic import HUNDRED, ONE, PERCENT, ZERO, ExactArithmetic
from botbalance.engine.errors import InvalidInputError, InvalidStrategyError
from botbalance.engine.market_rules import MarketRules, Side, SkipReason, size_pct
from botbalance.engine.valuation import (
    Balance,
    Holding,
    drift_pct,
    refuse_impossible_numbers,
    refuse_long_numbers,
    require_prices,
    share_pct,
    trigger_prices,
    value_holdings,
)


@dataclass(frozen=True, slots=True)
class StrategyConfig:
    """How a strategy trades. Raises InvalidStrategyError, naming the field, for values that cannot be.

    ``order_size_pct``: what one order is worth, in percent of NAV, over 0 up to 100.
    ``order_step_pct``: how far from the market a limit price is, in percent, over 0 up to 50.
    ``min_delta_quote``: the band, in quote: an asset nearer to its target than this is left alone.
    ``order_max_age_s``: seconds that a resting order stays before it is reviewed.
    ``reprice_tolerance_pct``: how far, in percent of the new price, a reviewed order may be from where it
    would be placed now and still stay, over 0 up to 50; None means twice ``order_step_pct``, at most 50.
    ``post_only``: whether an order that would trade at once is refused by the exchange.
    """

    quote_asset: str
    order_size_pct: Decimal
    order_step_pct: Decimal
    min_delta_quote: Decimal
    order_max_age_s: int = 900
    reprice_tolerance_pct: Decimal | None = None
    post_only: bool = True

    def __post_init__(self) -> None:
        if not self.quote_asset:
            raise InvalidStrategyError("quote_asset", repr(self.quote_asset), "the name of an asset")
        _require_in("order_size_pct", self.order_size_pct, HUNDRED, "a Decimal over 0 and at most 100 (percent)")
        _require_in("order_step_pct", self.order_step_pct, Decimal(50), "a Decimal over 0 and at most 50 (percent)")
        _require_in("min_delta_quote", self.min_delta_quote, None, "a finite Decimal > 0 (in quote)")
        if self.order_max_age_s < 0:
            raise InvalidStrategyError("order_max_age_s", self.order_max_age_s, "seconds >= 0")
        if self.reprice_tolerance_pct is not None:
            _require_in(
                "reprice_tolerance_pct",
                self.reprice_tolerance_pct,
                Decimal(50),
                "a Decimal over 0 and at most 50",
            )


def _require_in(field: str, value: object, most: Decimal | None, expected: str) -> None:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise InvalidStrategyError(field, repr(value), expected)
    if value <= ZERO or (most is not None and value > most):
        raise InvalidStrategyError(field, value, expected)


@dataclass(frozen=True, slots=True)
class Action:
    """One order to place, final: nothing downstream rounds or re-prices it.

    ``limit_price`` and ``market_price`` in quote per base, ``base_qty`` in base, ``quote_amount`` (what an
    order of this decision is worth before rounding and caps) and ``notional`` (limit_price × base_qty) in
    quote. ``capped``: the free balance or the market's maximum made it smaller than ``quote_amount``.
    """

    symbol: str
    side: Side
    limit_price: Decimal
    base_qty: Decimal
    quote_amount: Decimal
    market_price: Decimal
    notional: Decimal
    capped: bool


@dataclass(frozen=True, slots=True)
class AssetRow:
    """One managed asset in a decision: where it stands, and its action or the reason for holding.

    ``side`` and ``limit_price`` say what would be traded if nothing stood in the way (None within the band);
    ``smallest_order_size_pct`` is set where the reason is below_min_notional and a larger size would pass.
    """

    asset: str
    symbol: str | None
    free: Decimal
    locked: Decimal
    held: Decimal
    price: Decimal | None
    value: Decimal
    weight_pct: Decimal
    target_pct: Decimal
    delta_quote: Decimal
    side: Side | None
    limit_price: Decimal | None
    action: Action | None
    hold: SkipReason | None
    smallest_order_size_pct: Decimal | None
    buy_trigger: Decimal | None
    sell_trigger: Decimal | None


class WarningCode(StrEnum):
    """What a strategy's owner should know although the decision could be made."""

    OSCILLATION = "oscillation"
    NEVER_TRADES = "never_trades"
    MARKET_CLOSED = "market_closed"
    OUTSIDE_PRICE_LIMITS = "outside_price_limits"
    UNMANAGED = "unmanaged"


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - the field's word; nobody imports the built-in here
    """``assets`` it is about, and for never_trades the smallest ``order_size_pct`` with which they trade."""

    code: WarningCode
    assets: tuple[str, ...]
    message: str
    smallest_order_size_pct: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A whole decision. Amounts in quote, shares in percent; ``actions`` are in placing order."""

    nav: Decimal
    quote_amount: Decimal
    drift_pct: Decimal
    rows: tuple[AssetRow, ...]
    actions: tuple[Action, ...]
    unmanaged: Mapping[str, Balance]
    warnings: tuple[Warning, ...]


class _Held(NamedTuple):
    """Why an asset outside its band is not traded; ``free`` is what could have paid for the order."""

    side: Side
    limit_price: Decimal | None
    free: Decimal
    hold: SkipReason


class _Decision(NamedTuple):
    nav: Decimal
    quote_amount: Decimal
    holdings: list[Holding]
    outcomes: dict[str, Action | _Held]


def compute_rebalance_actions(
    current_balances: Mapping[str, Balance],
    target_allocations: Mapping[str, Decimal],
    market_prices: Mapping[str, Decimal],
    strategy_config: StrategyConfig,
    *,
    market_rules: Mapping[str, MarketRules],
    active_symbols: Collection[str] = (),
) -> list[Action]:
    """The orders to place now, each ready to send, largest deviation first.

    ``target_allocations``: asset to percent of NAV, summing to exactly 100. ``market_prices`` and
    ``market_rules``: by symbol (``BTCUSDT``), prices in quote per base. ``active_symbols``: pairs that have a
    resting order, whoever placed it. Raises InvalidInputError, InvalidStrategyError or PriceUnavailableError.

    >>> usdt = StrategyConfig("USDT", Decimal("1"), Decimal("0.4"), Decimal("10"))
    >>> rules = MarketRules("BTCUSDT", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"))
    >>> [action] = compute_rebalance_actions(
    ...     {"USDT": Balance(Decimal("10000"))},
    ...     {"BTC": Decimal(50), "USDT": Decimal(50)},
    ...     {"BTCUSDT": Decimal("43250.52")},
    ...     usdt,
    ...     market_rules={"BTCUSDT": rules},
    ... )
    >>> action.side, action.limit_price, action.base_qty
    ('buy', Decimal('43077.51'), Decimal('0.00232'))
    """
    with ExactArithmetic():
        decision = _decide(
            current_balances, target_allocations, market_prices, strategy_config, market_rules, active_symbols
        )
    return [outcome for outcome in decision.outcomes.values() if isinstance(outcome, Action)]


def evaluate(
    current_balances: Mapping[str, Balance],
    target_allocations: Mapping[str, Decimal],
    market_prices: Mapping[str, Decimal],
    strategy_config: StrategyConfig,
    *,
    market_rules: Mapping[str, MarketRules],
    active_symbols: Collection[str] = (),
) -> Evaluation:
    """The decision of :func:`compute_rebalance_actions`, whole: every asset, every reason, every warning."""
    with ExactArithmetic():
        decision = _decide(
            current_balances, target_allocations, market_prices, strategy_config, market_rules, active_symbols
        )
        try:
            return _evaluation(decision, current_balances, target_allocations, strategy_config, market_rules)
        except (InvalidOperation, Inexact):
            _refuse_long_numbers(current_balances, target_allocations, market_prices, strategy_config, market_rules)
            raise


def _evaluation(
    decision: _Decision,
    balances: Mapping[str, Balance],
    targets: Mapping[str, Decimal],
    config: StrategyConfig,
    rules: Mapping[str, MarketRules],
) -> Evaluation:
    rows = [_asset_row(holding, decision, config, rules) for holding in decision.holdings]
    quote = config.quote_asset
    rows.append(_quote_row(balances.get(quote, Balance()), targets.get(quote, ZERO), decision.nav, quote))
    managed = {row.asset for row in rows}
    unmanaged = {
        asset: balance
        for asset, balance in balances.items()
        if asset not in managed and (balance.free or balance.locked)
    }
    return Evaluation(
        nav=decision.nav,
        quote_amount=decision.quote_amount,
        drift_pct=drift_pct((row.delta_quote for row in rows), decision.nav),
        rows=tuple(rows),
        actions=tuple(outcome for outcome in decision.outcomes.values() if isinstance(outcome, Action)),
        unmanaged=unmanaged,
        warnings=tuple(_warnings(decision, config, rules, unmanaged)),
    )


def _decide(
    balances: Mapping[str, Balance],
    targets: Mapping[str, Decimal],
    prices: Mapping[str, Decimal],
    config: StrategyConfig,
    rules: Mapping[str, MarketRules],
    active_symbols: Collection[str],
) -> _Decision:
    """The one computation. Outcomes are in placing order: by |delta_quote|, largest first, then symbol."""
    try:
        nav, holdings = value_holdings(balances, targets, prices, rules, config.quote_asset)
        percent_of_nav = nav * PERCENT
        quote_amount = percent_of_nav * config.order_size_pct
        band = config.min_delta_quote
        minus_band = -band
        outside = []
        for holding in holdings:
            delta = percent_of_nav * holding[6] - holding[5]
            if not minus_band < delta < band:
                outside.append((-abs(delta), holding[1], delta, holding))
        outcomes: dict[str, Action | _Held] = {}
        if outside:
            outside.sort()
            free_quote = balances.get(config.quote_asset, Balance()).free
            outcomes = _outcomes(
                outside,
                free_quote,
                quote_amount,
                config.order_step_pct,
                rules=rules,
                active_symbols=active_symbols,
            )
    except (AttributeError, TypeError, InvalidOperation, Inexact):
        refuse_impossible_numbers(balances, targets, prices)
        require_prices(balances, targets, prices, config.quote_asset)
        _refuse_long_numbers(balances, targets, prices, config, rules)
        raise
    return _Decision(nav, quote_amount, holdings, outcomes)


def _outcomes(
    outside: list[tuple[Decimal, str, Decimal, Holding]],
    free_quote: Decimal,
    quote_amount: Decimal,
    order_step_pct: Decimal,
    *,
    rules: Mapping[str, MarketRules],
    active_symbols: Collection[str],
) -> dict[str, Action | _Held]:
    """Steps 3 to 8 for the assets outside their band, in this order; each buy leaves less for the next."""
    step = order_step_pct * PERCENT
    below, above = ONE - step, ONE + step
    outcomes: dict[str, Action | _Held] = {}
    side: Side
    for _, symbol, delta, (asset, _, balance, _, price, _, _) in outside:
        if price is None:
            raise AssertionError(symbol)  # without a price its delta is 0
        market = rules[symbol]
        if market.base != asset:  # BTCUSD in T and BTC in USDT have the same symbol
            raise InvalidStrategyError(
                "target_allocations", repr(asset), f"the base of {symbol}, which is {market.base}"
            )
        if delta > ZERO:
            side, stepped, free = "buy", price * below, free_quote
        else:
            side, stepped, free = "sell", price * above, balance.free
        limit_price = market.round_price(side, stepped, price)
        if symbol in active_symbols:
            hold = SkipReason.ACTIVE_ORDER
        elif not market.trading:
            hold = SkipReason.MARKET_CLOSED
        elif limit_price is None:
            hold = SkipReason.OUTSIDE_PRICE_LIMITS
        else:
            order = market.normalize_order(side, limit_price, quote_amount, free)
            if not isinstance(order, SkipReason):
                _, base_qty, notional, capped = order
                outcomes[symbol] = Action(symbol, side, limit_price, base_qty, quote_amount, price, notional, capped)
                if side == "buy":
                    free_quote -= market.cost_of_buy(notional)
                continue
            hold = order
        outcomes[symbol] = _Held(side, limit_price, free, hold)
    return outcomes


def _refuse_long_numbers(
    balances: Mapping[str, Balance],
    targets: Mapping[str, Decimal],
    prices: Mapping[str, Decimal],
    config: StrategyConfig,
    rules: Mapping[str, MarketRules],
) -> None:
    """Raise for the first number of all that a decision reads that has too many digits, else return."""
    strategy = [(f"target_allocations.{asset}", target) for asset, target in targets.items()]
    refuse_long_numbers(strategy + _decimals_of("", config), InvalidStrategyError)
    inputs = [(f"market_prices.{symbol}", price) for symbol, price in prices.items()]
    for asset, balance in balances.items():
        inputs += _decimals_of(f"current_balances.{asset}.", balance)
    for symbol, market in rules.items():
        inputs += _decimals_of(f"market_rules.{symbol}.", market)
    refuse_long_numbers(inputs, InvalidInputError)


def _decimals_of(prefix: str, parameters: StrategyConfig | Balance | MarketRules) -> list[tuple[str, Decimal]]:
    values = [(prefix + field.name, getattr(parameters, field.name)) for field in fields(parameters)]
    return [(name, value) for name, value in values if isinstance(value, Decimal)]


def _asset_row(
    holding: Holding, decision: _Decision, config: StrategyConfig, rules: Mapping[str, MarketRules]
) -> AssetRow:
    asset, symbol, balance, held, price, value, target = holding
    outcome = decision.outcomes.get(symbol)
    action: Action | None = None
    hold: SkipReason | None = SkipReason.WITHIN_BAND
    smallest = None
    if isinstance(outcome, Action):
        action, hold = outcome, None
    elif outcome is not None:
        hold = outcome.hold
        if hold == SkipReason.BELOW_MIN_NOTIONAL:
            smallest = _size_that_passes(outcome, decision, rules[symbol])
    buy_trigger, sell_trigger = trigger_prices(decision.nav, held, value, target, config.min_delta_quote)
    return AssetRow(
        asset=asset,
        symbol=symbol,
        free=balance.free,
        locked=balance.locked,
        held=held,
        price=price,
        value=value,
        weight_pct=share_pct(value, decision.nav),
        target_pct=target,
        delta_quote=decision.nav * target * PERCENT - value,
        side=outcome.side if outcome else None,
        limit_price=outcome.limit_price if outcome else None,
        action=action,
        hold=hold,
        smallest_order_size_pct=smallest,
        buy_trigger=buy_trigger,
        sell_trigger=sell_trigger,
    )


def _quote_row(balance: Balance, target: Decimal, nav: Decimal, quote: str) -> AssetRow:
    held = balance.free + balance.locked
    return AssetRow(
        asset=quote,
        symbol=None,
        free=balance.free,
        locked=balance.locked,
        held=held,
        price=ONE,
        value=held,
        weight_pct=share_pct(held, nav),
        target_pct=target,
        delta_quote=nav * target * PERCENT - held,
        side=None,
        limit_price=None,
        action=None,
        hold=SkipReason.QUOTE_ASSET,
        smallest_order_size_pct=None,
        buy_trigger=None,
        sell_trigger=None,
    )


def _size_that_passes(held: _Held, decision: _Decision, market: MarketRules) -> Decimal | None:
    """The smallest order size in percent that would pass here; None where size is not what is lacking."""
    if held.limit_price is None:
        return None
    smallest = market.smallest_order(held.limit_price)
    if isinstance(market.normalize_order(held.side, held.limit_price, smallest, held.free), SkipReason):
        return None
    return _larger_size_pct(smallest, decision)


def _larger_size_pct(smallest_order: Decimal, decision: _Decision) -> Decimal | None:
    """The order size in percent that reaches ``smallest_order``; None where no size up to 100 % is larger."""
    if decision.quote_amount < smallest_order <= decision.nav:
        return size_pct(smallest_order, decision.nav)
    return None


def _warnings(
    decision: _Decision,
    config: StrategyConfig,
    rules: Mapping[str, MarketRules],
    unmanaged: Mapping[str, Balance],
) -> list[Warning]:
    found = []
    if decision.quote_amount > 2 * config.min_delta_quote:
        found.append(
            Warning(
                WarningCode.OSCILLATION,
                (),
                f"an order of {decision.quote_amount:f} {config.quote_asset} is more than twice "
                f"min_delta_quote ({config.min_delta_quote:f}): a filled order can overshoot "
                "the target and be traded back",
            )
        )
    step = config.order_step_pct * PERCENT
    below, above = ONE - step, ONE + step
    for asset, symbol, _, held, price, _, target in decision.holdings:
        if price is None or not (held or target):
            continue
        market = rules[symbol]
        if not market.trading:
            message = f"{symbol} is not trading at the moment: {asset} stays as it is until it does"
            found.append(Warning(WarningCode.MARKET_CLOSED, (asset,), message))
        if market.forbids_steps(below, above):
            message = (
                f"{symbol} takes no price {config.order_step_pct:f} % away from the market: a smaller step is needed"
            )
            found.append(Warning(WarningCode.OUTSIDE_PRICE_LIMITS, (asset,), message))
        # More than any order at any limit price needs to pass: spares nearly every asset the exact figure.
        ample = market.min_notional + (market.min_qty + market.lot_size) * (price * above + market.tick_size)
        if decision.quote_amount >= ample:
            continue
        smallest = _smallest_for_both_sides(market, price, config)
        if smallest is None or smallest <= decision.quote_amount:
            continue
        pct = _larger_size_pct(smallest, decision)
        remedy = f"order_size_pct of {pct.normalize():f} or more" if pct else "a larger portfolio"
        found.append(
            Warning(
                WarningCode.NEVER_TRADES,
                (asset,),
                f"an order of {decision.quote_amount:f} {config.quote_asset} is below what {symbol} accepts "
                f"({smallest:f}); it takes {remedy}",
                pct,
            )
        )
    if unmanaged:
        found.append(
            Warning(
                WarningCode.UNMANAGED,
                tuple(unmanaged),
                f"held but not in target_allocations, so neither counted nor traded: {', '.join(unmanaged)}",
            )
        )
    return found


def _smallest_for_both_sides(market: MarketRules, price: Decimal, config: StrategyConfig) -> Decimal | None:
    """The smallest amount in quote that passes as a buy and as a sell; None where price limits forbid both."""
    step = config.order_step_pct * PERCENT
    bid = market.round_price("buy", price * (ONE - step), price)
    ask = market.round_price("sell", price * (ONE + step), price)
    amounts = [market.smallest_order(limit) for limit in (bid, ask) if limit is not None]
    return max(amounts, default=None)
