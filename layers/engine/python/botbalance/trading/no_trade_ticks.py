"""Quiet ticks: for whom nothing can have happened since the last look, by arithmetic on facts that everybody shares.

A run that leaves an account in order notes with its state within which prices that stays so. As long as prices do, and
no market has traded at a resting order's limit, a tick asks the exchange nothing about the account, takes no lease and
decrypts no key. It does nothing, as the whole tick would have done on the same facts.

A tick is quiet where all of this holds: trading is not halted, and looks may be left out at all; the last run left a
note, by this engine and for this version of the strategy; its next look is not due yet; no price has jumped since; what
each market with a resting order has traded since is known; and prices and trades are inside the note's region.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from zlib import crc32

from botbalance import engine
from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import Balance, RestingOrder, compute_no_trade_region, contains, jumped_symbols
from botbalance.exchange.adapter import CLOCK_MARGIN_S, ExchangeAdapter
from botbalance.models.account_state import NoTradeNote
from botbalance.models.order import Order, OrderStatus
from botbalance.models.strategy import Strategy
from botbalance.store.accounts import LastRun
from botbalance.trading.budgets import PausedPairs
from botbalance.trading.context import TradingContext


def no_trade_note(
    context: TradingContext,
    exchange: ExchangeAdapter,
    strategy: Strategy,
    snapshot: Snapshot,
    *,
    unreconciled: Sequence[Order],
    placed: Sequence[Order],
    pauses: PausedPairs,
    looked_at: int,
) -> NoTradeNote | None:
    """Within which prices nothing can happen, after a look that began at ``looked_at`` and what was ``placed`` since.

    None where somebody else's order rests on a pair of the strategy, or an order is not where the exchange has it: the
    account may then change without any price telling. ``unreconciled`` may have ended, and be looked at again.
    """
    if any(order.status is not OrderStatus.OPEN for order in placed):
        return None
    ours = {
        exchange.exchange_client_order_id(order.client_order_id): order for order in unreconciled if order.is_active
    }
    on_exchange = {order.client_order_id: order for order in snapshot.open_orders if order.symbol in snapshot.rules}
    as_booked = on_exchange.keys() == ours.keys() and all(
        order.filled_qty == on_exchange[reported].filled_qty for reported, order in ours.items()
    )
    if not as_booked:
        return None
    bounds = compute_no_trade_region(
        # What is placed has locked some of what was free, and may free it again: counted as free, it keeps nobody out.
        {asset: Balance(balance.free + balance.locked) for asset, balance in snapshot.balances.items()},
        strategy.target_allocations,
        strategy.config(),
        snapshot.rules,
        open_orders=[resting_order(order) for order in (*ours.values(), *placed)],
        active_symbols=(),
        paused_symbols=pauses.symbols,
        buy_paused_symbols=pauses.buys,
        now=looked_at,
    )
    checks = [order.next_check_at for order in unreconciled if not order.is_active]
    return NoTradeNote(
        engine_version=engine.VERSION,
        strategy_version=strategy.version,
        exchange=strategy.exchange,
        looked_at=looked_at,
        look_again_at=min([looked_at + _age_at_most(context, strategy.user_id), *checks, *pauses.ends]),
        prices=dict(snapshot.prices),
        bounds=bounds,
    )


def resting_order(order: Order) -> RestingOrder:
    """An order as the engine reviews it."""
    return RestingOrder(order.client_order_id, order.symbol, order.side, order.limit_price, order.placed_at)


def valid_notes(
    context: TradingContext, users: Mapping[str, int], runs: Mapping[str, LastRun]
) -> dict[str, NoTradeNote]:
    """The notes of the last ``runs`` that are still valid, by user id.

    A note is valid where it was made by this engine, for the version of the strategy that ``users`` has, and another
    look is not due yet.
    """
    now = context.clock()
    notes = {user_id: runs[user_id].note() for user_id in users if user_id in runs}
    return {
        user_id: note
        for user_id, note in notes.items()
        if note is not None
        and (note.engine_version, note.strategy_version) == (engine.VERSION, users[user_id])
        and now < note.look_again_at
    }


def noted_symbols(note: NoTradeNote) -> set[str]:
    """The pairs whose prices tell whether a tick is quiet."""
    return {asset.symbol for asset in note.bounds.assets}


def users_inside_region(context: TradingContext, exchange: str, noted: Mapping[str, NoTradeNote]) -> set[str]:
    """The ids of those ``noted`` users for whom a tick now is quiet; ``noted`` are valid notes by user id, of one
    ``exchange``.

    Prices and ranges are read once for everybody. Users who need one that cannot be read are not among them.
    """
    now = context.clock()
    symbols = {symbol for note in noted.values() for symbol in noted_symbols(note)}
    prices = context.portfolio.known_prices(exchange, symbols) if symbols else {}
    if not prices:
        return set()
    unmoved = {
        user_id: note
        for user_id, note in noted.items()
        if not jumped_symbols(prices, note.prices, context.price_jump_pct, now - note.looked_at)
    }
    with_orders = {symbol for note in unmoved.values() for symbol in _symbols_with_orders(note)}
    if with_orders:
        context.ranges.prefetch(exchange, with_orders)
    return {user_id for user_id, note in unmoved.items() if _still_inside(context, note, prices, now)}


def _age_at_most(context: TradingContext, user_id: str) -> int:
    """How old a look may grow, in seconds: by half differently from user to user, so that looks spread over time."""
    return context.portfolio_max_age - crc32(user_id.encode()) % (context.portfolio_max_age // 2 + 1)


def _symbols_with_orders(note: NoTradeNote) -> list[str]:
    return [
        asset.symbol for asset in note.bounds.assets if asset.resting_buy is not None or asset.resting_sell is not None
    ]


def _still_inside(context: TradingContext, note: NoTradeNote, prices: Mapping[str, Decimal], now: int) -> bool:
    since = note.looked_at - CLOCK_MARGIN_S  # by the exchange's clock it may have been as early as that
    ranges = {symbol: context.ranges.since(note.exchange, symbol, since) for symbol in _symbols_with_orders(note)}
    known = {symbol: found for symbol, found in ranges.items() if found is not None}
    if len(known) < len(ranges):
        return False
    lows = {symbol: found.low for symbol, found in known.items()}
    highs = {symbol: found.high for symbol, found in known.items()}
    return contains(note.bounds, prices, lows, highs, now)
