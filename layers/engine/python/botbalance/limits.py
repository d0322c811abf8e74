"""RateLimits: for how long exchanges want no requests, and from whom, shared by every process.

Binance answers 429 to a key that asks too much and 418 to a whole host that went on asking. Whoever asks on
meanwhile is banned for longer, so what one process was told holds in all of them.

The cache table holds an item for a host that is limited, ``limit#binance``, and one for a key,
``limit#binance#USER`` (``limit#binance#`` for what is asked without a key). The item expires when requests are
allowed again; its document is ``{"retry_after_s": 60}``, for how long that was.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import Lock

from botbalance.errors import WaitUntilAllowed
from botbalance.exchange.adapter import RATE_LIMITED, Allowance
from botbalance.store.cache import CacheTable


class RateLimits:
    """What limits are on now, by exchange and user, in this process's memory and in the cache table.

    Any number of threads may share it. ``clock`` gives epoch seconds.
    """

    def __init__(self, cache: CacheTable, clock: Callable[[], int]) -> None:
        self._cache = cache
        self._clock = clock
        self._until: dict[str, int] = {}
        self._lock = Lock()

    def refresh(self, exchange: str, user_ids: Collection[str]) -> None:
        """Learn what other processes were told of this host and of the keys of ``user_ids``; one read."""
        keys = [_host(exchange), _key(exchange, None), *(_key(exchange, user_id) for user_id in user_ids)]
        for key, cached in self._cache.get_many(keys, self._clock()).items():
            self._keep(key, cached.expires_at)

    def of(self, exchange: str, user_id: str | None) -> Allowance:
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

    def _keep(self, key: str, until: int) -> int:
        with self._lock:
            self._until[key] = max(until, self._until.get(key, 0))
            return self._until[key]


@dataclass(frozen=True, slots=True)
class _Connection:
    """The allowance of one connection."""

    limits: RateLimits
    exchange: str
    user_id: str | None

    def require(self) -> None:
        of_host = self.limits.seconds_left(_host(self.exchange))
        of_key = self.limits.seconds_left(_key(self.exchange, self.user_id))
        left = max(of_host, of_key)
        if left:
            whom = "this host" if of_host >= of_key else "this key"
            raise WaitUntilAllowed(RATE_LIMITED, f"{self.exchange} wants no requests from {whom} for {left} s", left)

    def limited(self, retry_after_s: int, *, whole_host: bool) -> None:
        key = _host(self.exchange) if whole_host else _key(self.exchange, self.user_id)
        self.limits.limit(key, retry_after_s)


def _host(exchange: str) -> str:
    return f"limit#{exchange}"


def _key(exchange: str, user_id: str | None) -> str:
    return f"limit#{exchange}#{user_id or ''}"
