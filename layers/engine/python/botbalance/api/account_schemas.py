"""The shapes of what belongs to a user: strategy, autopilot switch, exchange keys, the check."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from botbalance.api.fields import (
    Asset,
    Exchange,
    Flag,
    Money,
    NoText,
    Number,
    RequestModel,
    ResponseModel,
    example,
    number_schema,
    patch_model,
)
from botbalance.api.portfolio_schemas import WarningView
from botbalance.engine import BudgetLimits
from botbalance.exchange.profiles import DEFAULT_EXCHANGE
from botbalance.trading.preflight import CheckResult, CheckStatus
from botbalance.trading.strategy import SavedStrategy

Target = Annotated[Number, number_schema("Percent of the portfolio.", "40", least=0, most=100)]
Targets = Annotated[
    dict[Asset, Target],
    Field(
        min_length=1,
        max_length=50,
        description="Percent of the portfolio by asset; they must sum to exactly 100.",
        examples=[{"BTC": "40", "ETH": "30", "SOL": "20", "USDT": "10"}],
    ),
]
ChangedTargets = Annotated[
    dict[Asset, Target | None],
    Field(
        max_length=50,
        description="Merged with the stored targets by asset; null drops one. Together they must sum to exactly 100.",
        examples=[{"BTC": "50", "ETH": "20"}],
    ),
]
OrderSize = Annotated[
    Number, number_schema("What one order is worth, in percent of the portfolio.", "1", above=0, most=100)
]
OrderStep = Annotated[
    Number, number_schema("How far from the market an order is placed, in percent.", "0.4", above=0, most=50)
]
Band = Annotated[
    Number, number_schema("In quote; an asset nearer to its target than this is left alone.", "50", above=0)
]
BandShare = Annotated[
    Number,
    number_schema(
        "The band in percent of the portfolio, so that it grows as an order does; the larger of the two counts. "
        "No smaller than order_size_pct, and at most half the smallest target, is sound.",
        "2",
        above=0,
        most=100,
    ),
]
Reserve = Annotated[
    Number,
    number_schema(
        "Quote that buys leave untouched, in percent of the portfolio; at most the quote asset's own target.",
        "5",
        least=0,
        most=100,
    ),
]
MaxAge = Annotated[
    int, Field(ge=0, le=2_592_000, description="Seconds that an order rests before it is reviewed."), NoText
]
Tolerance = Annotated[
    Number,
    number_schema(
        "How far a reviewed order may be from today's price and still stay, in percent; two steps if null.",
        "0.1",
        above=0,
        most=50,
    ),
]


_LIMITS = BudgetLimits()
Churn = Annotated[
    Number,
    number_schema(
        "Of a pair: twice the smaller of what was bought and sold, in percent of the portfolio a day, mean of 7 days.",
        "3",
        above=0,
        most=1_000,
    ),
]
Fees = Annotated[
    Number,
    number_schema(
        "Fees of losing trades to and fro in 30 days, in percent of the portfolio, at a fee of 0.1 %.",
        "0.2",
        above=0,
        most=100,
    ),
]
Turnover = Annotated[
    Number,
    number_schema(
        "Everything traded within 24 hours, in percent of the portfolio; over it is a warning, never a pause.",
        "15",
        above=0,
        most=10_000,
    ),
]
Fall = Annotated[
    Number,
    number_schema(
        "How far below its high of 7 days a pair may be, in percent, and still be bought; 100 is no limit.",
        "50",
        above=0,
        most=100,
    ),
]
RoundTrips = Annotated[
    int, Field(ge=1, le=100_000, description="Losing round trips of a pair within 24 hours."), NoText
]
UnfilledOrders = Annotated[
    int, Field(ge=1, le=100_000, description="Orders placed on a pair in a clock hour in which none fills."), NoText
]
OrdersPerPair = Annotated[
    int, Field(ge=1, le=100_000, description="Orders placed within 24 hours, on average of the pairs."), NoText
]


class BudgetsRequest(RequestModel):
    """What trading may come to before it is paused: over two thirds of a limit is a warning."""

    churn_pct: Churn = _LIMITS.churn_pct
    fees_pct: Fees = _LIMITS.fees_pct
    losing_round_trips: RoundTrips = _LIMITS.losing_round_trips
    unfilled_orders: UnfilledOrders = _LIMITS.unfilled_orders
    orders_per_pair: OrdersPerPair = _LIMITS.orders_per_pair
    turnover_pct: Turnover = _LIMITS.turnover_pct
    fall_pct: Fall = _LIMITS.fall_pct


@patch_model
class BudgetsPatch(BudgetsRequest):
    """Which limits shall change; the others stay."""


class BudgetsView(ResponseModel):
    """The limits as they are stored."""

    churn_pct: Money
    fees_pct: Money
    losing_round_trips: int
    unfilled_orders: int
    orders_per_pair: int
    turnover_pct: Money
    fall_pct: Money


class StrategyRequest(RequestModel):
    """A whole strategy; what is not given takes its default."""

    target_allocations: Targets
    quote_asset: Asset = "USDT"
    exchange: Exchange = DEFAULT_EXCHANGE
    order_size_pct: OrderSize
    order_step_pct: OrderStep
    min_delta_quote: Band
    min_delta_pct: BandShare | None = None
    quote_reserve_pct: Reserve = Decimal(0)
    order_max_age_s: MaxAge = 900
    reprice_tolerance_pct: Tolerance | None = None
    post_only: Flag = True
    budgets: BudgetsRequest = Field(default_factory=BudgetsRequest)


@patch_model
class StrategyPatch(StrategyRequest):
    """What of a strategy shall change; the rest stays."""

    target_allocations: ChangedTargets  # type: ignore[assignment]  # null drops one
    budgets: BudgetsPatch


_STORED: dict[str, Any] = {
    "target_allocations": {"BTC": "40", "ETH": "30", "SOL": "20", "USDT": "10"},
    "quote_asset": "USDT",
    "exchange": DEFAULT_EXCHANGE,
    "order_size_pct": "1",
    "order_step_pct": "0.4",
    "min_delta_quote": "50",
    "min_delta_pct": "2",
    "quote_reserve_pct": "0",
    "order_max_age_s": 900,
    "reprice_tolerance_pct": None,
    "post_only": True,
    "budgets": {
        "churn_pct": "3",
        "fees_pct": "0.2",
        "losing_round_trips": 2,
        "unfilled_orders": 40,
        "orders_per_pair": 100,
        "turnover_pct": "15",
        "fall_pct": "50",
    },
    "autopilot_enabled": False,
    "disabled_reason": None,
    "version": 1,
}
"""An example of a strategy."""


class StrategyView(ResponseModel):
    """A strategy as it is stored."""

    model_config = example(**_STORED)

    target_allocations: dict[str, Money]
    quote_asset: str
    exchange: str
    order_size_pct: Money
    order_step_pct: Money
    min_delta_quote: Money
    min_delta_pct: Money | None
    quote_reserve_pct: Money
    order_max_age_s: int
    reprice_tolerance_pct: Money | None
    post_only: bool
    budgets: BudgetsView
    autopilot_enabled: bool
    disabled_reason: str | None
    version: int


class SavedStrategyView(StrategyView):
    """A strategy as it was stored just now, and how it fits the account and its markets."""

    model_config = example(
        **_STORED,
        warnings=[
            {
                "code": "never_trades",
                "assets": ["BTC"],
                "message": "an order of 0.75 USDT is below what BTCUSDT accepts (5.2108236); "
                "it takes order_size_pct of 0.06947765 or more",
                "smallest_order_size_pct": "0.06947765",
                "min_delta_pct": None,
                "from_nav": None,
            }
        ],
        not_checked=None,
    )

    warnings: list[WarningView]
    not_checked: str | None

    @classmethod
    def of(cls, saved: SavedStrategy) -> "SavedStrategyView":
        """A saved strategy as the API shows it."""
        return cls.model_validate(
            {
                **saved.strategy.model_dump(),
                "warnings": [WarningView.model_validate(warning) for warning in saved.warnings],
                "not_checked": saved.check_error,
            }
        )


class AutopilotRequest(RequestModel):
    """Whether the autopilot shall trade by itself."""

    enabled: Flag


class CredentialsRequest(RequestModel):
    """An exchange key; it is encrypted, and never shown again."""

    exchange: Exchange = DEFAULT_EXCHANGE
    # It goes into a header: no exchange's key has more than these, and markup may be refused before the exchange.
    api_key: Annotated[str, StringConstraints(min_length=8, max_length=256, pattern=r"^[A-Za-z0-9_+/=.:@-]+$")]
    secret: Annotated[str, StringConstraints(min_length=8, max_length=2048, pattern=r"^[\x20-\x7e\n]+$")]
    password: Annotated[str, StringConstraints(max_length=256)] = ""


class CredentialsView(ResponseModel):
    """What may be known of a stored key: its last four characters."""

    model_config = example(exchange=DEFAULT_EXCHANGE, hint="x7Qk")

    exchange: str
    hint: str


class CredentialsListView(ResponseModel):
    """Every key that is stored, by exchange."""

    credentials: list[CredentialsView]


class CheckItemView(ResponseModel):
    """One thing that was checked: what was found, and what to do about it."""

    model_config = example(name="key_withdraws", verdict="fail", found="the key may withdraw", remedy="forbid that")

    name: str
    verdict: CheckStatus
    found: str
    remedy: str | None


class CheckView(ResponseModel):
    """The check of an account; ready where no item fails."""

    ready: bool
    items: list[CheckItemView]

    @classmethod
    def of(cls, items: list[CheckResult]) -> "CheckView":
        """A check as the API shows it."""
        return cls(
            ready=all(item.verdict is not CheckStatus.FAIL for item in items),
            items=[CheckItemView.model_validate(item) for item in items],
        )
