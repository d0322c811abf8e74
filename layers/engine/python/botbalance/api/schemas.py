"""The shapes of requests and answers. Money and percentages are strings in JSON, exact and never scientific."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints

from botbalance.engine import CancelReason, Evaluation, HoldReason, Side, WarningCode
from botbalance.store.decisions import Decision
from botbalance.store.orders import Order, OrderStatus
from botbalance.trading.plan import Plan

_PERCENT_PLACES = Decimal("1e-8")
_TRIGGER_DIGITS = 12
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)


def _plain(number: Decimal) -> str:
    """Every digit, no exponent, no trailing zeros after the point."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain_percent(number: Decimal) -> str:
    return _plain(number.quantize(_PERCENT_PLACES, context=_WIDE))


Money = Annotated[Decimal, PlainSerializer(_plain, return_type=str)]
"""An amount, price or quantity, exact."""
Percent = Annotated[Decimal, PlainSerializer(_plain_percent, return_type=str)]
"""Percent, shown to eight places."""
BuyTrigger = Annotated[
    Decimal, PlainSerializer(lambda price: _plain(Context(_TRIGGER_DIGITS, ROUND_FLOOR).plus(price)), return_type=str)
]
"""The price at which a buy starts, to twelve digits, rounded so that there it does."""
SellTrigger = Annotated[
    Decimal, PlainSerializer(lambda price: _plain(Context(_TRIGGER_DIGITS, ROUND_CEILING).plus(price)), return_type=str)
]
"""The price at which a sell starts, to twelve digits, rounded so that there it does."""
Number = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=40)]
"""A number in a request: a JSON string, or a JSON number where its digits are few."""
Asset = Annotated[str, StringConstraints(min_length=1, max_length=20, pattern=r"^[^\s/:]+$")]
Exchange = Literal["binance"]
"""The exchanges on which the whole life of an order has been verified; docs/exchanges.md says how."""


# Each is built when it is first used: a function starts sooner without those that its first request does not need.
class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True, defer_build=True)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class ActionView(_Answer):
    """One order, final."""

    symbol: str
    side: Side
    limit_price: Money
    base_qty: Money
    quote_amount: Money
    market_price: Money
    notional: Money
    capped: bool


class AssetView(_Answer):
    """One managed asset: where it stands, and its action or the reason for holding."""

    asset: str
    symbol: str | None
    price: Money | None
    free: Money
    locked: Money
    held: Money
    value: Money
    weight_pct: Percent
    target_pct: Money
    delta_quote: Money
    action: ActionView | None
    hold: HoldReason | None
    smallest_order_size_pct: Money | None
    buy_trigger: BuyTrigger | None
    sell_trigger: SellTrigger | None


class UnmanagedView(BaseModel):
    """A holding that the strategy neither counts nor trades."""

    asset: str
    free: Money
    locked: Money


class WarningView(_Answer):
    """Something that the owner should know although the decision could be made."""

    code: WarningCode
    assets: list[str]
    message: str
    smallest_order_size_pct: Money | None


class PlanView(BaseModel):
    """The preview of what execute would do now."""

    mode: Literal["manual", "autopilot"]
    can_execute: bool
    exchange: str
    quote_asset: str
    nav: Money
    quote_amount: Money
    drift_pct: Percent
    actions: list[ActionView]
    assets: list[AssetView]
    unmanaged: list[UnmanagedView]
    warnings: list[WarningView]

    @classmethod
    def of(cls, plan: Plan) -> "PlanView":
        """A plan as the API shows it."""
        evaluation = plan.evaluation
        return cls(
            mode="autopilot" if plan.strategy.autopilot_enabled else "manual",
            can_execute=not plan.strategy.autopilot_enabled,
            exchange=plan.strategy.exchange,
            quote_asset=plan.strategy.quote_asset,
            nav=evaluation.nav,
            quote_amount=evaluation.quote_amount,
            drift_pct=evaluation.drift_pct,
            actions=[ActionView.model_validate(action) for action in evaluation.actions],
            assets=_assets(evaluation),
            unmanaged=_unmanaged(evaluation),
            warnings=[WarningView.model_validate(warning) for warning in evaluation.warnings],
        )


class BalanceView(_Answer):
    """What is held of one managed asset."""

    asset: str
    free: Money
    locked: Money
    held: Money
    price: Money | None
    value: Money
    weight_pct: Percent


