"""Which of this system's resting orders to give up. Pure: the caller says what time it is.

An order keeps its place in the exchange's queue for as long as it would be placed again as it is.
"""

from collections.abc import Collection, Iterable
from decimal import Decimal
from enum import StrEnum

from botbalance.engine.arithmetic import HUNDRED, ExactArithmetic
from botbalance.engine.decision import RebalanceDecision, WantedOrder
from botbalance.engine.evaluation import Evaluation
from botbalance.engine.market_rules import Side
from botbalance.engine.record import record
from botbalance.engine.strategy import StrategyConfig

TOLERANCE_STEPS = Decimal(2)
"""How far a reviewed order may be off and stay where the strategy does not say, in steps.

Measured by ``benchmarks/reprice.py``; docs/decisions/0013 has the table.
"""
MOST_TOLERANCE_PCT = Decimal(50)
"""As far as a strategy may say."""


class CancelReason(StrEnum):
    """Why a resting order is given up."""

    STALE_PRICE = "stale_price"
    SIDE_FLIPPED = "side_flipped"
    WITHIN_BAND = "within_band"
    UNMANAGED = "unmanaged"
    PAUSED = "paused"


@record
class RestingOrder:
    """An order of this system that rests on the exchange; ``placed_at`` in epoch seconds."""

    client_order_id: str
    symbol: str
    side: Side
    limit_price: Decimal
    placed_at: int


def review_resting_orders(
    open_orders: Iterable[RestingOrder],
    decision: RebalanceDecision | Evaluation,
    strategy_config: StrategyConfig,
    now: int,
    *,
    paused_symbols: Collection[str] = (),
    buy_paused_symbols: Collection[str] = (),
) -> dict[str, CancelReason]:
    """The client order ids to cancel, each with its reason; ``now`` in epoch seconds.

    Orders younger than ``order_max_age_s`` stay, unless the strategy has dropped their asset or their pair is paused
    (``paused_symbols``; for buys also ``buy_paused_symbols``): those are cancelled at once. An older one stays
    where the decision would trade the same side of its pair at a price within ``reprice_tolerance_pct`` of it.
    ``decision`` may have been made with or without these orders in ``active_symbols``: it says what it would
    trade either way. Pass only orders that this system placed; nobody else's are ever touched.
    """
    wanted = decision.wanted_orders()
    cancels = {}
    with ExactArithmetic():
        tolerance_pct = reprice_tolerance_pct(strategy_config)
        for order in open_orders:
            if is_paused(order, paused_symbols, buy_paused_symbols):
                cancels[order.client_order_id] = CancelReason.PAUSED
            elif order.symbol not in wanted:
                cancels[order.client_order_id] = CancelReason.UNMANAGED
            elif now - order.placed_at < strategy_config.order_max_age_s:
                continue
            elif (reason := _reason_to_cancel(order, wanted[order.symbol], tolerance_pct)) is not None:
                cancels[order.client_order_id] = reason
    return cancels


def is_paused(order: RestingOrder, paused_symbols: Collection[str], buy_paused_symbols: Collection[str]) -> bool:
    """Whether nothing like ``order`` may rest for now."""
    return order.symbol in paused_symbols or (order.side == "buy" and order.symbol in buy_paused_symbols)


def reprice_tolerance_pct(strategy_config: StrategyConfig) -> Decimal:
    """How far, in percent of the new price, a reviewed order may be off and stay. Must run in exact arithmetic.

    >>> reprice_tolerance_pct(StrategyConfig("USDT", Decimal(1), Decimal("0.4"), Decimal(50)))
    Decimal('0.8')
    """
    if strategy_config.reprice_tolerance_pct is None:
        return min(strategy_config.order_step_pct * TOLERANCE_STEPS, MOST_TOLERANCE_PCT)
    return strategy_config.reprice_tolerance_pct


def _reason_to_cancel(order: RestingOrder, wanted: WantedOrder | None, tolerance_pct: Decimal) -> CancelReason | None:
    if wanted is None:
        return CancelReason.WITHIN_BAND
    side, limit_price = wanted
    if side != order.side:
        return CancelReason.SIDE_FLIPPED
    if limit_price is None:
        return CancelReason.STALE_PRICE
    if abs(limit_price - order.limit_price) * HUNDRED > limit_price * tolerance_pct:
        return CancelReason.STALE_PRICE
    return None
