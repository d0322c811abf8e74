"""Orders of which the exchange says something surprising, or nothing any more."""

import json
from decimal import Decimal

import pytest
from botbalance.engine import Action
from botbalance.errors import BotBalanceError, ConflictError, InvalidRequestError, NotFoundError, RateLimitedError
from botbalance.models.account_state import FillTotals
from botbalance.models.exchange_key import ExchangeKey
from botbalance.models.order import Order, OrderStatus
from botbalance.trading.autopilot import emergency_stop
from botbalance.trading.credentials import FATE_KNOWN_AFTER_S, delete_key, store_key
from botbalance.trading.execute import execute_once
from botbalance.trading.orders import cancel_by_hand, cancel_one, list_orders, resolve_order
from botbalance.trading.preflight import CheckStatus, check_account
from botbalance.trading.rebalance import place_actions
from botbalance.trading.reconcile import reconcile
from botbalance.trading.session import open_session

from tests.integration.exchange.fake_exchanges import CLIENT_ID, OPEN, _bybit, _bybit_order, run_stand_in
from tests.integration.exchange.life_cycle_replies import LIVES
from tests.integration.exchange.simulated import running_exchange
from tests.integration.trading.harness import DAY_S, ORDER_PATH, TradingHarness
from workbench.faults.kinds import FaultKind, Where
from workbench.simulated_exchange.binance_api import Reply, Request

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


# an order that can be looked up no more


def look(harness: TradingHarness, seconds: int) -> Order:
    """Go on, have what rests looked after, and return the one order there is."""
    harness.now += seconds
    list_orders(harness.context, harness.user, limit=5, cursor=None)
    return harness.order_on("BTCUSDT")


@pytest.fixture
def answers(harness: TradingHarness) -> dict[str, Reply]:
    """What the exchange answers to GET, by path, instead of the truth."""
    replies: dict[str, Reply] = {}
    original = harness.exchange.answer

    def answer(request: Request) -> Reply:
        truth = original(request)
        return replies.get(request.path, truth) if request.method == "GET" else truth

    harness.exchange.answer = answer  # type: ignore[method-assign]
    return replies


def resting_out_of_sight(harness: TradingHarness, answers: dict[str, Reply]) -> Order:
    """An order of the autopilot, which is off since, as it was before its first look-up failed."""
    harness.tick()
    order = harness.order_on("BTCUSDT")
    harness.set_strategy(autopilot=False)
    answers |= {ORDER_PATH: Reply(503, ""), "/api/v3/openOrders": Reply(200, "[]")}
    look(harness, 30)
    return order


@pytest.mark.parametrize("status", [OrderStatus.OPEN, OrderStatus.PENDING])
def test_an_order_whose_look_ups_fail_for_a_day_is_its_owner_s_to_resolve(
    harness: TradingHarness, answers: dict[str, Reply], caplog: pytest.LogCaptureFixture, status: OrderStatus
) -> None:
    harness.set_strategy(autopilot=False)
    intent = harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502", ts_tick=harness.now - 30)
    order = harness.create(intent, reason="it got no answer", status=status)
    answers[ORDER_PATH] = Reply(503, "")
    assert not look(harness, 30).is_lost
    assert not look(harness, DAY_S - 30).is_lost
    with pytest.raises(ConflictError, match="no longer tells of"):
        resolve_order(harness.context, harness.user, order.client_order_id, None, None)
    assert look(harness, 30).is_lost
    alarms = [record.__dict__.get("alarm") for record in caplog.records]
    assert alarms.count("look_ups_fail") == 1
    (incident,) = harness.context.accounts.find_state(harness.user).incidents.values()
    assert "could not be looked up on binance for a day" in incident.evidence
    way_out = f"POST orders/{order.client_order_id}/resolve/"
    assert way_out in incident.evidence
    with pytest.raises(ConflictError, match=way_out):
        cancel_by_hand(harness.context, harness.user)
    with pytest.raises(ConflictError, match=way_out):
        delete_key(harness.context, harness.user, "binance")
    (item,) = [item for item in check_account(harness.context, harness.user) if item.name == "lost_orders"]
    assert "could not be looked up on binance for a day" in item.found
    resolved = resolve_order(harness.context, harness.user, order.client_order_id, None, None)
    assert (resolved.status, resolved.is_unreconciled) == (OrderStatus.CANCELED, False)
    delete_key(harness.context, harness.user, "binance")


