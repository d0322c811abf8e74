"""Trades once, by hand: the same decision as the plan, made anew on fresh facts."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Header
from botbalance.api.order_schemas import ExecutionView, NotPlacedView
from botbalance.api.resolver import current_user_id, make_handler, new_resolver, remaining_ms
from botbalance.api.responses import answers
from botbalance.bootstrap import services
from botbalance.trading.execute import execute_once

app = new_resolver()

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A request that is sent again with the same key within a day is answered as it was before.",
    ),
]


@app.post("/api/me/strategies/rebalance/execute", responses=answers(ExecutionView, 404, 409))
def post_execute(idempotency_key: IdempotencyKey = None) -> ExecutionView:
    """Decide now and place the orders."""
    user_id = current_user_id(app)
    if idempotency_key is None:
        return _execute(user_id)
    from botbalance.api.idempotency import IdempotencyKeys  # noqa: PLC0415 - takes a while, and few ask for it

    keys = IdempotencyKeys(services().dynamodb, services().settings.cache_table)
    return keys.run_once(user_id, idempotency_key, ExecutionView, lambda: _execute(user_id), app.lambda_context)


lambda_handler = make_handler(app, lambda: services().settings.cors_origin, lambda: services().request_limits)


def _execute(user_id: str) -> ExecutionView:
    """Execute; raises what kept every order from being placed, so that no Idempotency-Key remembers that."""
    execution = execute_once(services().with_deadline(remaining_ms(app)), user_id)
    error = execution.nothing_placed_because
    if error is not None:
        error.members = {
            "not_placed": [NotPlacedView.of(one, error).model_dump(mode="json") for one in execution.not_placed]
        }
        raise error
    return ExecutionView.of(execution)
