"""What it costs to run this on AWS: use as counted, times list prices. docs/cost.md says what is in it.

``COUNTS`` are pinned by a test that counts them. Everything is in US dollars, a month has thirty days.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Literal

from botbalance.store.data_keys import KEPT_S
from botbalance.store.dynamodb import SHARDS

from workbench.aws.template import Template

type DecisionLog = Literal["every", "changes"]

TICKS = 30 * 2_880
"""A month's."""
GB = Decimal(10**9)


@dataclass(frozen=True, slots=True)
class Counts:
    """What ticks take: DynamoDB units and requests, weight on the exchange, bytes of log."""

    read_units: Decimal
    write_units: Decimal
    requests: Decimal
    weight: Decimal
    log_bytes: Decimal

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(mine + theirs for mine, theirs in zip(self._all(), other._all(), strict=True)))

    def less(self, other: "Counts") -> "Counts":
        """What is more here than in ``other``."""
        return self + other.times(Decimal(-1))

    def times(self, factor: Decimal | int) -> "Counts":
        """Everything ``factor`` times."""
        return Counts(*(number * factor for number in self._all()))

    def rounded(self) -> "Counts":
        """To a hundredth: what was divided does not always come out even."""
        return Counts(*(number.quantize(Decimal("0.01")).normalize() for number in self._all()))

    def _all(self) -> tuple[Decimal, ...]:
        return self.read_units, self.write_units, self.requests, self.weight, self.log_bytes


NOTHING = Counts(*[Decimal(0)] * 5)
COUNTS: Mapping[str, Counts] = {
    # read units, write units, requests, weight, bytes of log
    "QUIET": Counts(*map(Decimal, ("71.07", "0", "0", "0", "20.3"))),
    "LOOK": Counts(*map(Decimal, ("3214.28", "4000", "3150", "100000", "418075.51"))),
    "LOOK_UNLOGGED": Counts(*map(Decimal, ("3214.28", "2000", "3100", "100000", "418075.51"))),
    "BUSY": Counts(*map(Decimal, ("4226.78", "25000", "5125", "101000", "440075.51"))),
    "POINT": Counts(*map(Decimal, ("0", "1000", "1000", "0", "0"))),
    "MESSAGE": Counts(*map(Decimal, ("6428.93", "0", "3000", "0", "762979.7"))),
    "PRICES": Counts(*map(Decimal, ("15000", "12000", "6000", "2000", "0"))),
}
"""Of a thousand ticks of users with ten assets who are neighbours in their shard.

QUIET: nothing can have happened. LOOK: the account is looked at, and nothing is to be done; LOOK_UNLOGGED: where only
changes are logged. BUSY: it is looked at, and an order is placed. MESSAGE: what a thousand messages take beside their
users, each on a process that has just started. POINT: what a look takes besides that writes the hour's point of the
history. PRICES: what a thousand ticks take once for everybody.
"""


@dataclass(frozen=True, slots=True)
class Activity:
    """A user's ticks of a month that are not quiet: ``looks`` change nothing, ``busy`` ones place an order."""

    looks: int
    busy: int

    @property
    def quiet(self) -> int:
        """Ticks of a month in which nothing is looked at."""
        return TICKS - self.looks - self.busy


@dataclass(frozen=True, slots=True)
class MessageToOwner:
    """What a message to one channel takes, from being due to being sent: DynamoDB units and KMS requests."""

    read_units: Decimal
    write_units: Decimal
    kms: Decimal


MESSAGE_TO_OWNER = MessageToOwner(Decimal(7), Decimal(11), Decimal(1))
"""A digest's: tests/integration/notifications/test_counts.py."""
MESSAGES_TO_OWNER = 35
"""A user's of a month, to one channel: a digest a day, and a few more. Believed."""
FILL_WRITE_UNITS = 2
"""Of the entry that tells of a fill, in the transaction of the order that has it."""
MESSAGE_S = Decimal("0.5")
"""For which a function waits for a channel to take a message. Believed."""
DUE_READ_UNITS, DUE_S = 4, Decimal("0.1")
"""Of asking once a minute what is due, whoever wants to be told."""

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
DECISION_DAYS, NOOP_DAYS, KEPT_DAYS = 90, 14, 360
"""For how long decisions are stored, and those that changed nothing; and how much of what does not expire is counted:
orders, and points of history."""
DECISION_BYTES, ORDER_BYTES, POINT_BYTES = 1_850, 2_000, 80
"""Of an item, with the hundred that DynamoDB adds; an order that has ended is in one index, too."""
USERS_PER_ADDRESS = {"0.5": 1_030, "1": 1_928}
"""How many users the weight of one address allows on Binance, by band: benchmarks/quiet_replay.py."""
HOURS = 30 * 24
"""A month's: an hour in which nobody looks has no point of the history, but nearly all have one."""


