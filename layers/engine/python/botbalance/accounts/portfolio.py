"""PortfolioService: balances × prices, the only source of NAV and shares.

Prices and rules are those of the exchange whose markets an account trades at: a paper account has them from the real
one. One snapshot is one consistent set of facts; the engine is asked about it, and nobody computes with it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from botbalance.engine import Balance, MarketRules
from botbalance.exchange.adapter import ExchangeAdapter, ExchangeOrder
from botbalance.exchange.profiles import market_exchange
from botbalance.market_data.market_rules import MarketRulesService
from botbalance.market_data.price_service import PriceService

_NO_PRICES: Mapping[str, Decimal] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AccountReading:
    """What an exchange says of an account. ``open_orders`` are all of them, whoever placed them.

    ``market`` is the exchange whose prices count there.
    """

    market: str
    open_orders: tuple[ExchangeOrder, ...]
    balances: Mapping[str, Balance]
    rules: Mapping[str, MarketRules]
    gone: frozenset[str] = frozenset()
    """Those of the markets that the exchange lists no more."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a decision is made of: an account, and prices that may size an order until ``prices_expire_at``."""

    open_orders: tuple[ExchangeOrder, ...]
    balances: Mapping[str, Balance]
    prices: Mapping[str, Decimal]
    prices_expire_at: int
    rules: Mapping[str, MarketRules]

    def active_symbols(self) -> set[str]:
        """The pairs that have a resting order."""
        return {order.symbol for order in self.open_orders}


@dataclass(frozen=True, slots=True)
class RecentMarkets:
    """What is known of markets without asking the exchange, by symbol; what is not known is missing.

    ``priced_at`` is when each price was had, in epoch seconds.
    """

    prices: Mapping[str, Decimal]
    priced_at: Mapping[str, int]
    rules: Mapping[str, MarketRules]


class PortfolioService:
    """Takes snapshots of an account."""

    def __init__(self, prices: PriceService, market_rules: MarketRulesService) -> None:
        self._prices = prices
        self._market_rules = market_rules

    def snapshot(
        self,
        account: ExchangeAdapter,
        symbols: Collection[str],
        *,
        fresh: bool,
        last_prices: Mapping[str, Decimal] = _NO_PRICES,
    ) -> Snapshot:
        """The account with the markets of ``symbols``; ``fresh`` takes prices from the exchange, not the cache.

        See :meth:`with_prices` for ``last_prices``.
        """
        self.load_markets(account, symbols)
        return self.with_prices(self.read_account(account, symbols), fresh=fresh, last_prices=last_prices)

    def read_account(self, account: ExchangeAdapter, symbols: Collection[str]) -> AccountReading:
        """The account, to which the markets of ``symbols`` are known.

        Open orders are read before balances: an order that fills in between then still counts as resting, and
        its pair is left alone, whereas the other way round it would seem gone and be placed twice.
        """
        market = market_exchange(account.exchange)
        listings = self._market_rules.last_listings(market, symbols)
        rules = {symbol: listing.rules for symbol, listing in listings.items()}
        gone = frozenset(symbols) - self._market_rules.listed(market, symbols).keys()
        open_orders = tuple(account.open_orders())
        return AccountReading(market, open_orders, account.balances(), rules, gone)

    def with_prices(
        self, reading: AccountReading, *, fresh: bool, last_prices: Mapping[str, Decimal] = _NO_PRICES
    ) -> Snapshot:
        """``reading`` with the prices of its markets, which are read last: they are what ages fastest.

        What is held of an asset whose market is gone counts at its last price, which no order can be sized by: it does
        not trade. Where that is not among ``last_prices`` it has none: nothing can be decided if any of it is held.
        """
        lasting = {symbol: last_prices[symbol] for symbol in reading.gone if symbol in last_prices}
        asked = [symbol for symbol in reading.rules if symbol not in reading.gone]
        prices, expire_at = self._prices.prices_and_expiry(reading.market, asked, fresh=fresh)
        prices |= lasting
        return Snapshot(
            open_orders=reading.open_orders,
            balances=reading.balances,
            prices=prices,
            prices_expire_at=expire_at,
            rules=reading.rules,
        )

    def prepare_prices(self, exchange: str, symbols: Collection[str]) -> None:
        """Have the prices of ``symbols`` at hand for the snapshots that follow, in one request instead of many."""
        self._prices.prefetch(market_exchange(exchange), symbols)

    def prices(self, exchange: str, symbols: Collection[str]) -> dict[str, Decimal]:
        """What ``symbols`` cost; raises InvalidRequestError for what is no market, PriceUnavailableError where one
        has no price."""
        return self._prices.prices(market_exchange(exchange), symbols)

    def known_prices(self, exchange: str, symbols: Collection[str]) -> dict[str, Decimal]:
        """What those of ``symbols`` cost that have a usable price now; none where the exchange does not tell.

        All workers of a tick ask together.
        """
        self._prices.prefetch(market_exchange(exchange), symbols)
        return self._prices.prices_or_empty(market_exchange(exchange), symbols)

    def recent_markets(self, exchange: str, symbols: Collection[str], *, max_age_s: int, now: int) -> RecentMarkets:
        """What the caches hold of ``symbols`` at ``now`` (epoch seconds), prices up to ``max_age_s`` old.

        Only to be shown: what sizes an order has prices of its own.
        """
        market = market_exchange(exchange)
        recent = self._prices.recent(market, symbols, since=now - max_age_s)
        return RecentMarkets(
            prices={symbol: price for symbol, (price, _) in recent.items()},
            priced_at={symbol: priced_at for symbol, (_, priced_at) in recent.items()},
            rules={symbol: listing.rules for symbol, listing in self._market_rules.cached(market, symbols).items()},
        )

    def pairs(self, exchange: str) -> list[tuple[str, str]]:
        """Every spot market of ``exchange``, as base and quote."""
        return self._market_rules.pairs(market_exchange(exchange))

    def load_markets(self, account: ExchangeAdapter, symbols: Collection[str]) -> dict[str, MarketRules]:
        """Make the markets of ``symbols`` known to ``account``, so that it can trade them; returns their rules.

        Of a market that has gone too, so that its orders can be ended.
        """
        listings = self._market_rules.last_listings(market_exchange(account.exchange), symbols)
        account.load_listings(list(listings.values()))
        return {symbol: listing.rules for symbol, listing in listings.items()}

    def market_rules(self, exchange: str, symbols: Collection[str]) -> dict[str, MarketRules]:
        """The rules of ``symbols``; raises InvalidRequestError, naming those that are no spot markets of
        ``exchange``."""
        listings = self._market_rules.listings(market_exchange(exchange), symbols)
        return {symbol: listing.rules for symbol, listing in listings.items()}
