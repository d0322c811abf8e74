"""The tick's queue within one process, in place of SQS's: what is in it when the process ends would be late anyway."""

from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Any


class TickQueue:
    """As much of boto3's SQS client as dispatch sends with, and as a worker's event source receives with."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._numbers = count(1)

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        """SQS's: have messages wait."""
        self._waiting.extend(entry["MessageBody"] for entry in Entries)
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int) -> dict[str, Any]:  # noqa: N803
        """SQS's: take messages, oldest first."""
        number = min(MaxNumberOfMessages, len(self._waiting))
        ids = [str(next(self._numbers)) for _ in range(number)]
        return {"Messages": [{"MessageId": id_, "ReceiptHandle": id_, "Body": self._waiting.popleft()} for id_ in ids]}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:  # noqa: N803
        """A message is gone once it was received: a tick is received once."""

    def close(self) -> None:
        """Nothing is open."""
