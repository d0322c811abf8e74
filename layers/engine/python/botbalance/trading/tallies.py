"""Counting for the budgets what is placed and filled: once each, in the hour in which it was."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from botbalance.engine import Tally, count_fill, count_placed, fee_in_quote
from botbalance.models.account_state import BudgetState
from botbalance.models.order import Order, OrderFill

_NO_PRICES: dict[str, Decimal] = {}


def with_order_placed(budgets: BudgetState, order: Order) -> BudgetState:
    """``budgets`` with an order more that is being sent."""
    return _with_hours(budgets, order, count_placed(_hours(budgets, order), order.placed_at))


def with_fills(
    budgets: BudgetState, order: Order, fills: Sequence[OrderFill], prices: Mapping[str, Decimal]
) -> BudgetState:
    """``budgets`` with more fills of ``order``, in which they are the last ones; fees valued at ``prices``."""
    hours: Mapping[int, Tally] = _hours(budgets, order)
    is_first = len(fills) == len(order.fills)
    engine_fills = order.model_copy(update={"fills": tuple(fills)}).as_engine_fills()
    for booked, fill in zip(fills, engine_fills, strict=True):
        fee_quote = fee_in_quote(fill, prices)
        hours = count_fill(hours, fill, fee_quote, booked.traded_at_ms // 1000, is_first=is_first)
        is_first = False
    return _with_hours(budgets, order, hours)


def counted_anew(budgets: BudgetState, orders: Iterable[Order], prices: Mapping[str, Decimal]) -> BudgetState:
    """``budgets`` with everything counted from ``orders``, the account's whole book."""
    counted = budgets.model_copy(update={"tallies": {}})
    for order in orders:
        counted = with_fills(with_order_placed(counted, order), order, order.fills, prices)
    return counted


def _hours(budgets: BudgetState, order: Order) -> Mapping[int, Tally]:
    return budgets.tallies.get(order.exchange, {}).get(order.symbol, {})


def _with_hours(budgets: BudgetState, order: Order, hours: Mapping[int, Tally]) -> BudgetState:
    pairs = budgets.tallies.get(order.exchange, {}) | {order.symbol: dict(hours)}
    return budgets.model_copy(update={"tallies": budgets.tallies | {order.exchange: pairs}})
