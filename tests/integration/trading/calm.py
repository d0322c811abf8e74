"""A world in which minutes pass, so that ticks may be quiet."""

from collections.abc import Mapping
from decimal import Decimal

from botbalance.store.decisions import Decision

from tests.integration.trading.world import World
from workbench.exchange.market import MINUTE_MS, Candle


class MinuteByMinute:
    """Candles of the world's own minutes; prices move where a test moves them."""

    candle_ms = MINUTE_MS
    start_ms = 0

    def __init__(self) -> None:
        self.now = 0

    def next_candles(self, last_prices: Mapping[str, Decimal]) -> Mapping[str, Candle]:
        opens_at = (self.now - self.now % 60) * 1000
        return {
            symbol: Candle(opens_at, price, price, price, price, Decimal(0)) for symbol, price in last_prices.items()
        }


class Calm:
    """A world in which quiet ticks are allowed."""

    def __init__(self, world: World, minutes: MinuteByMinute) -> None:
        self.world, self._minutes = world, minutes
        self._next_minute()

    def _next_minute(self) -> None:
        self._minutes.now = self.world.now
        self.world.market.advance()

    def go_on(self, seconds: int, **prices: str) -> None:
        """Let time pass, minute by minute, and then prices move."""
        for _ in range(seconds // 30):
            minute = self.world.now // 60
            self.world.now += 30
            if self.world.now // 60 > minute:
                self._next_minute()
        self.move(**prices)

    def move(self, **prices: str) -> None:
        for asset, price in prices.items():
            self.world.market.set_price(f"{asset}USDT", Decimal(price))

    def tick(self, seconds: int = 30, **prices: str) -> Decision:
        """Go on, and let the deployed worker tick the user; returns what was logged."""
        self.go_on(seconds, **prices)
        assert self.world.work(self.world.message(self.world.user)) == []
        return self.world.desk.decisions.get(self.world.user, self.world.now)

    def lease_number(self) -> int:
        with self.world.lease() as lease:
            return lease.number
