"""The decision, explained: where every asset stands, why it is traded or not, and what its owner should know.

:func:`~botbalance.engine.rebalance.evaluate` decides and explains; nothing is decided here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum

from botbalance.engine.arithmetic import HUNDRED, NEAREST, ONE, PERCENT, ZERO, format_decimal
from botbalance.engine.decision import Action, RebalanceDecision, Skipped, WantedOrder
from botbalance.engine.market_rules import MarketRules, Side, SkipReason, size_pct
from botbalance.engine.record import record
from botbalance.engine.strategy import StrategyConfig
from botbalance.engine.valuation import Balance, Holding, drift_pct, share_pct, trigger_prices


@record
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
    OSCILLATION_AHEAD = "oscillation_ahead"
    NEVER_BOUGHT = "never_bought"
    NEVER_TRADES = "never_trades"
    MARKET_CLOSED = "market_closed"
    OUTSIDE_PRICE_LIMITS = "outside_price_limits"
    UNMANAGED = "unmanaged"


@dataclass(frozen=True, slots=True)
class StrategyWarning:
    """``assets`` it is about, and what would end it.

    ``smallest_order_size_pct``: for never_trades, the smallest ``order_size_pct`` with which they trade.
    ``min_delta_pct``: for an oscillation, the smallest ``min_delta_pct`` that ends it at any NAV; for never_bought,
    the largest that lets every asset be bought. ``from_nav``: for an oscillation, the NAV in quote above which an
    order is worth more than the band.
    """

    code: WarningCode
    assets: tuple[str, ...]
    message: str
    smallest_order_size_pct: Decimal | None = None
    min_delta_pct: Decimal | None = None
    from_nav: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A whole decision. Amounts in quote, shares in percent; ``actions`` are in placing order.

    ``band_quote`` is the band of this decision, ``band_pct`` the same in percent of NAV.
    """

    nav: Decimal
    quote_amount: Decimal
    band_quote: Decimal
    band_pct: Decimal
    drift_pct: Decimal
    rows: tuple[AssetRow, ...]
    actions: tuple[Action, ...]
    unmanaged: Mapping[str, Balance]
    warnings: tuple[StrategyWarning, ...]

    def wanted_orders(self) -> dict[str, WantedOrder | None]:
        """What would be traded of each pair if nothing stood in the way; None within the band."""
        return {
            row.symbol: None if row.side is None else (row.side, row.limit_price)
            for row in self.rows
            if row.symbol is not None
        }


_SHOWN = Context(prec=10)
"""Digits of a quotient in a message; its field has all of them."""


def explain(
    decision: RebalanceDecision,
    balances: Mapping[str, Balance],
    targets: Mapping[str, Decimal],
    config: StrategyConfig,
    rules: Mapping[str, MarketRules],
) -> Evaluation:
    """``decision`` with every asset, every reason and every warning. It was made of the same arguments, in exact
    arithmetic, and is explained in it."""
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
        band_quote=decision.band,
        band_pct=share_pct(decision.band, decision.nav),
        drift_pct=drift_pct((row.delta_quote for row in rows), decision.nav),
        rows=tuple(rows),
        actions=tuple(decision.actions()),
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
    buy_trigger, sell_trigger = trigger_prices(
        decision.nav, held, value, target, config.min_delta_quote, config.min_delta_pct
    )
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
    if not isinstance(market.normalize_order(skipped.side, skipped.limit_price, smallest, skipped.free), tuple):
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
) -> Iterator[StrategyWarning]:
    yield from _oscillation(decision, config)
    yield from _never_bought(decision, config)
    for holding in decision.holdings:
        _, symbol, _, held, price, _, target = holding
        if price is not None and (held or target):
            yield from _market_warnings(holding, price, decision, config, rules[symbol])
    if unmanaged:
        yield StrategyWarning(
            WarningCode.UNMANAGED,
            tuple(unmanaged),
            f"held but not in target_allocations, so neither counted nor traded: {', '.join(unmanaged)}",
        )


