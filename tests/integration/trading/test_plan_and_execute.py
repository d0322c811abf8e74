"""Plan shows and writes nothing; execute decides anew and trades once."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botbalance.engine import SkipReason
from botbalance.errors import ConflictError, NotFoundError
from botbalance.models.order import OrderStatus
from botbalance.trading.execute import execute_once
from botbalance.trading.orders import cancel_by_hand
from botbalance.trading.plan import preview

from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness, new_harness


@pytest.fixture
def manual(harness: TradingHarness) -> TradingHarness:
    """The same user with the autopilot off."""
    harness.set_strategy(autopilot=False)
    return harness


@pytest.fixture
def with_cache(environment: Mapping[str, str]) -> Iterator[TradingHarness]:
    """A user trading by hand whose prices are cached for five seconds, as they are by default."""
    with new_harness(environment, f"user-{uuid4().hex[:12]}") as harness:
        harness.open_account(harness.user, TEN_THOUSAND_USDT)
        harness.set_strategy(autopilot=False)
        yield harness


def everything_stored(harness: TradingHarness) -> dict[str, list[dict[str, Any]]]:
    """Every item of every table except the cache."""
    settings = harness.services.settings
    client = boto3.client("dynamodb", endpoint_url=settings.dynamodb_endpoint)
    tables = (
        settings.strategies_table,
        settings.orders_table,
        settings.decisions_table,
        settings.credentials_table,
    )
    stored = {
        table: sorted(
            (item for page in client.get_paginator("scan").paginate(TableName=table) for item in page["Items"]), key=str
        )
        for table in tables
    }
    client.close()
    return stored


@pytest.mark.parametrize("autopilot", [False, True])
def test_a_plan_writes_nothing_and_sends_no_order(harness: TradingHarness, autopilot: bool) -> None:
    harness.set_strategy(autopilot=autopilot)
    harness.tick() if autopilot else execute_once(harness.context, harness.user)
    harness.market.set_price("BTCUSDT", Decimal(39_000))  # a fill that a plan sees and must leave to others
    before = everything_stored(harness)
    harness.requests.clear()

    for _ in range(2):
        preview(harness.context, harness.user)

    assert everything_stored(harness) == before
    assert {request.method for request in harness.requests} == {"GET"}


def test_a_plan_that_would_trade_trades_nothing(manual: TradingHarness) -> None:
    assert len(preview(manual.context, manual.user).evaluation.actions) == 3
    assert not manual.orders()
    assert not manual.booked()


def test_execute_decides_anew_on_prices_that_moved_since_the_plan(with_cache: TradingHarness) -> None:
    harness = with_cache
    planned = preview(harness.context, harness.user).evaluation.actions[0]
    harness.market.set_price("BTCUSDT", Decimal(41_000))
    assert preview(harness.context, harness.user).evaluation.actions[0] == planned, "the plan may use a cached price"

    execution = execute_once(harness.context, harness.user)

    assert planned.limit_price == Decimal("39840")
    assert execution.orders[0].limit_price == Decimal("40836")
    assert harness.booked()[0].price == Decimal("40836")


def test_execute_decides_anew_on_balances_that_moved_since_the_plan(manual: TradingHarness) -> None:
    assert [action.symbol for action in preview(manual.context, manual.user).evaluation.actions] == [
        "BTCUSDT",
        "ETHUSDT",
        "XRPUSDT",
    ]
    manual.books.transfer(manual.key, "BTC", Decimal(1))
    sides = {order.symbol: order.side for order in execute_once(manual.context, manual.user).orders}
    assert sides == {"BTCUSDT": "sell", "ETHUSDT": "buy", "XRPUSDT": "buy"}


@pytest.mark.parametrize("source", ["last", "mid"])
def test_execute_places_what_the_plan_showed_where_nothing_moved(environment: Mapping[str, str], source: str) -> None:
    with new_harness(environment, f"user-{uuid4().hex[:12]}", PRICING_SOURCE=source) as harness:
        harness.open_account(harness.user, {"USDT": Decimal("7777.77"), "BTC": Decimal("0.12345678")})
        harness.set_strategy(autopilot=False)
        planned = preview(harness.context, harness.user).evaluation
        execution = execute_once(harness.context, harness.user)
        assert execution.evaluation == planned
        assert [(o.symbol, o.side, o.limit_price, o.base_qty) for o in execution.orders] == [
            (a.symbol, a.side, a.limit_price, a.base_qty) for a in planned.actions
        ]
        assert [(o.symbol, o.side, o.price, o.qty) for o in harness.booked()] == [
            (a.symbol, a.side, a.limit_price, a.base_qty) for a in planned.actions
        ]


def test_execute_is_refused_while_the_autopilot_is_on(harness: TradingHarness) -> None:
    with pytest.raises(ConflictError) as refused:
        execute_once(harness.context, harness.user)
    assert refused.value.code == "autopilot_enabled"
    assert not harness.orders()
    assert not harness.booked()


def test_execute_without_strategy_or_key_says_which_is_missing(newcomer: TradingHarness) -> None:
    with pytest.raises(NotFoundError, match="strategies/rebalance"):
        execute_once(newcomer.context, newcomer.user)
    newcomer.set_strategy(autopilot=False)
    with pytest.raises(NotFoundError, match="credentials"):
        execute_once(newcomer.context, newcomer.user)


def test_executing_twice_places_once(manual: TradingHarness) -> None:
    assert len(execute_once(manual.context, manual.user).orders) == 3
    assert execute_once(manual.context, manual.user).orders == []
    assert len(manual.booked()) == 3


def test_executing_twice_within_a_tick_places_once_even_where_the_first_order_filled(manual: TradingHarness) -> None:
    """Without its pair in the way the next action would take its index, and a new client id with it."""
    execute_once(manual.context, manual.user)
    manual.market.set_price("ETHUSDT", Decimal(2_400))
    manual.now += 19
    again = execute_once(manual.context, manual.user)

    assert again.orders == []
    assert [row.hold for row in again.evaluation.rows if row.symbol == "ETHUSDT"] == [SkipReason.ACTIVE_ORDER]
    assert len(manual.booked()) == 3

    manual.now += 30
    assert [order.symbol for order in execute_once(manual.context, manual.user).orders] == ["ETHUSDT"]


def test_executing_again_within_a_tick_sends_no_refused_order_again(manual: TradingHarness) -> None:
    manual.market.halt("BTCUSDT")
    rejected = execute_once(manual.context, manual.user)
    manual.market.resume("BTCUSDT")
    sent = len(manual.asked("POST"))
    execute_once(manual.context, manual.user)
    assert len(manual.asked("POST")) == sent
    assert "BTCUSDT" not in [order.symbol for order in rejected.orders if order.status is OrderStatus.OPEN]


def test_orders_cancelled_by_hand_are_not_placed_again_within_the_same_tick(manual: TradingHarness) -> None:
    execute_once(manual.context, manual.user)
    cancel_by_hand(manual.context, manual.user)
    execute_once(manual.context, manual.user)
    assert manual.books.open_orders(manual.key) == []
    manual.now += 30
    assert len(execute_once(manual.context, manual.user).orders) == 3


def test_execute_reconciles_before_it_decides(manual: TradingHarness) -> None:
    intent = manual.intent("BTCUSDT", limit_price="39840", base_qty="0.00502", ts_tick=manual.now - 30)
    manual.create(intent)
    execution = execute_once(manual.context, manual.user)
    assert manual.order_on("BTCUSDT").times_not_found == 1
    assert sorted(order.symbol for order in execution.orders) == ["ETHUSDT", "XRPUSDT"]


def test_a_tick_after_an_execute_in_the_same_period_does_not_repeat_its_orders(manual: TradingHarness) -> None:
    execute_once(manual.context, manual.user)
    manual.set_strategy(autopilot=True)
    decision = manual.tick(seconds=0)
    assert decision.placed == []
    assert len(manual.booked()) == 3
