"""Makes messages of what was written to the activity table, as its stream hands it on."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botbalance.bootstrap import services
from botbalance.errors import TransientError
from botbalance.log import alarm, logger
from botbalance.models.activity import Activity
from botbalance.notifications.collect import collect
from botbalance.store.dynamodb import parse_document


@logger.inject_lambda_context(clear_state=True, log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Entry point for the stream: its records → how many there were, and how many deliveries were queued.

    Raises TransientError where they are to come again; whatever was made of them already is not made twice.
    """
    images = [record["dynamodb"]["NewImage"] for record in event["Records"] if record["eventName"] == "INSERT"]
    activities = [activity for image in images if (activity := _activity(image)) is not None]
    notifications = services().notifications(context.get_remaining_time_in_millis())
    queued = collect(notifications, activities)
    logger.info("collected", activities=len(activities), queued=queued)
    return {"activities": len(activities), "queued": queued}


def _activity(image: dict[str, Any]) -> Activity | None:
    """What was written; None, with an alarm, for what this version does not understand: the others go on."""
    try:
        return parse_document(Activity, image["document"]["S"])
    except TransientError as error:
        alarm("activity_not_read", str(error), user_id=image["user_id"]["S"])
        return None
