"""What is refused again and again waits, and balances that are a step behind buy nothing twice."""

from decimal import Decimal

import pytest
from botbalance.models.order import OrderStatus
from botbalance.trading.plan import preview

from tests.integration.trading.harness import TradingHarness
from workbench.faults.kinds import FaultKind, Where

D = Decimal


def test_an_order_that_is_refused_at_every_tick_is_sent_ever_more_rarely(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Three in a row, then after 2, 4, 8 and 16 ticks: seven in the 33 ticks of which each would have sent one."""
    harness.injector.script(FaultKind.INSUFFICIENT_BALANCE, Where.PLACE_ORDER, about="BTCUSDT", times=10**6)
    sent = []
    for number in range(34):
        before = len(harness.asked("POST", "BTCUSDT"))
        harness.tick()
        sent += [number] * (len(harness.asked("POST", "BTCUSDT")) - before)
    assert sent == [0, 1, 2, 4, 8, 16, 32]
    assert len([order for order in harness.orders() if order.symbol == "BTCUSDT"]) == 7
    waits = [record.__dict__ for record in caplog.records if record.__dict__.get("alarm") == "orders_refused"]
    assert [(wait["symbol"], wait["user_id"]) for wait in waits] == [("BTCUSDT", harness.user)]

    plan = preview(harness.context, harness.user)
    assert plan.waiting["BTCUSDT"].times == 7
    assert "insufficient" in plan.waiting["BTCUSDT"].reason.lower()
    (row,) = [row for row in plan.evaluation.rows if row.asset == "BTC"]
    assert (row.action, str(row.hold)) == (None, "paused")


def test_the_longest_wait_is_an_hour_and_an_order_that_rests_ends_it(harness: TradingHarness) -> None:
    harness.injector.script(FaultKind.INSUFFICIENT_BALANCE, Where.PLACE_ORDER, about="BTCUSDT", times=12)
    for _ in range(12):
        harness.tick(seconds=3600)
    assert harness.context.accounts.find_state(harness.user).refused_pairs["BTCUSDT"].times == 12
    assert harness.context.accounts.find_state(harness.user).refused_pairs["BTCUSDT"].retry_at == harness.now + 3600
    harness.tick(seconds=3570)
    assert [order for order in harness.orders() if order.status is OrderStatus.OPEN and order.symbol == "BTCUSDT"] == []
    harness.tick()
    harness.tick()
    assert "BTCUSDT" not in harness.context.accounts.find_state(harness.user).refused_pairs


def test_a_post_only_order_that_would_trade_at_once_is_priced_anew_at_every_tick(harness: TradingHarness) -> None:
    harness.set_strategy({"BTC": "50", "USDT": "50"})

    def fall(boundary: str) -> None:
        """Below the order's limit while it is on its way, and back."""
        if boundary.endswith("POST /api/v3/order"):
            harness.market.set_price("BTCUSDT", D(39_000) if boundary.startswith("before") else D(40_000))

    harness.services.on_boundary = fall
    for _ in range(8):
        harness.tick()
    assert [order.status for order in harness.orders()] == [OrderStatus.REJECTED] * 8
    assert harness.context.accounts.find_state(harness.user).refused_pairs == {}


def test_a_pair_that_has_just_filled_is_not_traded_on_balances_that_do_not_show_it(harness: TradingHarness) -> None:
    harness.set_strategy({"BTC": "2", "USDT": "98"}, min_delta_quote=D(150))
    harness.tick()
    account = harness.context.clients.get(harness.user, "binance")
    before, read = account.balances(), account.balances
    harness.market.set_price("BTCUSDT", D(39_800))  # its one order fills
    harness.market.set_price("BTCUSDT", D(40_000))
    looks = [before]
    account.balances = lambda: looks.pop() if looks else read()  # type: ignore[method-assign]
    assert harness.tick().placed == []
    assert harness.tick().placed == []
    assert [order.status for order in harness.orders()] == [OrderStatus.FILLED]


def test_an_order_is_never_sized_by_prices_that_are_too_old(harness: TradingHarness) -> None:
    """The look-up of an order takes a while: prices are read after it."""
    harness.tick()
    asked: list[tuple[str, int]] = []

    def slow(boundary: str) -> None:
        if boundary == "before GET /api/v3/order":
            harness.now += 15
        if boundary in {"after GET /api/v3/ticker/24hr", "before POST /api/v3/order"}:
            asked.append((boundary, harness.now))

    harness.books.cancel(harness.key, "BTCUSDT", client_order_id=harness.order_on("BTCUSDT").client_order_id)
    harness.services.on_boundary = slow
    harness.tick()
    prices = [now for name, now in asked if "ticker" in name]
    assert prices[-1] == harness.now, "read after the slow look-up"
    assert harness.asked("POST", "BTCUSDT")


def test_prices_that_expire_while_orders_are_sent_stop_the_rest(harness: TradingHarness) -> None:
    def slow(boundary: str) -> None:
        if boundary == "after POST /api/v3/order":
            harness.now += 3

    harness.services.on_boundary = slow
    decision = harness.tick()
    assert [order["symbol"] for order in decision.placed] == ["BTCUSDT", "ETHUSDT"]
    assert "prices expired 1 s ago" in (decision.reason or "")
    harness.services.on_boundary = lambda _: None
    assert [order["symbol"] for order in harness.tick().placed] == ["XRPUSDT"]
