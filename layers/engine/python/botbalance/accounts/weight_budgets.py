"""WeightBudgets: how much of an exchange's request weight one user's own requests may take in a clock minute.

Exchanges count the weight of requests by address, and everybody's leave from the same one. Whoever asks more than a
share of it is refused, before anything is sent; ticks are not asked, because one a user comes in half a minute.

On whose behalf a request is made is said where it comes in, once, by :func:`on_behalf_of`, and holds for everything
that it leads to, shared market data included. What nobody has said anything of is the system's own: a tick.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import NamedTuple

from botbalance.accounts.minute_budgets import MinuteBudgets
from botbalance.errors import RateLimitedError
from botbalance.exchange.adapter import RATE_LIMITED
from botbalance.exchange.profiles import PROFILES
from botbalance.store.cache import CacheTable

WEIGHT_PER_MINUTE = {
    name: profile.weight_per_minute for name, profile in PROFILES.items() if profile.weight_per_minute is not None
}
"""What exchanges allow an address in a clock minute; only of those that tell how much of it is used."""
TAKEN_AT_A_TIME = 20
"""The weight that a process takes from a user's budget at a time. What it does not use of that, the others lack: with
requests that come to ever another process, little is taken."""
REQUESTS_TAKEN_AT_A_TIME = 4
"""Likewise of requests, to exchanges that tell no weight."""


class Purpose(StrEnum):
    """What a request to an exchange is for."""

    TICK = "tick"
    """The autopilot's own: what the schedule does for everybody."""
    STOP = "stop"
    """A person's stop or cancel."""
    PERSON = "person"
    """Anything else that a person asks for."""
    TRIAL = "trial"
    """To find out whether a key that nobody has verified yet may be stored."""


class Bounds(NamedTuple):
    """In percent of what the exchange allows an address in a clock minute.

    ``reads_pct`` and ``sends_pct``: how much may be used, by whomever, for another read, or another order or cancel, to
    be sent. ``user_pct``: how much of it one user may use for this purpose; None: it is not counted. ``user_requests``:
    how many requests instead, where the exchange tells no weight.
    """

    reads_pct: int
    sends_pct: int
    user_pct: int | None
    user_requests: int | None


BOUNDS = {
    Purpose.TICK: Bounds(reads_pct=80, sends_pct=95, user_pct=None, user_requests=None),
    Purpose.STOP: Bounds(reads_pct=80, sends_pct=95, user_pct=20, user_requests=300),
    Purpose.PERSON: Bounds(reads_pct=50, sends_pct=80, user_pct=20, user_requests=200),
    Purpose.TRIAL: Bounds(reads_pct=50, sends_pct=80, user_pct=5, user_requests=20),
}
"""Between what people may use and what ticks and stops may lies their reserve: of the minute's weight 30 percent for
reads, and 15 for what places or cancels."""


class Caller(NamedTuple):
    """On whose behalf requests are made (None: the system's own), what for, and by which API request."""

    user_id: str | None
    purpose: Purpose
    request_id: str | None = None


_THE_SYSTEM = Caller(None, Purpose.TICK)
_CALLER: ContextVar[Caller] = ContextVar("caller", default=_THE_SYSTEM)


def caller() -> Caller:
    """On whose behalf requests are made here and now."""
    return _CALLER.get()


@contextmanager
def on_behalf_of(user_id: str, purpose: Purpose = Purpose.PERSON, *, request_id: str | None = None) -> Iterator[None]:
    """Count the requests made within, in this thread, as the user's."""
    token = _CALLER.set(Caller(user_id, purpose, request_id))
    try:
        yield
    finally:
        _CALLER.reset(token)


@contextmanager
def with_purpose(purpose: Purpose) -> Iterator[None]:
    """Count the requests made within as made for ``purpose``, by whoever makes them; a tick's remain a tick's."""
    who = caller()
    if who.user_id is None:
        yield
        return
    with on_behalf_of(who.user_id, purpose, request_id=who.request_id):
        yield


class WeightBudgets:
    """Users' budgets, ``budget#EXCHANGE#PURPOSE#USER`` of :class:`MinuteBudgets`. Threads may share it."""

    def __init__(self, cache: CacheTable, clock: Callable[[], int]) -> None:
        self._budgets = MinuteBudgets(cache, clock)

    def spend(self, exchange: str, weight: int) -> None:
        """Take ``weight``, or a request where the exchange tells none, from the caller's budget.

        Raises RateLimitedError where not that much of it is left.
        """
        user_id, purpose, _ = caller()
        bounds, allowed = BOUNDS[purpose], WEIGHT_PER_MINUTE.get(exchange)
        if user_id is None or bounds.user_pct is None or bounds.user_requests is None:
            return
        if allowed is None:
            amount, most, at_a_time = 1, bounds.user_requests, REQUESTS_TAKEN_AT_A_TIME
            what = f"send {exchange} {most} requests a minute"
        else:
            amount, most, at_a_time = weight, allowed * bounds.user_pct // 100, TAKEN_AT_A_TIME
            what = f"use {most} of {exchange}'s {allowed} a minute"
        wait_s = self._budgets.use(f"budget#{exchange}#{purpose}#{user_id}", amount, most=most, at_a_time=at_a_time)
        if wait_s:
            raise RateLimitedError(RATE_LIMITED, f"a user may {what} for this: no more for {wait_s} s", wait_s)
