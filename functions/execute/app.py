"""Trades once, by hand: the same decision as the plan, made anew on fresh facts."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botbalance.api.resolver import new_resolver, user_of
from botbalance.api.schemas import ExecutionView
from botbalance.bootstrap import services
from botbalance.log import logger
from botbalance.trading.execute import execute_once

app = new_resolver()


@app.post("/api/me/strategies/rebalance/execute")
def post_execute() -> ExecutionView:
    """Decide now and place the orders."""
    execution = execute_once(services().desk, user_of(app))
    return ExecutionView.of(execution.evaluation, execution.orders)


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for API Gateway."""
    return app.resolve(event, context)
