"""The exchange of local runs: a market with a time of its own, its books, and the portfolio that runs start with."""

import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from threading import Lock
from uuid import uuid4

from botbalance.api.account_schemas import StrategyRequest
from botbalance.engine.valuation import pairs_by_symbol
from botbalance.errors import InvalidRequestError, NotFoundError
from botbalance.models.decision import TICK_SECONDS

from workbench.backtest.inputs import read_balances
from workbench.candles.recording import recorded_symbols
from workbench.portfolios import demo as demo_portfolio
from workbench.simulated_exchange.control_messages import AccountBooks
from workbench.simulated_exchange.market import CandleSource, FrozenPrices, Market
from workbench.simulated_exchange.matching_engine import MatchingEngine
from workbench.simulated_exchange.random_walk import RandomWalk
from workbench.simulated_exchange.recorded_candles import OutOfCandlesError, RecordedCandles


class TickClock:
    """Epoch seconds; ticks may come faster than every 30 s, and still be that far apart for everything that counts.

    It is the exchange's, which outlives whoever trades there: after a restart, time must not have gone back.
    """

    def __init__(self, start: int) -> None:
        self._now = start - start % TICK_SECONDS
        self._lock = Lock()

    def __call__(self) -> int:
        """In epoch seconds."""
        return self._now

    def milliseconds(self) -> int:
        """The same in epoch milliseconds."""
        return self._now * 1000

    def go_on(self, seconds: int) -> int:
        """Go on by ``seconds``, to the grid of ticks; returns the time then."""
        with self._lock:
            self._now += seconds + -seconds % TICK_SECONDS
            return self._now


class Simulation:
    """Lists what its ``strategy`` trades, at the prices of a seeded walk, of recorded candles, or standing still.

    ``speed`` is how many candles shall pass with a tick. ``start_balances`` is a portfolio that is off the strategy's
    targets. Raises InvalidRequestError or CandleFileError for files that cannot be used.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        candles: Path | None = None,
        speed: int = 1,
        strategy: Path | None = None,
        freeze_prices: bool = False,
        balances: Path | None = None,
    ) -> None:
        self.id = uuid4().hex[:8]
        self.speed = speed
        self.strategy, source, first_prices = _build_market(seed, candles, strategy)
        self._recorded = isinstance(source, RecordedCandles)
        self._candle_s = source.candle_ms // 1000 if self._recorded else TICK_SECONDS
        self.clock = TickClock(source.start_ms // 1000 + self._candle_s if self._recorded else int(time.time()))
        if freeze_prices:
            source = FrozenPrices(start_ms=source.start_ms)
        self.market = _market_at(first_prices, source)
        self.books = MatchingEngine(self.market, seed=seed, clock=self.clock.milliseconds)
        self.start_balances = (
            demo_portfolio.off_target_balances(self.strategy, first_prices)
            if balances is None
            else read_balances(balances, self.strategy)
        )
        self._opened_with: dict[str, dict[str, Decimal]] = {}

    def next_tick(self, candles: int) -> int:
        """Go on by a tick and by ``candles``, or by what is left of them; returns the tick's time in epoch seconds.

        A tick is 30 s, except on recorded candles: there it is as long as the candles that pass with it.

        Raises OutOfCandlesError where nothing is left of them.
        """
        with self.market.exclusive():
            if not candles:
                return self.clock.go_on(TICK_SECONDS)
            before = self.clock.milliseconds()
            # The books fill orders while the market moves: by then it has to be the tick's time.
            now = self.clock.go_on(self._candle_s * (candles if self._recorded else 1))
            for moved in range(candles):
                drawn_at = before + (now * 1000 - before) * moved // candles
                try:
                    self.market.advance(None if self._recorded else drawn_at)
                except OutOfCandlesError:
                    if not moved:
                        raise
                    break
            return now

    def open_account(self, api_key: str, secret: str, balances: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Open an account, or keep the one that ``api_key`` has; returns what it was opened with."""
        with self.market.exclusive():
            if api_key not in self._opened_with:
                self.books.open_account(api_key, secret, balances)
                self._opened_with[api_key] = dict(balances)
            return self._opened_with[api_key]

    def account_books(self, api_key: str) -> AccountBooks:
        """What is booked of an account, all of one moment; raises NotFoundError where there is none."""
        with self.market.exclusive():
            if self.books.account(api_key) is None:
                raise NotFoundError("no_such_account", "no account has this key")
            return AccountBooks(
                orders=self.books.orders(api_key),
                trades=self.books.trades(api_key),
                balances=self.books.balances(api_key),
            )


def _build_market(
    seed: int, candles: Path | None, strategy_file: Path | None
) -> tuple[StrategyRequest, CandleSource, dict[str, Decimal]]:
    """The strategy, where its pairs' prices come from, and the first of them."""
    strategy = demo_portfolio.read_strategy(strategy_file) if strategy_file else None
    if candles is not None:
        if not candles.is_dir():
            raise InvalidRequestError("no_candles", f"--candles is {candles}, expected a folder")
        recorded = recorded_symbols(candles)
        strategy = strategy or demo_portfolio.equal_shares_strategy(recorded)
        wanted = list(pairs_by_symbol(strategy.target_allocations, strategy.quote_asset))
        replayed = RecordedCandles(candles, wanted or recorded[:1])
        return strategy, replayed, replayed.first_prices
    strategy = strategy or demo_portfolio.demo_strategy()
    first_prices = demo_portfolio.first_prices(strategy)
    return strategy, RandomWalk(seed=seed), first_prices


def _market_at(first_prices: dict[str, Decimal], source: CandleSource) -> Market:
    try:
        return Market.with_default_filters(first_prices, source)
    except ValueError as error:
        raise InvalidRequestError("local_market", f"the simulated exchange cannot list a pair: {error}") from None
