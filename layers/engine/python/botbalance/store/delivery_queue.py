"""The queue of deliveries: what to hand to its channel now. Whatever does not arrive there is found again when it is
due."""

import json
from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING

from pydantic import BaseModel

from botbalance.errors import TransientError
from botbalance.log import logger
from botbalance.store.dynamodb import translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MESSAGES_PER_REQUEST = 10


class DeliveryJob(BaseModel):
    """Hand a delivery to its channel, if that was tried ``attempts`` times so far: a job that comes twice is one."""

    user_id: str
    delivery_id: str
    attempts: int


class DeliveryQueue:
    """The queue at ``url``."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, jobs: Sequence[DeliveryJob]) -> None:
        """Send ``jobs``; those that the queue does not take are logged, and sent again when they are due."""
        for some in batched(jobs, _MESSAGES_PER_REQUEST, strict=False):
            try:
                with translate_aws_errors("the queue"):
                    failed = self._client.send_message_batch(
                        QueueUrl=self._url,
                        Entries=[
                            {"Id": str(index), "MessageBody": json.dumps(job.model_dump())}
                            for index, job in enumerate(some)
                        ],
                    ).get("Failed", [])
            except TransientError as error:
                logger.warning("deliveries not queued", number=len(some), reason=str(error))
                continue
            if failed:
                logger.warning("deliveries not queued", number=len(failed), reason=str(failed[0].get("Code")))
