"""The history of a portfolio: a point an hour, the last of each step, one user's alone."""

from decimal import Decimal
from typing import TYPE_CHECKING

from botbalance.models.history import HistoryPoint
from botbalance.store.history import HistoryTable
from botbalance.store.pagination import ALWAYS, TimeRange

from workbench.aws.cost import POINT_BYTES
from workbench.aws.usage_meter import item_size

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HOUR = 1_700_002_800


def point(at: int, nav: str = "100", bonus: str | None = "1.50") -> HistoryPoint:
    return HistoryPoint(
        at=at,
        exchange="binance",
        quote_asset="USDT",
        nav=Decimal(nav),
        bonus=None if bonus is None else Decimal(bonus),
    )


def test_what_is_written_is_read_as_it_was(histories: HistoryTable) -> None:
    written = [point(HOUR + 7), point(HOUR + 3_600, bonus=None)]
    for one in written:
        histories.write("alice", one)
    assert histories.last_of_each("alice", ALWAYS, str) == written
    assert histories.last_of_each("bob", ALWAYS, str) == []
    assert [one.hold for one in written] == [Decimal("98.5"), None]


def test_an_hour_has_one_point(histories: HistoryTable) -> None:
    histories.write("alice", point(HOUR))
    histories.write("alice", point(HOUR + 3_599, nav="101"))
    assert histories.last_of_each("alice", ALWAYS, str) == [point(HOUR + 3_599, nav="101")]


def test_of_every_step_within_the_hours_the_last_point_is_told(histories: HistoryTable) -> None:
    for hour in range(6):
        histories.write("alice", point(HOUR + 3_600 * hour, nav=str(hour)))
    hours = TimeRange(HOUR + 3_600, HOUR + 4 * 3_600)
    found = histories.last_of_each("alice", hours, lambda hour: str((hour - HOUR) // 7_200))
    assert [one.nav for one in found] == [1, 3, 4]


def test_twelve_hours_points_are_one_item_of_which_hours_are_told_alone(
    histories: HistoryTable, dynamodb: "DynamoDBClient", history_table: str
) -> None:
    midnight = 1_700_006_400
    written = [point(midnight + 3_600 * hour + 5, nav=f"10000.00007503870540{hour + 10}") for hour in range(-2, 26)]
    for one in reversed(written):
        histories.write("alice", one)
    assert histories.last_of_each("alice", ALWAYS, str) == written
    some = TimeRange(midnight - 3_600, midnight + 3_600)
    assert histories.last_of_each("alice", some, str) == written[1:4]
    items = dynamodb.scan(TableName=history_table)["Items"]
    assert sorted(len(item) - 2 for item in items) == [2, 2, 12, 12]
    whole = [item_size(item) for item in items if len(item) == 14]
    assert max(whole) + 100 <= 12 * POINT_BYTES
    assert max(whole) <= 1024
