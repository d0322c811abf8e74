"""Whoever says stop is answered, and after that nothing is sent: the owner, the operator, and a change of exchange."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botbalance.errors import ConflictError, TransientError
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.models.exchange_key import ExchangeKey
from botbalance.models.order import OrderStatus
from botbalance.store.operator import HALT_SETTING
from botbalance.trading.autopilot import emergency_stop, switch_autopilot
from botbalance.trading.credentials import delete_key
from botbalance.trading.execute import execute_once
from botbalance.trading.orders import cancel_by_hand
from botbalance.trading.strategy import patch_strategy
from botbalance.trading.tick import strategy_tick

from tests.integration.trading.harness import Process, TradingHarness
from workbench.faults.kinds import FaultKind, Where
from workbench.simulated_exchange.binance_api import Request

D = Decimal


def once_at_the_first_order(harness: TradingHarness, act: Callable[[], object]) -> None:
    """``act`` when the exchange has the first order, and not yet answered."""

    def on_request(request: Request) -> None:
        if request.method == "POST":
            harness.on_request = lambda _: None
            act()

    harness.on_request = on_request


def as_another_exchange(process: Process) -> None:
    """Let the simulated exchange answer for okx, too, as another account of the same owner."""
    connect = process.connect

    def connect_any(exchange: str, user_id: str | None = None, key: ExchangeKey | None = None) -> CcxtAdapter:
        adapter = connect("binance", user_id, key)
        adapter.exchange = exchange
        return adapter

    process.connect = connect_any  # type: ignore[method-assign]


def another_account(harness: TradingHarness) -> None:
    key = f"okx-key-of-{harness.user}"
    harness.books.open_account(key, "okx-secret", {"USDT": D(10_000)})
    harness.services.credentials.save(harness.user, "okx", ExchangeKey(key, "okx-secret"), harness.now)


# switched off, changed, halted


def test_no_order_goes_out_after_the_autopilot_was_switched_off(harness: TradingHarness) -> None:
    other = harness.another_process()
    once_at_the_first_order(harness, lambda: switch_autopilot(other.context, harness.user, enabled=False))
    decision = harness.tick()
    assert len(harness.asked("POST")) == len(harness.orders()) == len(decision.placed) == 1
    assert "the strategy was changed" in (decision.reason or "")


def test_no_order_goes_out_after_the_strategy_was_changed(harness: TradingHarness) -> None:
    other = harness.another_process()

    changed = other.context.strategies.get(harness.user).model_copy(update={"order_size_pct": D(1)})
    once_at_the_first_order(harness, lambda: other.context.strategies.save(changed))
    assert len(harness.tick().placed) == len(harness.asked("POST")) == 1


def test_an_execution_sends_nothing_after_the_strategy_was_changed_either(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)
    other = harness.another_process()
    once_at_the_first_order(harness, lambda: other.context.strategies.save(other.context.strategies.get(harness.user)))
    execution = execute_once(harness.context, harness.user)
    assert [order.symbol for order in execution.orders] == ["BTCUSDT"]
    assert execution.stopped_by is not None
    assert execution.stopped_by.code == "strategy_changed"
    assert len(execution.not_placed) == 2


@pytest.fixture
def halt(harness: TradingHarness) -> Any:
    """Halts trading for everybody; ends with the test."""
    table = harness.services.settings.operator_table
    database = boto3.client("dynamodb", endpoint_url=harness.services.settings.dynamodb_endpoint)
    item: Any = {"setting": {"S": HALT_SETTING}, "reason": {"S": "stop everything"}}
    yield lambda: database.put_item(TableName=table, Item=item)
    database.delete_item(TableName=table, Key={"setting": item["setting"]})


def test_no_order_goes_out_after_the_halt(harness: TradingHarness, halt: Callable[[], object]) -> None:
    """Of all the users of a message, one order at most is in flight when it comes."""
    users = [f"{harness.user}-{number}" for number in range(4)]
    for user in users:
        harness.open_account(user, {"USDT": D(10_000)})
        harness.set_strategy(user=user)
    once_at_the_first_order(harness, halt)
    harness.now += 30
    assert harness.work(harness.message(*users)) == []
    in_flight = harness.services.settings.work_threads
    assert 1 <= len(harness.asked("POST")) <= in_flight
    assert sum(len(harness.orders(user)) for user in users) == len(harness.asked("POST"))
    assert all(len(harness.orders(user)) <= 1 for user in users)


# the exchange changes, the key goes


def test_the_exchange_cannot_be_changed_beside_a_tick(harness: TradingHarness) -> None:
    """Its orders would rest on the old one, and nobody would ask what became of them."""
    api = harness.another_process()
    as_another_exchange(api)
    another_account(harness)
    refused: list[str] = []

    def change() -> None:
        stored = api.context.strategies.get(harness.user)
        with pytest.raises(ConflictError) as raised:
            patch_strategy(api.context, harness.user, {"exchange": "okx"}, stored)
        refused.append(raised.value.code)

    once_at_the_first_order(harness, change)
    assert len(harness.tick().placed) == 3
    assert refused == ["account_busy"]
    assert harness.context.strategies.get(harness.user).exchange == "binance"


def test_a_tick_that_comes_while_the_exchange_is_changed_places_nothing_on_the_old_one(harness: TradingHarness) -> None:
    api = harness.another_process()
    as_another_exchange(api)
    another_account(harness)
    decisions = []

    def tick_meanwhile(boundary: str) -> None:
        if boundary == "after GET /api/v3/account":
            api.on_boundary = lambda _: None
            decisions.append(strategy_tick(harness.context, job, harness.now + 30))

    job = harness.job()
    api.on_boundary = tick_meanwhile
    stored = api.context.strategies.get(harness.user)
    assert patch_strategy(api.context, harness.user, {"exchange": "okx"}, stored).strategy.exchange == "okx"
    assert [decision.reason_code for decision in decisions if decision is not None] == ["account_busy"]
    assert harness.orders() == []


def test_orders_of_an_exchange_that_the_strategy_has_left_are_booked_all_the_same(harness: TradingHarness) -> None:
    harness.tick()
    another_account(harness)
    harness.services = harness.another_process()
    as_another_exchange(harness.services)
    stored = harness.context.strategies.get(harness.user)
    harness.context.strategies.save(stored.model_copy(update={"exchange": "okx"}))  # as nothing of ours does any more
    harness.market.set_price("BTCUSDT", D(39_500))
    harness.tick()
    booked = {order.symbol: order.status for order in harness.orders() if order.exchange == "binance"}
    assert booked == {"BTCUSDT": OrderStatus.FILLED, "ETHUSDT": OrderStatus.OPEN, "XRPUSDT": OrderStatus.OPEN}


def test_a_key_is_not_deleted_while_one_of_its_orders_may_trade_whatever_the_strategy_says(
    harness: TradingHarness,
) -> None:
    harness.tick()
    stored = harness.context.strategies.get(harness.user)
    harness.context.strategies.save(stored.model_copy(update={"exchange": "okx"}))
    with pytest.raises(ConflictError) as raised:
        delete_key(harness.context, harness.user, "binance")
    assert raised.value.code == "orders_resting"
    assert all(order.client_order_id in str(raised.value) for order in harness.orders())


# the stop


def test_a_stop_waits_no_longer_than_it_can_still_cancel(harness: TradingHarness) -> None:
    """The other run ends after ten seconds of the function's 29: five are left for the cancels, which is enough."""
    harness.tick()
    started = harness.now
    lease, state = harness.context.accounts.acquire(harness.user, harness.now)
    released = False
    process = harness.another_process()

    def sleep(seconds: float) -> None:
        nonlocal released
        harness.now += int(seconds)
        if not released and harness.now - started >= 10:
            released = True
            harness.context.accounts.release(lease, state)

    process._sleep = sleep
    result = emergency_stop(process.with_deadline(29_000), harness.user)
    assert harness.now - started == 10
    assert harness.books.open_orders(harness.key) == []
    assert (result.not_canceled(), {order.status for order in result.orders}) == ({}, {OrderStatus.CANCELED})


