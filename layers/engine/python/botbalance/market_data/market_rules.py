"""MarketRulesService: what markets accept, from a shared cache.

Nobody has to download every market of an exchange to trade four, and nobody can have it downloaded by naming markets
that do not exist: which ones do is known for as long as their rules are.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Container
from dataclasses import replace
from threading import Lock

from pydantic import TypeAdapter

from botbalance.engine.valuation import pair_symbol
from botbalance.errors import InvalidRequestError
from botbalance.exchange.adapter import MarketListing
from botbalance.market_data.public_adapters import PublicAdapters
from botbalance.settings import Settings
from botbalance.store.cache import CacheTable

LAST_LISTING_KEPT_S = 90 * 86_400
"""For how long after a market's last listing its orders can still be named, and be ended."""
RECHECKED_EVERY_S = 60
_LISTINGS = TypeAdapter(MarketListing)


class MarketRulesService:
    """Market listings by symbol, kept in this process and in the cache table for ``MARKET_RULES_TTL`` seconds."""

    def __init__(
        self,
        settings: Settings,
        cache: CacheTable,
        adapters: PublicAdapters,
        clock: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._adapters = adapters
        self._clock = clock
        self._here: dict[str, tuple[int, MarketListing]] = {}
        self._pairs: dict[str, tuple[int, list[tuple[str, str]]]] = {}
        self._rechecked: dict[str, int] = {}
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)

    def listings(self, exchange: str, symbols: Collection[str]) -> dict[str, MarketListing]:
        """The listing of every one of ``symbols``; raises InvalidRequestError, naming those that are no spot market."""
        found = self.listed(exchange, symbols)
        _require_all(exchange, symbols, found)
        return found

    def last_listings(self, exchange: str, symbols: Collection[str]) -> dict[str, MarketListing]:
        """As :meth:`listings`, and of a market that has gone its last listing, in which it does not trade."""
        found = self.listed(exchange, symbols)
        gone = {_last_key(exchange, symbol): symbol for symbol in symbols if symbol not in found}
        for key, cached in self._cache.get_many(gone, self._clock()).items() if gone else ():
            listing = _LISTINGS.validate_json(cached.document)
            found[gone[key]] = replace(listing, rules=replace(listing.rules, trading=False))
        _require_all(exchange, symbols, found)
        return found

    def listed(self, exchange: str, symbols: Collection[str]) -> dict[str, MarketListing]:
        """The listings of those of ``symbols`` that are spot markets."""
        with self._locks[exchange]:  # users who are ticked together share one request, and the connection
            found = self._load_cached(exchange, symbols)
            missing = [symbol for symbol in symbols if symbol not in found]
            pairs = self._cached_pairs(exchange) if missing else None
            if pairs is not None:
                exist = {pair_symbol(base, quote) for base, quote in pairs}
                missing = [symbol for symbol in missing if symbol in exist]
            if missing:
                found |= self._download(exchange, missing)
                if pairs is None and any(symbol not in found for symbol in missing):
                    self._download_pairs(exchange)
        return found

    def recheck(self, exchange: str, symbols: Collection[str]) -> None:
        """Have listings anew: the exchange has just said that it knows one of ``symbols`` no more.

        Once in ``RECHECKED_EVERY_S`` at most, however often it says so.
        """
        with self._locks[exchange]:
            now = self._clock()
            if now < self._rechecked.get(exchange, 0) + RECHECKED_EVERY_S:
                return
            self._rechecked[exchange] = now
            kept = self._load_cached(exchange, symbols)
            gone = kept.keys() - self._download(exchange, symbols).keys()
            for symbol in gone:
                del self._here[_cache_key(exchange, symbol)]
            expired = {_cache_key(exchange, symbol): _LISTINGS.dump_json(kept[symbol]).decode() for symbol in gone}
            self._cache.put_many(expired, now)
            self._download_pairs(exchange)

    def cached(self, exchange: str, symbols: Collection[str]) -> dict[str, MarketListing]:
        """The listings of those of ``symbols`` that are known already; asks no exchange."""
        with self._locks[exchange]:
            return self._load_cached(exchange, symbols)

    def pairs(self, exchange: str) -> list[tuple[str, str]]:
        """Every spot market of ``exchange``, as base and quote, as it was ``MARKET_RULES_TTL`` seconds ago at most."""
        with self._locks[exchange]:
            cached = self._cached_pairs(exchange)
            return self._download_pairs(exchange) if cached is None else cached

    def _cached_pairs(self, exchange: str) -> list[tuple[str, str]] | None:
        """None where they have to be downloaded."""
        now, key = self._clock(), _pairs_key(exchange)
        expires_at, pairs = self._pairs.get(exchange, (0, []))
        if expires_at > now:
            return pairs
        shared = self._cache.get_many([key], now).get(key)
        if shared is None:
            return None
        pairs = [(base, quote) for base, quote in json.loads(shared.document)]
        self._pairs[exchange] = shared.expires_at, pairs
        return pairs

    def _download_pairs(self, exchange: str) -> list[tuple[str, str]]:
        with self._adapters.borrow(exchange) as adapter:
            pairs = adapter.spot_pairs()
        expires_at = self._clock() + self._settings.market_rules_ttl
        self._pairs[exchange] = expires_at, pairs
        self._cache.put_many({_pairs_key(exchange): json.dumps(pairs, separators=(",", ":"))}, expires_at)
        return pairs

    def _load_cached(self, exchange: str, symbols: Collection[str]) -> dict[str, MarketListing]:
        now = self._clock()
        keys = {_cache_key(exchange, symbol): symbol for symbol in symbols}
        here = {key: self._here[key] for key in keys if key in self._here and self._here[key][0] > now}
        if len(here) < len(keys):
            shared = {
                key: (cached.expires_at, _LISTINGS.validate_json(cached.document))
                for key, cached in self._cache.get_many([key for key in keys if key not in here], now).items()
            }
            self._here.update(shared)
            here |= shared
        return {keys[key]: listing for key, (_, listing) in here.items()}

    def _download(self, exchange: str, symbols: Collection[str]) -> dict[str, MarketListing]:
        """Ask the exchange, and keep what it lists for everybody."""
        with self._adapters.borrow(exchange) as adapter:
            listed = adapter.market_listings(symbols)
        expires_at = self._clock() + self._settings.market_rules_ttl
        by_key = {_cache_key(exchange, symbol): listing for symbol, listing in listed.items()}
        self._here.update({key: (expires_at, listing) for key, listing in by_key.items()})
        documents = {key: _LISTINGS.dump_json(listing).decode() for key, listing in by_key.items()}
        self._cache.put_many(documents, expires_at)
        last = {
            _last_key(exchange, symbol): _LISTINGS.dump_json(listing).decode() for symbol, listing in listed.items()
        }
        self._cache.put_many(last, self._clock() + LAST_LISTING_KEPT_S)
        return listed


def _require_all(exchange: str, symbols: Collection[str], found: Container[str]) -> None:
    unknown = [symbol for symbol in symbols if symbol not in found]
    if unknown:
        raise InvalidRequestError(
            "unknown_market", f"{', '.join(unknown)}: expected pairs that {exchange} lists as spot markets"
        )


def _last_key(exchange: str, symbol: str) -> str:
    return f"last-market#{exchange}#{symbol}"


def _pairs_key(exchange: str) -> str:
    return f"pairs#{exchange}"


def _cache_key(exchange: str, symbol: str) -> str:
    return f"market#{exchange}#{symbol}"
