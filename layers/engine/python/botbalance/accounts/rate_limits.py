"""RateLimits: for how long exchanges want no requests, and from whom, shared by every process.

Binance answers 429 to a key that asks too much and 418 to a whole host that went on asking. Whoever asks on
meanwhile is banned for longer, so what one process was told holds in all of them.

It also gives every address a weight of requests a clock minute, and tells with each reply how much of that is used,
by whomever. Reads stop early, orders and cancels late, so that it never comes to 429, and an order can always be sent;
what people ask for stops before what the schedule does, and before a stop: see ``weight_budgets``.
What other processes have under way is not known here: together they may go beyond a bound by that, which is at most
``HEAVIEST_READ`` for each of their threads.

The cache table holds an item for a host that is limited, ``limit#binance``, and one for a key,
``limit#binance#USER`` (``limit#binance#`` for what is asked without a key). The item expires when requests are
allowed again; its document is ``{"retry_after_s": 60}``, for how long that was. An item for a clock minute (epoch
seconds by 60) of an address, ``weight#binance#ADDRESS#28333333``, tells what was used: ``{"used": 2400}``.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from botbalance.accounts.weight_budgets import BOUNDS, WEIGHT_PER_MINUTE, WeightBudgets, caller
from botbalance.errors import RateLimitedError
from botbalance.exchange.adapter import RATE_LIMITED, RateLimiter
from botbalance.store.cache import CacheTable

HEAVIEST_READ = 80
"""The weight that a read counts for until its reply is there: that of all open orders."""
AN_ORDER = 1
SHARED_EVERY = 300
"""The weight after which a process tells the others, at most once a second: twenty writes a minute at full use."""


@dataclass(slots=True)
class _Minute:
    """What is known of a host's weight in the clock minute ``number`` (epoch seconds by 60).

    ``reported`` is what the exchange said here (None: nothing yet), ``previous`` what it said last in the minute
    before, and ``shared`` what is in the table, written from here at the second ``written_at`` last.
    """

    number: int
    reported: int | None = None
    shared: int = 0
    previous: int | None = None
    written_at: int = 0

    def used_weight(self) -> int:
        return max(self.reported or 0, self.shared)


class RateLimits:
    """What limits are on now, by exchange and user, in this process's memory and in the cache table.

    Any number of threads may share it. ``clock`` gives epoch seconds. ``address`` is the one from which exchanges see
    every process; where it is empty each may have its own, and what is used of its weight is shared with nobody.
    ``has_stand_in``: another stands in for the exchanges, which may count no weight; users' budgets hold once it has
    told one.
    """

    def __init__(
        self, cache: CacheTable, clock: Callable[[], int], address: str = "", *, has_stand_in: bool = False
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._address = address
        self._has_stand_in = has_stand_in
        self._tell_weight: set[str] = set()
        self._budgets = WeightBudgets(cache, clock)
        self._until: dict[str, int] = {}
        self._minutes: dict[str, _Minute] = {}
        self._under_way: Counter[str] = Counter()
        self._lock = Lock()

    def refresh(self, exchange: str, user_ids: Collection[str]) -> None:
        """Learn what other processes were told of this host and of the keys of ``user_ids``; one read."""
        now = self._clock()
        weight_key = self._weight_key(exchange, now // 60)
        keys = [_host(exchange), _key(exchange, None), *(_key(exchange, user_id) for user_id in user_ids)]
        found = self._cache.get_many([*keys, *([weight_key] if weight_key else [])], now)
        of_address = found.pop(weight_key, None)
        if of_address is not None:
            with self._lock:
                minute = self._minute(exchange, now)
                minute.shared = max(minute.shared, json.loads(of_address.document)["used"])
        for key, cached in found.items():
            self._keep(key, cached.expires_at)

    def of(self, exchange: str, user_id: str | None) -> RateLimiter:
        """What a connection with the user's key must keep to; None: the public connection."""
        return _Connection(self, exchange, user_id)

    def seconds_left(self, key: str) -> int:
        """For how many seconds nothing may be sent yet; 0 where something may."""
        with self._lock:
            return max(0, self._until.get(key, 0) - self._clock())

    def limit(self, key: str, retry_after_s: int) -> None:
        """Let nothing be sent for so many seconds, here and in every process that refreshes; never for less."""
        until = self._keep(key, self._clock() + retry_after_s)
        # A cache that cannot be reached says so in the log; the memory of this process holds all the same.
        self._cache.put_many({key: json.dumps({"retry_after_s": retry_after_s})}, until)

    def spend(self, exchange: str, weight: int) -> None:
        """Take ``weight`` from the budget of the user on whose behalf this is; raises RateLimitedError without one."""
        if exchange in self._tell_weight or not self._has_stand_in:
            self._budgets.spend(exchange, weight)

    def require_weight(self, exchange: str, weight: int, most_pct: int) -> None:
        """Raise RateLimitedError where ``weight`` more would be beyond ``most_pct`` percent of the minute's."""
        with self._lock:
            self._require_weight(exchange, weight, most_pct)

    def begin(self, exchange: str, weight: int, most_pct: int) -> int:
        """Count a request of that weight as under way; returns the clock minute. Raises as :meth:`require_weight`."""
        with self._lock:
            self._require_weight(exchange, weight, most_pct)
            self._under_way[exchange] += weight
            return self._clock() // 60

    def end(self, exchange: str, weight: int) -> None:
        """That request is over."""
        with self._lock:
            self._under_way[exchange] -= weight

    def record_weight(self, exchange: str, weight: int, begun: int) -> None:
        """Remember what the exchange says is used, in reply to a request of the clock minute ``begun``."""
        now = self._clock()
        with self._lock:
            self._tell_weight.add(exchange)
            minute = self._minute(exchange, now)
            if begun != minute.number:
                return
            # The exchange's clock may be behind, and its minute still the one before: such a figure, taken for this
            # minute's, would stop everybody until the next.
            if now % 60 == 0 and minute.reported is None and minute.previous is not None and weight >= minute.previous:
                return
            minute.reported = max(weight, minute.reported or 0)
            key = self._weight_key(exchange, minute.number)
            if not key or weight < minute.shared + SHARED_EVERY or now == minute.written_at:
                return
            minute.shared, minute.written_at = weight, now
        self._cache.put_many({key: json.dumps({"used": weight})}, (begun + 1) * 60)

    def _require_weight(self, exchange: str, weight: int, most_pct: int) -> None:
        limit = WEIGHT_PER_MINUTE.get(exchange)
        if limit is None:
            return
        now = self._clock()
        used = self._minute(exchange, now).used_weight() + self._under_way[exchange]
        if (used + weight) * 100 > limit * most_pct:
            left = 60 - now % 60
            what = "reads" if weight == HEAVIEST_READ else "requests"
            message = f"{used} of the {limit} that {exchange} allows a minute are used: no {what} for {left} s"
            raise RateLimitedError(RATE_LIMITED, message, left)

    def _minute(self, exchange: str, now: int) -> _Minute:
        minute = self._minutes.get(exchange)
        if minute is None or minute.number != now // 60:
            previous = minute.reported if minute is not None and minute.number == now // 60 - 1 else None
            minute = self._minutes[exchange] = _Minute(now // 60, previous=previous)
        return minute

    def _weight_key(self, exchange: str, minute: int) -> str:
        """The item of that clock minute; empty where it is not shared."""
        shared = self._address and exchange in WEIGHT_PER_MINUTE
        return f"weight#{exchange}#{self._address}#{minute}" if shared else ""

    def _keep(self, key: str, until: int) -> int:
        with self._lock:
            self._until[key] = max(until, self._until.get(key, 0))
            return self._until[key]


@dataclass(slots=True)
class _Connection:
    """The rate limiter of one connection; ``begun`` is the clock minute of its request."""

    limits: RateLimits
    exchange: str
    user_id: str | None
    begun: int = -1

    def require(self) -> None:
        of_host = self.limits.seconds_left(_host(self.exchange))
        of_key = self.limits.seconds_left(_key(self.exchange, self.user_id))
        left = max(of_host, of_key)
        if left:
            whom = "this host" if of_host >= of_key else "this key"
            raise RateLimitedError(RATE_LIMITED, f"{self.exchange} wants no requests from {whom} for {left} s", left)
        self.limits.require_weight(self.exchange, AN_ORDER, BOUNDS[caller().purpose].sends_pct)

    @contextmanager
    def request(self, *, sends: bool, weight: int) -> Iterator[None]:
        self.require()
        bounds = BOUNDS[caller().purpose]
        under_way, most_pct = (AN_ORDER, bounds.sends_pct) if sends else (HEAVIEST_READ, bounds.reads_pct)
        self.begun = self.limits.begin(self.exchange, under_way, most_pct)
        try:
            self.limits.spend(self.exchange, weight)
            yield
        finally:
            self.limits.end(self.exchange, under_way)

    def record_weight(self, weight: int) -> None:
        self.limits.record_weight(self.exchange, weight, self.begun)

    def record_limit(self, retry_after_s: int, *, whole_host: bool) -> None:
        key = _host(self.exchange) if whole_host else _key(self.exchange, self.user_id)
        self.limits.limit(key, retry_after_s)


def _host(exchange: str) -> str:
    return f"limit#{exchange}"


def _key(exchange: str, user_id: str | None) -> str:
    return f"limit#{exchange}#{user_id or ''}"
