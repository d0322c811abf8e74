"""Quiet ticks: for whom nothing can have happened since the last look, by arithmetic on facts that everybody shares.

A run that leaves an account in order notes with its lease within which prices that stays so. As long as prices do, and
no market has traded at a resting order's limit, a tick asks the exchange nothing about the account, takes no lease and
decrypts no key. It does nothing, as the whole tick would have done on the same facts.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal
from zlib import crc32

from pydantic import BaseModel, ConfigDict

from botbalance import engine
from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import Balance, NoTradeRegion, RestingOrder, compute_no_trade_region, contains, jumped_symbols
from botbalance.errors import TransientError
from botbalance.exchange.adapter import ExchangeAdapter
from botbalance.store.conditions import parsed
from botbalance.store.leases import LastRun, Lease
from botbalance.store.orders import Order, OrderStatus
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import Desk


class QuietNote(BaseModel):
    """What makes the next ticks of an account quiet, as a look at it left it; times in epoch seconds.

    ``looked_at`` is when the look began, ``look_again_at`` when the next one is due whatever prices do. ``prices`` are
    those of the look.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[2] = 2
    engine_version: str
    strategy_version: int
    exchange: str
    looked_at: int
    look_again_at: int
    prices: dict[str, Decimal]
    bounds: NoTradeRegion


def note_quiet(
    desk: Desk,
    lease: Lease,
    account: ExchangeAdapter,
    strategy: Strategy,
    snapshot: Snapshot,
    *,
    watched: Iterable[Order],
    placed: Iterable[Order],
    looked_at: int,
) -> None:
    """Note with the lease within which prices nothing can happen, after a look and what was ``placed`` since.

    Nothing is noted where somebody else's order rests on a pair of the strategy, or an order is not where the exchange
    has it: the account may then change without any price telling. ``watched`` may have ended, and be looked at again.
    """
    if any(order.status is not OrderStatus.OPEN or order.filled_qty for order in placed):
        return
    ours = {account.exchange_client_order_id(order.client_order_id): order for order in watched if order.may_trade}
    on_exchange = {order.client_order_id: order for order in snapshot.open_orders if order.symbol in snapshot.rules}
    as_booked = on_exchange.keys() == ours.keys() and all(
        order.filled_qty == on_exchange[reported].filled_qty for reported, order in ours.items()
    )
    if not as_booked:
        return
    bounds = compute_no_trade_region(
        # What is placed has locked some of what was free, and may free it again: counted as free, it keeps nobody out.
        {asset: Balance(balance.free + balance.locked) for asset, balance in snapshot.balances.items()},
        strategy.target_allocations,
        strategy.config(),
        snapshot.rules,
        open_orders=[resting_order(order) for order in (*ours.values(), *placed)],
        active_symbols=(),
        now=looked_at,
    )
    look_again_at = min(
        [looked_at + _age_at_most(desk, strategy.user_id), *(order.look_at for order in watched if not order.may_trade)]
    )
    lease.leaves_quiet = QuietNote(
        engine_version=engine.VERSION,
        strategy_version=strategy.version,
        exchange=strategy.exchange,
        looked_at=looked_at,
        look_again_at=look_again_at,
        prices=dict(snapshot.prices),
        bounds=bounds,
    ).model_dump_json(exclude_none=True)


def resting_order(order: Order) -> RestingOrder:
    """An order as the engine reviews it."""
    return RestingOrder(order.client_order_id, order.symbol, order.side, order.limit_price, order.placed_at)


def quiet_users(desk: Desk, users: Mapping[str, int], runs: Mapping[str, LastRun]) -> set[str]:
    """The ids of those ``users``, with the versions of their strategies, for whom a tick now is quiet.

    ``runs`` are what is known of their last runs. Prices and ranges are had once for everybody. Where one cannot be
    had, those who need it are looked at.
    """
    now = desk.clock()
    noted = {
        user_id: note
        for user_id, version in users.items()
        for note in [_note_of(runs.get(user_id), version)]
        if note is not None and now < note.look_again_at
    }
    prices = _prices(desk, noted.values())
    calm = {
        user_id: note
        for user_id, note in noted.items()
        if not jumped_symbols(prices[note.exchange], note.prices, desk.price_jump_pct)
    }
    _prepare_ranges(desk, calm.values())
    return {user_id for user_id, note in calm.items() if _stays_quiet(desk, note, prices[note.exchange], now)}


def _age_at_most(desk: Desk, user_id: str) -> int:
    """How old a look may grow, in seconds: by half differently from user to user, so that looks spread over time."""
    return desk.portfolio_max_age - crc32(user_id.encode()) % (desk.portfolio_max_age // 2 + 1)


def _note_of(run: LastRun | None, strategy_version: int) -> QuietNote | None:
    """What the last run noted, where it still is about this version of the strategy and this engine."""
    noted = None if run is None else run.quiet_note()
    if noted is None:
        return None
    try:
        note = parsed(QuietNote, noted)
    except TransientError:  # another version's: a look makes it anew
        return None
    return note if (note.engine_version, note.strategy_version) == (engine.VERSION, strategy_version) else None


def _prices(desk: Desk, notes: Iterable[QuietNote]) -> dict[str, Mapping[str, Decimal]]:
    """The prices of everything that is traded, by exchange; those that cannot be had are missing."""
    symbols: dict[str, set[str]] = {}
    for note in notes:
        symbols.setdefault(note.exchange, set()).update(asset.symbol for asset in note.bounds.assets)
    return {exchange: desk.portfolio.known_prices(exchange, wanted) for exchange, wanted in symbols.items()}


def _prepare_ranges(desk: Desk, notes: Iterable[QuietNote]) -> None:
    symbols: dict[str, set[str]] = {}
    for note in notes:
        symbols.setdefault(note.exchange, set()).update(_symbols_with_orders(note))
    for exchange, wanted in symbols.items():
        if wanted:
            desk.ranges.prepare(exchange, wanted)


def _symbols_with_orders(note: QuietNote) -> list[str]:
    return [
        asset.symbol for asset in note.bounds.assets if asset.resting_buy is not None or asset.resting_sell is not None
    ]


def _stays_quiet(desk: Desk, note: QuietNote, prices: Mapping[str, Decimal], now: int) -> bool:
    ranges = {symbol: desk.ranges.since(note.exchange, symbol, note.looked_at) for symbol in _symbols_with_orders(note)}
    known = {symbol: found for symbol, found in ranges.items() if found is not None}
    if len(known) < len(ranges):
        return False
    lows = {symbol: found.low for symbol, found in known.items()}
    highs = {symbol: found.high for symbol, found in known.items()}
    return contains(note.bounds, prices, lows, highs, now)
