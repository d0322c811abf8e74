"""The decision: what to buy and sell now. The one place where a price, a quantity or a weight is computed.

Pure: no network, no clock, no randomness, no state; the same inputs give the same bytes out. The rules are
docs/engine.md, step by step. Plan, execute, the autopilot and the backtest all come through here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, Inexact, InvalidOperation
from enum import StrEnum
from typing import NamedTuple

from botbalance.engine.errors import InvalidInput, InvalidStrategy
from botbalance.engine.exact import HUNDRED, ONE, PERCENT, ZERO, ExactArithmetic
from botbalance.engine.rules import HoldReason, MarketRules, NormalizedOrder, Side, size_pct
from botbalance.engine.valuation import (
    Balance,
    Holding,
    drift_pct,
    refuse_impossible_numbers,
    share_pct,
    trigger_prices,
    value_holdings,
)


@dataclass(frozen=True, slots=True)
class StrategyConfig:
    """How a strategy trades. Raises InvalidStrategy, naming the field, for values that cannot be.

    ``order_size_pct``: what one order is worth, in percent of NAV, over 0 up to 100.
    ``order_step_pct``: how far from the market a limit price is, in percent, over 0 up to 50.
    ``min_delta_quote``: the band, in quote: an asset nearer to its target than this is left alone.
    ``order_max_age_s``: seconds that a resting order stays before it is reviewed.
    ``reprice_tolerance_pct``: how far, in percent of the new price, a reviewed order may be from where it
    would be placed now and still stay; None means a quarter of ``order_step_pct``.
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
            raise InvalidStrategy("quote_asset", repr(self.quote_asset), "the name of an asset")
        _require_in("order_size_pct", self.order_size_pct, HUNDRED, "a Decimal over 0 and at most 100 (percent)")
        _require_in("order_step_pct", self.order_step_pct, Decimal(50), "a Decimal over 0 and at most 50 (percent)")
        _require_in("min_delta_quote", self.min_delta_quote, None, "a finite Decimal > 0 (in quote)")
        if self.order_max_age_s < 0:
            raise InvalidStrategy("order_max_age_s", self.order_max_age_s, "seconds >= 0")
        if self.reprice_tolerance_pct is not None:
            _require_in(
                "reprice_tolerance_pct", self.reprice_tolerance_pct, Decimal(50), "a Decimal over 0 and at most 50"
            )


def _require_in(field: str, value: object, most: Decimal | None, expected: str) -> None:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise InvalidStrategy(field, repr(value), expected)
    if value <= ZERO or (most is not None and value > most):
        raise InvalidStrategy(field, value, expected)


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
    hold: HoldReason | None
    smallest_order_size_pct: Decimal | None
    buy_trigger: Decimal | None
    sell_trigger: Decimal | None


class WarningCode(StrEnum):
    """What a strategy's owner should know although the decision could be made."""

    OSCILLATION = "oscillation"
    NEVER_TRADES = "never_trades"
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
    """A whole decision. Amounts in quote, shares in percent; ``actions`` in the order of their order_index."""

    nav: Decimal
    quote_amount: Decimal
    drift_pct: Decimal
    rows: tuple[AssetRow, ...]
    actions: tuple[Action, ...]
    unmanaged: Mapping[str, Balance]
    warnings: tuple[Warning, ...]


class _Outcome(NamedTuple):
    """What became of an asset outside its band."""

    side: Side
    limit_price: Decimal | None
    action: Action | None
    hold: HoldReason | None


class _Decision(NamedTuple):
    nav: Decimal
    quote_amount: Decimal
    holdings: list[Holding]
    outcomes: dict[str, _Outcome]


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
    resting order, whoever placed it. Raises InvalidInput, InvalidStrategy or PriceUnavailable.

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
    return [outcome.action for outcome in decision.outcomes.values() if outcome.action is not None]


def evaluate(
    current_balances: Mapping[str, Balance],
    target_allocations: Mapping[str, Decimal],
    market_prices: Mapping[str, Decimal],
    strategy_config: StrategyConfig,
    *,
    market_rules: Mapping[str, MarketRules],
    active_symbols: Collection[str] = (),
) -> Evaluation:
    """The same decision as :func:`compute_rebalance_actions`, whole: every asset, every reason, every warning."""
    with ExactArithmetic():
        decision = _decide(
            current_balances, target_allocations, market_prices, strategy_config, market_rules, active_symbols
        )
        rows = [_asset_row(holding, decision, strategy_config, market_rules) for holding in decision.holdings]
        quote = strategy_config.quote_asset
        rows.append(
            _quote_row(current_balances.get(quote, Balance()), target_allocations.get(quote, ZERO), decision.nav, quote)
        )
        managed = {row.asset for row in rows}
        unmanaged = {
            asset: balance
            for asset, balance in current_balances.items()
            if asset not in managed and (balance.free or balance.locked)
        }
        return Evaluation(
            nav=decision.nav,
            quote_amount=decision.quote_amount,
            drift_pct=drift_pct((row.delta_quote for row in rows), decision.nav),
            rows=tuple(rows),
            actions=tuple(outcome.action for outcome in decision.outcomes.values() if outcome.action is not None),
            unmanaged=unmanaged,
            warnings=tuple(_warnings(decision, strategy_config, market_rules, unmanaged)),
        )


