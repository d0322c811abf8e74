"""Steps several runs in one thread: each goes on until its next request, and the seed says who is next.

A run is a greenlet, so the code that it runs needs not know: it looks synchronous and waits nowhere. Its time is
virtual; sleeping is to be woken later.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from greenlet import getcurrent, greenlet

from workbench.simulation.choices import Choices


class VirtualClock:
    """Milliseconds since the epoch; only the scheduler moves it."""

    def __init__(self, now_s: int) -> None:
        self.now_ms = now_s * 1000

    def seconds(self) -> int:
        """Whole epoch seconds."""
        return self.now_ms // 1000


class RunDiedError(BaseException):
    """The process was killed, or its function's time was up. No Exception: nobody's ``except`` holds it up."""


class Run:
    """One invocation of a function in one process; ``facts`` are what observers keep about it."""

    def __init__(
        self, number: int, name: str, users: frozenset[str], work: Callable[[], Any], *, ends_at_ms: int
    ) -> None:
        self.number = number
        self.name = name
        self.users = users
        self.ends_at_ms = ends_at_ms
        self.wakes_at_ms = 0
        self.began_at_step = 0
        self.result: Any = None
        self.error: BaseException | None = None
        self.facts: dict[str, Any] = {}
        self.on_switch: tuple[Callable[[], None], Callable[[], None]] | None = None
        self.greenlet = greenlet(lambda: self._work(work))

    @property
    def label(self) -> str:
        """How a story names it."""
        return f"{self.name}#{self.number}"

    @property
    def died(self) -> bool:
        """Whether it was killed."""
        return isinstance(self.error, RunDiedError)

    def _work(self, work: Callable[[], Any]) -> None:
        try:
            self.result = work()
        except BaseException as error:  # noqa: BLE001 - whoever started it looks at it
            self.error = error


class Scheduler:
    """Runs by turns."""

    def __init__(self, clock: VirtualClock, choices: Choices) -> None:
        self.clock = clock
        self.choices = choices
        self.steps = 0
        self.runs: list[Run] = []
        self.current: Run | None = None
        self._hub = getcurrent()
        self._last: Run | None = None

    def start(self, run: Run) -> None:
        """Let ``run`` take its turns from now on."""
        run.began_at_step = self.steps
        self.runs.append(run)

    def ready(self) -> list[Run]:
        """The runs that could go on now."""
        return [run for run in self.runs if run.wakes_at_ms <= self.clock.now_ms]

    def next_wake_ms(self) -> int | None:
        """When the first of those that sleep wakes; None where none does."""
        return min((run.wakes_at_ms for run in self.runs), default=None)

    def step(self, ready: Sequence[Run]) -> Run | None:
        """Let one of the runs that are ``ready`` go on to its next request; returns it where it ended by that."""
        run = ready[0] if len(ready) == 1 else self.choices.choose_one(ready)
        self.steps += 1
        self.current = run
        self._switch_to(run)
        run.greenlet.switch()
        self.current = None
        ended = run if run.greenlet.dead else None
        if ended is not None:
            self.runs.remove(run)
        return ended

    def _switch_to(self, run: Run) -> None:
        """Put away what the last run's process keeps in modules, and have that of ``run``'s; mostly it is the same."""
        last, self._last = self._last, run
        if last is run:
            return
        if last is not None and last.on_switch is not None:
            last.on_switch[1]()
        if run.on_switch is not None:
            run.on_switch[0]()

    # called from within a run

    def pause(self) -> None:
        """Let others go on, if there are any; the caller's turn ends here."""
        self._hub.switch()

    def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        if self.current is None:
            self.clock.now_ms += round(seconds * 1000)
            return
        self.current.wakes_at_ms = self.clock.now_ms + round(seconds * 1000)
        self._hub.switch()


@contextmanager
def virtual_world(clock: VirtualClock, scheduler_sleep: Callable[[float], None], choices: Choices) -> Iterator[None]:
    """No wall time and no chance but the seed's, in this whole process for as long as this lasts."""
    with (
        patch.object(time, "time", lambda: clock.now_ms / 1000),
        patch.object(time, "time_ns", lambda: clock.now_ms * 1_000_000),
        patch.object(time, "sleep", scheduler_sleep),
        patch.object(os, "urandom", choices.random_bytes),
    ):
        yield
