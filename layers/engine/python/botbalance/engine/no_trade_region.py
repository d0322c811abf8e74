"""When nothing can happen: bounds on prices within which a decision places and cancels nothing, and nothing fills.

They err on one side only. Within them the whole decision, asked on the same balances and orders, does nothing; outside
of them it may still do nothing, and has to be asked. So whoever looks often, the autopilot or a backtest, need only
compare prices in between. Why they hold is in docs/engine.md, "When nothing can happen".
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from botbalance.engine.arithmetic import DOWN, HUNDRED, ONE, PERCENT, UP, ZERO, ExactArithmetic
from botbalance.engine.market_rules import MarketRules
from botbalance.engine.record import record
from botbalance.engine.stale_orders import RestingOrder, is_paused, reprice_tolerance_pct
from botbalance.engine.strategy import StrategyConfig
from botbalance.engine.valuation import NOTHING, Balance, pair_symbol


@record
class AssetBounds:
    """Conditions under which an asset needs no action. Bounds are exclusive unless said otherwise; None is no bound.

    ``held`` in base and ``target_pct`` in percent make its ``delta_quote``, which stays over ``delta_over`` and under
    ``delta_under``: each is the band in quote, with the sign of its side. The market price stays from ``price_from`` to
    ``price_to``, both included: there a resting order that is old enough to be reviewed keeps its place. Trades stay
    over ``resting_buy`` and under ``resting_sell``, the limit of a resting order: at a limit itself others may stand
    before it in the queue, or nobody.
    """

    symbol: str
    held: Decimal
    target_pct: Decimal
    delta_over: Decimal | None = None
    delta_under: Decimal | None = None
    price_from: Decimal | None = None
    price_to: Decimal | None = None
    resting_buy: Decimal | None = None
    resting_sell: Decimal | None = None


@record
class NoTradeRegion:
    """The bounds of all assets but the quote, of which ``quote_held`` is held.

    ``until`` is the epoch second at which the next resting order is old enough to be reviewed: for decisions from then
    on, the bounds have to be made anew. None where no order gets that old. ``min_delta_pct``: where it is set, the band
    is at least this percentage of NAV, so the bounds on ``delta_quote`` are at least that far from zero.
    """

    quote_held: Decimal
    assets: tuple[AssetBounds, ...]
    until: int | None = None
    min_delta_pct: Decimal | None = None


def compute_no_trade_region(
    current_balances: Mapping[str, Balance],
    target_allocations: Mapping[str, Decimal],
    strategy_config: StrategyConfig,
    market_rules: Mapping[str, MarketRules],
    *,
    open_orders: Iterable[RestingOrder],
    active_symbols: Collection[str],
    paused_symbols: Collection[str] = (),
    buy_paused_symbols: Collection[str] = (),
    now: int,
) -> NoTradeRegion:
    """The bounds of an account whose ``open_orders`` are this system's, for decisions from ``now`` (epoch seconds) on.

    Pairs in ``active_symbols`` have a resting order, whoever placed it; nothing is placed on ``paused_symbols``, nor
    bought on ``buy_paused_symbols``, for as long as the bounds are used. A balance that changes otherwise than by these
    orders is not noticed: the account has to be looked at now and then.
    """
    config, quote_asset = strategy_config, strategy_config.quote_asset
    resting = list(open_orders)
    orders = {order.symbol: order for order in resting}
    quote = current_balances.get(quote_asset, NOTHING)
    reviews = [order.placed_at + config.order_max_age_s for order in resting]
    until = min((review for review in reviews if review > now), default=None)
    with ExactArithmetic():
        assets = []
        quote_held, band = quote.free + quote.locked, config.min_delta_quote
        # NAV is at least the quote that is held, so the reserve is at least its share of that.
        spendable = quote.free - quote_held * config.quote_reserve_pct * PERCENT
        for asset, target in target_allocations.items():
            if asset == quote_asset:
                continue
            symbol = pair_symbol(asset, quote_asset)
            balance, market = current_balances.get(asset, NOTHING), market_rules[symbol]
            held = balance.free + balance.locked
            order = orders.get(symbol)
            if order is not None:
                due = now >= order.placed_at + config.order_max_age_s
                bounds = _with_order(order, held, target, config, market, due=due)
            elif symbol in active_symbols or symbol in paused_symbols or not market.trading:
                bounds = AssetBounds(symbol, held, target)
            else:
                # No order is worth more than what is free for it, so these can never reach the market's minimum.
                may_sell = balance.free >= market.min_qty and balance.free >= market.lot_size
                may_buy = spendable > ZERO and spendable >= market.min_notional and symbol not in buy_paused_symbols
                bounds = AssetBounds(symbol, held, target, -band if may_sell else None, band if may_buy else None)
            assets.append(bounds)
        is_canceled = any(is_paused(order, paused_symbols, buy_paused_symbols) for order in resting)
        if is_canceled or len(resting) != len(orders) or not orders.keys() <= {bounds.symbol for bounds in assets}:
            until = now  # two orders of a pair, or one of a pair that is dropped or paused: never quiet
        return NoTradeRegion(quote_held, tuple(assets), until, config.min_delta_pct)


def contains(
    bounds: NoTradeRegion,
    market_prices: Mapping[str, Decimal],
    lows: Mapping[str, Decimal],
    highs: Mapping[str, Decimal],
    now: int,
) -> bool:
    """Whether nothing can have filled since the bounds were made, and a decision at ``now`` would do nothing.

    ``lows`` and ``highs`` (quote per base, by symbol) are the extremes of all trades since then. A price that is
    missing or not above zero is not quiet: the decision says what is wrong.
    """
    if bounds.until is not None and now >= bounds.until:
        return False
    with ExactArithmetic():
        nav = bounds.quote_held
        values = []
        for asset in bounds.assets:
            price = market_prices.get(asset.symbol)
            if price is None or not price > ZERO:
                return False
            value = asset.held * price
            values.append((asset, price, value))
            nav += value
        percent_of_nav = nav * PERCENT
        least_band = ZERO if bounds.min_delta_pct is None else percent_of_nav * bounds.min_delta_pct
        return nav > ZERO and all(
            _within(asset, percent_of_nav * asset.target_pct - value, least_band)
            and (asset.price_from is None or price >= asset.price_from)
            and (asset.price_to is None or price <= asset.price_to)
            and (asset.resting_buy is None or lows[asset.symbol] > asset.resting_buy)
            and (asset.resting_sell is None or highs[asset.symbol] < asset.resting_sell)
            for asset, price, value in values
        )


def _within(asset: AssetBounds, delta: Decimal, least_band: Decimal) -> bool:
    over, under = asset.delta_over, asset.delta_under
    return (over is None or delta > _moved(over, least_band)) and (under is None or delta < _moved(under, least_band))


def _moved(bound: Decimal, least_band: Decimal) -> Decimal:
    """A bound on ``delta_quote``, at least ``least_band`` away from zero on its own side."""
    return max(bound, least_band) if bound > ZERO else min(bound, -least_band)


def _with_order(
    order: RestingOrder, held: Decimal, target: Decimal, config: StrategyConfig, market: MarketRules, *, due: bool
) -> AssetBounds:
    """An asset whose pair has an order: it has not filled, and where it is ``due`` its review lets it rest."""
    is_buy = order.side == "buy"
    buy, sell = (order.limit_price, None) if is_buy else (None, order.limit_price)
    if not due:
        return AssetBounds(order.symbol, held, target, resting_buy=buy, resting_sell=sell)
    price_from, price_to = _prices_that_keep(order, config, market)
    band = config.min_delta_quote
    return AssetBounds(
        order.symbol,
        held,
        target,
        delta_over=band if is_buy else None,
        delta_under=None if is_buy else -band,
        price_from=price_from,
        price_to=price_to,
        resting_buy=buy,
        resting_sell=sell,
    )


def _prices_that_keep(order: RestingOrder, config: StrategyConfig, market: MarketRules) -> tuple[Decimal, Decimal]:
    """Market prices, from … to, at which a new order's limit is surely within the tolerance of ``order``'s.

    The limit placed at market price p is within one tick of x = p·(1 ∓ step). It is kept for certain where
    |x − limit| + tick <= (x − tick)·tolerance, and where x ± tick is a price that the market accepts.
    """
    tick, limit = market.tick_size, order.limit_price
    tolerance = reprice_tolerance_pct(config) * PERCENT
    step = config.order_step_pct * PERCENT
    is_buy = order.side == "buy"
    factor = ONE - step if is_buy else ONE + step
    lowest, highest = (
        (market.bid_multiplier_down, market.bid_multiplier_up)
        if is_buy
        else (market.ask_multiplier_down, market.ask_multiplier_up)
    )
    x_from = max(UP.divide(limit, ONE + tolerance) + tick, market.min_price + tick)
    x_to = DOWN.divide(limit - tick * (ONE + tolerance), ONE - tolerance)
    if market.max_price is not None:
        x_to = min(x_to, market.max_price - tick)
    price_from, price_to = UP.divide(x_from, factor), DOWN.divide(x_to, factor)
    # The band by side, in terms of p: p·lowest <= p·factor − tick and p·factor + tick <= p·highest.
    for room in (factor - lowest if lowest is not None else None, highest - factor if highest is not None else None):
        if room is not None:
            price_from = max(price_from, UP.divide(tick, room)) if room > ZERO else price_to + HUNDRED
    return price_from, price_to
