"""Our replies beside the recorded ones of Binance, and the recorded candles. Skipped where the data is not here."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from workbench.candles.recording import recorded_symbols
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.recorded_candles import RecordedCandles

SYMBOLS = ["BNBUSDT", "BTCUSDT", "ETHUSDT", "XRPUSDT"]


def recorded(shared_data: Path, name: str, query: str | None = None) -> Any:
    entries = json.loads((shared_data / "binance" / f"api_v3_{name}.json").read_text())
    return next(entry["data"] for entry in entries if query in {None, entry["request"]["queryString"]})


def test_exchange_info_has_binances_keys(shared_data: Path, client: Any) -> None:
    theirs = recorded(shared_data, "exchangeInfo_GET")
    ours = client.public_get_exchangeinfo()
    assert theirs.keys() <= ours.keys()
    their_market = next(market for market in theirs["symbols"] if market["symbol"] == "BTCUSDT")
    our_market = next(market for market in ours["symbols"] if market["symbol"] == "BTCUSDT")
    assert our_market.keys() == their_market.keys()
    their_filters = {f["filterType"]: f for f in their_market["filters"]}
    our_filters = {f["filterType"]: f for f in our_market["filters"]}
    assert {name: f.keys() for name, f in our_filters.items()} == {name: f.keys() for name, f in their_filters.items()}
    for name, key in [("PRICE_FILTER", "tickSize"), ("LOT_SIZE", "stepSize"), ("NOTIONAL", "minNotional")]:
        assert our_filters[name][key] == their_filters[name][key]


def test_ccxt_parses_our_market_as_it_parses_binances(shared_data: Path, client: Any) -> None:
    theirs = json.loads((shared_data / "markets" / "binance.json").read_text())["BTC/USDT"]
    ours = client.load_markets()["BTC/USDT"]
    assert ours.keys() == theirs.keys()
    for key in ("id", "symbol", "base", "quote", "type", "spot", "active"):
        assert ours[key] == theirs[key]
    for key in ("amount", "price"):
        assert Decimal(ours["precision"][key]) == Decimal(str(theirs["precision"][key]))


def test_order_replies_have_binances_keys(shared_data: Path, client: Any) -> None:
    client.create_order("BTC/USDT", "limit", "buy", "0.001", "39000", {"clientOrderId": "one"})
    (open_order,) = client.private_get_openorders({"symbol": "BTCUSDT"})
    (listed,) = client.private_get_allorders({"symbol": "BTCUSDT"})
    queried = client.private_get_order({"symbol": "BTCUSDT", "origClientOrderId": "one"})
    assert recorded(shared_data, "openOrders_GET")[0].keys() <= open_order.keys()
    assert recorded(shared_data, "allOrders_GET")[0].keys() <= listed.keys()
    assert recorded(shared_data, "order_GET").keys() <= queried.keys()
    cancelled = client.private_delete_order({"symbol": "BTCUSDT", "origClientOrderId": "one"})
    assert recorded(shared_data, "order_DELETE").keys() <= cancelled.keys()


def test_market_and_account_replies_have_binances_keys(shared_data: Path, client: Any) -> None:
    day = recorded(shared_data, "ticker_24hr_GET", "symbol=BTCUSDT")
    assert client.public_get_ticker_24hr({"symbol": "BTCUSDT"}).keys() == day.keys()
    assert client.public_get_ticker_bookticker({"symbol": "BTCUSDT"}).keys() == (
        recorded(shared_data, "ticker_bookTicker_GET").keys()
    )
    assert client.public_get_ticker_price({"symbol": "BTCUSDT"}).keys() == (
        recorded(shared_data, "ticker_price_GET").keys()
    )
    assert client.public_get_depth({"symbol": "BTCUSDT"}).keys() == recorded(shared_data, "depth_GET").keys()
    account = client.private_get_account()
    assert recorded(shared_data, "account_GET").keys() <= account.keys()
    assert account["balances"][0].keys() == recorded(shared_data, "account_GET")["balances"][0].keys()


def test_recorded_candles_replay_from_the_youngest_listing(shared_data: Path) -> None:
    folder = shared_data / "candles"
    assert recorded_symbols(folder) == SYMBOLS
    source = RecordedCandles(folder, SYMBOLS)
    assert source.first_prices["XRPUSDT"] == Decimal("0.2291")
    assert source.candle_ms == 3_600_000
    assert 11_000 < source.remaining < 11_200
    market = Market.with_default_filters(source.first_prices, source)
    while source.remaining:
        market.advance()
    assert market.last_price("BTCUSDT") == Decimal("3739.55")
    assert market.day("BTCUSDT").candles == 24
