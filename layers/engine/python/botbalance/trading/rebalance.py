"""From a look at the account to placed orders: the one way, for the autopilot and for an execution by hand.

No order is doubled or lost: its intent is written before the request, and only where it does not exist yet, so it is
sent at most once. Whatever the exchange answers is recorded in it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import (
    Action,
    Balance,
    CancelReason,
    Evaluation,
    MarketRules,
    RestingOrder,
    evaluate,
    review_resting_orders,
)
from botbalance.errors import BotBalanceError, ConflictError, CredentialsRejectedError, RateLimitedError, TransientError
from botbalance.exchange.adapter import OrderRequest
from botbalance.exchange.client_order_ids import canonical_client_order_id
from botbalance.models.account_state import BudgetState, LastLook, RefusedPair
from botbalance.models.decision import DecisionInputs
from botbalance.models.order import Order
from botbalance.models.strategy import Strategy
from botbalance.trading import budgets
from botbalance.trading.anomaly_guard import (
    remember_committed,
    require_no_anomaly,
)
from botbalance.trading.cancellation import CancelResult, cancel_orders
from botbalance.trading.history import missing_point, record
from botbalance.trading.incidents import report_refusals
from botbalance.trading.no_trade_ticks import no_trade_note, resting_order
from botbalance.trading.reconcile import reconcile
from botbalance.trading.refusals import count_refusals, waiting_pairs
from botbalance.trading.session import SEND_AND_SETTLE_S, AccountSession
from botbalance.trading.submission import record_submission
from botbalance.trading.tallies import with_order_placed

PRICES_EXPIRED = "prices_expired"


@dataclass(frozen=True, slots=True)
class PlacementResult:
    """The orders of one decision as they stand, and what of it was not sent, because of ``stopped_by``."""

    orders: list[Order]
    not_placed: Sequence[Action]
    stopped_by: BotBalanceError | None
    """What kept the rest from being sent, also where nothing was left to be sent."""


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
    traded_symbols: Collection[str] = (),
) -> RebalanceResult:
    """Look, reconcile, decide, cancel, place; what the account is to remember of it is in the session then.

    By hand, prices are asked for anew. ``traded_symbols`` are pairs that get no order. Raises TransientError where the
    picture is not to be traded on.
    """
    context = session.context
    exchange = session.exchange(strategy.exchange, strategy.symbols())
    looked_at = context.clock()
    reading = context.portfolio.read_account(exchange, strategy.symbols())
    reconciliation = reconcile(session, {strategy.exchange: reading.open_orders})
    last = session.state.last_observation
    snapshot = context.portfolio.with_prices(
        reading, fresh=source == "manual", last_prices={} if last is None else last.prices
    )
    now = context.clock()
    require_no_anomaly(session, strategy, snapshot, reconciliation.found, now)
    refused = count_refusals(session.state.refused_pairs, reconciliation.orders, now)
    active = [order for order in reconciliation.orders if order.is_active and order.exchange == strategy.exchange]
    inputs, evaluation, pauses = _evaluate_within_budgets(
        session,
        strategy,
        snapshot,
        {*snapshot.active_symbols(), *reconciliation.blocked_symbols(), *traded_symbols},
        [resting_order(order) for order in active],
        waiting_pairs(refused, now),
        source=source,
        now=now,
    )
    point = missing_point(session, strategy, snapshot, evaluation, reconciliation.orders, now)
    cancels = {key: str(reason) for key, reason in review_inputs(inputs, evaluation).items()}
    canceled = cancel_orders(session, [order for order in active if order.client_order_id in cancels], cancels)
    session.remember(last_look=_last_look(strategy, snapshot, evaluation, now))  # what fills at once counts by it
    placed = _place(session, strategy, snapshot, evaluation, canceled, ts_tick=ts_tick, source=source)
    refused = count_refusals(refused, placed.orders, now)
    report_refusals(session, {symbol: refused[symbol] for symbol in strategy.symbols() if symbol in refused}, now)
    remember_committed(session, active, placed.orders)
    nothing_left = not (reconciliation.found or evaluation.actions)
    session.remember(refused_pairs=refused, no_unreconciled_orders=nothing_left)
    if not (cancels or reconciliation.changed):
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
    return RebalanceResult(inputs, evaluation, cancels, canceled, placed)


def decision_inputs(
    strategy: Strategy,
    *,
    balances: Mapping[str, Balance],
    prices: Mapping[str, Decimal],
    rules: Mapping[str, MarketRules],
    blocked: Collection[str],
    pauses: budgets.PausedPairs,
    now: int,
    resting: Sequence[RestingOrder] = (),
) -> DecisionInputs:
    """What the engine is given, whoever asks it: a run, a preview, or what shows where an account stands.

    ``blocked`` are the pairs that get no order, ``resting`` this system's own orders, to be reviewed at ``now`` (epoch
    seconds).
    """
    return DecisionInputs(
        current_balances=balances,
        target_allocations=strategy.target_allocations,
        market_prices=prices,
        strategy_config=strategy.config(),
        market_rules=rules,
        active_symbols=sorted(blocked),
        paused_symbols=sorted(pauses.symbols),
        buy_paused_symbols=sorted(pauses.buys),
        open_orders=resting,
        now=now,
    )


def evaluate_inputs(inputs: DecisionInputs) -> Evaluation:
    """The engine's decision; a logged one is computed again by this very call."""
    return evaluate(
        inputs.current_balances,
        inputs.target_allocations,
        inputs.market_prices,
        inputs.strategy_config,
        market_rules=inputs.market_rules,
        active_symbols=inputs.active_symbols,
        paused_symbols=inputs.paused_symbols,
        buy_paused_symbols=inputs.buy_paused_symbols,
    )


