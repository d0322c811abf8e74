"""Orders of which the exchange says something surprising, or nothing any more."""

import json
from decimal import Decimal

import pytest
from botbalance.engine import Action
from botbalance.errors import ConflictError, InvalidRequestError, NotFoundError, RateLimitedError
from botbalance.models.account_state import FillTotals
from botbalance.models.exchange_key import ExchangeKey
from botbalance.models.order import Order, OrderStatus
from botbalance.trading.autopilot import emergency_stop
from botbalance.trading.credentials import FATE_KNOWN_AFTER_S, delete_key, store_key
from botbalance.trading.execute import execute_once
from botbalance.trading.orders import cancel_by_hand, cancel_one, list_orders, resolve_order
from botbalance.trading.placement import place_actions
from botbalance.trading.preflight import CheckStatus, check_account
from botbalance.trading.reconcile import reconcile
from botbalance.trading.session import open_session

from tests.integration.exchange.fake_exchanges import CLIENT_ID, OPEN, _bybit, _bybit_order, run_stand_in
from tests.integration.exchange.life_cycle_replies import LIVES
from tests.integration.exchange.simulated import running_exchange
from tests.integration.trading.harness import TradingHarness
from workbench.faults.kinds import FaultKind, Where

D = Decimal


def test_a_post_only_order_that_bybit_rejects_after_it_acknowledged_it_is_over(
    harness: TradingHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    strategy = harness.set_strategy({"BTC": "50", "USDT": "50"}, exchange="bybit", autopilot=False)
    key = ExchangeKey(f"bybit-key-of-{harness.user}", "secret")
    harness.services.credentials.save(harness.user, "bybit", key, harness.now)
    with running_exchange() as exchange, run_stand_in(exchange, "bybit") as (door, adapter):
        monkeypatch.setattr(harness.context.clients, "get_with_key", lambda *_: adapter)
        monkeypatch.setattr(harness.context.portfolio, "load_markets", lambda *_: {})
        life = LIVES["bybit"]
        door.replies[life.place] = (200, life.placed)
        action = Action("BTCUSDT", "buy", D(39_000), D("0.01"), D(390), D(39_200), D(390), capped=False)
        with open_session(harness.context, harness.user) as session:
            (order,) = place_actions(
                session,
                strategy,
                [action],
                {"BTCUSDT": adapter._known["BTCUSDT"].rules},
                ts_tick=harness.now,
                source="autopilot",
                prices_expire_at=harness.now,
            ).orders
        assert order.status is OrderStatus.OPEN
        reply = json.loads(json.dumps(_bybit_order(OPEN)).replace(CLIENT_ID, order.client_order_id))
        rejected = reply | {"orderStatus": "Rejected", "rejectReason": "EC_PostOnlyWillTakeLiquidity"}
        door.replies["GET /v5/order/realtime"] = (200, _bybit([]))
        door.replies["GET /v5/order/history"] = (200, _bybit([rejected | {"leavesQty": "0"}]))
        harness.now += 30
        with open_session(harness.context, harness.user) as session:
            looked = reconcile(session, {"bybit": []})
            assert looked.blocked_symbols() == {"BTCUSDT"}, "it has just changed"
            assert reconcile(session, {"bybit": []}).blocked_symbols() == set()
        (booked,) = harness.orders()
        assert booked.status is OrderStatus.REJECTED
        assert not booked.is_unreconciled
        assert booked.reason == "order_immediately_fillable: EC_PostOnlyWillTakeLiquidity"
        assert [record for record in caplog.records if "alarm" in record.__dict__] == []
        assert cancel_by_hand(harness.context, harness.user) == []
        delete_key(harness.context, harness.user, "bybit")


# an order that rested and that the exchange knows no more


@pytest.fixture
def lost(harness: TradingHarness) -> Order:
    """One that two look-ups have not found."""
    harness.set_strategy(autopilot=False)
    intent = harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502", ts_tick=harness.now - 30)
    harness.create(intent, status=OrderStatus.OPEN, exchange_order_id="4711")
    for _ in range(2):
        harness.now += 30
        list_orders(harness.context, harness.user, limit=5, cursor=None)
    order = harness.order_on("BTCUSDT")
    assert (order.status, order.reason) == (OrderStatus.OPEN, "not_on_exchange")
    return order


def test_what_is_refused_because_of_a_lost_order_names_it_and_the_way_out(harness: TradingHarness, lost: Order) -> None:
    way_out = f"POST orders/{lost.client_order_id}/resolve/"
    with pytest.raises(ConflictError, match=way_out):
        cancel_one(harness.context, harness.user, lost.client_order_id)
    with pytest.raises(ConflictError, match=way_out):
        cancel_by_hand(harness.context, harness.user)
    with pytest.raises(ConflictError, match=way_out):
        delete_key(harness.context, harness.user, "binance")
    stopped = emergency_stop(harness.context, harness.user)
    assert way_out in str(stopped.not_canceled()[lost.client_order_id])


def test_its_owner_s_word_that_it_was_cancelled_ends_it(harness: TradingHarness, lost: Order) -> None:
    harness.now += 7
    resolved = resolve_order(harness.context, harness.user, lost.client_order_id, None, None)
    assert (resolved.status, resolved.reason) == (OrderStatus.CANCELED, "resolved_by_owner")
    assert (resolved.resolved_by, resolved.resolved_at) == (harness.user, harness.now)
    assert (resolved.filled_qty, len(resolved.fills)) == (D(0), 0)
    assert harness.context.orders.unreconciled(harness.user) == []
    delete_key(harness.context, harness.user, "binance")


@pytest.mark.parametrize(("filled", "status"), [("0.00502", "FILLED"), ("0.002", "CANCELED")])
def test_its_owner_s_word_that_it_was_filled_books_the_fill(
    harness: TradingHarness, lost: Order, filled: str, status: str
) -> None:
    resolved = resolve_order(harness.context, harness.user, lost.client_order_id, D(filled), D("39840.5"))
    assert resolved.status == status
    assert resolved.filled_qty == resolved.fills_qty == D(filled)
    assert [(fill.price, fill.fee) for fill in resolved.fills] == [(D("39840.5"), D(0))]
    assert harness.context.orders.unreconciled(harness.user) == []
    assert harness.context.accounts.find_state(harness.user).fill_totals == {
        "binance": {"BTC": FillTotals(fills=1, net={"BTC": D(filled), "USDT": -D(filled) * D("39840.5")})}
    }


@pytest.mark.parametrize("filled", ["0.00503", "-1"])
def test_a_word_that_cannot_be_is_refused(harness: TradingHarness, lost: Order, filled: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"from 0, which the exchange has told of, to 0\.00502"):
        resolve_order(harness.context, harness.user, lost.client_order_id, D(filled), D(39_840))
    assert harness.order_on("BTCUSDT") == lost


def test_a_key_that_does_not_know_an_order_of_unknown_fate_waits_until_it_is_known(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)
    harness.create(harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502"))
    harness.books.open_account("key-of-nobody", "secret", {"USDT": D(5)})
    other = ExchangeKey("key-of-nobody", "secret")
    with pytest.raises(ConflictError, match=r"fate is not known; try again in \d+ s"):
        store_key(harness.context, harness.user, "binance", other)
    harness.now += FATE_KNOWN_AFTER_S
    store_key(harness.context, harness.user, "binance", other)


@pytest.fixture
def filled_and_lost(harness: TradingHarness) -> Order:
    """One that was said to be filled before its market went; nobody has told of its trades."""
    harness.set_strategy(autopilot=False)
    intent = harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502", ts_tick=harness.now - 30)
    harness.create(intent, status=OrderStatus.FILLED, exchange_order_id="4711", filled_qty=D("0.00502"))
    for _ in range(2):
        harness.now += 30
        list_orders(harness.context, harness.user, limit=5, cursor=None)
    return harness.order_on("BTCUSDT")


def test_an_order_that_ended_and_whose_trades_nobody_tells_is_named_and_asked_of_once_an_hour(
    harness: TradingHarness, filled_and_lost: Order, caplog: pytest.LogCaptureFixture
) -> None:
    assert filled_and_lost.is_lost
    alarms = [record.__dict__["alarm"] for record in caplog.get_records("setup") if "alarm" in record.__dict__]
    assert alarms == ["not_on_exchange"]
    (incident,) = harness.context.accounts.find_state(harness.user).incidents.values()
    assert f"POST orders/{filled_and_lost.client_order_id}/resolve/" in incident.evidence
    list_orders(harness.context, harness.user, limit=5, cursor=None)  # when to ask again is noted
    before = len(harness.asked("GET"))
    for _ in range(10):
        harness.now += 30
        list_orders(harness.context, harness.user, limit=5, cursor=None)
    assert len(harness.asked("GET")) == before
    harness.now += 3600
    list_orders(harness.context, harness.user, limit=5, cursor=None)
    assert len(harness.asked("GET")) == before + 1


def test_its_owner_s_word_has_to_be_for_all_that_was_filled(harness: TradingHarness, filled_and_lost: Order) -> None:
    name = filled_and_lost.client_order_id
    with pytest.raises(InvalidRequestError, match="price is missing"):
        resolve_order(harness.context, harness.user, name, None, None)
    with pytest.raises(InvalidRequestError, match=r"from 0\.00502, which the exchange has told of"):
        resolve_order(harness.context, harness.user, name, D("0.002"), D(39_840))
    resolved = resolve_order(harness.context, harness.user, name, D("0.00502"), D(39_840))
    assert (resolved.status, resolved.fills_qty, resolved.is_unreconciled) == (OrderStatus.FILLED, D("0.00502"), False)


def test_it_is_booked_as_ever_where_the_exchange_tells_of_it_again(harness: TradingHarness) -> None:
    harness.tick()
    order = harness.order_on("BTCUSDT")
    harness.books.fill_now(harness.key, int(order.exchange_order_id or 0), whole=True)
    lost = {"status": OrderStatus.FILLED, "filled_qty": order.base_qty, "reason": "not_on_exchange"}
    with harness.session() as session:
        assert session.update_order(order, order.model_copy(update=lost)).is_lost
    harness.tick()
    told = harness.context.orders.get(harness.user, order.client_order_id)
    assert (told.reason, told.fills_complete, told.is_unreconciled) == (None, True, False)


def test_an_order_that_the_exchange_still_tells_of_is_not_resolved(harness: TradingHarness) -> None:
    harness.tick()
    order = harness.order_on("BTCUSDT")
    with pytest.raises(ConflictError) as raised:
        resolve_order(harness.context, harness.user, order.client_order_id, None, None)
    assert raised.value.code == "order_not_lost"
    with pytest.raises(NotFoundError):
        resolve_order(harness.context, harness.user, "0" * 20, None, None)


def test_a_lost_order_is_an_item_of_the_check(harness: TradingHarness, lost: Order) -> None:
    found = [item for item in check_account(harness.context, harness.user) if item.name == "lost_orders"]
    assert [item.verdict for item in found] == [CheckStatus.WARN]
    assert lost.client_order_id in found[0].found
    assert f"POST orders/{lost.client_order_id}/resolve/" in (found[0].remedy or "")


def test_a_look_at_orders_of_whoever_has_the_autopilot_off_alarms_for_the_lost_one_and_books_the_others(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is decided, placed or cancelled by that, and no decision is logged."""
    harness.set_strategy({"ETH": "50", "USDT": "50"}, autopilot=False)
    execute_once(harness.context, harness.user)
    intent = harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502", ts_tick=harness.now - 30)
    lost = harness.create(intent, status=OrderStatus.OPEN, exchange_order_id="4711")
    (resting,) = [order for order in harness.orders() if order.symbol == "ETHUSDT"]
    harness.books.fill_now(harness.key, int(resting.exchange_order_id or 0), whole=True)
    before = len(harness.asked("POST"))
    for _ in range(2):
        harness.now += 3600
        assert harness.work(json.dumps({"ts_tick": harness.now, "users": {harness.user: 0}})) == []
    told = [record.__dict__ for record in caplog.records if record.__dict__.get("alarm") == "not_on_exchange"]
    assert [alarm["client_order_id"] for alarm in told] == [lost.client_order_id]
    assert {order.symbol: order.status for order in harness.orders()} == {
        "BTCUSDT": OrderStatus.OPEN,
        "ETHUSDT": OrderStatus.FILLED,
    }
    assert len(harness.asked("POST")) == before
    assert harness.asked("DELETE") == []
    assert harness.context.decisions.page(harness.user, limit=5).decisions == []


def test_a_limit_of_an_exchange_that_is_not_traded_on_now_ends_no_look_at_orders(harness: TradingHarness) -> None:
    harness.set_strategy({"ETH": "50", "USDT": "50"}, autopilot=False)
    execute_once(harness.context, harness.user)
    harness.injector.script(FaultKind.LIMITED, Where.FIND_ORDER)
    with open_session(harness.context, harness.user) as session:
        looked = reconcile(session, {})
    assert (looked.orders, looked.unsettled, looked.changed) == (looked.found, looked.found, True)
    harness.now += 60
    harness.injector.script(FaultKind.LIMITED, Where.FIND_ORDER)
    with open_session(harness.context, harness.user) as session, pytest.raises(RateLimitedError):
        reconcile(session, {"binance": []})
