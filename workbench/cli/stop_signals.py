"""What asks a running command to end: Ctrl-C and a polite kill."""

import math
import select
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from socket import socket, socketpair
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAME_MOMENT_S = 1


class StopSignals:
    """Whether the command was asked to end; made by :func:`stop_signals`, for the main thread.

    A signal may meet any thread, and Python handles it in the main one only. That one would sleep on, waiting for an
    event that its handler sets. So it waits for the byte that the signal itself writes, in whichever thread it meets.
    """

    def __init__(self, written: socket) -> None:
        self._written = written
        self._impatient_after = math.inf
        self.is_set = False

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for so long, with None for ever; returns whether the command was asked to end."""
        if not self.is_set:
            readable, _, _ = select.select([self._written], [], [], timeout_s)
            self.is_set = self.is_set or bool(readable)
        return self.is_set

    def handle(self, _signal: int, _frame: FrameType | None) -> None:
        """Note that it was asked; raises KeyboardInterrupt where that was a while ago, which ends it at once."""
        now = time.monotonic()
        if now > self._impatient_after:
            raise KeyboardInterrupt
        self.is_set = True
        self._impatient_after = min(self._impatient_after, now + _SAME_MOMENT_S)


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Have Ctrl-C and a polite kill noted; another one, a moment later, ends the command at once.

    Not one in the same moment: a terminal and whatever started this both pass on the same Ctrl-C.
    """
    read_end, write_end = socketpair()
    with closing(read_end), closing(write_end):
        write_end.setblocking(False)
        stopped = StopSignals(read_end)
        handlers = {number: signal.signal(number, stopped.handle) for number in _SIGNALS}
        before = signal.set_wakeup_fd(write_end.fileno(), warn_on_full_buffer=False)
        try:
            yield stopped
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
