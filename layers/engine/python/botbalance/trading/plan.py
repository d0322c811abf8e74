"""Plan: the preview of what execute, or with the autopilot on the next tick, would do now. Writes and places nothing.

It goes by shared prices, which may be seconds old, and does not ask whether the picture is to be believed; both do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from botbalance.accounts.portfolio import Snapshot
from botbalance.deadline import bounded_by
from botbalance.engine import Convergence, Evaluation, estimate_convergence, farthest_symbol, hourly_volatility_pct
from botbalance.models.account_state import BudgetState, RefusedPair
from botbalance.models.order import OrderStatus
from botbalance.models.strategy import Strategy
from botbalance.trading.budgets import PausedPairs
from botbalance.trading.context import TradingContext
from botbalance.trading.pauses import Pause, build_pauses
from botbalance.trading.rebalance import decision_inputs, evaluate_inputs
from botbalance.trading.refusals import waiting_pairs


@dataclass(frozen=True, slots=True)
class Plan:
    """A preview: the decision, and the snapshot and strategy that it is a decision on.

    ``halt`` is why the operator has halted trading for everybody; None where it goes on. ``waiting`` are the pairs that
    get no order for a while, because the exchange has refused theirs again and again. ``pauses`` are what else holds
    the account: those of budgets keep the autopilot from trading, and nobody who executes by hand.
    """

    strategy: Strategy
    snapshot: Snapshot
    evaluation: Evaluation
    halt: str | None
    waiting: Mapping[str, RefusedPair]
    pauses: list[Pause]


def expected_convergence(context: TradingContext, plan: Plan) -> Convergence:
    """How long it takes until every asset is within its band, by how much the farthest one's price moved lately.

    At most one public request; where an hour of prices is not at hand, the time is not known.
    """
    symbol = farthest_symbol(plan.evaluation)
    volatility = None
    if symbol is not None:
        with bounded_by(context.deadline):
            context.ranges.prefetch(plan.strategy.exchange, [symbol])
        traded = context.ranges.of_last_hour(plan.strategy.exchange, symbol)
        volatility = None if traded is None else hourly_volatility_pct(traded.low, traded.high)
    return estimate_convergence(plan.evaluation, plan.strategy.config(), volatility)


def preview(context: TradingContext, user_id: str) -> Plan:
    """What would be traded now. Raises NotFoundError without a strategy or a key."""
    return preview_plan(context, context.strategies.get(user_id))


def preview_plan(context: TradingContext, strategy: Strategy) -> Plan:
    """What would be traded now with ``strategy``, stored or not. Raises NotFoundError without a key."""
    user_id = strategy.user_id
    with bounded_by(context.deadline):
        exchange = context.clients.get(user_id, strategy.exchange)
        state = context.accounts.find_state(user_id)
        last_prices = {} if state.last_observation is None else state.last_observation.prices
        snapshot = context.portfolio.snapshot(exchange, strategy.symbols(), fresh=False, last_prices=last_prices)
        waiting = waiting_pairs(state.refused_pairs, context.clock())
        # What rests is the exchange's word; of ours only an order of unknown fate counts beside it.
        orders = context.orders.unreconciled(user_id)
        unknown = {order.symbol for order in orders if order.status is OrderStatus.PENDING}
        blocked = snapshot.active_symbols() | unknown
        budgets = state.account_budgets(context.find_account(user_id, strategy.exchange))
        paused = PausedPairs.of(waiting, budgets if strategy.autopilot_enabled else BudgetState(), context.clock())
        inputs = decision_inputs(
            strategy,
            balances=snapshot.balances,
            prices=snapshot.prices,
            rules=snapshot.rules,
            blocked=blocked,
            pauses=paused,
            now=context.clock(),
        )
        return Plan(
            strategy,
            snapshot,
            evaluate_inputs(inputs),
            context.operator.halt_reason(),
            waiting,
            build_pauses(state, budgets),
        )
