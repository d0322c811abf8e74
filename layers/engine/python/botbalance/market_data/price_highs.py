"""PriceHighs: how high markets have traded in the last 7 days, from hourly candles that everybody shares.

Asked for once an hour and pair, and only where something would be bought: whoever does not buy needs no high.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock
from typing import Any, NamedTuple

from botbalance.deadline import OUT_OF_TIME
from botbalance.engine.budgets import WEEK_HOURS
from botbalance.engine.durations import DAY_S, HOUR_S
from botbalance.errors import BotBalanceError, RateLimitedError
from botbalance.exchange.adapter import ExchangeAdapter, HourlyHigh
from botbalance.exchange.profiles import market_exchange
from botbalance.log import alarm, logger
from botbalance.market_data.market_rules import MarketRulesService
from botbalance.market_data.public_adapters import PublicAdapters
from botbalance.store.cache import CacheTable

STILL_USED_S = DAY_S
"""For so long after their hour highs are used where newer ones cannot be had: an old high is high enough."""
MOST_ASKED = 30
"""Pairs of one look; the others have the next."""
ASKED_FOR_S = 3
"""After so long no further pair is asked for in a look: the prices that it read have to last until it has sent."""
FAILED_WAITS_S = (300, 600, 1_800, HOUR_S)
"""A pair that cannot be had is left alone for so long after each failure in a row."""
UNKNOWN_TOLD_EVERY_S = 300
"""After so long without a high of a pair somebody is told, and as often as that while it lasts."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Of one symbol the hours whose high no later one has reached, oldest first. New until ``fresh_until``."""

    fresh_until: int
    highs: tuple[HourlyHigh, ...]

    def since(self, moment: int) -> Decimal | None:
        """The highest since ``moment``; None where no hour has begun since."""
        return next((hour.high for hour in self.highs if hour.opens_at >= moment), None)


@dataclass(frozen=True, slots=True)
class _Failures:
    """How often in a row a symbol could not be had, until when it is left alone, and why."""

    count: int = 0
    until: int = 0
    reason: str = ""


class _Unknown(NamedTuple):
    """Since when no high of a symbol is known, or when that was told last, and when one was last wanted."""

    since: int
    wanted_at: int


