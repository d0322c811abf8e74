"""The bill, worked out by hand from the counts, and the tables of docs/cost.md, which are this command's."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbench.aws.cost import CHEAPEST, COUNTS, PRICES, Configuration, Cost, default_configuration, estimate_cost
from workbench.aws.template import read_template
from workbench.cli.app import app

D = Decimal
DOCUMENT = (Path(__file__).parents[3] / "docs/cost.md").read_text()
USERS = (1, 1_000, 100_000, 1_000_000)
TEMPLATE = read_template()
DEFAULT = default_configuration(TEMPLATE)


def rows(text: str, first_cell: str) -> Iterator[list[str]]:
    """The cells of the table rows in ``text`` that begin with ``first_cell``, without it, bold or not."""
    for line in text.splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] == first_cell:
            yield [cell.replace(",", "") for cell in cells[1:]]


def part_of_document(configuration: Configuration) -> str:
    """What the document says of that configuration."""
    _, default, cheapest = re.split(r"\*\*As (?:it is deployed by default|cheap as it gets)\*\*", DOCUMENT)
    return default if configuration is DEFAULT else cheapest.partition("\n- **Addresses**")[0]


def costs(configuration: Configuration, band: str = "1") -> list[Cost]:
    return [estimate_cost(users, configuration, band, TEMPLATE) for users in USERS]


def test_the_default_is_the_template_s_and_comes_first() -> None:
    assert (DEFAULT.decision_log, DEFAULT.chunk, DEFAULT.own_users) == ("every", 20, True)
    assert DOCUMENT.index("deployed by default") < DOCUMENT.index("As cheap as it gets")


def test_a_thousand_users_by_hand() -> None:
    """A band of 1 % has 1,027 looks and 45 orders a month, so 85,328 of the 86,400 ticks are quiet."""
    cost = estimate_cost(1_000, CHEAPEST, "1", TEMPLATE)
    quiet, looks, busy, ticks = 85_328, 1_027, 45, 86_400
    of_users = D("71.07") * quiet + D("3214.28") * looks + D("4226.78") * busy
    of_messages = D("6428.93") * ticks * 2  # of 500 users each
    dispatched = D("0.0085") * ticks * 1_000
    reads = of_users + of_messages / 1_000 + D("15") * ticks + dispatched
    assert cost.parts["DynamoDB reads"] == reads * D("0.000000125")
    writes = (2 * looks + D(25) * busy + 720) * 1_000 + 12 * ticks  # a point of history an hour
    assert cost.parts["DynamoDB writes"] == writes * D("0.000000625")
    stored = (3 * 45 * 1_850 + 12 * (45 * 2_000 + 720 * 80)) * 1_000
    assert cost.parts["DynamoDB storage"] == stored * D("0.25") / 10**9
    assert cost.parts["backups"] == stored * D("0.20") / 10**9
    # a look's key each, which is fewer than what ten workers ask for 32 shards every five minutes
    assert cost.parts["KMS"] == 1 + (looks + busy) * 1_000 * D("0.000003")
    # each of 86,400 ticks: two messages of 500 users in one request, and each received and deleted;
    # and five pollers that ask every 20 seconds
    assert cost.parts["queue"] == (86_400 * (1 + 2 * 2) + 5 * 129_600) * D("0.0000004")
    assert cost.before_addresses == sum(cost.parts.values())
    assert (cost.addresses, cost.total) == (D(0), cost.before_addresses)


def test_what_is_the_same_for_everybody_by_hand() -> None:
    """At 100,000 users: 52 addresses, every worker asks for every shard's key, and everybody signs in."""
    cost = estimate_cost(100_000, DEFAULT, "1", TEMPLATE)
    assert cost.addresses == 52 * 720 * D("0.05")
    assert cost.parts["KMS"] == 1 + 10 * 32 * 8_640 * D("0.000003")
    assert cost.parts["sign-in"] == 1_500
    assert estimate_cost(100_000, CHEAPEST, "1", TEMPLATE).parts["sign-in"] == 0


