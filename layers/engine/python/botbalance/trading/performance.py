"""Performance: what the portfolio is worth against what it would be had nothing been traded, exactly.

Deposits and withdrawals are in both figures, so they are no profit. Where a price or a fill is not known, the answer
is that it cannot be known now, and why, not a number.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import Bonus, InvalidInputError, bonus_of, hold_value_from_nav
from botbalance.engine.arithmetic import ONE
from botbalance.errors import BotBalanceError, InvalidRequestError, TransientError
from botbalance.exchange.adapter import ExchangeAdapter
from botbalance.models.order import Order, OrderFill
from botbalance.models.strategy import Strategy
from botbalance.trading.context import TradingContext
from botbalance.trading.orders import refresh_orders
from botbalance.trading.plan import Plan, preview


@dataclass(frozen=True, slots=True)
class Performance:
    """``fills`` are all of this account's, newest first, as ``bonus.by_fill`` is."""

    plan: Plan
    hold_quote: Decimal
    bonus: Bonus
    fills: list[tuple[Order, OrderFill]]


def performance(context: TradingContext, user_id: str) -> Performance:
    """How rebalancing has done so far; raises TransientError or InvalidRequestError where that cannot be known, with
    the reason.

    Also NotFoundError without a strategy or a key.
    """
    strategy = context.strategies.get(user_id)
    refresh_orders(context, user_id)
    plan = preview(context, user_id)
    account = context.clients.get(user_id, strategy.exchange)
    orders = [order for order in context.orders.iter_all(user_id) if order.exchange == strategy.exchange]
    _require_all_booked(account, plan.snapshot, orders)
    newest_first = sorted(
        (
            (order, fill, engine_fill)
            for order in orders
            for fill, engine_fill in zip(order.fills, order.as_engine_fills(), strict=True)
        ),
        key=lambda one: one[1].traded_at_ms,
        reverse=True,
    )
    traded = {asset for _, _, fill in newest_first for asset in (fill.base, fill.quote, fill.fee_asset)}
    prices = _prices(context, strategy, plan, traded)
    try:
        bonus = bonus_of([(day_of(fill), engine_fill) for _, fill, engine_fill in newest_first], prices)
    except InvalidInputError as error:
        raise InvalidRequestError("price_unavailable", str(error)) from error
    return Performance(
        plan, hold_value_from_nav(plan.evaluation.nav, bonus), bonus, [(order, fill) for order, fill, _ in newest_first]
    )


def _require_all_booked(account: ExchangeAdapter, snapshot: Snapshot, orders: Collection[Order]) -> None:
    """Raise TransientError while balances may show a trade that is not booked yet, or the other way round."""
    after = {order.exchange_order_id: order for order in account.open_orders()}
    if after != {order.exchange_order_id: order for order in snapshot.open_orders}:
        raise TransientError("trade_under_way", "orders were trading while the account was read; ask again")
    resting = {order.client_order_id: order.filled_qty for order in after.values()}
    for order in orders:
        if not order.fills_complete or (
            order.is_active and resting.get(account.exchange_client_order_id(order.client_order_id)) != order.filled_qty
        ):
            message = f"what became of order {order.client_order_id} is not booked yet; ask again after the next tick"
            raise TransientError("trade_under_way", message)


def _prices(context: TradingContext, strategy: Strategy, plan: Plan, traded: Collection[str]) -> dict[str, Decimal]:
    """The price of every managed and every ``traded`` asset, in the quote asset, the same as the plan's."""
    prices = {row.asset: row.price for row in plan.evaluation.rows if row.price is not None}
    prices[strategy.quote_asset] = ONE
    further = {f"{asset}{strategy.quote_asset}": asset for asset in traded if asset not in prices}
    if further:
        try:
            found = context.portfolio.prices(strategy.exchange, list(further))
        except (BotBalanceError, InvalidInputError) as error:
            raise InvalidRequestError("price_unavailable", f"what was traded has no price now: {error}") from error
        prices |= {further[symbol]: price for symbol, price in found.items()}
    return prices


def day_of(fill: OrderFill) -> str:
    """The day of a fill, in UTC: 2026-01-31."""
    return datetime.fromtimestamp(fill.traded_at_ms // 1000, UTC).date().isoformat()
