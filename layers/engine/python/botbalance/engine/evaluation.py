"""The decision, explained: where every asset stands, why it is traded or not, and what its owner should know.

Whoever shows a decision or reviews orders asks :func:`evaluate`; it makes the same decision as
:func:`~botbalance.engine.rebalance.compute_rebalance_actions` and adds to it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, Inexact, InvalidOperation
from enum import StrEnum

from botbalance.engine.arithmetic import ONE, PERCENT, ZERO, ExactArithmetic
from botbalance.engine.market_rules import MarketRules, Side, SkipReason, size_pct
from botbalance.engine.rebalance import Action, RebalanceDecision, Skipped, decide, validate_all_digits
from botbalance.engine.strategy import StrategyConfig
from botbalance.engine.valuation import Balance, Holding, drift_pct, share_pct, trigger_prices


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
class StrategyWarning:
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
    warnings: tuple[StrategyWarning, ...]


def evaluate(
    current_balances: Mapping[str, Balance],
    target_allocations: Mapping[str, Decimal],
    market_prices: Mapping[str, Decimal],
    strategy_config: StrategyConfig,
    *,
    market_rules: Mapping[str, MarketRules],
    active_symbols: Collection[str] = (),
    paused_symbols: Collection[str] = (),
) -> Evaluation:
    """The decision of :func:`compute_rebalance_actions`, whole: every asset, every reason, every warning."""
    with ExactArithmetic():
        decision = decide(
            current_balances,
            target_allocations,
            market_prices,
            strategy_config,
            market_rules,
            active_symbols,
            paused_symbols,
        )
        try:
            return _evaluation(decision, current_balances, target_allocations, strategy_config, market_rules)
        except (InvalidOperation, Inexact):
            validate_all_digits(current_balances, target_allocations, market_prices, strategy_config, market_rules)
            raise


def _evaluation(
    decision: RebalanceDecision,
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


def _asset_row(
    holding: Holding, decision: RebalanceDecision, config: StrategyConfig, rules: Mapping[str, MarketRules]
) -> AssetRow:
    asset, symbol, balance, held, price, value, target = holding
    outcome = decision.outcomes.get(symbol)
    action: Action | None = None
    hold: SkipReason | None = SkipReason.WITHIN_BAND
    smallest = None
    if isinstance(outcome, Action):
        action, hold = outcome, None
    elif outcome is not None:
        hold = outcome.reason
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


def _size_that_passes(skipped: Skipped, decision: RebalanceDecision, market: MarketRules) -> Decimal | None:
    """The smallest order size in percent that would pass here; None where size is not what is lacking."""
    if skipped.limit_price is None:
        return None
    smallest = market.smallest_order(skipped.limit_price)
    if isinstance(market.normalize_order(skipped.side, skipped.limit_price, smallest, skipped.free), SkipReason):
        return None
    return _larger_size_pct(smallest, decision)


def _larger_size_pct(smallest_order: Decimal, decision: RebalanceDecision) -> Decimal | None:
    """The order size in percent that reaches ``smallest_order``; None where no size up to 100 % is larger."""
    if decision.quote_amount < smallest_order <= decision.nav:
        return size_pct(smallest_order, decision.nav)
    return None


def _warnings(
    decision: RebalanceDecision,
    config: StrategyConfig,
    rules: Mapping[str, MarketRules],
    unmanaged: Mapping[str, Balance],
) -> list[StrategyWarning]:
    found = []
    if decision.quote_amount > 2 * config.min_delta_quote:
        found.append(
            StrategyWarning(
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
            found.append(StrategyWarning(WarningCode.MARKET_CLOSED, (asset,), message))
        if market.forbids_steps(below, above):
            message = (
                f"{symbol} takes no price {config.order_step_pct:f} % away from the market: a smaller step is needed"
            )
            found.append(StrategyWarning(WarningCode.OUTSIDE_PRICE_LIMITS, (asset,), message))
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
            StrategyWarning(
                WarningCode.NEVER_TRADES,
                (asset,),
                f"an order of {decision.quote_amount:f} {config.quote_asset} is below what {symbol} accepts "
                f"({smallest:f}); it takes {remedy}",
                pct,
            )
        )
    if unmanaged:
        found.append(
            StrategyWarning(
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
