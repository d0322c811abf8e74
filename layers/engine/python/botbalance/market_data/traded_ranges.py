"""TradedRanges: between which prices markets have traded since a moment, from one-minute candles that everybody shares.

A resting order can only have filled where the market traded at its limit. The price of a tick does not tell that:
between two ticks it may have been there and back.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from threading import Lock
from typing import NamedTuple

from botbalance.errors import BotBalanceError
from botbalance.exchange.adapter import ExchangeAdapter, MinuteRange
from botbalance.log import logger
from botbalance.market_data.market_rules import MarketRulesService
from botbalance.settings import Settings
from botbalance.store.cache import Cached, CacheTable

MINUTE_S = 60
HOUR_S = 3_600


class Range(NamedTuple):
    """The lowest and the highest price of some trades, in quote per base."""

    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class _Kept:
    """Of one symbol, for each of the last minutes (epoch seconds) the range from its start until now."""

    expires_at: int
    reaches_back_to: int
    since: dict[int, Range]


class TradedRanges:
    """Ranges by exchange and symbol, kept in this process and in the cache table for ``PRICING_TTL`` seconds.

    ``clock`` gives epoch seconds. Any number of threads may share it.
    """

    def __init__(
        self,
        settings: Settings,
        cache: CacheTable,
        market_rules: MarketRulesService,
        public_adapter: Callable[[str], ExchangeAdapter],
        clock: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._market_rules = market_rules
        self._public_adapter = public_adapter
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)

    def prepare(self, exchange: str, symbols: Collection[str]) -> None:
        """Have the ranges of ``symbols`` at hand; of those that cannot be had now, :meth:`since` knows nothing."""
        with self._locks[exchange]:
            now = self._clock()
            keys = {_cache_key(exchange, symbol): symbol for symbol in symbols}
            missing = [key for key in keys if key not in self._kept or self._kept[key].expires_at <= now]
            for key, cached in self._cache.get_many(missing, now).items():
                self._kept[key] = _read(cached)
                missing.remove(key)
            try:
                self._ask(exchange, {key: keys[key] for key in missing}, now)
            except BotBalanceError as error:
                logger.warning("price ranges not known", exchange=exchange, reason=str(error))

    def since(self, exchange: str, symbol: str, moment: int) -> Range | None:
        """Between which prices ``symbol`` has traded since the minute of ``moment`` (epoch seconds).

        None where that is not known: not prepared, or without a trade since.
        """
        kept = self._kept.get(_cache_key(exchange, symbol))
        minute = moment - moment % MINUTE_S
        if kept is None or kept.expires_at <= self._clock() or minute < kept.reaches_back_to:
            return None
        if minute in kept.since:
            return kept.since[minute]
        return next((kept.since[later] for later in sorted(kept.since) if later > minute), None)

    def of_last_hour(self, exchange: str, symbol: str) -> Range | None:
        """Between which prices ``symbol`` has traded in the last hour; None where not all of it is known."""
        kept = self._kept.get(_cache_key(exchange, symbol))
        begins = self._clock() - HOUR_S
        if kept is None or not kept.since or min(kept.since) > begins + MINUTE_S:
            return None
        return self.since(exchange, symbol, begins + MINUTE_S)

    def _ask(self, exchange: str, symbols: dict[str, str], now: int) -> None:
        if not symbols:
            return
        first = self._first_minute(now)
        adapter = self._public_adapter(exchange)
        listings = self._market_rules.listed(exchange, symbols.values())
        adapter.load_listings(list(listings.values()))
        expires_at = now + self._settings.pricing_ttl
        documents = {}
        for key, symbol in symbols.items():
            if symbol not in listings:
                continue
            minutes = adapter.minute_ranges(symbol, first)
            self._kept[key] = _kept(minutes, expires_at, first)
            texts = [(minute.opens_at, str(minute.low), str(minute.high)) for minute in minutes]
            documents[key] = json.dumps({"from": first, "minutes": texts})
        self._cache.put_many(documents, expires_at)

    def _first_minute(self, now: int) -> int:
        """The minute in which the oldest look that still counts may have been."""
        oldest = now - self._settings.portfolio_max_age
        return oldest - oldest % MINUTE_S


def _read(cached: Cached) -> _Kept:
    document = json.loads(cached.document)
    minutes = [MinuteRange(opens_at, Decimal(low), Decimal(high)) for opens_at, low, high in document["minutes"]]
    return _kept(minutes, cached.expires_at, document["from"])


def _kept(minutes: Sequence[MinuteRange], expires_at: int, reaches_back_to: int) -> _Kept:
    newest_first = list(reversed(minutes))
    lows = accumulate((minute.low for minute in newest_first), min)
    highs = accumulate((minute.high for minute in newest_first), max)
    since = {minute.opens_at: Range(low, high) for minute, low, high in zip(newest_first, lows, highs, strict=True)}
    return _Kept(expires_at, reaches_back_to, since)


def _cache_key(exchange: str, symbol: str) -> str:
    return f"range#{exchange}#{symbol}"
