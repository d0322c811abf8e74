"""Looks and shows: the plan, the balances, the summary. May not write and may not trade."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body
from botbalance.api.account_schemas import StrategyRequest
from botbalance.api.portfolio_schemas import BalancesView, HealthView, PlanView, SummaryView
from botbalance.api.resolver import current_user_id, make_handler, new_resolver
from botbalance.api.responses import answers
from botbalance.bootstrap import services
from botbalance.trading.plan import Plan, expected_convergence, preview
from botbalance.trading.strategy import preview_strategy

app = new_resolver()


@app.get("/api/me/strategies/rebalance/plan", responses=answers(PlanView, 404, 409))
def get_plan() -> PlanView:
    """What execute would do now."""
    plan = _plan()
    return PlanView.of(plan, expected_convergence(services().context, plan))


@app.post("/api/me/strategies/rebalance/preview", responses=answers(PlanView, 400, 404, 409, 413, 415))
def post_preview(strategy: Annotated[StrategyRequest, Body()]) -> PlanView:
    """What execute would do now if this were the strategy. It is checked as if it were saved, and not stored."""
    plan = preview_strategy(services().context, current_user_id(app), strategy.model_dump())
    return PlanView.of(plan, expected_convergence(services().context, plan))


@app.get("/api/me/balances", responses=answers(BalancesView, 404, 409))
def get_balances() -> BalancesView:
    """What the account holds."""
    return BalancesView.of(_plan())


@app.get("/api/me/portfolio/summary", responses=answers(SummaryView, 404, 409))
def get_summary() -> SummaryView:
    """Shares against targets."""
    return SummaryView.of(_plan())


@app.get("/api/health", responses=answers(HealthView))
def get_health() -> HealthView:
    """That the function answers."""
    return HealthView(status="ok")


lambda_handler = make_handler(app, lambda: services().settings.cors_origin, lambda: services().request_limits)


def _plan() -> Plan:
    return preview(services().context, current_user_id(app))
