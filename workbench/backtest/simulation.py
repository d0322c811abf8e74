"""A strategy, candle by candle: fills, then the decision at the candle's close, by the engine and nothing else.

An order rests from the end of the candle that it was decided on, so it fills in a later one. Nothing sees a price that
comes after.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from decimal import Decimal

from botbalance.engine import (
    Balance,
    BudgetLimits,
    MarketRules,
    StrategyConfig,
    compute_no_trade_region,
    decide,
    review_resting_orders,
)
from botbalance.engine.arithmetic import ExactArithmetic

from workbench.backtest.account import Account, PlacedOrder
from workbench.backtest.budgets import BacktestPause, BudgetWatch
from workbench.backtest.screening import Screen
from workbench.backtest.timeline import Timeline


@dataclass(frozen=True, slots=True)
class BacktestConfig:
    """What is tried: a strategy on markets, from what it starts with (asset to units), at a maker's fee in percent.

    ``target_allocations`` name the timeline's assets in its order, and perhaps the quote asset. Without ``budgets``
    nothing is ever paused. At most ``max_volume_fraction`` (0 to 1) of a candle's volume fills an order, for which the
    timeline has to have volumes.
    """

    target_allocations: Mapping[str, Decimal]
    config: StrategyConfig
    market_rules: Mapping[str, MarketRules]
    start_balances: Mapping[str, Decimal]
    fee_pct: Decimal
    budgets: BudgetLimits | None = None
    max_volume_fraction: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every order, oldest first, the balances at the end, how many candles the engine was asked at, and what was
    paused."""

    orders: list[PlacedOrder]
    balances: dict[str, Balance]
    decisions: int
    pauses: list[BacktestPause] = field(default_factory=list)


def simulate(
    setup: BacktestConfig,
    timeline: Timeline,
    *,
    screened: bool = True,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Run ``setup`` along ``timeline``. Unscreened, the engine is asked at every candle; the outcome is the same.

    ``on_progress`` is told now and then how many candles are done. Raises what the engine refuses.
    """
    account = Account(
        setup.market_rules,
        setup.fee_pct,
        {asset: Balance(free) for asset, free in setup.start_balances.items()},
        setup.max_volume_fraction,
    )
    screen = Screen(timeline) if screened else None
    watch = None if setup.budgets is None else BudgetWatch(setup.budgets, timeline)
    decisions = 0
    candle = 0
    with ExactArithmetic():
        while candle < len(timeline):
            for symbol in tuple(account.resting):
                extremes = timeline.extremes_at(symbol, candle)
                if extremes is None:
                    continue
                fill = account.trade(symbol, candle, *extremes, timeline.volume_at(symbol, candle))
                if watch is not None and fill is not None:
                    watch.count_fill(symbol, fill, timeline.ends_at_ms(candle) // 1000)
            if timeline.complete[candle]:
                run_tick(setup, timeline, account, candle, watch)
                decisions += 1
            following = candle + 1
            if screen is not None:
                following = _next_eventful(setup, timeline, account, screen, watch, following)
            if following // _PROGRESS_EVERY > candle // _PROGRESS_EVERY:
                on_progress(following)
            candle = following
    return Outcome(account.orders, account.balances, decisions, [] if watch is None else watch.pauses)


_PROGRESS_EVERY = 1_000
_NOTHING: frozenset[str] = frozenset()


def run_tick(
    setup: BacktestConfig, timeline: Timeline, account: Account, candle: int, watch: BudgetWatch | None = None
) -> None:
    """One tick at the close of ``candle``: review budgets, decide, cancel, place, in the autopilot's order."""
    now = timeline.ends_at_ms(candle) // 1000
    prices = timeline.closes_at(candle)
    paused: Set[str] = _NOTHING
    buy_paused: Set[str] = _NOTHING
    if watch is not None:
        watch.review(candle, account.balances, prices, setup.config.quote_asset)
        paused, buy_paused = watch.paused_symbols(), watch.buy_paused_symbols()
    decision = decide(
        account.balances,
        setup.target_allocations,
        prices,
        setup.config,
        market_rules=setup.market_rules,
        active_symbols=account.resting,
        paused_symbols=paused,
        buy_paused_symbols=buy_paused,
    )
    resting = [order.resting for order in account.resting.values()]
    cancels = review_resting_orders(
        resting, decision, setup.config, now, paused_symbols=paused, buy_paused_symbols=buy_paused
    )
    for number, reason in cancels.items():
        account.cancel(account.orders[int(number)], candle, reason)
    for action in decision.actions():
        account.place(action, candle, now)
        if watch is not None:
            watch.count_placed(action.symbol, now)


def _next_eventful(
    setup: BacktestConfig,
    timeline: Timeline,
    account: Account,
    screen: Screen,
    watch: BudgetWatch | None,
    following: int,
) -> int:
    """The next candle, from ``following`` on, at which an order may fill or the decision may do anything.

    Bounds hold until a resting order is old enough for its review. From then on others do, which its price has to stay
    within, so the engine need not be asked for the review alone.
    """
    resting = [order.resting for order in account.resting.values()]
    while following < len(timeline):
        now = timeline.ends_at_ms(following) // 1000
        bounds = compute_no_trade_region(
            account.balances,
            setup.target_allocations,
            setup.config,
            setup.market_rules,
            open_orders=resting,
            active_symbols=account.resting,
            paused_symbols=_NOTHING if watch is None else watch.paused_symbols(),
            buy_paused_symbols=_NOTHING if watch is None else watch.buy_paused_symbols(),
            now=now,
        )
        end = len(timeline) if watch is None else watch.next_candle(following, len(timeline))
        if bounds.until is None:
            return screen.next_candle(bounds, following, end)
        if bounds.until <= now:
            return following
        stop = min(timeline.first_ending_at(bounds.until * 1000, following), end)
        eventful = screen.next_candle(bounds, following, stop)
        if eventful < stop or stop == end:
            return eventful
        following = stop
    return following
