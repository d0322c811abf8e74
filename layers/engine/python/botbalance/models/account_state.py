"""What an account remembers from one run to the next: read with its lease, and written with the lease's end."""

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel

from botbalance.engine import Balance, BudgetRule, NoTradeRegion, Tally, finding_id


class Ongoing(BaseModel, frozen=True):
    """What began and is not over: since when (epoch seconds), and its evidence in words."""

    since: int
    evidence: str


class LastObservation(BaseModel, frozen=True):
    """What was believed at the last look, and what was not: the anomaly guard compares the next look with it.

    Times in epoch seconds, ``held`` in units by asset.
    """

    seen_at: int
    prices: dict[str, Decimal]
    held: dict[str, Decimal]
    unconfirmed_prices: dict[str, Decimal] = {}
    committed: dict[str, Decimal] = {}
    """The most that this system's own orders could spend after that look, in units by asset."""
    receivable: dict[str, Decimal] = {}
    """The most that they could bring, in units by asset."""
    anomalies: dict[str, Ongoing] = {}
    """What is not believed, by the asset or the symbol that it is about."""
    accepted: tuple[str, ...] = ()
    """The anomalies that the account's owner has confirmed: the next look believes them."""


class LastLook(BaseModel, frozen=True):
    """The account as the last decision saw it, for whoever shows it without asking the exchange.

    ``at`` in epoch seconds, ``nav`` and ``prices`` in quote; ``balances`` of the managed assets.
    """

    at: int
    exchange: str
    quote_asset: str
    nav: Decimal
    balances: dict[str, Balance]
    prices: dict[str, Decimal]


class NoTradeNote(BaseModel, frozen=True):
    """Within which prices nothing can happen, as a look at the account left it; times in epoch seconds.

    ``looked_at`` is when the look began, ``look_again_at`` when the next one is due whatever prices do. ``prices`` are
    those of the look.
    """

    schema_version: Literal[2] = 2
    engine_version: str
    strategy_version: int
    exchange: str
    looked_at: int
    look_again_at: int
    prices: dict[str, Decimal]
    bounds: NoTradeRegion


class RefusedPair(BaseModel, frozen=True):
    """How often in a row an exchange has refused a pair's orders, and from when on (epoch seconds) one is tried again.

    ``reason`` is the exchange's last word on it.
    """

    times: int
    retry_at: int
    reason: str


class FillTotals(BaseModel, frozen=True):
    """All fills of one base asset: how many, and what they have added to and taken from each asset, fees included."""

    fills: int = 0
    net: dict[str, Decimal] = {}


class BudgetPause(Ongoing, frozen=True):
    """What a budget has paused.

    ``symbol`` is None where it is the whole account. It ends by its owner's word; one with ``until`` (epoch seconds)
    also by itself.
    """

    rule: BudgetRule
    symbol: str | None
    until: int | None = None

    @property
    def pause_id(self) -> str:
        """``churn-BTCUSDT-1700000010``: another pause of the same kind has another one."""
        return f"{finding_id(self.rule, self.symbol)}-{self.since}"


class BudgetState(BaseModel, frozen=True):
    """What one account, as orders name it, has traded lately, and what came of it. Times in epoch seconds.

    ``tallies`` are by symbol and hour (since the epoch). ``pauses``, ``warned`` (since when) and ``resumed`` (when the
    last pause ended) are by what the engine calls a finding.
    """

    tallies: dict[str, dict[int, Tally]] = {}
    pauses: dict[str, BudgetPause] = {}
    warned: dict[str, int] = {}
    resumed: dict[str, int] = {}


class Recount(BaseModel, frozen=True):
    """Fills that are being summed up anew, from the oldest order on: what was counted of those placed ``before``.

    ``before`` in epoch seconds, ``fill_totals`` and ``budgets`` as in the state, of which only tallies are counted.
    """

    before: int = 0
    fill_totals: dict[str, dict[str, FillTotals]] = {}
    budgets: dict[str, BudgetState] = {}


class AccountState(BaseModel, frozen=True):
    """One account's memory, written as one JSON document. A new account starts with the defaults.

    ``last_observation`` is what the next look is compared with before anything is traded on it, ``last_look`` what is
    shown to whoever asks meanwhile. ``no_trade_note`` says within which prices ticks have nothing to look at; every run
    ends it, and may leave a new one. ``refused_pairs``, by symbol, wait before they get another order.

    ``fill_totals`` are of all fills ever booked, by the account that an order names (an exchange, or an epoch of a
    paper account) and base asset. None means that they have to be summed up from the orders: after a run died, or where
    the state was another version's. ``budgets`` are by the same names: no account's trading counts for another's.
    """

    schema_version: Literal[2] = 2
    last_observation: LastObservation | None = None
    last_look: LastLook | None = None
    no_trade_note: NoTradeNote | None = None
    no_unreconciled_orders: bool = False
    """Whether the end of every order was known when the last run ended, and its decision placed none.

    The next run need not read the orders then.
    """
    refused_pairs: dict[str, RefusedPair] = {}
    incidents: dict[str, Ongoing] = {}
    """What keeps the account, or a part of it, from being traded, by kind and subject:
    ``order_unknown:0123456789abcdef0123``."""
    skipped_in_a_row: int = 0
    """Ticks of the autopilot, up to the last one, in which no decision could be made; a halt begins anew."""
    fill_totals: dict[str, dict[str, FillTotals]] | None = None
    recount: Recount | None = None
    """How far summing up ``fill_totals`` has come, where there are too many orders for one run."""
    history_hour: int = 0
    """When the hour began that the history has its last point of, in epoch seconds."""
    budgets: dict[str, BudgetState] = {}

    def account_budgets(self, account: str) -> BudgetState:
        """What ``account`` has traded lately; nothing where it has not."""
        return self.budgets.get(account, BudgetState())
