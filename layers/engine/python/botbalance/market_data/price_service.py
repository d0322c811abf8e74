"""PriceService: the only way to a price, so that NAV and shares agree wherever they are shown."""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import asdict
from decimal import Decimal
from threading import Lock

from pydantic import TypeAdapter

from botbalance.engine import InvalidInputError, PriceUnavailableError
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.errors import BotBalanceError, InvalidRequestError, RateLimitedError, TransientError
from botbalance.exchange.adapter import Quote
from botbalance.log import logger
from botbalance.market_data.market_rules import MarketRulesService
from botbalance.market_data.public_adapters import PublicAdapters
from botbalance.market_data.shared_requests import MARKET_GONE, SharedRequests
from botbalance.settings import Settings
from botbalance.store.cache import CacheTable

FAILURE_SHARED_S = 2
"""For so long an exchange that did not tell prices is not asked again for everybody who is ticked together."""
DECIDE_AND_SEND_S = 2
"""For so long prices must hold yet when they are had: until the orders that they size are sent."""
_QUOTES = TypeAdapter(Quote)
_HALF = Decimal("0.5")


class PriceService:
    """Prices in quote per base, by symbol, from one public adapter per exchange.

    ``PRICING_SOURCE`` says which: the last trade, or the middle of best bid and best ask. Quotes are cached in
    this process and in the cache table for ``PRICING_TTL`` seconds; an older one never sizes an order.
    ``clock`` gives epoch seconds.
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
        self._quotes: dict[str, tuple[int, Quote]] = {}
        self._failures: dict[str, tuple[int, TransientError]] = {}
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)

    def prices(self, exchange: str, symbols: Collection[str], *, fresh: bool = False) -> dict[str, Decimal]:
        """One consistent set of prices; ``fresh`` asks the exchange whatever the cache holds.

        Raises PriceUnavailableError, naming every symbol, where the exchange has no usable price for one, and
        TransientError where it does not answer, or did not a moment ago.
        """
        return self._all(exchange, symbols, fresh=fresh, hold_for_s=0)[0]

    def prices_and_expiry(
        self, exchange: str, symbols: Collection[str], *, fresh: bool = False
    ) -> tuple[dict[str, Decimal], int]:
        """As :meth:`prices`, and until when (epoch seconds) they may size an order: ``DECIDE_AND_SEND_S`` at least."""
        return self._all(
            exchange, symbols, fresh=fresh, hold_for_s=min(DECIDE_AND_SEND_S, self._settings.pricing_ttl - 1)
        )

    def _all(
        self, exchange: str, symbols: Collection[str], *, fresh: bool, hold_for_s: int
    ) -> tuple[dict[str, Decimal], int]:
        prices, expire_at = self._valid(exchange, symbols, fresh=fresh, hold_for_s=hold_for_s)
        unusable = [symbol for symbol in symbols if symbol not in prices]
        if unusable:
            raise PriceUnavailableError(unusable)
        return prices, expire_at

    def prices_or_empty(self, exchange: str, symbols: Collection[str]) -> dict[str, Decimal]:
        """The prices of those of ``symbols`` that have a usable one; none where the exchange does not tell."""
        try:
            return self._valid(exchange, symbols, fresh=False, hold_for_s=0)[0]
        except BotBalanceError as error:
            logger.warning("prices not known", exchange=exchange, reason=str(error))
            return {}

    def quotes(self, exchange: str, symbols: Collection[str]) -> dict[str, Quote]:
        """What those of ``symbols`` that have a usable price are quoted at; raises TransientError where the exchange
        does not answer."""
        with self._locks[exchange]:
            cached = self._load(exchange, symbols, hold_for_s=0) if self._settings.pricing_use_cache else {}
            quotes = {symbol: quote for symbol, (_, quote) in cached.items()}
            if any(symbol not in quotes for symbol in symbols):
                quotes, _ = self._fetch(exchange, symbols, fresh=False)
        return {symbol: quote for symbol, quote in quotes.items() if self._price(quote) is not None}

    def recent(self, exchange: str, symbols: Collection[str], *, since: int) -> dict[str, tuple[Decimal, int]]:
        """The last price cached of each of ``symbols`` and when it was had, not before ``since`` (epoch seconds).

        Asks no exchange. They are to be shown, with their age: no order is sized by them.
        """
        keys = {_cache_key(exchange, symbol): symbol for symbol in symbols}
        cached = self._cache.get_many(keys, since + self._settings.pricing_ttl)
        priced = {
            keys[key]: (self._price(_QUOTES.validate_json(document)), expires_at - self._settings.pricing_ttl)
            for key, (document, expires_at) in cached.items()
        }
        return {symbol: (price, priced_at) for symbol, (price, priced_at) in priced.items() if price is not None}

    def prefetch(self, exchange: str, symbols: Collection[str]) -> None:
        """Have the prices of ``symbols`` at hand for those who ask next, in one request of all workers together.

        Where that cannot be, each asks for its own, and is told what is wrong with those.
        """
        if not self._settings.pricing_use_cache:
            return
        try:
            with self._locks[exchange]:
                if self._load(exchange, symbols, hold_for_s=0).keys() >= set(symbols):
                    return
                self._requests.fetch(
                    f"quote#{exchange}",
                    self._market_rules.listed(exchange, symbols),
                    read=lambda wanted: set(wanted) - self._load(exchange, wanted, hold_for_s=0).keys(),
                    ask=lambda wanted: self._fetch(exchange, self._market_rules.listed(exchange, wanted), fresh=False)[
                        0
                    ].keys(),
                )
        except (BotBalanceError, InvalidInputError) as error:
            logger.warning("prices not prefetched", exchange=exchange, reason=str(error))
            if isinstance(error, TransientError):
                self._remember_failure(exchange, error)

    def _valid(
        self, exchange: str, symbols: Collection[str], *, fresh: bool, hold_for_s: int
    ) -> tuple[dict[str, Decimal], int]:
        with self._locks[exchange]:  # users who are ticked together share one request, and the connection
            cached = {} if fresh or not self._settings.pricing_use_cache else self._load(exchange, symbols, hold_for_s)
            expire_at = min((at for at, _ in cached.values()), default=self._clock() + self._settings.pricing_ttl)
            quotes = {symbol: quote for symbol, (_, quote) in cached.items()}
            if any(symbol not in quotes for symbol in symbols):
                quotes, expire_at = self._fetch(exchange, symbols, fresh=fresh)
        prices = {symbol: self._price(quotes[symbol]) for symbol in symbols if symbol in quotes}
        return {symbol: price for symbol, price in prices.items() if price is not None}, expire_at

    def _load(self, exchange: str, symbols: Collection[str], hold_for_s: int) -> dict[str, tuple[int, Quote]]:
        """Quotes that hold for a while yet, each with the second at which it expires."""
        needed_until = self._clock() + hold_for_s
        keys = {_cache_key(exchange, symbol): symbol for symbol in symbols}
        here = {keys[key]: self._quotes[key] for key in keys if self._quotes.get(key, (0, None))[0] > needed_until}
        if len(here) == len(keys):
            return here
        shared = {
            key: (cached.expires_at, _QUOTES.validate_json(cached.document))
            for key, cached in self._cache.get_many(keys, needed_until).items()
        }
        self._quotes.update(shared)
        return {keys[key]: quote for key, quote in shared.items()}

    def _fetch(self, exchange: str, symbols: Collection[str], *, fresh: bool) -> tuple[dict[str, Quote], int]:
        """Ask the exchange; returns what it quotes, and until when that holds.

        From the moment of asking on: what takes long to come is as old as that when it is here.
        """
        failure = self._failure(exchange)
        if failure is not None and not fresh:
            raise failure
        expires_at = self._clock() + self._settings.pricing_ttl
        try:
            quotes = self._ask(exchange, symbols)
        except TransientError as error:
            self._failures.pop(exchange, None)
            self._remember_failure(exchange, error)
            raise
        self._failures.pop(exchange, None)
        usable = {
            _cache_key(exchange, symbol): quote for symbol, quote in quotes.items() if self._price(quote) is not None
        }
        if self._settings.pricing_use_cache:
            self._quotes.update({key: (expires_at, quote) for key, quote in usable.items()})
            self._cache.put_many({key: _QUOTES.dump_json(quote).decode() for key, quote in usable.items()}, expires_at)
        return quotes, expires_at

    def _failure(self, exchange: str) -> TransientError | None:
        """What kept the exchange from telling prices a moment ago, here or in another process."""
        failed_until, failure = self._failures.get(exchange, (0, None))
        return failure if self._clock() < failed_until else None

    def _remember_failure(self, exchange: str, error: TransientError) -> None:
        """Let it be the answer to all for a moment. One that is noted is not made to last by being met again."""
        if isinstance(error, RateLimitedError):  # the asker's own trouble it may be, and no request was sent
            return
        if self._failure(exchange) is None:
            self._failures[exchange] = self._clock() + FAILURE_SHARED_S, error

    def _ask(self, exchange: str, symbols: Collection[str]) -> dict[str, Quote]:
        listings = list(self._market_rules.listings(exchange, symbols).values())
        try:
            with self._adapters.borrow(exchange) as adapter:
                adapter.load_listings(listings)
                return adapter.quotes(symbols)
        except InvalidRequestError as error:  # one that was listed a while ago is no more, and fails the others
            self._market_rules.recheck(exchange, symbols)
            raise TransientError(MARKET_GONE, f"{exchange} lists one of {', '.join(symbols)} no more") from error

    def _price(self, quote: Quote) -> Decimal | None:
        """The price that the settings ask for; None where the quote cannot be one."""
        if any(number is not None and (not number.is_finite() or number <= 0) for number in asdict(quote).values()):
            return None
        if quote.bid is not None and quote.ask is not None and quote.bid > quote.ask:
            return None
        if self._settings.pricing_source == "last":
            return quote.last
        if quote.bid is None or quote.ask is None:
            return None
        with ExactArithmetic():
            return (quote.bid + quote.ask) * _HALF


def _cache_key(exchange: str, symbol: str) -> str:
    return f"quote#{exchange}#{symbol}"
