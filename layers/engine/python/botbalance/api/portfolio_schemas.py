"""The shapes of what is held and of what would be done about it: balances, summary, plan."""

from typing import Literal

from botbalance.api.fields import BuyTrigger, Money, Percent, ResponseModel, SellTrigger, example
from botbalance.api.pause_schemas import PauseView, pause_views
from botbalance.engine import Convergence, Evaluation, Side, SkipReason, WarningCode
from botbalance.trading.plan import Plan


class ActionView(ResponseModel):
    """One order, final."""

    model_config = example(
        symbol="BTCUSDT",
        side="buy",
        limit_price="43077.51",
        base_qty="0.00464",
        quote_amount="200",
        market_price="43250.52",
        notional="199.8796464",
        capped=False,
    )

    symbol: str
    side: Side
    limit_price: Money
    base_qty: Money
    quote_amount: Money
    market_price: Money
    notional: Money
    capped: bool


class AssetView(ResponseModel):
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
    hold: SkipReason | None
    smallest_order_size_pct: Money | None
    buy_trigger: BuyTrigger | None
    sell_trigger: SellTrigger | None


class UnmanagedView(ResponseModel):
    """A holding that the strategy neither counts nor trades."""

    asset: str
    free: Money
    locked: Money


class WarningView(ResponseModel):
    """Something that the owner should know although the decision could be made."""

    code: WarningCode
    assets: list[str]
    message: str
    smallest_order_size_pct: Money | None
    min_delta_pct: Money | None
    from_nav: Money | None


class ConvergenceView(ResponseModel):
    """About how long it takes until every asset is within its band.

    ``fills`` whole orders bring back ``symbol``, which is farthest off; each takes about 3 · (order_step_pct /
    ``hourly_volatility_pct``)² hours. ``hours`` is null where the volatility of the last hour is not known.
    """

    model_config = example(symbol="BTCUSDT", fills="18.5", hourly_volatility_pct="0.6", hours="24.67")

    symbol: str | None
    fills: Money
    hourly_volatility_pct: Money | None
    hours: Money | None


class RefusedPairView(ResponseModel):
    """A pair whose orders the exchange has refused so often in a row that the next one waits.

    `reason` is the exchange's last word on it, `retry_at` when the pair is tried again, in epoch seconds.
    """

    symbol: str
    times: int
    retry_at: int
    reason: str


class PlanView(ResponseModel):
    """The preview of what execute would do now."""

    mode: Literal["manual", "autopilot"]
    can_execute: bool
    halted: str | None
    exchange: str
    quote_asset: str
    nav: Money
    quote_amount: Money
    band_quote: Money
    band_pct: Percent
    drift_pct: Percent
    convergence: ConvergenceView
    actions: list[ActionView]
    assets: list[AssetView]
    unmanaged: list[UnmanagedView]
    warnings: list[WarningView]
    refused: list[RefusedPairView]
    pauses: list[PauseView]

    @classmethod
    def of(cls, plan: Plan, convergence: Convergence) -> "PlanView":
        """A plan as the API shows it."""
        evaluation = plan.evaluation
        return cls(
            mode="autopilot" if plan.strategy.autopilot_enabled else "manual",
            can_execute=not plan.strategy.autopilot_enabled and plan.halt is None,
            halted=plan.halt,
            exchange=plan.strategy.exchange,
            quote_asset=plan.strategy.quote_asset,
            nav=evaluation.nav,
            quote_amount=evaluation.quote_amount,
            band_quote=evaluation.band_quote,
            band_pct=evaluation.band_pct,
            drift_pct=evaluation.drift_pct,
            convergence=ConvergenceView.model_validate(convergence),
            actions=[ActionView.model_validate(action) for action in evaluation.actions],
            assets=asset_views(evaluation),
            unmanaged=unmanaged_views(evaluation),
            warnings=[WarningView.model_validate(warning) for warning in evaluation.warnings],
            refused=[RefusedPairView(symbol=symbol, **pair.model_dump()) for symbol, pair in plan.waiting.items()],
            pauses=pause_views(plan.pauses),
        )


class BalanceView(ResponseModel):
    """What is held of one managed asset."""

    asset: str
    free: Money
    locked: Money
    held: Money
    price: Money | None
    value: Money
    weight_pct: Percent


class BalancesView(ResponseModel):
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
            unmanaged=unmanaged_views(plan.evaluation),
        )


class AllocationView(ResponseModel):
    """The share of one managed asset, and how far it is from its target."""

    asset: str
    value: Money
    weight_pct: Percent
    target_pct: Money
    delta_quote: Money


class SummaryView(ResponseModel):
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


class HealthView(ResponseModel):
    """That the function answers."""

    status: Literal["ok"]


def asset_views(evaluation: Evaluation) -> list[AssetView]:
    """Every managed asset of an evaluation."""
    return [AssetView.model_validate(row) for row in evaluation.rows]


def unmanaged_views(evaluation: Evaluation) -> list[UnmanagedView]:
    """What an evaluation neither counts nor trades."""
    return [
        UnmanagedView(asset=asset, free=balance.free, locked=balance.locked)
        for asset, balance in evaluation.unmanaged.items()
    ]
