"""Strategies: an optimistic lock, and a sparse index of those whose autopilot is on."""

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from botbalance.errors import Conflict, NotThere
from botbalance.store.strategies import AUTOPILOT_SHARDS, StrategiesTable, Strategy

from tests.unit.store.conftest import MakeTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STRATEGY = Strategy(
    user_id="alice",
    exchange="binance",
    quote_asset="USDT",
    target_allocations={"BTC": Decimal("33.333333333333333333"), "USDT": Decimal("66.666666666666666667")},
    order_size_pct=Decimal("1.50"),
    order_step_pct=Decimal("0.4"),
    min_delta_quote=Decimal("1e-18"),
)


def test_what_was_saved_is_read_back_to_the_last_digit(strategies: StrategiesTable) -> None:
    saved = strategies.save(STRATEGY)
    assert saved == STRATEGY.model_copy(update={"version": 1})
    assert strategies.get("alice") == saved
    assert str(strategies.get("alice").target_allocations["BTC"]) == "33.333333333333333333"


def test_no_strategy_is_none_to_find_and_an_error_to_get(strategies: StrategiesTable) -> None:
    assert strategies.find("nobody") is None
    with pytest.raises(NotThere):
        strategies.get("nobody")


def test_every_save_raises_the_version(strategies: StrategiesTable) -> None:
    saved = strategies.save(STRATEGY)
    assert [(saved := strategies.save(saved)).version for _ in range(3)] == [2, 3, 4]


def test_a_second_first_save_loses(strategies: StrategiesTable) -> None:
    first = strategies.save(STRATEGY)
    with pytest.raises(Conflict):
        strategies.save(STRATEGY.model_copy(update={"order_size_pct": Decimal(9)}))
    assert strategies.get("alice") == first


def test_of_two_who_read_the_same_version_the_second_loses(strategies: StrategiesTable) -> None:
    read = strategies.save(STRATEGY)
    winner = strategies.save(read.model_copy(update={"order_size_pct": Decimal(5)}))
    with pytest.raises(Conflict):
        strategies.save(read.model_copy(update={"order_size_pct": Decimal(9)}))
    assert strategies.get("alice") == winner


def test_a_write_that_is_repeated_because_its_answer_was_lost_is_no_conflict(strategies: StrategiesTable) -> None:
    read = strategies.save(STRATEGY)
    changed = read.model_copy(update={"order_size_pct": Decimal(5)})
    assert strategies.save(changed) == strategies.save(changed) == strategies.get("alice")


def test_users_do_not_see_each_other(strategies: StrategiesTable) -> None:
    strategies.save(STRATEGY)
    other = strategies.save(STRATEGY.model_copy(update={"user_id": "bob", "order_size_pct": Decimal(7)}))
    assert strategies.get("bob") == other
    assert strategies.get("alice").order_size_pct == Decimal("1.50")


def test_only_users_on_autopilot_are_in_the_index(strategies: StrategiesTable) -> None:
    strategies.save(STRATEGY)
    bob = strategies.save(STRATEGY.model_copy(update={"user_id": "bob", "autopilot_enabled": True}))
    assert list(strategies.users_on_autopilot()) == ["bob"]
    strategies.save(bob.model_copy(update={"autopilot_enabled": False}))
    assert list(strategies.users_on_autopilot()) == []


def test_all_users_on_autopilot_are_found_once_over_all_shards(strategies: StrategiesTable) -> None:
    users = [f"user-{number}" for number in range(60)]
    for user in users:
        strategies.save(STRATEGY.model_copy(update={"user_id": user, "autopilot_enabled": True}))
    assert sorted(strategies.users_on_autopilot()) == sorted(users)


def test_users_are_spread_over_the_shards(dynamodb: "DynamoDBClient", table: MakeTable) -> None:
    name = table("StrategiesTable")
    strategies = StrategiesTable(dynamodb, name)
    for number in range(60):
        strategies.save(STRATEGY.model_copy(update={"user_id": f"user-{number}", "autopilot_enabled": True}))
    items = dynamodb.scan(TableName=name)["Items"]
    assert {item["autopilot_shard"]["S"] for item in items} == {str(shard) for shard in range(AUTOPILOT_SHARDS)}


def test_an_odd_user_id_is_a_user_id(strategies: StrategiesTable) -> None:
    odd = "пользователь#1/\u2028'\""
    strategies.save(STRATEGY.model_copy(update={"user_id": odd, "autopilot_enabled": True}))
    assert strategies.get(odd).user_id == odd
    assert list(strategies.users_on_autopilot()) == [odd]