def review_inputs(inputs: DecisionInputs, evaluation: Evaluation) -> dict[str, CancelReason]:
    """Which of the orders that rest to cancel after ``evaluation``, by client order id."""
    return review_resting_orders(
        inputs.open_orders,
        evaluation,
        inputs.strategy_config,
        inputs.now,
        paused_symbols=inputs.paused_symbols,
        buy_paused_symbols=inputs.buy_paused_symbols,
    )


class _Evaluated(NamedTuple):
    inputs: DecisionInputs
    evaluation: Evaluation
    pauses: budgets.PausedPairs


def _evaluate_within_budgets(
    session: AccountSession,
    strategy: Strategy,
    snapshot: Snapshot,
    blocked: Collection[str],
    resting: Sequence[RestingOrder],
    waiting: Mapping[str, RefusedPair],
    *,
    source: Literal["autopilot", "manual"],
    now: int,
) -> _Evaluated:
    """The decision, what it is made of, and what of it is paused: by refusals, and, where nobody executes by hand, by
    budgets."""
    by_hand = source == "manual"

    def evaluate_now() -> _Evaluated:
        of_account = BudgetState() if by_hand else session.state.account_budgets(session.account(strategy.exchange))
        pauses = budgets.PausedPairs.of(waiting, of_account, now)
        inputs = decision_inputs(
            strategy,
            balances=snapshot.balances,
            prices=snapshot.prices,
            rules=snapshot.rules,
            blocked=blocked,
            pauses=pauses,
            resting=resting,
            now=now,
        )
        return _Evaluated(inputs, evaluate_inputs(inputs), pauses)

    if by_hand:
        return evaluate_now()
    budgets.review(session, strategy, snapshot, now)
    decision = evaluate_now()
    bought = {action.symbol for action in decision.evaluation.actions if action.side == "buy"}
    bought |= {order.symbol for order in resting if order.side == "buy"}
    fell = budgets.review_prices(session, strategy, snapshot.prices, bought, now)
    return evaluate_now() if fell else decision


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
            return PlacementResult([], evaluation.actions, error)
    return place_actions(
        session,
        strategy,
        evaluation.actions,
        snapshot.rules,
        ts_tick=ts_tick,
        source=source,
        prices_expire_at=snapshot.prices_expire_at,
    )


