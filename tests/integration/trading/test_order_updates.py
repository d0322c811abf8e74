"""What is booked of an order that has ended, and how often it is looked up again."""

import json
from dataclasses import replace

import pytest
from botbalance.models.order import OrderStatus
from botbalance.trading.orders import cancel_by_hand, cancel_one

from tests.integration.trading.harness import TradingHarness
from workbench.faults.kinds import FaultKind, Where
from workbench.simulated_exchange.binance_api import Reply, Request


def look_ups(harness: TradingHarness, symbol: str) -> int:
    return len(harness.asked("GET", symbol))


def test_a_fill_of_another_order_is_not_booked(harness: TradingHarness) -> None:
    """The exchange lists, beside the order's own trade, one of an order that its owner placed on the same market."""
    harness.tick()
    order = harness.order_on("BTCUSDT")
    harness.books.fill_now(harness.key, int(order.exchange_order_id or 0), whole=True)
    original = harness.exchange.answer

    def with_another_s(request: Request) -> Reply:
        reply = original(request)
        if request.path != "/api/v3/myTrades":
            return reply
        own = json.loads(reply.text)
        return replace(reply, text=json.dumps([*own, *(trade | {"id": 999_999, "orderId": 4711} for trade in own)]))

    harness.exchange.answer = with_another_s  # type: ignore[method-assign]
    harness.tick()
    booked = harness.context.orders.get(harness.user, order.client_order_id)
    assert booked.status is OrderStatus.FILLED
    assert booked.fills_qty == booked.filled_qty == order.base_qty
    assert "999999" not in {fill.trade_id for fill in booked.fills}
    assert harness.differences() == []


def test_an_order_that_has_filled_stays_so_whatever_a_late_answer_says(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Its fills are not all booked yet, so it is looked up again, and shown as it was before."""
    harness.set_strategy({"BTC": "50", "USDT": "50"})
    harness.tick()
    order = harness.order_on("BTCUSDT")
    with harness.session() as session:
        filled = {"status": OrderStatus.FILLED, "filled_qty": order.base_qty}
        session.update_order(order, order.model_copy(update=filled))
    harness.tick()
    assert len(harness.asked("GET", "BTCUSDT")) + len(harness.requests_to("/openOrders")) > 0
    assert harness.context.orders.get(harness.user, order.client_order_id).status is OrderStatus.FILLED
    assert "order_transition" not in {record.__dict__.get("alarm") for record in caplog.records}


def test_a_refused_order_is_over_and_looked_up_no_more(harness: TradingHarness) -> None:
    harness.injector.script(FaultKind.INSUFFICIENT_BALANCE, Where.PLACE_ORDER, about="BTCUSDT")
    harness.tick()
    refused = harness.order_on("BTCUSDT")
    assert refused.status is OrderStatus.REJECTED
    assert refused.client_order_id not in {
        order.client_order_id for order in harness.context.orders.unreconciled(harness.user)
    }


def test_an_order_that_was_cancelled_is_looked_up_ever_more_rarely_for_ten_minutes(harness: TradingHarness) -> None:
    """After half a minute, and once more at the end: what is told late is told soon, or hardly ever."""
    harness.set_strategy({"BTC": "50", "USDT": "50"})
    harness.tick()
    cancel_by_hand(harness.context, harness.user)
    harness.set_strategy({"USDT": "100"})
    before, looked_at = look_ups(harness, "BTCUSDT"), []
    for number in range(1, 26):
        harness.tick()
        if look_ups(harness, "BTCUSDT") > before:
            before = look_ups(harness, "BTCUSDT")
            looked_at.append(number * 30)
    assert looked_at == [30, 600]
    assert harness.context.orders.unreconciled(harness.user) == []


def test_a_lost_order_raises_its_alarm_once(harness: TradingHarness, caplog: pytest.LogCaptureFixture) -> None:
    intent = harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502", ts_tick=harness.now - 30)
    lost = harness.create(intent, status=OrderStatus.OPEN, exchange_order_id="4711")
    for _ in range(6):
        harness.tick()
    alarms = [record.__dict__ for record in caplog.records if record.__dict__.get("alarm") == "not_on_exchange"]
    assert [alarm["client_order_id"] for alarm in alarms] == [lost.client_order_id]
    assert harness.order_on("BTCUSDT").times_not_found == 2


def test_an_order_that_has_ended_is_not_cancelled_again(harness: TradingHarness) -> None:
    harness.tick()
    order = harness.order_on("BTCUSDT")
    ended = cancel_one(harness.context, harness.user, order.client_order_id)
    assert ended.status is OrderStatus.CANCELED
    requests = len(harness.requests)
    assert cancel_one(harness.context, harness.user, order.client_order_id) == ended
    assert len(harness.requests) == requests
