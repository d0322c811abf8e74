"""The shapes of orders, and of what an execution placed."""

from typing import Literal

from botbalance.api.portfolio_schemas import AssetView, assets_of
from botbalance.api.schemas import Answer, Money, Percent
from botbalance.engine import Evaluation, Side
from botbalance.store.orders import Order, OrderStatus


class FillView(Answer):
    """One trade of an order."""

    trade_id: str
    price: Money
    base_qty: Money
    fee: Money
    fee_asset: str
    traded_at_ms: int


class OrderView(Answer):
    """An order from intent to end."""

    client_order_id: str
    exchange_order_id: str | None
    exchange: str
    symbol: str
    side: Side
    status: OrderStatus
    limit_price: Money
    base_qty: Money
    filled_qty: Money
    quote_amount: Money
    fills: list[FillView]
    reason: str | None
    source: Literal["autopilot", "manual"]
    ts_tick: int
    placed_at: int
    updated_at: int


class OrdersView(Answer):
    """A page of orders, newest first."""

    orders: list[OrderView]
    cursor: str | None


class ExecutionView(Answer):
    """What execute decided on fresh facts, and the orders that came of it."""

    nav: Money
    drift_pct: Percent
    orders: list[OrderView]
    assets: list[AssetView]

    @classmethod
    def of(cls, evaluation: Evaluation, orders: list[Order]) -> "ExecutionView":
        """An execution as the API shows it."""
        return cls(
            nav=evaluation.nav,
            drift_pct=evaluation.drift_pct,
            orders=[OrderView.model_validate(order) for order in orders],
            assets=assets_of(evaluation),
        )
