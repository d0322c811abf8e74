"""The bill, worked out by hand from the counts, and the tables of docs/cost.md, which are this command's."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from workbench.aws.cost import ACTIVITY, COUNTS, PRICES, DecisionLog, cost_of
from workbench.aws.template import read_template

D = Decimal
DOCUMENT = (Path(__file__).parents[3] / "docs/cost.md").read_text()
USERS = (1, 1_000, 100_000, 1_000_000)


def rows(first_cell: str) -> Iterator[list[str]]:
    """The cells of the document's table rows that begin with ``first_cell``, without it, bold or not."""
    for line in DOCUMENT.splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] == first_cell:
            yield [cell.replace(",", "") for cell in cells[1:]]


def per_user(users: int, decision_log: DecisionLog, band: str) -> Decimal:
    return cost_of(users, decision_log, ACTIVITY[band], read_template()).per_user


def test_a_thousand_users_by_hand() -> None:
    """A band of 1 % has 1,027 looks and 45 orders a month, so 85,328 of the 86,400 ticks are quiet."""
    cost = cost_of(1_000, "changes", ACTIVITY["1"], read_template())
    quiet, looks, busy = 85_328, 1_027, 45
    reads = D("0.56") * quiet + D("3.8") * looks + D("4.8") * busy + D("0.0085") * 86_400  # these are dispatch's
    writes = 3 * looks + 24 * busy + 720  # a point of the history an hour
    prices = 86_400  # of everybody's, in thousandths of a tick's
    assert cost.parts["DynamoDB reads"] == (reads * 1_000 + D("20.94") * prices) * D("0.000000125")
    assert cost.parts["DynamoDB writes"] == (D(writes) * 1_000 + 12 * prices) * D("0.000000625")
    assert cost.parts["KMS"] == 1 + (looks + busy) * 1_000 * D("0.000003")
    # each of 86,400 ticks: five messages of 200 users in one request, and each received and deleted;
    # and five pollers that ask every 20 seconds
    assert cost.parts["queue"] == (86_400 * (1 + 2 * 5) + 5 * 129_600) * D("0.0000004")
    assert cost.total == sum(cost.parts.values())
    assert cost.per_user == cost.total / 1_000


@pytest.mark.parametrize("part", cost_of(1, "changes", ACTIVITY["1"], read_template()).parts)
def test_the_document_has_each_part(part: str) -> None:
    costs = [cost_of(users, "changes", ACTIVITY["1"], read_template()) for users in USERS]
    assert next(rows(part)) == [f"{cost.parts[part]:.2f}" for cost in costs]


def test_the_document_has_the_sums() -> None:
    costs = [cost_of(users, "changes", ACTIVITY["1"], read_template()) for users in USERS]
    assert list(rows("together, `DECISION_LOG=changes`")) == [[f"{cost.total:.2f}" for cost in costs]]


@pytest.mark.parametrize(
    ("title", "decision_log", "band"),
    [
        ("a user", "changes", "1"),
        ("a user, `DECISION_LOG=every`", "every", "1"),
        ("a user, a band of 0.5 %, `changes`", "changes", "0.5"),
        ("a user, a band of 0.5 %, `every`", "every", "0.5"),
    ],
)
def test_the_document_has_what_a_user_costs(title: str, decision_log: DecisionLog, band: str) -> None:
    assert list(rows(title)) == [[f"{per_user(users, decision_log, band):.4f}" for users in USERS]]


@pytest.mark.parametrize(
    ("title", "name", "of"),
    [
        ("quiet ticks, `every`", "QUIET", 1),
        ("quiet ticks, `changes`", "QUIET_UNLOGGED", 1),
        ("looks that change nothing, `every`", "LOOK", 1),
        ("looks that change nothing, `changes`", "LOOK_UNLOGGED", 1),
        ("looks that place an order", "BUSY", 1),
        ("points of the history, one an hour", "POINT", 1),
        ("ticks, for everybody's prices", "PRICES", 1_000),
    ],
)
def test_the_document_has_the_counts(title: str, name: str, of: int) -> None:
    counts = COUNTS[name]
    written = [counts.read_units, counts.write_units, counts.kms, counts.weight, counts.log_bytes]
    assert [[D(cell) for cell in row] for row in rows(title)] == [[number * of for number in written]]


def test_every_price_says_when_it_was_seen() -> None:
    assert all(re.fullmatch(r"20\d\d-\d\d", price.seen) and price.seen in DOCUMENT for price in PRICES.values())


def test_where_only_changes_are_logged_a_hundred_thousand_users_cost_two_cents_each_at_most() -> None:
    assert per_user(100_000, "changes", "1") <= D("0.02")
