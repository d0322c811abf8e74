"""From a look at the account to placed orders: the one way, for the autopilot and for an execution by hand."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from botbalance.accounts.portfolio import Snapshot, evaluate_snapshot
from botbalance.engine import Evaluation, RestingOrder, review_resting_orders
from botbalance.errors import BotBalanceError, CredentialsRejectedError, RateLimitedError, TransientError
from botbalance.log import alarm
from botbalance.models.account_state import LastLook, LastObservation, RefusedPair
from botbalance.models.decision import DecisionInputs
from botbalance.models.order import Order
from botbalance.models.strategy import Strategy
from botbalance.trading import budgets
from botbalance.trading.anomaly_guard import (
    assets_own_orders_may_have_spent,
    committed_quantities,
    find_anomalies,
    quantities_own_orders_may_have_brought,
    receivable_quantities,
)
from botbalance.trading.history import missing_point, record
from botbalance.trading.incidents import report_anomalies, report_refusals
from botbalance.trading.no_trade_ticks import Pauses, no_trade_note, resting_order
from botbalance.trading.placement import (
    CancelResult,
    NotPlaced,
    PlacementResult,
    cancel_orders,
    place_actions,
)
from botbalance.trading.reconcile import reconcile
from botbalance.trading.refusals import count_refusals, waiting_pairs
from botbalance.trading.session import AccountSession

ANOMALY = "doubtful_picture"


@dataclass(frozen=True, slots=True)
class RebalanceResult:
    """What was decided, on what, and what came of it. ``cancels`` are client order ids, each with its reason."""

    inputs: DecisionInputs
    evaluation: Evaluation
    cancels: dict[str, str]
    canceled: CancelResult
    placed: PlacementResult

    def errors(self) -> list[BotBalanceError]:
        """What kept orders from being cancelled or placed."""
        stopped_by = [] if self.placed.stopped_by is None else [self.placed.stopped_by]
        return [*self.canceled.errors.values(), *stopped_by]


def rebalance(
    session: AccountSession,
    strategy: Strategy,
    *,
    ts_tick: int,
    source: Literal["autopilot", "manual"],
    fresh_prices: bool,
    traded_symbols: Collection[str] = (),
) -> RebalanceResult:
    """Look, reconcile, decide, cancel, place; what the account is to remember of it is in the session then.

    ``traded_symbols`` are pairs that get no order. Raises TransientError where the picture is not to be traded on.
    """
    context, config = session.context, strategy.config()
    exchange = session.exchange(strategy.exchange, strategy.symbols())
    looked_at = context.clock()
    reading = context.portfolio.read_account(exchange, strategy.symbols())
    reconciliation = reconcile(session, {strategy.exchange: reading.open_orders})
    last = session.state.last_observation
    snapshot = context.portfolio.with_prices(
        reading, fresh=fresh_prices, last_prices={} if last is None else last.prices
    )
    now = context.clock()
    _require_no_anomaly(session, strategy, snapshot, reconciliation.found, now)
    refused = count_refusals(session.state.refused_pairs, reconciliation.orders, now)
    blocked = {
        *snapshot.active_symbols(),
        *reconciliation.blocked_symbols(),
        *traded_symbols,
    }
    waiting = waiting_pairs(refused, now)
    active = [order for order in reconciliation.active() if order.exchange == strategy.exchange]
    resting = [resting_order(order) for order in active]
    evaluation, pauses = _evaluate(session, strategy, snapshot, blocked, resting, waiting, source=source, now=now)
    point = missing_point(session, strategy, snapshot, evaluation, reconciliation.orders, now)
    reviewed = review_resting_orders(
        resting,
        evaluation,
        config,
        now,
        paused_symbols=pauses.symbols,
        buy_paused_symbols=pauses.buys,
    )
    reasons = {key: str(reason) for key, reason in reviewed.items()}
    canceled = cancel_orders(session, [order for order in active if order.client_order_id in reasons], reasons)
    session.remember(last_look=_last_look(strategy, snapshot, evaluation, now))  # what fills at once counts by it
    placed = _place(session, strategy, snapshot, evaluation, canceled, ts_tick=ts_tick, source=source)
    refused = count_refusals(refused, placed.orders, now)
    report_refusals(session, {symbol: refused[symbol] for symbol in strategy.symbols() if symbol in refused}, now)
    session.remember(
        last_observation=_with_committed(session, active, placed.orders),
        refused_pairs=refused,
        no_unreconciled_orders=not (reconciliation.found or evaluation.actions),
    )
    if not (reasons or reconciliation.changed or placed.stopped_by):
        note = no_trade_note(
            context,
            exchange,
            strategy,
            snapshot,
            unreconciled=reconciliation.orders,
            placed=placed.orders,
            pauses=pauses,
            looked_at=looked_at,
        )
        session.remember(no_trade_note=note)
    record(session, point)
    inputs = DecisionInputs(
        current_balances=snapshot.balances,
        target_allocations=strategy.target_allocations,
        market_prices=snapshot.prices,
        strategy_config=config,
        market_rules=snapshot.rules,
        active_symbols=sorted(blocked),
        paused_symbols=sorted(pauses.symbols),
        buy_paused_symbols=sorted(pauses.buys),
        open_orders=resting,
        now=now,
    )
    return RebalanceResult(inputs, evaluation, reasons, canceled, placed)


def _evaluate(
    session: AccountSession,
    strategy: Strategy,
    snapshot: Snapshot,
    blocked: Collection[str],
    resting: Sequence[RestingOrder],
    waiting: Mapping[str, RefusedPair],
    *,
    source: Literal["autopilot", "manual"],
    now: int,
) -> tuple[Evaluation, Pauses]:
    """The decision, and what of it is paused: by refusals, and, where nobody executes by hand, by budgets."""
    targets, config = strategy.target_allocations, strategy.config()
    if source == "manual":
        return evaluate_snapshot(snapshot, targets, config, blocked, waiting), Pauses.of(waiting, None, now)
    budgets.review(session, strategy, snapshot, now)
    account = session.account(strategy.exchange)
    pauses = Pauses.of(waiting, session.state.account_budgets(account), now)
    evaluation = evaluate_snapshot(snapshot, targets, config, blocked, pauses.symbols, pauses.buys)
    bought = {action.symbol for action in evaluation.actions if action.side == "buy"}
    bought |= {order.symbol for order in resting if order.side == "buy"}
    if budgets.review_prices(session, strategy, snapshot.prices, bought, now):
        pauses = Pauses.of(waiting, session.state.account_budgets(account), now)
        evaluation = evaluate_snapshot(snapshot, targets, config, blocked, pauses.symbols, pauses.buys)
    return evaluation, pauses


def _require_no_anomaly(
    session: AccountSession, strategy: Strategy, snapshot: Snapshot, orders: Sequence[Order], now: int
) -> None:
    """Remember what is believed of ``snapshot``; raise TransientError where it is not to be traded on."""
    last = session.state.last_observation
    observation = find_anomalies(
        last,
        strategy,
        snapshot,
        spent=assets_own_orders_may_have_spent(last, orders),
        received=quantities_own_orders_may_have_brought(last, orders),
        now=now,
        price_jump_pct=session.context.price_jump_pct,
    )
    session.remember(last_observation=observation)
    report_anomalies(session, observation.anomalies, now)
    doubts = [anomaly.evidence for anomaly in observation.anomalies.values()]
    if doubts:
        alarm("doubtful_picture", "nothing is traded on a doubtful picture", user_id=strategy.user_id, doubts=doubts)
        raise TransientError(ANOMALY, "; ".join(doubts))


def _place(
    session: AccountSession,
    strategy: Strategy,
    snapshot: Snapshot,
    evaluation: Evaluation,
    canceled: CancelResult,
    *,
    ts_tick: int,
    source: Literal["autopilot", "manual"],
) -> PlacementResult:
    """Place the actions, unless the exchange wants no more requests, or not with this key."""
    for error in canceled.errors.values():
        if isinstance(error, RateLimitedError | CredentialsRejectedError):
            return PlacementResult([], [NotPlaced(action, error) for action in evaluation.actions], error)
    return place_actions(
        session,
        strategy,
        evaluation.actions,
        snapshot.rules,
        ts_tick=ts_tick,
        source=source,
        prices_expire_at=snapshot.prices_expire_at,
    )


def _with_committed(
    session: AccountSession, resting: Sequence[Order], placed: Sequence[Order]
) -> LastObservation | None:
    observation = session.state.last_observation
    if observation is None:
        return None
    return observation.model_copy(
        update={
            "committed": committed_quantities(resting, placed),
            "receivable": receivable_quantities(resting, placed),
        }
    )


def _last_look(strategy: Strategy, snapshot: Snapshot, evaluation: Evaluation, now: int) -> LastLook:
    managed = {strategy.quote_asset, *strategy.target_allocations}
    return LastLook(
        at=now,
        exchange=strategy.exchange,
        quote_asset=strategy.quote_asset,
        nav=evaluation.nav,
        balances={asset: balance for asset, balance in snapshot.balances.items() if asset in managed},
        prices=dict(snapshot.prices),
    )
