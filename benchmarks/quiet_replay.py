"""How often a user's account has to be looked at: thirty days of ticks, by quiet bounds and by polling, side by side.

    .venv/bin/python -m benchmarks.quiet_replay [--days 30] [--band 0.5]

Ten assets at 80 % yearly volatility, a price every 30 s and wicks between them; the band in percent of NAV. Both must
place, cancel and fill the same orders in the same ticks. Weights are Binance's, of what is asked about the account:
balances 20, open orders 80, placing and cancelling 1 each, looking an order up 4, its trades 5. What is asked for
everybody together, prices and a minute's candles, is not counted.
"""

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Annotated

import typer
from botbalance.engine import Balance, NoTradeRegion, compute_no_trade_region, contains, jumped_symbols
from botbalance.engine.arithmetic import ExactArithmetic

from benchmarks.backtest import NAV, random_walk, setup
from workbench.backtest.account import Account
from workbench.backtest.simulation import BacktestConfig, Outcome, run_tick, simulate
from workbench.backtest.timeline import Timeline, build_timeline

TICK_MS = 30_000
DAY_TICKS = 2_880
LOOK = 20 + 80
PLACE = 1
CANCEL = 1 + 4
FILL = 4 + 5
LONGEST_AGE_S = 2_700
"""How old a look grows on average: from half an hour to an hour, by user."""
JUMP_PCT = Decimal(10)


class Note:
    """What a look that changed nothing leaves: bounds, prices, and where trades have been since its minute."""

    def __init__(self, bounds: NoTradeRegion, prices: dict[str, Decimal], looked_at: int) -> None:
        self.bounds, self.prices, self.looked_at = bounds, prices, looked_at
        self.lows: dict[str, Decimal] = {}
        self.highs: dict[str, Decimal] = {}

    def see(self, symbol: str, low: Decimal, high: Decimal) -> None:
        """Widen the range of a pair by what a candle traded."""
        self.lows[symbol] = min(low, self.lows.get(symbol, low))
        self.highs[symbol] = max(high, self.highs.get(symbol, high))


def replay(case: BacktestConfig, timeline: Timeline) -> tuple[Outcome, Counter[str]]:
    """The ticks as the autopilot makes them: a whole one only where the last look's bounds do not hold."""
    account = Account(
        case.market_rules, case.fee_pct, {asset: Balance(free) for asset, free in case.start_balances.items()}
    )
    counted: Counter[str] = Counter()
    note: Note | None = None
    with ExactArithmetic():
        for tick in range(len(timeline)):
            now = timeline.ends_at_ms(tick) // 1000
            rested = set(account.resting)
            for symbol in timeline.symbols:
                extremes = timeline.extremes_at(symbol, tick)
                if extremes is not None:
                    account.trade(symbol, tick, *extremes)  # the exchange's doing, seen or not
                    if note is not None:
                        note.see(symbol, *extremes)
            filled = rested != set(account.resting)
            prices = timeline.closes_at(tick)
            if note is not None and now < note.looked_at + LONGEST_AGE_S:
                calm = not jumped_symbols(prices, note.prices, JUMP_PCT)
                if calm and contains(note.bounds, prices, note.lows, note.highs, now):
                    counted["quiet"] += 1
                    continue
                counted["for a price"] += 1
            elif note is not None:
                counted["for its age"] += 1
            else:
                counted["after a change"] += 1
            resting = set(account.resting)
            run_tick(case, timeline, account, tick)
            # An order that filled or was cancelled is looked at once more; one that was placed is known.
            changed = filled or not resting <= set(account.resting)
            note = None if changed else noted(case, timeline, account, tick, prices)
    return Outcome(account.orders, account.balances, 0), counted


def noted(case: BacktestConfig, timeline: Timeline, account: Account, tick: int, prices: dict[str, Decimal]) -> Note:
    """The note of a look at ``tick``; trades count from the start of its minute on."""
    now = timeline.ends_at_ms(tick) // 1000
    bounds = compute_no_trade_region(
        account.balances,
        case.target_allocations,
        case.config,
        case.market_rules,
        open_orders=[order.resting for order in account.resting.values()],
        active_symbols=account.resting,
        now=now,
    )
    note = Note(bounds, prices, now)
    for symbol in timeline.symbols:
        note.see(symbol, prices[symbol], prices[symbol])
        if now % 60:  # half of this minute's candle is of before the look
            extremes = timeline.extremes_at(symbol, tick)
            if extremes is not None:
                note.see(symbol, *extremes)
    return note


def weight(outcome: Outcome, looks: int) -> int:
    """What is asked about the account, in weight."""
    filled = sum(order.fill is not None for order in outcome.orders)
    canceled = sum(order.canceled is not None for order in outcome.orders)
    return looks * LOOK + len(outcome.orders) * PLACE + canceled * CANCEL + filled * FILL


def same(quiet: Outcome, polled: Outcome) -> bool:
    """Whether both did the same: every order, cancel and fill, in the same ticks."""
    facts = [
        [(order.action, order.placed_in, order.ended_in, order.fill, order.canceled) for order in outcome.orders]
        for outcome in (quiet, polled)
    ]
    return facts[0] == facts[1] and quiet.balances == polled.balances


def main(
    days: Annotated[int, typer.Option(min=1)] = 30,
    band: Annotated[str, typer.Option(help="In percent of NAV at the start.")] = "0.5",
    seed: int = 1,
) -> None:
    """Replay and print."""
    case = setup()
    case = replace(case, config=replace(case.config, min_delta_quote=NAV * Decimal(band) / 100))
    timeline = build_timeline(random_walk(days * DAY_TICKS, seed, TICK_MS))
    polled = simulate(case, timeline, screened=False)
    quiet, counted = replay(case, timeline)
    assert same(quiet, polled)
    ticks = len(timeline)
    polling, asking = weight(polled, ticks), weight(quiet, ticks - counted["quiet"])
    hourly = counted["for its age"] * LOOK
    fills = sum(order.fill is not None for order in quiet.orders)
    looks = ", ".join(f"{number:,} {why}" for why, number in counted.items() if why != "quiet")
    orders = f"{len(quiet.orders)} orders, {fills} fills, the same"
    print(f"{days} days, {ticks:,} ticks, a band of {band} % of NAV: {orders}")
    print(f"{counted['quiet']:,} ticks were quiet; looks: {looks}")
    print(f"weight a day: polling {polling / days:,.0f}, quiet ticks {asking / days:,.0f}")
    print(f"beside the hourly look {(asking - hourly) / polling:.2%} of polling; with it {asking / polling:.2%}")


if __name__ == "__main__":
    typer.run(main)
