"""How each exchange refuses an order, in its own words: over, unknown, or to be left alone; ccxt's classes over HTTP.

An order counts as refused only where it certainly does not exist. Everything doubtful is unknown, and looked up.
"""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from botbalance.errors import CredentialsRejectedError, TransientError
from botbalance.exchange.adapter import KEY_REFUSED, OrderRejected, OrderRequest, OrderUnknown, SubmitResult
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.fake_exchanges import CLIENT_ID, NOW, Body, Door, run_stand_in
from tests.integration.exchange.life_cycle_replies import LIVES
from tests.integration.exchange.simulated import Exchange

type Said = tuple[int, Body]

FUNDS, INVALID, SYMBOL, NONCE = "insufficient_funds", "invalid_order", "bad_symbol", "invalid_nonce"
BARE = "exchange_error"
WOULD_TAKE = "order_immediately_fillable"
"""The code of a refusal that ccxt has no class for."""
DOUBTFUL, LIMITED = "doubtful", "limited"


def okx(code: str, message: str) -> Said:
    one = {"clOrdId": CLIENT_ID, "ordId": "", "sCode": code, "sMsg": message}
    return 200, {"code": "1", "msg": "", "data": [one]}


def okx_whole(status: int, code: str, message: str) -> Said:
    return status, {"code": code, "msg": message, "data": []}


def bybit(code: int, message: str) -> Said:
    return 200, {"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": NOW}


def kraken(word: str) -> Said:
    return 200, {"error": [word]}


def kucoin(code: str, message: str, status: int = 200) -> Said:
    return status, {"code": code, "msg": message}


def gate(label: str, message: str, status: int = 400) -> Said:
    return status, {"label": label, "message": message}


def coinbase(error: str) -> Said:
    response = {"error": error, "message": "", "error_details": "", "preview_failure_reason": error}
    return 200, {
        "success": False,
        "failure_reason": "UNKNOWN_FAILURE_REASON",
        "order_id": "",
        "error_response": response,
        "order_configuration": None,
    }


def bitget(code: str, message: str, status: int = 400) -> Said:
    return status, {"code": code, "msg": message, "requestTime": NOW, "data": None}


def htx(code: str, message: str, status: int = 200) -> Said:
    return status, {"status": "error", "err-code": code, "err-msg": message, "data": None}


def mexc(code: int, message: str, status: int = 400) -> Said:
    return status, {"code": code, "msg": message}


def binance(code: int, message: str, status: int = 400) -> Said:
    return status, {"code": code, "msg": message}


