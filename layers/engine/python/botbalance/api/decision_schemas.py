"""The shapes of the autopilot's decisions."""

from typing import Any, Literal

from botbalance.api.fields import Money, Percent, ResponseModel
from botbalance.api.portfolio_schemas import AssetView
from botbalance.engine import CancelReason
from botbalance.models.decision import Decision


class DecisionView(ResponseModel):
    """A tick's decision in short.

    ``quiet_ticks``: for so many ticks before this one, since a look that began at ``quiet_since``, there was nothing to
    do, and nothing was logged.
    """

    ts_tick: int
    decided_at: int
    outcome: Literal["decided", "skipped"]
    reason: str | None
    engine_version: str
    quiet_since: int | None
    quiet_ticks: int
    nav: Money | None
    drift_pct: Percent | None
    canceled: dict[str, CancelReason | Literal["trading_halted"]]
    placed: list[str]

    @classmethod
    def of(cls, decision: Decision) -> "DecisionView":
        """A decision without its inputs."""
        evaluation = decision.evaluation or {}
        return cls.model_validate(
            {
                **decision.model_dump(exclude={"placed"}),
                "nav": evaluation.get("nav"),
                "drift_pct": evaluation.get("drift_pct"),
                "placed": [order["client_order_id"] for order in decision.placed],
            }
        )


class DecisionDetailView(ResponseModel):
    """A tick's decision, whole: every asset with its action or why it was not traded, and all that it was based on.

    ``inputs`` are what the engine was given, ``evaluation`` what it answered, both as they were logged.
    """

    schema_version: Literal[1]
    user_id: str
    ts_tick: int
    decided_at: int
    outcome: Literal["decided", "skipped"]
    reason: str | None
    engine_version: str
    quiet_since: int | None
    quiet_ticks: int
    assets: list[AssetView]
    inputs: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    canceled: dict[str, CancelReason | Literal["trading_halted"]]
    placed: list[dict[str, Any]]

    @classmethod
    def of(cls, decision: Decision) -> "DecisionDetailView":
        """A decision as the API shows it."""
        rows = (decision.evaluation or {}).get("rows", [])
        return cls.model_validate(decision.model_dump() | {"assets": rows})


class DecisionsView(ResponseModel):
    """A page of decisions, newest first."""

    decisions: list[DecisionView]
    cursor: str | None
