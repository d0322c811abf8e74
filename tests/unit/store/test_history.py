"""The history of a portfolio: a point an hour, the last of each step, one user's alone."""

from decimal import Decimal

from botbalance.models.history import HistoryPoint
from botbalance.store.history import HistoryTable
from botbalance.store.pagination import ALWAYS, TimeRange

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
