"""An order from intent to end, and its states."""

from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from botbalance.engine import Fill, Side, sum_exactly
from botbalance.models.fill import OrderFill
from botbalance.models.paper import account_name, paper_epoch


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    PENDING = "PENDING"
    """Sent or about to be; its fate is unknown."""
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


ACTIVE = frozenset({OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})
"""The order may still trade, so its pair gets no second one."""

NOT_ON_EXCHANGE = "not_on_exchange"
"""The reason of an order that the exchange knew once and knows no more, or whose market it knows no more."""
LOOK_UPS_FAIL = "look_ups_fail"
"""The reason of an order whose look-ups have failed for a day, one and all."""
TRADES_NOT_TOLD = "trades_not_told"
"""The reason of an order that was filled, and whose trades the exchange has not told for an hour."""
ORDER_TOO_LARGE = "order_too_large"
"""The reason of an order that has more fills than can be stored."""
_LOST = frozenset({NOT_ON_EXCHANGE, LOOK_UPS_FAIL, TRADES_NOT_TOLD, ORDER_TOO_LARGE})

_ENDS = frozenset(OrderStatus) - ACTIVE
_EXPECTED: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset(OrderStatus),
    # Bybit acknowledges an order before it looks whether that would take, and rejects it afterwards.
    OrderStatus.OPEN: frozenset(OrderStatus) - {OrderStatus.PENDING},
    OrderStatus.PARTIALLY_FILLED: frozenset({OrderStatus.PARTIALLY_FILLED}) | _ENDS - {OrderStatus.REJECTED},
    OrderStatus.FILLED: frozenset({OrderStatus.FILLED}),
    # A fill, or the order itself, may turn up after it was given up.
    OrderStatus.CANCELED: frozenset(OrderStatus) - {OrderStatus.PENDING},
    OrderStatus.REJECTED: frozenset({OrderStatus.REJECTED}),
    OrderStatus.EXPIRED: frozenset({OrderStatus.EXPIRED, OrderStatus.FILLED}),
}


class Order(BaseModel, frozen=True):
    """An order, whole. Times in epoch seconds; ``filled_qty`` is cumulative, in base."""

    schema_version: Literal[1] = 1
    user_id: str
    client_order_id: str
    exchange: str
    symbol: str
    base: str
    quote: str
    side: Side
    limit_price: Decimal
    base_qty: Decimal
    quote_amount: Decimal
    source: Literal["autopilot", "manual"]
    ts_tick: int
    order_index: int
    status: OrderStatus = OrderStatus.PENDING
    exchange_order_id: str | None = None
    filled_qty: Decimal = Decimal(0)
    fills: tuple[OrderFill, ...] = ()
    reason: str | None = None
    """Why it was refused, cancelled or given up."""
    times_not_found: int = 0
    check_until: int | None = None
    """Until when an order that has ended or was given up is still looked up."""
    next_check_at: int = 0
    """When to look up next an order that has ended, was given up or is lost."""
    untold_since: int | None = None
    """Since when the exchange, though asked, has told neither what became of it, nor of its fills if it has ended."""
    resolved_by: str | None = None
    """Who said what became of it, where the exchange no longer knew."""
    resolved_at: int | None = None
    placed_at: int
    updated_at: int
    revision: int = 0
    fencing_token: int = 0
    """That of the run which wrote it last."""

    @property
    def is_active(self) -> bool:
        """Whether it rests on the exchange, or might."""
        return self.status in ACTIVE

    @property
    def account(self) -> str:
        """The account that its fills count for: its exchange's, or an epoch of a paper account."""
        return account_name(self.exchange, paper_epoch(self.exchange_order_id))

    @property
    def fills_qty(self) -> Decimal:
        """What the fills booked add up to, in base."""
        return sum_exactly(fill.base_qty for fill in self.fills)

    @property
    def fills_complete(self) -> bool:
        """Whether everything that the exchange says was filled is booked."""
        return self.fills_qty == self.filled_qty

    @property
    def is_lost(self) -> bool:
        """Whether only its owner can say what became of it, or of its fills."""
        return self.reason in _LOST and (self.is_active or not self.fills_complete)

    @property
    def is_unreconciled(self) -> bool:
        """Whether something may still become of it: it may trade, a fill is not booked, or it may turn up."""
        return self.is_active or not self.fills_complete or self.check_until is not None

    def as_engine_fills(self) -> list[Fill]:
        """Its fills in the engine's form."""
        return [
            Fill(self.base, self.quote, self.side, fill.price, fill.base_qty, fill.fee, fill.fee_asset)
            for fill in self.fills
        ]

    def expects(self, status: OrderStatus) -> bool:
        """Whether ``status`` can follow its own; another one is booked, too, but is a surprise."""
        return status in _EXPECTED[self.status]
