"""Paper accounts on every engine: one write is one transaction, on a revision and under a lease."""

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from botbalance.errors import ConflictError, NotFoundError
from botbalance.exchange.paper_books import end_of_epoch, open_account, transfer_asset
from botbalance.models.paper import PaperAccount
from botbalance.store.paper import PaperTable

from tests.unit.store.conftest import NOW, Grant, MakeTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAPER = "binance-paper"


@pytest.fixture
def paper(dynamodb: "DynamoDBClient", table: MakeTable) -> PaperTable:
    return PaperTable(dynamodb, table("PaperTable"))


def opened(before: PaperAccount | None = None) -> PaperAccount:
    return open_account("alice", PAPER, {"USDT": Decimal(100)}, NOW, before)


def test_an_account_is_found_as_it_was_written_and_only_its_owner_s(paper: PaperTable, grant: Grant) -> None:
    saved = paper.save(opened(), grant("alice"))
    assert saved.revision == 1
    assert paper.get("alice", PAPER) == saved
    with pytest.raises(NotFoundError):
        paper.get("bob", PAPER)
    assert paper.find("alice", "kraken-paper") is None


def test_whoever_read_an_older_revision_or_lost_the_lease_writes_nothing(paper: PaperTable, grant: Grant) -> None:
    lease = grant("alice")
    stale = opened()
    saved = paper.save(stale, lease)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        paper.save(transfer_asset(stale, "USDT", Decimal(1)), lease)
    with pytest.raises(ConflictError, match="another run has taken over"):
        paper.save(saved, replace(lease, fencing_token=lease.fencing_token - 1))
    assert paper.get("alice", PAPER) == saved


def test_epochs_that_are_over_stay_in_order(paper: PaperTable, grant: Grant) -> None:
    lease = grant("alice")
    account = paper.save(opened(), lease)
    for number in range(1, 12):
        ended = end_of_epoch(account, NOW + number)
        account = paper.save(opened(account), lease, epoch=ended)
    assert [epoch.epoch for epoch in paper.epochs("alice", PAPER)] == list(range(1, 12))
    assert paper.epochs("alice", "okx-paper") == []
