"""Changing what a user wants: the strategy, and whether the autopilot trades it."""

from typing import Any

from botbalance.engine import require_allocations
from botbalance.errors import Conflict
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import Desk
from botbalance.trading.plan import preview


def change_strategy(desk: Desk, user_id: str, parameters: dict[str, Any]) -> Strategy:
    """Store ``parameters`` as the user's strategy; the autopilot stays as it was.

    Raises InvalidStrategy for numbers that cannot be, MendRequest for pairs that the exchange does not list and
    Conflict for another exchange while orders rest on the old one.
    """
    stored = desk.strategies.find(user_id)
    kept = {"version": stored.version, "autopilot_enabled": stored.autopilot_enabled} if stored else {}
    strategy = Strategy.model_validate(parameters | kept | {"user_id": user_id, "updated_at": desk.clock()})
    strategy.config()
    require_allocations(strategy.target_allocations)
    if stored and stored.exchange != strategy.exchange:
        _require_no_orders(desk, user_id, stored.exchange)
    desk.portfolio.require_listed(strategy.exchange, strategy.symbols())
    return desk.strategies.save(strategy)


def switch_autopilot(desk: Desk, user_id: str, *, enabled: bool) -> Strategy:
    """Switch the autopilot; on only where a decision can be made now, otherwise raises what stands in its way."""
    strategy = desk.strategies.get(user_id)
    if enabled:
        preview(desk, user_id)
    changes = {"autopilot_enabled": enabled, "disabled_reason": None, "updated_at": desk.clock()}
    return desk.strategies.save(strategy.model_copy(update=changes))


def _require_no_orders(desk: Desk, user_id: str, exchange: str) -> None:
    if any(order.may_trade for order in desk.orders.watched(user_id)):
        raise Conflict("orders_resting", f"orders rest on {exchange}; DELETE orders/ before changing the exchange")
