"""Three books of one history: a backtest, the simulated exchange, and a paper account that is restarted at random.

Each is driven by the backtest's own tick, minute by minute, over made-up minutes with wicks and gaps. What each did has
to be the same to the last digit: every order, every fill with its fee, what is held in the end, and the bonus.

    python -m workbench.audit.paper_oracle --minutes 10000 --seeds 3
"""

import argparse
import json
import time
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, Protocol

import numpy as np
from botbalance.api.account_schemas import StrategyRequest
from botbalance.engine import Action, Balance, CancelReason, Fill, RestingOrder, rebalancing_bonus
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.exchange.adapter import HourlyHigh, MarketListing, MinuteRange, OrderAccepted, OrderRequest, Quote
from botbalance.exchange.paper_adapter import MAX_VOLUME_FRACTION, PaperAdapter
from botbalance.exchange.paper_books import ToldMinutes, open_account
from botbalance.exchange.profiles import DEFAULT_PAPER_EXCHANGE
from botbalance.models.paper import paper_order_id
from botbalance.models.strategy import Strategy
from botbalance.store.accounts import AccountsTable, Lease
from botbalance.store.paper import PaperBooks, PaperTable

from workbench.aws.resources import in_memory_dynamodb
from workbench.aws.template import read_template
from workbench.backtest.account import Account, PlacedOrder
from workbench.backtest.inputs import assumed_rules
from workbench.backtest.simulation import BacktestConfig, run_tick, simulate
from workbench.backtest.timeline import NEVER_HIGH, NEVER_LOW, Timeline
from workbench.simulated_exchange.market import MINUTE_MS, Candle, Market, MarketSpec, market_spec_for
from workbench.simulated_exchange.matching_engine import MatchingEngine, NewOrder, OrderType

FIRST_PRICES = {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_500), "XRPUSDT": Decimal("0.5")}
STRATEGY = StrategyRequest.model_validate(
    {
        "target_allocations": {"BTC": "40", "ETH": "30", "XRP": "20", "USDT": "10"},
        "order_size_pct": "0.3",
        "order_step_pct": "0.2",
        "min_delta_quote": "15",
    }
)
START = {"BTC": Decimal("0.15"), "ETH": Decimal("0.9"), "XRP": Decimal(1_500), "USDT": Decimal(1_000)}
FEE_PCT = Decimal("0.1")
START_MS = 1_700_000_040_000
USER, PAPER = "oracle", DEFAULT_PAPER_EXCHANGE
_VOLATILITY, _WICK, _QUOTE_VOLUME = 0.0009, 0.006, 400
_RESTARTS, _GAPS, _MARKET_GAPS, _LONGEST_GAP = 0.05, 0.006, 0.002, 25


class Books(Protocol):
    """Somebody else's books of the backtest's orders, each by its number."""

    def balances(self) -> dict[str, Balance]:
        """What is held."""

    def place(self, number: int, action: Action) -> None:
        """Let an order rest; raises BooksDifferError where it is refused."""

    def cancel(self, number: int, symbol: str) -> None:
        """Give it up."""

    def rests(self, number: int, symbol: str) -> bool:
        """Whether it may still fill."""

    def fills(self, number: int, symbol: str) -> Sequence[Fill]:
        """Those that it had, oldest first."""


@dataclass(slots=True)
class KeptElsewhere(Account):
    """The backtest's account, but for its arithmetic: that is the other books'."""

    books: Books | None = None

    def refresh(self, candle: int) -> None:
        """Read what the other books booked in ``candle``."""
        books = self._books()
        self.balances = {asset: held for asset, held in books.balances().items() if held != Balance()}
        for symbol, order in tuple(self.resting.items()):
            order.fills += [(candle, fill) for fill in books.fills(order.number, symbol)[len(order.fills) :]]
            if not books.rests(order.number, symbol):
                self._end(order, candle)

    def place(self, action: Action, candle: int, placed_at: int) -> None:
        """Have the order placed where it is kept."""
        number = len(self.orders)
        self._books().place(number, action)
        resting = RestingOrder(str(number), action.symbol, action.side, action.limit_price, placed_at)
        order = PlacedOrder(number, action, candle, Decimal(0), resting)
        self.orders.append(order)
        self.resting[action.symbol] = order

    def cancel(self, order: PlacedOrder, candle: int, reason: CancelReason) -> None:
        """Have the order cancelled where it is kept."""
        self._books().cancel(order.number, order.action.symbol)
        self._end(order, candle)
        order.canceled = reason

    def _books(self) -> Books:
        if self.books is None:
            raise TypeError("books is None, expected somebody's")
        return self.books