class PriceHighs:
    """Highs by exchange and symbol, kept in this process and in the cache table.

    ``clock`` gives epoch seconds. Any number of threads may share it.
    """

    def __init__(
        self,
        cache: CacheTable,
        market_rules: MarketRulesService,
        adapters: PublicAdapters,
        clock: Callable[[], int],
    ) -> None:
        self._cache = cache
        self._market_rules = market_rules
        self._adapters = adapters
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._failures: dict[str, _Failures] = {}
        self._unknown: dict[str, _Unknown] = {}
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)

    def of_week(self, exchange: str, since: dict[str, int]) -> dict[str, Decimal]:
        """The high of 7 days of each symbol of ``since``, or since that moment (epoch seconds) where it is later.

        A symbol is missing where no hour has begun since, or where the exchange has told nothing for a day.
        """
        exchange = market_exchange(exchange)
        with self._locks[exchange]:
            now = self._clock()
            self._refresh(exchange, since, now)
            week = now - WEEK_HOURS * HOUR_S
            known = {
                symbol: self._entries[key]
                for symbol in since
                for key in [_cache_key(exchange, symbol)]
                if self._is_usable(key, now)
            }
            for symbol in known:
                self._unknown.pop(_cache_key(exchange, symbol), None)
        highs = {symbol: entry.since(max(since[symbol], week)) for symbol, entry in known.items()}
        return {symbol: high for symbol, high in highs.items() if high is not None}

    def _refresh(self, exchange: str, symbols: Collection[str], now: int) -> None:
        keys = {_cache_key(exchange, symbol): symbol for symbol in symbols}
        stale = [key for key in keys if not self._is_fresh(key, now)]
        if not stale:
            return
        for key, cached in self._cache.get_many(stale, now).items():
            self._entries[key] = _read(cached.document)
        missing = [keys[key] for key in stale if not self._is_fresh(key, now)]
        if missing:
            self._ask(exchange, missing, now)

    def _is_fresh(self, key: str, now: int) -> bool:
        return key in self._entries and now < self._entries[key].fresh_until

    def _is_usable(self, key: str, now: int) -> bool:
        return key in self._entries and now < self._entries[key].fresh_until + STILL_USED_S

    def _ask(self, exchange: str, symbols: Collection[str], now: int) -> None:
        """Ask for one pair after the other, for a while; what one of them meets keeps none of the others unknown."""
        documents = {}
        this_hour = now - now % HOUR_S
        fresh_until = this_hour + HOUR_S
        due, reason = self._due(exchange, symbols, now), "there was no time to ask for all of them"
        try:
            listings = self._market_rules.listed(exchange, due)
            symbols = [symbol for symbol in symbols if symbol in listings or symbol not in due]
            due = [symbol for symbol in due if symbol in listings]
            with self._adapters.borrow(exchange) as adapter:
                adapter.load_listings(list(listings.values()))
                for symbol in due:
                    if self._clock() - now >= ASKED_FOR_S:
                        break
                    key = _cache_key(exchange, symbol)
                    try:
                        highs = _steps(self._hours(adapter, symbol, key, this_hour - WEEK_HOURS * HOUR_S))
                    except BotBalanceError as error:
                        if isinstance(error, RateLimitedError) or error.code == OUT_OF_TIME:
                            raise
                        self._record_failure(exchange, symbol, error)
                        continue
                    self._failures.pop(key, None)
                    self._entries[key] = _Entry(fresh_until, highs)
                    documents[key] = _written(fresh_until, highs)
        except BotBalanceError as error:  # those of the last hours are used on, where there are any
            reason = str(error)
            logger.warning("price highs not known", exchange=exchange, symbols=sorted(symbols), reason=reason)
        self._tell_unknown(exchange, symbols, reason, now)
        if documents:
            self._cache.put_many(documents, fresh_until + STILL_USED_S)

    def _hours(self, adapter: ExchangeAdapter, symbol: str, key: str, first: int) -> list[HourlyHigh]:
        """The hours of ``symbol`` since ``first`` (epoch seconds).

        Only from the last known hour on are they asked for: that one was not over, and a market that stands still has
        no later one.
        """
        known = self._entries[key].highs if key in self._entries else ()
        since = max(first, known[-1].opens_at) if known else first
        over = [hour for hour in known if first <= hour.opens_at < since]
        return [*over, *adapter.hourly_highs(symbol, since)]

    def _due(self, exchange: str, symbols: Collection[str], now: int) -> list[str]:
        """Those of ``symbols`` that may be asked for, whatever failed before last."""
        failures = {symbol: self._failures.get(_cache_key(exchange, symbol), _Failures()) for symbol in symbols}
        due = [symbol for symbol in symbols if failures[symbol].until <= now]
        return sorted(due, key=lambda symbol: failures[symbol].count)[:MOST_ASKED]

    def _record_failure(self, exchange: str, symbol: str, error: BotBalanceError) -> None:
        """Leave the pair alone for a while."""
        key, reason = _cache_key(exchange, symbol), str(error)
        count = self._failures.get(key, _Failures()).count + 1
        until = self._clock() + FAILED_WAITS_S[min(count, len(FAILED_WAITS_S)) - 1]
        self._failures[key] = _Failures(count, until, reason)
        logger.warning("price high not known", exchange=exchange, symbol=symbol, reason=reason)

    def _tell_unknown(self, exchange: str, symbols: Collection[str], reason: str, now: int) -> None:
        """Alarm for those of ``symbols`` whose high has long been unknown; ``reason`` is why it was not asked for.

        For a pair that nobody has asked about for a day, the while begins anew.
        """
        reasons: dict[str, str] = {}
        for symbol in symbols:
            key = _cache_key(exchange, symbol)
            if self._is_usable(key, now):
                continue
            since, wanted_at = self._unknown.get(key, (now, now))
            if now - wanted_at > STILL_USED_S:
                since = now
            elif now - since >= UNKNOWN_TOLD_EVERY_S:
                since = now
                reasons[symbol] = self._failures[key].reason if key in self._failures else reason
            self._unknown[key] = _Unknown(since, now)
        if reasons:
            facts: dict[str, Any] = {"exchange": exchange, "symbols": sorted(reasons)}
            facts["reason"] = "; ".join(sorted(set(reasons.values())))
            alarm("price_high_unknown", "pairs are bought without a look at how far they have fallen", **facts)


def _steps(hours: Sequence[HourlyHigh]) -> tuple[HourlyHigh, ...]:
    """Those of ``hours`` (oldest first) whose high no later one has reached."""
    steps: list[HourlyHigh] = []
    for hour in hours:
        while steps and steps[-1].high <= hour.high:
            steps.pop()
        steps.append(hour)
    return tuple(steps)


def _written(fresh_until: int, highs: Sequence[HourlyHigh]) -> str:
    hours = [(hour.opens_at, str(hour.high)) for hour in highs]
    return json.dumps({"fresh_until": fresh_until, "highs": hours}, separators=(",", ":"))


def _read(document: str) -> _Entry:
    found = json.loads(document)
    return _Entry(found["fresh_until"], tuple(HourlyHigh(at, Decimal(high)) for at, high in found["highs"]))


def _cache_key(exchange: str, symbol: str) -> str:
    return f"high#{exchange}#{symbol}"
