"""The decision: what to buy and sell now. Every limit price and quantity comes from here, on the grid of
:mod:`~botbalance.engine.market_rules`.

Pure: no network, no clock, no randomness, no state; the same inputs give the same bytes out. The rules are
docs/engine.md, step by step. Plan, execute, the autopilot and the backtest all come through here.
"""

from collections.abc import Collection, Mapping
from dataclasses import fields
from decimal import Decimal, Inexact, InvalidOperation

from botbalance.engine.arithmetic import ONE, PERCENT, ZERO, ExactArithmetic
from botbalance.engine.decision import Action, RebalanceDecision, Skipped
from botbalance.engine.errors import InvalidInputError, InvalidStrategyError
from botbalance.engine.evaluation import Evaluation, explain
from botbalance.engine.market_rules import MarketRules, NormalizedOrder, Side, SkipReason
from botbalance.engine.strategy import StrategyConfig, band_quote, validate_reserve
from botbalance.engine.valuation import (
    NOTHING,
    Balance,
    Holding,
    require_prices,
    validate_digits,
    validate_numbers,
    value_holdings,
)


def compute_rebalance_actions(
    current_balances: Mapping[str, Balance],
    target_allocations: Mapping[str, Decimal],
    market_prices: Mapping[str, Decimal],
    strategy_config: StrategyConfig,
    *,
    market_rules: Mapping[str, MarketRules],
    active_symbols: Collection[str] = (),
    paused_symbols: Collection[str] = (),
    buy_paused_symbols: Collection[str] = (),
) -> list[Action]:
    """The orders to place now, each ready to send, largest deviation first: the actions of :func:`decide`.

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
    return decide(
        current_balances,
        target_allocations,
        market_prices,
        strategy_config,
        market_rules=market_rules,
        active_symbols=active_symbols,
        paused_symbols=paused_symbols,
        buy_paused_symbols=buy_paused_symbols,
    ).actions()


def evaluate(
    current_balances: Mapping[str, Balance],
    target_allocations: Mapping[str, Decimal],
    market_prices: Mapping[str, Decimal],
    strategy_config: StrategyConfig,
    *,
    market_rules: Mapping[str, MarketRules],
    active_symbols: Collection[str] = (),
    paused_symbols: Collection[str] = (),
    buy_paused_symbols: Collection[str] = (),
) -> Evaluation:
    """The decision of :func:`decide`, whole: every asset, every reason, every warning."""
    decision = decide(
        current_balances,
        target_allocations,
        market_prices,
        strategy_config,
        market_rules=market_rules,
        active_symbols=active_symbols,
        paused_symbols=paused_symbols,
        buy_paused_symbols=buy_paused_symbols,
    )
    with ExactArithmetic():
        try:
            return explain(decision, current_balances, target_allocations, strategy_config, market_rules)
        except (InvalidOperation, Inexact):
            _validate_all_digits(current_balances, target_allocations, market_prices, strategy_config, market_rules)
            raise


def decide(
    current_balances: Mapping[str, Balance],
    target_allocations: Mapping[str, Decimal],
    market_prices: Mapping[str, Decimal],
    strategy_config: StrategyConfig,
    *,
    market_rules: Mapping[str, MarketRules],
    active_symbols: Collection[str] = (),
    paused_symbols: Collection[str] = (),
    buy_paused_symbols: Collection[str] = (),
) -> RebalanceDecision:
    """The one computation. Outcomes are in placing order: by |delta_quote|, largest first, then symbol.

    ``target_allocations``: asset to percent of NAV, summing to exactly 100. ``market_prices`` and
    ``market_rules``: by symbol (``BTCUSDT``), prices in quote per base. ``active_symbols``: pairs that have a
    resting order, whoever placed it. ``paused_symbols``: pairs on which nothing is placed for now,
    ``buy_paused_symbols``: those on which nothing is bought.
    Raises InvalidInputError, InvalidStrategyError or PriceUnavailableError.
    """
    config, quote_asset = strategy_config, strategy_config.quote_asset
    with ExactArithmetic():
        try:
            nav, holdings = value_holdings(
                current_balances, target_allocations, market_prices, market_rules, quote_asset
            )
            percent_of_nav = nav * PERCENT
            free_quote = current_balances.get(quote_asset, NOTHING).free
            if config.quote_reserve_pct:
                validate_reserve(target_allocations, config)
                free_quote = max(free_quote - percent_of_nav * config.quote_reserve_pct, ZERO)
            quote_amount = percent_of_nav * config.order_size_pct
            band = band_quote(config, nav)
            outside = _outside_band(holdings, percent_of_nav, band)
            outcomes = _outcomes(
                outside,
                free_quote,
                quote_amount,
                config,
                rules=market_rules,
                active_symbols=active_symbols,
                paused_symbols=paused_symbols,
                buy_paused_symbols=buy_paused_symbols,
            )
        except (AttributeError, TypeError, InvalidOperation, Inexact):
            validate_numbers(current_balances, target_allocations, market_prices, quote_asset)
            require_prices(current_balances, target_allocations, market_prices, market_rules, quote_asset)
            _validate_all_digits(current_balances, target_allocations, market_prices, config, market_rules)
            raise
    return RebalanceDecision(nav, quote_amount, band, holdings, outcomes)


type _Outside = tuple[Decimal, str, Decimal, Holding]
"""Minus |delta_quote|, the symbol, delta_quote and the holding: in placing order once sorted."""


def _outside_band(holdings: list[Holding], percent_of_nav: Decimal, band: Decimal) -> list[_Outside]:
    """Steps 1 and 2: the assets that are at least the band away from their targets, in placing order."""
    outside: list[_Outside] = []
    minus_band = -band
    for holding in holdings:
        _, symbol, _, _, _, value, target = holding
        delta = percent_of_nav * target - value
        if delta >= band:
            outside.append((-delta, symbol, delta, holding))
        elif delta <= minus_band:
            outside.append((delta, symbol, delta, holding))
    outside.sort()
    return outside


def _outcomes(
    outside: list[_Outside],
    free_quote: Decimal,
    quote_amount: Decimal,
    config: StrategyConfig,
    *,
    rules: Mapping[str, MarketRules],
    active_symbols: Collection[str],
    paused_symbols: Collection[str],
    buy_paused_symbols: Collection[str],
) -> dict[str, Action | Skipped]:
    """Steps 3 to 8 for the assets outside their band, in this order; each buy leaves less for the next."""
    outcomes: dict[str, Action | Skipped] = {}
    if not outside:
        return outcomes
    step = config.order_step_pct * PERCENT
    side: Side
    for _, symbol, delta, (asset, _, balance, _, price, _, _) in outside:
        market = rules[symbol]
        if market.base != asset:  # BTCUSD in T and BTC in USDT have the same symbol
            raise InvalidStrategyError(
                "target_allocations", repr(asset), f"the base of {symbol}, which is {market.base}"
            )
        if price is None:  # so nothing is held, and its market does not trade
            outcomes[symbol] = Skipped("buy", None, free_quote, SkipReason.MARKET_CLOSED)
            continue
        side, free = ("buy", free_quote) if delta > ZERO else ("sell", balance.free)
        limit_price = _limit_price(side, price, step, market)
        if symbol in paused_symbols or (side == "buy" and symbol in buy_paused_symbols):
            order: NormalizedOrder | SkipReason = SkipReason.PAUSED
        elif symbol in active_symbols:
            order = SkipReason.ACTIVE_ORDER
        else:
            order = _order(market, side, limit_price, quote_amount, free, config)
        if not isinstance(order, tuple):
            outcomes[symbol] = Skipped(side, limit_price, free, order)
            continue
        limit_price, base_qty, notional, capped = order
        outcomes[symbol] = Action(symbol, side, limit_price, base_qty, quote_amount, price, notional, capped)
        if side == "buy":
            free_quote -= market.cost_of_buy(notional)
    return outcomes


def _limit_price(side: Side, price: Decimal, step: Decimal, market: MarketRules) -> Decimal | None:
    """The market's ``price`` less ``step`` (a fraction of it) for a buy, or plus it for a sell, on the market's grid.

    None where the grid has no such price.
    """
    return market.round_price(side, price * (ONE - step if side == "buy" else ONE + step), price)


def _order(
    market: MarketRules,
    side: Side,
    limit_price: Decimal | None,
    quote_amount: Decimal,
    free: Decimal,
    config: StrategyConfig,
) -> NormalizedOrder | SkipReason:
    """Steps 4 to 8 for a pair that nothing blocks: the order, or what the market or the free balance lacks."""
    if not market.takes(side):
        return SkipReason.MARKET_CLOSED
    if limit_price is None:
        return SkipReason.OUTSIDE_PRICE_LIMITS
    order = market.normalize_order(side, limit_price, quote_amount, free)
    if config.quote_reserve_pct and side == "buy" and not isinstance(order, tuple):
        # What the reserve leaves free may be a crumb that no market takes: then it is the balance that is lacking.
        return SkipReason.NO_FREE_BALANCE if free < market.cost_of_buy(quote_amount) else order
    return order


def _validate_all_digits(
    balances: Mapping[str, Balance],
    targets: Mapping[str, Decimal],
    prices: Mapping[str, Decimal],
    config: StrategyConfig,
    rules: Mapping[str, MarketRules],
) -> None:
    """Raise for the first number of all that a decision reads that has too many digits, else return."""
    strategy = [(f"target_allocations.{asset}", target) for asset, target in targets.items()]
    validate_digits(strategy + _decimal_fields("", config), InvalidStrategyError)
    inputs = [(f"market_prices.{symbol}", price) for symbol, price in prices.items()]
    for asset, balance in balances.items():
        inputs += _decimal_fields(f"current_balances.{asset}.", balance)
    for symbol, market in rules.items():
        inputs += _decimal_fields(f"market_rules.{symbol}.", market)
    validate_digits(inputs, InvalidInputError)


def _decimal_fields(prefix: str, parameters: StrategyConfig | Balance | MarketRules) -> list[tuple[str, Decimal]]:
    values = [(prefix + field.name, getattr(parameters, field.name)) for field in fields(parameters)]
    return [(name, value) for name, value in values if isinstance(value, Decimal)]
