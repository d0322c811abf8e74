"""A paper account: what its owner has, and what rests there. Nothing of it is at any exchange."""

from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from botbalance.engine import Balance, Side, sum_exactly
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.models.fill import OrderFill

GAPS_KEPT = 50
"""The newest ones; more would only say again that this account was left alone for long."""


class PaperStatus(StrEnum):
    """Where a paper order is in its life."""

    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"


class PaperOrder(BaseModel, frozen=True):
    """An order of a paper account. It carries what its fills are made of, as its market said when it was placed.

    ``locked`` of ``locked_asset`` is what its unfilled part ties up. ``settled_until``: every minute that opens before
    that (epoch seconds) is booked already, or is from before the order. Fees in percent.
    """

    exchange_order_id: str
    client_order_id: str
    symbol: str
    base: str
    quote: str
    side: Side
    limit_price: Decimal
    base_qty: Decimal
    lot_size: Decimal
    maker_fee_pct: Decimal
    quote_fee_pct: Decimal
    locked_asset: str
    locked: Decimal
    placed_at: int
    settled_until: int
    status: PaperStatus = PaperStatus.OPEN
    fills: tuple[OrderFill, ...] = ()

    @property
    def filled_qty(self) -> Decimal:
        """What its fills add up to, in base."""
        return sum_exactly(fill.base_qty for fill in self.fills)

    @property
    def remaining(self) -> Decimal:
        """What may still fill, in base."""
        with ExactArithmetic():
            return self.base_qty - self.filled_qty


class PaperGap(BaseModel, frozen=True):
    """Minutes from ``since`` up to ``until`` (epoch seconds) of which the exchange tells nothing any more.

    An order that rested then has not filled in them.
    """

    symbol: str
    since: int
    until: int


class PaperAccount(BaseModel, frozen=True):
    """One paper account on one exchange, whole but for the orders that have ended.

    ``epoch`` counts from 1 and rises when its owner starts anew. ``transfers`` are the deposits since then less the
    withdrawals, in units by asset. ``orders`` are the open ones, oldest first. Every write raises ``revision``.
    """

    schema_version: Literal[1] = 1
    user_id: str
    exchange: str
    epoch: int
    started_at: int
    start_balances: dict[str, Decimal]
    transfers: dict[str, Decimal] = {}
    balances: dict[str, Balance]
    orders: tuple[PaperOrder, ...] = ()
    gaps: tuple[PaperGap, ...] = ()
    revision: int = 0

    def open_order(self, client_order_id: str) -> PaperOrder | None:
        """The open order with that client id."""
        return next((order for order in self.orders if order.client_order_id == client_order_id), None)


class PaperEpoch(BaseModel, frozen=True):
    """How an epoch that is over ended: its results stay. Times in epoch seconds."""

    schema_version: Literal[1] = 1
    epoch: int
    started_at: int
    ended_at: int
    start_balances: dict[str, Decimal]
    transfers: dict[str, Decimal]
    balances: dict[str, Decimal]


def paper_order_id(epoch: int, client_order_id: str) -> str:
    """A paper order's own id, which tells the epoch that it is of.

    >>> paper_order_id(2, "374dd1cd7e74c79cdbf1")
    'paper-2-374dd1cd7e74c79cdbf1'
    """
    return f"{_PREFIX}-{epoch}-{client_order_id}"


def paper_epoch(exchange_order_id: str | None) -> int | None:
    """The epoch of a paper account that an order is of; None for one that is at an exchange.

    >>> paper_epoch("paper-2-374dd1cd7e74c79cdbf1"), paper_epoch("7000001")
    (2, None)
    """
    prefix, _, rest = (exchange_order_id or "").partition("-")
    epoch = rest.partition("-")[0]
    return int(epoch) if prefix == _PREFIX and epoch.isdecimal() else None


def account_name(exchange: str, epoch: int | None) -> str:
    """An account as its fills are counted by: an exchange's has its name, a paper account's epochs one each.

    >>> account_name("kraken-paper", 2)
    'kraken-paper#2'
    """
    return exchange if epoch is None else f"{exchange}#{epoch}"


_PREFIX = "paper"
