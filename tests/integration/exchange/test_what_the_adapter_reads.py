"""Markets, prices, balances and orders, as the adapter reads them through real ccxt over real HTTP."""

import json
from decimal import Decimal
from typing import Any

import pytest
from botbalance.engine import Balance, MarketRules
from botbalance.errors import CredentialsRejectedError, InvalidRequestError, TransientError
from botbalance.exchange.adapter import ExchangeOrder, ExchangeOrderStatus, OrderAccepted, OrderRequest, Quote
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.simulated import FIRST_PRICES, KEY, SECRET, SOME_MS, Exchange, Fault, running_exchange
from workbench.simulated_exchange.binance_api import Reply
from workbench.simulated_exchange.market import FrozenPrices, Market, MarketSpec, market_spec_for
from workbench.simulated_exchange.matching_engine import NewOrder, OrderType
from workbench.simulated_exchange.random_walk import RandomWalk

CLIENT_ID = "0123456789abcdef0123"
TINY = Decimal("0.000000000000000001")


def small_market(**changes: Any) -> Market:
    """One pair whose filters all differ from the defaults."""
    filters: dict[str, Any] = {
        "tick_size": Decimal("0.05"),
        "lot_size": TINY,
        "min_price": Decimal("0.25"),
        "max_price": Decimal(90_000),
        "min_qty": Decimal("0.000000000000000003"),
        "max_qty": Decimal(1_000_000_000_000),
        "min_notional": Decimal("7.5"),
        "max_notional": Decimal(123_456),
        "bid_multiplier_down": Decimal("0.3"),
        "bid_multiplier_up": Decimal("1.2"),
        "ask_multiplier_down": Decimal("0.8"),
        "ask_multiplier_up": Decimal("4.5"),
    }
    spec = MarketSpec("ABCUSDT", "ABC", "USDT", **(filters | changes))
    return Market([spec], {"ABCUSDT": Decimal(40)}, FrozenPrices(start_ms=0))


def placed(trader: CcxtAdapter, client_order_id: str = CLIENT_ID, price: int = 39_000) -> ExchangeOrder:
    placement = trader.place_order(
        OrderRequest("BTCUSDT", "buy", Decimal(price), Decimal("0.01"), client_order_id, post_only=price < 40_000)
    )
    assert isinstance(placement, OrderAccepted)
    return placement.order


# markets


def test_the_rules_are_the_exchange_s_filters_to_the_last_digit() -> None:
    with running_exchange(small_market()) as exchange:
        listings = exchange.connect("", "").market_listings(["ABCUSDT"])
    assert listings["ABCUSDT"].rules == MarketRules(
        symbol="ABCUSDT",
        base="ABC",
        quote="USDT",
        tick_size=Decimal("0.05"),
        lot_size=TINY,
        min_qty=Decimal("0.000000000000000003"),
        max_qty=Decimal(1_000_000_000_000),
        min_price=Decimal("0.25"),
        max_price=Decimal(90_000),
        min_notional=Decimal("7.5"),
        max_notional=Decimal(123_456),
        trading=True,
        bid_multiplier_down=Decimal("0.3"),
        bid_multiplier_up=Decimal("1.2"),
        ask_multiplier_down=Decimal("0.8"),
        ask_multiplier_up=Decimal("4.5"),
        quote_fee_pct=Decimal(0),
    )


def test_only_the_markets_asked_for_are_listed(exchange: Exchange) -> None:
    listings = exchange.connect("", "").market_listings(["BTCUSDT", "NOSUCHUSDT"])
    assert listings.keys() == {"BTCUSDT"}


def test_a_halted_market_is_listed_as_one_that_does_not_trade(exchange: Exchange) -> None:
    exchange.market.halt("ETHUSDT")
    listings = exchange.connect("", "").market_listings(["BTCUSDT", "ETHUSDT"])
    assert (listings["BTCUSDT"].rules.trading, listings["ETHUSDT"].rules.trading) == (True, False)


def test_a_listing_lets_another_adapter_trade_without_asking_for_all_markets(exchange: Exchange) -> None:
    listings = exchange.connect("", "").market_listings(["BTCUSDT"])
    exchange.api.requests.clear()
    trader = exchange.connect()
    trader.load_listings(list(listings.values()))
    placed(trader)
    assert exchange.api.count("GET", "/api/v3/exchangeInfo") == 0


