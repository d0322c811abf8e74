"""Changing what a user wants: the strategy, whether the autopilot trades it, and the switch that stops everything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botbalance.engine import InvalidInputError, InvalidStrategyError, StrategyWarning, validate_strategy
from botbalance.errors import BotBalanceError, ConflictError
from botbalance.log import logger
from botbalance.store.orders import Order
from botbalance.store.strategies import Strategy
from botbalance.trading.check import require_ready
from botbalance.trading.desk import Desk
from botbalance.trading.doubts import note_look
from botbalance.trading.orders import cancel_every
from botbalance.trading.plan import preview, preview_of

MOST_ASSETS = 50
"""A decision has to be made, and logged, in one tick."""
STOP_ATTEMPTS_S = (0, 1, 2, 4, 8)
"""Waits before the orders are cancelled, as long as a run that works on the account has to end first."""


@dataclass(frozen=True, slots=True)
class SavedStrategy:
    """A strategy as stored, and what its owner should know of how it fits the account now.

    ``not_checked`` says why nobody could tell how it fits; None where somebody could.
    """

    strategy: Strategy
    warnings: tuple[StrategyWarning, ...]
    not_checked: str | None


def change_strategy(desk: Desk, user_id: str, parameters: Mapping[str, Any], stored: Strategy | None) -> SavedStrategy:
    """Store ``parameters`` over ``stored``, the user's strategy as just read; the autopilot stays as it was.

    Raises InvalidStrategyError for numbers that cannot be, InvalidRequestError for pairs that the exchange does not
    list and ConflictError for another exchange while orders rest on the old one, or where somebody else was faster.
    """
    kept = stored.model_dump(include={"version", "autopilot_enabled", "disabled_reason"}) if stored else {}
    strategy = Strategy.model_validate({**parameters, **kept, "user_id": user_id, "updated_at": desk.clock()})
    config = strategy.config()
    if len(strategy.target_allocations) > MOST_ASSETS:
        raise InvalidStrategyError(
            "target_allocations", f"{len(strategy.target_allocations)} assets", f"at most {MOST_ASSETS}"
        )
    validate_strategy(strategy.target_allocations, config)
    if stored and stored.exchange != strategy.exchange:
        require_no_orders(desk, user_id, stored.exchange)
    desk.accounts.keys_of([(user_id, strategy.exchange)])  # for the limits: its markets may have to be asked for
    rules = desk.portfolio.market_rules(strategy.exchange, strategy.symbols())
    for asset in strategy.target_allocations:
        if asset != strategy.quote_asset and rules[asset + strategy.quote_asset].base != asset:
            raise InvalidStrategyError("target_allocations", asset, f"an asset with a market in {strategy.quote_asset}")
    warnings, not_checked = _fits(desk, strategy)
    return SavedStrategy(desk.strategies.save(strategy), warnings, not_checked)


def amend_strategy(desk: Desk, user_id: str, changes: Mapping[str, Any], stored: Strategy) -> SavedStrategy:
    """Change only what ``changes`` name, as :func:`change_strategy` does.

    Targets are merged by asset, and one that is None is dropped (RFC 7396).
    """
    parameters = stored.model_dump(exclude={"schema_version", "version", "autopilot_enabled", "disabled_reason"})
    targets: dict[str, Any] = parameters["target_allocations"] | changes.get("target_allocations", {})
    kept = {asset: target for asset, target in targets.items() if target is not None}
    return change_strategy(desk, user_id, {**parameters, **changes, "target_allocations": kept}, stored)


def switch_autopilot(desk: Desk, user_id: str, *, enabled: bool) -> Strategy:
    """Switch the autopilot; on only where a decision can be made now and every check passes.

    Otherwise raises what stands in its way. What is seen then is what the first tick compares its own look with.
    """
    strategy = desk.strategies.get(user_id)
    if enabled:
        desk.require_no_halt()
        plan = preview(desk, user_id)
        require_ready(desk, plan)
        try:
            with desk.lease_of(user_id) as lease:
                note_look(lease, strategy, plan.snapshot, desk.clock())
        except ConflictError as error:  # the run that works on the account notes its own look
            logger.info("look not noted", user_id=user_id, reason=str(error))
    changes = {"autopilot_enabled": enabled, "disabled_reason": None, "updated_at": desk.clock()}
    return desk.strategies.save(strategy.model_copy(update=changes))


def stop(desk: Desk, user_id: str) -> list[Order]:
    """Switch the autopilot off and cancel every resting order of this system; returns these as they then stand.

    A run that works on the account at the moment is waited for. Safe to repeat. Raises what kept an order from being
    cancelled; the autopilot is off then all the same.
    """
    for wait_s in STOP_ATTEMPTS_S:
        desk.sleep(wait_s)
        try:
            strategy = desk.strategies.find(user_id)
            if strategy is not None and strategy.autopilot_enabled:
                switch_autopilot(desk, user_id, enabled=False)
            return cancel_every(desk, user_id)
        except ConflictError as error:  # somebody changes the strategy, or works on the account, just now
            busy = error
    raise busy


def require_no_orders(desk: Desk, user_id: str, exchange: str) -> None:
    """Raise ConflictError while orders rest that nobody could look after any more."""
    if any(order.may_trade for order in desk.orders.watched(user_id)):
        raise ConflictError("orders_resting", f"orders rest on {exchange}; DELETE orders/ first")


def _fits(desk: Desk, strategy: Strategy) -> tuple[tuple[StrategyWarning, ...], str | None]:
    """How the strategy fits the account and its markets now; raises InvalidStrategyError where it never can."""
    try:
        return preview_of(desk, strategy).evaluation.warnings, None
    except InvalidStrategyError:
        raise
    except (BotBalanceError, InvalidInputError) as error:
        return (), str(error)
