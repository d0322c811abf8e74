"""The shapes of what a dashboard polls, of what can be chosen, and of the trail of what was done."""

from collections.abc import Sequence
from typing import Any, Literal

from botbalance.api.account_schemas import StrategyView
from botbalance.api.decision_schemas import DecisionView
from botbalance.api.fields import Exchange, Money, Percent, ResponseModel, example
from botbalance.api.order_schemas import OrderView
from botbalance.api.pause_schemas import PauseView, pause_views
from botbalance.api.portfolio_schemas import AssetView, UnmanagedView, WarningView, asset_views, unmanaged_views
from botbalance.exchange.profiles import DEFAULT_EXCHANGE, PROFILES, exchanges_at, is_paper
from botbalance.models.activity import Activity, ActivityKind, Actor
from botbalance.trading.overview import Overview

Mode = Literal["live", "test", "paper", "simulated"]
"""What an exchange's orders trade: real money, its test network's, none at real prices, or none at made-up ones."""
_THIRD_PART = "passphrase"


class OverviewView(ResponseModel):
    """Where the account stands at ``now``, from what is known already: no exchange is asked.

    ``looked_at`` is when the account was last seen, ``priced_at`` how old the oldest of the prices is that it is valued
    by here. Both are null, with every figure, before the first run of the autopilot or an execution. ``incidents`` say
    what keeps the portfolio from being traded.
    """

    now: int
    mode: Mode
    exchange: str | None
    quote_asset: str | None
    strategy: StrategyView | None
    has_key: bool
    halted: str | None
    looked_at: int | None
    priced_at: int | None
    nav: Money | None
    hold_quote: Money | None
    bonus_quote: Money | None
    quote_amount: Money | None
    drift_pct: Percent | None
    band_pct: Percent | None
    assets: list[AssetView]
    unmanaged: list[UnmanagedView]
    orders: list[OrderView]
    warnings: list[WarningView]
    last_decision: DecisionView | None
    incidents: list[str]
    nobody_told: bool
    """Whether real money is traded by itself, and trouble would reach its owner by no channel."""
    pauses: list[PauseView]

    @classmethod
    def of(cls, overview: Overview, stand_in: str | None) -> "OverviewView":
        """An overview as the API shows it; ``stand_in`` is the exchange that is simulated here, if one is."""
        strategy, seen = overview.strategy, overview.seen
        mode = _mode(DEFAULT_EXCHANGE if strategy is None else strategy.exchange, stand_in)
        evaluation = None if seen is None else seen.evaluation
        return cls(
            now=overview.now,
            mode=mode,
            exchange=None if strategy is None else strategy.exchange,
            quote_asset=None if strategy is None else strategy.quote_asset,
            strategy=None if strategy is None else StrategyView.model_validate(strategy),
            has_key=overview.has_key,
            halted=overview.halt,
            looked_at=None if seen is None else seen.looked_at,
            priced_at=None if seen is None else seen.priced_at,
            nav=None if evaluation is None else evaluation.nav,
            hold_quote=None if seen is None else seen.hold_quote,
            bonus_quote=None if seen is None else seen.bonus_quote,
            quote_amount=None if evaluation is None else evaluation.quote_amount,
            drift_pct=None if evaluation is None else evaluation.drift_pct,
            band_pct=None if evaluation is None else evaluation.band_pct,
            assets=[] if evaluation is None else asset_views(evaluation),
            unmanaged=[] if evaluation is None else unmanaged_views(evaluation),
            orders=[OrderView.model_validate(order) for order in overview.orders],
            warnings=[] if evaluation is None else [WarningView.model_validate(found) for found in evaluation.warnings],
            last_decision=None if overview.last_decision is None else DecisionView.of(overview.last_decision),
            incidents=_incidents(overview),
            nobody_told=mode == "live" and overview.nobody_told,
            pauses=pause_views(overview.pauses),
        )


class ExchangeChoiceView(ResponseModel):
    """An exchange that can be chosen; ``password_name`` is what it calls the third part of a key, where it has one."""

    model_config = example(exchange=DEFAULT_EXCHANGE, mode="live", password_name=None)

    exchange: Exchange
    mode: Mode
    password_name: str | None


class MarketsView(ResponseModel):
    """Which exchanges can be chosen, and what trades on the one that was asked about.

    ``quotes`` are the assets that others trade against there, ``assets`` those that trade against the quote asked for.
    """

    exchanges: list[ExchangeChoiceView]
    quotes: list[str]
    assets: list[str]

    @classmethod
    def of(cls, stand_in: str | None, pairs: Sequence[tuple[str, str]], quote: str) -> "MarketsView":
        """The exchanges, or only those at ``stand_in``, which is simulated; ``pairs`` (base and quote) are of one."""
        profiles = PROFILES.values() if stand_in is None else exchanges_at(stand_in)
        return cls(
            exchanges=[
                ExchangeChoiceView(
                    exchange=profile.name,
                    mode=_mode(profile.name, stand_in),
                    password_name=_THIRD_PART if profile.key_has_password else None,
                )
                for profile in profiles
            ],
            quotes=sorted({priced_in for _, priced_in in pairs}),
            assets=sorted(base for base, priced_in in pairs if priced_in == quote),
        )


class ActivityView(ResponseModel):
    """One thing that was done to the account: by whom, and what it changed."""

    model_config = example(
        activity_id="1769860830000#0123456789ab",
        at=1769860830,
        actor="user",
        action="strategy.changed",
        subject=None,
        before={"order_size_pct": "2"},
        after={"order_size_pct": "1.5"},
        reason=None,
        request_id="5f0c3a4e-98a5-4f8e-9f3c-0b8f1f3f2a11",
    )

    activity_id: str
    at: int
    actor: Actor
    action: ActivityKind
    subject: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    request_id: str | None

    @classmethod
    def of(cls, activity: Activity) -> "ActivityView":
        """An activity as the API shows it."""
        return cls.model_validate({**activity.model_dump(), "at": activity.occurred_at})


class ActivityPageView(ResponseModel):
    """A page of the trail, newest first."""

    activity: list[ActivityView]
    cursor: str | None

    @classmethod
    def of(cls, activities: list[Activity], cursor: str | None) -> "ActivityPageView":
        """A page as the API shows it."""
        return cls(activity=[ActivityView.of(activity) for activity in activities], cursor=cursor)


def _mode(exchange: str, stand_in: str | None) -> Mode:
    if is_paper(exchange):
        return "paper"
    if stand_in is not None:
        return "simulated"
    return "test" if PROFILES[exchange].is_test else "live"


def _incidents(overview: Overview) -> list[str]:
    found = []
    if overview.halt is not None:
        found.append(f"Trading is halted for everybody: {overview.halt}")
    if overview.strategy is not None and overview.strategy.disabled_reason is not None:
        found.append(f"The autopilot was switched off: {overview.strategy.disabled_reason}")
    found += [f"Paused: {pause.evidence}" for pause in overview.pauses if pause.scope != "account"]
    last = overview.last_decision
    if last is not None and last.outcome == "skipped":
        found.append(f"The last tick decided nothing: {last.reason}")
    return found
