"""Queues within one process, in place of SQS's: a tick that is in one when the process ends would be late anyway."""

from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import count
from typing import Any


class InProcessQueues:
    """As much of boto3's SQS client as the functions send with, and as their event source receives with."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, deque[str]] = defaultdict(deque)
        self._numbers = count(1)

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Take every message; none is refused."""
        self._waiting[QueueUrl].extend(entry["MessageBody"] for entry in Entries)
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int) -> dict[str, Any]:  # noqa: N803
        """The oldest messages of a queue; none where it is empty."""
        waiting = self._waiting[QueueUrl]
        number = min(MaxNumberOfMessages, len(waiting))
        ids = [str(next(self._numbers)) for _ in range(number)]
        return {"Messages": [{"MessageId": id_, "ReceiptHandle": id_, "Body": waiting.popleft()} for id_ in ids]}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:  # noqa: N803
        """A message is gone once it was received: it is received once."""

    def close(self) -> None:
        """Nothing is open."""
