"""Keys, signatures, times, weights, and what an account may do."""

import hashlib
import hmac
import time
from decimal import Decimal
from typing import Any

import ccxt
import pytest
import requests

from workbench.simulated_exchange.binance_api import BinanceApi, Request


def now_ms() -> int:
    return int(time.time() * 1000)


def sign(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def ask_account(exchange: Any) -> Any:
    """GET /account with a query signed by hand."""

    def ask(query: str | None = None, key: str = exchange.key, secret: str = exchange.secret) -> Any:
        signed = f"timestamp={now_ms()}" if query is None else query
        url = f"{exchange.server.url}/api/v3/account?{signed}&signature={sign(secret, signed)}"
        return requests.get(url, headers={"X-MBX-APIKEY": key}, timeout=5)

    return ask


def test_account_as_binance_shows_it(client: Any) -> None:
    info = client.fetch_balance()["info"]
    assert (info["canTrade"], info["canWithdraw"], info["permissions"]) == (True, False, ["SPOT"])
    assert info["commissionRates"]["maker"] == "0.00100000"
    assert info["makerCommission"] == 10
    assert {balance["asset"] for balance in info["balances"]} == {"BTC", "ETH", "USDT", "XRP"}
    some = client.fetch_balance({"omitZeroBalances": "true"})["info"]
    assert {balance["asset"] for balance in some["balances"]} == {"BTC", "USDT"}


def test_api_restrictions_and_fees(client: Any) -> None:
    restrictions = client.sapi_get_account_apirestrictions()
    assert restrictions["enableReading"] is True
    assert restrictions["enableSpotAndMarginTrading"] is True
    assert restrictions["enableWithdrawals"] is False
    assert restrictions["ipRestrict"] is False
    assert Decimal(client.fetch_trading_fee("BTC/USDT")["maker"]) == Decimal("0.001")


def test_wrong_secret_is_refused(connect: Any) -> None:
    with pytest.raises(ccxt.AuthenticationError, match=r"-1022.*Signature for this request is not valid\."):
        connect(secret="another secret").fetch_balance()


@pytest.mark.parametrize(("key", "code"), [("u" * 64, "-2015"), ("malformed", "-2014")])
def test_unknown_and_malformed_keys(connect: Any, key: str, code: str) -> None:
    with pytest.raises(ccxt.AuthenticationError, match=code):
        connect(key=key).fetch_balance()


def test_keys_are_refused_with_401(exchange: Any, ask_account: Any) -> None:
    assert ask_account(key="u" * 64).status_code == 401
    reply = requests.get(f"{exchange.server.url}/api/v3/account", timeout=5)
    assert (reply.status_code, reply.json()["code"]) == (401, -2014)


def test_revoked_key(exchange: Any, client: Any) -> None:
    client.create_order("BTC/USDT", "limit", "buy", "0.001", "39000")
    exchange.books.revoke_key(exchange.key)
    with pytest.raises(ccxt.DDoSProtection, match="-2015"):  # what ccxt makes of it, once the key has worked
        client.fetch_balance()


def test_key_without_trading_rights_can_read_only(exchange: Any, connect: Any) -> None:
    exchange.books.open_account("reader" * 10, "s", {"USDT": Decimal(100)}, can_trade=False)
    reader = connect("reader" * 10, "s")
    assert reader.fetch_balance()["USDT"]["free"] == "100.00000000"
    reader.options["hasAlreadyAuthenticatedSuccessfully"] = False
    with pytest.raises(ccxt.AuthenticationError, match=r"-2015.*permissions for action"):
        reader.create_order("XRP/USDT", "limit", "buy", "20", "0.4")


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ("recvWindow=5000", -1102, "Mandatory parameter 'timestamp'"),
        ("timestamp=soon", -1100, "Illegal characters found in parameter 'timestamp'"),
        ("timestamp={past}", -1021, "outside of the recvWindow"),
        ("timestamp={recent}&recvWindow=1000", -1021, "outside of the recvWindow"),
        ("timestamp={ahead}", -1021, "1000ms ahead of the server's time"),
        ("timestamp={now}&recvWindow=60001", -1131, "recvWindow must be less than 60000"),
        ("timestamp={now}&timestamp={now}", -1101, "Duplicate values for a parameter detected"),
    ],
)
def test_times(ask_account: Any, query: str, code: int, text: str) -> None:
    now = now_ms()
    reply = ask_account(query.format(now=now, past=now - 6_000, recent=now - 3_000, ahead=now + 30_000))
    assert (reply.status_code, reply.json()["code"]) == (400, code)
    assert text in reply.json()["msg"]


def test_times_within_the_window(ask_account: Any) -> None:
    assert ask_account(f"timestamp={now_ms() - 3_000}").status_code == 200
    assert ask_account(f"timestamp={now_ms() - 20_000}&recvWindow=60000").status_code == 200
    assert ask_account(f"timestamp={now_ms() + 500}").status_code == 200


