"""Strategies: an optimistic lock, and a sparse index of those whose autopilot is on."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import batched, count, islice
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import ConflictError, NotFoundError, TransientError
from botbalance.models.strategy import Strategy
from botbalance.store.dynamodb import SHARDS, shard_name
from botbalance.store.strategies import StrategiesTable
from botocore.exceptions import ReadTimeoutError

from tests.unit.store.faults import answers_lost, refused

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
    with pytest.raises(NotFoundError):
        strategies.get("nobody")


def test_every_save_raises_the_version(strategies: StrategiesTable) -> None:
    saved = strategies.save(STRATEGY)
    assert [(saved := strategies.save(saved)).version for _ in range(3)] == [2, 3, 4]


def test_a_second_first_save_loses(strategies: StrategiesTable) -> None:
    first = strategies.save(STRATEGY)
    with pytest.raises(ConflictError):
        strategies.save(STRATEGY.model_copy(update={"order_size_pct": Decimal(9)}))
    assert strategies.get("alice") == first


def test_of_two_who_read_the_same_version_the_second_loses(strategies: StrategiesTable) -> None:
    read = strategies.save(STRATEGY)
    winner = strategies.save(read.model_copy(update={"order_size_pct": Decimal(5)}))
    with pytest.raises(ConflictError):
        strategies.save(read.model_copy(update={"order_size_pct": Decimal(9)}))
    assert strategies.get("alice") == winner


def test_a_write_that_is_repeated_because_its_answer_was_lost_is_no_conflict(strategies: StrategiesTable) -> None:
    read = strategies.save(STRATEGY)
    changed = read.model_copy(update={"order_size_pct": Decimal(5)})
    assert strategies.save(changed) == strategies.save(changed) == strategies.get("alice")


@pytest.mark.parametrize("lost", [1, 2])
def test_a_save_whose_answer_was_lost_is_no_conflict(
    strategies: StrategiesTable, repeating: "DynamoDBClient", strategies_table: str, lost: int
) -> None:
    repeated = StrategiesTable(repeating, strategies_table)
    saved = STRATEGY
    for version in (1, 2):
        with answers_lost(repeating, "PutItem", lost) as sent:
            saved = repeated.save(saved)
        assert len(sent) == lost + 1
        assert saved.version == version
        assert strategies.get("alice") == saved


def test_another_s_save_is_not_taken_for_one_s_own_where_the_answer_was_lost(
    strategies: StrategiesTable, repeating: "DynamoDBClient", strategies_table: str
) -> None:
    winner = strategies.save(STRATEGY)
    repeated = StrategiesTable(repeating, strategies_table)
    with answers_lost(repeating, "PutItem") as sent, pytest.raises(ConflictError):
        repeated.save(STRATEGY.model_copy(update={"order_size_pct": Decimal(9)}))
    assert len(sent) == 2
    assert strategies.get("alice") == winner


def test_users_do_not_see_each_other(strategies: StrategiesTable) -> None:
    strategies.save(STRATEGY)
    other = strategies.save(STRATEGY.model_copy(update={"user_id": "bob", "order_size_pct": Decimal(7)}))
    assert strategies.get("bob") == other
    assert strategies.get("alice").order_size_pct == Decimal("1.50")


def test_only_users_on_autopilot_are_in_the_index(strategies: StrategiesTable) -> None:
    strategies.save(STRATEGY)
    bob = strategies.save(STRATEGY.model_copy(update={"user_id": "bob", "autopilot_enabled": True}))
    assert list(strategies.users_to_tick()) == [("bob", bob.version)]
    strategies.save(bob.model_copy(update={"autopilot_enabled": False}))
    assert list(strategies.users_to_tick()) == []


def test_all_users_on_autopilot_are_found_once_over_all_shards(strategies: StrategiesTable) -> None:
    users = [f"user-{number}" for number in range(60)]
    for user in users:
        strategies.save(STRATEGY.model_copy(update={"user_id": user, "autopilot_enabled": True}))
    assert sorted(strategies.users_to_tick()) == [(user, 1) for user in sorted(users)]


def test_users_are_spread_over_the_shards(
    strategies: StrategiesTable, dynamodb: "DynamoDBClient", strategies_table: str
) -> None:
    for number in range(200):
        strategies.save(STRATEGY.model_copy(update={"user_id": f"user-{number}", "autopilot_enabled": True}))
    items = dynamodb.scan(TableName=strategies_table)["Items"]
    assert {item["autopilot_shard"]["S"] for item in items} == {str(shard) for shard in range(SHARDS)}


def test_an_odd_user_id_is_a_user_id(strategies: StrategiesTable) -> None:
    odd = "пользователь#1/\u2028'\""
    strategies.save(STRATEGY.model_copy(update={"user_id": odd, "autopilot_enabled": True}))
    assert strategies.get(odd).user_id == odd
    assert list(strategies.users_to_tick()) == [(odd, 1)]


# page by page


@contextmanager
def hooked(client: "DynamoDBClient", event: str, handler: Callable[..., Any]) -> Iterator[None]:
    client.meta.events.register(event, handler)
    try:
        yield
    finally:
        client.meta.events.unregister(event, handler)


@contextmanager
def limit_pages(client: "DynamoDBClient", users: int) -> Iterator[list[dict[str, Any]]]:
    """A page of the index holds ``users`` at most; yields the queries as they are asked."""
    asked: list[dict[str, Any]] = []

    def limit(params: dict[str, Any], **_: Any) -> None:
        params["Limit"] = users
        asked.append(params)

    with hooked(client, "before-parameter-build.dynamodb.Query", limit):
        yield asked


def shard_asked(query: Any) -> str:
    return str(query["ExpressionAttributeValues"][":shard"]["S"])


def switch_on(client: "DynamoDBClient", table: str, user_ids: list[str], shards: int = SHARDS) -> None:
    """The items that saving them leaves, as far as the index knows them, in the first ``shards``."""
    for chunk in batched(user_ids, 25, strict=False):
        puts: Any = [
            {
                "PutRequest": {
                    "Item": {
                        "user_id": {"S": user},
                        "autopilot_shard": {"S": str(int(shard_name(user)) % shards)},
                        "version": {"N": str(len(user))},
                    }
                }
            }
            for user in chunk
        ]
        assert not client.batch_write_item(RequestItems={table: puts})["UnprocessedItems"]


def with_versions(user_ids: list[str]) -> list[tuple[str, int]]:
    """As they are found."""
    return [(user, len(user)) for user in user_ids]


@pytest.fixture
def many(dynamodb: "DynamoDBClient", strategies_table: str) -> list[str]:
    """400 users on autopilot, a dozen a shard."""
    users = [f"user-{number:03d}" for number in range(400)]
    switch_on(dynamodb, strategies_table, users)
    return users


@pytest.mark.parametrize(("threads", "page"), [(1, 7), (8, 3), (64, 4)])
def test_every_user_is_found_once_over_many_pages(
    strategies: StrategiesTable, dynamodb: "DynamoDBClient", many: list[str], threads: int, page: int
) -> None:
    with limit_pages(dynamodb, page) as asked:
        assert sorted(strategies.users_to_tick(threads)) == with_versions(many)
    assert {shard_asked(query) for query in asked} == {str(shard) for shard in range(SHARDS)}
    assert len(asked) >= len(many) / page


@pytest.mark.parametrize("threads", [1, 4])
def test_it_reads_no_further_ahead_than_a_page_a_thread(
    strategies: StrategiesTable, dynamodb: "DynamoDBClient", many: list[str], threads: int
) -> None:
    with limit_pages(dynamodb, 1) as asked:
        found = strategies.users_to_tick(threads)
        for users in range(1, 6):  # fewer than any shard has
            assert next(found).user_id in many
            assert len(asked) <= users + threads
        found.close()  # waits for what was asked
        assert len(asked) == users + threads


def test_shards_are_read_side_by_side(strategies: StrategiesTable, dynamodb: "DynamoDBClient", many: list[str]) -> None:
    """The first four requests go on only when all four are on their way."""
    together = Barrier(4)

    def meet(**_: Any) -> None:
        if next(sent) < 4:
            together.wait(timeout=20)

    sent = count()
    with hooked(dynamodb, "before-send.dynamodb.Query", meet):
        assert sorted(strategies.users_to_tick(4)) == with_versions(many)


@pytest.mark.parametrize("of", ["a first page", "a later page"])
def test_a_shard_that_cannot_be_read_is_told(
    strategies: StrategiesTable, dynamodb: "DynamoDBClient", many: list[str], of: str
) -> None:
    def lose(params: Any, **_: Any) -> None:
        query = json.loads(params["body"])
        if shard_asked(query) == shard_name("user-200") and ("ExclusiveStartKey" in query) is (of == "a later page"):
            raise ReadTimeoutError(endpoint_url=params["url"])

    with (
        limit_pages(dynamodb, 3),
        hooked(dynamodb, "before-call.dynamodb.Query", lose),
        pytest.raises(TransientError) as raised,
    ):
        list(strategies.users_to_tick(4))
    assert raised.value.code == "storage_unavailable"


def test_a_throttled_index_is_told(strategies: StrategiesTable, dynamodb: "DynamoDBClient") -> None:
    throttled = refused(dynamodb, "Query", "ProvisionedThroughputExceededException")
    with throttled, pytest.raises(TransientError, match="ProvisionedThroughputExceededException"):
        list(strategies.users_to_tick())


def test_whoever_is_on_throughout_is_found_once_while_others_switch(
    strategies: StrategiesTable,
    dynamodb: "DynamoDBClient",
    strategies_table: str,
    many: list[str],
    request: pytest.FixtureRequest,
) -> None:
    """Every third user switches off, and as many others on, while the pages are read."""
    if "moto" in request.node.name:
        pytest.skip("moto keeps its items in dictionaries that two threads must not use at once")
    leaving, coming = many[::3], [f"user-{number:03d}-new" for number in range(len(many[::3]))]
    changes = iter(zip(leaving, coming, strict=True))
    found = []
    with limit_pages(dynamodb, 2):
        for user, _ in strategies.users_to_tick(4):
            found.append(user)
            for off, on in islice(changes, 1):
                dynamodb.delete_item(TableName=strategies_table, Key={"user_id": {"S": off}})
                switch_on(dynamodb, strategies_table, [on])
    assert len(found) == len(set(found))
    assert set(many) - set(leaving) <= set(found) <= {*many, *coming}
    assert set(leaving) - set(found), "nobody switched off in time: this test shows nothing"
    assert set(coming) & set(found), "nobody switched on in time: this test shows nothing"


@pytest.mark.parametrize("shards", [1, 8, SHARDS])
def test_users_who_were_written_under_fewer_shards_are_found(
    strategies: StrategiesTable, dynamodb: "DynamoDBClient", strategies_table: str, shards: int
) -> None:
    users = [f"user-{number:02d}" for number in range(50)]
    switch_on(dynamodb, strategies_table, users, shards)
    assert sorted(strategies.users_to_tick()) == with_versions(users)


def test_shards_never_become_fewer() -> None:
    """Raise the number here with that of the code; whoever was written above a lower one would not be ticked again."""
    assert SHARDS >= 32


def test_what_other_queries_find_is_taken_as_botocore_takes_it(
    strategies: StrategiesTable, dynamodb: "DynamoDBClient", strategies_table: str
) -> None:
    item: Any = {"user_id": {"S": "alice"}, "seal": {"B": b"\x00\xff"}}
    dynamodb.put_item(TableName=strategies_table, Item=item)
    assert list(strategies.users_to_tick()) == []
    answer = dynamodb.query(
        TableName=strategies_table,
        KeyConditionExpression="user_id = :user",
        ExpressionAttributeValues={":user": {"S": "alice"}},
    )
    assert answer["Items"] == [item]


# many at once


def rewrite(dynamodb: "DynamoDBClient", strategies_table: str, user_id: str, changes: dict[str, Any]) -> None:
    """Change a stored document, as another version of the code would write it."""
    key = {"user_id": {"S": user_id}}
    item: Any = dynamodb.get_item(TableName=strategies_table, Key=key)["Item"]
    document = json.loads(item["document"]["S"]) | changes
    dynamodb.put_item(TableName=strategies_table, Item=item | {"document": {"S": json.dumps(document)}})


def test_the_strategies_of_many_users_are_read_at_once(strategies: StrategiesTable) -> None:
    """More than one request takes; who has none is left out."""
    saved = {
        user_id: strategies.save(STRATEGY.model_copy(update={"user_id": user_id}))
        for user_id in (f"user-{number}" for number in range(203))
    }
    assert strategies.find_many([*saved, "nobody"]) == saved


def test_a_user_who_is_named_twice_is_read_once(strategies: StrategiesTable) -> None:
    """DynamoDB refuses a request that has a key twice."""
    saved = strategies.save(STRATEGY)
    assert strategies.find_many(["alice", "alice"]) == {"alice": saved}


def test_nobody_s_strategies_are_none(strategies: StrategiesTable) -> None:
    strategies.save(STRATEGY)
    assert strategies.find_many([]) == {}
    assert strategies.find_many(["nobody"]) == {}


@pytest.mark.parametrize("changes", [{"schema_version": 2}, {"order_size_pct": "much"}], ids=str)
def test_one_unreadable_strategy_is_no_other_user_s_trouble(
    strategies: StrategiesTable,
    dynamodb: "DynamoDBClient",
    strategies_table: str,
    changes: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    users = ("alice", "bob", "carol")
    saved = {user_id: strategies.save(STRATEGY.model_copy(update={"user_id": user_id})) for user_id in users}
    rewrite(dynamodb, strategies_table, "bob", changes)
    assert strategies.find_many(users) == {"alice": saved["alice"], "carol": saved["carol"]}
    [record] = caplog.records
    assert record.__dict__["alarm"] == "unknown_schema"
    assert record.__dict__["user_id"] == "bob"


def test_a_strategy_of_another_version_is_neither_read_nor_written_over(
    strategies: StrategiesTable, dynamodb: "DynamoDBClient", strategies_table: str
) -> None:
    saved = strategies.save(STRATEGY)
    rewrite(dynamodb, strategies_table, "alice", {"schema_version": 2, "new_in_version_2": True})
    for read in (strategies.find, strategies.get):
        with pytest.raises(TransientError, match=r"Strategy is not of a known form \(schema_version\)") as raised:
            read("alice")
        assert raised.value.code == "unknown_schema"
    with pytest.raises(TransientError):
        strategies.save(STRATEGY)
    item: Any = dynamodb.get_item(TableName=strategies_table, Key={"user_id": {"S": "alice"}})["Item"]
    assert json.loads(item["document"]["S"])["new_in_version_2"] is True
    assert item["version"] == {"N": str(saved.version)}