@dataclass(frozen=True, slots=True)
class Result:
    """What one of the three did: every order with its fills, what was held in the end, and the bonus in quote."""

    orders: list[tuple[Any, ...]]
    balances: dict[str, Balance]
    bonus: Decimal

    @property
    def fills(self) -> list[Fill]:
        """All fills."""
        return [fill for *_, fills, _ in self.orders for _, fill in fills]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was compared, and how often what happened."""

    seed: int
    minutes: int
    max_volume_fraction: Decimal | None
    orders: int
    canceled: int
    fills: int
    in_parts: int
    restarts: int
    gaps: int
    fees_quote: Decimal
    bonus_quote: Decimal
    same: bool


class BooksDifferError(Exception):
    """The three do not agree; the message has where."""


def compare(seed: int, minutes: int, max_volume_fraction: Decimal | None) -> Figures:
    """Run all three and compare; raises BooksDifferError where they do, with the first order that does."""
    timeline = made_up_minutes(seed, minutes)
    rules = assumed_rules(STRATEGY, FIRST_PRICES)
    config = Strategy.model_validate(STRATEGY.model_dump() | {"user_id": USER}).config()
    setup = BacktestConfig(
        STRATEGY.target_allocations, config, rules, START, FEE_PCT, max_volume_fraction=max_volume_fraction
    )
    outcome = simulate(setup, timeline)
    backtest = _result(outcome.orders, outcome.balances, timeline)
    exchange = _run_elsewhere(setup, timeline, SimulatedBooks(timeline, max_volume_fraction))
    paper_books = RestartedPaper(timeline, setup, Random(seed))
    paper = _run_elsewhere(setup, timeline, paper_books)
    for name, other in (("simulated exchange", exchange), ("paper account", paper)):
        for ours, theirs in zip(backtest.orders, other.orders, strict=False):
            _require(ours == theirs, f"the backtest has {ours}, the {name} {theirs}")
        _require(backtest == other, f"the backtest holds {backtest.balances}, the {name} {other.balances}")
    prices = _closes(timeline)
    with ExactArithmetic():
        fees = sum((fill.fee * prices[fill.fee_asset] for fill in backtest.fills), Decimal(0))
    return Figures(
        seed=seed,
        minutes=minutes,
        max_volume_fraction=max_volume_fraction,
        orders=len(backtest.orders),
        canceled=sum(canceled is not None for *_, canceled in backtest.orders),
        fills=len(backtest.fills),
        in_parts=sum(len(fills) > 1 for *_, fills, _ in backtest.orders),
        restarts=paper_books.restarts,
        gaps=int((~timeline.complete).sum()) + minutes - len(timeline),
        fees_quote=fees,
        bonus_quote=backtest.bonus,
        same=backtest == exchange == paper,
    )


class SimulatedBooks:
    """An account on the simulated exchange."""

    def __init__(self, timeline: Timeline, max_volume_fraction: Decimal | None) -> None:
        self._timeline = timeline
        self._played = 0
        self.candle_ms, self.start_ms = MINUTE_MS, int(timeline.times_ms[0]) - MINUTE_MS
        self._market = Market(_specs(), FIRST_PRICES, self)
        self._engine = MatchingEngine(
            self._market,
            maker_fee_pct=FEE_PCT,
            taker_fee_pct=FEE_PCT,
            partial_fill_probability=Decimal(0),
            max_volume_fraction=max_volume_fraction,
            clock=lambda: timeline.ends_at_ms(max(0, self._played - 1)),
        )
        self._engine.open_account(USER, "", START)

    def next_candles(self, last_prices: Any) -> dict[str, Candle]:
        """The timeline's next minute, as the exchange plays it."""
        at, self._played = self._played, self._played + 1
        closes = self._timeline.closes_at(at)
        found = {}
        for symbol in self._timeline.symbols:
            extremes, volume = self._timeline.extremes_at(symbol, at), self._timeline.volume_at(symbol, at)
            if extremes is not None and volume is not None:
                low, high = extremes
                opened = int(self._timeline.times_ms[at])
                found[symbol] = Candle(opened, closes[symbol], high, low, closes[symbol], volume)
        return found

    def go_on(self, candle: int) -> None:
        """Let ``candle`` happen."""
        self._market.advance()

    def balances(self) -> dict[str, Balance]:
        """What the account has."""
        return self._engine.balances(USER)

    def place(self, number: int, action: Action) -> None:
        """Place an order with the matching engine."""
        wanted = NewOrder(
            action.symbol,
            action.side,
            OrderType.LIMIT_MAKER,
            str(number),
            qty=action.base_qty,
            price=action.limit_price,
        )
        order, _ = self._engine.place(USER, wanted)
        _require(order.status.is_open, f"{order} does not rest")

    def cancel(self, number: int, symbol: str) -> None:
        """Cancel an order of the matching engine."""
        self._engine.cancel(USER, symbol, client_order_id=str(number))

    def rests(self, number: int, symbol: str) -> bool:
        """Whether the order may still trade."""
        return self._engine.find(USER, symbol, client_order_id=str(number)).status.is_open

    def fills(self, number: int, symbol: str) -> list[Fill]:
        """The order's fills, in the engine's form."""
        spec = self._market.specs[symbol]
        return [
            Fill(spec.base, spec.quote, one.side, one.price, one.qty, one.commission, one.commission_asset)
            for one in self._engine.trades(USER)
            if one.client_order_id == str(number)
        ]