def test_late_clock_reaches_ccxt_as_invalid_nonce(client: Any) -> None:
    client.load_markets()
    client.options["timeDifference"] = 60_000
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        client.fetch_balance()


def test_signature_covers_the_exact_text(exchange: Any) -> None:
    base = f"{exchange.server.url}/api/v3/account"
    headers = {"X-MBX-APIKEY": exchange.key}
    query = f"recvWindow=5000&timestamp={now_ms()}"
    signature = sign(exchange.secret, query)

    def code(text: str) -> int | None:
        code: int | None = requests.get(f"{base}?{text}", headers=headers, timeout=5).json().get("code")
        return code

    assert code(f"{query}&signature={signature}") is None
    assert code(f"{query}&signature={signature.upper()}") is None
    assert code(f"recvWindow=5001&{query[16:]}&signature={signature}") == -1022
    assert code(f"{query}&omitZeroBalances=true&signature={signature}") == -1022
    assert code(f"{query}&signature={signature}&omitZeroBalances=true") == -1022
    assert code(query) == -1102


def test_signature_over_query_and_body_together(exchange: Any) -> None:
    query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC"
    body = f"quantity=0.001&price=39000&newClientOrderId=a:b.c&timestamp={now_ms()}"
    reply = requests.post(
        f"{exchange.server.url}/api/v3/order?{query}",
        data=f"{body}&signature={sign(exchange.secret, query + body)}",
        headers={"X-MBX-APIKEY": exchange.key, "Content-Type": "application/x-www-form-urlencoded"},
        timeout=5,
    )
    assert reply.json()["clientOrderId"] == "a:b.c"


def test_weights_are_binances(exchange: Any, client: Any) -> None:
    exchange.now_ms = 90_000
    exchange.server.api.weight_limit = 6000
    client.load_markets()
    order = client.create_order("BTC/USDT", "limit", "buy", "0.001", "39000")
    used = int(client.last_response_headers["X-MBX-USED-WEIGHT-1M"])
    assert used == 21
    for weight, call in [
        (20, client.fetch_balance),
        (6, lambda: client.fetch_open_orders("BTC/USDT")),
        (80, client.fetch_open_orders),
        (4, lambda: client.fetch_order(order["id"], "BTC/USDT")),
        (1, lambda: client.cancel_order(order["id"], "BTC/USDT")),
        (20, lambda: client.fetch_my_trades("BTC/USDT")),
        (2, lambda: client.fetch_tickers(["BTC/USDT"])),
        (80, client.fetch_tickers),
        (4, client.fetch_bids_asks),
        (5, lambda: client.fetch_order_book("BTC/USDT")),
    ]:
        call()
        used += weight
        assert int(client.last_response_headers["X-MBX-USED-WEIGHT-1M"]) == used
    exchange.now_ms = 120_000
    client.fetch_balance()
    assert client.last_response_headers["X-MBX-USED-WEIGHT-1M"] == "20"


def test_too_much_weight_is_refused_with_429_until_the_minute_of_its_clock_is_over(exchange: Any) -> None:
    exchange.now_ms = 90_500
    api = BinanceApi(exchange.books, weight_limit=20)
    request = Request("GET", "/api/v3/exchangeInfo", headers={"x-mbx-apikey": "key"})
    allowed = api.answer(request)
    assert allowed.status == 200
    assert '"limit": 20}' in allowed.text
    refused = api.answer(request)
    assert refused.status == 429
    assert '"code": -1003' in refused.text
    assert refused.headers == {"X-MBX-USED-WEIGHT": "40", "X-MBX-USED-WEIGHT-1M": "40", "Retry-After": "30"}
    exchange.now_ms = 120_000
    assert api.answer(request).headers["X-MBX-USED-WEIGHT-1M"] == "20"
    api.answer(Request("GET", "/api/v3/time"))
    assert api.weight_used == {"key": 60, "": 1}
    assert api.weight_used_total == 61


def test_without_a_limit_weight_is_counted_and_nothing_told(exchange: Any) -> None:
    api = BinanceApi(exchange.books)
    for _ in range(301):
        reply = api.answer(Request("GET", "/api/v3/exchangeInfo"))
        assert (reply.status, reply.headers) == (200, {})
    assert '"limit": 6000}' in reply.text
    assert api.weight_used_total == 6020


def test_accounts_are_opened_once_and_never_below_zero(exchange: Any) -> None:
    with pytest.raises(ValueError, match="api_key is taken"):
        exchange.books.open_account(exchange.key, "s", {})
    with pytest.raises(ValueError, match=r"balances\.USDT\.free is -1"):
        exchange.books.open_account("new", "s", {"USDT": Decimal(-1)})
    with pytest.raises(ValueError, match=r"balances\.BTC\.free is -1"):
        exchange.books.transfer(exchange.key, "BTC", Decimal(-2))
    assert exchange.books.api_keys() == [exchange.key]
