"""Hands messages to their channels. It alone can read users' addresses, and it alone sends to them."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botbalance.bootstrap import services
from botbalance.log import logger
from botbalance.notifications.deliver import deliver
from botbalance.store.delivery_queue import DeliveryJob

# A message that failed is reported, not raised: the function is well.
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def deliver_job(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Hand one delivery over, and log what became of it; raises where it could not be begun."""
    job = DeliveryJob.model_validate_json(record.body)
    state = deliver(services().notifications(lambda_context.get_remaining_time_in_millis()), job)
    logger.info("delivery", user_id=job.user_id, delivery_id=job.delivery_id, state=state)


@logger.inject_lambda_context(clear_state=True, log_event=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Entry point for the queue; reports the messages that failed, so that only they come back."""
    return process_partial_response(event=event, record_handler=deliver_job, processor=processor, context=context)
