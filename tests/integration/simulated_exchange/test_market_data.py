"""What ccxt's own binance class makes of the markets and prices."""

from decimal import Decimal
from typing import Any

import pytest
import requests

from workbench.simulated_exchange.decimal_text import decimal_text, to_grid
from workbench.simulated_exchange.market import Candle, Market, MarketSpec, market_spec_for


def get(exchange: Any, path: str, **params: str) -> Any:
    return requests.get(f"{exchange.server.url}{path}", params=params, timeout=5).json()


def test_ccxt_reads_precision_and_limits(client: Any) -> None:
    market = client.load_markets()["BTC/USDT"]
    assert (market["id"], market["base"], market["quote"], market["active"]) == ("BTCUSDT", "BTC", "USDT", True)
    assert Decimal(market["precision"]["price"]) == Decimal("0.01")
    assert Decimal(market["precision"]["amount"]) == Decimal("0.00001")
    assert Decimal(market["limits"]["amount"]["min"]) == Decimal("0.00001")
    assert Decimal(market["limits"]["cost"]["min"]) == 5
    filters = {f["filterType"]: f for f in market["info"]["filters"]}
    assert filters["MAX_NUM_ORDERS"]["maxNumOrders"] == 200
    assert filters["PERCENT_PRICE_BY_SIDE"]["bidMultiplierDown"] == "0.2"
    assert filters["PERCENT_PRICE_BY_SIDE"]["askMultiplierUp"] == "5"


def test_halted_market_is_inactive(exchange: Any, client: Any) -> None:
    exchange.market.halt("ETHUSDT")
    assert client.load_markets()["ETH/USDT"]["active"] is False
    exchange.market.resume("ETHUSDT")
    assert client.load_markets(True)["ETH/USDT"]["active"] is True


def test_tickers_agree_with_each_other(exchange: Any, client: Any) -> None:
    exchange.market.set_price("BTCUSDT", Decimal("41000.5"))
    ticker = client.fetch_tickers(["BTC/USDT", "ETH/USDT"])["BTC/USDT"]
    assert Decimal(ticker["last"]) == Decimal("41000.5")
    assert Decimal(ticker["open"]) == 40_000
    assert Decimal(ticker["high"]) == Decimal("41000.5")
    assert Decimal(ticker["low"]) == 40_000
    assert ticker["percentage"] == "2.501"
    assert (Decimal(ticker["bid"]) + Decimal(ticker["ask"])) / 2 == Decimal("41000.505")
    best = client.fetch_bids_asks(["BTC/USDT"])["BTC/USDT"]
    assert (best["bid"], best["ask"]) == (ticker["bid"], ticker["ask"])
    book = client.public_get_depth({"symbol": "BTCUSDT"})
    assert (book["bids"][0][0], book["asks"][0][0]) == (ticker["bid"], ticker["ask"])
    assert Decimal(client.fetch_ohlcv("BTC/USDT", "1m")[-1][4]) == Decimal("41000.5")
    assert client.fetch_last_prices(["BTC/USDT"])["BTC/USDT"]["price"] == ticker["last"]
    exchange.market.set_price("BTCUSDT", Decimal(39_000))
    ticker = client.fetch_ticker("BTC/USDT")
    assert [Decimal(ticker[key]) for key in ("last", "low", "high")] == [39_000, 39_000, Decimal("41000.5")]


@pytest.mark.parametrize("path", ["ticker/24hr", "ticker/price", "ticker/bookTicker"])
def test_one_symbol_several_and_all(exchange: Any, path: str) -> None:
    path = f"/api/v3/{path}"
    assert get(exchange, path, symbol="ETHUSDT")["symbol"] == "ETHUSDT"
    several = get(exchange, path, symbols='["XRPUSDT","BTCUSDT"]')
    assert {ticker["symbol"] for ticker in several} == {"BTCUSDT", "XRPUSDT"}
    assert len(get(exchange, path)) == 3
    assert get(exchange, path, symbol="NOPEUSDT") == {"code": -1121, "msg": "Invalid symbol."}
    assert get(exchange, path, symbols='["BTCUSDT", "ETHUSDT"]')["code"] == -1100
    assert get(exchange, path, symbols='["BTCUSDT","BTCUSDT"]')["code"] == -1151
    assert get(exchange, path, symbol="BTCUSDT", symbols='["BTCUSDT"]')["code"] == -1128


