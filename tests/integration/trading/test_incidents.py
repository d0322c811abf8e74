"""What keeps an account from being traded is told when it begins and when it is over, with the state that says so."""

from dataclasses import replace
from decimal import Decimal

import pytest
from botbalance.engine import format_decimal
from botbalance.errors import ConflictError
from botbalance.models.account_state import RefusedPair
from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.fill import OrderFill
from botbalance.models.order import OrderStatus
from botbalance.trading.incidents import report_orders, report_refusals
from botbalance.trading.orders import list_orders, resolve_order
from botbalance.trading.tick import strategy_tick

from tests.integration.trading.harness import TradingHarness

D = Decimal


def told(harness: TradingHarness, *actions: ActivityKind) -> list[Activity]:
    """The user's activities of ``actions``, oldest first."""
    page = harness.context.activity.page(harness.user, limit=100)
    return [one for one in reversed(page.items) if one.action in actions]


def incidents(harness: TradingHarness) -> list[tuple[str, str]]:
    """What began and what is over, oldest first: ``("opened", "doubt:BTC")``."""
    found = told(harness, ActivityKind.INCIDENT_OPENED, ActivityKind.INCIDENT_RESOLVED)
    return [(str(one.action).partition(".")[2], str(one.subject)) for one in found]


def look(harness: TradingHarness) -> None:
    harness.now += 30
    list_orders(harness.context, harness.user, limit=5, cursor=None)


def test_an_order_that_the_exchange_knows_no_more_is_told_once_and_when_it_is_over(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)
    intent = harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502", ts_tick=harness.now - 30)
    harness.create(intent, status=OrderStatus.OPEN, exchange_order_id="4711")
    for _ in range(5):
        look(harness)
    name = f"order_lost:{intent.client_order_id}"
    assert incidents(harness) == [("opened", name)]
    (opened,) = told(harness, ActivityKind.INCIDENT_OPENED)
    assert "POST orders/" in str(opened.reason)
    assert opened.actor == "system"
    harness.now += 1
    resolve_order(harness.context, harness.user, intent.client_order_id, None, None)
    harness.set_strategy()
    harness.tick()
    assert incidents(harness) == [("opened", name), ("resolved", name)]
    assert harness.context.accounts.find_state(harness.user).incidents == {}


def test_an_intent_whose_fate_is_unknown_for_minutes_is_told_once(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)
    intent = harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502")
    harness.create(intent)
    with harness.session() as session:
        for after_s in (299, 301, 400):
            report_orders(session, harness.orders(), intent.placed_at + after_s)
    assert incidents(harness) == [("opened", f"order_unknown:{intent.client_order_id}")]


def test_every_fill_is_told_with_the_order_that_has_it(harness: TradingHarness) -> None:
    harness.set_strategy({"BTC": "50", "USDT": "50"})
    harness.tick()
    assert told(harness, ActivityKind.ORDER_FILLED) == []
    harness.market.set_price("BTCUSDT", D(39_000))
    harness.tick()
    order = harness.orders()[-1]
    assert order.status is OrderStatus.FILLED
    fills = [one for one in told(harness, ActivityKind.ORDER_FILLED) if one.subject == order.client_order_id]
    assert [one.after for one in fills] == [
        {
            "exchange": "binance",
            "account": "binance",
            "symbol": "BTCUSDT",
            "base": "BTC",
            "quote": "USDT",
            "side": "buy",
            "price": format_decimal(fill.price),
            "base_qty": format_decimal(fill.base_qty),
            "fee": format_decimal(fill.fee),
            "fee_asset": fill.fee_asset,
        }
        for fill in order.fills
    ]
    assert {one.actor for one in fills} == {"system"}


