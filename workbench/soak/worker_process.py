"""What runs in a worker's process: the deployed handler, an invocation after the other, until it is killed."""

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import boto3
from botbalance import bootstrap
from botbalance.exchange.ccxt_import import exchange_class
from botbalance.exchange.profiles import DEFAULT_EXCHANGE
from botbalance.log import logger
from botbalance.settings import read_settings
from botocore import UNSIGNED
from botocore.config import Config
from tick.work import lambda_handler

from workbench.aws.resources import CREDENTIALS
from workbench.faults.aws import AwsFaults, no_backoff
from workbench.faults.crash_points import CrashPoints, WatchedPool
from workbench.faults.injector import Hit, Injector
from workbench.faults.kinds import KINDS, FaultKind
from workbench.local.lambda_runtime import InvocationContext

# Workers are forked from a process that has imported this module, so what is warmed here costs each of them nothing.
exchange_class(DEFAULT_EXCHANGE)
for _service in ("dynamodb", "kms", "sqs"):
    boto3.client(_service, region_name=CREDENTIALS["AWS_DEFAULT_REGION"]).close()

_SWITCH_INTERVAL_S = 0.05
"""Threads here wait for answers more than they compute: they give way by themselves."""
_OF_AWS = frozenset(
    {
        FaultKind.THROTTLED,
        FaultKind.UNPROCESSED,
        FaultKind.TRANSACTION_CONFLICT,
        FaultKind.DB_TIMEOUT,
        FaultKind.DB_TIMEOUT_APPLIED,
        FaultKind.KMS_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is started with.

    ``rate`` (0 to 1) of its requests to AWS meet one of ``kinds``, drawn from ``seed``; where ``meets_all``, each kind
    comes once for certain. Where ``unsigned``, requests to DynamoDB are not signed. ``prepare`` runs first: what a test
    wants to be wrong on purpose.
    """

    environment: dict[str, str]
    seed: str
    kinds: frozenset[FaultKind]
    rate: float
    meets_all: bool
    unsigned: bool
    prepare: Callable[[], None] | None


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event for the handler; the worker is killed at its ``kill_at``-th step, if that is not None.

    ``faults`` says whether its requests to AWS may fail.
    """

    event: dict[str, Any]
    remaining_ms: int
    kill_at: int | None
    faults: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an invocation: the handler's answer, what it logged as an error, and the faults that it met."""

    answer: dict[str, Any]
    errors: list[dict[str, Any]]
    hits: list[Hit]


class _ErrorLog(logging.Handler):
    """Keeps what is logged as an error or worse, instead of writing it anywhere."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        why = record.exc_info[1] if record.exc_info else None
        self.records.append(
            {
                "message": record.getMessage(),
                "alarm": getattr(record, "alarm", None),
                "user_id": getattr(record, "user_id", None),
                "exception": repr(why) if why else None,
            }
        )


class _Steps:
    """Counts the steps of an invocation, and ends the process at the one that it is to be killed at."""

    def __init__(self) -> None:
        self._count = count(1)
        self._kill_at: int | None = None

    def begin(self, kill_at: int | None) -> None:
        self._count = count(1)
        self._kill_at = kill_at

    def __call__(self, _boundary: str) -> None:
        if next(self._count) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class _WatchedServices(bootstrap.Services):
    """The deployed services, each of their requests a step at which the process may be killed."""

    def __init__(self, setup: Setup, clock: Callable[[], int], crash_points: CrashPoints, injector: Injector) -> None:
        super().__init__(read_settings(setup.environment), clock=clock, sleep=lambda _seconds: None)
        if setup.unsigned:  # signing is a tenth of what a request costs, and the embedded services do not look at it
            self.dynamodb = boto3.client(
                "dynamodb",
                endpoint_url=self.settings.dynamodb_endpoint,
                config=Config(**bootstrap.CLIENTS, signature_version=UNSIGNED),
            )
        faults = AwsFaults(injector, crash_points)
        faults.watch(self.dynamodb)
        faults.watch(self.kms)
        self.exchange_connections = WatchedPool(crash_points, self.settings.work_threads)


def run(setup: Setup, clock: "Synchronized[int]", pipe: "Connection[Any, Any]") -> None:
    """Handle invocations from ``pipe`` until it is closed; ``clock`` holds the soak's time in epoch seconds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this, who ends it
    os.environ |= CREDENTIALS
    gc.freeze()  # what was there before the fork is never garbage, and to look at it would copy it
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    steps = _Steps()
    injector = Injector(lambda: clock.value, seed=setup.seed, kinds=setup.kinds, rate=setup.rate)
    bootstrap.use(_WatchedServices(setup, lambda: clock.value, CrashPoints(steps), injector))
    if setup.meets_all:
        for kind in sorted(setup.kinds & _OF_AWS):
            injector.script(kind, min(KINDS[kind].where), attempts=KINDS[kind].most_attempts)
    errors = _ErrorLog()
    logging.getLogger("botbalance").handlers = [errors]
    logger.setLevel("ERROR")
    if setup.prepare is not None:
        setup.prepare()
    told = 0
    with no_backoff():
        while True:
            try:
                invocation: Invocation = pipe.recv()
            except EOFError:
                return
            steps.begin(invocation.kill_at)
            injector.active = invocation.faults
            errors.records.clear()
            context: Any = InvocationContext("tick", invocation.remaining_ms)
            answer = lambda_handler(invocation.event, context)
            hits = injector.hits()
            pipe.send(Report(answer, list(errors.records), hits[told:]))
            told = len(hits)
