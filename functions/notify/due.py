"""Queues the messages whose time has come: digests, what waited, and what is to be tried again."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botbalance.bootstrap import services
from botbalance.log import logger
from botbalance.notifications.due import queue_due


@logger.inject_lambda_context(clear_state=True, log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Entry point for the schedule, once a minute; what is not done within its time is due a minute later."""
    queued = queue_due(services().notifications(context.get_remaining_time_in_millis()))
    logger.info("due", queued=queued)
    return {"queued": queued}
