"""Counting what is placed and filled, once each: for the budgets by the hour in which it was, for the bonus in all."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from botbalance.engine import (
    BudgetRule,
    Tally,
    count_fill,
    count_placed,
    fee_in_quote,
    finding_id,
    kept_hours,
    net_quantities,
    with_navs,
)
from botbalance.engine.arithmetic import ZERO
from botbalance.engine.budgets import MONTH_HOURS
from botbalance.engine.durations import HOUR_S
from botbalance.models.account_state import BudgetState, FillTotals, LastLook
from botbalance.models.fill import OrderFill
from botbalance.models.order import Order
from botbalance.models.paper import PaperAccount, account_name

MOST_TALLIES = 2_500
"""So many hours of pairs are remembered before they are added up by days: with 50 pairs that leaves 1,850 at most.

An item of DynamoDB has 400 kB; the most that is counted takes 168, and twice that while it is counted anew.
"""


type TotalsByAccount = dict[str, dict[str, FillTotals]]
"""Of fills, by the account that an order names (an exchange, or an epoch of a paper account) and base asset."""


def sum_fills(orders: Iterable[Order]) -> TotalsByAccount:
    """The totals of the fills of ``orders``."""
    totals: TotalsByAccount = {}
    for order in orders:
        if order.fills:
            totals = add_fills(totals, order)
    return totals


def add_fills(totals: TotalsByAccount, order: Order) -> TotalsByAccount:
    """``totals`` with the fills of ``order``."""
    of_account = totals.get(order.account, {})
    before = of_account.get(order.base, FillTotals())
    after = FillTotals(fills=before.fills + len(order.fills), net=net_quantities(order.as_engine_fills(), before.net))
    return totals | {order.account: of_account | {order.base: after}}


def with_order_placed(budgets: BudgetState, order: Order) -> BudgetState:
    """An account's ``budgets`` with an order more that is being sent."""
    return _with_hours(budgets, order, count_placed(_hours(budgets, order), order.placed_at))


def with_fills(budgets: BudgetState, order: Order, fills: Sequence[OrderFill], look: LastLook | None) -> BudgetState:
    """An account's ``budgets`` with more ``fills`` of ``order``, its last ones.

    Fees are valued at the prices of the last ``look``, and what is traded is measured by its NAV, where it was one at
    this account.
    """
    prices: Mapping[str, Decimal] = {} if look is None else look.prices
    nav = ZERO
    if look is not None and (look.exchange, look.quote_asset) == (order.exchange, order.quote):
        nav = look.nav
    hours: Mapping[int, Tally] = _hours(budgets, order)
    is_first = len(fills) == len(order.fills)
    engine_fills = order.model_copy(update={"fills": tuple(fills)}).as_engine_fills()
    for booked, fill in zip(fills, engine_fills, strict=True):
        fee_quote = fee_in_quote(fill, prices)
        hours = count_fill(hours, fill, fee_quote, booked.traded_at_ms // 1000, is_first=is_first, nav=nav)
        is_first = False
    return _with_hours(budgets, order, hours)


def with_order(
    budgets: Mapping[str, BudgetState],
    order: Order,
    look: LastLook | None,
    paper: PaperAccount | None,
    now: int,
) -> Mapping[str, BudgetState]:
    """All accounts' ``budgets`` with a whole order, where any limit can still ask for it at ``now`` (epoch seconds).

    ``paper`` is its paper account as it is now, if it is one's: of an epoch that is over nothing counts.
    """
    account = _account(order, paper)
    if account is None or max(order.placed_at, order.updated_at) <= now - (MONTH_HOURS + 1) * HOUR_S:
        return budgets
    placed = with_order_placed(budgets.get(account, BudgetState()), order)
    return {**budgets, account: with_fills(placed, order, order.fills, look)}


def with_counted(before: BudgetState, counted: BudgetState) -> BudgetState:
    """An account's budgets as ``before``, with the tallies ``counted`` anew; an hour that was known keeps its NAV."""
    tallies = {symbol: with_navs(hours, before.tallies.get(symbol, {})) for symbol, hours in counted.tallies.items()}
    return before.model_copy(update={"tallies": tallies})


def kept_budgets(budgets: Mapping[str, BudgetState], now: int) -> dict[str, BudgetState]:
    """All accounts' ``budgets`` without the tallies that no limit asks for at ``now`` (epoch seconds) any more.

    What would be too much is added up by days.
    """
    kept = _prune(budgets, now, by_day=False)
    tallies = sum(len(hours) for one in kept.values() for hours in one.tallies.values())
    return kept if tallies <= MOST_TALLIES else _prune(kept, now, by_day=True)


def _prune(budgets: Mapping[str, BudgetState], now: int, *, by_day: bool) -> dict[str, BudgetState]:
    kept = {}
    for account, one in budgets.items():
        pairs = {
            symbol: kept_hours(hours, now, _resumed(one, symbol), by_day=by_day)
            for symbol, hours in one.tallies.items()
        }
        left = one.model_copy(update={"tallies": {symbol: hours for symbol, hours in pairs.items() if hours}})
        if left != BudgetState():
            kept[account] = left
    return kept


def _resumed(budgets: BudgetState, symbol: str) -> list[int]:
    """When any limit on the pair, or on the account, began to count anew."""
    ids = {finding_id(rule, subject) for rule in BudgetRule for subject in (symbol, None)}
    return [at for key, at in budgets.resumed.items() if key in ids]


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
