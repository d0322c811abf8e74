"""Trades once, by hand: the same decision as the plan, made anew on fresh facts."""

from botbalance.api.order_schemas import ExecutionView
from botbalance.api.resolver import handler_of, new_resolver, remaining_ms, user_of
from botbalance.bootstrap import services
from botbalance.trading.execute import execute_once

app = new_resolver()


@app.post("/api/me/strategies/rebalance/execute")
def post_execute() -> ExecutionView:
    """Decide now and place the orders."""
    execution = execute_once(services().desk_for(remaining_ms(app)), user_of(app))
    return ExecutionView.of(execution.evaluation, execution.orders)


lambda_handler = handler_of(app)
