"""The desk: everything that a use case needs, handed to it by whoever wires the process."""

from collections.abc import Callable
from dataclasses import dataclass

from botbalance.accounts import Accounts
from botbalance.portfolio import PortfolioService
from botbalance.store.decisions import DecisionsTable
from botbalance.store.leases import LeasesTable
from botbalance.store.orders import OrdersTable
from botbalance.store.strategies import StrategiesTable

TICK_SECONDS = 30
"""The grid on which ticks lie."""


@dataclass(frozen=True, slots=True)
class Desk:
    """``clock`` gives epoch seconds; ``sleep`` waits that many seconds."""

    strategies: StrategiesTable
    orders: OrdersTable
    decisions: DecisionsTable
    leases: LeasesTable
    accounts: Accounts
    portfolio: PortfolioService
    clock: Callable[[], int]
    sleep: Callable[[float], None]


def tick_of(now: int) -> int:
    """``now`` (epoch seconds) rounded down to the tick's grid."""
    return now - now % TICK_SECONDS
