"""The workers of the soak: a few at once, each in a process of its own, replaced when it dies."""

import multiprocessing
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

from workbench.audit.soak_audit import Findings, GroundTruth, audit_user, init_worker
from workbench.soak.worker_process import Invocation, Report, Setup, run

_CONTEXT = multiprocessing.get_context("forkserver")
_LONGEST_END_S = 5


class SoakClock:
    """Epoch seconds, the same for every process of the soak; stands still within a tick."""

    def __init__(self, start: int) -> None:
        self.shared = _CONTEXT.Value("q", start)

    def __call__(self) -> int:
        """In epoch seconds."""
        return int(self.shared.value)

    def milliseconds(self) -> int:
        """The same in epoch milliseconds."""
        return int(self.shared.value) * 1000

    def go_on(self, seconds: int) -> int:
        """Move on; returns the new time."""
        self.shared.value += seconds
        return int(self.shared.value)


class Worker:
    """One process that handles an invocation at a time."""

    def __init__(self, setup: Setup, clock: SoakClock) -> None:
        self._setup = setup
        self._clock = clock
        self._lives = 0
        self._process: BaseProcess | None = None
        self._pipe: Connection[Invocation, Report] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        if self._process is None or self._process.pid is None:
            raise RuntimeError("the worker has not been started")
        return self._process.pid

    @property
    def pipe(self) -> "Connection[Invocation, Report]":
        """Readable when the invocation is done, and when the process has died."""
        if self._pipe is None:
            raise RuntimeError("the worker has not been started")
        return self._pipe

    def start(self) -> None:
        """A new process, in place of the one that died."""
        here, there = _CONTEXT.Pipe()
        self._lives += 1  # of another seed than the one that died, or it would meet the same faults again
        setup = replace(self._setup, seed=f"{self._setup.seed}:{self._lives}", meets_all=self._lives == 1)
        self._process = _CONTEXT.Process(target=run, args=(setup, self._clock.shared, there), daemon=True)
        self._process.start()
        there.close()
        self._pipe = here

    def begin(self, invocation: Invocation) -> None:
        """Hand over an invocation."""
        self.pipe.send(invocation)

    def report(self) -> Report | None:
        """What came of the invocation; None where the process died of it, and a new one has taken its place."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.stop()
            self.start()
            return None

    def stop(self) -> None:
        """End the process, which has nothing under way."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            self._process.join(_LONGEST_END_S)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process.close()
            self._process = None


class Workers:
    """Some workers at once; a context manager that ends them."""

    def __init__(self, number: int, setup: Setup, clock: SoakClock) -> None:
        _CONTEXT.set_forkserver_preload(["workbench.soak.worker_process"])
        self._idle = [Worker(setup, clock) for _ in range(number)]
        self._busy: dict[Connection[Invocation, Report], tuple[Worker, Any]] = {}

    def __enter__(self) -> Self:
        for worker in self._idle:
            worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            worker.stop()

    @property
    def all_busy(self) -> bool:
        """Whether none is free for another invocation."""
        return not self._idle

    @property
    def none_busy(self) -> bool:
        """Whether every invocation has come to its end."""
        return not self._busy

    def begin(self, task: Any, invocation: Invocation) -> Worker:
        """Hand ``invocation`` to a free worker; ``task`` is given back with its report."""
        worker = self._idle.pop()
        worker.begin(invocation)
        self._busy[worker.pipe] = worker, task
        return worker

    def next_report(self) -> tuple[Any, Report | None]:
        """Wait for an invocation to end: its task, and its report or None where the worker died."""
        ended = wait(list(self._busy))[0]
        pipe = next(pipe for pipe in self._busy if pipe is ended)
        worker, task = self._busy.pop(pipe)
        report = worker.report()
        self._idle.append(worker)
        return task, report


def judge_all(environment: dict[str, str], truths: list[GroundTruth]) -> dict[str, Findings]:
    """What is wrong, by user id, judged in as many processes as there are processors."""
    with _CONTEXT.Pool(initializer=init_worker, initargs=(environment,)) as pool:
        found = pool.map(audit_user, truths, chunksize=1)
    return {truth.user_id: findings for truth, findings in zip(truths, found, strict=True)}