def test_exchange_info_of_some_symbols(exchange: Any) -> None:
    path = "/api/v3/exchangeInfo"
    assert [m["symbol"] for m in get(exchange, path, symbol="ETHUSDT")["symbols"]] == ["ETHUSDT"]
    assert [m["symbol"] for m in get(exchange, path, symbols='["XRPUSDT"]')["symbols"]] == ["XRPUSDT"]
    assert len(get(exchange, path)["symbols"]) == 3
    assert get(exchange, path, symbols="[]")["symbols"] == []


def test_klines_are_limited_and_validated(exchange: Any) -> None:
    path = "/api/v3/klines"
    assert len(get(exchange, path, symbol="BTCUSDT", interval="1m", limit="1")) == 1
    assert len(get(exchange, path, symbol="BTCUSDT", interval="1m")[0]) == 12
    assert get(exchange, path, symbol="BTCUSDT", interval="7m")["code"] == -1120
    assert get(exchange, path, symbol="BTCUSDT")["code"] == -1102


def test_ping_time_and_unknown_paths(exchange: Any, client: Any) -> None:
    assert get(exchange, "/api/v3/ping") == {}
    assert abs(client.load_time_difference()) < 2_000
    reply = requests.get(f"{exchange.server.url}/api/v3/nothing", timeout=5)
    assert reply.status_code == 404
    assert reply.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", "1.00000000"),
        ("1E+3", "1000.00000000"),
        ("1E-12", "0.000000000001"),
        ("0.10000000000", "0.10000000"),
        ("123456789012345678.123456789", "123456789012345678.123456789"),
        ("0", "0.00000000"),
    ],
)
def test_numbers_are_exact_and_plain(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "step", "expected"),
    [("1.25", "0.1", "1.2"), ("1.35", "0.1", "1.4"), ("1.2500001", "0.1", "1.3"), ("7", "5", "5"), ("0.2", "5", "0")],
)
def test_grid_rounds_half_to_even(value: str, step: str, expected: str) -> None:
    assert to_grid(Decimal(value), Decimal(step)) == Decimal(expected)


@pytest.mark.parametrize("price", ["0.00001234", "0.5", "2.2", "600", "3999.99", "40000", "1000000"])
def test_default_filters_suit_any_price(price: str) -> None:
    spec = market_spec_for("ANYUSDT", Decimal(price))
    assert (spec.base, spec.quote) == ("ANY", "USDT")
    assert spec.tick_size <= Decimal(price) / 1_000
    assert spec.lot_size * Decimal(price) <= 1
    assert spec.min_price <= Decimal(price) <= spec.max_price


def test_symbol_without_known_quote_is_refused() -> None:
    with pytest.raises(ValueError, match="NOPE"):
        market_spec_for("NOPE", Decimal(1))


class OneCandle:
    """A source with one prepared candle for a symbol."""

    candle_ms = 60_000
    start_ms = 0

    def __init__(self, candle: Candle) -> None:
        self.candle = candle

    def next_candles(self, last_prices: Any) -> dict[str, Candle]:
        return {"BTCUSDT": self.candle}


def test_bid_and_ask_stay_positive_and_apart() -> None:
    cent, lot = Decimal("0.01"), Decimal("0.00001")
    tiny = MarketSpec("BTCUSDT", "BTC", "USDT", cent, lot, cent, Decimal(1_000_000), lot, Decimal(9_000))
    candle = Candle(60_000, *(Decimal(n) for n in ("0.01", "0.01", "0.001", "0.004", "1")))
    market = Market([tiny], {"BTCUSDT": Decimal("0.01")}, OneCandle(candle))
    assert market.bid_ask("BTCUSDT") == (Decimal("0.01"), Decimal("0.03"))
    market.advance()
    assert market.last_price("BTCUSDT") == Decimal("0.01")


def test_candle_prices_come_onto_the_tick_grid() -> None:
    candle = Candle(60_000, *(Decimal(n) for n in ("40000.005", "40000.015", "39999.994", "40000.0051", "1")))
    market = Market.with_default_filters({"BTCUSDT": Decimal(40_000)}, OneCandle(candle))
    market.advance()
    latest = market.candles("BTCUSDT")[-1]
    assert [str(n) for n in latest[1:5]] == ["40000.00", "40000.02", "39999.99", "40000.01"]
