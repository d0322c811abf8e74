"""SharedMarket: one exchange's public facts for paper accounts, from what all who trade there share."""

from collections.abc import Collection

from botbalance.exchange.adapter import HourlyHigh, MarketListing, MinuteRange, Quote
from botbalance.exchange.paper_books import ToldMinutes
from botbalance.market_data.price_service import PriceService
from botbalance.market_data.public_adapters import PublicAdapters
from botbalance.market_data.traded_ranges import TradedRanges


class SharedMarket:
    """The public market of ``exchange``. Any number of accounts and threads may share it."""

    def __init__(self, exchange: str, adapters: PublicAdapters, prices: PriceService, ranges: TradedRanges) -> None:
        self._exchange = exchange
        self._adapters = adapters
        self._prices = prices
        self._ranges = ranges

    def market_listings(self, symbols: Collection[str]) -> dict[str, MarketListing]:
        """The listings, as the exchange tells them now."""
        with self._adapters.borrow(self._exchange) as adapter:
            return adapter.market_listings(symbols)

    def spot_pairs(self) -> list[tuple[str, str]]:
        """Every spot market, as base and quote."""
        with self._adapters.borrow(self._exchange) as adapter:
            return adapter.spot_pairs()

    def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        """The quotes that also size orders, some seconds old; one without a usable price is absent."""
        return self._prices.quotes(self._exchange, symbols)

    def minute_ranges(self, symbol: str, since: int) -> list[MinuteRange]:
        """The minutes of two hours, as the exchange tells them now; the market has to be loaded."""
        with self._adapters.borrow(self._exchange) as adapter:
            return adapter.minute_ranges(symbol, since)

    def hourly_highs(self, symbol: str, since: int) -> list[HourlyHigh]:
        """The hours of a week, as the exchange tells them now; the market has to be loaded."""
        with self._adapters.borrow(self._exchange) as adapter:
            return adapter.hourly_highs(symbol, since)

    def minutes(self, symbol: str, since: int, margin_s: int) -> ToldMinutes:
        """See :meth:`TradedRanges.minutes`."""
        return self._ranges.minutes(self._exchange, symbol, since, margin_s)

    def clock_offset_ms(self) -> int:
        """By how much the exchange's clock is ahead of ours."""
        with self._adapters.borrow(self._exchange) as adapter:
            return adapter.clock_offset_ms()
