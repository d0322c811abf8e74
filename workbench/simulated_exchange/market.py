"""The market side: which pairs exist, what they accept, and where their prices are now.

Prices are in quote per base. Candles come from a source (a random walk, recorded candles, or none at all);
whoever must react to a candle, as the books must, registers with :meth:`Market.on_candle`.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from operator import mul
from threading import RLock
from typing import NamedTuple, Protocol, Self

from botbalance.engine.arithmetic import ZERO, ExactArithmetic

from workbench.simulated_exchange.decimal_text import to_grid

DAY_MS = 86_400_000
MINUTE_MS = 60_000
KEPT_CANDLES = 3_000
"""A day of ticks, and more than the 1,000 that one klines request may ask for."""
HALF_SPREAD = Decimal("0.00005")
"""Of the last price, to either side: the spread is about 0.01 %."""
QUOTE_ASSETS = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "EUR", "USD", "TRY", "BTC", "ETH", "BNB")
"""The quote assets that a symbol without a separator is split at."""


class Candle(NamedTuple):
    """What one interval traded: prices in quote per base, ``volume`` in base, ``open_time`` in epoch ms."""

    open_time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class CandleSource(Protocol):
    """Where prices come from: candles of ``candle_ms`` milliseconds, the first price known at ``start_ms``."""

    candle_ms: int
    start_ms: int

    def next_candles(self, last_prices: Mapping[str, Decimal]) -> Mapping[str, Candle]:
        """One candle for every symbol that trades; the market puts the prices on its tick grid."""
        ...


class FrozenPrices:
    """Prices that stay where they are: nothing trades, so nothing fills."""

    candle_ms = MINUTE_MS

    def __init__(self, *, start_ms: int | None = None) -> None:
        self.start_ms = this_minute_ms() if start_ms is None else start_ms

    def next_candles(self, last_prices: Mapping[str, Decimal]) -> Mapping[str, Candle]:
        """None: prices stay."""
        return {}


def this_minute_ms() -> int:
    """The real time, rounded down to a minute."""
    return int(time.time()) // 60 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """A pair and its filters. Prices in quote per base, quantities in base, notionals in quote.

    The multipliers bound an order's price relative to the last price (PERCENT_PRICE_BY_SIDE);
    ``max_num_orders`` is how many orders an account may have open on the pair.
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_price: Decimal
    max_price: Decimal
    min_qty: Decimal
    max_qty: Decimal
    min_notional: Decimal = Decimal(5)
    max_notional: Decimal = Decimal(9_000_000)
    bid_multiplier_down: Decimal = Decimal("0.2")
    bid_multiplier_up: Decimal = Decimal(5)
    ask_multiplier_down: Decimal = Decimal("0.2")
    ask_multiplier_up: Decimal = Decimal(5)
    max_num_orders: int = 200

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size", "min_price", "min_qty"):
            if getattr(self, name) <= ZERO:
                raise ValueError(f"{self.symbol}.{name} is {getattr(self, name)}, expected a Decimal > 0")


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote of a symbol without a separator; raises ValueError where it ends in no known quote asset."""
    for quote in QUOTE_ASSETS:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    raise ValueError(f"symbol is {symbol!r}, expected one that ends in {', '.join(QUOTE_ASSETS)}")


def market_spec_for(symbol: str, price: Decimal, *, min_notional: Decimal = Decimal(5)) -> MarketSpec:
    """Plausible filters for any symbol, from its first price: five significant digits of price, at most 0.01 coarse.

    A lot is worth between 0.1 and 1 quote, as on Binance's larger pairs. ``min_notional`` is in quote.
    """
    if not price.is_finite() or price <= ZERO:
        raise ValueError(f"the first price of {symbol} is {price}, expected a Decimal > 0")
    base, quote = split_symbol(symbol)
    magnitude = price.adjusted()
    tick_size = min(Decimal("0.01"), Decimal(1).scaleb(magnitude - 4))
    lot_size = min(Decimal(1), Decimal(1).scaleb(-magnitude - 1))
    with ExactArithmetic():
        return MarketSpec(
            symbol,
            base,
            quote,
            tick_size=tick_size,
            lot_size=lot_size,
            min_price=tick_size,
            max_price=tick_size * 100_000_000,
            min_qty=lot_size,
            max_qty=lot_size * 900_000_000,
            min_notional=min_notional,
        )


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """The last 24 hours of a symbol: prices in quote per base, ``volume`` in base, ``quote_volume`` in quote."""

    open: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    volume: Decimal
    quote_volume: Decimal
    candles: int


class Market:
    """Every pair's rules, price and candles, behind one lock that the books share.

    ``first_prices`` holds a price > 0 for every spec and is brought onto the tick grid. Safe to use from
    several threads.
    """

    def __init__(self, specs: Iterable[MarketSpec], first_prices: Mapping[str, Decimal], source: CandleSource) -> None:
        self.specs = {spec.symbol: spec for spec in specs}
        self.candle_ms = source.candle_ms
        self._source = source
        self._lock = RLock()
        self._exclusive = _Exclusive(self._lock)
        self._halted: set[str] = set()
        self._listeners: list[Callable[[str, Candle], None]] = []
        self._days: dict[str, DayStatistics] = {}
        self._candles: dict[str, deque[Candle]] = {}
        for symbol, spec in self.specs.items():
            if symbol not in first_prices:
                raise ValueError(f"first_prices has no {symbol}, expected a Decimal > 0")
            price = _on_grid(first_prices[symbol], spec)
            first = Candle(source.start_ms, price, price, price, price, ZERO)
            self._candles[symbol] = deque([first], maxlen=KEPT_CANDLES)

    @classmethod
    def with_default_filters(cls, first_prices: Mapping[str, Decimal], source: CandleSource) -> Self:
        """A market of the symbols in ``first_prices``, each with the filters of :func:`market_spec_for`."""
        specs = [market_spec_for(symbol, price) for symbol, price in first_prices.items()]
        return cls(specs, first_prices, source)

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the one lock of market and books, in exact arithmetic."""
        return self._exclusive

    def on_candle(self, listener: Callable[[str, Candle], None]) -> None:
        """Call ``listener(symbol, candle)`` under the lock for every candle in which the symbol traded."""
        self._listeners.append(listener)

    def advance(self, opens_at_ms: int | None = None) -> None:
        """Move every symbol that is not halted by one candle, filling what rests in its way.

        ``opens_at_ms``: when the candle begins, where its source has a time of its own. Raises OutOfCandlesError where
        recorded candles have run out.
        """
        with self.exclusive():
            candles = self._source.next_candles({symbol: self.last_price(symbol) for symbol in self.specs})
            for symbol, candle in candles.items():
                if symbol not in self.specs or symbol in self._halted:
                    continue
                spec = self.specs[symbol]
                open_, high, low, close = (_on_grid(price, spec) for price in candle[1:5])
                opened = candle.open_time if opens_at_ms is None else opens_at_ms
                traded = Candle(opened, open_, high, low, close, candle.volume)
                self._candles[symbol].append(traded)
                self._announce(symbol, traded)

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Trade ``symbol`` from its last price to ``price`` at once; orders that are traded through fill."""
        with self.exclusive():
            candles = self._candles[symbol]
            latest = candles[-1]
            close = _on_grid(price, self.specs[symbol])
            opened, open_, high, low, before, volume = latest
            candles[-1] = Candle(opened, open_, max(high, close), min(low, close), close, volume)
            traded = Candle(opened, before, max(before, close), min(before, close), close, ZERO)
            self._announce(symbol, traded)

    def halt(self, symbol: str) -> None:
        """Stop trading ``symbol`` (status BREAK): its price stands still and it takes no orders."""
        with self.exclusive():
            self._halted.add(self.specs[symbol].symbol)

    def resume(self, symbol: str) -> None:
        """Trade ``symbol`` again from the price at which it was halted."""
        with self.exclusive():
            self._halted.discard(symbol)

    def is_trading(self, symbol: str) -> bool:
        """Whether orders are taken."""
        with self._lock:
            return symbol not in self._halted

    def last_price(self, symbol: str) -> Decimal:
        """What was last traded at, in quote per base."""
        with self._lock:
            return self._candles[symbol][-1].close

    def bid_ask(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Best bid and ask: a tick or more below the last price, never below one tick, and one tick more above it.

        Not as far on both sides, as in a real book: the middle of the two is not the last price.
        """
        with self.exclusive():
            tick, last = self.specs[symbol].tick_size, self.last_price(symbol)
            half_spread = max(tick, to_grid(last * HALF_SPREAD, tick))
            return max(tick, last - half_spread), last + half_spread + tick

    def candles(self, symbol: str) -> Sequence[Candle]:
        """The newest candles, oldest first; the first of all stands for the price at the start."""
        with self._lock:
            return tuple(self._candles[symbol])

    def day(self, symbol: str) -> DayStatistics:
        """What the symbol traded in the 24 hours before the end of its newest candle."""
        with self.exclusive():
            if symbol not in self._days:
                self._days[symbol] = self._day_statistics(symbol)
            return self._days[symbol]

    def _day_statistics(self, symbol: str) -> DayStatistics:
        latest = self._candles[symbol][-1]
        close_time = latest.open_time + self.candle_ms
        day = [candle for candle in self._candles[symbol] if candle.open_time >= close_time - DAY_MS] or [latest]
        _, _, highs, lows, closes, volumes = zip(*day, strict=True)
        return DayStatistics(
            open=day[0].open,
            high=max(highs),
            low=min(lows),
            last=latest.close,
            volume=sum(volumes, ZERO),
            quote_volume=sum(map(mul, volumes, closes), ZERO),
            candles=len(day),
        )

    def _announce(self, symbol: str, candle: Candle) -> None:
        self._days.pop(symbol, None)
        for listener in self._listeners:
            listener(symbol, candle)


class _Exclusive(ExactArithmetic):
    """Exact arithmetic under a lock; whoever holds it may enter again."""

    __slots__ = ("_entered", "_lock")

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._entered = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._entered += 1
        if self._entered == 1:
            super().__enter__()

    def __exit__(self, *failure: object) -> None:
        self._entered -= 1
        if not self._entered:
            super().__exit__(*failure)
        self._lock.release()


def _on_grid(price: Decimal, spec: MarketSpec) -> Decimal:
    if not price.is_finite() or price <= ZERO:
        raise ValueError(f"a price of {spec.symbol} is {price}, expected a Decimal > 0")
    return max(spec.tick_size, to_grid(price, spec.tick_size))
