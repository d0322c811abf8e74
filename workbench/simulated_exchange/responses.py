"""What this exchange says: Binance's JSON for its markets, orders, trades and accounts."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from botbalance.engine import Balance
from botbalance.engine.arithmetic import HUNDRED, NEAREST, PERCENT, ZERO, ExactArithmetic

from workbench.simulated_exchange.decimal_text import count_decimals, decimal_text, to_grid
from workbench.simulated_exchange.klines import Kline
from workbench.simulated_exchange.limits import ORDER_LIMITS, OrderLimit
from workbench.simulated_exchange.market import DAY_MS, MINUTE_MS, Candle, DayStatistics, Market, MarketSpec
from workbench.simulated_exchange.matching_engine import Account, MatchingEngine, Order, Trade, epoch_ms

type Json = dict[str, Any]

ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET")
BOOK_LEVELS = 20
_ZERO_TEXT = decimal_text(ZERO)
LEVEL_NOTIONAL = Decimal(2_000)
"""What rests on the first level of the book, in quote; level n holds n times as much."""
NO_SELF_TRADE_PREVENTION = "NONE"
AVERAGE_MINS = 5
_NO_DISCOUNT = {
    "enabledForAccount": False,
    "enabledForSymbol": False,
    "discountAsset": "BNB",
    "discount": _ZERO_TEXT,
}


def exchange_info(market: Market, symbols: Sequence[str], now_ms: int, weight_limit: int) -> Json:
    """The markets, and the limits on requests and orders."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [
            _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, weight_limit),
            *(_rate_limit("ORDERS", one.interval, one.interval_num, one.limit) for one in ORDER_LIMITS),
            _rate_limit("RAW_REQUESTS", "MINUTE", 5, 61_000),
        ],
        "exchangeFilters": [],
        "symbols": [_market(market.specs[symbol], symbol_status(market, symbol)) for symbol in symbols],
    }


def order_limit(limit: OrderLimit, count: int) -> Json:
    """A limit of orders, and how many of them an account has placed."""
    return _rate_limit("ORDERS", limit.interval, limit.interval_num, limit.limit) | {"count": count}


def symbol_status(market: Market, symbol: str) -> str:
    """Whether a market trades."""
    return "TRADING" if market.is_trading(symbol) else "BREAK"


def _rate_limit(kind: str, interval: str, intervals: int, limit: int) -> Json:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": intervals, "limit": limit}


def base_decimals(spec: MarketSpec) -> int:
    """Decimals of a quantity."""
    return count_decimals(spec.lot_size)


def quote_decimals(spec: MarketSpec) -> int:
    """Decimals of a price."""
    return count_decimals(spec.tick_size)


def _market(spec: MarketSpec, status: str) -> Json:
    return {
        "symbol": spec.symbol,
        "status": status,
        "baseAsset": spec.base,
        "baseAssetPrecision": base_decimals(spec),
        "quoteAsset": spec.quote,
        "quotePrecision": quote_decimals(spec),
        "quoteAssetPrecision": quote_decimals(spec),
        "baseCommissionPrecision": base_decimals(spec),
        "quoteCommissionPrecision": quote_decimals(spec),
        "orderTypes": list(ORDER_TYPES),
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(spec),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": NO_SELF_TRADE_PREVENTION,
        "allowedSelfTradePreventionModes": [NO_SELF_TRADE_PREVENTION],
    }


def _filters(spec: MarketSpec) -> list[Json]:
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": decimal_text(spec.min_price),
            "maxPrice": decimal_text(spec.max_price),
            "tickSize": decimal_text(spec.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": decimal_text(spec.min_qty),
            "maxQty": decimal_text(spec.max_qty),
            "stepSize": decimal_text(spec.lot_size),
        },
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": _ZERO_TEXT,
            "maxQty": decimal_text(spec.max_qty),
            "stepSize": _ZERO_TEXT,
        },
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": 10,
            "maxTrailingAboveDelta": 2000,
            "minTrailingBelowDelta": 10,
            "maxTrailingBelowDelta": 2000,
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": format(spec.bid_multiplier_up, "f"),
            "bidMultiplierDown": format(spec.bid_multiplier_down, "f"),
            "askMultiplierUp": format(spec.ask_multiplier_up, "f"),
            "askMultiplierDown": format(spec.ask_multiplier_down, "f"),
            "avgPriceMins": 0,  # "0 means the last price is used"
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": decimal_text(spec.min_notional),
            "applyMinToMarket": True,
            "maxNotional": decimal_text(spec.max_notional),
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": spec.max_num_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]


def depth(market: Market, symbol: str, levels: int) -> Json:
    """A thin book around the last price, the same for the same price."""
    bids, asks = _levels(market, symbol, min(levels, BOOK_LEVELS))
    return {"lastUpdateId": market.candles(symbol)[-1].open_time, "bids": bids, "asks": asks}


