"""Performance: what the portfolio is worth against what it would be worth had nothing been traded, exactly.

Deposits and withdrawals are in both figures, so they are no profit. What was traded on paper counts for that epoch of
the paper account alone. Where a price or a fill is not known, the answer is that it cannot be known now, and why, not a
number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import InvalidInputError, fill_contribution, hold_value_from_nav, sum_exactly
from botbalance.errors import InvalidRequestError, TransientError
from botbalance.exchange.adapter import ExchangeAdapter
from botbalance.models.account_state import FillTotals
from botbalance.models.fill import OrderFill
from botbalance.models.order import Order
from botbalance.trading.bonus import bonus_of_totals, first_unbooked, prices_in_quote, traded_assets
from botbalance.trading.context import TradingContext
from botbalance.trading.orders import refresh_orders
from botbalance.trading.plan import Plan, preview_plan
from botbalance.trading.tallies import sum_fills

NEWEST_ORDERS = 200
"""So many are looked through for the fills that are told one by one."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What the fills of one asset added, in quote, and how many there were."""

    asset: str
    bonus_quote: Decimal
    fills: int


@dataclass(frozen=True, slots=True)
class ValuedFill:
    """What one fill added, in quote, at the prices of now."""

    order: Order
    fill: OrderFill
    bonus_quote: Decimal


@dataclass(frozen=True, slots=True)
class Performance:
    """``by_asset`` adds up to ``bonus_quote``; ``newest`` are only some of the fills, the newest first."""

    plan: Plan
    bonus_quote: Decimal
    by_asset: list[Contribution]
    newest: list[ValuedFill]

    @property
    def hold_quote(self) -> Decimal:
        """What the portfolio would be worth had nothing been traded."""
        return hold_value_from_nav(self.plan.evaluation.nav, self.bonus_quote)


def performance(context: TradingContext, user_id: str) -> Performance:
    """How rebalancing has done so far; raises TransientError or InvalidRequestError where that cannot be known, with
    the reason.

    Also NotFoundError without a strategy or a key.
    """
    strategy = context.strategies.get(user_id)
    refresh_orders(context, user_id)
    plan = preview_plan(context, strategy)
    account = context.find_account(user_id, strategy.exchange)
    totals = _totals(context, user_id, account)
    _require_all_booked(
        context.clients.get(user_id, strategy.exchange), plan.snapshot, context.orders.unreconciled(user_id)
    )
    orders = context.orders.page(user_id, limit=NEWEST_ORDERS, consistent=True).items
    orders = [order for order in orders if order.account == account]
    prices = prices_in_quote(context, strategy, plan.evaluation, traded_assets(totals))
    by_asset = bonus_of_totals(totals, prices)
    return Performance(
        plan,
        sum_exactly(by_asset.values()),
        [Contribution(asset, by_asset[asset], totals[asset].fills) for asset in sorted(by_asset)],
        _newest_first(orders, prices),
    )


def _totals(context: TradingContext, user_id: str, account: str) -> Mapping[str, FillTotals]:
    """Of all fills; summed up anew while a run is under way, or after one died."""
    totals = context.accounts.find_state(user_id).fill_totals
    if totals is None:
        totals = sum_fills(context.orders.iter_all(user_id))
    return totals.get(account, {})


def _require_all_booked(exchange: ExchangeAdapter, snapshot: Snapshot, unreconciled: list[Order]) -> None:
    """Raise TransientError while balances may show a trade that is not booked yet, or the other way round."""
    after = {order.exchange_order_id: order for order in exchange.open_orders()}
    if after != {order.exchange_order_id: order for order in snapshot.open_orders}:
        raise TransientError("trade_under_way", "orders were trading while the account was read; ask again")
    order = first_unbooked(exchange, after.values(), unreconciled)
    if order is not None:
        message = f"what became of order {order.client_order_id} is not booked yet; ask again after the next tick"
        raise TransientError("trade_under_way", message)


def _newest_first(orders: list[Order], prices: Mapping[str, Decimal]) -> list[ValuedFill]:
    try:
        valued = [
            ValuedFill(order, fill, fill_contribution(engine_fill, prices))
            for order in orders
            for fill, engine_fill in zip(order.fills, order.as_engine_fills(), strict=True)
        ]
    except InvalidInputError as error:
        raise InvalidRequestError("price_unavailable", str(error)) from error
    return sorted(valued, key=lambda one: one.fill.traded_at_ms, reverse=True)
