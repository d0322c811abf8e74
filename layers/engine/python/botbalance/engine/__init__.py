"""THE DECISION: what to buy, sell, keep and cancel, and what it earned. Pure functions on Decimals.

No network, no clock, no randomness, no state, and no import from the rest of the product.
"""

from botbalance.engine.anomalies import (
    Observation,
    appeared_balances,
    jumped_symbols,
    missing_balances,
    observe,
    observed_nav,
    redenominations,
)
from botbalance.engine.arithmetic import format_decimal
from botbalance.engine.attribution import (
    Bonus,
    bonus_by_asset,
    compute_bonus,
    fill_contribution,
    hold_value,
    hold_value_from_nav,
    net_quantities,
    rebalancing_bonus,
    sum_exactly,
)
from botbalance.engine.budgets import (
    BudgetFinding,
    BudgetLimits,
    BudgetRule,
    Tally,
    count_fill,
    count_placed,
    fee_in_quote,
    finding_id,
    kept_hours,
    review_budgets,
    review_falls,
    with_navs,
)
from botbalance.engine.convergence import (
    Convergence,
    estimate_convergence,
    farthest_symbol,
    hourly_volatility_pct,
)
from botbalance.engine.decision import Action, RebalanceDecision
from botbalance.engine.errors import InvalidInputError, InvalidStrategyError, PriceUnavailableError, raise_together
from botbalance.engine.evaluation import AssetRow, Evaluation, StrategyWarning, WarningCode
from botbalance.engine.fills import Fill, fillable_qty, new_fill, trades_through
from botbalance.engine.ledger import InsufficientBalanceError, book_fill, lock, release, transfer
from botbalance.engine.market_rules import MarketRules, Side, SkipReason
from botbalance.engine.no_trade_region import AssetBounds, NoTradeRegion, compute_no_trade_region, contains
from botbalance.engine.rebalance import compute_rebalance_actions, decide, evaluate
from botbalance.engine.stale_orders import CancelReason, RestingOrder, review_resting_orders
from botbalance.engine.strategy import StrategyConfig, band_quote, validate_strategy
from botbalance.engine.valuation import Balance, validate_targets

VERSION = "4"
"""Raised whenever the same inputs would give a different decision; logged with every decision."""

__all__ = [
    "VERSION",
    "Action",
    "AssetBounds",
    "AssetRow",
    "Balance",
    "Bonus",
    "BudgetFinding",
    "BudgetLimits",
    "BudgetRule",
    "CancelReason",
    "Convergence",
    "Evaluation",
    "Fill",
    "InsufficientBalanceError",
    "InvalidInputError",
    "InvalidStrategyError",
    "MarketRules",
    "NoTradeRegion",
    "Observation",
    "PriceUnavailableError",
    "RebalanceDecision",
    "RestingOrder",
    "Side",
    "SkipReason",
    "StrategyConfig",
    "StrategyWarning",
    "Tally",
    "WarningCode",
    "appeared_balances",
    "band_quote",
    "bonus_by_asset",
    "book_fill",
    "compute_bonus",
    "compute_no_trade_region",
    "compute_rebalance_actions",
    "contains",
    "count_fill",
    "count_placed",
    "decide",
    "estimate_convergence",
    "evaluate",
    "farthest_symbol",
    "fee_in_quote",
    "fill_contribution",
    "fillable_qty",
    "finding_id",
    "format_decimal",
    "hold_value",
    "hold_value_from_nav",
    "hourly_volatility_pct",
    "jumped_symbols",
    "kept_hours",
    "lock",
    "missing_balances",
    "net_quantities",
    "new_fill",
    "observe",
    "observed_nav",
    "raise_together",
    "rebalancing_bonus",
    "redenominations",
    "release",
    "review_budgets",
    "review_falls",
    "review_resting_orders",
    "sum_exactly",
    "trades_through",
    "transfer",
    "validate_strategy",
    "validate_targets",
    "with_navs",
]