@dataclass(frozen=True, slots=True)
class Price:
    """A list price of us-east-1 in US dollars, without free tiers: where it is stated, and the month it was last seen.

    ``seen`` is empty where it was not looked up and is only believed.
    """

    dollars: Decimal
    per: str
    source: str
    seen: str


_DYNAMODB = "aws.amazon.com/dynamodb/pricing"
_CLOUDWATCH = "aws.amazon.com/cloudwatch/pricing"
_LAMBDA = "aws.amazon.com/lambda/pricing"
_VPC = "aws.amazon.com/vpc/pricing"
_STEP_FUNCTIONS = "aws.amazon.com/step-functions/pricing"
PRICES = {
    "write": Price(Decimal("0.625") / 10**6, "DynamoDB write request unit", _DYNAMODB, "2025-07"),
    "read": Price(Decimal("0.125") / 10**6, "DynamoDB read request unit", _DYNAMODB, "2025-07"),
    "stored": Price(Decimal("0.25"), "GB stored in DynamoDB and month", _DYNAMODB, "2025-07"),
    "backup": Price(Decimal("0.20"), "GB of continuous backup in DynamoDB and month", _DYNAMODB, ""),
    "kms": Price(Decimal("0.03") / 10_000, "KMS request", "aws.amazon.com/kms/pricing", "2026-06"),
    "key": Price(Decimal(1), "KMS key and month", "aws.amazon.com/kms/pricing", "2026-06"),
    "log": Price(Decimal("0.50"), "GB of log taken in", _CLOUDWATCH, "2026-06"),
    "alarm": Price(Decimal("0.10"), "metric that an alarm reads and month", _CLOUDWATCH, ""),
    "metric": Price(Decimal("0.30"), "metric of one's own and month", _CLOUDWATCH, ""),
    "dashboard": Price(Decimal(3), "dashboard and month", _CLOUDWATCH, "2026-06"),
    "sqs": Price(Decimal("0.40") / 10**6, "SQS request", "aws.amazon.com/sqs/pricing", "2025-07"),
    "invocation": Price(Decimal("0.20") / 10**6, "Lambda invocation", _LAMBDA, "2026-05"),
    "lambda": Price(Decimal("0.0000133334"), "Lambda GB-second on arm64", _LAMBDA, "2026-05"),
    "machine": Price(Decimal(1) / 10**6, "Step Functions EXPRESS execution", _STEP_FUNCTIONS, "2026-11"),
    "machine_time": Price(Decimal("0.06") / 3600, "Step Functions EXPRESS GB-second", _STEP_FUNCTIONS, "2026-11"),
    "sign_in": Price(
        Decimal("0.015"), "user who signs in within the month (Essentials)", "aws.amazon.com/cognito/pricing", ""
    ),
    "nat": Price(Decimal("0.045"), "hour of a NAT gateway", _VPC, "2026-02"),
    "address": Price(Decimal("0.005"), "hour of a public address", _VPC, "2026-02"),
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """How it is deployed: the template's parameters that a bill depends on.

    ``chunk`` is DispatchChunk. ``own_users``: whether users sign in to a pool that the stack makes; an existing one's
    bill is its owner's. ``messages`` are those to an owner of a month, to one channel.
    """

    name: Literal["default", "cheapest"]
    decision_log: DecisionLog
    chunk: int
    own_users: bool
    messages: int


CHEAPEST = Configuration("cheapest", "changes", 500, own_users=False, messages=0)


def default_configuration(template: Template) -> Configuration:
    """As the template's parameters are by default."""
    log: DecisionLog = "every" if template.default("DecisionLog") == "every" else "changes"
    return Configuration(
        "default", log, int(template.default("DispatchChunk")), own_users=True, messages=MESSAGES_TO_OWNER
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """A month of ``users`` in US dollars, by what it is paid for; ``addresses`` beside it."""

    users: int
    configuration: Configuration
    parts: Mapping[str, Decimal]
    addresses: Decimal

    @property
    def before_addresses(self) -> Decimal:
        """What it costs without addresses of its own, in dollars a month."""
        return sum(self.parts.values(), Decimal(0))

    @property
    def total(self) -> Decimal:
        """Dollars a month, addresses included."""
        return self.before_addresses + self.addresses

    def per_user(self, dollars: Decimal) -> Decimal:
        """``dollars`` by user."""
        return dollars / self.users


def estimate_cost(users: int, configuration: Configuration, band: str, template: Template) -> Cost:
    """A month with so many users who have that ``band``, in percent of NAV: a key of :data:`ACTIVITY`."""
    activity, every = ACTIVITY[band], configuration.decision_log == "every"
    messages = ceil(users / configuration.chunk)
    used = (
        (
            COUNTS["QUIET"].times(activity.quiet)
            + COUNTS["LOOK" if every else "LOOK_UNLOGGED"].times(activity.looks)
            + COUNTS["BUSY"].times(activity.busy)
            + COUNTS["POINT"].times(HOURS)
        ).times(users)
        + COUNTS["MESSAGE"].times(TICKS * messages)
        + COUNTS["PRICES"].times(TICKS)
    ).times(Decimal("0.001"))
    stored_gb = users * _stored_bytes(activity, every=every) / GB
    queue_requests = TICKS * (ceil(messages / 10) + 2 * messages) + POLLS
    parts = {
        "DynamoDB reads": (used.read_units + users * TICKS * DISPATCH_READ_UNITS) * PRICES["read"].dollars,
        "DynamoDB writes": used.write_units * PRICES["write"].dollars,
        "DynamoDB storage": stored_gb * PRICES["stored"].dollars,
        "backups": stored_gb * PRICES["backup"].dollars,
        "KMS": _key_requests(users, activity, template) * PRICES["kms"].dollars + PRICES["key"].dollars,
        "logs": used.log_bytes / GB * PRICES["log"].dollars,
        "alarms and dashboard": _alarms(template),
        "queue": queue_requests * PRICES["sqs"].dollars,
        "Lambda": _functions(users, messages, activity, template),
        "notifications": _notifications(users, configuration.messages, activity, template),
        "state machine": Decimal(TICKS // 2)
        * (PRICES["machine"].dollars + MACHINE_S * Decimal(64) / 1024 * PRICES["machine_time"].dollars),
        "sign-in": users * PRICES["sign_in"].dollars if configuration.own_users else Decimal(0),
    }
    return Cost(users, configuration, parts, _addresses(users, band))


def _functions(users: int, messages: int, activity: Activity, template: Template) -> Decimal:
    """What dispatch and work cost. Users' own requests to the API are not in it."""
    functions = template.functions()
    work_gb, dispatch_gb = (
        Decimal(functions[name]["MemorySize"]) / 1024 for name in ("WorkFunction", "DispatchFunction")
    )
    worked_s = (QUIET_MS * activity.quiet + LOOK_MS * activity.looks + BUSY_MS * activity.busy) / 1000
    return (
        users * (worked_s * work_gb + TICKS * DISPATCH_S * dispatch_gb) * PRICES["lambda"].dollars
        + TICKS * (messages + 1) * PRICES["invocation"].dollars
    )


def _notifications(users: int, messages: int, activity: Activity, template: Template) -> Decimal:
    """What telling owners costs, without what SES takes: what is asked for everybody, and each one's messages."""
    gigabytes = Decimal(template.function_defaults()["MemorySize"]) / 1024
    minutes, each = TICKS // 2, MESSAGE_TO_OWNER
    for_all = (
        minutes * DUE_READ_UNITS * PRICES["read"].dollars
        + minutes * (DUE_S * gigabytes * PRICES["lambda"].dollars + PRICES["invocation"].dollars)
        + POLLS * PRICES["sqs"].dollars
    )
    message = (
        each.read_units * PRICES["read"].dollars
        + each.write_units * PRICES["write"].dollars
        + each.kms * PRICES["kms"].dollars
        + 3 * PRICES["sqs"].dollars  # sent, received, deleted
        + MESSAGE_S * gigabytes * PRICES["lambda"].dollars
        + PRICES["invocation"].dollars
    )
    fill = FILL_WRITE_UNITS * PRICES["write"].dollars + PRICES["invocation"].dollars
    return for_all + users * (messages * message + activity.busy * fill)


def _key_requests(users: int, activity: Activity, template: Template) -> int:
    """One a look at most; and one for each shard and worker whenever a process has forgotten the shard's data key."""
    looks = users * (activity.looks + activity.busy)
    return min(looks, int(template.default("WorkConcurrency")) * SHARDS * (HOURS * 3600 // KEPT_S))


def _alarms(template: Template) -> Decimal:
    """What alarms read, what they count in the log, and the dashboard."""
    read = sum(
        len([metric for metric in alarm.get("Metrics", [{"MetricStat": {}}]) if "MetricStat" in metric])
        for alarm in template.resources("AWS::CloudWatch::Alarm").values()
    )
    own = len(template.resources("AWS::Logs::MetricFilter"))
    dashboards = len(template.resources("AWS::CloudWatch::Dashboard"))
    return read * PRICES["alarm"].dollars + own * PRICES["metric"].dollars + dashboards * PRICES["dashboard"].dollars


def _addresses(users: int, band: str) -> Decimal:
    """A NAT gateway with an address for as many users as one address carries; none where one is enough.

    Functions without one share the addresses that AWS gives them.
    """
    needed = ceil(Decimal(users) / USERS_PER_ADDRESS[band])
    return needed * HOURS * (PRICES["nat"].dollars + PRICES["address"].dollars) if needed > 1 else Decimal(0)


def _stored_bytes(activity: Activity, *, every: bool) -> Decimal:
    """What a user's decisions, orders and history take."""
    decisions = activity.busy * DECISION_DAYS + (activity.looks * NOOP_DAYS if every else 0)
    kept = KEPT_DAYS * (activity.busy * ORDER_BYTES + HOURS * POINT_BYTES)
    return Decimal(decisions * DECISION_BYTES + kept) / 30