class RestartedPaper:
    """A paper account in its table, whose process ends at random: also right after the books were written."""

    def __init__(self, timeline: Timeline, setup: BacktestConfig, random: Random) -> None:
        self._random = random
        self._setup = setup
        self._market = RecordedMarket(timeline)
        tables: Any = in_memory_dynamodb(read_template(), "oracle")
        self._table = PaperTable(tables, "botbalance-oracle-PaperTable")
        self._accounts = AccountsTable(tables, "botbalance-oracle-AccountsTable")
        self._leases_at = 0
        self.restarts = -1
        self._adapter = self._restart()
        self._table.save(open_account(USER, PAPER, START, 0, None), self._lease)

    def go_on(self, candle: int) -> None:
        """Let ``candle`` happen, and perhaps the process end."""
        self._market.candle = candle
        if self._random.random() < _RESTARTS:
            self._adapter.balances()  # settled and written, and nobody was told
            self._adapter = self._restart()
        elif self._random.random() < _RESTARTS:
            self._connect(None).balances()  # somebody looks, and writes nothing

    def balances(self) -> dict[str, Balance]:
        """What the account has."""
        return self._adapter.balances()

    def place(self, number: int, action: Action) -> None:
        """Place an order, and now and then once more after a restart: it must be one."""
        placed = self._place(number, action)
        if self._random.random() < _RESTARTS:  # placed, and the process ended before it knew
            self._adapter = self._restart()
            _require(self._place(number, action) == placed, f"order {number} was placed twice")
        _require(isinstance(placed, OrderAccepted), f"order {number} was refused: {placed}")

    def cancel(self, number: int, symbol: str) -> None:
        """Cancel an order."""
        self._adapter.cancel_order(symbol, _client_id(number))

    def rests(self, number: int, symbol: str) -> bool:
        """Whether the order may still trade."""
        found = self._adapter.find_order(symbol, _client_id(number))
        return found is not None and found.status == "open"

    def fills(self, number: int, symbol: str) -> list[Fill]:
        """The order's fills, in the engine's form."""
        return [trade.fill for trade in self._adapter.trades(symbol, paper_order_id(1, _client_id(number)))]

    def _place(self, number: int, action: Action) -> Any:
        return self._adapter.place_order(
            OrderRequest(
                action.symbol, action.side, action.limit_price, action.base_qty, _client_id(number), post_only=True
            )
        )

    def _restart(self) -> PaperAdapter:
        self.restarts += 1
        self._leases_at += 1_000
        self._lease, _ = self._accounts.acquire(USER, self._leases_at)
        return self._connect(self._lease)

    def _connect(self, lease: Lease | None) -> PaperAdapter:
        adapter = PaperAdapter(
            PAPER,
            self._market,
            PaperBooks(self._table, USER, PAPER, lease),
            self._market.now,
            margin_s=0,
            max_volume_fraction=self._setup.max_volume_fraction,
        )
        fee = str(FEE_PCT / 100)
        document = json.dumps({"maker": fee, "taker": fee})
        adapter.load_listings([MarketListing(rules, document) for rules in self._setup.market_rules.values()])
        return adapter


