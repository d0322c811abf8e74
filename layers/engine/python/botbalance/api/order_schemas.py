"""The shapes of orders, and of what an execution placed."""

from csv import DictWriter
from datetime import UTC, datetime
from io import StringIO
from typing import Literal

from botbalance.api.fields import Answer, Money, Percent, example, plain
from botbalance.api.portfolio_schemas import AssetView, assets_of
from botbalance.engine import Evaluation, Side
from botbalance.store.orders import Order, OrderStatus


class FillView(Answer):
    """One trade of an order."""

    model_config = example(
        trade_id="1",
        price="43077.51",
        base_qty="0.00464",
        fee="0.00000464",
        fee_asset="BTC",
        traded_at_ms=1769860831250,
    )

    trade_id: str
    price: Money
    base_qty: Money
    fee: Money
    fee_asset: str
    traded_at_ms: int


class OrderView(Answer):
    """An order from intent to end."""

    model_config = example(
        client_order_id="374dd1cd7e74c79cdbf1",
        exchange_order_id="7000001",
        exchange="binance",
        symbol="BTCUSDT",
        side="buy",
        status="OPEN",
        limit_price="43077.51",
        base_qty="0.00464",
        filled_qty="0",
        quote_amount="200",
        fills=[],
        reason=None,
        source="autopilot",
        ts_tick=1769860830,
        placed_at=1769860831,
        updated_at=1769860831,
    )

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


class StopView(Answer):
    """That the autopilot is off, and the orders that were cancelled, as they then stand."""

    autopilot_enabled: Literal[False]
    orders: list[OrderView]


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


FILL_COLUMNS = (
    "traded_at",
    "symbol",
    "side",
    "price",
    "base_qty",
    "quote_qty",
    "fee",
    "fee_asset",
    "source",
    "client_order_id",
    "exchange_order_id",
    "trade_id",
    "exchange",
)


def fills_as_csv(orders: list[Order]) -> str:
    """The fills of ``orders`` (RFC 4180), oldest first in each; times in ISO 8601 (UTC), amounts exact."""
    text = StringIO()
    writer = DictWriter(text, FILL_COLUMNS)
    writer.writeheader()
    for order in orders:
        for fill, engine_fill in zip(order.fills, order.engine_fills(), strict=True):
            writer.writerow(
                {
                    "traded_at": datetime.fromtimestamp(fill.traded_at_ms / 1000, UTC).isoformat(
                        timespec="milliseconds"
                    ),
                    "symbol": order.symbol,
                    "side": order.side,
                    "price": plain(fill.price),
                    "base_qty": plain(fill.base_qty),
                    "quote_qty": plain(engine_fill.quote_qty),
                    "fee": plain(fill.fee),
                    "fee_asset": fill.fee_asset,
                    "source": order.source,
                    "client_order_id": order.client_order_id,
                    "exchange_order_id": order.exchange_order_id,
                    "trade_id": fill.trade_id,
                    "exchange": order.exchange,
                }
            )
    return text.getvalue()
