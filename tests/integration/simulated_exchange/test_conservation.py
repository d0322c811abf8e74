"""Money is neither made nor lost, whatever happens in whatever order."""

from collections import Counter, defaultdict
from decimal import Decimal, localcontext
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.simulated_exchange.errors import ExchangeError
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.matching_engine import MatchingEngine, NewOrder, OrderType
from workbench.simulated_exchange.random_walk import RandomWalk

FIRST_PRICES = {"BTCUSDT": Decimal(40_000), "XRPUSDT": Decimal("0.5")}
START = {"USDT": Decimal("5000.123456789012345678"), "BTC": Decimal("0.1"), "XRP": Decimal(3_000)}
KEYS = ("a", "b")


def trade_at_random(seed: int, steps: int) -> MatchingEngine:
    """Two accounts placing, cancelling, paying in and out at random while the market walks."""
    market = Market.with_default_filters(FIRST_PRICES, RandomWalk(seed=seed, volatility=0.01, start_ms=0))
    books = MatchingEngine(market, partial_fill_probability=Decimal("0.5"), seed=seed, clock=lambda: 0)
    for key in KEYS:
        books.open_account(key, "s", START)
    random = Random(seed)
    for step in range(steps):
        key, symbol = random.choice(KEYS), random.choice(list(FIRST_PRICES))
        try:
            match random.randrange(6):
                case 0 | 1 | 2:
                    books.place(key, random_order(random, market, symbol, f"{random.choice('xyz')}{step % 7}"))
                case 3 if open_orders := books.open_orders(key):
                    order = random.choice(open_orders)
                    books.cancel(key, order.symbol, order_id=order.order_id)
                case 4:
                    books.cancel_all(key, symbol)
                case _:
                    market.advance()
        except ExchangeError:
            pass
        check_account(books, key)
    return books


def random_order(random: Random, market: Market, symbol: str, client_order_id: str) -> NewOrder:
    spec = market.specs[symbol]
    away = Decimal(random.randrange(-150, 150)) / 10_000
    price = market.last_price(symbol) * (1 + away) // spec.tick_size * spec.tick_size
    qty = Decimal(random.randrange(5, 2_000)) / price // spec.lot_size * spec.lot_size
    type_ = random.choice(list(OrderType))
    return NewOrder(
        symbol,
        random.choice(["buy", "sell"]),
        type_,
        client_order_id,
        qty,
        None if type_ is OrderType.MARKET else price,
    )


def check_account(books: MatchingEngine, key: str) -> None:
    balances = books.balances(key)
    locked: defaultdict[str, Decimal] = defaultdict(Decimal)
    for order in books.open_orders(key):
        spec = books.market.specs[order.symbol]
        if order.side == "buy":
            locked[spec.quote] += order.remaining * order.price
        else:
            locked[spec.base] += order.remaining
    for asset, balance in balances.items():
        assert balance.free >= 0
        assert balance.locked == locked[asset]


def check_trades_explain_balances(books: MatchingEngine) -> None:
    for key in KEYS:
        held = dict(START)
        executed: defaultdict[int, Decimal] = defaultdict(Decimal)
        for trade in books.trades(key):
            spec = books.market.specs[trade.symbol]
            sign = 1 if trade.side == "buy" else -1
            held[spec.base] += sign * trade.qty
            held[spec.quote] -= sign * trade.qty * trade.price
            held[trade.commission_asset] -= trade.commission
            executed[trade.order_id] += trade.qty
            assert trade.commission == (trade.qty if sign > 0 else trade.quote_qty) / 1_000
            assert trade.commission_asset == (spec.base if sign > 0 else spec.quote)
        for asset, balance in books.balances(key).items():
            assert balance.free + balance.locked == held[asset]
        for order in books.orders(key):
            assert order.executed_qty == executed[order.order_id] <= order.qty
            assert order.executed_qty % books.market.specs[order.symbol].lot_size == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_balances_change_only_by_fills_and_fees(seed: int) -> None:
    with localcontext(prec=80):
        books = trade_at_random(seed, 60)
        check_trades_explain_balances(books)


def test_long_run_fills_partly_fully_and_as_taker() -> None:
    with localcontext(prec=80):
        books = trade_at_random(5, 1_500)
        check_trades_explain_balances(books)
    trades = [trade for key in KEYS for trade in books.trades(key)]
    assert {trade.is_maker for trade in trades} == {True, False}
    per_order = Counter(trade.order_id for trade in trades)
    assert max(per_order.values()) > 1


def test_same_seed_same_books() -> None:
    with localcontext(prec=80):
        one, other, third = trade_at_random(9, 300), trade_at_random(9, 300), trade_at_random(10, 300)
    assert [one.orders(key) for key in KEYS] == [other.orders(key) for key in KEYS]
    assert [one.trades(key) for key in KEYS] == [other.trades(key) for key in KEYS]
    assert [one.trades(key) for key in KEYS] != [third.trades(key) for key in KEYS]


def test_ambient_decimal_context_changes_nothing() -> None:
    def sold() -> MatchingEngine:
        market = Market.with_default_filters({"BTCUSDT": Decimal("40000.01")}, RandomWalk(seed=1, start_ms=0))
        books = MatchingEngine(market, maker_fee_pct=Decimal("0.0750000001"), clock=lambda: 0)
        books.open_account("a", "s", {"BTC": Decimal("0.123456789012345678901234567")})
        books.place("a", NewOrder("BTCUSDT", "sell", OrderType.LIMIT, "x", Decimal("0.12345"), Decimal("40001.03")))
        for _ in range(5):
            market.advance()
        return books

    with localcontext(prec=4):
        narrow = sold()
    wide = sold()
    assert narrow.balances("a") == wide.balances("a")
    assert narrow.trades("a") == wide.trades("a") != []


@pytest.mark.parametrize(("probability", "low", "high"), [("0", 0, 0), ("0.2", 150, 250), ("1", 1_000, 1_000)])
def test_partial_fills_are_as_likely_as_asked_for(probability: str, low: int, high: int) -> None:
    market = Market.with_default_filters(FIRST_PRICES, RandomWalk(seed=1))
    books = MatchingEngine(market, partial_fill_probability=Decimal(probability), seed=2)
    parts = [books._filled_part(Decimal(1), Decimal("0.00001")) for _ in range(1_000)]
    assert low <= sum(part < 1 for part in parts) <= high


def test_impossible_probability_is_refused() -> None:
    market = Market.with_default_filters(FIRST_PRICES, RandomWalk(seed=1))
    with pytest.raises(ValueError, match="partial_fill_probability is 2"):
        MatchingEngine(market, partial_fill_probability=Decimal(2))
