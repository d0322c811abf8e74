"""What it costs to run this on AWS: use as counted, times list prices. docs/cost.md says what is in it.

``COUNTS`` are pinned by a test that counts them. Everything is in US dollars, a month has thirty days.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Literal

from workbench.aws.template import Template

type DecisionLog = Literal["every", "changes"]

TICKS = 30 * 2_880
"""A month's."""
HOURS = 30 * 24
"""A month's: an hour in which nobody looks has no point, but nearly all have one."""
CHUNK = 200
"""Users in one message."""
GB = Decimal(10**9)


@dataclass(frozen=True, slots=True)
class Counts:
    """What user-ticks take: DynamoDB units and requests, KMS requests, weight on the exchange, bytes of log."""

    read_units: Decimal
    write_units: Decimal
    requests: Decimal
    kms: Decimal
    weight: Decimal
    log_bytes: Decimal

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(mine + theirs for mine, theirs in zip(self._all(), other._all(), strict=True)))

    def less(self, other: "Counts") -> "Counts":
        return self + other.times(Decimal(-1))

    def times(self, factor: Decimal | int) -> "Counts":
        return Counts(*(number * factor for number in self._all()))

    def rounded(self) -> "Counts":
        """To a hundredth: what was divided does not always come out even."""
        return Counts(*(number.quantize(Decimal("0.01")).normalize() for number in self._all()))

    def _all(self) -> tuple[Decimal, ...]:
        return self.read_units, self.write_units, self.requests, self.kms, self.weight, self.log_bytes


NOTHING = Counts(*[Decimal(0)] * 6)
COUNTS: Mapping[str, Counts] = {
    # read units, write units, requests, KMS, weight, bytes of log
    "QUIET": Counts(*map(Decimal, ("560", "1000", "80", "0", "0", "11360"))),
    "QUIET_UNLOGGED": Counts(*map(Decimal, ("560", "0", "40", "0", "0", "11360"))),
    "LOOK": Counts(*map(Decimal, ("3800", "6000", "3225", "1000", "100000", "434125"))),
    "LOOK_UNLOGGED": Counts(*map(Decimal, ("3800", "3000", "3175", "1000", "100000", "434125"))),
    "BUSY": Counts(*map(Decimal, ("4812.5", "24000", "7200", "1000", "101000", "456125"))),
    "POINT": Counts(*map(Decimal, ("0", "1000", "1000", "0", "0", "0"))),
    "PRICES": Counts(*map(Decimal, ("20.94", "12", "8.96", "0", "2", "756.64"))),
}
"""Of a thousand user-ticks of users with ten assets, in messages of 100 that are quiet or 40 that are not.

Each on a process that has just started.

QUIET: nothing can have happened. LOOK: the account is looked at, and nothing is to be done. BUSY: it is looked at, and
an order is placed. POINT: what a look takes besides that writes the hour's point of the history. Where only changes are
logged: ..._UNLOGGED. PRICES: what is asked once for everybody, of one tick.
"""


@dataclass(frozen=True, slots=True)
class Activity:
    """A user's ticks of a month that are not quiet: ``looks`` change nothing, ``busy`` ones place an order."""

    looks: int
    busy: int

    @property
    def quiet(self) -> int:
        return TICKS - self.looks - self.busy


ACTIVITY = {"0.5": Activity(1_605, 377), "1": Activity(1_027, 45)}
"""By the band in percent of NAV, at prices that move 80 % a year: benchmarks/quiet_replay.py."""
QUIET_MS, LOOK_MS, BUSY_MS = Decimal("0.25"), Decimal("5.7"), Decimal(13)
"""Of a worker's time, by user: benchmarks/tick.py."""
DISPATCH_S, DISPATCH_READ_UNITS = Decimal("0.00002"), Decimal("0.0085")
"""Of dispatch's time, and what it reads, by user and tick: benchmarks/dispatch.py."""
MACHINE_S = 96
"""How long the state machine runs for the two ticks of a minute, in 64 MB: they are named ahead."""
POLLS = 5 * 3 * 60 * 24 * 30
"""Requests with which Lambda asks an empty queue: five pollers, twenty seconds each."""
STORED_DAYS = 90
QUIET_BYTES, DECISION_BYTES, ORDER_BYTES, POINT_BYTES = 220, 3_000, 2_000, 300
"""Of an item, with the hundred that DynamoDB adds; an order that has ended is in one index, too. Of orders and points a
year's are counted."""