class RecordedMarket:
    """The public market of a timeline, as it stands at the end of ``candle``."""

    def __init__(self, timeline: Timeline) -> None:
        self.candle = 0
        self._timeline = timeline
        self._minutes = {symbol: list(_read_minutes(timeline, symbol)) for symbol in timeline.symbols}

    def now(self) -> int:
        """Epoch seconds."""
        return self._timeline.ends_at_ms(self.candle) // 1000

    def market_listings(self, symbols: Collection[str]) -> dict[str, MarketListing]:
        """Nobody asks: the markets are given."""
        raise NotImplementedError

    def spot_pairs(self) -> list[tuple[str, str]]:
        """Nobody asks: the markets are given."""
        raise NotImplementedError

    def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        """The closes of the timeline's minute."""
        closes = self._timeline.closes_at(self.candle)
        return {symbol: Quote(closes[symbol], None, None) for symbol in symbols}

    def minute_ranges(self, symbol: str, since: int) -> list[MinuteRange]:
        """The minutes of a pair from ``since`` on, those to come included."""
        minutes = self._minutes[symbol]
        return minutes[bisect_left(minutes, since, key=lambda minute: minute.opens_at) :]

    def hourly_highs(self, symbol: str, since: int) -> list[HourlyHigh]:
        """Nobody asks: budgets are not reviewed here."""
        raise NotImplementedError

    def minutes(self, symbol: str, since: int, margin_s: int) -> ToldMinutes:
        """The minutes of a pair from ``since`` until now."""
        minutes, until = self._minutes[symbol], self.now()
        begin, end = (bisect_left(minutes, at, key=lambda minute: minute.opens_at) for at in (since, until))
        return ToldMinutes(minutes[begin:end], since, until)

    def clock_offset_ms(self) -> int:
        """There is one clock."""
        return 0


def made_up_minutes(seed: int, minutes: int) -> Timeline:
    """Minutes with wicks, of markets that are now and then silent, one by one or all together."""
    random = Random(seed)
    specs = _specs()
    ticks = {spec.symbol: int(FIRST_PRICES[spec.symbol] / spec.tick_size) for spec in specs}
    silent = dict.fromkeys(ticks, 0)
    rows: list[dict[str, tuple[int, int, int, Decimal] | None]] = []
    times = []
    all_silent = 0
    for minute in range(minutes):
        if minute and random.random() < _MARKET_GAPS:
            all_silent = random.randrange(1, _LONGEST_GAP)
        all_silent = max(0, all_silent - 1)
        row: dict[str, tuple[int, int, int, Decimal] | None] = {}
        for spec in specs:
            symbol = spec.symbol
            if minute and random.random() < _GAPS:
                silent[symbol] = random.randrange(1, _LONGEST_GAP)
            if all_silent or silent[symbol]:
                silent[symbol] = max(0, silent[symbol] - 1)
                row[symbol] = None
                continue
            row[symbol] = _minute(random, ticks, spec)
        if any(part is not None for part in row.values()):
            rows.append(row)
            times.append(START_MS + minute * MINUTE_MS)
    return _timeline(specs, times, rows)


