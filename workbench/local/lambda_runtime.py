"""Invokes the template's handlers in this process, one at a time, as one Lambda instance would."""

from collections.abc import Callable
from importlib import import_module
from threading import Lock
from typing import Any
from uuid import uuid4

_REMAINING_MS = 60_000


class InvocationContext:
    """What Lambda hands a handler besides the event."""

    def __init__(self, function_name: str, remaining_ms: int = _REMAINING_MS) -> None:
        self._remaining_ms = remaining_ms
        self.function_name = function_name
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = 1024
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function_name}"
        self.aws_request_id = str(uuid4())

    def get_remaining_time_in_millis(self) -> int:
        """The same from beginning to end: what a local invocation takes is no measure of what a function may."""
        return self._remaining_ms


class LambdaRuntime:
    """Handlers by the template's names (``plan.app.lambda_handler``), imported when first invoked."""

    def __init__(self) -> None:
        self._handlers: dict[str, Callable[[Any, Any], Any]] = {}
        self._one_at_a_time = Lock()

    def invoke(self, handler: str, event: Any) -> Any:
        """What the handler answers to ``event``."""
        with self._one_at_a_time:
            if handler not in self._handlers:
                module, _, function = handler.rpartition(".")
                self._handlers[handler] = getattr(import_module(module), function)
            return self._handlers[handler](event, InvocationContext(handler.partition(".")[0]))

    def between_invocations[T](self, look: Callable[[], T]) -> T:
        """What ``look`` answers while no handler runs: they share connections that are for one at a time."""
        with self._one_at_a_time:
            return look()