def place_actions(
    session: AccountSession,
    strategy: Strategy,
    actions: Sequence[Action],
    rules: Mapping[str, MarketRules],
    *,
    ts_tick: int,
    source: Literal["autopilot", "manual"],
    prices_expire_at: int,
) -> PlacementResult:
    """Place the actions of one decision, one after the other.

    An action whose intent exists already is another run's: its order is returned, and nothing is sent. Where an intent
    cannot be written as things are, its prices are too old (``prices_expire_at``, in epoch seconds), time runs out, or
    the exchange refuses the key or limits requests, nothing more is sent.
    """
    orders: list[Order] = []
    for index, action in enumerate(actions):
        intent = _intent(
            strategy,
            action,
            rules[action.symbol],
            ts_tick=ts_tick,
            order_index=index,
            source=source,
            now=session.context.clock(),
        )
        try:
            session.context.deadline.require(SEND_AND_SETTLE_S)
            _require_fresh_prices(prices_expire_at, intent.placed_at)
            exchange = session.exchange(strategy.exchange, [action.symbol])
            is_new = write_intent(session, intent, strategy)
            session.context.deadline.require(SEND_AND_SETTLE_S)  # the write may have taken long
        except (TransientError, ConflictError) as error:
            return PlacementResult(orders, actions[index:], error)
        if not is_new:
            orders.append(session.context.orders.get(strategy.user_id, intent.client_order_id))
            continue
        submitted = exchange.place_order(_order_request(intent, post_only=strategy.post_only))
        order, stopped_by = record_submission(session, intent, submitted)
        orders.append(order)
        if stopped_by is not None:
            return PlacementResult(orders, actions[index + 1 :], stopped_by)
    return PlacementResult(orders, [], None)


def write_intent(session: AccountSession, intent: Order, strategy: Strategy) -> bool:
    """Write an intent that was decided by ``strategy``. False where it exists already.

    Raises ConflictError where the strategy was changed, the autopilot switched or trading halted meanwhile, or the
    lease is somebody else's by now. Raises TransientError where the intent is not known to be written. Nothing may
    be sent then.
    """
    context = session.context
    context.require_no_halt()
    session.remember(no_unreconciled_orders=False)
    is_new = context.orders.create(intent, session.lease, context.strategies.unchanged_condition(strategy))
    if is_new:
        account = session.account(intent.exchange)
        session.remember_budgets(account, with_order_placed(session.state.account_budgets(account), intent))
    return is_new


def _intent(
    strategy: Strategy,
    action: Action,
    market: MarketRules,
    *,
    ts_tick: int,
    order_index: int,
    source: Literal["autopilot", "manual"],
    now: int,
) -> Order:
    return Order(
        user_id=strategy.user_id,
        client_order_id=canonical_client_order_id(strategy.user_id, action.symbol, action.side, ts_tick, order_index),
        exchange=strategy.exchange,
        symbol=action.symbol,
        base=market.base,
        quote=market.quote,
        side=action.side,
        limit_price=action.limit_price,
        base_qty=action.base_qty,
        quote_amount=action.quote_amount,
        source=source,
        ts_tick=ts_tick,
        order_index=order_index,
        placed_at=now,
        updated_at=now,
    )


def _order_request(intent: Order, *, post_only: bool) -> OrderRequest:
    return OrderRequest(
        symbol=intent.symbol,
        side=intent.side,
        limit_price=intent.limit_price,
        base_qty=intent.base_qty,
        client_order_id=intent.client_order_id,
        post_only=post_only,
    )


def _require_fresh_prices(expire_at: int, now: int) -> None:
    if now > expire_at:
        raise TransientError(PRICES_EXPIRED, f"prices expired {now - expire_at} s ago; the next run takes fresh ones")


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
