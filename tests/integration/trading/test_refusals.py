"""What the exchange definitely refuses is final, and one user's trouble stops nobody else."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from botbalance import bootstrap
from botbalance.store.orders import OrderStatus
from botbalance.store.strategies import Strategy
from botbalance.trading.placement import place_actions
from botbalance.trading.plan import Plan, preview
from botbalance.trading.strategy import switch_autopilot
from tick import work

from tests.integration.trading.world import TEN_THOUSAND_USDT, World
from workbench.lambda_runtime import InvocationContext


@pytest.fixture
def wired(world: World) -> Iterator[World]:
    """The functions' own services are this world's."""
    bootstrap.use(world.services)
    yield world
    bootstrap.use(None)


def deliver(world: World, ts_tick: int, *users: str) -> Any:
    """A message of the queue, to the worker that is deployed."""
    record = {
        "messageId": "1",
        "receiptHandle": "1",
        "body": json.dumps({"ts_tick": ts_tick, "user_ids": users}),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:TickQueue",
        "awsRegion": "us-east-1",
    }
    return work.lambda_handler({"Records": [record]}, InvocationContext("work"))  # type: ignore[arg-type]


def place(world: World, plan: Plan) -> list[Any]:
    account = world.desk.accounts.of(world.user, "binance")
    return place_actions(
        world.desk,
        account,
        plan.strategy,
        plan.evaluation.actions,
        plan.snapshot.rules,
        ts_tick=world.now,
        source="autopilot",
    ).orders


def test_a_revoked_key_switches_the_autopilot_off_with_the_reason_and_affects_nobody_else(wired: World) -> None:
    world, neighbour = wired, f"{wired.user}-neighbour"
    world.open_account(neighbour, TEN_THOUSAND_USDT)
    world.set_strategy(user=neighbour)
    world.tick()
    world.books.revoke_key(world.key)
    world.now += 30

    answer = deliver(world, world.now, world.user, neighbour)

    assert answer == {"batchItemFailures": []}
    strategy: Strategy = world.desk.strategies.get(world.user)
    assert not strategy.autopilot_enabled
    assert "API key" in (strategy.disabled_reason or "")
    assert "switched off" in (world.desk.decisions.get(world.user, world.now).reason or "")
    assert world.user not in world.desk.strategies.users_on_autopilot()
    assert world.desk.strategies.get(neighbour).autopilot_enabled
    assert len(world.orders(neighbour)) == len(world.booked(neighbour)) == 3


def test_switching_on_again_after_a_refused_key_takes_a_key_that_works(wired: World) -> None:
    world = wired
    world.books.revoke_key(world.key)
    world.tick()
    with pytest.raises(Exception, match="API key"):
        switch_autopilot(world.desk, world.user, enabled=True)
    world.books.open_account(world.key, f"secret-of-{world.user}", TEN_THOUSAND_USDT)
    strategy = switch_autopilot(world.desk, world.user, enabled=True)
    assert strategy.autopilot_enabled
    assert strategy.disabled_reason is None


def test_a_key_that_may_read_but_not_trade_switches_the_autopilot_off_at_the_first_order(newcomer: World) -> None:
    world = newcomer
    world.open_account(world.user, TEN_THOUSAND_USDT)
    world.set_strategy()
    account = world.books.account(world.key)
    assert account is not None
    account.can_trade = False

    decision = world.tick()

    assert "refuses the API key" in (decision.reason or "")
    assert not world.desk.strategies.get(world.user).autopilot_enabled
    (order,) = world.orders()
    assert [placed["client_order_id"] for placed in decision.placed] == [order.client_order_id]
    assert order.status is OrderStatus.REJECTED
    assert (order.reason or "").startswith("exchange_key_refused: ")


def test_a_user_whose_tick_breaks_stops_nobody_in_the_same_message(wired: World) -> None:
    world, broken = wired, f"{wired.user}-broken"
    world.open_account(broken, TEN_THOUSAND_USDT)
    world.set_strategy(user=broken)
    world.services._dynamodb.update_item(
        TableName=world.services.settings.strategies_table,
        Key={"user_id": {"S": broken}},
        UpdateExpression="SET document = :nonsense",
        ExpressionAttributeValues={":nonsense": {"S": "{}"}},
    )
    world.now += 30
    assert deliver(world, world.now, broken, world.user) == {"batchItemFailures": []}
    assert len(world.orders()) == 3


def test_a_message_delivered_twice_trades_once(wired: World) -> None:
    world = wired
    world.now += 30
    for _ in range(2):
        assert deliver(world, world.now, world.user) == {"batchItemFailures": []}
    assert len(world.door.orders_sent()) == len(world.booked()) == 3


def test_a_message_that_cannot_be_read_is_reported_so_that_it_ends_in_the_dead_letters(wired: World) -> None:
    with pytest.raises(Exception, match="All records failed"):
        deliver(wired, "soon", wired.user)  # type: ignore[arg-type]


def test_insufficient_funds_are_final_with_the_exchanges_reason(world: World) -> None:
    plan = preview(world.desk, world.user)
    world.books.transfer(world.key, "USDT", Decimal(-9_700))

    orders = place(world, plan)

    assert [order.status for order in orders] == [OrderStatus.OPEN, OrderStatus.REJECTED, OrderStatus.REJECTED]
    assert orders[1].reason.startswith("insufficient_funds: ")
    assert "insufficient balance" in orders[1].reason
    assert len(world.door.orders_sent()) == 3
    assert world.slept == []
    assert [order.client_order_id for order in world.desk.orders.watched(world.user)] == [orders[0].client_order_id]


def test_an_order_outside_the_price_band_is_refused_for_good_and_priced_anew_by_the_next_tick(world: World) -> None:
    plan = preview(world.desk, world.user)
    world.market.set_price("BTCUSDT", Decimal(400_000))

    orders = place(world, plan)

    assert orders[0].status is OrderStatus.REJECTED
    assert "PERCENT_PRICE_BY_SIDE" in orders[0].reason
    assert len(world.door.orders_sent()) == 3
    assert "BTCUSDT" in [order["symbol"] for order in world.tick().placed]


def test_a_post_only_order_that_would_take_is_refused_for_good(world: World) -> None:
    plan = preview(world.desk, world.user)
    world.market.set_price("BTCUSDT", Decimal(39_000))
    orders = place(world, plan)
    assert [order.status for order in orders] == [OrderStatus.REJECTED, OrderStatus.OPEN, OrderStatus.OPEN]
    assert "immediately" in orders[0].reason


def test_a_market_that_was_halted_meanwhile_refuses_for_good(world: World) -> None:
    plan = preview(world.desk, world.user)
    world.market.halt("BTCUSDT")
    orders = place(world, plan)
    assert [order.status for order in orders] == [OrderStatus.REJECTED, OrderStatus.OPEN, OrderStatus.OPEN]