def _levels(market: Market, symbol: str, levels: int) -> tuple[list[list[str]], list[list[str]]]:
    """Bids and asks, best first, each a price and a quantity, a tick apart."""
    spec = market.specs[symbol]
    bid, ask = market.bid_ask(symbol)
    with ExactArithmetic():
        bids = [_level(spec, bid - n * spec.tick_size, n) for n in range(levels) if bid > n * spec.tick_size]
        asks = [_level(spec, ask + n * spec.tick_size, n) for n in range(levels)]
    return bids, asks


def _level(spec: MarketSpec, price: Decimal, n: int) -> list[str]:
    lots = LEVEL_NOTIONAL * (n + 1) // (price * spec.lot_size) + 1
    return [decimal_text(price), decimal_text(lots * spec.lot_size)]


def book_ticker(market: Market, symbol: str) -> Json:
    """Best bid and best ask."""
    [[bid, bid_qty]], [[ask, ask_qty]] = _levels(market, symbol, 1)
    return {"symbol": symbol, "bidPrice": bid, "bidQty": bid_qty, "askPrice": ask, "askQty": ask_qty}


def price_ticker(market: Market, symbol: str) -> Json:
    """The last price."""
    return {"symbol": symbol, "price": decimal_text(market.last_price(symbol))}


def day_ticker(market: Market, symbol: str) -> Json:
    """The last 24 hours, as Binance dates them: until now, even where the candles are older."""
    now_ms, day = epoch_ms(), market.day(symbol)
    spec = market.specs[symbol]
    top = book_ticker(market, symbol)
    return {
        "symbol": symbol,
        **_changes(day),
        "prevClosePrice": decimal_text(day.open),
        "lastPrice": decimal_text(day.last),
        "lastQty": decimal_text(spec.lot_size),
        "bidPrice": top["bidPrice"],
        "bidQty": top["bidQty"],
        "askPrice": top["askPrice"],
        "askQty": top["askQty"],
        "openPrice": decimal_text(day.open),
        "highPrice": decimal_text(day.high),
        "lowPrice": decimal_text(day.low),
        "volume": decimal_text(day.volume),
        "quoteVolume": decimal_text(day.quote_volume),
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": 0,
        "lastId": day.candles - 1,
        "count": day.candles,
    }


def _changes(day: DayStatistics) -> Json:
    with ExactArithmetic():
        change = day.last - day.open
        percent = NEAREST.quantize(NEAREST.divide(change * HUNDRED, day.open), Decimal("0.001"))
        average = NEAREST.divide(day.quote_volume, day.volume) if day.volume else day.last
    return {
        "priceChange": decimal_text(change),
        "priceChangePercent": format(percent, "f"),
        "weightedAvgPrice": decimal_text(to_grid(average, Decimal("1e-8"))),
    }


def mini_day_ticker(market: Market, symbol: str) -> Json:
    """The short form of the same."""
    told = day_ticker(market, symbol)
    names = "symbol openPrice highPrice lowPrice lastPrice volume quoteVolume openTime closeTime firstId lastId count"
    return {name: told[name] for name in names.split()}


def average_price(market: Market, symbol: str) -> Json:
    """What was paid on average in the market's last five minutes; the last price where nobody traded in them."""
    candles = market.candles(symbol)
    close_time = candles[-1].open_time + market.candle_ms - 1
    recent = [candle for candle in candles if candle.open_time > close_time - AVERAGE_MINS * MINUTE_MS]
    volume = sum((candle.volume for candle in recent), ZERO)
    paid = sum((candle.volume * candle.close for candle in recent), ZERO)
    with ExactArithmetic():
        price = NEAREST.divide(paid, volume) if volume else candles[-1].close
        return {"mins": AVERAGE_MINS, "price": decimal_text(to_grid(price, Decimal("1e-8"))), "closeTime": close_time}


def public_trade(candle: Candle) -> Json:
    """All that a candle traded, as one trade at its close."""
    return {
        "id": candle.open_time,
        "price": decimal_text(candle.close),
        "qty": decimal_text(candle.volume),
        "quoteQty": decimal_text(candle.volume * candle.close),
        "time": candle.open_time,
        "isBuyerMaker": candle.close < candle.open,
        "isBestMatch": True,
    }


def aggregate_trade(candle: Candle) -> Json:
    """The same, in the form of trades that are put together."""
    return {
        "a": candle.open_time,
        "p": decimal_text(candle.close),
        "q": decimal_text(candle.volume),
        "f": candle.open_time,
        "l": candle.open_time,
        "T": candle.open_time,
        "m": candle.close < candle.open,
        "M": True,
    }


def kline(told: Kline) -> list[object]:
    """Binance's twelve fields; of the takers nothing is known."""
    return [
        told.open_time,
        *(decimal_text(number) for number in (told.open, told.high, told.low, told.close, told.volume)),
        told.close_time,
        decimal_text(told.quote_volume),
        told.trades,
        _ZERO_TEXT,
        _ZERO_TEXT,
        "0",
    ]


