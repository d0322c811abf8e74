"""What an account remembers from one run to the next: read with its lease, and written with the lease's end."""

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict

from botbalance.engine import Balance, NoTradeRegion


class Anomaly(BaseModel):
    """What is not believed of one asset or symbol: since when (epoch seconds), and its evidence in words."""

    model_config = ConfigDict(frozen=True)

    since: int
    evidence: str


class LastObservation(BaseModel):
    """What was believed at the last look, and what was not; times in epoch seconds, ``held`` in units by asset."""

    model_config = ConfigDict(frozen=True)

    seen_at: int
    prices: dict[str, Decimal]
    held: dict[str, Decimal]
    unconfirmed_prices: dict[str, Decimal] = {}
    committed: dict[str, Decimal] = {}
    """What this system's own orders could spend after that look, in units by asset."""
    receivable: dict[str, Decimal] = {}
    """What they could bring, likewise."""
    anomalies: dict[str, Anomaly] = {}
    """What is not believed, by the asset or the symbol that it is about."""
    accepted: tuple[str, ...] = ()
    """Those of them that the next look believes, by their owner's word."""


class LastLook(BaseModel):
    """The account as the last decision saw it, for whoever shows it without asking the exchange.

    ``at`` in epoch seconds, ``nav`` and ``prices`` in quote; ``balances`` of the managed assets.
    """

    model_config = ConfigDict(frozen=True)

    at: int
    exchange: str
    quote_asset: str
    nav: Decimal
    balances: dict[str, Balance]
    prices: dict[str, Decimal]


class NoTradeNote(BaseModel):
    """Within which prices nothing can happen, as a look at the account left it; times in epoch seconds.

    ``looked_at`` is when the look began, ``look_again_at`` when the next one is due whatever prices do. ``prices`` are
    those of the look.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[2] = 2
    engine_version: str
    strategy_version: int
    exchange: str
    looked_at: int
    look_again_at: int
    prices: dict[str, Decimal]
    bounds: NoTradeRegion


class RefusedPair(BaseModel):
    """How often in a row an exchange has refused a pair's orders, and from when on (epoch seconds) one is tried again.

    ``reason`` is the exchange's last word on it.
    """

    model_config = ConfigDict(frozen=True)

    times: int
    retry_at: int
    reason: str


class AccountState(BaseModel):
    """One account's memory. Every field has a default: an account without a run before has none of it.

    ``net_quantities`` are what all fills ever booked have added to and taken from each asset, by exchange: None where
    a run died between booking a fill and counting it; then they are summed up anew from the orders.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    last_observation: LastObservation | None = None
    last_look: LastLook | None = None
    no_trade_note: NoTradeNote | None = None
    no_unreconciled_orders: bool = False
    """Whether the last run left no order whose end is not known."""
    refused_pairs: dict[str, RefusedPair] = {}
    net_quantities: dict[str, dict[str, Decimal]] | None = None
