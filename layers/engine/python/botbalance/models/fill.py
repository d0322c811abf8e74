"""A fill as it is booked, at an exchange or on paper."""

from decimal import Decimal

from pydantic import BaseModel


class OrderFill(BaseModel, frozen=True):
    """One trade of an order: quantity in base, price in quote per base, fee in units of ``fee_asset``."""

    trade_id: str
    price: Decimal
    base_qty: Decimal
    fee: Decimal
    fee_asset: str
    traded_at_ms: int
