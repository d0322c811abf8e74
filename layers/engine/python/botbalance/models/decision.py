"""The log entry of a tick: what was decided, on what, and what came of it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel

from botbalance.engine import Balance, MarketRules, RestingOrder, StrategyConfig

TICK_SECONDS = 30
"""The grid on which ticks lie."""


class DecisionInputs(BaseModel, frozen=True):
    """Everything that the engine was given, under its parameters' names."""

    current_balances: Mapping[str, Balance]
    target_allocations: Mapping[str, Decimal]
    market_prices: Mapping[str, Decimal]
    strategy_config: StrategyConfig
    market_rules: Mapping[str, MarketRules]
    active_symbols: list[str]
    paused_symbols: list[str] = []
    buy_paused_symbols: list[str] = []
    open_orders: Sequence[RestingOrder]
    now: int


class Decision(BaseModel, frozen=True):
    """One tick of one user, complete enough to be computed again bit for bit.

    ``outcome``: ``decided`` (possibly to do nothing), or ``skipped`` with the reason why no decision could be made.
    ``evaluation`` is what the engine answered.

    Ticks of which it was known beforehand that there is nothing to do make no decision; the next one tells of them.
    ``quiet_since`` is when the look began (epoch seconds) after which prices stayed where nothing can happen until this
    tick, None where the last run left no such bounds; ``quiet_ticks`` are the ticks in between.
    """

    schema_version: Literal[1] = 1
    user_id: str
    ts_tick: int
    decided_at: int
    outcome: Literal["decided", "skipped"]
    reason: str | None = None
    reason_code: str | None = None
    """Of a tick that was skipped: the stable word to count it by."""
    engine_version: str
    quiet_since: int | None = None
    quiet_ticks: int = 0
    inputs: dict[str, Any] | None = None
    """:class:`DecisionInputs` in JSON's form: what another version of the engine was given may have had another."""
    evaluation: dict[str, Any] | None = None
    canceled: dict[str, str] = {}
    """Client order id → why its order was to be cancelled; in a tick that was skipped, of those that did end."""
    placed: list[dict[str, Any]] = []
    """The orders of this decision, as they stood when it was logged."""

    @property
    def is_noop(self) -> bool:
        """Whether all was well and nothing was placed or cancelled."""
        return self.outcome != "skipped" and self.reason is None and not (self.canceled or self.placed)


def tick_start(now: int) -> int:
    """``now`` (epoch seconds) rounded down to the tick's grid.

    >>> tick_start(1_700_000_017)
    1700000010
    """
    return now - now % TICK_SECONDS
