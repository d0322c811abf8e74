"""How much an address and an account may ask for, and when they may again."""

from decimal import Decimal
from typing import Any

import pytest

from tests.integration.simulated_exchange.conftest import BALANCES, FIRST_PRICES, KEY, SECRET, Door
from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.limits import Window
from workbench.simulated_exchange.market import FrozenPrices, Market
from workbench.simulated_exchange.matching_engine import MatchingEngine, epoch_ms

MINUTE_MS = 60_000
RESTING = {"type": "LIMIT_MAKER", "side": "BUY", "symbol": "BTCUSDT", "quantity": "0.001", "price": "39000"}


class Alone:
    """An exchange in a process of its own: its market's time stands still, the wall's does not."""

    def __init__(self, weight_limit: int = 6_000) -> None:
        self.market_ms = 1_700_000_000_000
        self.wall_ms = 1_700_000_000_000 + 15_000
        market = Market.with_default_filters(FIRST_PRICES, FrozenPrices())
        books = MatchingEngine(market, partial_fill_probability=Decimal(0), clock=lambda: self.market_ms)
        books.open_account(KEY, SECRET, BALANCES)
        self.door = Door(BinanceApi(books, weight_limit=weight_limit, wall_clock=lambda: self.wall_ms))

    def place(self, n: int) -> Any:
        return self.door.signed("POST", "/api/v3/order", **RESTING | {"newClientOrderId": f"n{n}"})


def test_where_time_stands_still_the_weight_recovers_after_as_long_as_was_asked() -> None:
    alone = Alone(weight_limit=40)
    assert "symbols" in alone.door.ask("/api/v3/exchangeInfo")
    assert "symbols" in alone.door.ask("/api/v3/exchangeInfo")
    refused = alone.door.ask("/api/v3/exchangeInfo")
    assert refused["code"] == -1003
    assert "current limit is 40 request weight per 1 MINUTE" in refused["msg"]
    waits_ms = int(alone.door.headers["Retry-After"]) * 1000
    assert waits_ms == MINUTE_MS - alone.wall_ms % MINUTE_MS
    alone.wall_ms += waits_ms - 1000
    assert alone.door.ask("/api/v3/ping")["code"] == -1003
    alone.wall_ms += 1000
    assert alone.door.ask("/api/v3/ping") == {}
    assert alone.door.headers["X-MBX-USED-WEIGHT-1M"] == "1"


def test_ticks_that_come_faster_than_time_bring_their_own_minutes() -> None:
    alone = Alone(weight_limit=40)
    for _ in range(5):
        alone.door.ask("/api/v3/exchangeInfo")
        alone.market_ms += MINUTE_MS
    assert alone.door.headers["X-MBX-USED-WEIGHT-1M"] == "20"


def test_an_accounts_orders_are_counted_told_and_limited() -> None:
    alone = Alone()
    told = []
    for n in range(100):
        assert "orderId" in alone.place(n)
        told.append((alone.door.headers["X-MBX-ORDER-COUNT-10S"], alone.door.headers["X-MBX-ORDER-COUNT-1D"]))
    assert told == [(str(n), str(n)) for n in range(1, 101)]
    refused = alone.place(100)
    assert refused == {"code": -1015, "msg": "Too many new orders; current limit is 100 orders per 10 SECOND."}
    assert alone.door.headers["Retry-After"] == str(10 - alone.wall_ms // 1000 % 10)
    ten_seconds, day = alone.door.signed("GET", "/api/v3/rateLimit/order")
    assert ten_seconds == {
        "rateLimitType": "ORDERS",
        "interval": "SECOND",
        "intervalNum": 10,
        "limit": 100,
        "count": 100,
    }
    assert (day["interval"], day["limit"], day["count"]) == ("DAY", 200_000, 100)
    alone.wall_ms += 10_000
    assert "orderId" in alone.place(100)
    assert (alone.door.headers["X-MBX-ORDER-COUNT-10S"], alone.door.headers["X-MBX-ORDER-COUNT-1D"]) == ("1", "101")


def test_only_orders_that_are_placed_count() -> None:
    alone = Alone()
    assert alone.door.signed("POST", "/api/v3/order", **RESTING | {"quantity": "100"})["code"] == -2010
    assert alone.door.signed("POST", "/api/v3/order/test", **RESTING) == {}
    assert [limit["count"] for limit in alone.door.signed("GET", "/api/v3/rateLimit/order")] == [0, 0]


def test_without_a_limit_no_order_is_refused_and_nothing_told(door: Door) -> None:
    for n in range(101):
        assert "orderId" in door.order(newClientOrderId=f"n{n}", quantity="0.0002")
        assert door.headers == {}


def test_a_window_counts_each_by_itself() -> None:
    now = [0]
    window = Window(10, [lambda: now[0]])
    window.count("one", 3)
    assert (window.used("one"), window.used("other"), window.ends_in_s()) == (3, 0, 10)
    now[0] = 9_999
    assert (window.used("one"), window.ends_in_s()) == (3, 1)
    now[0] = 10_000
    assert (window.used("one"), window.ends_in_s()) == (0, 10)


@pytest.mark.parametrize(
    ("age_ms", "sent", "code"),
    [
        (3_000, {}, None),
        (6_000, {}, -1021),  # the default window is 5,000 ms
        (6_000, {"recvWindow": 10_000}, None),
        (2_000, {"recvWindow": "1000.5"}, -1021),
        (0, {"recvWindow": "5000.125"}, None),
        (0, {"recvWindow": "5000.1255"}, -1111),
        (0, {"recvWindow": 60_000}, None),
        (0, {"recvWindow": 60_001}, -1131),
        (-5_000, {}, -1021),
    ],
)
def test_a_request_counts_as_long_as_its_window(
    door: Door, age_ms: int, sent: dict[str, Any], code: int | None
) -> None:
    answer = door.signed("GET", "/api/v3/account", **sent | {"timestamp": epoch_ms() - age_ms})
    assert answer.get("code") == code


def test_a_timestamp_may_be_in_microseconds(door: Door) -> None:
    assert "balances" in door.signed("GET", "/api/v3/account", timestamp=epoch_ms() * 1000)
    assert door.signed("GET", "/api/v3/account", timestamp=(epoch_ms() - 6_000) * 1000)["code"] == -1021
