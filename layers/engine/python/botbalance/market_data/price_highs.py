"""PriceHighs: how high markets have traded in the last 7 days, from hourly candles that everybody shares.

Asked for once an hour and pair, and only where something would be bought: whoever does not buy needs no high.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock

from botbalance.engine.budgets import HOUR_S, WEEK_HOURS
from botbalance.errors import BotBalanceError
from botbalance.exchange.adapter import HourlyHigh
from botbalance.exchange.profiles import market_exchange
from botbalance.log import logger
from botbalance.market_data.market_rules import MarketRulesService
from botbalance.market_data.public_adapters import PublicAdapters
from botbalance.store.cache import CacheTable

STILL_USED_S = 86_400
"""For so long after their hour highs are used where newer ones cannot be had: an old high is high enough."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Of one symbol the hours whose high no later one has reached, oldest first. New until ``fresh_until``."""

    fresh_until: int
    highs: tuple[HourlyHigh, ...]

    def since(self, moment: int) -> Decimal | None:
        """The highest since ``moment``; None where no hour has begun since."""
        return next((hour.high for hour in self.highs if hour.opens_at >= moment), None)


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
            entries = {symbol: self._entries.get(_cache_key(exchange, symbol)) for symbol in since}
        highs = {
            symbol: entry.since(max(since[symbol], week))
            for symbol, entry in entries.items()
            if entry is not None and now < entry.fresh_until + STILL_USED_S
        }
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

    def _ask(self, exchange: str, symbols: Collection[str], now: int) -> None:
        this_hour = now - now % HOUR_S
        fresh_until = this_hour + HOUR_S
        documents = {}
        try:
            listings = self._market_rules.listed(exchange, symbols)
            with self._adapters.borrow(exchange) as adapter:
                adapter.load_listings(list(listings.values()))
                for symbol in listings:
                    highs = _steps(adapter.hourly_highs(symbol, this_hour - WEEK_HOURS * HOUR_S))
                    key = _cache_key(exchange, symbol)
                    self._entries[key] = _Entry(fresh_until, highs)
                    documents[key] = _written(fresh_until, highs)
        except BotBalanceError as error:  # those of the last hours are used on, where there are any
            logger.warning("price highs not known", exchange=exchange, symbols=sorted(symbols), reason=str(error))
        if documents:
            self._cache.put_many(documents, fresh_until + STILL_USED_S)


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
