"""The shapes of what rebalancing has earned."""

from collections import Counter
from decimal import Decimal
from itertools import islice

from pydantic import Field

from botbalance.api.fields import Money, ResponseModel, example
from botbalance.engine import Side
from botbalance.trading.performance import Performance, day_of

MOST_FILLS_SHOWN = 200
"""One by one; the rest is in the sums, and in fills.csv."""


class ContributionView(ResponseModel):
    """What the fills of one asset, or of one day (UTC), added to the portfolio, in quote; negative where they cost."""

    model_config = example(name="2026-01-31", bonus_quote="-0.06794316", fills=2)

    name: str
    bonus_quote: Money
    fills: int


class FillContributionView(ResponseModel):
    """What one fill added to the portfolio at today's prices, its fee included, in quote."""

    client_order_id: str
    trade_id: str
    symbol: str
    side: Side
    price: Money
    base_qty: Money
    fee: Money
    fee_asset: str
    traded_at_ms: int
    bonus_quote: Money


class PerformanceView(ResponseModel):
    """The portfolio against what it would be worth had nothing been traded; deposits and withdrawals are in both.

    ``nav`` = ``hold_quote`` + ``bonus_quote``, exactly. Where that cannot be known now, the figures are null, and
    ``unavailable`` says why.
    """

    available: bool
    unavailable: str | None
    quote_asset: str
    nav: Money | None = None
    hold_quote: Money | None = None
    bonus_quote: Money | None = None
    fills_count: int | None = None
    by_asset: list[ContributionView] = Field(default_factory=list)
    by_day: list[ContributionView] = Field(default_factory=list)
    fills: list[FillContributionView] = Field(default_factory=list)

    @classmethod
    def of(cls, performance: Performance) -> "PerformanceView":
        """A performance as the API shows it: the newest fills one by one, the older ones in the sums only."""
        bonus = performance.bonus
        assets = Counter(order.base for order, _ in performance.fills)
        days = Counter(day_of(fill) for _, fill in performance.fills)
        newest = zip(performance.fills, bonus.by_fill, strict=True)
        return cls(
            available=True,
            unavailable=None,
            quote_asset=performance.plan.strategy.quote_asset,
            nav=performance.plan.evaluation.nav,
            hold_quote=performance.hold_quote,
            bonus_quote=bonus.total,
            fills_count=len(performance.fills),
            by_asset=[_contribution(asset, bonus.by_asset[asset], assets[asset]) for asset in sorted(assets)],
            by_day=[_contribution(day, bonus.by_day[day], days[day]) for day in sorted(days, reverse=True)],
            fills=[
                FillContributionView(
                    **fill.model_dump(),
                    client_order_id=order.client_order_id,
                    symbol=order.symbol,
                    side=order.side,
                    bonus_quote=contribution,
                )
                for (order, fill), contribution in islice(newest, MOST_FILLS_SHOWN)
            ],
        )


def _contribution(name: str, bonus_quote: Decimal, fills: int) -> ContributionView:
    return ContributionView(name=name, bonus_quote=bonus_quote, fills=fills)
