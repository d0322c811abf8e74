"""AccountSession: one run on one account, which works on it alone: a tick, an execution, a stop, or another change to
its orders, keys, pauses or paper books.

A run takes the account's lease, and with it the AccountState that the last run left. What is to be remembered goes into
the session's copy; the write that ends the lease stores it.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from botbalance.deadline import OUT_OF_TIME, Deadline, bounded_by, seconds_for_exchange
from botbalance.errors import ConflictError, InvalidRequestError, TransientError
from botbalance.exchange.adapter import ExchangeAdapter
from botbalance.exchange.paper_adapter import PaperAdapter
from botbalance.exchange.profiles import is_paper
from botbalance.log import alarm, logger
from botbalance.models.account_state import AccountState, BudgetState, Recount
from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.decision import Decision
from botbalance.models.exchange_key import StoredKey
from botbalance.models.order import Order
from botbalance.models.paper import PaperAccount, account_name
from botbalance.store.accounts import Lease
from botbalance.trading.context import TradingContext
from botbalance.trading.tallies import add_fills, kept_budgets, with_counted, with_fills, with_order
from botbalance.trading.trail import fills_of_order, new_activity

LONGEST_WAIT_S = 30
"""For how long a run that may wait tries to take the lease, once a second."""
MOST_TOLD_AT_ONCE = 50
"""So many activities fit into the transaction that ends the lease. The next run finds the others."""
LEASE_NOT_RELEASED = "lease_not_released"
RECORD_DELAYS_S = (0, 1, 2)
"""Waits before the attempts to write what became of orders."""
SEND_AND_SETTLE_S = 15
"""What one request to an exchange and the writes around it may take: nothing is sent with less time than that left."""

MOST_ACKNOWLEDGED = 40
"""So many acknowledged orders fit into the transaction that ends the lease, besides the activities."""

COUNTED_AT_ONCE = 5_000
"""So many orders a run reads to sum up fills anew: some seconds. The next run goes on."""


class AccountSession:
    """One run's exclusive hold on an account, and what this run knows of it.

    ``state`` is what the account remembers. It is saved, even after an error, in the write that ends the lease. Where
    that write fails there is an alarm, where the lease was lost a warning, and the next run begins as after one that
    died. ``context`` is the process's, with this run's own deadline.
    """

    def __init__(
        self, context: TradingContext, lease: Lease, state: AccountState, keys: Mapping[str, StoredKey]
    ) -> None:
        """``keys`` are the user's keys as far as they were read already, by exchange."""
        self.context = context
        self.lease = lease
        self.quiet_since = None if state.no_trade_note is None else state.no_trade_note.looked_at
        """When the look began (epoch seconds) whose bounds have held until this run; None where there were none."""
        self.state = state.model_copy(update={"no_trade_note": None})  # any run ends the quiet ticks
        self._keys = keys
        self._paper: dict[str, PaperAdapter] = {}
        self._loaded: dict[str, set[str]] = {}
        self.told: list[Activity] = []
        """What is appended to the account's activity in the write that ends the lease."""
        self._acknowledged: dict[str, Order] = {}
        """What rests since this run sent it, by client order id; written in the write that ends the lease."""
        self._decision: Decision | None = None
        self.decision_logged = False
        """Whether the write that ended the lease has logged the run's decision."""

    @property
    def user_id(self) -> str:
        """Whose account it is."""
        return self.lease.user_id

    def exchange(self, name: str, symbols: Collection[str] = ()) -> ExchangeAdapter:
        """The user's connection to an exchange, with the markets of ``symbols`` loaded.

        Those that are listed no more are left out. Raises NotFoundError where no key is stored for it.
        """
        client = self._client(name)
        loaded = self._loaded.setdefault(name, set())
        missing = set(symbols) - loaded
        if missing:
            try:
                self.context.portfolio.load_markets(client, loaded | missing)
                loaded |= missing
            except InvalidRequestError:  # one of them is listed no more; the others are
                self._load_listed(client, loaded, missing)
        return client

    def _client(self, name: str) -> ExchangeAdapter:
        if is_paper(name):
            return self._paper_adapter(name)
        clients, key = self.context.clients, self._keys.get(name)
        return clients.get(self.user_id, name) if key is None else clients.get_with_key(self.user_id, name, key)

    def _paper_adapter(self, name: str) -> PaperAdapter:
        if name not in self._paper:
            self._paper[name] = self.context.clients.paper(self.user_id, name, self.lease)
        return self._paper[name]

    def account(self, exchange: str) -> str:
        """The name under which orders on ``exchange`` are counted; of a paper account ``kraken-paper#2``, its epoch."""
        return account_name(exchange, self._paper_adapter(exchange).epoch if is_paper(exchange) else None)

    def _load_listed(self, client: ExchangeAdapter, loaded: set[str], symbols: Collection[str]) -> None:
        for symbol in symbols:
            try:
                self.context.portfolio.load_markets(client, loaded | {symbol})
            except InvalidRequestError:
                continue
            loaded.add(symbol)

    def wait(self, seconds: int) -> None:
        """Wait so many seconds; raises TransientError where the run has less left for the exchange."""
        if seconds and seconds_for_exchange(seconds) < seconds:
            raise TransientError(OUT_OF_TIME, f"less than {seconds} s are left of this run")
        self.context.sleep(seconds)

    def remember(self, **parts: Any) -> None:
        """Let the account remember ``parts`` of its state, by their names."""
        self.state = self.state.model_copy(update=parts)

    def remember_budgets(self, account: str, budgets: BudgetState) -> None:
        """Let the user's account of that name remember ``budgets``."""
        self.remember(budgets=self.state.budgets | {account: budgets})

    def tell(
        self,
        action: ActivityKind,
        *,
        subject: str | None,
        reason: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell of ``action``, done by whoever this run is for, in the write that ends the lease, with the state."""
        told = new_activity(
            self.context, self.user_id, action, subject=subject, before=before, after=after, reason=reason
        )
        self.told.append(told)

    def acknowledge_order(self, before: Order, order: Order) -> Order:
        """Have ``order``, which was sent as ``before`` and rests unfilled, written in the write that ends the lease.

        A run that dies before that leaves it as one that got no answer: the next run looks it up by its id.
        """
        if len(self._acknowledged) >= MOST_ACKNOWLEDGED:
            return self.update_order(before, order)
        self._acknowledged[order.client_order_id] = order
        return order

    def update_order(self, before: Order, order: Order, *told: Activity) -> Order:
        """Write ``order`` over ``before``, and ``told`` with it; returns it with its new revision.

        Its new fills go into the totals, and are told. Raises OrderTooLargeError where there are too many of them.
        """
        self._acknowledged.pop(order.client_order_id, None)
        self.context.orders.require_fits(order)
        new = order.model_copy(update={"fills": order.fills[len(before.fills) :]})
        known = {"fill_totals": self.state.fill_totals, "recount": self.state.recount}
        if new.fills:
            self.remember(fill_totals=None, recount=None)  # should the write fail, all fills are summed up anew
        news = [*told, *fills_of_order(self.context, before, order)]
        updated = self.context.orders.update(order, self.lease, *map(self.context.activity.transact_put, news))
        if new.fills:
            self.remember(**known)
            self._count_fills(order, new)
        return updated

    def log(self, decision: Decision) -> None:
        """Have ``decision``, which this run has made, logged in the write that ends the lease, if orders are in it."""
        self._decision = decision

    def end(self) -> None:
        """End the lease, and write with it what this run leaves; tried again where orders are in it.

        Where that fails, what the run did is not undone by that: the lease ends by itself, and there is an alarm.
        """
        activities = list(map(self.context.activity.transact_put, self.told))
        orders = [self.context.orders.transact_update(order, self.lease) for order in self._acknowledged.values()]
        logged = []
        if orders and self._decision is not None:
            logged.append(self.context.decisions.transact_log(self._decision, self.lease))
        reason = ""
        for delay in RECORD_DELAYS_S if orders else (0,):
            try:
                if delay:
                    self.wait(delay)
                written = self.context.accounts.release(self.lease, self.state, *activities, *orders, *logged)
            except TransientError as error:
                reason, logged = str(error), []  # whatever keeps a decision from being logged keeps nothing else
            else:
                self.decision_logged = written and bool(logged)
                return
        alarm(LEASE_NOT_RELEASED, "what a run leaves is not written", user_id=self.user_id, reason=reason)

    def _count_fills(self, order: Order, new: Order) -> None:
        """Count the fills of ``new``, which are the last ones of ``order``."""
        look, totals, recount = self.state.last_look, self.state.fill_totals, self.state.recount
        of_account = self.state.account_budgets(order.account)
        self.remember_budgets(order.account, with_fills(of_account, order, new.fills, look))
        if totals is not None:
            self.remember(fill_totals=add_fills(totals, new))
        elif recount is not None and order.placed_at < recount.before:  # it is not read again
            counted = with_fills(recount.budgets.get(order.account, BudgetState()), order, new.fills, look)
            more = {
                "fill_totals": add_fills(recount.fill_totals, new),
                "budgets": recount.budgets | {order.account: counted},
            }
            self.remember(recount=recount.model_copy(update=more))

    def recount_fills(self) -> None:
        """Sum up all fills anew where a run died without counting them, or as many as there is time for now."""
        if self.state.fill_totals is not None or self.context.deadline.seconds_left() < SEND_AND_SETTLE_S:
            return
        try:
            recount, complete = self._recount(self.state.recount or Recount())
        except TransientError as error:  # the next run tries again
            logger.warning("fills not counted", user_id=self.user_id, reason=str(error))
            return
        if not complete:  # the next tick goes on with it, whatever prices do
            self.remember(recount=recount, no_trade_note=None)
            logger.warning("fills not counted yet", user_id=self.user_id, placed_before=recount.before)
            return
        self.remember(fill_totals=recount.fill_totals, recount=None)
        for account in self.state.budgets.keys() | recount.budgets.keys():
            counted = recount.budgets.get(account, BudgetState())
            self.remember_budgets(account, with_counted(self.state.account_budgets(account), counted))

    def _recount(self, recount: Recount) -> tuple[Recount, bool]:
        """``recount`` with more orders, oldest first, and whether that is all of them.

        It ends between two seconds, so that ``before`` says which orders are in it.
        """
        now, look = self.context.clock(), self.state.last_look
        before, totals, complete = recount.before, recount.fill_totals, True
        budgets: Mapping[str, BudgetState] = recount.budgets or {
            account: BudgetState(resumed=one.resumed) for account, one in self.state.budgets.items()
        }
        paper: dict[str, PaperAccount | None] = {}
        for counted, order in enumerate(self.context.orders.iter_since(self.user_id, before)):
            if order.placed_at > before:
                before = order.placed_at
                if counted >= COUNTED_AT_ONCE or self.context.deadline.seconds_left() < SEND_AND_SETTLE_S:
                    complete = False
                    break
            if is_paper(order.exchange) and order.exchange not in paper:
                paper[order.exchange] = self.context.paper.find(self.user_id, order.exchange)
            totals = add_fills(totals, order) if order.fills else totals
            budgets = with_order(budgets, order, look, paper.get(order.exchange), now)
        return Recount(before=before, fill_totals=totals, budgets=kept_budgets(budgets, now)), complete


@contextmanager
def open_session(
    context: TradingContext,
    user_id: str,
    *,
    ts_tick: int | None = None,
    keys: Mapping[str, StoredKey] = MappingProxyType({}),
    waits: bool = False,
) -> Iterator[AccountSession]:
    """Work on the user's account alone, until the context's deadline.

    With ``ts_tick`` that tick is claimed. Raises ConflictError where it has had its run, or another run works on the
    account; one that ``waits`` is patient as long as it can still act afterwards.
    """
    with bounded_by(context.deadline):
        lease, state = _acquire(context, user_id, ts_tick, waits=waits)
    deadline = Deadline(min(context.deadline.at, lease.ends_at), context.clock)
    session = AccountSession(replace(context, deadline=deadline), lease, state, keys)
    with bounded_by(deadline):
        try:
            yield session
            session.recount_fills()
            session.remember(budgets=kept_budgets(session.state.budgets, context.clock()))
        finally:
            session.end()


def _acquire(context: TradingContext, user_id: str, ts_tick: int | None, *, waits: bool) -> tuple[Lease, AccountState]:
    for _ in range(LONGEST_WAIT_S if waits else 0):
        try:
            return context.accounts.acquire(user_id, context.clock(), ts_tick=ts_tick)
        except ConflictError:
            if context.deadline.seconds_left() <= SEND_AND_SETTLE_S:
                raise
            context.sleep(1)
    return context.accounts.acquire(user_id, context.clock(), ts_tick=ts_tick)