SAID: dict[str, list[tuple[Said, str]]] = {
    "binance": [
        (binance(-2010, "Account has insufficient balance for requested action."), FUNDS),
        (binance(-1013, "Filter failure: NOTIONAL"), "bad_request"),
        (binance(-2010, "Order would immediately match and take."), "order_immediately_fillable"),
        (binance(-2010, "Duplicate order sent."), DOUBTFUL),
        (binance(-1121, "Invalid symbol."), SYMBOL),
        (binance(-2015, "Invalid API-key, IP, or permissions for action."), KEY_REFUSED),
        (binance(-1003, "Too many requests.", 429), LIMITED),
        (binance(-1021, "Timestamp for this request is outside of the recvWindow."), NONCE),
        (binance(-1007, "Timeout waiting for response from backend server.", 408), DOUBTFUL),
    ],
    "okx": [
        (okx("51008", "Order failed. Insufficient USDT balance in account"), FUNDS),
        (okx("51020", "Order amount should be greater than the min available amount."), INVALID),
        (okx("51006", "Order price is not within the price limit"), INVALID),
        (okx("51016", "Client order ID already exists."), DOUBTFUL),
        (okx("51001", "Instrument ID doesn't exist."), SYMBOL),
        (okx("51028", "Contract under delivery"), DOUBTFUL),
        (okx_whole(401, "50111", "Invalid OK-ACCESS-KEY"), KEY_REFUSED),
        (okx_whole(401, "50110", "Your IP is not included in your API key whitelist"), KEY_REFUSED),
        (okx_whole(401, "50120", "This API key doesn't have permission to use this function"), KEY_REFUSED),
        (okx_whole(429, "50011", "Requests too frequent"), LIMITED),
        (okx_whole(401, "50102", "Timestamp request expired"), NONCE),
    ],
    "bybit": [
        (bybit(170131, "Insufficient balance."), FUNDS),
        (bybit(170140, "Order value exceeded lower limit."), INVALID),
        (bybit(170218, "The LIMIT-MAKER order is rejected due to invalid price."), INVALID),
        (bybit(170141, "Duplicate clientOrderId"), DOUBTFUL),
        (bybit(170121, "Invalid symbol."), INVALID),
        (bybit(10003, "API key is invalid."), KEY_REFUSED),
        (bybit(10005, "Permission denied"), KEY_REFUSED),
        (bybit(10010, "Unmatched IP"), KEY_REFUSED),
        (bybit(10006, "Too many visits!"), LIMITED),
        (bybit(10002, "invalid request, please check your server timestamp"), NONCE),
    ],
    "kraken": [
        (kraken("EOrder:Insufficient funds"), FUNDS),
        (kraken("EGeneral:Invalid arguments:volume minimum not met"), INVALID),
        (kraken("EOrder:Order minimum not met"), INVALID),
        (kraken("EOrder:Cost minimum not met"), BARE),
        (kraken("EOrder:Post only order"), WOULD_TAKE),
        (kraken("EQuery:Unknown asset pair"), BARE),
        (kraken("EOrder:Duplicate cl_ord_id"), DOUBTFUL),
        (kraken("EOrder:Something new"), DOUBTFUL),
        (kraken("EService:Market in cancel_only mode"), DOUBTFUL),
        (kraken("EService:Busy"), DOUBTFUL),
        (kraken("EAPI:Invalid key"), KEY_REFUSED),
        (kraken("EGeneral:Permission denied"), KEY_REFUSED),
        (kraken("EAPI:Rate limit exceeded"), LIMITED),
        (kraken("EOrder:Rate limit exceeded"), LIMITED),
        (kraken("EAPI:Invalid nonce"), NONCE),
    ],
    "kucoin": [
        (kucoin("200004", "Balance insufficient!"), FUNDS),
        (kucoin("400100", "Order size below the minimum requirement."), INVALID),
        (kucoin("300012", "limit maker"), INVALID),
        (kucoin("400100", "The clientOid is repeated"), DOUBTFUL),
        (kucoin("900001", "symbol not exists"), DOUBTFUL),
        (kucoin("400003", "KC-API-KEY not exists", 401), KEY_REFUSED),
        (kucoin("400007", "Access denied --> Require more permission", 403), KEY_REFUSED),
        (kucoin("429000", "Too many requests", 429), LIMITED),
        (kucoin("400002", "KC-API-TIMESTAMP Invalid", 400), NONCE),
    ],
    "gate": [
        (gate("BALANCE_NOT_ENOUGH", "Not enough balance"), FUNDS),
        (gate("INVALID_PARAM_VALUE", "Your order size 0.1 USDT is too small. The minimum is 3 USDT"), "bad_request"),
        (gate("POC_FILL_IMMEDIATELY", "Order would match and take immediately"), "order_immediately_fillable"),
        (gate("REPEATED_CREATION", "duplicate request"), DOUBTFUL),
        (gate("INVALID_CURRENCY_PAIR", "Invalid currency pair"), SYMBOL),
        (gate("INVALID_KEY", "Invalid key provided", 401), KEY_REFUSED),
        (gate("FORBIDDEN", "API key has no permission", 403), KEY_REFUSED),
        (gate("TOO_MANY_REQUESTS", "Request Rate limit Exceeded", 429), LIMITED),
        (gate("REQUEST_EXPIRED", "gap between request Timestamp and server time exceeds 60", 403), NONCE),
    ],
    "coinbase": [
        (coinbase("INSUFFICIENT_FUND"), FUNDS),
        (coinbase("PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"), BARE),
        (coinbase("INVALID_LIMIT_PRICE_POST_ONLY"), WOULD_TAKE),
        (coinbase("UNKNOWN_PRODUCT"), BARE),
        (coinbase("DUPLICATE_CLIENT_ORDER_ID"), DOUBTFUL),
        (coinbase("UNKNOWN_FAILURE_REASON"), DOUBTFUL),
        ((401, {"error": "Unauthorized"}), KEY_REFUSED),
        ((403, {"error": "PERMISSION_DENIED", "message": "Missing required scopes"}), KEY_REFUSED),
        ((429, {"error": "rate_limit_exceeded", "message": "too many"}), LIMITED),
    ],
    "bitget": [
        (bitget("43012", "Insufficient balance"), FUNDS),
        (bitget("45110", "less than the minimum amount 1 USDT"), INVALID),
        (bitget("40786", "Duplicate clientOid"), DOUBTFUL),
        (bitget("40034", "Parameter BTCUSDT does not exist"), DOUBTFUL),
        (bitget("40006", "Invalid ACCESS_KEY"), KEY_REFUSED),
        (bitget("40014", "Incorrect permissions"), KEY_REFUSED),
        (bitget("40018", "Invalid IP"), KEY_REFUSED),
        (bitget("429", "Too Many Requests", 429), LIMITED),
        (bitget("40008", "Request timestamp expired"), NONCE),
    ],
    "htx": [
        (htx("account-frozen-balance-insufficient-error", "trade account balance is not enough"), FUNDS),
        (htx("order-limitorder-amount-min-error", "limit order amount error, min: 0.001"), INVALID),
        (htx("order-value-min-error", "Order total cannot be lower than: 1 USDT"), INVALID),
        (htx("invalid-client-order-id", "duplicate"), DOUBTFUL),
        (htx("base-symbol-error", "The symbol is invalid"), SYMBOL),
        (htx("base-symbol-trade-disabled", "Trading is disabled"), SYMBOL),
        (htx("api-signature-not-valid", "Signature not valid: Incorrect Access key"), KEY_REFUSED),
        (htx("api-request-too-frequent", "too frequent", 429), LIMITED),
    ],
    "mexc": [
        (mexc(30004, "Insufficient position"), FUNDS),
        (mexc(30005, "Oversold"), FUNDS),
        (mexc(30002, "The minimum transaction volume cannot be less than:5USDT"), INVALID),
        (mexc(30000, "duplicate"), DOUBTFUL),
        (mexc(10007, "bad symbol"), SYMBOL),
        (mexc(30016, "trading disabled"), INVALID),
        (mexc(10072, "Api key info invalid"), KEY_REFUSED),
        (mexc(700007, "No permission to access the endpoint.", 403), KEY_REFUSED),
        (mexc(700006, "IP [1.2.3.4] not in the ip white list", 403), KEY_REFUSED),
        (mexc(429, "Too Many Requests", 429), LIMITED),
        (mexc(700003, "Timestamp for this request is outside of the recvWindow."), NONCE),
    ],
}
EVERY = [
    pytest.param(name, said, expected, id=f"{name}-{number}-{expected}")
    for name, table in SAID.items()
    for number, (said, expected) in enumerate(table)
]


