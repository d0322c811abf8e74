"""A strategy: what a user wants, and whether the autopilot trades it."""

from dataclasses import fields
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel

from botbalance.engine import BudgetLimits, StrategyConfig
from botbalance.engine.valuation import pairs_by_symbol

_ENGINE_FIELDS = tuple(field.name for field in fields(StrategyConfig))


class Strategy(BaseModel, frozen=True):
    """What a user wants. Allocations and ``*_pct`` in percent, ``min_delta_quote`` in quote, times in epoch seconds."""

    schema_version: Literal[1] = 1
    user_id: str
    exchange: str
    quote_asset: str
    target_allocations: dict[str, Decimal]
    order_size_pct: Decimal
    order_step_pct: Decimal
    min_delta_quote: Decimal
    min_delta_pct: Decimal | None = None
    quote_reserve_pct: Decimal = Decimal(0)
    order_max_age_s: int = 900
    reprice_tolerance_pct: Decimal | None = None
    post_only: bool = True
    budgets: BudgetLimits = BudgetLimits()
    """What its trading may come to before it is paused."""
    autopilot_enabled: bool = False
    disabled_reason: str | None = None
    """Why the system switched the autopilot off by itself."""
    stopping: bool = False
    """Whether orders may be left that a stop has to cancel; ticks go on cancelling until none is."""
    version: int = 0
    """Rises with every change, so that an order can be bound to the strategy that it was decided by."""
    updated_at: int = 0

    @property
    def is_ticked(self) -> bool:
        """Whether ticks have something to do for it: to trade, or to finish a stop."""
        return self.autopilot_enabled or self.stopping

    def config(self) -> StrategyConfig:
        """The engine's part of it; raises InvalidStrategyError."""
        return StrategyConfig(**{name: getattr(self, name) for name in _ENGINE_FIELDS})

    def symbols(self) -> list[str]:
        """The pairs it trades."""
        return list(pairs_by_symbol(self.target_allocations, self.quote_asset))
