"""A harness in which minutes pass, so that ticks may be quiet."""

from collections.abc import Mapping
from decimal import Decimal

from botbalance.models.decision import Decision
from botbalance.store.pagination import TimeRange

from tests.integration.trading.harness import TradingHarness
from workbench.simulated_exchange.market import MINUTE_MS, Candle

_VOLUME = Decimal(1_000_000)
"""Enough for any order of a test."""


class MinuteByMinute:
    """Candles of the harness's own minutes; prices move where a test moves them."""

    candle_ms = MINUTE_MS
    start_ms = 0

    def __init__(self) -> None:
        self.now = 0

    def next_candles(self, last_prices: Mapping[str, Decimal]) -> Mapping[str, Candle]:
        opens_at = (self.now - self.now % 60) * 1000
        return {symbol: Candle(opens_at, price, price, price, price, _VOLUME) for symbol, price in last_prices.items()}


class NoTradeHarness:
    """A harness in which quiet ticks are allowed."""

    def __init__(self, harness: TradingHarness, minutes: MinuteByMinute) -> None:
        self.harness, self._minutes = harness, minutes
        self._next_minute()

    def _next_minute(self) -> None:
        self._minutes.now = self.harness.now
        self.harness.market.advance()

    def go_on(self, seconds: int, **prices: str) -> None:
        """Let time pass, minute by minute, and then prices move."""
        for _ in range(seconds // 30):
            minute = self.harness.now // 60
            self.harness.now += 30
            if self.harness.now // 60 > minute:
                self._next_minute()
        self.move(**prices)

    def move(self, **prices: str) -> None:
        for asset, price in prices.items():
            self.harness.market.set_price(f"{asset}USDT", Decimal(price))

    def tick(self, seconds: int = 30, **prices: str) -> Decision:
        """Go on, and let the deployed worker tick the user, whose tick is not quiet; returns what was logged."""
        self._work(seconds, **prices)
        return self.harness.context.decisions.get(self.harness.user, self.harness.now)

    def is_quiet(self, seconds: int = 30, **prices: str) -> bool:
        """Go on, and let the deployed worker tick the user; whether that made no decision and took no lease."""
        before = self.harness.context.accounts.last_runs([self.harness.user])
        self._work(seconds, **prices)
        now = self.harness.now
        logged = self.harness.context.decisions.page(self.harness.user, limit=1, ticks=TimeRange(now, now))
        return not logged.items and self.harness.context.accounts.last_runs([self.harness.user]) == before

    def _work(self, seconds: int, **prices: str) -> None:
        self.go_on(seconds, **prices)
        assert self.harness.work(self.harness.message(self.harness.user)) == []

    def fencing_token(self) -> int:
        with self.harness.session() as session:
            return session.lease.fencing_token