@pytest.mark.parametrize("told", [True, False], ids=["no markets", "nothing told yet"])
def test_where_no_market_is_wanted_none_is_downloaded(exchange: Exchange, told: bool) -> None:
    trader = exchange.connect()
    if told:
        trader.load_listings([])
    assert trader.balances()["BTC"].free == 1
    assert trader.open_orders() == []
    assert exchange.api.count("GET", "/api/v3/exchangeInfo") == 0


def test_a_market_that_is_not_in_use_is_named(exchange: Exchange) -> None:
    with pytest.raises(InvalidRequestError, match="BTCUSDT"):
        exchange.connect("", "").quotes(["BTCUSDT"])


def test_listings_that_are_put_in_use_replace_the_former_ones(trader: CcxtAdapter) -> None:
    trader.load_listings(list(trader.market_listings(["ETHUSDT"]).values()))
    assert trader.quotes(["ETHUSDT"]).keys() == {"ETHUSDT"}
    with pytest.raises(InvalidRequestError, match="BTCUSDT"):
        trader.quotes(["BTCUSDT"])


def test_a_market_without_a_usable_grid_is_a_doubtful_reply(exchange: Exchange) -> None:
    adapter = exchange.connect("", "")
    info = json.loads(exchange.api.answer_to("/api/v3/exchangeInfo"))
    for entry in info["symbols"][0]["filters"]:
        entry.update({name: "0.00000000" for name in ("tickSize", "stepSize") if name in entry})
    exchange.api.faults["GET", "/api/v3/exchangeInfo"] = Fault.body(json.dumps(info))
    with pytest.raises(TransientError) as raised:
        adapter.market_listings([info["symbols"][0]["symbol"]])
    assert raised.value.code == "doubtful_reply"


@pytest.mark.parametrize("exchange_name", ["nosuchexchange", "base", "pro"])
def test_an_exchange_that_ccxt_lacks_is_the_request_s_fault(exchange_name: str) -> None:
    with pytest.raises(InvalidRequestError, match=exchange_name):
        CcxtAdapter(exchange_name)


# quotes


def test_quotes_are_last_bid_and_ask(trader: CcxtAdapter) -> None:
    assert trader.quotes(["BTCUSDT", "XRPUSDT"]) == {
        "BTCUSDT": Quote(Decimal(40_000), Decimal(39_998), Decimal("40002.01")),
        "XRPUSDT": Quote(Decimal("0.5"), Decimal("0.49998"), Decimal("0.50003")),
    }


def test_all_quotes_are_one_request(trader: CcxtAdapter, exchange: Exchange) -> None:
    trader.quotes(["BTCUSDT", "ETHUSDT", "XRPUSDT"])
    assert len(exchange.api.requests) == 1


def test_a_quote_that_the_exchange_leaves_out_is_absent(trader: CcxtAdapter, exchange: Exchange) -> None:
    only_one = json.dumps([{"symbol": "ETHUSDT", "lastPrice": "2500.1", "bidPrice": "2500", "askPrice": "2501"}])
    exchange.api.faults["GET", "/api/v3/ticker/24hr"] = Fault.body(only_one)
    assert trader.quotes(["BTCUSDT", "ETHUSDT"]).keys() == {"ETHUSDT"}


def test_a_quote_keeps_every_digit(trader: CcxtAdapter, exchange: Exchange) -> None:
    long = "12345.123456789012345678"
    ticker = [{"symbol": "BTCUSDT", "lastPrice": long, "bidPrice": long, "askPrice": long}]
    exchange.api.faults["GET", "/api/v3/ticker/24hr"] = Fault.body(json.dumps(ticker))
    assert trader.quotes(["BTCUSDT"])["BTCUSDT"] == Quote(Decimal(long), Decimal(long), Decimal(long))


# balances


def test_balances_are_exact_to_eighteen_digits(exchange: Exchange) -> None:
    amounts = {"ETH": Decimal("123456789012.123456789012345678"), "USDT": Decimal("0.1"), "XRP": TINY}
    exchange.books.open_account("e" * 64, "s", amounts)
    found = exchange.trader("e" * 64, "s").balances()
    assert found == {asset: Balance(amount, Decimal(0)) for asset, amount in amounts.items()}