def _oscillation(decision: RebalanceDecision, config: StrategyConfig) -> Iterator[StrategyWarning]:
    """That an order is worth more than the band, or from which NAV on it will be; none where it never is.

    The order is a share of NAV: only a band that is one too, and no smaller, grows with it.
    """
    size = config.order_size_pct
    if config.min_delta_pct is not None and config.min_delta_pct >= size:
        return
    from_nav = NEAREST.divide(config.min_delta_quote * HUNDRED, size)
    quote, remedy = config.quote_asset, f"min_delta_pct of {format_decimal(size)} or more ends it at any NAV"
    if decision.quote_amount > decision.band:
        code = WarningCode.OSCILLATION
        message = (
            f"an order of {format_decimal(decision.quote_amount)} {quote} is worth more than the band "
            f"({format_decimal(decision.band)}): "
            f"a filled order can overshoot the target and be traded back; {remedy}"
        )
    else:
        code = WarningCode.OSCILLATION_AHEAD
        message = (
            f"above a NAV of {format_decimal(_SHOWN.plus(from_nav))} {quote} an order will be worth more than the "
            "band, because the order grows with the portfolio and min_delta_quote "
            f"({format_decimal(config.min_delta_quote)}) does not: "
            f"a filled order can then overshoot the target and be traded back; {remedy}"
        )
    yield StrategyWarning(code, (), message, min_delta_pct=size, from_nav=from_nav)


def _never_bought(decision: RebalanceDecision, config: StrategyConfig) -> Iterator[StrategyWarning]:
    """That the band is above an asset's target: whoever holds none of it is within the band."""
    percent_of_nav = decision.nav * PERCENT
    targets = {asset: target for asset, *_, target in decision.holdings if target}
    too_small = tuple(asset for asset, target in targets.items() if percent_of_nav * target < decision.band)
    if not too_small:
        return
    sound = min(targets.values()) * Decimal("0.5")
    message = (
        f"the band ({format_decimal(decision.band)} {config.quote_asset}) is above the target of "
        f"{', '.join(too_small)}: whoever holds none never buys any; at most half the smallest target, "
        f"{format_decimal(sound)} % of NAV, is sound"
    )
    yield StrategyWarning(WarningCode.NEVER_BOUGHT, too_small, message, min_delta_pct=sound)


def _market_warnings(
    holding: Holding, price: Decimal, decision: RebalanceDecision, config: StrategyConfig, market: MarketRules
) -> Iterator[StrategyWarning]:
    """What the market of a priced asset refuses at the moment, or always at this order size."""
    asset, symbol, *_ = holding
    step = config.order_step_pct * PERCENT
    below, above = ONE - step, ONE + step
    if not market.trading:
        message = f"{symbol} is not trading at the moment: {asset} stays as it is until it does"
        yield StrategyWarning(WarningCode.MARKET_CLOSED, (asset,), message)
    if market.forbids_steps(below, above):
        away = format_decimal(config.order_step_pct)
        message = f"{symbol} takes no price {away} % away from the market: a smaller step is needed"
        yield StrategyWarning(WarningCode.OUTSIDE_PRICE_LIMITS, (asset,), message)
    # More than any order at any limit price needs to pass: spares nearly every asset the exact figure.
    ample = market.min_notional + (market.min_qty + market.lot_size) * (price * above + market.tick_size)
    if decision.quote_amount >= ample:
        return
    smallest = _smallest_for_both_sides(market, price, config)
    if smallest is None or smallest <= decision.quote_amount:
        return
    pct = _larger_size_pct(smallest, decision)
    remedy = f"order_size_pct of {format_decimal(pct)} or more" if pct else "a larger portfolio"
    message = (
        f"an order of {format_decimal(decision.quote_amount)} {config.quote_asset} is below what {symbol} accepts "
        f"({format_decimal(smallest)}); it takes {remedy}"
    )
    yield StrategyWarning(WarningCode.NEVER_TRADES, (asset,), message, pct)


def _smallest_for_both_sides(market: MarketRules, price: Decimal, config: StrategyConfig) -> Decimal | None:
    """The smallest amount in quote that passes as a buy and as a sell; None where price limits forbid both."""
    step = config.order_step_pct * PERCENT
    bid = market.round_price("buy", price * (ONE - step), price)
    ask = market.round_price("sell", price * (ONE + step), price)
    amounts = [market.smallest_order(limit) for limit in (bid, ask) if limit is not None]
    return max(amounts, default=None)
