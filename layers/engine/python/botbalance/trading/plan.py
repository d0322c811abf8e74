"""Plan: the preview of what execute would do now. Writes nothing and places nothing."""

from dataclasses import dataclass

from botbalance.accounts.portfolio import Snapshot, evaluate_snapshot
from botbalance.engine import Evaluation
from botbalance.store.orders import OrderStatus
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import Desk


@dataclass(frozen=True, slots=True)
class Plan:
    """A preview: the decision, and the snapshot and strategy that it is a decision on.

    ``halt`` is why the operator has halted trading for everybody; None where it goes on.
    """

    strategy: Strategy
    snapshot: Snapshot
    evaluation: Evaluation
    halt: str | None


def preview(desk: Desk, user_id: str) -> Plan:
    """What would be traded now. Raises NotFoundError without a strategy or a key."""
    return preview_of(desk, desk.strategies.get(user_id))


def preview_of(desk: Desk, strategy: Strategy) -> Plan:
    """What would be traded now with ``strategy``, stored or not. Raises NotFoundError without a key."""
    user_id = strategy.user_id
    account = desk.accounts.of(user_id, strategy.exchange)
    snapshot = desk.portfolio.snapshot(account, strategy.symbols(), fresh=False)
    # What rests is the exchange's word; of ours only an order of unknown fate counts beside it.
    unknown = {order.symbol for order in desk.orders.watched(user_id) if order.status is OrderStatus.PENDING}
    blocked = snapshot.active_symbols() | unknown
    evaluation = evaluate_snapshot(snapshot, strategy.target_allocations, strategy.config(), blocked)
    return Plan(strategy, snapshot, evaluation, desk.operator.halt_reason())
