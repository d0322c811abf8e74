"""What each exchange says of a market and its price, without a key: ccxt's classes over HTTP, replies made by hand."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

import pytest
from botbalance.engine import MarketRules
from botbalance.exchange.adapter import Quote
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.fake_exchanges import NOW, Body, Door, run_stand_in
from tests.integration.exchange.simulated import Exchange

MARKETS: dict[str, dict[str, Body]] = {
    "okx": {
        "GET /api/v5/public/instruments": {
            "code": "0",
            "msg": "",
            "data": [
                {
                    "instType": "SPOT",
                    "instId": "BTC-USDT",
                    "baseCcy": "BTC",
                    "quoteCcy": "USDT",
                    "settleCcy": "",
                    "ctVal": "",
                    "tickSz": "0.1",
                    "lotSz": "0.00000001",
                    "minSz": "0.00001",
                    "maxLmtSz": "9999999999",
                    "maxMktSz": "1000000",
                    "state": "live",
                    "ctType": "",
                    "alias": "",
                    "listTime": "1548133413000",
                    "expTime": "",
                    "lever": "10",
                    "optType": "",
                    "stk": "",
                    "uly": "",
                    "category": "1",
                }
            ],
        }
    },
    "bybit": {
        "GET /v5/market/instruments-info": {
            "retCode": 0,
            "retMsg": "OK",
            "result": {
                "category": "spot",
                "list": [
                    {
                        "symbol": "BTCUSDT",
                        "baseCoin": "BTC",
                        "quoteCoin": "USDT",
                        "innovation": "0",
                        "status": "Trading",
                        "marginTrading": "utaOnly",
                        "lotSizeFilter": {
                            "basePrecision": "0.000001",
                            "quotePrecision": "0.0000001",
                            "minOrderQty": "0.000011",
                            "maxOrderQty": "83",
                            "minOrderAmt": "5",
                            "maxOrderAmt": "8000000",
                        },
                        "priceFilter": {"tickSize": "0.1"},
                        "riskParameters": {},
                    }
                ],
            },
            "time": NOW,
        }
    },
    "kraken": {
        "GET /0/public/AssetPairs": {
            "error": [],
            "result": {
                "XBTUSDT": {
                    "altname": "XBTUSDT",
                    "wsname": "XBT/USDT",
                    "aclass_base": "currency",
                    "base": "XXBT",
                    "aclass_quote": "currency",
                    "quote": "USDT",
                    "lot": "unit",
                    "cost_decimals": 6,
                    "pair_decimals": 1,
                    "lot_decimals": 8,
                    "lot_multiplier": 1,
                    "leverage_buy": [],
                    "leverage_sell": [],
                    "fees": [[0, 0.4]],
                    "fees_maker": [[0, 0.25]],
                    "fee_volume_currency": "ZUSD",
                    "margin_call": 80,
                    "margin_stop": 40,
                    "ordermin": "0.00005",
                    "costmin": "0.5",
                    "tick_size": "0.1",
                    "status": "online",
                }
            },
        },
        "GET /0/public/Assets": {
            "error": [],
            "result": {
                "XXBT": {
                    "aclass": "currency",
                    "altname": "XBT",
                    "decimals": 10,
                    "display_decimals": 5,
                    "status": "enabled",
                },
                "USDT": {
                    "aclass": "currency",
                    "altname": "USDT",
                    "decimals": 8,
                    "display_decimals": 4,
                    "status": "enabled",
                },
            },
        },
    },
    "kucoin": {
        "GET /api/v2/symbols": {
            "code": "200000",
            "data": [
                {
                    "symbol": "BTC-USDT",
                    "name": "BTC-USDT",
                    "baseCurrency": "BTC",
                    "quoteCurrency": "USDT",
                    "feeCurrency": "USDT",
                    "market": "USDS",
                    "baseMinSize": "0.00001",
                    "quoteMinSize": "0.1",
                    "baseMaxSize": "10000000000",
                    "quoteMaxSize": "99999999",
                    "baseIncrement": "0.00000001",
                    "quoteIncrement": "0.000001",
                    "priceIncrement": "0.1",
                    "priceLimitRate": "0.1",
                    "minFunds": "0.1",
                    "isMarginEnabled": True,
                    "enableTrading": True,
                }
            ],
        }
    },
    "gate": {
        "GET /api/v4/spot/currency_pairs": [
            {
                "id": "BTC_USDT",
                "base": "BTC",
                "quote": "USDT",
                "fee": "0.2",
                "min_base_amount": "0.000001",
                "min_quote_amount": "3",
                "amount_precision": 6,
                "precision": 1,
                "trade_status": "tradable",
                "sell_start": 0,
                "buy_start": 0,
            }
        ]
    },
    "coinbase": {
        "GET /api/v3/brokerage/market/products": {
            "products": [
                {
                    "product_id": "BTC-USDT",
                    "price": "40000",
                    "base_increment": "0.00000001",
                    "quote_increment": "0.01",
                    "quote_min_size": "1",
                    "quote_max_size": "10000000",
                    "base_min_size": "0.00000001",
                    "base_max_size": "3400",
                    "base_name": "Bitcoin",
                    "quote_name": "Tether",
                    "is_disabled": False,
                    "new": False,
                    "status": "online",
                    "cancel_only": False,
                    "limit_only": False,
                    "post_only": False,
                    "trading_disabled": False,
                    "auction_mode": False,
                    "product_type": "SPOT",
                    "quote_currency_id": "USDT",
                    "base_currency_id": "BTC",
                    "base_display_symbol": "BTC",
                    "quote_display_symbol": "USDT",
                    "price_increment": "0.01",
                }
            ],
            "num_products": 1,
        }
    },
    "bitget": {
        "GET /api/v2/spot/public/symbols": {
            "code": "00000",
            "msg": "success",
            "requestTime": NOW,
            "data": [
                {
                    "symbol": "BTCUSDT",
                    "baseCoin": "BTC",
                    "quoteCoin": "USDT",
                    "minTradeAmount": "0",
                    "maxTradeAmount": "900000000000000000000",
                    "takerFeeRate": "0.002",
                    "makerFeeRate": "0.002",
                    "pricePrecision": "2",
                    "quantityPrecision": "6",
                    "quotePrecision": "8",
                    "minTradeUSDT": "1",
                    "status": "online",
                    "buyLimitPriceRatio": "0.05",
                    "sellLimitPriceRatio": "0.05",
                }
            ],
        }
    },
    "htx": {
        "GET /v1/common/symbols": {
            "status": "ok",
            "data": [
                {
                    "base-currency": "btc",
                    "quote-currency": "usdt",
                    "price-precision": 2,
                    "amount-precision": 6,
                    "symbol-partition": "main",
                    "symbol": "btcusdt",
                    "state": "online",
                    "value-precision": 8,
                    "min-order-amt": 0.0001,
                    "max-order-amt": 1000,
                    "min-order-value": 10,
                    "limit-order-min-order-amt": 0.0001,
                    "limit-order-max-order-amt": 1000,
                    "api-trading": "enabled",
                    "tags": "",
                }
            ],
        }
    },
    "mexc": {
        "GET /api/v3/exchangeInfo": {
            "timezone": "CST",
            "serverTime": NOW,
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [
                {
                    "symbol": "BTCUSDT",
                    "status": "1",
                    "baseAsset": "BTC",
                    "baseAssetPrecision": 6,
                    "quoteAsset": "USDT",
                    "quotePrecision": 2,
                    "quoteAssetPrecision": 2,
                    "baseCommissionPrecision": 6,
                    "quoteCommissionPrecision": 2,
                    "orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"],
                    "isSpotTradingAllowed": True,
                    "isMarginTradingAllowed": False,
                    "quoteAmountPrecision": "1",
                    "baseSizePrecision": "0.000001",
                    "permissions": ["SPOT"],
                    "filters": [],
                    "maxQuoteAmount": "2000000",
                    "makerCommission": "0",
                    "takerCommission": "0.0005",
                    "quoteAmountPrecisionMarket": "1",
                    "maxQuoteAmountMarket": "100000",
                    "fullName": "Bitcoin",
                    "tradeSideType": 1,
                }
            ],
        }
    },
}
BESIDES: dict[str, Body] = {
    "GET /api/v4/margin/currency_pairs": [{"id": "BTC_USDT", "base": "BTC", "quote": "USDT", "leverage": 3}],
    "GET /api/v2/margin/currencies": {
        "code": "00000",
        "msg": "success",
        "requestTime": NOW,
        "data": [{"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "isBorrowable": True}],
    },
}
"""What ccxt asks beside the markets of Gate and Bitget."""


def rules(tick: str, lot: str, min_qty: str, min_notional: str, *, quote_fee_pct: str = "0") -> dict[str, Decimal]:
    return {
        "tick_size": Decimal(tick),
        "lot_size": Decimal(lot),
        "min_qty": Decimal(min_qty),
        "min_notional": Decimal(min_notional),
        "quote_fee_pct": Decimal(quote_fee_pct),
    }


RULES = {
    "okx": rules("0.1", "0.00000001", "0.00001", "0"),
    "bybit": rules("0.1", "0.000001", "0.000011", "5"),
    "kraken": rules("0.1", "0.00000001", "0.00005", "0.5", quote_fee_pct="0.4"),
    "kucoin": rules("0.1", "0.00000001", "0.00001", "0.1", quote_fee_pct="0.1"),
    "gate": rules("0.1", "0.000001", "0.000001", "3"),
    "coinbase": rules("0.01", "0.00000001", "0.00000001", "1", quote_fee_pct="1.2"),
    "bitget": rules("0.01", "0.000001", "0", "1"),
    "htx": rules("0.01", "0.000001", "0.0001", "10"),
    "mexc": rules("0.01", "0.000001", "0.000001", "1"),
}

TICKERS: dict[str, tuple[str, Body]] = {
    "okx": (
        "GET /api/v5/market/tickers",
        {
            "code": "0",
            "msg": "",
            "data": [
                {
                    "instType": "SPOT",
                    "instId": "BTC-USDT",
                    "last": "40000.1",
                    "askPx": "40000.2",
                    "bidPx": "40000",
                    "ts": str(NOW),
                }
            ],
        },
    ),
    "bybit": (
        "GET /v5/market/tickers",
        {
            "retCode": 0,
            "retMsg": "OK",
            "result": {
                "category": "spot",
                "list": [{"symbol": "BTCUSDT", "bid1Price": "40000", "ask1Price": "40000.2", "lastPrice": "40000.1"}],
            },
            "time": NOW,
        },
    ),
    "kraken": (
        "GET /0/public/Ticker",
        {
            "error": [],
            "result": {
                "XBTUSDT": {
                    "a": ["40000.2", "1", "1"],
                    "b": ["40000", "1", "1"],
                    "c": ["40000.1", "1"],
                    "v": ["1", "1"],
                    "p": ["1", "1"],
                    "t": [1, 1],
                    "l": ["1", "1"],
                    "h": ["1", "1"],
                    "o": "1",
                }
            },
        },
    ),
    "kucoin": (
        "GET /api/v1/market/allTickers",
        {
            "code": "200000",
            "data": {
                "time": NOW,
                "ticker": [{"symbol": "BTC-USDT", "buy": "40000", "sell": "40000.2", "last": "40000.1"}],
            },
        },
    ),
    "gate": (
        "GET /api/v4/spot/tickers",
        [{"currency_pair": "BTC_USDT", "last": "40000.1", "lowest_ask": "40000.2", "highest_bid": "40000"}],
    ),
    "bitget": (
        "GET /api/v2/spot/market/tickers",
        {
            "code": "00000",
            "msg": "success",
            "requestTime": NOW,
            "data": [{"symbol": "BTCUSDT", "lastPr": "40000.1", "bidPr": "40000", "askPr": "40000.2", "ts": str(NOW)}],
        },
    ),
    "htx": (
        "GET /market/tickers",
        {
            "status": "ok",
            "ts": NOW,
            "data": [
                {
                    "symbol": "btcusdt",
                    "open": 1,
                    "high": 1,
                    "low": 1,
                    "close": 40000.1,
                    "amount": 1,
                    "vol": 1,
                    "count": 1,
                    "bid": 40000,
                    "bidSize": 1,
                    "ask": 40000.2,
                    "askSize": 1,
                }
            ],
        },
    ),
    "mexc": (
        "GET /api/v3/ticker/24hr",
        {"symbol": "BTCUSDT", "lastPrice": "40000.1", "bidPrice": "40000", "askPrice": "40000.2", "closeTime": NOW},
    ),
}


@pytest.fixture
def told(exchange: Exchange, name: str) -> Iterator[tuple[Door, CcxtAdapter]]:
    """Somebody without a key, who knows no market yet."""
    with run_stand_in(exchange, name) as (door, trader):
        door.replies |= {request: (200, reply) for request, reply in {**BESIDES, **MARKETS[name]}.items()}
        with closing(CcxtAdapter(name, base_url=trader._client.rerouted_to, sleep=lambda _: None)) as adapter:
            yield door, adapter


@pytest.mark.parametrize("name", MARKETS)
def test_a_market_is_told_with_its_grid_its_minimums_and_its_fee(told: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = told
    [listing] = adapter.market_listings(["BTCUSDT", "NOPEUSDT"]).values()
    found: MarketRules = listing.rules
    assert (found.symbol, found.base, found.quote, found.trading) == ("BTCUSDT", "BTC", "USDT", True)
    assert {field: getattr(found, field) for field in RULES[name]} == RULES[name]
    assert len(door.asked) <= 2, "the markets of spot, and no derivatives"


@pytest.mark.parametrize("name", TICKERS)
def test_a_price_is_told_with_bid_and_ask(told: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = told
    adapter.load_listings(list(adapter.market_listings(["BTCUSDT"]).values()))
    request, reply = TICKERS[name]
    door.replies[request] = (200, reply)
    assert adapter.quotes(["BTCUSDT"]) == {"BTCUSDT": Quote(Decimal("40000.1"), Decimal(40_000), Decimal("40000.2"))}


@pytest.mark.parametrize("name", ["coinbase"])
def test_coinbase_tells_everybody_the_last_price_only(told: tuple[Door, CcxtAdapter], name: str) -> None:
    _, adapter = told
    adapter.load_listings(list(adapter.market_listings(["BTCUSDT"]).values()))
    assert adapter.quotes(["BTCUSDT"]) == {"BTCUSDT": Quote(Decimal(40_000), None, None)}, name


@pytest.mark.parametrize("name", MARKETS)
def test_what_is_cached_of_a_market_is_all_that_it_takes_to_trade_there(
    told: tuple[Door, CcxtAdapter], name: str
) -> None:
    door, adapter = told
    listings = list(adapter.market_listings(["BTCUSDT"]).values())
    with closing(CcxtAdapter(name, base_url=adapter._client.rerouted_to, sleep=lambda _: None)) as another:
        another.load_listings(listings)
        door.asked.clear()
        assert another._unified("BTCUSDT") == "BTC/USDT"
        assert door.asked == []