def test_logging_every_look_costs_a_twentieth_more_as_the_document_says() -> None:
    every = estimate_cost(100_000, DEFAULT, "1", TEMPLATE).before_addresses
    changes = estimate_cost(100_000, replace(DEFAULT, decision_log="changes"), "1", TEMPLATE).before_addresses
    assert round(every - changes) == 168
    assert every - changes < every / 18
    assert "at 100,000 users 168 dollars a month" in DOCUMENT


@pytest.mark.parametrize("configuration", [DEFAULT, CHEAPEST], ids=["default", "cheapest"])
def test_the_document_has_what_the_command_says_digit_by_digit(configuration: Configuration) -> None:
    text, bills = part_of_document(configuration), costs(configuration)
    for part in bills[0].parts:
        assert list(rows(text, part)) == [[f"{bill.parts[part]:.2f}" for bill in bills]], part
    assert list(rows(text, "before addresses")) == [[f"{bill.before_addresses:.2f}" for bill in bills]]
    assert list(rows(text, "addresses")) == [[f"{bill.addresses:.2f}" for bill in bills]]
    assert list(rows(text, "total")) == [[f"{bill.total:.2f}" for bill in bills]]
    per_user = [f"{bill.per_user(bill.before_addresses):.4f}" for bill in bills]
    assert list(rows(text, "per user before addresses")) == [per_user]
    assert list(rows(text, "per user")) == [[f"{bill.per_user(bill.total):.4f}" for bill in bills]]
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 2 + len(bills[0].parts) + 5
    narrow = [f"{bill.per_user(bill.before_addresses):.4f}" for bill in costs(configuration, "0.5")]
    assert f"per user before addresses: {' | '.join(narrow)}." in text


def test_the_command_shows_both_the_default_first() -> None:
    result = CliRunner().invoke(app, ["cost", "--users", "100000", "--json"])
    default, cheapest = json.loads(result.stdout)["bills"]
    for bill, configuration in ((default, DEFAULT), (cheapest, CHEAPEST)):
        cost = estimate_cost(100_000, configuration, "1", TEMPLATE)
        assert bill["configuration"]["name"] == configuration.name
        (line,) = bill["costs"]
        assert D(line["total"]) == cost.total
        assert {name: D(dollars) for name, dollars in line["parts"].items()} == cost.parts


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("quiet ticks", "QUIET"),
        ("looks that change nothing, `every`", "LOOK"),
        ("looks that change nothing, `changes`", "LOOK_UNLOGGED"),
        ("looks that place an order", "BUSY"),
        ("points of the history, one an hour", "POINT"),
        ("messages, beside their users", "MESSAGE"),
        ("ticks, once for everybody", "PRICES"),
    ],
)
def test_the_document_has_the_counts(title: str, name: str) -> None:
    counts = COUNTS[name]
    written = [counts.read_units, counts.write_units, counts.weight, counts.log_bytes]
    assert [[D(cell) for cell in row] for row in rows(DOCUMENT, title)] == [written]


def test_every_price_says_where_it_is_stated_and_when_it_was_seen() -> None:
    for price in PRICES.values():
        assert re.fullmatch(r"(20\d\d-\d\d)?", price.seen)
        assert price.source.startswith("aws.amazon.com/")
        (row,) = rows(DOCUMENT, price.per)
        assert row[1:] == [price.source, price.seen or "believed"]
        assert D(row[0]) == price.dollars.quantize(D("1e-12"))


def test_as_cheap_as_it_gets_a_hundred_thousand_users_cost_six_tenths_of_a_cent_each_before_addresses() -> None:
    cost = estimate_cost(100_000, CHEAPEST, "1", TEMPLATE)
    assert cost.per_user(cost.before_addresses) <= D("0.006")
