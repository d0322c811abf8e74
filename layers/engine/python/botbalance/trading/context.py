"""TradingContext: everything that a use case needs, handed to it by whoever wires the process."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from botbalance.accounts.exchange_clients import ExchangeClients
from botbalance.accounts.portfolio import PortfolioService
from botbalance.deadline import Deadline
from botbalance.errors import ConflictError
from botbalance.exchange.profiles import is_paper
from botbalance.market_data.price_highs import PriceHighs
from botbalance.market_data.traded_ranges import TradedRanges
from botbalance.models.paper import account_name
from botbalance.store.accounts import AccountsTable
from botbalance.store.activity import ActivityTable
from botbalance.store.decisions import DecisionsTable
from botbalance.store.history import HistoryTable
from botbalance.store.notifications import NotificationsTable
from botbalance.store.operator import OperatorTable
from botbalance.store.orders import OrdersTable
from botbalance.store.paper import PaperTable
from botbalance.store.strategies import StrategiesTable

TRADING_HALTED = "trading_halted"
"""The code of what is not done because the operator has halted trading."""


@dataclass(frozen=True, slots=True)
class TradingContext:
    """``clock`` gives epoch seconds; ``sleep`` waits that many seconds.

    ``deadline`` is that of the function which works with this. ``price_jump_pct`` is by how many percent a price may
    move between two looks before it has to be seen again. ``portfolio_max_age``: after so many seconds an account is
    looked at again although nothing can have happened. ``log_every_tick``: whether ticks that changed nothing are
    logged, too. ``egress_address`` is the one from which exchanges see us, empty where it is not fixed.
    """

    strategies: StrategiesTable
    orders: OrdersTable
    decisions: DecisionsTable
    accounts: AccountsTable
    operator: OperatorTable
    activity: ActivityTable
    history: HistoryTable
    paper: PaperTable
    notifications: NotificationsTable
    clients: ExchangeClients
    portfolio: PortfolioService
    clock: Callable[[], int]
    sleep: Callable[[float], None]
    deadline: Deadline
    price_jump_pct: Decimal
    ranges: TradedRanges
    highs: PriceHighs
    portfolio_max_age: int
    log_every_tick: bool
    egress_address: str

    def find_account(self, user_id: str, exchange: str) -> str:
        """The name under which fills on ``exchange`` are counted now; a paper account's has its epoch, once open."""
        opened = self.paper.find(user_id, exchange) if is_paper(exchange) else None
        return account_name(exchange, None if opened is None else opened.epoch)

    def require_no_halt(self) -> None:
        """Raise ConflictError while the operator has halted trading for everybody."""
        reason = self.operator.halt_reason()
        if reason is not None:
            raise ConflictError(TRADING_HALTED, f"trading is halted for everybody: {reason}")
