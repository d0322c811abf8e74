"""The queue of deliveries: what to hand to its channel now. Whatever does not arrive there is found again when it is
due."""

from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING

from pydantic import BaseModel

from botbalance.errors import TransientError
from botbalance.log import logger
from botbalance.store.message_queue import MESSAGES_PER_REQUEST, send_messages

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


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
        for some in batched(jobs, MESSAGES_PER_REQUEST, strict=False):
            try:
                refused = send_messages(self._client, self._url, [job.model_dump_json() for job in some])
            except TransientError as error:
                logger.warning("deliveries not queued", number=len(some), reason=str(error))
                continue
            if refused:
                logger.warning("deliveries not queued", number=len(refused), reason=refused[0].code)
