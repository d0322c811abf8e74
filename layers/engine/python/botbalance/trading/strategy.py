"""Changing what a user wants: the strategy, and whether the autopilot trades it."""

from typing import Any

from botbalance.engine import InvalidStrategy, require_allocations
from botbalance.errors import Conflict
from botbalance.log import logger
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import Desk
from botbalance.trading.doubts import note_look
from botbalance.trading.plan import preview


def change_strategy(desk: Desk, user_id: str, parameters: dict[str, Any]) -> Strategy:
    """Store ``parameters`` as the user's strategy; the autopilot stays as it was.

    Raises InvalidStrategy for numbers that cannot be, MendRequest for pairs that the exchange does not list and
    Conflict for another exchange while orders rest on the old one.
    """
    stored = desk.strategies.find(user_id)
    kept = stored.model_dump(include={"version", "autopilot_enabled", "disabled_reason"}) if stored else {}
    strategy = Strategy.model_validate(parameters | kept | {"user_id": user_id, "updated_at": desk.clock()})
    strategy.config()
    require_allocations(strategy.target_allocations)
    if stored and stored.exchange != strategy.exchange:
        _require_no_orders(desk, user_id, stored.exchange)
    desk.accounts.keys_of([(user_id, strategy.exchange)])  # for the limits: its markets may have to be asked for
    rules = desk.portfolio.market_rules(strategy.exchange, strategy.symbols())
    for asset in strategy.target_allocations:
        if asset != strategy.quote_asset and rules[asset + strategy.quote_asset].base != asset:
            raise InvalidStrategy("target_allocations", asset, f"an asset with a market in {strategy.quote_asset}")
    return desk.strategies.save(strategy)


def require_key_unused(desk: Desk, user_id: str, exchange: str) -> None:
    """Raise Conflict while the autopilot trades with the key, or orders rest that nobody could cancel without it."""
    strategy = desk.strategies.find(user_id)
    if strategy is not None and strategy.exchange == exchange:
        if strategy.autopilot_enabled:
            raise Conflict("autopilot_enabled", "the autopilot trades with this key; switch it off first")
        _require_no_orders(desk, user_id, exchange)


def switch_autopilot(desk: Desk, user_id: str, *, enabled: bool) -> Strategy:
    """Switch the autopilot; on only where a decision can be made now, otherwise raises what stands in its way.

    What is seen then is what the first tick compares its own look with.
    """
    strategy = desk.strategies.get(user_id)
    if enabled:
        snapshot = preview(desk, user_id).snapshot
        try:
            with desk.lease_of(user_id) as lease:
                note_look(lease, strategy, snapshot, desk.clock())
        except Conflict as error:  # the run that works on the account notes its own look
            logger.info("look not noted", user_id=user_id, reason=str(error))
    changes = {"autopilot_enabled": enabled, "disabled_reason": None, "updated_at": desk.clock()}
    return desk.strategies.save(strategy.model_copy(update=changes))


def _require_no_orders(desk: Desk, user_id: str, exchange: str) -> None:
    if any(order.may_trade for order in desk.orders.watched(user_id)):
        raise Conflict("orders_resting", f"orders rest on {exchange}; DELETE orders/ first")
