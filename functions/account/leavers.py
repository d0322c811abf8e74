"""Looks, once a day, for users who cannot sign in any more: their autopilots go off, and their keys in the end."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botbalance.bootstrap import services
from botbalance.log import logger
from botbalance.trading.leavers import look_after_leavers


@logger.inject_lambda_context(clear_state=True, log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Entry point for the schedule; raises TransientError, and has done nothing, where not all users are told."""
    trading = services().with_deadline(context.get_remaining_time_in_millis())
    done = look_after_leavers(trading, services().user_pool)
    logger.info("leavers looked after", switched_off=done.switched_off, keys_deleted=done.keys_deleted)
    return {"switched_off": done.switched_off, "keys_deleted": done.keys_deleted}
