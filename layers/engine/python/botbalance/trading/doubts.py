"""Believing a picture of the account, or not yet: nothing is traded on what has just changed beyond belief.

What each run saw is noted with the user's lease, and the next run compares. A price that jumped holds one tick and is
believed when it is still there in the next; holdings that vanished are believed once they have stayed away.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict

from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import Look, jumped_symbols, look_at, missing_balances
from botbalance.engine.arithmetic import HUNDRED, ZERO, ExactArithmetic
from botbalance.errors import TransientError
from botbalance.log import alarm
from botbalance.store.conditions import parsed
from botbalance.store.leases import Lease
from botbalance.store.orders import Order
from botbalance.store.strategies import Strategy

PRICES_COMPARED_S = 3_900
"""Prices seen longer ago than this say nothing about those of now; quiet ticks may lie between looks for an hour."""
VANISHED_BELIEVED_S = 300
"""For so long holdings have to stay away before that counts as a fact: their owner may have moved them."""


NEARLY_ALL_PCT = Decimal(95)
"""Of what was held: where the fee is paid on top, an order for everything spends that much less."""


class Memory(BaseModel):
    """What was believed at the last look, and what was not; times in epoch seconds, ``held`` in units by asset."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    seen_at: int
    prices: dict[str, Decimal]
    held: dict[str, Decimal]
    doubted_prices: dict[str, Decimal] = {}
    vanished_since: dict[str, int] = {}
    """Since when each asset that is not believed gone has been away."""
    at_risk: dict[str, Decimal] = {}
    """What this system's own orders could spend after that look, in units by asset."""


def require_belief(
    lease: Lease, strategy: Strategy, snapshot: Snapshot, spent: Collection[str], now: int, *, price_jump_pct: Decimal
) -> None:
    """Note the look at ``now`` (epoch seconds) with the lease; raise TransientError where it is not to be traded on.

    ``spent`` are the assets of which this system's own orders may have spent everything since the last look.
    """
    assets = {strategy.quote_asset, *strategy.target_allocations}
    seen = look_at(snapshot.balances, snapshot.prices, assets)
    prices, held = dict(seen.prices), dict(seen.held)
    last = _remembered(lease) or Memory(seen_at=now, prices=prices, held=held)
    jumped = _jumped(prices, last, now, price_jump_pct)
    before = Look(last.prices, {asset: quantity for asset, quantity in last.held.items() if asset in assets})
    vanished = missing_balances(
        snapshot.balances,
        before,
        quote_asset=strategy.quote_asset,
        worth_at_least=strategy.min_delta_quote,
        spent=spent,
    )
    since = {asset: last.vanished_since.get(asset, now) for asset in vanished}
    not_believed = {asset: away for asset, away in since.items() if now - away < VANISHED_BELIEVED_S}
    lease.memory = Memory(
        seen_at=now,
        prices=prices | {symbol: last.prices[symbol] for symbol in jumped},
        held=held | {asset: last.held[asset] for asset in not_believed},
        doubted_prices={symbol: prices[symbol] for symbol in jumped},
        vanished_since=not_believed,
        at_risk=last.at_risk if not_believed else {},
    ).model_dump_json()
    doubts = []
    if jumped:
        changes = ", ".join(f"{symbol} from {last.prices[symbol]} to {prices[symbol]}" for symbol in jumped)
        doubts.append(f"prices jumped by more than {price_jump_pct} %: {changes}")
    if not_believed:
        gone = ", ".join(f"{last.held[asset]} {asset}" for asset in not_believed)
        doubts.append(f"holdings vanished: {gone}; believed after {VANISHED_BELIEVED_S} s")
    if doubts:
        alarm("doubtful_picture", "nothing is traded on a doubtful picture", user_id=strategy.user_id, doubts=doubts)
        raise TransientError("doubtful_picture", "; ".join(doubts))


def note_look(lease: Lease, strategy: Strategy, snapshot: Snapshot, now: int) -> None:
    """Note the look at ``now`` with the lease as one that is believed: its owner was shown it."""
    seen = look_at(snapshot.balances, snapshot.prices, {strategy.quote_asset, *strategy.target_allocations})
    lease.memory = Memory(seen_at=now, prices=dict(seen.prices), held=dict(seen.held)).model_dump_json()


def note_orders(lease: Lease, resting: Iterable[Order], placed: Iterable[Order]) -> None:
    """Note with the lease what this run's orders can spend between its look and the next one.

    ``resting`` as they were at the look; of those ``placed`` since, all of it counts, whatever has filled already.
    """
    memory = _remembered(lease)
    if memory is not None:
        unfilled = (order.model_copy(update={"filled_qty": ZERO}) for order in placed)
        at_risk = _to_be_spent([*resting, *unfilled])
        lease.memory = memory.model_copy(update={"at_risk": at_risk}).model_dump_json()


def may_be_spent(lease: Lease, orders: Iterable[Order]) -> frozenset[str]:
    """The assets of which nearly everything may have been spent since the last look.

    By ``orders``, as they were when they were last booked, or by those that the last run noted. Of what they may have
    spent a part of, a rest must be there.
    """
    memory = _remembered(lease)
    if memory is None:  # nothing to compare with
        return frozenset()
    of_orders = _to_be_spent(orders)
    with ExactArithmetic():
        spent = {asset: max(of_orders.get(asset, ZERO), memory.at_risk.get(asset, ZERO)) for asset in memory.held}
        return frozenset(
            asset for asset, most in spent.items() if most and most * HUNDRED >= memory.held[asset] * NEARLY_ALL_PCT
        )


def _to_be_spent(orders: Iterable[Order]) -> dict[str, Decimal]:
    """What is not filled of ``orders`` yet, in units by the asset that it spends."""
    spent: dict[str, Decimal] = defaultdict(Decimal)
    with ExactArithmetic():
        for order in orders:
            unfilled = order.base_qty - order.filled_qty
            if order.side == "buy":
                spent[order.quote] += unfilled * order.limit_price
            else:
                spent[order.base] += unfilled
    return dict(spent)


def _remembered(lease: Lease) -> Memory | None:
    """What the last run noted; None where there is nothing, or nothing that this version understands."""
    if lease.memory is None:
        return None
    try:
        return parsed(Memory, lease.memory)
    except TransientError as error:  # a look to compare with is an aid, and this look becomes the next one's
        alarm(error.code, str(error), user_id=lease.user_id)
        return None


def _jumped(prices: dict[str, Decimal], last: Memory, now: int, bound_pct: Decimal) -> list[str]:
    """The symbols that jumped from the last price believed, and are not where a first doubt saw them either."""
    if now - last.seen_at > PRICES_COMPARED_S:
        return []
    jumped = jumped_symbols(prices, last.prices, bound_pct)
    still_jumping = set(jumped_symbols(prices, last.doubted_prices, bound_pct))
    return [symbol for symbol in jumped if symbol in still_jumping or symbol not in last.doubted_prices]
