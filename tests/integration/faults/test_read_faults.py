"""What a fault makes of what is read: nothing happens, and what is said is wrong in just the way that it names."""

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from botbalance.errors import BotBalanceError, TransientError
from botbalance.exchange.adapter import ExchangeOrderStatus
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.faults.conftest import CLIENT_ID, FIRST_PRICES, KEY, Exchange, place
from workbench.faults.kinds import KINDS, FaultKind, Where
from workbench.simulated_exchange.binance_api import Request

K = FaultKind
READS = {
    Where.QUOTES: lambda trader: trader.quotes(FIRST_PRICES),
    Where.MARKETS: lambda trader: trader.market_listings(FIRST_PRICES),
    Where.BALANCES: lambda trader: trader.balances(),
    Where.OPEN_ORDERS: lambda trader: trader.open_orders(),
    Where.FIND_ORDER: lambda trader: trader.find_order("BTCUSDT", CLIENT_ID),
    Where.TRADES: lambda trader: trader.trades("BTCUSDT", "1"),
}
BREAKING = (K.NOT_RECEIVED, K.RESET_AFTER, K.TRUNCATED, K.SERVER_ERROR, K.SERVER_ERROR_AFTER, K.MAINTENANCE, K.LIMITED)


@pytest.mark.parametrize("kind", [*BREAKING, K.BANNED, K.REVOKED, K.CLOCK_SKEW])
@pytest.mark.parametrize("where", READS)
def test_a_read_that_always_fails_is_no_fact(
    exchange: Exchange, trader: CcxtAdapter, where: Where, kind: FaultKind
) -> None:
    if where not in KINDS[kind].where:
        with pytest.raises(ValueError, match="expected one of"):
            exchange.injector.script(kind, where)
        return
    place(trader)
    exchange.injector.script(kind, where, times=9)
    with pytest.raises(BotBalanceError):
        READS[where](trader)
    assert exchange.injector.counts()[kind] >= 1
    assert exchange.observed[-1].fault is not None


@pytest.mark.parametrize("variant", KINDS[K.GARBAGE].variants)
@pytest.mark.parametrize("where", READS)
def test_nonsense_is_sent_as_it_is_called(exchange: Exchange, trader: CcxtAdapter, where: Where, variant: str) -> None:
    place(trader)
    exchange.injector.script(K.GARBAGE, where, variant=variant, times=9)
    if variant == "list" and where in {Where.OPEN_ORDERS, Where.TRADES, Where.QUOTES}:
        assert not READS[where](trader)  # well-formed, and nobody can tell
    else:
        with pytest.raises(TransientError):
            READS[where](trader)


def test_silence_is_a_timeout(exchange: Exchange) -> None:
    trader = exchange.connect(timeout_s=0.3)
    exchange.injector.script(K.TIMEOUT_AFTER, Where.BALANCES, times=9)
    with pytest.raises(TransientError, match="RequestTimeout"):
        trader.balances()


def test_a_clock_that_is_off_once_is_set(exchange: Exchange, trader: CcxtAdapter) -> None:
    exchange.injector.script(K.CLOCK_SKEW, Where.BALANCES)
    assert trader.balances().keys() == {"BTC", "USDT"}
    assert [seen.request.path for seen in exchange.observed] == ["/api/v3/account", "/api/v3/time", "/api/v3/account"]


def test_balances_vanish(exchange: Exchange, trader: CcxtAdapter) -> None:
    exchange.injector.script(K.VANISHED_BALANCES, Where.BALANCES, variant="empty")
    exchange.injector.script(K.VANISHED_BALANCES, Where.BALANCES, variant="shrunken")
    assert trader.balances() == {}
    assert trader.balances().keys() == {"BTC"}
    assert trader.balances() == exchange.books.balances(KEY)


def test_an_account_of_one_asset_cannot_shrink(exchange: Exchange, trader: CcxtAdapter) -> None:
    exchange.books.transfer(KEY, "BTC", Decimal(-1))
    exchange.injector.script(K.VANISHED_BALANCES, Where.BALANCES, variant="shrunken")
    assert trader.balances().keys() == {"USDT"}
    assert exchange.injector.counts() == {}
    exchange.books.transfer(KEY, "USDT", Decimal(-10_000))
    exchange.injector.script(K.VANISHED_BALANCES, Where.BALANCES, variant="empty")
    assert trader.balances() == {}
    assert exchange.injector.counts() == {}


