"""THE DECISION: what to buy, sell, keep and cancel, and what it earned. Pure functions on Decimals.

No network, no clock, no randomness, no state, and no import from the rest of the product.
"""

from botbalance.engine.bonus import Bonus, bonus_of, fill_contribution, hold_value, rebalancing_bonus, value_without
from botbalance.engine.doubts import Look, jumped_symbols, look_at, vanished_assets
from botbalance.engine.errors import InvalidInput, InvalidStrategy, PriceUnavailable
from botbalance.engine.fills import Fill, fill_of, trades_through
from botbalance.engine.quiet import AssetBounds, QuietBounds, is_quiet, quiet_bounds
from botbalance.engine.rebalance import (
    Action,
    AssetRow,
    Evaluation,
    StrategyConfig,
    Warning,  # noqa: A004 - the field's word
    WarningCode,
    compute_rebalance_actions,
    evaluate,
)
from botbalance.engine.resting import CancelReason, RestingOrder, review_resting_orders
from botbalance.engine.rules import HoldReason, MarketRules, NormalizedOrder, Side
from botbalance.engine.valuation import Balance, require_allocations

VERSION = "2"
"""Raised whenever the same inputs would give a different decision; logged with every decision."""

__all__ = [
    "VERSION",
    "Action",
    "AssetBounds",
    "AssetRow",
    "Balance",
    "Bonus",
    "CancelReason",
    "Evaluation",
    "Fill",
    "HoldReason",
    "InvalidInput",
    "InvalidStrategy",
    "Look",
    "MarketRules",
    "NormalizedOrder",
    "PriceUnavailable",
    "QuietBounds",
    "RestingOrder",
    "Side",
    "StrategyConfig",
    "Warning",
    "WarningCode",
    "bonus_of",
    "compute_rebalance_actions",
    "evaluate",
    "fill_contribution",
    "fill_of",
    "hold_value",
    "is_quiet",
    "jumped_symbols",
    "look_at",
    "quiet_bounds",
    "rebalancing_bonus",
    "require_allocations",
    "review_resting_orders",
    "trades_through",
    "value_without",
    "vanished_assets",
]