def test_it_is_asked_of_once_an_hour_then(harness: TradingHarness, answers: dict[str, Reply]) -> None:
    harness.set_strategy(autopilot=False)
    harness.create(harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502"), status=OrderStatus.OPEN)
    answers[ORDER_PATH] = Reply(503, "")
    look(harness, 30)
    assert look(harness, DAY_S).is_lost
    before = len(harness.asked("GET"))
    for _ in range(10):
        look(harness, 30)
    assert len(harness.asked("GET")) == before
    look(harness, 3600)
    assert len(harness.asked("GET")) > before


def test_one_look_up_that_is_answered_ends_the_row(harness: TradingHarness, answers: dict[str, Reply]) -> None:
    harness.tick()
    harness.set_strategy(autopilot=False)
    reply = {ORDER_PATH: Reply(503, ""), "/api/v3/openOrders": Reply(200, "[]")}
    answers |= reply
    assert look(harness, 30).untold_since == harness.now
    answers.clear()
    assert look(harness, DAY_S).untold_since is None
    answers |= reply
    assert not look(harness, 30).is_lost
    assert look(harness, DAY_S).is_lost
    answers.clear()
    found = look(harness, 3600)
    assert (found.status, found.reason, found.is_lost, found.untold_since) == (OrderStatus.OPEN, None, False, None)


def test_one_that_was_lost_so_and_is_not_found_then_was_never_placed(
    harness: TradingHarness, answers: dict[str, Reply]
) -> None:
    harness.set_strategy(autopilot=False)
    harness.create(harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502"))
    answers[ORDER_PATH] = Reply(503, "")
    look(harness, 30)
    assert look(harness, DAY_S).is_lost
    answers.clear()
    assert (look(harness, 3600).reason, look(harness, 30).reason) == (None, "never_placed")


@pytest.mark.parametrize("whole", [True, False])
def test_its_exchange_is_asked_once_more_before_its_owner_s_word_counts(
    harness: TradingHarness, answers: dict[str, Reply], whole: bool
) -> None:
    """It is reachable again, and nobody has looked since: the order rests, or has filled meanwhile."""
    order = resting_out_of_sight(harness, answers)
    assert look(harness, DAY_S).is_lost
    if whole:
        harness.books.fill_now(harness.key, int(order.exchange_order_id or 0), whole=True)
    answers.clear()
    with pytest.raises(ConflictError) as raised:
        resolve_order(harness.context, harness.user, order.client_order_id, None, None)
    assert raised.value.code == "order_not_lost"
    booked = harness.order_on("BTCUSDT")
    assert (booked.fills_qty, booked.resolved_by) == (order.base_qty if whole else D(0), None)


def test_failed_look_ups_do_not_count_for_trades_that_are_missing_then(
    harness: TradingHarness, answers: dict[str, Reply]
) -> None:
    order = resting_out_of_sight(harness, answers)
    look(harness, 7200)
    harness.books.fill_now(harness.key, int(order.exchange_order_id or 0), whole=True)
    answers.clear()
    answers["/api/v3/myTrades"] = Reply(200, "[]")
    told = look(harness, 30)
    assert (told.status, told.is_lost, told.untold_since) == (OrderStatus.FILLED, False, harness.now)
    answers.clear()
    assert look(harness, 30).fills_complete


def test_a_cancel_that_cannot_be_read_back_counts_as_a_look_up(
    harness: TradingHarness, answers: dict[str, Reply]
) -> None:
    harness.set_strategy(autopilot=False)
    harness.create(harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502"), status=OrderStatus.OPEN)
    answers[ORDER_PATH] = Reply(503, "")
    with pytest.raises(BotBalanceError):
        cancel_by_hand(harness.context, harness.user)
    assert harness.order_on("BTCUSDT").untold_since == harness.now


# an order that filled, and whose trades are never told


def test_an_order_whose_trades_are_not_told_is_asked_of_ever_more_rarely_and_named_after_an_hour(
    harness: TradingHarness, answers: dict[str, Reply], caplog: pytest.LogCaptureFixture
) -> None:
    harness.tick()
    order = harness.order_on("BTCUSDT")
    harness.books.fill_now(harness.key, int(order.exchange_order_id or 0), whole=True)
    harness.set_strategy(autopilot=False)
    answers["/api/v3/myTrades"] = Reply(200, "[]")
    began, asked = harness.now + 30, []
    for moment in (0, 30, 570, 600, 630, 1170, 1200, 1800, 2400, 3000, 3570, 3600, 3630, 7170, 7200):
        before = len(harness.requests_to("/myTrades"))
        seen = look(harness, began + moment - harness.now)
        if len(harness.requests_to("/myTrades")) > before:
            asked.append(moment)
        assert seen.is_lost == (moment >= 3600)
    assert asked == [0, 30, 570, 600, 1200, 1800, 2400, 3000, 3600, 7200]
    assert (seen.status, seen.reason, seen.is_lost) == (OrderStatus.FILLED, "trades_not_told", True)
    assert [record.__dict__.get("alarm") for record in caplog.records].count("trades_not_told") == 1
    (incident,) = harness.context.accounts.find_state(harness.user).incidents.values()
    assert "does not tell its trades" in incident.evidence
    answers.clear()
    told = look(harness, 3600)
    assert (told.reason, told.fills_complete, told.untold_since, told.is_unreconciled) == (None, True, None, False)


def test_its_owner_can_say_what_its_fills_were(harness: TradingHarness, answers: dict[str, Reply]) -> None:
    harness.tick()
    order = harness.order_on("BTCUSDT")
    harness.books.fill_now(harness.key, int(order.exchange_order_id or 0), whole=True)
    harness.set_strategy(autopilot=False)
    answers["/api/v3/myTrades"] = Reply(200, "[]")
    look(harness, 30)
    look(harness, 3600)
    resolved = resolve_order(harness.context, harness.user, order.client_order_id, order.base_qty, D(39_840))
    assert (resolved.status, resolved.fills_complete, resolved.is_unreconciled) == (OrderStatus.FILLED, True, False)


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
    assert harness.context.decisions.page(harness.user, limit=5).items == []


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