@dataclass(frozen=True, slots=True)
class Price:
    """A list price of us-east-1 in US dollars, without free tiers, and when it was last seen stated."""

    dollars: Decimal
    per: str
    seen: str


PRICES = {
    "write": Price(Decimal("0.625") / 10**6, "DynamoDB write request unit", "2025-07"),
    "read": Price(Decimal("0.125") / 10**6, "DynamoDB read request unit", "2025-07"),
    "stored": Price(Decimal("0.25"), "GB stored in DynamoDB and month", "2025-07"),
    "kms": Price(Decimal("0.03") / 10_000, "KMS request", "2026-06"),
    "key": Price(Decimal(1), "KMS key and month", "2026-06"),
    "log": Price(Decimal("0.50"), "GB of log taken in", "2025-05"),
    "sqs": Price(Decimal("0.40") / 10**6, "SQS request", "2025-07"),
    "invocation": Price(Decimal("0.20") / 10**6, "Lambda invocation", "2026-05"),
    "lambda": Price(Decimal("0.0000133334"), "Lambda GB-second on arm64", "2026-05"),
    "machine": Price(Decimal(1) / 10**6, "Step Functions EXPRESS execution", "2026-11"),
    "machine_time": Price(Decimal("0.06") / 3600, "Step Functions EXPRESS GB-second", "2026-11"),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """A month of ``users`` in US dollars, by what it is paid for."""

    users: int
    decision_log: DecisionLog
    parts: Mapping[str, Decimal]

    @property
    def total(self) -> Decimal:
        return sum(self.parts.values(), Decimal(0))

    @property
    def per_user(self) -> Decimal:
        return self.total / self.users


def cost_of(users: int, decision_log: DecisionLog, activity: Activity, template: Template) -> Cost:
    """A month with so many users who are as active as that."""
    suffix = "" if decision_log == "every" else "_UNLOGGED"
    of_user = (
        COUNTS[f"QUIET{suffix}"].times(activity.quiet)
        + COUNTS[f"LOOK{suffix}"].times(activity.looks)
        + COUNTS["BUSY"].times(activity.busy)
        + COUNTS["POINT"].times(HOURS)
    ).times(Decimal("0.001"))
    used = of_user.times(users) + COUNTS["PRICES"].times(TICKS)
    messages = ceil(users / CHUNK)
    functions = template.functions()
    work_gb, dispatch_gb = (
        Decimal(functions[name]["MemorySize"]) / 1024 for name in ("WorkFunction", "DispatchFunction")
    )
    worked_ms = QUIET_MS * activity.quiet + LOOK_MS * activity.looks + BUSY_MS * activity.busy
    queue_requests = TICKS * (ceil(messages / 10) + 2 * messages) + POLLS
    parts = {
        "DynamoDB reads": (used.read_units + users * TICKS * DISPATCH_READ_UNITS) * PRICES["read"].dollars,
        "DynamoDB writes": used.write_units * PRICES["write"].dollars,
        "DynamoDB storage": users * _stored_bytes(decision_log, activity) / GB * PRICES["stored"].dollars,
        "KMS": used.kms * PRICES["kms"].dollars + PRICES["key"].dollars,
        "logs": used.log_bytes / GB * PRICES["log"].dollars,
        "queue": queue_requests * PRICES["sqs"].dollars,
        "Lambda": (
            users * (worked_ms / 1000 * work_gb + TICKS * DISPATCH_S * dispatch_gb) * PRICES["lambda"].dollars
            + TICKS * (messages + 1) * PRICES["invocation"].dollars
        ),
        "state machine": Decimal(TICKS // 2)
        * (PRICES["machine"].dollars + MACHINE_S * Decimal(64) / 1024 * PRICES["machine_time"].dollars),
    }
    return Cost(users, decision_log, parts)


def _stored_bytes(decision_log: DecisionLog, activity: Activity) -> Decimal:
    """What a user's decisions of ninety days, and orders and history of a year, take."""
    decisions = activity.busy * DECISION_BYTES
    if decision_log == "every":
        decisions += activity.looks * DECISION_BYTES + activity.quiet * QUIET_BYTES
    return Decimal(STORED_DAYS) / 30 * decisions + 12 * (activity.busy * ORDER_BYTES + HOURS * POINT_BYTES)
