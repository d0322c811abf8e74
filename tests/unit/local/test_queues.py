"""InProcessQueues: what is sent to a queue is received from it, in order, once."""

from typing import Any

from botbalance.store.message_queue import send_messages

from workbench.local.queues import InProcessQueues


def test_a_queue_hands_out_its_own_messages_once_and_in_order() -> None:
    queues: Any = InProcessQueues()
    for queue, bodies in {"ticks": ["1", "2", "3"], "deliveries": ["a"]}.items():
        assert send_messages(queues, queue, bodies) == []

    def receive(queue: str) -> list[str]:
        received = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=2)["Messages"]
        for message in received:
            queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in received]

    assert [receive("deliveries"), receive("ticks"), receive("ticks")] == [["a"], ["1", "2"], ["3"]]
    assert receive("ticks") == receive("deliveries") == []
