"""The desk: everything that a use case needs, handed to it by whoever wires the process."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal

from botbalance.accounts.exchange_clients import Accounts
from botbalance.accounts.portfolio import PortfolioService
from botbalance.errors import ConflictError
from botbalance.market_data.traded_ranges import TradedRanges
from botbalance.store.activity import ActivityTable
from botbalance.store.decisions import TICK_SECONDS, DecisionsTable
from botbalance.store.leases import Lease, LeasesTable
from botbalance.store.operator import OperatorTable
from botbalance.store.orders import OrdersTable
from botbalance.store.strategies import StrategiesTable

TRADING_HALTED = "trading_halted"
"""The code of what is not done because the operator has halted trading."""


@dataclass(frozen=True, slots=True)
class Desk:
    """``clock`` gives epoch seconds; ``sleep`` waits that many seconds.

    ``until`` is the epoch second at which the function that works at this desk ends. ``price_jump_pct`` is by how many
    percent a price may move between two looks before it has to be seen again. ``portfolio_max_age``: after so many
    seconds an account is looked at again although nothing can have happened. ``log_every_tick``: whether ticks that
    changed nothing are logged, too. ``egress_address`` is the one from which exchanges see us, empty where it is not
    fixed.
    """

    strategies: StrategiesTable
    orders: OrdersTable
    decisions: DecisionsTable
    leases: LeasesTable
    operator: OperatorTable
    activity: ActivityTable
    accounts: Accounts
    portfolio: PortfolioService
    clock: Callable[[], int]
    sleep: Callable[[float], None]
    until: int
    price_jump_pct: Decimal
    ranges: TradedRanges
    portfolio_max_age: int
    log_every_tick: bool
    egress_address: str

    def lease_of(self, user_id: str) -> AbstractContextManager[Lease]:
        """The right to work on the user's account alone; raises ConflictError where another run does."""
        return self.leases.held(user_id, self.clock, until=self.until)

    def require_no_halt(self) -> None:
        """Raise ConflictError while the operator has halted trading for everybody."""
        reason = self.operator.halt_reason()
        if reason is not None:
            raise ConflictError(TRADING_HALTED, f"trading is halted for everybody: {reason}")


def tick_of(now: int) -> int:
    """``now`` (epoch seconds) rounded down to the tick's grid."""
    return now - now % TICK_SECONDS
