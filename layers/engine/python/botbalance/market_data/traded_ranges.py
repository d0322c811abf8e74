"""TradedRanges: between which prices markets have traded since a moment, from one-minute candles that everybody shares.

A resting order can only have filled where the market traded at its limit. The price of a tick does not tell that:
between two ticks it may have been there and back.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate, islice
from threading import Lock
from typing import NamedTuple

from botbalance.engine.durations import HOUR_S, MINUTE_S
from botbalance.errors import BotBalanceError, TransientError
from botbalance.exchange.adapter import DOUBTFUL_REPLY, MarketListing, MinuteRange
from botbalance.exchange.paper_books import ToldMinutes
from botbalance.exchange.profiles import PROFILES, market_exchange
from botbalance.log import logger
from botbalance.market_data.market_rules import MarketRulesService
from botbalance.market_data.public_adapters import PublicAdapters
from botbalance.market_data.shared_requests import SharedRequests
from botbalance.models.decision import TICK_SECONDS
from botbalance.settings import Settings
from botbalance.store.cache import Cached, CacheTable

THREADS = 8
"""Symbols that are asked for at a time: an exchange that answers in 50 ms tells 300 of them in two seconds."""
MOST_FAILURES = 2
PAGE_S = 7_200
"""Every exchange tells two hours at once."""
PAGES_AT_A_TIME = 20
"""So many are asked for in one look at an account that nobody has looked at for long."""
MOST_REACH_S = 30 * 86_400
"""Older minutes are not asked for."""


class Range(NamedTuple):
    """The lowest and the highest price of some trades, in quote per base."""

    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class _Entry:
    """Of one symbol, its last ``minutes``, as they were told at ``told_at`` (epoch seconds), the last one not over yet.

    ``since`` has for each of them the range from its start until now.
    """

    expires_at: int
    reaches_back_to: int
    told_at: int
    minutes: Sequence[MinuteRange]
    since: dict[int, Range]


class TradedRanges:
    """Ranges by exchange and symbol, kept in this process and in the cache table until the tick is over.

    All workers of a tick ask for each symbol once. ``clock`` gives epoch seconds. Any number of threads may share it.
    """

    def __init__(
        self,
        settings: Settings,
        cache: CacheTable,
        market_rules: MarketRulesService,
        adapters: PublicAdapters,
        requests: SharedRequests,
        clock: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._market_rules = market_rules
        self._adapters = adapters
        self._requests = requests
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)

    def prefetch(self, exchange: str, symbols: Collection[str]) -> None:
        """Have the ranges of ``symbols`` at hand; of those that cannot be had now, :meth:`since` knows nothing."""
        exchange = market_exchange(exchange)
        with self._locks[exchange]:
            now = self._clock()
            try:
                self._requests.fetch(
                    f"range#{exchange}",
                    symbols,
                    read=lambda wanted: self._missing_after_load(exchange, wanted, now),
                    ask=lambda wanted: self._fetch(exchange, wanted, now),
                )
            except BotBalanceError as error:
                logger.warning("price ranges not known", exchange=exchange, reason=str(error))

    def since(self, exchange: str, symbol: str, moment: int) -> Range | None:
        """Between which prices ``symbol`` has traded since the minute of ``moment`` (epoch seconds).

        None where that is not known: not prefetched, or without a trade since.
        """
        entry = self._entries.get(_cache_key(market_exchange(exchange), symbol))
        minute = moment - moment % MINUTE_S
        if entry is None or entry.expires_at <= self._clock() or minute < entry.reaches_back_to:
            return None
        if minute in entry.since:
            return entry.since[minute]
        return next((entry.since[later] for later in sorted(entry.since) if later > minute), None)

    def of_last_hour(self, exchange: str, symbol: str) -> Range | None:
        """Between which prices ``symbol`` has traded in the last hour; None where not all of it is known."""
        entry = self._entries.get(_cache_key(market_exchange(exchange), symbol))
        begins = self._clock() - HOUR_S
        if entry is None or not entry.since or min(entry.since) > begins + MINUTE_S:
            return None
        return self.since(exchange, symbol, begins + MINUTE_S)

    def minutes(self, exchange: str, symbol: str, since: int, margin_s: int) -> ToldMinutes:
        """The minutes from ``since`` (epoch seconds, a full minute) on that had been over for ``margin_s`` seconds.

        What everybody shares where that reaches back far enough; else asked for, some pages at most. Of a market that
        is listed no more nothing is told. Raises TransientError where the exchange does not tell.
        """
        exchange = market_exchange(exchange)
        if self._current(exchange, symbol) is None:
            self.prefetch(exchange, [symbol])
        entry = self._current(exchange, symbol)
        if entry is None and not self._market_rules.listed(exchange, [symbol]):
            over_until = (self._clock() - margin_s) // MINUTE_S * MINUTE_S
            return ToldMinutes([], over_until, over_until)
        if entry is None:
            raise TransientError("minutes_unknown", f"{exchange} does not tell what {symbol} traded; ask again")
        until = (entry.told_at - margin_s) // MINUTE_S * MINUTE_S
        if since < entry.reaches_back_to:
            return self._older_minutes(exchange, symbol, since, until)
        return ToldMinutes([minute for minute in entry.minutes if since <= minute.opens_at < until], since, until)

    def _older_minutes(self, exchange: str, symbol: str, since: int, until: int) -> ToldMinutes:
        """Page by page; an exchange that tells the newest minutes only leaves a gap before them."""
        found: list[MinuteRange] = []
        begin = max(since, until - _reach_s(exchange))
        next_minute = begin
        listing = self._market_rules.last_listings(exchange, [symbol])[symbol]
        with self._adapters.borrow(exchange) as adapter:
            adapter.load_listings([listing])
            for _ in range(PAGES_AT_A_TIME):
                page = adapter.minute_ranges(symbol, next_minute)
                found += [minute for minute in page if next_minute <= minute.opens_at < until]
                next_minute = max(next_minute + PAGE_S, page[-1].opens_at + MINUTE_S if page else 0)
                if next_minute >= until:
                    return ToldMinutes(found, begin, until)
        return ToldMinutes(found, begin, next_minute, complete=False)

    def _current(self, exchange: str, symbol: str) -> _Entry | None:
        entry = self._entries.get(_cache_key(exchange, symbol))
        return None if entry is None or entry.expires_at <= self._clock() else entry

    def _missing_after_load(self, exchange: str, symbols: Collection[str], now: int) -> set[str]:
        """Take from the cache what this process has not; returns the symbols that are not there either."""
        keys = {_cache_key(exchange, symbol): symbol for symbol in symbols}
        missing = {key for key in keys if key not in self._entries or self._entries[key].expires_at <= now}
        cached = self._cache.get_many(missing, now)
        self._entries.update({key: _read(document) for key, document in cached.items()})
        return {keys[key] for key in missing - cached.keys()}

    def _fetch(self, exchange: str, symbols: Collection[str], now: int) -> list[str]:
        """Ask the exchange, ``THREADS`` symbols at a time; returns those that it told.

        Raises what kept it from telling any of them, unless that is about one market alone.
        """
        listings = self._market_rules.listed(exchange, symbols)
        first = self._first_minute(now)
        shares = [dict(islice(listings.items(), start, None, THREADS)) for start in range(min(THREADS, len(listings)))]
        ranges: dict[str, list[MinuteRange]] = {}
        with ThreadPoolExecutor(THREADS) as pool:
            # Each thread in a context of its own, so that it asks on behalf of whoever asks here.
            asked = [
                pool.submit(copy_context().run, self._fetch_in_turn, exchange, share, first, ranges) for share in shares
            ]
            failures = [failure for share in asked if (failure := share.result()) is not None]
        if failures and not ranges:
            raise failures[-1]
        expires_at = now - now % TICK_SECONDS + TICK_SECONDS
        documents = {}
        for symbol, minutes in ranges.items():
            key = _cache_key(exchange, symbol)
            self._entries[key] = _build(minutes, expires_at, first, now)
            texts = [(minute.opens_at, *map(str, minute[1:])) for minute in minutes]
            documents[key] = json.dumps({"from": first, "at": now, "minutes": texts}, separators=(",", ":"))
        self._cache.put_many(documents, expires_at)
        return list(ranges)

    def _fetch_in_turn(
        self, exchange: str, listings: dict[str, MarketListing], first: int, ranges: dict[str, list[MinuteRange]]
    ) -> TransientError | None:
        """Put the minutes of one symbol after another into ``ranges``, which other threads fill, too.

        Returns the last failure that is not about one market alone. After one before any of the threads was told
        anything, or two failures running, the exchange is asked no further.
        """
        failure = None
        failures = 0
        with self._adapters.borrow(exchange) as adapter:
            adapter.load_listings(list(listings.values()))
            for symbol in listings:
                try:
                    ranges[symbol] = adapter.minute_ranges(symbol, first)
                    failures = 0
                except BotBalanceError as error:
                    logger.warning("price range not known", exchange=exchange, symbol=symbol, reason=str(error))
                    failures += 1
                    if isinstance(error, TransientError) and error.code != DOUBTFUL_REPLY:
                        failure = error
                    if failures == MOST_FAILURES or (failure is not None and not ranges):
                        break
        return failure

    def _first_minute(self, now: int) -> int:
        """The minute in which the oldest look that still counts may have been, by a clock that is ahead of ours."""
        oldest = now - self._settings.portfolio_max_age - MINUTE_S
        return oldest - oldest % MINUTE_S


def _read(cached: Cached) -> _Entry:
    document = json.loads(cached.document)
    minutes = [MinuteRange(opens_at, *map(Decimal, numbers)) for opens_at, *numbers in document["minutes"]]
    return _build(minutes, cached.expires_at, document["from"], document["at"])


def _build(minutes: Sequence[MinuteRange], expires_at: int, reaches_back_to: int, told_at: int) -> _Entry:
    newest_first = list(reversed(minutes))
    lows = accumulate((minute.low for minute in newest_first), min)
    highs = accumulate((minute.high for minute in newest_first), max)
    since = {minute.opens_at: Range(low, high) for minute, low, high in zip(newest_first, lows, highs, strict=True)}
    return _Entry(expires_at, reaches_back_to, told_at, minutes, since)


def _reach_s(exchange: str) -> int:
    """How far back the exchange tells minutes, in seconds."""
    candles = PROFILES[exchange].candles_reach_back
    return MOST_REACH_S if candles is None else min(MOST_REACH_S, (candles - 1) * MINUTE_S)


def _cache_key(exchange: str, symbol: str) -> str:
    return f"minutes#{exchange}#{symbol}"
