"""One tick of one user: reconcile, look, decide, cancel, place, log."""

from collections.abc import Collection
from typing import Any

from pydantic_core import to_jsonable_python

from botbalance import engine
from botbalance.engine import InvalidInput, RestingOrder, StrategyConfig, review_resting_orders
from botbalance.errors import BotBalanceError, CallOwner, Conflict, MendRequest, TryAgainLater, WaitUntilAllowed
from botbalance.portfolio import Snapshot, evaluate_snapshot
from botbalance.store.decisions import Decision
from botbalance.store.orders import Order
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import TICK_SECONDS, Desk
from botbalance.trading.placement import cancel, place_actions
from botbalance.trading.reconcile import reconcile


def strategy_tick(desk: Desk, user_id: str, ts_tick: int) -> Decision | None:
    """Tick ``user_id`` once for ``ts_tick`` (epoch seconds, on the grid); returns the logged decision.

    None where the autopilot is off, where another worker has the tick, and where it is older than its period.
    What keeps a decision from being made is its logged reason; a key that only its owner can mend switches the
    autopilot off.
    """
    if desk.clock() > ts_tick + TICK_SECONDS:
        return None
    strategy = desk.strategies.find(user_id)
    if strategy is None or not strategy.autopilot_enabled or not desk.decisions.claim(user_id, ts_tick):
        return None
    try:
        with desk.leases.held(user_id, desk.clock):
            decision = _decide_and_trade(desk, strategy, ts_tick)
    except CallOwner as error:
        _switch_off(desk, user_id, error)
        decision = _skipped(desk, strategy, ts_tick, f"autopilot switched off: {error}")
    except (BotBalanceError, InvalidInput) as error:
        decision = _skipped(desk, strategy, ts_tick, str(error))
    desk.decisions.log(decision)
    return decision


def _decide_and_trade(desk: Desk, strategy: Strategy, ts_tick: int) -> Decision:
    config = strategy.config()
    account = desk.accounts.of(strategy.user_id, strategy.exchange)
    snapshot = desk.portfolio.snapshot(account, strategy.symbols(), fresh=False)
    unsettled = reconcile(desk, account, strategy, snapshot.open_orders)
    blocked = snapshot.active_symbols() | {order.symbol for order in unsettled}
    evaluation = evaluate_snapshot(snapshot, strategy.target_allocations, config, blocked)
    active = [order for order in unsettled if order.may_trade]
    resting, now = [_resting(order) for order in active], desk.clock()
    cancels = review_resting_orders(resting, evaluation, config, now)
    troubles: list[BotBalanceError] = []
    for order in active:
        if order.client_order_id in cancels:
            try:
                cancel(desk, account, order, cancels[order.client_order_id])
            except WaitUntilAllowed:
                raise
            except (TryAgainLater, MendRequest, Conflict) as error:  # its pair stays blocked; the next tick looks again
                troubles.append(error)
    placed = place_actions(
        desk, account, strategy, evaluation.actions, snapshot.rules, ts_tick=ts_tick, source="autopilot"
    )
    if placed.stopped_by is not None:
        troubles.append(placed.stopped_by)
    if isinstance(placed.stopped_by, CallOwner):
        _switch_off(desk, strategy.user_id, placed.stopped_by)
    return Decision(
        user_id=strategy.user_id,
        ts_tick=ts_tick,
        decided_at=desk.clock(),
        outcome="decided",
        reason="; ".join(map(str, troubles)) or None,
        engine_version=engine.VERSION,
        inputs=_inputs(strategy, config, snapshot, blocked) | to_jsonable_python({"open_orders": resting, "now": now}),
        evaluation=to_jsonable_python(evaluation),
        canceled={client_order_id: str(reason) for client_order_id, reason in cancels.items()},
        placed=[order.model_dump(mode="json") for order in placed.orders],
    )


def _switch_off(desk: Desk, user_id: str, error: CallOwner) -> None:
    """Switch the autopilot off, with the reason; whatever else of the strategy is changed meanwhile stays."""
    switched_off = {"autopilot_enabled": False, "disabled_reason": str(error), "updated_at": desk.clock()}
    try:
        desk.strategies.save(desk.strategies.get(user_id).model_copy(update=switched_off))
    except Conflict:
        desk.strategies.save(desk.strategies.get(user_id).model_copy(update=switched_off))


def _inputs(
    strategy: Strategy, config: StrategyConfig, snapshot: Snapshot, active_symbols: Collection[str]
) -> dict[str, Any]:
    """Everything that the engine was given, under its parameters' names; money as strings."""
    inputs: dict[str, Any] = to_jsonable_python(
        {
            "current_balances": snapshot.balances,
            "target_allocations": strategy.target_allocations,
            "market_prices": snapshot.prices,
            "strategy_config": config,
            "market_rules": snapshot.rules,
            "active_symbols": sorted(active_symbols),
        }
    )
    return inputs


def _skipped(desk: Desk, strategy: Strategy, ts_tick: int, reason: str) -> Decision:
    return Decision(
        user_id=strategy.user_id,
        ts_tick=ts_tick,
        decided_at=desk.clock(),
        outcome="skipped",
        reason=reason,
        engine_version=engine.VERSION,
    )


def _resting(order: Order) -> RestingOrder:
    return RestingOrder(order.client_order_id, order.symbol, order.side, order.limit_price, order.placed_at)