def test_what_rests_in_orders_is_locked(trader: CcxtAdapter) -> None:
    placed(trader)
    assert trader.balances()["USDT"] == Balance(Decimal(9_610), Decimal(390))


def test_an_account_that_holds_nothing_is_a_fact(exchange: Exchange) -> None:
    exchange.books.open_account("e" * 64, "s", {})
    assert exchange.trader("e" * 64, "s").balances() == {}


# open orders, look-ups, cancels, trades


def test_open_orders_are_the_account_s_whoever_placed_them(trader: CcxtAdapter, exchange: Exchange) -> None:
    ours = placed(trader)
    exchange.books.place(
        KEY, NewOrder("XRPUSDT", "buy", OrderType.LIMIT, "by-hand", qty=Decimal(100), price=Decimal("0.45"))
    )
    assert trader.open_orders() == [
        ours,
        ExchangeOrder("2", "by-hand", "XRPUSDT", "buy", Decimal("0.45"), Decimal(100), Decimal(0), _OPEN),
    ]


_OPEN = ExchangeOrderStatus.OPEN


def test_open_orders_on_markets_that_are_not_in_use_are_seen_too(exchange: Exchange) -> None:
    exchange.books.place(
        KEY, NewOrder("XRPUSDT", "buy", OrderType.LIMIT, "by-hand", qty=Decimal(100), price=Decimal("0.45"))
    )
    trader = exchange.connect()
    trader.load_listings(list(trader.market_listings(["BTCUSDT"]).values()))
    assert [order.symbol for order in trader.open_orders()] == ["XRPUSDT"]


def test_no_open_orders_is_a_fact(trader: CcxtAdapter) -> None:
    assert trader.open_orders() == []


def test_somebody_s_stop_order_without_a_limit_does_not_hide_the_others(
    trader: CcxtAdapter, exchange: Exchange
) -> None:
    placed(trader)
    [order] = json.loads(exchange.api.answer_to("/api/v3/openOrders", signed_by=KEY))
    stop = order | {"orderId": 77, "clientOrderId": "stop", "type": "STOP_LOSS", "price": "0.00000000", "side": "SELL"}
    exchange.api.faults["GET", "/api/v3/openOrders"] = Fault.body(json.dumps([order, stop]))
    assert [(one.exchange_order_id, one.limit_price) for one in trader.open_orders()] == [
        ("1", Decimal(39_000)),
        ("77", Decimal(0)),
    ]


def test_an_order_is_found_by_its_client_id_with_what_became_of_it(trader: CcxtAdapter, exchange: Exchange) -> None:
    ours = placed(trader)
    assert trader.find_order("BTCUSDT", CLIENT_ID) == ours
    exchange.market.set_price("BTCUSDT", Decimal(38_000))
    found = trader.find_order("BTCUSDT", CLIENT_ID)
    assert found is not None
    assert (found.status, found.filled_qty) == (ExchangeOrderStatus.FILLED, Decimal("0.01"))


def test_an_order_that_the_exchange_does_not_know_is_not_found(trader: CcxtAdapter) -> None:
    assert trader.find_order("BTCUSDT", CLIENT_ID) is None


def test_a_cancelled_order_is_found_as_cancelled(trader: CcxtAdapter) -> None:
    placed(trader)
    trader.cancel_order("BTCUSDT", CLIENT_ID)
    found = trader.find_order("BTCUSDT", CLIENT_ID)
    assert found is not None
    assert found.status is ExchangeOrderStatus.CANCELED
    assert trader.open_orders() == []


def test_cancelling_what_is_gone_already_is_no_error(trader: CcxtAdapter) -> None:
    trader.cancel_order("BTCUSDT", CLIENT_ID)
    placed(trader)
    trader.cancel_order("BTCUSDT", CLIENT_ID)
    trader.cancel_order("BTCUSDT", CLIENT_ID)


