"""The processes in which functions run: each with the real services, on requests that the world may let fail."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from unittest.mock import patch

from aws_lambda_powertools.event_handler.api_gateway import BaseRouter
from botbalance import bootstrap
from botbalance.executors import SequentialExecutor
from botbalance.settings import Settings

from workbench.aws.key_service import InMemoryKeyService
from workbench.faults.exchange import received
from workbench.simulated_exchange.in_process import InProcessConnections
from workbench.simulation.database import Database
from workbench.simulation.dynamodb import InMemoryDynamoDB
from workbench.simulation.scheduler import RunDiedError, VirtualClock

if TYPE_CHECKING:
    from workbench.faults.exchange import Outcome
    from workbench.simulated_exchange.binance_api import Request


EXCHANGE_URL = "http://127.0.0.1:9"
"""Where nobody listens: whatever went past its connections would fail."""


class Outside(Protocol):
    """What a process reaches, and who decides how it goes: the world."""

    clock: VirtualClock
    database: Database

    def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""

    def ask_exchange(self, process: "FunctionProcess", request: "Request") -> "Outcome":
        """One request to the exchange."""

    def ask_database(
        self, process: "FunctionProcess", operation: str, parameters: dict[str, Any], carry_out: Callable[[], Any]
    ) -> dict[str, Any]:
        """One request to the database."""

    def ask_key_service(self, process: "FunctionProcess") -> None:
        """One request to the key service."""


class _Client(InMemoryDynamoDB):
    def __init__(self, outside: Outside, process: "FunctionProcess") -> None:
        super().__init__(outside.database)
        self._outside = outside
        self._process = process

    def _send(
        self, operation: str, carry_out: Callable[[], dict[str, Any]], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        return self._outside.ask_database(self._process, operation, parameters, carry_out)


class _KeyService(InMemoryKeyService):
    def __init__(self, outside: Outside, process: "FunctionProcess") -> None:
        self._outside = outside
        self._process = process

    def encrypt(self, **request: Any) -> dict[str, Any]:
        self._outside.ask_key_service(self._process)
        return super().encrypt(**request)

    def decrypt(self, **request: Any) -> dict[str, Any]:
        self._outside.ask_key_service(self._process)
        return super().decrypt(**request)


class _Services(bootstrap.Services):
    def __init__(self, settings: Settings, outside: Outside, process: "FunctionProcess") -> None:
        super().__init__(settings, clock=outside.clock.seconds, sleep=outside.sleep)
        named: dict[str, Any] = vars(self)  # in place of what is made when it is first asked for
        named["dynamodb"] = _Client(outside, process)
        named["kms"] = _KeyService(outside, process)
        named["exchange_connections"] = InProcessConnections(
            EXCHANGE_URL, lambda request: received(outside.ask_exchange(process, request))
        )


class FunctionProcess:
    """One process of a function, with what it keeps between invocations; ``dead`` ones do no I/O any more."""

    def __init__(self, number: int, settings: Settings, outside: Outside) -> None:
        self.number = number
        self.dead = False
        self.busy = False
        self.services = _Services(settings, outside, self)

    def die(self) -> None:
        """Be killed: whatever its code does next, nothing reaches the outside."""
        self.dead = True
        raise RunDiedError

    def require_alive(self) -> None:
        """Raise what it died of."""
        if self.dead:
            raise RunDiedError


class ProcessGlobals:
    """What a process keeps in modules, and so has to be there for whichever run goes on: its own."""

    def __init__(self, process: FunctionProcess, apps: Iterable[Any]) -> None:
        self._process = process
        self._apps = list(apps)
        self._router = {"current_event": None, "lambda_context": None}
        self._contexts: list[dict[str, Any]] = [{} for _ in self._apps]

    def enter(self) -> None:
        """Put this process in the place of the one that ran."""
        vars(bootstrap)["_services"] = self._process.services
        for name, value in self._router.items():
            setattr(BaseRouter, name, value)
        for app, context in zip(self._apps, self._contexts, strict=True):
            app.context.clear()
            app.context.update(context)

    def leave(self) -> None:
        """Keep what the process leaves, for when it runs again."""
        self._router = {name: getattr(BaseRouter, name, None) for name in self._router}
        self._contexts = [dict(app.context) for app in self._apps]


@contextmanager
def without_threads(modules: Iterable[Any]) -> Iterator[None]:
    """Let the executors of these modules be sequential ones."""
    with ExitStack() as stack:
        for module in modules:
            if hasattr(module, "ThreadPoolExecutor"):
                stack.enter_context(patch.object(module, "ThreadPoolExecutor", lambda *_: SequentialExecutor()))
        yield


class LogCapture(logging.Handler):
    """Hands every line of the log to ``on_line`` instead of writing it anywhere."""

    def __init__(self, on_line: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.INFO)
        self._on_line = on_line

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line on."""
        self._on_line(record)


@contextmanager
def captured_log(on_line: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """The log of this whole process goes to ``on_line`` for as long as this lasts."""
    log = logging.getLogger("botbalance")
    before, log.handlers = log.handlers, [LogCapture(on_line)]
    try:
        yield
    finally:
        log.handlers = before
