"""What the ten exchanges say when an order is placed, has filled, and of what the account holds, in their own forms.

Made by hand after their documentation. Two fills of our order: 0.004 at 39,000 and 0.006 at 38,999.9, each with a fee
of a thousandth of what it brought, or of what it cost where the exchange charges the quote asset.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.integration.exchange.fake_exchanges import (
    CLIENT_ID,
    NOW,
    OWN_ID,
    Body,
    _bitget,
    _bybit,
    _htx,
    _iso,
    _kucoin,
    _okx,
)

PRICES = ("39000", "38999.9")
QUANTITIES = ("0.004", "0.006")
TRADES = ("9001", "9002")
BASE_FEES = ("0.000004", "0.000006")
QUOTE_FEES = ("0.156", "0.2339994")


@dataclass(frozen=True)
class Life:
    """One exchange: ``place`` is the request that places, ``sent`` the parts of it that say what; ``placed`` its reply.

    ``fills`` is the request for the fills of an order, ``narrowed`` how it names ours, ``filled`` its reply.
    ``before_fills`` comes before that. ``balance`` is the request for what is held, ``held`` its reply: 1.5 BTC and
    60.5 USDT, with 0.5 BTC and 10 USDT of them locked.
    """

    place: str
    sent: tuple[str, ...]
    placed: Body
    fills: str
    narrowed: str
    filled: Body
    balance: str
    held: Body
    fee_asset: str = "BTC"
    fees: tuple[str, str] = BASE_FEES
    before_fills: Mapping[str, Body] = field(default_factory=dict)


def _trades() -> list[tuple[str, str, str, str, str]]:
    """Trade id, price, quantity, fee in base, fee in quote."""
    return list(zip(TRADES, PRICES, QUANTITIES, BASE_FEES, QUOTE_FEES, strict=True))


def _quote_qty(price: str, qty: str) -> str:
    return {"0.004": "156", "0.006": "233.9994"}[qty] if price else ""


def _binance_like(acknowledged: Body, path: str) -> Life:
    return Life(
        place="POST /api/v3/order",
        sent=(
            "symbol=BTCUSDT",
            "side=BUY",
            "type=LIMIT_MAKER",
            "quantity=0.01&",
            "price=39000&",
            f"newClientOrderId={CLIENT_ID}",
        ),
        placed=acknowledged,
        fills=path,
        narrowed=f"orderId={OWN_ID}",
        filled=[
            {
                "symbol": "BTCUSDT",
                "id": trade,
                "orderId": OWN_ID,
                "orderListId": -1,
                "price": price,
                "qty": qty,
                "quoteQty": _quote_qty(price, qty),
                "commission": fee,
                "commissionAsset": "BTC",
                "time": NOW,
                "isBuyer": True,
                "isMaker": True,
                "isBestMatch": True,
            }
            for trade, price, qty, fee, _ in _trades()
        ],
        balance="GET /api/v3/account",
        held={
            "balances": [
                {"asset": "BTC", "free": "1.0", "locked": "0.5"},
                {"asset": "USDT", "free": "50.5", "locked": "10"},
            ]
        },
    )


BINANCE = _binance_like(
    {
        "symbol": "BTCUSDT",
        "orderId": int(OWN_ID),
        "orderListId": -1,
        "clientOrderId": CLIENT_ID,
        "transactTime": NOW,
    },
    "GET /api/v3/myTrades",
)
MEXC = _binance_like(
    {
        "symbol": "BTCUSDT",
        "orderId": OWN_ID,
        "orderListId": -1,
        "price": "39000",
        "origQty": "0.01",
        "type": "LIMIT_MAKER",
        "side": "BUY",
        "transactTime": NOW,
    },
    "GET /api/v3/myTrades",
)

OKX = Life(
    place="POST /api/v5/trade/batch-orders",
    sent=(
        '"instId":"BTC-USDT"',
        '"side":"buy"',
        '"ordType":"post_only"',
        '"sz":"0.01"',
        '"px":"39000"',
        '"tdMode":"cash"',
        f'"clOrdId":"{CLIENT_ID}"',
    ),
    placed=_okx([{"clOrdId": CLIENT_ID, "ordId": OWN_ID, "tag": "", "sCode": "0", "sMsg": ""}]),
    fills="GET /api/v5/trade/fills-history",
    narrowed=f"ordId={OWN_ID}",
    filled=_okx(
        [
            {
                "side": "buy",
                "fillSz": qty,
                "fillPx": price,
                "fee": f"-{fee}",
                "ordId": OWN_ID,
                "instType": "SPOT",
                "instId": "BTC-USDT",
                "clOrdId": CLIENT_ID,
                "posSide": "net",
                "billId": f"1{trade}",
                "execType": "M",
                "tradeId": trade,
                "feeCcy": "BTC",
                "ts": str(NOW),
            }
            for trade, price, qty, fee, _ in _trades()
        ]
    ),
    balance="GET /api/v5/account/balance",
    held=_okx(
        [
            {
                "details": [
                    {"ccy": "BTC", "eq": "1.5", "cashBal": "1.5", "availBal": "1", "availEq": "1", "frozenBal": "0.5"},
                    {
                        "ccy": "USDT",
                        "eq": "60.5",
                        "cashBal": "60.5",
                        "availBal": "50.5",
                        "availEq": "50.5",
                        "frozenBal": "10",
                    },
                ],
                "uTime": str(NOW),
            }
        ]
    ),
)

BYBIT = Life(
    place="POST /v5/order/create",
    sent=(
        '"category":"spot"',
        '"symbol":"BTCUSDT"',
        '"side":"Buy"',
        '"orderType":"Limit"',
        '"timeInForce":"PostOnly"',
        '"qty":"0.01"',
        '"price":"39000"',
        f'"orderLinkId":"{CLIENT_ID}"',
    ),
    placed={"retCode": 0, "retMsg": "OK", "result": {"orderId": OWN_ID, "orderLinkId": CLIENT_ID}, "time": NOW},
    fills="GET /v5/execution/list",
    narrowed=f"orderId={OWN_ID}",
    filled=_bybit(
        [
            {
                "symbol": "BTCUSDT",
                "orderType": "Limit",
                "orderLinkId": CLIENT_ID,
                "side": "Buy",
                "orderId": OWN_ID,
                "leavesQty": "0",
                "execType": "Trade",
                "execFee": fee,
                "feeCurrency": "BTC",
                "feeRate": "0.001",
                "execId": trade,
                "execPrice": price,
                "execQty": qty,
                "execValue": _quote_qty(price, qty),
                "execTime": str(NOW),
                "isMaker": True,
                "orderQty": "0.01",
                "orderPrice": "39000",
            }
            for trade, price, qty, fee, _ in _trades()
        ]
    ),
    balance="GET /v5/account/wallet-balance",
    held=_bybit(
        [
            {
                "accountType": "UNIFIED",
                "coin": [
                    {"coin": "BTC", "walletBalance": "1.5", "equity": "1.5", "locked": "0.5", "totalOrderIM": "0"},
                    {"coin": "USDT", "walletBalance": "60.5", "equity": "60.5", "locked": "10", "totalOrderIM": "0"},
                ],
            }
        ]
    ),
)

KRAKEN = Life(
    place="POST /0/private/AddOrder",
    sent=(
        "pair=XXBTZUSDT",
        "type=buy",
        "ordertype=limit",
        "volume=0.01&",
        "price=39000&",
        "oflags=post",
        f"cl_ord_id={CLIENT_ID[:18]}",
    ),
    placed={"error": [], "result": {"descr": {"order": "buy 0.01 XBTUSDT @ limit 39000"}, "txid": [OWN_ID]}},
    fills="POST /0/private/QueryTrades",
    narrowed=f"txid={TRADES[0]}%2C{TRADES[1]}",
    before_fills={
        "POST /0/private/QueryOrders": {
            "error": [],
            "result": {
                OWN_ID: {
                    "cl_ord_id": CLIENT_ID[:18],
                    "status": "closed",
                    "opentm": NOW / 1000,
                    "descr": {"pair": "XBTUSDT", "type": "buy", "ordertype": "limit", "price": "39000.0"},
                    "vol": "0.01000000",
                    "vol_exec": "0.01000000",
                    "cost": "389.9994",
                    "fee": "0.3899994",
                    "price": "38999.94",
                    "trades": list(TRADES),
                }
            },
        }
    },
    filled={
        "error": [],
        "result": {
            trade: {
                "ordertxid": OWN_ID,
                "postxid": "TKH2SE-M7IF5-CFI7LT",
                "pair": "XXBTZUSDT",
                "time": NOW / 1000,
                "type": "buy",
                "ordertype": "limit",
                "price": price,
                "cost": _quote_qty(price, qty),
                "fee": fee,
                "vol": qty,
                "margin": "0.00000",
                "misc": "",
                "maker": True,
            }
            for trade, price, qty, _, fee in _trades()
        },
    },
    balance="POST /0/private/BalanceEx",
    held={
        "error": [],
        "result": {
            "XXBT": {"balance": "1.5", "hold_trade": "0.5"},
            "USDT": {"balance": "60.5", "hold_trade": "10"},
        },
    },
    fee_asset="USDT",
    fees=QUOTE_FEES,
)

KUCOIN = Life(
    place="POST /api/v1/orders",
    sent=(
        '"symbol":"BTC-USDT"',
        '"side":"buy"',
        '"type":"limit"',
        '"size":"0.01"',
        '"price":"39000"',
        '"postOnly":true',
        f'"clientOid":"{CLIENT_ID}"',
    ),
    placed=_kucoin({"orderId": OWN_ID}),
    fills="GET /api/v1/fills",
    narrowed=f"orderId={OWN_ID}",
    filled=_kucoin(
        {
            "currentPage": 1,
            "pageSize": 500,
            "totalNum": 2,
            "totalPage": 1,
            "items": [
                {
                    "symbol": "BTC-USDT",
                    "tradeId": trade,
                    "orderId": OWN_ID,
                    "counterOrderId": "1",
                    "side": "buy",
                    "liquidity": "maker",
                    "forceTaker": False,
                    "price": price,
                    "size": qty,
                    "funds": _quote_qty(price, qty),
                    "fee": fee,
                    "feeRate": "0.001",
                    "feeCurrency": "USDT",
                    "type": "limit",
                    "createdAt": NOW,
                    "tradeType": "TRADE",
                }
                for trade, price, qty, _, fee in _trades()
            ],
        }
    ),
    balance="GET /api/v1/accounts",
    held=_kucoin(
        [
            {"id": "1", "currency": "BTC", "type": "trade", "balance": "1.5", "available": "1", "holds": "0.5"},
            {"id": "2", "currency": "USDT", "type": "trade", "balance": "60.5", "available": "50.5", "holds": "10"},
        ]
    ),
    fee_asset="USDT",
    fees=QUOTE_FEES,
)

GATE = Life(
    place="POST /api/v4/spot/orders",
    sent=(
        '"currency_pair":"BTC_USDT"',
        '"side":"buy"',
        '"type":"limit"',
        '"amount":"0.01"',
        '"price":"39000"',
        '"time_in_force":"poc"',
        f'"text":"t-{CLIENT_ID}"',
    ),
    placed={
        "id": OWN_ID,
        "text": f"t-{CLIENT_ID}",
        "create_time": str(NOW // 1000),
        "create_time_ms": NOW,
        "status": "open",
        "currency_pair": "BTC_USDT",
        "type": "limit",
        "account": "spot",
        "side": "buy",
        "amount": "0.01",
        "price": "39000",
        "time_in_force": "poc",
        "left": "0.01",
        "filled_total": "0",
        "fee": "0",
        "fee_currency": "BTC",
    },
    fills="GET /api/v4/spot/my_trades",
    narrowed=f"order_id={OWN_ID}",
    filled=[
        {
            "id": trade,
            "create_time": str(NOW // 1000),
            "create_time_ms": f"{NOW}.123",
            "currency_pair": "BTC_USDT",
            "side": "buy",
            "role": "maker",
            "amount": qty,
            "price": price,
            "order_id": OWN_ID,
            "fee": fee,
            "fee_currency": "BTC",
            "point_fee": "0",
            "gt_fee": "0",
            "text": f"t-{CLIENT_ID}",
        }
        for trade, price, qty, fee, _ in _trades()
    ],
    balance="GET /api/v4/spot/accounts",
    held=[
        {"currency": "BTC", "available": "1", "locked": "0.5"},
        {"currency": "USDT", "available": "50.5", "locked": "10"},
    ],
)


def _coinbase_account(asset: str, free: str, locked: str) -> dict[str, Any]:
    return {
        "uuid": f"account-of-{asset}",
        "name": f"{asset} Wallet",
        "currency": asset,
        "available_balance": {"value": free, "currency": asset},
        "hold": {"value": locked, "currency": asset},
        "active": True,
        "type": "ACCOUNT_TYPE_CRYPTO",
        "ready": True,
    }


COINBASE = Life(
    place="POST /api/v3/brokerage/orders",
    sent=(
        '"product_id":"BTC-USDT"',
        '"side":"BUY"',
        '"limit_limit_gtc":{"base_size":"0.01","limit_price":"39000","post_only":true}',
        f'"client_order_id":"{CLIENT_ID}"',
    ),
    placed={
        "success": True,
        "failure_reason": "UNKNOWN_FAILURE_REASON",
        "order_id": OWN_ID,
        "success_response": {
            "order_id": OWN_ID,
            "product_id": "BTC-USDT",
            "side": "BUY",
            "client_order_id": CLIENT_ID,
        },
        "order_configuration": None,
    },
    fills="GET /api/v3/brokerage/orders/historical/fills",
    narrowed=f"order_ids={OWN_ID}",
    filled={
        "fills": [
            {
                "entry_id": f"e{trade}",
                "trade_id": trade,
                "order_id": OWN_ID,
                "trade_time": _iso(NOW),
                "trade_type": "FILL",
                "price": price,
                "size": qty,
                "commission": fee,
                "product_id": "BTC-USDT",
                "sequence_timestamp": _iso(NOW),
                "liquidity_indicator": "MAKER",
                "size_in_quote": False,
                "user_id": "1",
                "side": "BUY",
            }
            for trade, price, qty, _, fee in _trades()
        ],
        "cursor": "",
    },
    balance="GET /api/v3/brokerage/accounts",
    held={
        "accounts": [_coinbase_account("BTC", "1", "0.5"), _coinbase_account("USDT", "50.5", "10")],
        "has_next": False,
        "cursor": "",
        "size": 2,
    },
    fee_asset="USDT",
    fees=QUOTE_FEES,
)

BITGET = Life(
    place="POST /api/v2/spot/trade/place-order",
    sent=(
        '"symbol":"BTCUSDT"',
        '"side":"buy"',
        '"orderType":"limit"',
        '"force":"post_only"',
        '"size":"0.01"',
        '"price":"39000"',
        f'"clientOid":"{CLIENT_ID}"',
    ),
    placed=_bitget({"orderId": OWN_ID, "clientOid": CLIENT_ID}),
    fills="GET /api/v2/spot/trade/fills",
    narrowed=f"orderId={OWN_ID}",
    filled=_bitget(
        [
            {
                "userId": "1",
                "symbol": "BTCUSDT",
                "orderId": OWN_ID,
                "tradeId": trade,
                "orderType": "limit",
                "side": "buy",
                "priceAvg": price,
                "size": qty,
                "amount": _quote_qty(price, qty),
                "feeDetail": {
                    "deduction": "no",
                    "feeCoin": "BTC",
                    "totalDeductionFee": "",
                    "totalFee": f"-{fee}",
                },
                "tradeScope": "maker",
                "cTime": str(NOW),
                "uTime": str(NOW),
            }
            for trade, price, qty, fee, _ in _trades()
        ]
    ),
    balance="GET /api/v2/spot/account/assets",
    held=_bitget(
        [
            {"coin": "BTC", "available": "1", "frozen": "0.5", "locked": "0", "uTime": str(NOW)},
            {"coin": "USDT", "available": "50.5", "frozen": "10", "locked": "0", "uTime": str(NOW)},
        ]
    ),
)

BITGET_UNIFIED = Life(
    place="POST /api/v3/trade/place-order",
    sent=(
        '"category":"SPOT"',
        '"symbol":"BTCUSDT"',
        '"side":"buy"',
        '"orderType":"limit"',
        '"timeInForce":"post_only"',
        '"qty":"0.01"',
        '"price":"39000"',
        f'"clientOid":"{CLIENT_ID}"',
    ),
    placed=_bitget({"orderId": OWN_ID, "clientOid": CLIENT_ID}),
    fills="GET /api/v3/trade/fills",
    narrowed=f"orderId={OWN_ID}",
    filled=_bitget(
        {
            "list": [
                {
                    "execId": trade,
                    "orderId": OWN_ID,
                    "category": "SPOT",
                    "symbol": "BTCUSDT",
                    "orderType": "limit",
                    "side": "buy",
                    "execPrice": price,
                    "execQty": qty,
                    "execValue": _quote_qty(price, qty),
                    "tradeScope": "maker",
                    "feeDetail": [{"feeCoin": "BTC", "fee": fee}],
                    "createdTime": str(NOW),
                    "updatedTime": str(NOW),
                }
                for trade, price, qty, fee, _ in _trades()
            ],
            "cursor": "",
        }
    ),
    balance="GET /api/v3/account/assets",
    held=_bitget(
        {
            "assets": [
                {"coin": "BTC", "equity": "1.5", "balance": "1.5", "available": "1", "locked": "0.5", "debts": "0"},
                {
                    "coin": "USDT",
                    "equity": "60.5",
                    "balance": "60.5",
                    "available": "50.5",
                    "locked": "10",
                    "debts": "0",
                },
            ]
        }
    ),
)

HTX = Life(
    place="POST /v1/order/orders/place",
    sent=(
        '"account-id":"1"',
        '"symbol":"btcusdt"',
        '"type":"buy-limit-maker"',
        '"amount":"0.01"',
        '"price":"39000"',
        f'"client-order-id":"{CLIENT_ID}"',
    ),
    placed=_htx(OWN_ID),
    fills=f"GET /v1/order/orders/{OWN_ID}/matchresults",
    narrowed="",
    filled=_htx(
        [
            {
                "id": int(f"5{trade}"),
                "symbol": "btcusdt",
                "order-id": int(OWN_ID),
                "match-id": int(f"6{trade}"),
                "trade-id": int(trade),
                "price": price,
                "created-at": NOW,
                "role": "maker",
                "filled-amount": qty,
                "filled-fees": fee,
                "filled-points": "0.0",
                "fee-currency": "btc",
                "fee-deduct-currency": "",
                "type": "buy-limit-maker",
                "source": "spot-api",
            }
            for trade, price, qty, fee, _ in _trades()
        ]
    ),
    balance="GET /v1/account/accounts/1/balance",
    held=_htx(
        {
            "id": 1,
            "type": "spot",
            "state": "working",
            "list": [
                {"currency": "btc", "type": "trade", "balance": "1"},
                {"currency": "btc", "type": "frozen", "balance": "0.5"},
                {"currency": "usdt", "type": "trade", "balance": "50.5"},
                {"currency": "usdt", "type": "frozen", "balance": "10"},
            ],
        }
    ),
)

LIVES = {
    "binance": BINANCE,
    "okx": OKX,
    "bybit": BYBIT,
    "kraken": KRAKEN,
    "kucoin": KUCOIN,
    "gate": GATE,
    "coinbase": COINBASE,
    "bitget": BITGET,
    "bitget, a unified account": BITGET_UNIFIED,
    "htx": HTX,
    "mexc": MEXC,
}