def account(books: MatchingEngine, owner: Account, *, omit_zero: bool) -> Json:
    """The account: balances, fees, rights."""
    assets = {asset for spec in books.market.specs.values() for asset in (spec.base, spec.quote)}
    balances: list[Json] = []
    for asset in sorted(assets | owner.balances.keys()):
        held = owner.balances.get(asset, Balance())
        if held.free or held.locked or not omit_zero:
            balances.append({"asset": asset, "free": decimal_text(held.free), "locked": decimal_text(held.locked)})
    return {
        "makerCommission": int(books.maker_fee_pct * HUNDRED),
        "takerCommission": int(books.taker_fee_pct * HUNDRED),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": _rates(books) | {"buyer": _ZERO_TEXT, "seller": _ZERO_TEXT},
        "canTrade": owner.can_trade,
        "canWithdraw": owner.can_withdraw,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": owner.updated,
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": owner.opened,
    }


def api_restrictions(owner: Account) -> Json:
    """What the key may do."""
    return {
        "ipRestrict": owner.ip_restricted,
        "createTime": owner.opened,
        "enableReading": True,
        "enableSpotAndMarginTrading": owner.can_trade,
        "enableWithdrawals": owner.can_withdraw,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enablePortfolioMarginTrading": False,
    }


def trade_fee(books: MatchingEngine, symbol: str) -> Json:
    """The fees of a pair."""
    return {
        "symbol": symbol,
        "makerCommission": format(books.maker_fee_pct * PERCENT, "f"),
        "takerCommission": format(books.taker_fee_pct * PERCENT, "f"),
    }


def commission(books: MatchingEngine, symbol: str) -> Json:
    """What an account pays in a market, as fractions; there are no special fees, no taxes and no discount."""
    standard = _rates(books) | {"buyer": _ZERO_TEXT, "seller": _ZERO_TEXT}
    nothing = dict.fromkeys(standard, _ZERO_TEXT)
    return {
        "symbol": symbol,
        "standardCommission": standard,
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": _NO_DISCOUNT,
    }


def commission_of_test(books: MatchingEngine) -> Json:
    """What an order would have paid, as fractions."""
    nothing = {"maker": _ZERO_TEXT, "taker": _ZERO_TEXT}
    return {
        "standardCommissionForOrder": _rates(books),
        "specialCommissionForOrder": nothing,
        "taxCommissionForOrder": nothing,
        "discount": _NO_DISCOUNT,
    }


def _rates(books: MatchingEngine) -> Json:
    return {
        "maker": decimal_text(books.maker_fee_pct * PERCENT),
        "taker": decimal_text(books.taker_fee_pct * PERCENT),
    }


def order(placed: Order) -> Json:
    """An order as queries and lists show it."""
    return {
        **_terms(placed),
        "clientOrderId": placed.client_order_id,
        "stopPrice": _ZERO_TEXT,
        "icebergQty": _ZERO_TEXT,
        "time": placed.time,
        "updateTime": placed.update_time,
        "isWorking": True,
        "workingTime": placed.time,
    }


def acknowledged(placed: Order) -> Json:
    """An order in short, as it was taken."""
    return {
        "symbol": placed.symbol,
        "orderId": placed.order_id,
        "orderListId": -1,
        "clientOrderId": placed.client_order_id,
        "transactTime": placed.update_time,
    }


def placed_result(placed: Order) -> Json:
    """An order with its terms."""
    return acknowledged(placed) | _terms(placed) | {"workingTime": placed.time}


def placed_in_full(placed: Order, trades: Sequence[Trade]) -> Json:
    """An order with its fills."""
    return placed_result(placed) | {"fills": [_fill(trade) for trade in trades]}


def cancelled(placed: Order, cancel_id: str) -> Json:
    """A cancellation: ``clientOrderId`` is the cancel's own id, as Binance has it."""
    return {
        **_terms(placed),
        "origClientOrderId": placed.client_order_id,
        "clientOrderId": cancel_id,
        "transactTime": placed.update_time,
    }


def _terms(placed: Order) -> Json:
    return {
        "symbol": placed.symbol,
        "orderId": placed.order_id,
        "orderListId": -1,
        "price": decimal_text(placed.price),
        "origQty": decimal_text(placed.qty),
        "executedQty": decimal_text(placed.executed_qty),
        "origQuoteOrderQty": decimal_text(placed.quote_qty),
        "cummulativeQuoteQty": decimal_text(placed.executed_quote),
        "status": placed.status.value,
        "timeInForce": placed.time_in_force.value,
        "type": placed.type.value,
        "side": placed.side.upper(),
        "selfTradePreventionMode": NO_SELF_TRADE_PREVENTION,
    }


def _fill(made: Trade) -> Json:
    return {
        "price": decimal_text(made.price),
        "qty": decimal_text(made.qty),
        "commission": decimal_text(made.commission),
        "commissionAsset": made.commission_asset,
        "tradeId": made.trade_id,
    }


def trade(made: Trade) -> Json:
    """One trade of the account."""
    return {
        "symbol": made.symbol,
        "id": made.trade_id,
        "orderId": made.order_id,
        "orderListId": -1,
        "price": decimal_text(made.price),
        "qty": decimal_text(made.qty),
        "quoteQty": decimal_text(made.quote_qty),
        "commission": decimal_text(made.commission),
        "commissionAsset": made.commission_asset,
        "time": made.time,
        "isBuyer": made.side == "buy",
        "isMaker": made.is_maker,
        "isBestMatch": True,
    }