def test_an_order_that_is_being_cancelled_may_still_fill(trader: CcxtAdapter, exchange: Exchange) -> None:
    placed(trader)
    order = json.loads(exchange.api.answer_to("/api/v3/openOrders", signed_by=KEY))[0]
    exchange.api.faults["GET", "/api/v3/order"] = Fault.body(json.dumps(order | {"status": "PENDING_CANCEL"}))
    found = trader.find_order("BTCUSDT", CLIENT_ID)
    assert found is not None
    assert found.status is ExchangeOrderStatus.OPEN


def test_trades_have_their_fees_and_come_oldest_first(trader: CcxtAdapter, exchange: Exchange) -> None:
    order = placed(trader)
    exchange.market.set_price("BTCUSDT", Decimal(38_000))
    [trade] = trader.trades("BTCUSDT", order.exchange_order_id)
    assert (trade.exchange_order_id, trade.symbol, trade.fill.side) == ("1", "BTCUSDT", "buy")
    assert (trade.fill.price, trade.fill.base_qty) == (Decimal(39_000), Decimal("0.01"))
    assert (trade.fill.fee, trade.fill.fee_asset) == (Decimal("0.00001"), "BTC")
    told = json.loads(exchange.api.answer_to("/api/v3/myTrades", "symbol=BTCUSDT", signed_by=KEY))[0]
    later = told | {"id": 2, "time": told["time"] + 5, "commission": "-0.00001", "commissionAsset": "BNB"}
    exchange.api.faults["GET", "/api/v3/myTrades"] = Fault.body(json.dumps([later, told]))
    both = trader.trades("BTCUSDT", order.exchange_order_id)
    assert [one.trade_id for one in both] == ["1", "2"]
    assert (both[1].fill.fee, both[1].fill.fee_asset) == (Decimal("-0.00001"), "BNB")


def test_only_the_order_s_own_trades_are_asked_for(trader: CcxtAdapter, exchange: Exchange) -> None:
    placed(trader, "a" * 20, 41_000)
    second = placed(trader, "b" * 20, 41_000)
    trades = trader.trades("BTCUSDT", second.exchange_order_id)
    assert [trade.exchange_order_id for trade in trades] == [second.exchange_order_id]
    assert len(exchange.books.trades(KEY)) == 2


def test_two_hours_of_minutes_are_told_at_once() -> None:
    market = Market.with_default_filters(FIRST_PRICES, RandomWalk(seed=1, start_ms=SOME_MS))
    with running_exchange(market) as exchange:
        for _ in range(122):
            market.advance()
        since = SOME_MS // 60_000 * 60 + 120
        minutes = exchange.trader().minute_ranges("BTCUSDT", since)
    assert [minute.opens_at for minute in minutes] == list(range(since, since + 7_200, 60))


# keys


@pytest.mark.parametrize(("api_key", "secret"), [("x" * 64, SECRET), ("short", SECRET), (KEY, "another secret")])
def test_a_key_that_the_exchange_refuses_calls_for_its_owner(exchange: Exchange, api_key: str, secret: str) -> None:
    trader = exchange.trader(api_key, secret)
    with pytest.raises(CredentialsRejectedError) as raised:
        trader.balances()
    assert raised.value.code == "exchange_key_refused"
    assert secret not in str(raised.value)


def test_a_key_that_is_revoked_while_in_use_calls_for_its_owner(trader: CcxtAdapter, exchange: Exchange) -> None:
    trader.balances()
    exchange.books.revoke_key(KEY)
    with pytest.raises(CredentialsRejectedError):
        trader.open_orders()


def test_a_revoked_key_that_looks_like_a_ban_calls_for_its_owner(trader: CcxtAdapter, exchange: Exchange) -> None:
    body = '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'
    exchange.api.faults["GET", "/api/v3/account"] = Fault(Reply(429, body))
    with pytest.raises(CredentialsRejectedError):
        trader.balances()


def test_market_specs_by_default_are_parsed_as_given(exchange: Exchange) -> None:
    listings = exchange.connect("", "").market_listings(exchange.market.specs)
    for symbol, listing in listings.items():
        spec = market_spec_for(symbol, exchange.market.last_price(symbol))
        assert (listing.rules.tick_size, listing.rules.lot_size) == (spec.tick_size, spec.lot_size)
        assert (listing.rules.min_notional, listing.rules.max_qty) == (spec.min_notional, spec.max_qty)
