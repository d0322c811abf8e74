"""What passes through the simulator's control door, as JSON; amounts are decimal strings, exact."""

from decimal import Decimal
from typing import Annotated

from botbalance.api.account_schemas import StrategyRequest
from botbalance.engine import Balance
from pydantic import BaseModel, ConfigDict, Field

from workbench.simulated_exchange.matching_engine import Order, Trade

OUT_OF_CANDLES = "out_of_candles"
"""The code of the one problem that has an exception of its own."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TimeResponse(_Message):
    """What time it is there, in epoch seconds."""

    now: int


class TickRequest(_Message):
    """A tick, in which so many candles pass."""

    candles: Annotated[int, Field(ge=0)]


class SimulationInfo(_Message):
    """Which exchange this is, how far it has come, and what a run on it shall start with.

    ``now`` is in epoch seconds, ``orders`` is how many it has accepted from everybody, ``speed`` is in candles a
    tick, ``start_balances`` in units of each asset.
    """

    id: str
    now: int
    orders: int
    speed: int
    strategy: StrategyRequest
    start_balances: dict[str, Decimal]


class PairInfo(_Message):
    """A pair; ``last_price`` in quote per base."""

    symbol: str
    base: str
    quote: str
    last_price: Decimal


class Listing(_Message):
    """Every pair of the exchange."""

    pairs: list[PairInfo]


class NewAccount(_Message):
    """What an account is opened with, in units of each asset."""

    secret: str
    balances: dict[str, Decimal]


class OpenedAccount(_Message):
    """What an account was opened with, now or earlier, in units of each asset."""

    balances: dict[str, Decimal]


class AccountBooks(_Message):
    """Everything that is booked of an account, oldest first."""

    orders: list[Order]
    trades: list[Trade]
    balances: dict[str, Balance]


class Problem(_Message):
    """Why the door did not do it."""

    code: str
    detail: str
