"""Counting for the budgets what is placed and filled: once each, in the hour in which it was."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from botbalance.engine import Tally, count_fill, count_placed, fee_in_quote
from botbalance.models.account_state import BudgetState
from botbalance.models.order import Order, OrderFill
from botbalance.models.paper import PaperAccount, account_name

_NO_PRICES: dict[str, Decimal] = {}


def with_order_placed(budgets: BudgetState, order: Order) -> BudgetState:
    """An account's ``budgets`` with an order more that is being sent."""
    return _with_hours(budgets, order, count_placed(_hours(budgets, order), order.placed_at))


def with_fills(
    budgets: BudgetState, order: Order, fills: Sequence[OrderFill], prices: Mapping[str, Decimal]
) -> BudgetState:
    """An account's ``budgets`` with more ``fills`` of ``order``, its last ones; fees valued at ``prices``."""
    hours: Mapping[int, Tally] = _hours(budgets, order)
    is_first = len(fills) == len(order.fills)
    engine_fills = order.model_copy(update={"fills": tuple(fills)}).as_engine_fills()
    for booked, fill in zip(fills, engine_fills, strict=True):
        fee_quote = fee_in_quote(fill, prices)
        hours = count_fill(hours, fill, fee_quote, booked.traded_at_ms // 1000, is_first=is_first)
        is_first = False
    return _with_hours(budgets, order, hours)


def counted_anew(
    budgets: Mapping[str, BudgetState],
    orders: Iterable[Order],
    prices: Mapping[str, Decimal],
    paper: Mapping[str, PaperAccount],
) -> dict[str, BudgetState]:
    """All accounts' ``budgets`` with everything counted from ``orders``, the user's whole book.

    ``paper`` are the paper accounts as they are now, by exchange: of an epoch that is over nothing counts.
    """
    counted = {account: of_account.model_copy(update={"tallies": {}}) for account, of_account in budgets.items()}
    for order in orders:
        account = _account(order, paper.get(order.exchange))
        if account is not None:
            placed = with_order_placed(counted.get(account, BudgetState()), order)
            counted[account] = with_fills(placed, order, order.fills, prices)
    return counted


def _account(order: Order, paper: PaperAccount | None) -> str | None:
    """The account that the order counts for; None where that is over. One without an id yet was placed in its time."""
    if paper is None:
        return order.account
    account = account_name(order.exchange, paper.epoch)
    if order.exchange_order_id is None:
        return account if order.placed_at >= paper.started_at else None
    return account if order.account == account else None


def _hours(budgets: BudgetState, order: Order) -> Mapping[int, Tally]:
    return budgets.tallies.get(order.symbol, {})


def _with_hours(budgets: BudgetState, order: Order, hours: Mapping[int, Tally]) -> BudgetState:
    return budgets.model_copy(update={"tallies": budgets.tallies | {order.symbol: dict(hours)}})