def test_a_fill_that_could_not_be_written_is_not_told(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)
    order = harness.create(harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502"))
    fill = OrderFill(trade_id="1", price=D(39_840), base_qty=D("0.00502"), fee=D(0), fee_asset="USDT", traded_at_ms=1)
    stale = order.model_copy(update={"revision": 7})
    with pytest.raises(ConflictError, match="changed meanwhile"), harness.session() as session:
        session.update_order(stale, stale.model_copy(update={"fills": (fill,), "filled_qty": fill.base_qty}))
    assert told(harness, ActivityKind.ORDER_FILLED) == []


def test_a_halt_is_told_once_and_its_end_too(harness: TradingHarness) -> None:
    harness.set_strategy()
    harness.tick()
    for reason in ("a test", "a test", None, None):
        harness.now += 30
        strategy_tick(harness.context, replace(harness.job(), halt=reason), harness.now)
    assert incidents(harness) == [("opened", "trading_halted:"), ("resolved", "trading_halted:")]


def test_twenty_ticks_without_a_decision_are_told_once_and_the_first_decision_ends_it(harness: TradingHarness) -> None:
    harness.set_strategy()
    harness.tick()
    harness.set_strategy({"NOSUCH": "50", "USDT": "50"})
    for _ in range(19):
        assert harness.tick().outcome == "skipped"
    assert incidents(harness) == []
    for _ in range(3):
        harness.tick()
    assert incidents(harness) == [("opened", "no_decision:")]
    (opened,) = told(harness, ActivityKind.INCIDENT_OPENED)
    assert "NOSUCH" in str(opened.reason)
    harness.set_strategy()
    assert harness.tick().outcome == "decided"
    assert incidents(harness) == [("opened", "no_decision:"), ("resolved", "no_decision:")]


def test_the_evidence_of_what_lasts_is_the_latest_and_told_with_its_end(harness: TradingHarness) -> None:
    with harness.session() as session:
        for times, reason in ((3, "no such market"), (4, "not enough money")):
            refused = RefusedPair(times=times, retry_at=0, reason=reason)
            report_refusals(session, {"BTCUSDT": refused}, harness.now + times)
    [incident] = harness.context.accounts.find_state(harness.user).incidents.values()
    assert incident.since == harness.now + 3
    assert "not enough money" in incident.evidence
    with harness.session() as session:
        report_refusals(session, {}, harness.now + 5)
    opened, resolved = told(harness, ActivityKind.INCIDENT_OPENED, ActivityKind.INCIDENT_RESOLVED)
    assert ("no such market" in str(opened.reason), resolved.reason) == (True, incident.evidence)


def test_more_incidents_than_one_write_takes_are_told_by_the_next_runs(
    harness: TradingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botbalance.trading.incidents.MOST_TOLD_AT_ONCE", 2)
    intents = [harness.intent(f"{asset}USDT", limit_price="1", base_qty="1") for asset in ("BTC", "ETH", "XRP")]
    for told_by_then in (2, 3, 3):
        with harness.session() as session:
            report_orders(session, intents, harness.now + 400)
        assert len(incidents(harness)) == told_by_then
        assert len(harness.context.accounts.find_state(harness.user).incidents) == told_by_then


def test_an_order_whose_fills_fit_into_no_item_is_its_owner_s_to_resolve_and_keeps_no_other_from_being_traded(
    harness: TradingHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    harness.tick()
    order = harness.order_on("BTCUSDT")
    monkeypatch.setattr("botbalance.store.orders.LARGEST_DOCUMENT", len(order.model_dump_json()) + 100)
    harness.market.set_price("BTCUSDT", D(39_000))
    for _ in range(2):
        decision = harness.tick()
        assert decision.outcome == "decided"
        assert "BTCUSDT" in (decision.inputs or {})["active_symbols"]
        totals = harness.context.accounts.find_state(harness.user).fill_totals
        assert totals is not None
        assert "BTC" not in totals.get("binance", {})
    name = f"order_lost:{order.client_order_id}"
    assert incidents(harness) == [("opened", name)]
    assert [record.__dict__.get("alarm") for record in caplog.records].count("order_too_large") == 1
    resolved = resolve_order(harness.context, harness.user, order.client_order_id, None, None)
    assert (resolved.status, resolved.resolved_by) == (OrderStatus.CANCELED, harness.user)
    harness.tick()
    assert incidents(harness) == [("opened", name), ("resolved", name)]


def test_an_order_that_fits_after_all_is_booked_within_the_hour(
    harness: TradingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.tick()
    order = harness.order_on("BTCUSDT")
    monkeypatch.setattr("botbalance.store.orders.LARGEST_DOCUMENT", len(order.model_dump_json()) + 100)
    harness.market.set_price("BTCUSDT", D(39_000))
    harness.tick()
    assert harness.order_on("BTCUSDT").reason == "order_too_large"
    monkeypatch.undo()
    harness.tick(3_600)
    assert harness.differences() == []