def _decide(
    balances: Mapping[str, Balance],
    targets: Mapping[str, Decimal],
    prices: Mapping[str, Decimal],
    config: StrategyConfig,
    rules: Mapping[str, MarketRules],
    active_symbols: Collection[str],
) -> _Decision:
    """The one computation. Outcomes are in the order of actions: by |delta_quote|, largest first, then symbol."""
    try:
        nav, holdings = value_holdings(balances, targets, prices, rules, config.quote_asset)
        percent_of_nav = nav * PERCENT
        quote_amount = percent_of_nav * config.order_size_pct
        band = config.min_delta_quote
        outside = []
        for holding in holdings:
            delta = percent_of_nav * holding[6] - holding[5]
            size = abs(delta)
            if size >= band:
                outside.append((-size, holding[1], delta, holding))
    except (AttributeError, TypeError, InvalidOperation):
        refuse_impossible_numbers(balances, targets, prices)
        raise
    except Inexact:
        raise InvalidInput("current_balances", "a number with over a hundred digits", "fewer digits") from None
    outcomes: dict[str, _Outcome] = {}
    if outside:
        outside.sort()
        free_quote = balances.get(config.quote_asset, Balance()).free
        for _, symbol, delta, holding in outside:
            market = rules[symbol]
            outcome = _outcome(delta, holding, market, config, quote_amount, free_quote, symbol in active_symbols)
            outcomes[symbol] = outcome
            if outcome.action is not None and outcome.side == "buy":
                free_quote -= outcome.action.notional * (ONE + market.quote_fee_pct * PERCENT)
    return _Decision(nav, quote_amount, holdings, outcomes)


def _outcome(
    delta: Decimal,
    holding: Holding,
    market: MarketRules,
    config: StrategyConfig,
    quote_amount: Decimal,
    free_quote: Decimal,
    active: bool,
) -> _Outcome:
    """Steps 3 to 8 for one asset outside its band."""
    _, symbol, balance, _, price, _, _ = holding
    if price is None:
        raise AssertionError(symbol)
    if delta > ZERO:
        side: Side = "buy"
        stepped, free = price * (ONE - config.order_step_pct * PERCENT), free_quote
    else:
        side = "sell"
        stepped, free = price * (ONE + config.order_step_pct * PERCENT), balance.free
    limit_price = market.round_price(side, stepped, price)
    if active:
        return _Outcome(side, limit_price, None, HoldReason.ACTIVE_ORDER)
    if not market.trading:
        return _Outcome(side, limit_price, None, HoldReason.MARKET_CLOSED)
    if limit_price is None:
        return _Outcome(side, None, None, HoldReason.OUTSIDE_PRICE_LIMITS)
    order = market.normalize_order(side, limit_price, quote_amount, free)
    if not isinstance(order, NormalizedOrder):
        return _Outcome(side, limit_price, None, order)
    action = Action(symbol, side, limit_price, order.base_qty, quote_amount, price, order.notional, order.capped)
    return _Outcome(side, limit_price, action, None)


def _asset_row(
    holding: Holding, decision: _Decision, config: StrategyConfig, rules: Mapping[str, MarketRules]
) -> AssetRow:
    asset, symbol, balance, held, price, value, target = holding
    outcome = decision.outcomes.get(symbol)
    smallest = None
    if outcome is not None and outcome.hold == HoldReason.BELOW_MIN_NOTIONAL and outcome.limit_price is not None:
        smallest = _larger_size_pct(rules[symbol].smallest_order(outcome.limit_price), decision)
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
        action=outcome.action if outcome else None,
        hold=outcome.hold if outcome else HoldReason.WITHIN_BAND,
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
        hold=HoldReason.QUOTE_ASSET,
        smallest_order_size_pct=None,
        buy_trigger=None,
        sell_trigger=None,
    )


def _larger_size_pct(smallest_order: Decimal, decision: _Decision) -> Decimal | None:
    """The order size in percent that reaches ``smallest_order``; None where size is not what is lacking."""
    if smallest_order <= decision.quote_amount:
        return None
    pct = size_pct(smallest_order, decision.nav)
    return pct if pct <= HUNDRED else None


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
                f"an order of {decision.quote_amount:f} {config.quote_asset} is more than twice min_delta_quote "
                f"({config.min_delta_quote:f}): a filled order can overshoot the target and be traded back",
            )
        )
    for asset, symbol, _, held, price, _, target in decision.holdings:
        if price is None or not (held or target):
            continue
        smallest = _smallest_for_both_sides(rules[symbol], price, config)
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
    """The smallest amount in quote that passes as a buy and as a sell; None where the price limits forbid both."""
    step = config.order_step_pct * PERCENT
    bid = market.round_price("buy", price * (ONE - step), price)
    ask = market.round_price("sell", price * (ONE + step), price)
    amounts = [market.smallest_order(limit) for limit in (bid, ask) if limit is not None]
    return max(amounts, default=None)
