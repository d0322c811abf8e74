"""A paper account in its table, and a market whose minutes a test makes up."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from botbalance.engine import MarketRules, Side
from botbalance.errors import TransientError
from botbalance.exchange.adapter import (
    HourlyHigh,
    MarketListing,
    MinuteRange,
    OrderAccepted,
    OrderRequest,
    Quote,
    SubmitResult,
)
from botbalance.exchange.paper_adapter import PaperAdapter
from botbalance.exchange.paper_books import ToldMinutes, open_account
from botbalance.models.paper import PaperAccount
from botbalance.store.accounts import AccountsTable, Lease
from botbalance.store.paper import PaperBooks, PaperTable

from workbench.aws.template import read_template
from workbench.simulation.dynamodb import InMemoryDynamoDB

D = Decimal
USER, EXCHANGE = "alice", "binance-paper"
START = 1_700_000_040
"""A full minute."""
RULES = MarketRules(
    "BTCUSDT",
    "BTC",
    "USDT",
    tick_size=D("0.01"),
    lot_size=D("0.001"),
    min_qty=D("0.001"),
    max_qty=D(100),
    min_notional=D(5),
    bid_multiplier_down=D("0.2"),
)


class MadeUpMarket:
    """The public market of two pairs. ``minutes_told`` are what either traded; of what is before ``tells_from`` it
    tells nothing any more, and ``page`` minutes at a time at most."""

    def __init__(self, clock: "PaperWorld") -> None:
        self._world = clock
        self.minutes_told: list[MinuteRange] = []
        self.tells_from = 0
        self.page: int | None = None
        self.halted: set[str] = set()
        """Of these pairs no minutes are told."""
        self.delisted: set[str] = set()
        self.quote = Quote(last=D(40_000), bid=D("39999.99"), ask=D("40000.01"))
        self.asked = 0

    def market_listings(self, symbols: Collection[str]) -> dict[str, MarketListing]:
        return {symbol: self._world.listings[symbol] for symbol in symbols if symbol in self._world.listings}

    def spot_pairs(self) -> list[tuple[str, str]]:
        return [("BTC", "USDT")]

    def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        return {symbol: self.quote for symbol in symbols if symbol in self._world.listings}

    def minute_ranges(self, symbol: str, since: int) -> list[MinuteRange]:
        return [minute for minute in self.minutes_told if minute.opens_at >= since]

    def hourly_highs(self, symbol: str, since: int) -> list[HourlyHigh]:
        return [HourlyHigh(minute.opens_at, minute.high) for minute in self.minute_ranges(symbol, since)]

    def minutes(self, symbol: str, since: int, margin_s: int) -> ToldMinutes:
        self.asked += 1
        until = (self._world.now - margin_s) // 60 * 60
        if symbol in self.delisted:
            return ToldMinutes([], until, until)
        if symbol in self.halted:
            raise TransientError("minutes_unknown", symbol)
        since = max(since, self.tells_from)
        last = until if self.page is None else min(until, since + self.page * 60)
        found = [minute for minute in self.minute_ranges(symbol, since) if minute.opens_at < last]
        return ToldMinutes(found, since, last, complete=last == until)

    def clock_offset_ms(self) -> int:
        return 0


class PaperWorld:
    """``now`` (epoch seconds) is where a test moves it."""

    def __init__(self, balances: Mapping[str, Decimal], *, max_volume_fraction: Decimal | None = None) -> None:
        self.now = START
        self.rules = RULES
        self.market = MadeUpMarket(self)
        self._max_volume_fraction = max_volume_fraction
        client: Any = InMemoryDynamoDB()
        for name in ("PaperTable", "AccountsTable"):
            properties = read_template().resources("AWS::DynamoDB::Table")[name]
            wanted = {key: properties[key] for key in ("AttributeDefinitions", "KeySchema")}
            client.create_table(TableName=name, **wanted)
        self.table = PaperTable(client, "PaperTable")
        self._lease_taken_at = self.now
        self._accounts = AccountsTable(client, "AccountsTable")
        self.lease = self.take_lease()
        self.table.save(open_account(USER, EXCHANGE, balances, self.now, None), self.lease)

    @property
    def listings(self) -> dict[str, MarketListing]:
        ether = replace(self.rules, symbol="ETHUSDT", base="ETH")
        fees = json.dumps({"maker": "0.001", "taker": "0.002"})
        return {rules.symbol: MarketListing(rules, fees) for rules in (self.rules, ether)}

    def take_lease(self) -> Lease:
        """As another process, after the last one's has ended."""
        self._lease_taken_at += 100_000
        self.lease, _ = self._accounts.acquire(USER, self._lease_taken_at)
        return self.lease

    def adapter(self, *, writes: bool = True, margin_s: int = 0) -> PaperAdapter:
        """Another process's connection to the account."""
        books = PaperBooks(self.table, USER, EXCHANGE, self.lease if writes else None)
        adapter = PaperAdapter(
            EXCHANGE,
            self.market,
            books,
            lambda: self.now,
            margin_s=margin_s,
            max_volume_fraction=self._max_volume_fraction,
        )
        adapter.load_listings(list(self.listings.values()))
        return adapter

    def stored(self) -> PaperAccount:
        return self.table.get(USER, EXCHANGE)

    def trade(self, opens_at: int, low: str, high: str, volume: str = "1000") -> None:
        """The market trades in that minute."""
        self.market.minutes_told.append(MinuteRange(opens_at, D(low), D(high), D(volume)))

    def place(
        self,
        side: Side,
        price: str,
        base_qty: str,
        client_id: str = "a" * 20,
        *,
        post_only: bool = True,
        symbol: str = "BTCUSDT",
    ) -> SubmitResult:
        return self.adapter().place_order(
            OrderRequest(symbol, side, D(price), D(base_qty), client_id, post_only=post_only)
        )

    def rests(self, side: Side, price: str, base_qty: str, client_id: str = "a" * 20, symbol: str = "BTCUSDT") -> None:
        """Place an order that has to rest."""
        placed = self.place(side, price, base_qty, client_id, symbol=symbol)
        assert isinstance(placed, OrderAccepted), placed
        assert placed.order.status == "open"

    def filled(self, client_id: str = "a" * 20) -> Decimal:
        """How much of an order has filled, as the adapter tells."""
        found = self.adapter().find_order("BTCUSDT", client_id)
        assert found is not None
        return found.filled_qty