@pytest.mark.parametrize(
    ("kind", "variant", "wrong"),
    [
        (K.DOUBTFUL_QUOTE, "zero", ["0.00000000", "0.00000000", "0.00000000"]),
        (K.DOUBTFUL_QUOTE, "negative", ["-40000.00000000", "-39998.00000000", "-40002.01000000"]),
        (K.DOUBTFUL_QUOTE, "nan", ["NaN", "NaN", "NaN"]),
        (K.DOUBTFUL_QUOTE, "crossed", ["40000.00000000", "40002.01000000", "39998.00000000"]),
        (K.PRICE_JUMP, "up", ["120000.00000000", "119994.00000000", "120006.03000000"]),
        (K.PRICE_JUMP, "down", ["13333.33333333", "13332.66666667", "13334.00333333"]),
    ],
)
def test_one_markets_prices_are_wrong_in_one_reply(
    exchange: Exchange, trader: CcxtAdapter, kind: FaultKind, variant: str, wrong: list[str]
) -> None:
    honest = trader.quotes(FIRST_PRICES)
    exchange.injector.script(kind, Where.QUOTES, about="ETHUSDT", variant=variant)
    with suppress(TransientError):
        trader.quotes(FIRST_PRICES)
    told = next(seen.reply for seen in exchange.observed if seen.fault)
    assert told is not None
    struck, *others = json.loads(told.text)
    assert [struck[name] for name in ("lastPrice", "bidPrice", "askPrice")] == wrong
    assert [Decimal(other["lastPrice"]) for other in others] == [2_500, Decimal("0.5")]
    assert trader.quotes(FIRST_PRICES) == honest
    (hit,) = exchange.injector.hits()
    assert hit.subject is None


@pytest.mark.parametrize("variant", ["zero", "negative", "nan"])
def test_a_price_that_cannot_be_is_not_made_up_for(exchange: Exchange, trader: CcxtAdapter, variant: str) -> None:
    exchange.injector.script(K.DOUBTFUL_QUOTE, Where.QUOTES, variant=variant, times=9)
    try:
        quote = trader.quotes(FIRST_PRICES)["BTCUSDT"]
    except TransientError:
        return
    assert quote.last is None or not quote.last > 0


def test_a_market_is_missing(exchange: Exchange, trader: CcxtAdapter) -> None:
    exchange.injector.script(K.DOUBTFUL_QUOTE, Where.QUOTES, variant="missing")
    assert trader.quotes(FIRST_PRICES).keys() == FIRST_PRICES.keys() - {"BTCUSDT"}


@pytest.mark.parametrize("kind", [K.DOUBTFUL_QUOTE, K.PRICE_JUMP])
def test_without_a_market_no_price_is_wrong(exchange: Exchange, kind: FaultKind) -> None:
    exchange.injector.script(kind, Where.QUOTES)
    outcome = exchange.api.outcome(Request("GET", "/api/v3/ticker/24hr", "symbols=[]"))
    assert (outcome.reply.text, outcome.fault) == ("[]", None)
    assert exchange.injector.unplayed() == [kind]


@pytest.mark.parametrize("where", [Where.OPEN_ORDERS, Where.BALANCES])
def test_an_order_fills_between_one_read_and_the_next(exchange: Exchange, trader: CcxtAdapter, where: Where) -> None:
    place(trader)
    exchange.injector.script(K.LATE_FILL, where)
    before = READS[where](trader)
    assert before != READS[where](trader)
    assert exchange.books.balances(KEY)["BTC"].free == Decimal("1.01998")
    assert exchange.injector.counts() == {K.LATE_FILL: 1}
    READS[where](trader)
    assert len(exchange.books.trades(KEY)) == 1


@pytest.mark.parametrize("where", [Where.OPEN_ORDERS, Where.BALANCES])
def test_where_nothing_rests_nothing_fills(exchange: Exchange, trader: CcxtAdapter, where: Where) -> None:
    exchange.injector.script(K.LATE_FILL, where)
    READS[where](trader)
    assert exchange.injector.counts() == {}
    place(trader)
    READS[where](trader)
    assert exchange.injector.counts() == {K.LATE_FILL: 1}


def test_the_newest_trade_is_reported_late(exchange: Exchange, trader: CcxtAdapter) -> None:
    place(trader)
    (order,) = exchange.orders()
    for _ in range(2):
        exchange.books.fill_now(KEY, order.order_id, whole=False)
    exchange.injector.script(K.LATE_REPORT, Where.TRADES, times=2)
    assert [trade.trade_id for trade in trader.trades("BTCUSDT", "1")] == ["1"]
    seen = trader.find_order("BTCUSDT", CLIENT_ID)
    assert seen is not None
    assert seen.filled_qty == Decimal("0.015")
    exchange.now += 30
    assert [trade.trade_id for trade in trader.trades("BTCUSDT", "1")] == ["1", "2"]
    assert exchange.injector.unplayed() == [K.LATE_REPORT]