class BalancesView(BaseModel):
    """What the account holds, valued like the plan."""

    exchange: str
    quote_asset: str
    nav: Money
    balances: list[BalanceView]
    unmanaged: list[UnmanagedView]

    @classmethod
    def of(cls, plan: Plan) -> "BalancesView":
        """The holdings of a plan."""
        return cls(
            exchange=plan.strategy.exchange,
            quote_asset=plan.strategy.quote_asset,
            nav=plan.evaluation.nav,
            balances=[BalanceView.model_validate(row) for row in plan.evaluation.rows],
            unmanaged=_unmanaged(plan.evaluation),
        )


class AllocationView(_Answer):
    """The share of one managed asset, and how far it is from its target."""

    asset: str
    value: Money
    weight_pct: Percent
    target_pct: Money
    delta_quote: Money


class SummaryView(BaseModel):
    """The portfolio at a glance, valued like the plan."""

    exchange: str
    quote_asset: str
    nav: Money
    drift_pct: Percent
    allocations: list[AllocationView]

    @classmethod
    def of(cls, plan: Plan) -> "SummaryView":
        """The shares of a plan."""
        return cls(
            exchange=plan.strategy.exchange,
            quote_asset=plan.strategy.quote_asset,
            nav=plan.evaluation.nav,
            drift_pct=plan.evaluation.drift_pct,
            allocations=[AllocationView.model_validate(row) for row in plan.evaluation.rows],
        )


class FillView(_Answer):
    """One trade of an order."""

    trade_id: str
    price: Money
    base_qty: Money
    fee: Money
    fee_asset: str
    traded_at_ms: int


class OrderView(_Answer):
    """An order from intent to end."""

    client_order_id: str
    exchange_order_id: str | None
    exchange: str
    symbol: str
    side: Side
    status: OrderStatus
    limit_price: Money
    base_qty: Money
    filled_qty: Money
    quote_amount: Money
    fills: list[FillView]
    reason: str | None
    source: Literal["autopilot", "manual"]
    ts_tick: int
    placed_at: int
    updated_at: int


class OrdersView(BaseModel):
    """A page of orders, newest first."""

    orders: list[OrderView]
    cursor: str | None


class ExecutionView(BaseModel):
    """What execute decided on fresh facts, and the orders that came of it."""

    nav: Money
    drift_pct: Percent
    orders: list[OrderView]
    assets: list[AssetView]

    @classmethod
    def of(cls, evaluation: Evaluation, orders: list[Order]) -> "ExecutionView":
        """An execution as the API shows it."""
        return cls(
            nav=evaluation.nav,
            drift_pct=evaluation.drift_pct,
            orders=[OrderView.model_validate(order) for order in orders],
            assets=_assets(evaluation),
        )


class StrategyRequest(_Request):
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


class StrategyView(_Answer):
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


class AutopilotRequest(_Request):
    """Whether the autopilot shall trade by itself."""

    enabled: Annotated[bool, Field(strict=True)]


class CredentialsRequest(_Request):
    """An exchange key; it is encrypted, and never shown again."""

    exchange: Exchange = "binance"
    api_key: Annotated[str, StringConstraints(min_length=8, max_length=256, pattern=r"^[\x21-\x7e]+$")]
    secret: Annotated[str, StringConstraints(min_length=8, max_length=2048, pattern=r"^[\x20-\x7e\n]+$")]
    password: Annotated[str, StringConstraints(max_length=256)] = ""


class CredentialsView(_Answer):
    """What may be known of a stored key: its last four characters."""

    exchange: str
    hint: str


class DecisionView(_Answer):
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


class DecisionsView(BaseModel):
    """A page of decisions, newest first."""

    decisions: list[DecisionView]
    cursor: str | None


class HealthView(BaseModel):
    """That the function answers."""

    status: Literal["ok"]


def _assets(evaluation: Evaluation) -> list[AssetView]:
    return [AssetView.model_validate(row) for row in evaluation.rows]


def _unmanaged(evaluation: Evaluation) -> list[UnmanagedView]:
    return [
        UnmanagedView(asset=asset, free=balance.free, locked=balance.locked)
        for asset, balance in evaluation.unmanaged.items()
    ]
