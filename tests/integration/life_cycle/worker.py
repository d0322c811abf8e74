"""A worker: the deployed services, each of their requests a boundary at which they may be slowed, held or killed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from botbalance.bootstrap import Services
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.models.exchange_key import ExchangeKey
from botbalance.models.order import Order
from botbalance.settings import Settings
from botbalance.store.orders import parse_order
from botocore.model import OperationModel

from workbench.faults.aws import AwsFaults
from workbench.faults.crash_points import CrashPoints, WatchedPool
from workbench.faults.exchange import Limit
from workbench.faults.injector import Injector

READS_OF_THE_CACHE = "dynamodb.BatchGetItem"


class Killed(BaseException):
    """The worker is gone, in the middle of what it did."""


@dataclass(frozen=True, slots=True)
class TimeResponse:
    """The ``nth`` boundary of a run whose name begins with ``name``; of any name where that is empty."""

    name: str
    nth: int


class Time:
    """Epoch seconds that stand still until somebody waits, is slow, or lets time go on."""

    def __init__(self, start: int) -> None:
        self._now = float(start)

    def __call__(self) -> int:
        return int(self._now)

    def milliseconds(self) -> int:
        """The same in epoch milliseconds."""
        return int(self._now) * 1000

    def go_on(self, seconds: float) -> None:
        """Let so many seconds pass; the parameter of every ``sleep``."""
        self._now += seconds


class Worker(Services):
    """One worker's process, with what it remembers between its runs.

    ``on_start`` is called with it whenever it is about to ask for something, ``on_written`` with every order that the
    database said to have written for it.
    """

    def __init__(
        self,
        configuration: Settings,
        time: Time,
        injector: Injector,
        *,
        on_start: Callable[["Worker"], None],
        on_written: Callable[[Order], None],
    ) -> None:
        super().__init__(configuration, clock=time, sleep=time.go_on)
        self.free_quote = Decimal(0)
        """As the exchange told it last."""
        self._time = time
        self._injector = injector
        self._on_start = on_start
        self._on_written = on_written
        self._lifeline = CrashPoints(self._boundary)
        self._moment: TimeResponse | None = None
        self._fate: Callable[[], None] = lambda: None
        self._passed = 0
        self._slowness_s = 0
        self._told: set[tuple[int, str | None, int]] = set()
        self._shared_limits: Mapping[str, int] = {}
        self._cache_misses = 0
        faults = AwsFaults(injector, self._lifeline)
        faults.watch(self.dynamodb)
        faults.watch(self.kms)
        self.exchange_connections = WatchedPool(self._lifeline, self.settings.work_threads)
        events = self.dynamodb.meta.events
        events.register("before-parameter-build.dynamodb.TransactWriteItems", _keep_transaction)
        # First of all: where the run is held at this boundary, others write what comes after it.
        events.register_first("response-received.dynamodb.TransactWriteItems", self._transaction_answered)

    def connect(self, exchange: str, user_id: str | None = None, key: ExchangeKey | None = None) -> CcxtAdapter:
        connection = super().connect(exchange, user_id, key)
        connection._client.milliseconds = self._time.milliseconds
        return connection

    def begin(
        self,
        shared_limits: Mapping[str, int],
        *,
        at: TimeResponse | None = None,
        fate: Callable[[], None] = lambda: None,
        slowness_s: int = 0,
    ) -> None:
        """Begin a run: every boundary takes ``slowness_s`` seconds, and ``at`` one moment comes its ``fate``.

        ``shared_limits`` are the limits that the cache table knows now, each with the second at which it ends.
        """
        self._moment, self._fate, self._passed, self._slowness_s = at, fate, 0, slowness_s
        self._shared_limits = shared_limits
        self._cache_misses = self._misses()

    def is_told(self, status: int, subject: str | None, since: int) -> None:
        """The exchange tells this worker of a limit: 429 of that key, or 418, set in that epoch second."""
        self._told.add((status, subject, since))

    def knows(self, limit: Limit, key: str, at: int) -> bool:
        """Whether it must know ``limit``, by the name of ``key`` in the cache, ``at`` an epoch second.

        What it was told itself, and what it could read when its run began, if the database let it.
        """
        was_told = (limit.status, limit.subject, limit.since) in self._told
        could_read = self._shared_limits.get(key, 0) > at and self._misses() == self._cache_misses
        return was_told or could_read

    def _boundary(self, name: str) -> None:
        self._on_start(self)
        self._time.go_on(self._slowness_s)
        if self._moment is not None and name.startswith(self._moment.name):
            self._passed += 1
            if self._passed == self._moment.nth:
                self._fate()

    def _misses(self) -> int:
        return len([hit for hit in self._injector.hits() if hit.path == READS_OF_THE_CACHE])

    def _transaction_answered(self, response_dict: Any, context: dict[str, Any], **_: object) -> None:
        if response_dict is not None and response_dict["status_code"] == 200:
            for item in context["transaction"]["TransactItems"]:
                if "Put" in item and item["Put"]["TableName"] == self.settings.orders_table:
                    self._on_written(parse_order(item["Put"]["Item"]))


def _keep_transaction(params: Mapping[str, Any], context: dict[str, Any], model: OperationModel, **_: object) -> None:
    context["transaction"] = params