def _minute(random: Random, ticks: dict[str, int], spec: MarketSpec) -> tuple[int, int, int, Decimal]:
    """Close, low and high in ticks, and the volume in base."""
    opened = ticks[spec.symbol]
    close = max(2, round(opened * (1 + random.gauss(0, _VOLATILITY))))
    low, high = min(opened, close), max(opened, close)
    if random.random() < 0.1:
        low = max(1, round(low * (1 - random.random() * _WICK)))
    if random.random() < 0.1:
        high = round(high * (1 + random.random() * _WICK))
    ticks[spec.symbol] = close
    quote = random.lognormvariate(0, 1) * _QUOTE_VOLUME
    lots = round(quote / float(close * spec.tick_size * spec.lot_size))
    return close, low, high, lots * spec.lot_size


def _timeline(
    specs: Sequence[MarketSpec], times: list[int], rows: list[dict[str, tuple[int, int, int, Decimal] | None]]
) -> Timeline:
    columns: dict[str, list[tuple[int, int, int, Decimal]]] = {spec.symbol: [] for spec in specs}
    for row in rows:
        for symbol, column in columns.items():
            part = row[symbol]
            column.append((column[-1][0], NEVER_LOW, NEVER_HIGH, Decimal(0)) if part is None else part)
    decimals = [-int(spec.tick_size.normalize().as_tuple().exponent) for spec in specs]
    return Timeline(
        symbols=tuple(columns),
        candle_ms=MINUTE_MS,
        times_ms=np.array(times),
        complete=np.array([all(part is not None for part in row.values()) for row in rows]),
        decimals=tuple(decimals),
        close=[np.array([part[0] for part in column]) for column in columns.values()],
        low=[np.array([part[1] for part in column]) for column in columns.values()],
        high=[np.array([part[2] for part in column]) for column in columns.values()],
        volumes={symbol: [part[3] for part in column] for symbol, column in columns.items()},
    )


def _run_elsewhere(setup: BacktestConfig, timeline: Timeline, books: SimulatedBooks | RestartedPaper) -> Result:
    account = KeptElsewhere(setup.market_rules, setup.fee_pct, {}, books=books)
    with ExactArithmetic():
        for candle in range(len(timeline)):
            books.go_on(candle)
            account.refresh(candle)
            if timeline.complete[candle]:
                run_tick(setup, timeline, account, candle)
        held = books.balances()
    return _result(account.orders, held, timeline)


def _result(orders: list[PlacedOrder], balances: dict[str, Balance], timeline: Timeline) -> Result:
    return Result(
        [(one.action, one.placed_in, one.ended_in, one.fills, one.canceled) for one in orders],
        {asset: balance for asset, balance in sorted(balances.items()) if balance != Balance()},
        rebalancing_bonus([fill for one in orders for _, fill in one.fills], _closes(timeline)),
    )


def _closes(timeline: Timeline) -> dict[str, Decimal]:
    closes = timeline.closes_at(len(timeline) - 1)
    return {symbol.removesuffix("USDT"): price for symbol, price in closes.items()} | {"USDT": Decimal(1)}


def _specs() -> list[MarketSpec]:
    return [market_spec_for(symbol, price) for symbol, price in FIRST_PRICES.items()]


def _read_minutes(timeline: Timeline, symbol: str) -> Iterator[MinuteRange]:
    for at in range(len(timeline)):
        extremes, volume = timeline.extremes_at(symbol, at), timeline.volume_at(symbol, at)
        if extremes is not None and volume is not None:
            yield MinuteRange(int(timeline.times_ms[at]) // 1000, *extremes, volume)


def _require(agrees: bool, difference: str) -> None:  # noqa: FBT001 - as assert takes it
    if not agrees:
        raise BooksDifferError(difference)


def _client_id(number: int) -> str:
    return f"{number:020x}"


def main() -> None:
    """Compare, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    for seed in range(1, asked.seeds + 1):
        for max_volume_fraction in (None, MAX_VOLUME_FRACTION):
            began = time.monotonic()
            figures = compare(seed, asked.minutes, max_volume_fraction)
            print(f"{figures} in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
