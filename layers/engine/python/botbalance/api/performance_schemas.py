"""The shapes of what rebalancing has earned, and of how it came to that."""

from pydantic import Field

from botbalance.api.fields import Money, ResponseModel, example
from botbalance.engine import Side
from botbalance.trading.history import Change, History, Step
from botbalance.trading.performance import Performance


class ContributionView(ResponseModel):
    """What the fills of one asset added to the portfolio, in quote; negative where they cost."""

    model_config = example(name="ETH", bonus_quote="-0.06794316", fills=2)

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

    ``nav`` = ``hold_quote`` + ``bonus_quote``, exactly, and ``by_asset`` adds up to ``bonus_quote``. ``fills`` are the
    newest ones alone. Where it cannot be known now, the figures are null, and ``unavailable`` says why.
    """

    available: bool
    unavailable: str | None
    quote_asset: str
    nav: Money | None = None
    hold_quote: Money | None = None
    bonus_quote: Money | None = None
    fills_count: int | None = None
    by_asset: list[ContributionView] = Field(default_factory=list)
    fills: list[FillContributionView] = Field(default_factory=list)

    @classmethod
    def of(cls, performance: Performance) -> "PerformanceView":
        """A performance as the API shows it."""
        return cls(
            available=True,
            unavailable=None,
            quote_asset=performance.plan.strategy.quote_asset,
            nav=performance.plan.evaluation.nav,
            hold_quote=performance.hold_quote,
            bonus_quote=performance.bonus_quote,
            fills_count=sum(part.fills for part in performance.by_asset),
            by_asset=[
                ContributionView(name=part.asset, bonus_quote=part.bonus_quote, fills=part.fills)
                for part in performance.by_asset
            ],
            fills=[
                FillContributionView(
                    **one.fill.model_dump(),
                    client_order_id=one.order.client_order_id,
                    symbol=one.order.symbol,
                    side=one.order.side,
                    bonus_quote=one.bonus_quote,
                )
                for one in performance.newest
            ],
        )


class HistoryPointView(ResponseModel):
    """The portfolio at the last look of a step, in quote: ``nav`` = ``hold_quote`` + ``bonus_quote``, exactly.

    ``added_quote`` is what the bonus has changed by since the point before. Where what was traded had no price then,
    these three are null.
    """

    model_config = example(at=1769860830, nav="10012.5", hold_quote="10004.25", bonus_quote="8.25", added_quote="0.75")

    at: int
    nav: Money
    hold_quote: Money | None
    bonus_quote: Money | None
    added_quote: Money | None

    @classmethod
    def of(cls, change: Change) -> "HistoryPointView":
        """A point as the API shows it."""
        point = change.point
        return cls(at=point.at, nav=point.nav, hold_quote=point.hold, bonus_quote=point.bonus, added_quote=change.added)


class HistoryView(ResponseModel):
    """What the portfolio was worth, oldest first: the last point of every step in which the account was looked at."""

    exchange: str
    quote_asset: str
    step: Step
    points: list[HistoryPointView]

    @classmethod
    def of(cls, history: History) -> "HistoryView":
        """A history as the API shows it."""
        return cls(
            exchange=history.strategy.exchange,
            quote_asset=history.strategy.quote_asset,
            step=history.step,
            points=[HistoryPointView.of(change) for change in history.changes],
        )
