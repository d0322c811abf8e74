"""Many items in few requests: what DynamoDB had no capacity for is asked for again, and not for ever."""

from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import TransientError
from botbalance.store.dynamodb import read_batches

from tests.unit.store.faults import answers_lost, capacity_for

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def make_keys(numbers: range) -> list[Any]:
    return [{"user_id": {"S": f"user-{number}"}} for number in numbers]


def read(client: "DynamoDBClient", name: str, numbers: range) -> list[str]:
    return sorted(item["user_id"]["S"] for item in read_batches(client, name, make_keys(numbers)))


def users(numbers: range) -> list[str]:
    return sorted(f"user-{number}" for number in numbers)


@pytest.fixture
def name(dynamodb: "DynamoDBClient", strategies_table: str) -> str:
    """A table of 205 items."""
    for chunk in (range(205)[start : start + 25] for start in range(0, 205, 25)):
        puts: Any = [{"PutRequest": {"Item": key}} for key in make_keys(chunk)]
        dynamodb.batch_write_item(RequestItems={strategies_table: puts})
    return strategies_table


@pytest.mark.parametrize(("many", "requests"), [(0, 0), (1, 1), (100, 1), (101, 2), (200, 2), (205, 3)])
def test_every_item_is_read_once_in_requests_of_a_hundred(
    dynamodb: "DynamoDBClient", name: str, many: int, requests: int
) -> None:
    with capacity_for(dynamodb, 100) as asked:
        assert read(dynamodb, name, range(many)) == users(range(many))
    assert len(asked) == requests


def test_what_is_not_there_is_left_out(dynamodb: "DynamoDBClient", name: str) -> None:
    assert read(dynamodb, name, range(203, 210)) == ["user-203", "user-204"]


def test_what_was_left_unprocessed_is_asked_for_again(dynamodb: "DynamoDBClient", name: str) -> None:
    with capacity_for(dynamodb, 2) as asked:
        assert read(dynamodb, name, range(5)) == users(range(5))
    assert [[key["user_id"]["S"] for key in request[name]["Keys"]] for request in asked] == [
        ["user-0", "user-1", "user-2", "user-3", "user-4"],
        ["user-2", "user-3", "user-4"],
        ["user-4"],
    ]


def test_every_request_reads_what_was_last_written(dynamodb: "DynamoDBClient", name: str) -> None:
    with capacity_for(dynamodb, 1) as asked:
        read(dynamodb, name, range(3))
    assert [request[name]["ConsistentRead"] for request in asked] == [True, True, True]


def test_each_hundred_has_its_own_attempts(dynamodb: "DynamoDBClient", name: str) -> None:
    with capacity_for(dynamodb, 25) as asked:
        assert read(dynamodb, name, range(200)) == users(range(200))
    assert len(asked) == 8


@pytest.mark.parametrize(("capacity", "many"), [(1, 6), (0, 1)])
def test_without_capacity_it_is_given_up(dynamodb: "DynamoDBClient", name: str, capacity: int, many: int) -> None:
    with capacity_for(dynamodb, capacity) as asked, pytest.raises(TransientError, match="no capacity left") as raised:
        read(dynamodb, name, range(many))
    assert raised.value.code == "storage_unavailable"
    assert len(asked) == 5


def test_the_fifth_request_may_be_the_one_that_suffices(dynamodb: "DynamoDBClient", name: str) -> None:
    with capacity_for(dynamodb, 1) as asked:
        assert read(dynamodb, name, range(5)) == users(range(5))
    assert len(asked) == 5


def test_a_read_whose_answer_was_lost_is_repeated(repeating: "DynamoDBClient", name: str) -> None:
    with answers_lost(repeating, "BatchGetItem", 2) as sent:
        assert read(repeating, name, range(3)) == users(range(3))
    assert len(sent) == 3
