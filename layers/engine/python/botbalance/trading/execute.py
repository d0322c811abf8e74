"""Execute: trade once, by hand. Decides anew on fresh facts; a plan is never taken over."""

from collections.abc import Sequence
from dataclasses import dataclass

from botbalance.engine import Action, Evaluation
from botbalance.errors import BotBalanceError, ConflictError
from botbalance.models.activity import ActivityKind
from botbalance.models.decision import tick_start
from botbalance.models.order import Order, OrderStatus
from botbalance.trading.context import TradingContext
from botbalance.trading.rebalance import rebalance
from botbalance.trading.session import open_session
from botbalance.trading.trail import new_activity, tell


@dataclass(frozen=True, slots=True)
class Execution:
    """What was decided, the orders that came of it, and what was not sent, because of ``stopped_by``.

    ``canceled`` are client order ids, each with its reason.
    """

    evaluation: Evaluation
    orders: list[Order]
    not_placed: Sequence[Action]
    canceled: dict[str, str]
    stopped_by: BotBalanceError | None

    @property
    def nothing_placed_because(self) -> BotBalanceError | None:
        """What kept every order of the decision from being placed; None where one was, or none was to be."""
        was_placed = any(order.status is not OrderStatus.REJECTED for order in self.orders)
        return None if was_placed else self.stopped_by


def execute_once(context: TradingContext, user_id: str) -> Execution:
    """Reconcile, look, decide, cancel, place.

    Raises what plan raises, and ConflictError while trading is halted, or the autopilot or another run is on.
    """
    with open_session(context, user_id) as session:
        context.require_no_halt()
        strategy = context.strategies.get(user_id)
        if strategy.autopilot_enabled:
            raise ConflictError(
                "autopilot_enabled", "the autopilot is on and trades by itself; switch it off to execute by hand"
            )
        ts_tick = tick_start(context.clock())
        # Whatever became of what was placed in this tick already: pressing twice trades once.
        recent = context.orders.iter_since(user_id, ts_tick)
        traded = {order.symbol for order in recent if order.ts_tick == ts_tick}
        result = rebalance(session, strategy, ts_tick=ts_tick, source="manual", traded_symbols=traded)
        if result.placed.orders:
            after = {order.client_order_id: str(order.status) for order in result.placed.orders}
            tell(context, new_activity(context, user_id, ActivityKind.ORDERS_PLACED, after=after))
    ended = {order.client_order_id for order in result.canceled.orders if not order.is_active}
    return Execution(
        result.evaluation,
        result.placed.orders,
        result.placed.not_placed,
        {key: reason for key, reason in result.cancels.items() if key in ended},
        result.placed.stopped_by,
    )
