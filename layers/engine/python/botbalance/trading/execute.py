"""Execute: trade once, by hand. Decides anew on fresh facts; a plan is never taken over."""

from dataclasses import dataclass

from botbalance.accounts.portfolio import evaluate_snapshot
from botbalance.engine import Evaluation
from botbalance.errors import ConflictError
from botbalance.store.orders import Order
from botbalance.trading.desk import Desk, tick_of
from botbalance.trading.doubts import note_orders, require_belief
from botbalance.trading.placement import place_actions
from botbalance.trading.reconcile import reconcile


@dataclass(frozen=True, slots=True)
class Execution:
    """What was decided, and the orders that came of it."""

    evaluation: Evaluation
    orders: list[Order]


def execute_once(desk: Desk, user_id: str) -> Execution:
    """Reconcile, look, decide, place. Raises what plan raises, and ConflictError while the autopilot or another run
    is on.

    Where the exchange stops it midway, the orders say how far it came.
    """
    with desk.lease_of(user_id) as lease:
        desk.require_no_halt()
        strategy = desk.strategies.get(user_id)
        if strategy.autopilot_enabled:
            raise ConflictError(
                "autopilot_enabled", "the autopilot is on and trades by itself; switch it off to execute by hand"
            )
        account = desk.accounts.of(user_id, strategy.exchange)
        snapshot = desk.portfolio.snapshot(account, strategy.symbols(), fresh=True)
        looked = reconcile(desk, lease, account, strategy, snapshot.open_orders)
        require_belief(lease, strategy, snapshot, looked.spent, desk.clock(), price_jump_pct=desk.price_jump_pct)
        ts_tick = tick_of(desk.clock())
        blocked = snapshot.active_symbols() | looked.blocked_symbols() | _traded_in(desk, user_id, ts_tick)
        evaluation = evaluate_snapshot(snapshot, strategy.target_allocations, strategy.config(), blocked)
        placed = place_actions(
            desk, lease, account, strategy, evaluation.actions, snapshot.rules, ts_tick=ts_tick, source="manual"
        )
        note_orders(lease, looked.unsettled, placed.orders)
        return Execution(evaluation, placed.orders)


def _traded_in(desk: Desk, user_id: str, ts_tick: int) -> set[str]:
    """The pairs that got an order in this tick already, whatever became of it: pressing twice trades once."""
    symbols = set()
    for order in desk.orders.every(user_id):
        if order.placed_at < ts_tick:
            break
        if order.ts_tick == ts_tick:
            symbols.add(order.symbol)
    return symbols
