"""Changing what a user wants."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botbalance.engine import (
    BudgetLimits,
    Evaluation,
    InvalidInputError,
    InvalidStrategyError,
    StrategyWarning,
    WarningCode,
    format_decimal,
    raise_together,
    validate_strategy,
    validate_targets,
)
from botbalance.engine.valuation import pair_symbol
from botbalance.errors import BotBalanceError
from botbalance.models.activity import ActivityKind
from botbalance.models.strategy import Strategy
from botbalance.trading.context import TradingContext
from botbalance.trading.orders import require_no_active_orders
from botbalance.trading.paper import forget_look
from botbalance.trading.plan import Plan, preview_plan
from botbalance.trading.preflight import require_ready
from botbalance.trading.session import open_session
from botbalance.trading.trail import strategy_change

_SWITCHES = frozenset({"autopilot_enabled", "disabled_reason", "stopping"})
"""What of a strategy is none of its parameters."""
MOST_ASSETS = 50
"""A decision has to be made, and logged, in one tick."""


@dataclass(frozen=True, slots=True)
class SavedStrategy:
    """A strategy as stored, and what its owner should know of how it fits the account now.

    ``check_error`` says why the warnings could not be computed; None where they were.
    """

    strategy: Strategy
    warnings: tuple[StrategyWarning, ...]
    check_error: str | None


def save_strategy(
    context: TradingContext, user_id: str, parameters: Mapping[str, Any], stored: Strategy | None
) -> SavedStrategy:
    """Store ``parameters`` over ``stored``, the user's strategy as just read; the autopilot stays as it was.

    Raises InvalidStrategyError for numbers that cannot be, InvalidRequestError for pairs that the exchange does not
    list and ConflictError for another exchange while orders rest on the old one, or where somebody else was faster.
    While the autopilot is on, another exchange has to pass its check first: paper becomes money there.
    """
    kept = stored.model_dump(include={"version", *_SWITCHES}) if stored else {}
    strategy = _validated(context, user_id, {**parameters, **kept})
    if stored is None or stored.exchange == strategy.exchange:
        return _save(context, strategy, stored)
    with open_session(context, user_id) as session:  # so that no run places an order that the old exchange keeps
        require_no_active_orders(context, user_id, stored.exchange)
        if strategy.autopilot_enabled:
            require_ready(context, preview_plan(context, strategy))
        saved = _save(context, strategy, stored)
        forget_look(session)
        return saved


def preview_strategy(context: TradingContext, user_id: str, parameters: Mapping[str, Any]) -> Plan:
    """What would be traded now with ``parameters`` as the strategy; stores nothing.

    Raises what :func:`save_strategy` raises for what cannot be, and NotFoundError without a key.
    """
    strategy = _validated(context, user_id, parameters)
    _require_markets(context, strategy)
    plan = preview_plan(context, strategy)
    _require_some_order(strategy, plan.evaluation)
    return plan


def patch_strategy(
    context: TradingContext, user_id: str, changes: Mapping[str, Any], stored: Strategy
) -> SavedStrategy:
    """Change only what ``changes`` name, as :func:`save_strategy` does.

    Targets are merged by asset, and one that is None is dropped (RFC 7396); the limits of budgets one by one.
    """
    parameters = stored.model_dump(exclude={"schema_version", "version", *_SWITCHES})
    targets: dict[str, Any] = parameters["target_allocations"] | changes.get("target_allocations", {})
    kept = {asset: target for asset, target in targets.items() if target is not None}
    budgets = parameters["budgets"] | changes.get("budgets", {})
    merged = {"target_allocations": kept, "budgets": budgets}
    return save_strategy(context, user_id, {**parameters, **changes, **merged}, stored)


def _validated(context: TradingContext, user_id: str, parameters: Mapping[str, Any]) -> Strategy:
    """The strategy that ``parameters`` describe; raises InvalidStrategyError for numbers that cannot be."""
    limits = parameters.get("budgets", {})
    budgets = BudgetLimits(**limits) if isinstance(limits, Mapping) else limits  # which says itself what cannot be
    strategy = Strategy.model_validate(
        {**parameters, "budgets": budgets, "user_id": user_id, "updated_at": context.clock()}
    )
    if len(strategy.target_allocations) > MOST_ASSETS:
        raise InvalidStrategyError(
            "target_allocations", f"{len(strategy.target_allocations)} assets", f"at most {MOST_ASSETS}"
        )
    raise_together([*_errors(lambda: validate_targets(strategy.target_allocations)), *_errors(strategy.config)])
    validate_strategy(strategy.target_allocations, strategy.config())
    return strategy


def _errors(check: Callable[[], object]) -> tuple[InvalidStrategyError, ...]:
    """What ``check`` finds wrong, all of it."""
    try:
        check()
    except InvalidStrategyError as error:
        return error.errors
    return ()


def _require_markets(context: TradingContext, strategy: Strategy) -> None:
    """Raise InvalidRequestError or InvalidStrategyError where the exchange does not list a pair of the strategy."""
    # Its markets may have to be asked for.
    context.clients.refresh_limits([(strategy.user_id, strategy.exchange)])
    rules = context.portfolio.market_rules(strategy.exchange, strategy.symbols())
    for asset in strategy.target_allocations:
        if asset != strategy.quote_asset and rules[pair_symbol(asset, strategy.quote_asset)].base != asset:
            raise InvalidStrategyError("target_allocations", asset, f"an asset with a market in {strategy.quote_asset}")


def _save(context: TradingContext, strategy: Strategy, stored: Strategy | None) -> SavedStrategy:
    """Store ``strategy`` where its exchange lists its pairs, with what does not fit about it."""
    _require_markets(context, strategy)
    warnings, check_error = preview_warnings(context, strategy)
    action = ActivityKind.STRATEGY_CREATED if stored is None else ActivityKind.STRATEGY_CHANGED
    told = context.activity.transact_put(strategy_change(context, action, stored, strategy))
    return SavedStrategy(context.strategies.save(strategy, told), warnings, check_error)


def preview_warnings(context: TradingContext, strategy: Strategy) -> tuple[tuple[StrategyWarning, ...], str | None]:
    """How the strategy fits the account and its markets now; raises InvalidStrategyError where it never can."""
    try:
        evaluation = preview_plan(context, strategy).evaluation
    except (BotBalanceError, InvalidInputError) as error:
        return (), str(error)
    _require_some_order(strategy, evaluation)
    return evaluation.warnings, None


def _require_some_order(strategy: Strategy, evaluation: Evaluation) -> None:
    """Raise InvalidStrategyError where every market refuses orders of this size, and takes those of a larger one."""
    needed = {
        asset: warning.smallest_order_size_pct
        for warning in evaluation.warnings
        if warning.code is WarningCode.NEVER_TRADES
        for asset in warning.assets
    }
    sizes = [needed.get(asset) for asset in strategy.target_allocations if asset != strategy.quote_asset]
    known = [size for size in sizes if size is not None]
    if known and len(known) == len(sizes):
        expected = f"{format_decimal(min(known))} or more: orders of this size are too small for every market"
        raise InvalidStrategyError("order_size_pct", format_decimal(strategy.order_size_pct), expected)
