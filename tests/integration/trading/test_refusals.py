"""What the exchange definitely refuses is final, and one user's trouble stops nobody else."""

import json
from decimal import Decimal
from typing import Any

import pytest
from botbalance.store.orders import OrderStatus
from botbalance.store.strategies import Strategy
from botbalance.trading.placement import place_actions
from botbalance.trading.plan import Plan, preview
from botbalance.trading.strategy import switch_autopilot

from tests.integration.trading.world import TEN_THOUSAND_USDT, World


def place(world: World, plan: Plan) -> list[Any]:
    account = world.desk.accounts.of(world.user, "binance")
    with world.lease() as lease:
        return place_actions(
            world.desk,
            lease,
            account,
            plan.strategy,
            plan.evaluation.actions,
            plan.snapshot.rules,
            ts_tick=world.now,
            source="autopilot",
        ).orders


def test_a_revoked_key_switches_the_autopilot_off_with_the_reason_and_affects_nobody_else(world: World) -> None:
    neighbour = f"{world.user}-neighbour"
    world.open_account(neighbour, TEN_THOUSAND_USDT)
    world.set_strategy(user=neighbour)
    world.tick()
    world.books.revoke_key(world.key)
    world.now += 30

    assert world.work(world.message(world.user, neighbour)) == []

    strategy: Strategy = world.desk.strategies.get(world.user)
    assert not strategy.autopilot_enabled
    assert "API key" in (strategy.disabled_reason or "")
    assert "switched off" in (world.desk.decisions.get(world.user, world.now).reason or "")
    assert world.user not in dict(world.desk.strategies.users_on_autopilot())
    assert world.desk.strategies.get(neighbour).autopilot_enabled
    assert len(world.orders(neighbour)) == len(world.booked(neighbour)) == 3


def test_switching_on_again_after_a_refused_key_takes_a_key_that_works(world: World) -> None:
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


def test_a_user_whose_tick_breaks_stops_nobody_in_the_same_message(world: World) -> None:
    broken = f"{world.user}-broken"
    world.open_account(broken, TEN_THOUSAND_USDT)
    world.set_strategy(user=broken)
    world.services.dynamodb.update_item(
        TableName=world.services.settings.strategies_table,
        Key={"user_id": {"S": broken}},
        UpdateExpression="SET document = :nonsense",
        ExpressionAttributeValues={":nonsense": {"S": "{}"}},
    )
    world.now += 30
    assert world.work(world.message(broken, world.user)) == []
    assert len(world.orders()) == 3


def test_a_message_delivered_twice_trades_once(world: World) -> None:
    world.now += 30
    for _ in range(2):
        assert world.work(world.message(world.user)) == []
    assert len(world.asked("POST")) == len(world.booked()) == 3


def test_a_message_that_cannot_be_read_is_reported_so_that_it_ends_in_the_dead_letters(world: World) -> None:
    assert world.work(json.dumps({"ts_tick": "soon", "users": world.versions(world.user)})) == [0]


def test_insufficient_funds_are_final_with_the_exchanges_reason(world: World) -> None:
    plan = preview(world.desk, world.user)
    world.books.transfer(world.key, "USDT", Decimal(-9_700))

    orders = place(world, plan)

    assert [order.status for order in orders] == [OrderStatus.OPEN, OrderStatus.REJECTED, OrderStatus.REJECTED]
    assert orders[1].reason.startswith("insufficient_funds: ")
    assert "insufficient balance" in orders[1].reason
    assert len(world.asked("POST")) == 3
    assert world.slept == []
    assert [order.client_order_id for order in world.desk.orders.watched(world.user)] == [orders[0].client_order_id]


def test_an_order_outside_the_price_band_is_refused_for_good_and_priced_anew_by_the_next_tick(world: World) -> None:
    switch_autopilot(world.desk, world.user, enabled=True)  # with a look at the prices as they are
    plan = preview(world.desk, world.user)
    world.market.set_price("BTCUSDT", Decimal(400_000))

    orders = place(world, plan)

    assert orders[0].status is OrderStatus.REJECTED
    assert "PERCENT_PRICE_BY_SIDE" in orders[0].reason
    assert len(world.asked("POST")) == 3
    assert "jumped" in (world.tick().reason or "")
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
