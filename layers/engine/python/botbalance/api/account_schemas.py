"""The shapes of what belongs to a user: strategy, autopilot switch, exchange key, decisions."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from botbalance.api.schemas import Answer, Asset, Exchange, Money, Number, Percent, Request
from botbalance.engine import CancelReason
from botbalance.store.decisions import Decision


class StrategyRequest(Request):
    """A whole strategy; what is not given takes its default."""

    target_allocations: Annotated[dict[Asset, Number], Field(min_length=1, max_length=50)]
    quote_asset: Asset = "USDT"
    exchange: Exchange = "binance"
    order_size_pct: Number
    order_step_pct: Number
    min_delta_quote: Number
    order_max_age_s: Annotated[int, Field(ge=0, le=2_592_000)] = 900
    reprice_tolerance_pct: Number | None = None
    post_only: bool = True


class StrategyView(Answer):
    """A strategy as it is stored."""

    target_allocations: dict[str, Money]
    quote_asset: str
    exchange: str
    order_size_pct: Money
    order_step_pct: Money
    min_delta_quote: Money
    order_max_age_s: int
    reprice_tolerance_pct: Money | None
    post_only: bool
    autopilot_enabled: bool
    disabled_reason: str | None
    version: int


class AutopilotRequest(Request):
    """Whether the autopilot shall trade by itself."""

    enabled: Annotated[bool, Field(strict=True)]


class CredentialsRequest(Request):
    """An exchange key; it is encrypted, and never shown again."""

    exchange: Exchange = "binance"
    api_key: Annotated[str, StringConstraints(min_length=8, max_length=256, pattern=r"^[\x21-\x7e]+$")]
    secret: Annotated[str, StringConstraints(min_length=8, max_length=2048, pattern=r"^[\x20-\x7e\n]+$")]
    password: Annotated[str, StringConstraints(max_length=256)] = ""


class CredentialsView(Answer):
    """What may be known of a stored key: its last four characters."""

    exchange: str
    hint: str


class DecisionView(Answer):
    """A tick's decision in short."""

    ts_tick: int
    decided_at: int
    outcome: Literal["decided", "skipped"]
    reason: str | None
    engine_version: str
    nav: Money | None
    drift_pct: Percent | None
    canceled: dict[str, CancelReason]
    placed: list[str]

    @classmethod
    def of(cls, decision: Decision) -> "DecisionView":
        """A decision without its inputs."""
        evaluation = decision.evaluation or {}
        return cls(
            ts_tick=decision.ts_tick,
            decided_at=decision.decided_at,
            outcome=decision.outcome,
            reason=decision.reason,
            engine_version=decision.engine_version,
            nav=evaluation.get("nav"),
            drift_pct=evaluation.get("drift_pct"),
            canceled={client_order_id: CancelReason(reason) for client_order_id, reason in decision.canceled.items()},
            placed=[order["client_order_id"] for order in decision.placed],
        )


class DecisionsView(Answer):
    """A page of decisions, newest first."""

    decisions: list[DecisionView]
    cursor: str | None