def test_what_a_stop_cannot_cancel_is_named_and_cancelled_by_the_next_tick_although_the_autopilot_is_off(
    harness: TradingHarness,
) -> None:
    harness.tick()
    started = harness.now
    harness.context.accounts.acquire(harness.user, harness.now)
    process = harness.another_process()

    def sleep(seconds: float) -> None:
        harness.now += int(seconds)

    process._sleep = sleep
    result = emergency_stop(process.with_deadline(29_000), harness.user)
    assert harness.now - started < 29
    assert {error.code for error in result.not_canceled().values()} == {"account_busy"}
    assert len(result.not_canceled()) == 3

    strategy = harness.context.strategies.get(harness.user)
    assert (strategy.autopilot_enabled, strategy.stopping) == (False, True)
    assert harness.user in dict(harness.context.strategies.users_to_tick())
    decision = harness.tick(seconds=90)
    assert (decision.outcome, set(decision.canceled.values())) == ("skipped", {"stopping"})
    assert harness.books.open_orders(harness.key) == []
    assert harness.user not in dict(harness.context.strategies.users_to_tick())


def tick_on_halt(harness: TradingHarness) -> object:
    harness.now += 30
    return strategy_tick(harness.context, replace(harness.job(), halt="because"), harness.now)


STOPS: dict[str, Callable[[TradingHarness], object]] = {
    "stop": lambda harness: emergency_stop(harness.context, harness.user),
    "cancel all": lambda harness: cancel_by_hand(harness.context, harness.user),
    "halt": tick_on_halt,
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_all_cancels_are_sent_before_any_order_is_read_back(
    harness: TradingHarness, stop: Callable[[TradingHarness], object]
) -> None:
    harness.tick()
    harness.requests.clear()
    stop(harness)
    methods = [request.method for request in harness.signed() if request.path == "/api/v3/order"]
    assert methods[:3] == ["DELETE"] * 3
    assert harness.books.open_orders(harness.key) == []


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
@pytest.mark.parametrize(
    ("kind", "where"),
    [
        (FaultKind.LIMITED, Where.FIND_ORDER),
        (FaultKind.SERVER_ERROR, Where.FIND_ORDER),
        (FaultKind.NOT_RECEIVED, Where.CANCEL_ORDER),
    ],
    ids=str,
)
def test_whatever_one_order_meets_the_others_are_cancelled(
    harness: TradingHarness, stop: Callable[[TradingHarness], object], kind: FaultKind, where: Where
) -> None:
    harness.tick()
    harness.injector.script(kind, where, about="BTCUSDT", times=9)
    with suppress(TransientError):  # cancel-all tells what an order met after the others
        stop(harness)
    resting = [order.symbol for order in harness.books.open_orders(harness.key)]
    assert resting == (["BTCUSDT"] if where is Where.CANCEL_ORDER else [])