@pytest.fixture
def refusing(exchange: Exchange, name: str) -> Iterator[tuple[Door, CcxtAdapter]]:
    with run_stand_in(exchange, name) as (door, adapter):
        yield door, adapter


def place(adapter: CcxtAdapter) -> SubmitResult:
    return adapter.place_order(
        OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True)
    )


@pytest.mark.parametrize(("name", "said", "expected"), EVERY)
def test_what_a_refusal_means_for_the_order(
    refusing: tuple[Door, CcxtAdapter], name: str, said: Said, expected: str
) -> None:
    door, adapter = refusing
    door.replies[LIVES[name].place] = said
    placement = place(adapter)
    if expected in {DOUBTFUL, LIMITED}:
        assert isinstance(placement, OrderUnknown), placement
        assert (placement.retry_after_s is not None) is (expected == LIMITED)
    else:
        assert isinstance(placement, OrderRejected), placement
        assert placement.code == expected
    assert len(door.requests_to(LIVES[name].place)) == 1, "an order is sent once, whatever comes back"


@pytest.mark.parametrize("name", SAID)
def test_a_refused_key_is_its_owners_business_when_something_is_read_too(
    refusing: tuple[Door, CcxtAdapter], name: str
) -> None:
    door, adapter = refusing
    for said in [said for said, expected in SAID[name] if expected == KEY_REFUSED and said[0] >= 400]:
        door.replies[LIVES[name].balance] = said
        with pytest.raises(CredentialsRejectedError):
            adapter.balances()


def test_a_clock_that_gate_finds_wrong_is_no_reason_to_give_up_the_key(exchange: Exchange) -> None:
    with run_stand_in(exchange, "gate") as (door, adapter):
        life = LIVES["gate"]
        [expired] = [said for said, expected in SAID["gate"] if expected == NONCE]
        door.replies[life.balance] = expired
        door.replies["GET /api/v4/spot/time"] = (200, {"server_time": NOW})
        with pytest.raises(TransientError) as raised:
            adapter.balances()
        assert raised.value.code == "exchange_unavailable"
        assert [asked for asked, _ in door.asked].count("GET /api/v4/spot/time") == 1
