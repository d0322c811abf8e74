"""Sending messages to a queue of SQS."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from botbalance.store.dynamodb import translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MESSAGES_PER_REQUEST = 10


class RefusedMessage(NamedTuple):
    """A message that the queue did not take: what SQS says of it, and whether it was ours to avoid."""

    body: str
    code: str
    by_our_fault: bool


def send_messages(sqs: "SQSClient", queue_url: str, bodies: Sequence[str]) -> list[RefusedMessage]:
    """Send up to ten messages in one request; returns those that the queue did not take.

    Raises TransientError where the request failed as a whole.
    """
    with translate_aws_errors("the queue"):
        answer = sqs.send_message_batch(
            QueueUrl=queue_url,
            Entries=[{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)],
        )
    return [
        RefusedMessage(bodies[int(refusal["Id"])], str(refusal.get("Code")), refusal["SenderFault"])
        for refusal in answer.get("Failed", [])
    ]
