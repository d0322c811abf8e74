"""Parameters that a path does not know, has to have, or does not take together."""

from typing import Any

import pytest

from tests.integration.simulated_exchange.conftest import Door

BTC = {"symbol": "BTCUSDT"}
DAY_MS = 86_400_000
START = 1_700_000_000_000
PUBLIC = ("depth", "trades", "aggTrades", "klines", "avgPrice", "ticker/24hr", "ticker/price", "ticker/bookTicker")
SIGNED = (
    "GET account",
    "GET account/commission",
    "GET rateLimit/order",
    "GET myTrades",
    "POST order",
    "POST order/test",
    "POST order/cancelReplace",
    "GET order",
    "DELETE order",
    "GET openOrders",
    "DELETE openOrders",
    "GET allOrders",
)


@pytest.mark.parametrize("path", [*PUBLIC, "exchangeInfo"])
def test_what_a_public_path_does_not_know_is_refused(door: Door, path: str) -> None:
    refused = door.ask(f"/api/v3/{path}", **BTC, simbol="BTCUSDT")
    assert refused["code"] == -1104
    assert refused["msg"] == "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."


@pytest.mark.parametrize("route", SIGNED)
def test_what_a_signed_path_does_not_know_is_refused_and_has_no_effect(door: Door, route: str) -> None:
    method, path = route.split()
    order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": "39000"}
    known = BTC | (order if method == "POST" else {}) if path not in {"account", "rateLimit/order"} else {}
    refused = door.signed(method, f"/api/v3/{path}", **known, postOnly="true")
    sent = len(known) + 3
    assert refused["code"] == -1104
    assert refused["msg"] == f"Not all sent parameters were read; read '{sent - 1}' parameter(s) but was sent '{sent}'."
    assert door.api.books.orders(door.api.books.api_keys()[0]) == []


@pytest.mark.parametrize("path", ["ping", "time"])
def test_a_path_without_parameters_takes_none(door: Door, path: str) -> None:
    refused = door.ask(f"/api/v3/{path}", any="thing")
    assert refused == {"code": -1101, "msg": "Too many parameters; expected '0' and received '1'."}


@pytest.mark.parametrize(("path", "name"), [*((path, "symbol") for path in PUBLIC[:5]), ("klines", "interval")])
def test_what_a_public_path_has_to_have(door: Door, path: str, name: str) -> None:
    sent = BTC if name == "interval" else {}
    refused = door.ask(f"/api/v3/{path}", **sent)
    assert refused["code"] == -1102
    assert f"Mandatory parameter '{name}' was not sent" in refused["msg"]


@pytest.mark.parametrize(
    "route", ["GET myTrades", "GET allOrders", "GET order", "DELETE openOrders", "GET account/commission"]
)
def test_what_a_signed_path_has_to_have(door: Door, route: str) -> None:
    method, path = route.split()
    assert "Mandatory parameter 'symbol'" in door.signed(method, f"/api/v3/{path}")["msg"]


@pytest.mark.parametrize("missing", ["timestamp", "signature"])
def test_a_signed_request_has_a_time_and_a_signature(door: Door, missing: str) -> None:
    query = {"timestamp": "timestamp=&signature=00", "signature": f"timestamp={START}"}[missing]
    refused = door.unsigned(query)
    assert refused["code"] in {-1102, -1105}
    assert missing in refused["msg"]


@pytest.mark.parametrize("path", ["myTrades", "allOrders"])
def test_a_start_and_an_end_are_a_day_apart_at_most(door: Door, path: str) -> None:
    def ask(**span: int) -> Any:
        return door.signed("GET", f"/api/v3/{path}", **BTC, **span)

    assert ask(startTime=START, endTime=START + DAY_MS) == []
    refused = ask(startTime=START, endTime=START + DAY_MS + 1)
    assert refused == {"code": -1127, "msg": "More than 24 hours between startTime and endTime."}
    assert ask(startTime=START) == ask(endTime=START) == []


@pytest.mark.parametrize(
    ("together", "allowed"),
    [
        ({"orderId": 1, "fromId": 1}, True),
        ({"startTime": START, "endTime": START}, True),
        ({"fromId": 1, "startTime": START}, False),
        ({"orderId": 1, "startTime": START}, False),
        ({"orderId": 1, "fromId": 1, "endTime": START}, False),
    ],
)
def test_filters_of_fills_that_may_be_combined(door: Door, together: dict[str, int], allowed: bool) -> None:
    answer = door.signed("GET", "/api/v3/myTrades", **BTC, **together)
    assert answer == [] if allowed else answer["code"] == -1128


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"stopPrice": "38000"}, -1106, "Parameter 'stopPrice' sent when not required."),
        ({"trailingDelta": "100"}, -1106, "Parameter 'trailingDelta' sent when not required."),
        ({"icebergQty": "0.0005"}, -2010, "Iceberg orders are not supported for this symbol."),
        ({"selfTradePreventionMode": "EXPIRE_BOTH"}, -2010, "does not allow the specified self-trade prevention mode"),
    ],
)
def test_orders_of_a_kind_that_these_markets_do_not_take(
    door: Door, changes: dict[str, str], code: int, words: str
) -> None:
    refused = door.order(**changes)
    assert refused["code"] == code
    assert words in refused["msg"]


def test_lists_of_markets_can_be_narrowed(door: Door) -> None:
    def symbols(**asked: str) -> list[str]:
        return [market["symbol"] for market in door.ask("/api/v3/exchangeInfo", **asked)["symbols"]]

    door.api.market.halt("XRPUSDT")
    assert symbols(symbolStatus="BREAK") == ["XRPUSDT"]
    assert symbols(symbolStatus="TRADING") == ["BTCUSDT", "ETHUSDT"]
    assert len(symbols(permissions="SPOT")) == len(symbols(permissions='["SPOT","MARGIN"]')) == 3
    assert symbols(permissions="MARGIN") == []
    [market] = door.ask("/api/v3/exchangeInfo", symbol="BTCUSDT", showPermissionSets="false")["symbols"]
    assert "permissionSets" not in market
    assert door.ask("/api/v3/exchangeInfo", symbol="BTCUSDT", symbolStatus="BREAK")["code"] == -1128
    assert door.ask("/api/v3/exchangeInfo", symbolStatus="CLOSED")["code"] == -1130
    short = door.ask("/api/v3/ticker/24hr", symbol="BTCUSDT", type="MINI")
    assert (short["lastPrice"], "priceChange" in short) == ("40000.00000000", False)
    assert door.ask("/api/v3/ticker/24hr", symbol="BTCUSDT", type="SHORT")["code"] == -1130
