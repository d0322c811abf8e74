"""What exchanges tell of a key's rights, of their clocks and of fees; ccxt's classes over HTTP."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from botbalance.errors import TransientError
from botbalance.exchange.adapter import Fees, KeyPermissions
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.exchange.key_permissions import _ASKED, NOTHING_TOLD

from tests.integration.exchange.fake_exchanges import (
    NOW,
    STAND_INS,
    Body,
    Door,
    _bitget,
    _htx,
    _kucoin,
    _okx,
    run_stand_in,
)
from tests.integration.exchange.simulated import Exchange
from workbench.simulated_exchange.matching_engine import epoch_ms

SAFE = KeyPermissions(may_trade=True, may_withdraw=False, bound_to_addresses=True)
READS_ONLY = KeyPermissions(may_trade=False, may_withdraw=False, bound_to_addresses=False)
TAKES_ALL = KeyPermissions(may_trade=True, may_withdraw=True, bound_to_addresses=False)


def _binance(trade: bool, withdraw: bool, bound: bool) -> Body:
    return {"enableSpotAndMarginTrading": trade, "enableWithdrawals": withdraw, "ipRestrict": bound}


def _bybit(**told: Any) -> Body:
    return {"retCode": 0, "retMsg": "", "result": told, "retExtInfo": {}, "time": NOW}


def _kraken(rights: list[str], addresses: list[str]) -> Body:
    return {"error": [], "result": {"api_key_name": "bot", "permissions": rights, "ip_allowlist": addresses}}


def _htx_key(permission: str, addresses: str) -> Body:
    return {"code": 200, "data": [{"accessKey": "key", "permission": permission, "ipAddresses": addresses}]}


_TRADING = {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer"]}
TOLD: list[tuple[str, str, Body, KeyPermissions]] = [
    ("binance", "GET /sapi/v1/account/apiRestrictions", _binance(True, False, True), SAFE),
    ("binance", "GET /sapi/v1/account/apiRestrictions", _binance(False, False, False), READS_ONLY),
    ("binance", "GET /sapi/v1/account/apiRestrictions", _binance(True, True, False), TAKES_ALL),
    ("okx", "GET /api/v5/account/config", _okx([{"perm": "read_only,trade", "ip": "1.2.3.4"}]), SAFE),
    ("okx", "GET /api/v5/account/config", _okx([{"perm": "read_only", "ip": ""}]), READS_ONLY),
    ("okx", "GET /api/v5/account/config", _okx([{"perm": "read_only,withdraw,trade", "ip": ""}]), TAKES_ALL),
    ("bybit", "GET /v5/user/query-api", _bybit(readOnly=0, permissions=_TRADING, ips=["1.2.3.4"]), SAFE),
    ("bybit", "GET /v5/user/query-api", _bybit(readOnly=1, permissions=_TRADING, ips=["*"]), READS_ONLY),
    (
        "bybit",
        "GET /v5/user/query-api",
        _bybit(readOnly=0, permissions={"Spot": ["SpotTrade"], "Wallet": ["Withdraw"]}, ips=["*"]),
        TAKES_ALL,
    ),
    (
        "kraken",
        "POST /0/private/GetApiKeyInfo",
        _kraken(["query-funds", "query-open-trades", "modify-trades", "close-trades"], ["1.2.3.4"]),
        SAFE,
    ),
    ("kraken", "POST /0/private/GetApiKeyInfo", _kraken(["query-funds"], []), KeyPermissions(None, False, False)),
    ("kraken", "POST /0/private/GetApiKeyInfo", _kraken(["modify-trades", "withdraw-funds"], []), TAKES_ALL),
    ("kucoin", "GET /api/v1/user/api-key", _kucoin({"permission": "General,Spot", "ipWhitelist": "1.2.3.4"}), SAFE),
    ("kucoin", "GET /api/v1/user/api-key", _kucoin({"permission": "General"}), READS_ONLY),
    ("kucoin", "GET /api/v1/user/api-key", _kucoin({"permission": "General,Spot,Withdrawal"}), TAKES_ALL),
    (
        "coinbase",
        "GET /api/v3/brokerage/key_permissions",
        {"can_view": True, "can_trade": True, "can_transfer": False, "portfolio_uuid": "1"},
        KeyPermissions(True, False, None),
    ),
    (
        "coinbase",
        "GET /api/v3/brokerage/key_permissions",
        {"can_view": True, "can_trade": False, "can_transfer": True},
        KeyPermissions(False, True, None),
    ),
    (
        "bitget",
        "GET /api/v2/spot/account/info",
        _bitget({"userId": "1", "authorities": ["readonly", "trade"], "ips": "1.2.3.4"}),
        KeyPermissions(True, None, True),
    ),
    (
        "bitget",
        "GET /api/v2/spot/account/info",
        _bitget({"userId": "1", "authorities": ["trade", "withdraw"], "ips": ""}),
        TAKES_ALL,
    ),
    ("htx", "GET /v2/user/api-key", _htx_key("readOnly,trade", "1.2.3.4"), SAFE),
    ("htx", "GET /v2/user/api-key", _htx_key("readOnly", ""), READS_ONLY),
    ("htx", "GET /v2/user/api-key", _htx_key("readOnly,trade,withdraw", ""), TAKES_ALL),
]
BEFORE: Mapping[str, tuple[str, Body]] = {"htx": ("GET /v2/user/uid", {"code": 200, "data": 7})}
CLOCKS: dict[str, tuple[str, Any]] = {
    "binance": ("GET /api/v3/time", lambda ms: {"serverTime": ms}),
    "okx": ("GET /api/v5/public/time", lambda ms: _okx([{"ts": str(ms)}])),
    "bybit": (
        "GET /v5/market/time",
        lambda ms: {"retCode": 0, "retMsg": "OK", "result": {"timeSecond": str(ms // 1000)}, "time": ms},
    ),
    "kucoin": ("GET /api/v1/timestamp", _kucoin),
    "gate": ("GET /api/v4/spot/time", lambda ms: {"server_time": ms}),
    "bitget": (
        "GET /api/v2/public/time",
        lambda ms: {"code": "00000", "requestTime": ms, "data": {"serverTime": str(ms)}},
    ),
    "htx": ("GET /v1/common/timestamp", _htx),
    "mexc": ("GET /api/v3/time", lambda ms: {"serverTime": ms}),
}
"""Kraken and Coinbase tell whole seconds."""
FEES: dict[str, tuple[str, Body]] = {
    "binance": (
        "GET /sapi/v1/asset/tradeFee",
        [{"symbol": "BTCUSDT", "makerCommission": "0.0008", "takerCommission": "0.001"}],
    ),
    "okx": ("GET /api/v5/account/trade-fee", _okx([{"maker": "-0.0008", "taker": "-0.001", "instType": "SPOT"}])),
    "kucoin": (
        "GET /api/v1/trade-fees",
        _kucoin([{"symbol": "BTC-USDT", "makerFeeRate": "0.0008", "takerFeeRate": "0.001"}]),
    ),
    "bitget": (
        "GET /api/v2/common/trade-rate",
        _bitget({"makerFeeRate": "0.0008", "takerFeeRate": "0.001"}),
    ),
    "mexc": (
        "GET /api/v3/tradeFee",
        {"data": {"makerCommission": 0.0008, "takerCommission": 0.001}, "code": 0, "msg": "success"},
    ),
}


@pytest.fixture
def asked(exchange: Exchange, name: str) -> Iterator[tuple[Door, CcxtAdapter]]:
    with run_stand_in(exchange, name) as (door, adapter):
        if name in BEFORE:
            request, reply = BEFORE[name]
            door.replies[request] = (200, reply)
        yield door, adapter


@pytest.mark.parametrize(("name", "request_", "told", "rights"), TOLD)
def test_what_a_key_may_do_is_what_the_exchange_says(
    asked: tuple[Door, CcxtAdapter], name: str, request_: str, told: Body, rights: KeyPermissions
) -> None:
    door, adapter = asked
    door.replies[request_] = (200, told)
    assert adapter.key_permissions() == rights


@pytest.mark.parametrize("name", sorted(set(STAND_INS) - set(_ASKED) - {"bitget, a unified account"}))
def test_an_exchange_that_tells_nothing_is_not_asked(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    assert adapter.key_permissions() == NOTHING_TOLD
    assert door.asked == []


@pytest.mark.parametrize("garbage", [{"data": [], "result": {}}, {"code": "0", "data": {}}, {"permission": "x"}])
@pytest.mark.parametrize("name", sorted({name for name, *_ in TOLD}))
def test_garbage_is_no_right(asked: tuple[Door, CcxtAdapter], name: str, garbage: Body) -> None:
    door, adapter = asked
    for told_name, request, *_ in TOLD:
        if told_name == name:
            door.replies[request] = (200, garbage)
    with pytest.raises(TransientError):
        adapter.key_permissions()


@pytest.mark.parametrize("ahead_ms", [0, 5_000, -5_000])
@pytest.mark.parametrize("name", CLOCKS)
def test_how_far_the_clocks_are_apart(asked: tuple[Door, CcxtAdapter], name: str, ahead_ms: int) -> None:
    door, adapter = asked
    request, told = CLOCKS[name]
    before = epoch_ms()
    door.replies[request] = (200, told(before + ahead_ms))
    offset = adapter.clock_offset_ms()
    elapsed = epoch_ms() - before
    assert ahead_ms - elapsed <= offset <= ahead_ms


@pytest.mark.parametrize("name", FEES)
def test_fees_are_told_in_percent(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    request, told = FEES[name]
    door.replies[request] = (200, told)
    assert adapter.fees("BTCUSDT") == Fees(maker_pct=Decimal("0.08"), taker_pct=Decimal("0.1"))


@pytest.mark.parametrize("name", sorted(set(STAND_INS) - {"binance"}))
def test_post_only_orders_are_taken_everywhere(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    _, adapter = asked
    assert adapter.supports_post_only("BTCUSDT") is True