def test_the_newest_order_is_not_shown_yet(exchange: Exchange, trader: CcxtAdapter) -> None:
    place(trader, "a" * 20)
    place(trader)
    exchange.injector.script(K.NOT_YET_SHOWN, Where.FIND_ORDER)
    exchange.injector.script(K.NOT_YET_SHOWN, Where.OPEN_ORDERS, times=2)
    assert trader.find_order("BTCUSDT", CLIENT_ID) is None
    assert [order.client_order_id for order in trader.open_orders()] == ["a" * 20]
    exchange.now += 30
    exchange.injector.script(K.NOT_YET_SHOWN, Where.FIND_ORDER)
    assert trader.find_order("BTCUSDT", CLIENT_ID) is not None
    assert len(trader.open_orders()) == 2
    assert exchange.injector.unplayed() == [K.NOT_YET_SHOWN, K.NOT_YET_SHOWN]


def test_an_order_is_shown_as_it_was_before_its_newest_fill(exchange: Exchange, trader: CcxtAdapter) -> None:
    place(trader)
    (order,) = exchange.orders()
    exchange.books.fill_now(KEY, order.order_id, whole=False)
    exchange.injector.script(K.STALE_ORDER, Where.OPEN_ORDERS)
    ((stale,), (honest,)) = trader.open_orders(), trader.open_orders()
    assert (stale.filled_qty, honest.filled_qty) == (Decimal(0), Decimal("0.01"))
    exchange.books.fill_now(KEY, order.order_id, whole=True)
    exchange.injector.script(K.STALE_ORDER, Where.OPEN_ORDERS)
    exchange.injector.script(K.STALE_ORDER, Where.FIND_ORDER)
    (stale,) = trader.open_orders()
    assert stale.filled_qty == Decimal("0.01")
    assert trader.open_orders() == []
    seen = trader.find_order("BTCUSDT", CLIENT_ID)
    assert seen is not None
    assert (seen.status, seen.filled_qty) == (ExchangeOrderStatus.OPEN, Decimal("0.01"))
    exchange.now += 30
    exchange.injector.script(K.STALE_ORDER, Where.FIND_ORDER)
    seen = trader.find_order("BTCUSDT", CLIENT_ID)
    assert seen is not None
    assert (seen.status, seen.filled_qty) == (ExchangeOrderStatus.FILLED, Decimal("0.02"))


@pytest.mark.parametrize("where", [Where.OPEN_ORDERS, Where.FIND_ORDER])
def test_more_is_filled_than_there_is(exchange: Exchange, trader: CcxtAdapter, where: Where) -> None:
    place(trader)
    exchange.injector.script(K.OVERFILLED, where)
    order = READS[where](trader)
    (order,) = order if isinstance(order, list) else [order]
    assert (order.base_qty, order.filled_qty) == (Decimal("0.02"), Decimal("0.04"))
    assert exchange.orders()[0].executed_qty == 0


def test_the_observer_is_told_of_every_request_and_its_key(exchange: Exchange, trader: CcxtAdapter) -> None:
    exchange.injector.script(K.RESET_AFTER, Where.PLACE_ORDER)
    exchange.injector.script(K.VANISHED_BALANCES, Where.BALANCES)
    place(trader)
    trader.balances()
    trader.quotes(FIRST_PRICES)
    lost, changed, honest = exchange.observed
    assert (lost.request.method, lost.request.api_key, lost.reply) == ("POST", KEY, None)
    assert (lost.fault and lost.fault.kind) == K.RESET_AFTER
    assert changed.reply is not None
    assert '"balances": []' in changed.reply.text
    assert (changed.fault and changed.fault.kind) == K.VANISHED_BALANCES
    assert honest.request.api_key is None
    assert honest.fault is None
    assert honest.reply is not None


def test_the_switch_stops_what_is_scripted_too(exchange: Exchange, trader: CcxtAdapter) -> None:
    exchange.injector.script(K.WOULD_TAKE, Where.PLACE_ORDER)
    exchange.injector.active = False
    place(trader)
    assert len(exchange.orders()) == 1
    assert exchange.injector.counts() == {}
    exchange.injector.active = True
    place(trader, "a" * 20)
    assert len(exchange.orders()) == 1
