"""A strategy, candle by candle: fills, then the decision at the candle's close, by the engine and nothing else.

An order rests from the end of the candle that it was decided on, so it fills in a later one. Nothing sees a price that
comes after.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine import (
    Balance,
    MarketRules,
    StrategyConfig,
    compute_no_trade_region,
    decide,
    review_resting_orders,
)
from botbalance.engine.arithmetic import ExactArithmetic

from workbench.backtest.account import Account, PlacedOrder
from workbench.backtest.screening import Screen
from workbench.backtest.timeline import Timeline


@dataclass(frozen=True, slots=True)
class BacktestConfig:
    """What is tried: a strategy on markets, from what it starts with (asset to units), at a maker's fee in percent.

    ``target_allocations`` name the timeline's assets in its order, and perhaps the quote asset.
    """

    target_allocations: Mapping[str, Decimal]
    config: StrategyConfig
    market_rules: Mapping[str, MarketRules]
    start_balances: Mapping[str, Decimal]
    fee_pct: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every order, oldest first, the balances at the end, and how many candles the engine was asked at."""

    orders: list[PlacedOrder]
    balances: dict[str, Balance]
    decisions: int


def simulate(
    trial: BacktestConfig,
    timeline: Timeline,
    *,
    screened: bool = True,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Run ``trial`` along ``timeline``. Unscreened, the engine is asked at every candle; the outcome is the same.

    ``on_progress`` is told now and then how many candles are done. Raises what the engine refuses.
    """
    account = Account(
        trial.market_rules, trial.fee_pct, {asset: Balance(free) for asset, free in trial.start_balances.items()}
    )
    screen = Screen(timeline) if screened else None
    decisions = 0
    candle = 0
    with ExactArithmetic():
        while candle < len(timeline):
            for symbol in tuple(account.resting):
                extremes = timeline.extremes_at(symbol, candle)
                if extremes is not None:
                    account.trade(symbol, candle, *extremes)
            if timeline.complete[candle]:
                run_tick(trial, timeline, account, candle)
                decisions += 1
            following = candle + 1
            if screen is not None:
                following = _next_eventful(trial, timeline, account, screen, following)
            if following // _PROGRESS_EVERY > candle // _PROGRESS_EVERY:
                on_progress(following)
            candle = following
    return Outcome(account.orders, account.balances, decisions)


_PROGRESS_EVERY = 1_000


def run_tick(trial: BacktestConfig, timeline: Timeline, account: Account, candle: int) -> None:
    """One tick at the close of ``candle``: decide, cancel, place, in the autopilot's order."""
    now = timeline.ends_at_ms(candle) // 1000
    decision = decide(
        account.balances,
        trial.target_allocations,
        timeline.closes_at(candle),
        trial.config,
        market_rules=trial.market_rules,
        active_symbols=account.resting,
    )
    resting = [order.resting for order in account.resting.values()]
    for number, reason in review_resting_orders(resting, decision, trial.config, now).items():
        account.cancel(account.orders[int(number)], candle, reason)
    for action in decision.actions():
        account.place(action, candle, now)


def _next_eventful(trial: BacktestConfig, timeline: Timeline, account: Account, screen: Screen, following: int) -> int:
    """The next candle, from ``following`` on, at which an order may fill or the decision may do anything.

    Bounds hold until a resting order is old enough for its review. From then on others do, which its price has to stay
    within, so the engine need not be asked for the review alone.
    """
    resting = [order.resting for order in account.resting.values()]
    while following < len(timeline):
        now = timeline.ends_at_ms(following) // 1000
        bounds = compute_no_trade_region(
            account.balances,
            trial.target_allocations,
            trial.config,
            trial.market_rules,
            open_orders=resting,
            active_symbols=account.resting,
            now=now,
        )
        if bounds.until is None:
            return screen.next_candle(bounds, following, len(timeline))
        if bounds.until <= now:
            return following
        stop = timeline.first_ending_at(bounds.until * 1000, following)
        eventful = screen.next_candle(bounds, following, stop)
        if eventful < stop:
            return eventful
        following = stop
    return following
