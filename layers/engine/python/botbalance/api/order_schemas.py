"""The shapes of orders, and of what an execution placed."""

from csv import DictWriter
from datetime import UTC, datetime
from io import StringIO
from typing import Annotated, Literal

from pydantic import Field, model_validator

from botbalance.api.fields import Money, Number, Percent, RequestModel, ResponseModel, example, number_schema
from botbalance.api.portfolio_schemas import AssetView, asset_views
from botbalance.engine import Action, Side, format_decimal
from botbalance.errors import BotBalanceError
from botbalance.exchange.profiles import DEFAULT_EXCHANGE
from botbalance.models.order import Order, OrderStatus
from botbalance.trading.cancellation import CancelResult
from botbalance.trading.execute import Execution


class FillView(ResponseModel):
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


class OrderView(ResponseModel):
    """An order from intent to end."""

    model_config = example(
        client_order_id="374dd1cd7e74c79cdbf1",
        exchange_order_id="7000001",
        exchange=DEFAULT_EXCHANGE,
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


class ResolveRequest(RequestModel):
    """What became of an order that the exchange no longer knows, by its owner's word.

    `filled_qty` is all that was filled of it, in base; `price` what was paid for it, in quote per base.
    """

    outcome: Literal["filled", "canceled"]
    filled_qty: Annotated[Number, Field(gt=0), number_schema("In base.", "0.00464", above=0)] | None = None
    price: Annotated[Number, Field(gt=0), number_schema("In quote per base.", "43077.51", above=0)] | None = None

    @model_validator(mode="after")
    def _has_what_its_outcome_needs(self) -> "ResolveRequest":
        told = self.filled_qty is not None and self.price is not None
        if self.outcome == "filled" and not told:
            raise ValueError("outcome filled needs filled_qty and price")
        if self.outcome == "canceled" and (self.filled_qty is not None or self.price is not None):
            raise ValueError("outcome canceled takes no filled_qty and no price")
        return self


class OrdersView(ResponseModel):
    """A page of orders, newest first."""

    orders: list[OrderView]
    cursor: str | None


class NotCanceledView(ResponseModel):
    """An order that could not be cancelled yet, and why; the ticks that follow cancel it."""

    client_order_id: str
    code: str
    reason: str


class StopView(ResponseModel):
    """That the autopilot is off, the orders as they stand, and which of them could not be cancelled yet."""

    autopilot_enabled: Literal[False]
    orders: list[OrderView]
    not_canceled: list[NotCanceledView]

    @classmethod
    def of(cls, result: CancelResult) -> "StopView":
        """A stop as the API shows it."""
        return cls(
            autopilot_enabled=False,
            orders=[OrderView.model_validate(order) for order in result.orders],
            not_canceled=[
                NotCanceledView(client_order_id=client_order_id, code=error.code, reason=str(error))
                for client_order_id, error in result.not_canceled().items()
            ],
        )


class NotPlacedView(ResponseModel):
    """An action of a decision that was not sent to the exchange, and why."""

    symbol: str
    side: Side
    limit_price: Money
    base_qty: Money
    code: str
    reason: str

    @classmethod
    def of(cls, action: Action, error: BotBalanceError) -> "NotPlacedView":
        """An action as the API shows it."""
        return cls(
            symbol=action.symbol,
            side=action.side,
            limit_price=action.limit_price,
            base_qty=action.base_qty,
            code=error.code,
            reason=str(error),
        )


class ExecutionView(ResponseModel):
    """What execute decided on fresh facts, the orders that came of it, and what was not sent.

    `canceled` are orders that rested away from the market for too long, by client order id, each with the reason.
    """

    nav: Money
    drift_pct: Percent
    orders: list[OrderView]
    not_placed: list[NotPlacedView]
    canceled: dict[str, str]
    assets: list[AssetView]

    @classmethod
    def of(cls, execution: Execution) -> "ExecutionView":
        """An execution as the API shows it."""
        error = execution.stopped_by
        return cls(
            nav=execution.evaluation.nav,
            drift_pct=execution.evaluation.drift_pct,
            orders=[OrderView.model_validate(order) for order in execution.orders],
            not_placed=[] if error is None else [NotPlacedView.of(action, error) for action in execution.not_placed],
            canceled=execution.canceled,
            assets=asset_views(execution.evaluation),
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


def _cell(text: str) -> str:
    """A text of an exchange's, as a spreadsheet takes it for a text too: not for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def fills_as_csv(orders: list[Order]) -> str:
    """The fills of ``orders`` (RFC 4180), oldest first in each; times in ISO 8601 (UTC), amounts exact."""
    text = StringIO()
    writer = DictWriter(text, FILL_COLUMNS)
    writer.writeheader()
    for order in orders:
        for fill, engine_fill in zip(order.fills, order.as_engine_fills(), strict=True):
            writer.writerow(
                {
                    "traded_at": datetime.fromtimestamp(fill.traded_at_ms / 1000, UTC).isoformat(
                        timespec="milliseconds"
                    ),
                    "symbol": order.symbol,
                    "side": order.side,
                    "price": format_decimal(fill.price),
                    "base_qty": format_decimal(fill.base_qty),
                    "quote_qty": format_decimal(engine_fill.quote_qty),
                    "fee": format_decimal(fill.fee),
                    "fee_asset": _cell(fill.fee_asset),
                    "source": order.source,
                    "client_order_id": order.client_order_id,
                    "exchange_order_id": _cell(order.exchange_order_id or ""),
                    "trade_id": _cell(fill.trade_id),
                    "exchange": order.exchange,
                }
            )
    return text.getvalue()
