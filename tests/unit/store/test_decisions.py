"""Decisions: logged once a tick, by who had the lease last, whole or saying that they are not; read newest first."""

import json
from base64 import b85encode, urlsafe_b64encode
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import InvalidRequestError, NotFoundError, TransientError
from botbalance.models.decision import Decision
from botbalance.store.accounts import Lease
from botbalance.store.compression import compress, decompress
from botbalance.store.decisions import LARGEST_DOCUMENT, DecisionsTable
from botbalance.store.pagination import encode_cursor

from tests.unit.store.conftest import NOOP_TTL_DAYS, TTL_DAYS
from tests.unit.store.faults import answers_lost, room_for

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TICK = 1_700_000_010


def a_decision(ts_tick: int = TICK, user_id: str = "alice", **changes: Any) -> Decision:
    return Decision(
        **{
            "user_id": user_id,
            "ts_tick": ts_tick,
            "decided_at": ts_tick + 1,
            "outcome": "decided",
            "engine_version": "1",
            "inputs": {"market_prices": {"BTCUSDT": "40000.000000000000000001"}},
            "evaluation": {"nav": "12345.678901234567890123456789"},
            "placed": [{"client_order_id": "0" * 20}],
            **changes,
        }
    )


def granted(number: int) -> Lease:
    """A lease as its holder has it; the table looks at its number only."""
    return Lease("leases", "alice", number, TICK + 60)


# logging


def test_a_log_is_read_back_whole(decisions: DecisionsTable) -> None:
    logged = a_decision(canceled={"1" * 20: "too_old"}, reason="x")
    assert decisions.log(logged, granted(1))
    assert decisions.get("alice", TICK) == logged


def test_a_tick_that_was_skipped_without_a_lease_is_logged_where_nothing_is(decisions: DecisionsTable) -> None:
    skipped = a_decision(outcome="skipped", reason="busy")
    assert decisions.log(skipped, None)
    assert decisions.get("alice", TICK) == skipped


@pytest.mark.parametrize("number", [None, 1, 7], ids=["a skip", "the first run", "a later run"])
def test_a_skip_never_replaces_what_is_logged(decisions: DecisionsTable, number: int | None) -> None:
    logged = a_decision(reason="first")
    decisions.log(logged, None if number is None else granted(number))
    assert not decisions.log(a_decision(outcome="skipped", reason="second"), None)
    assert decisions.get("alice", TICK) == logged


def test_a_run_replaces_an_earlier_skip_and_an_earlier_run(decisions: DecisionsTable) -> None:
    """Of one tick the last word is with who had the lease last."""
    decisions.log(a_decision(outcome="skipped", reason="busy"), None)
    for number in (1, 2, 9, 10):  # in the order of numbers, not of their digits
        decided = a_decision(reason=f"lease {number}")
        assert decisions.log(decided, granted(number))
        assert decisions.get("alice", TICK) == decided


def test_an_earlier_run_does_not_replace_a_later_one(decisions: DecisionsTable) -> None:
    later = a_decision(reason="lease 10")
    decisions.log(later, granted(10))
    assert not decisions.log(a_decision(reason="lease 9"), granted(9))
    assert decisions.get("alice", TICK) == later


def test_a_log_that_is_repeated_by_its_run_is_no_error(decisions: DecisionsTable) -> None:
    """What was not known to be written is written again; the first word stands."""
    decisions.log(a_decision(), granted(3))
    assert not decisions.log(a_decision(), granted(3))
    assert decisions.get("alice", TICK) == a_decision()


@pytest.mark.parametrize("lost", [1, 2])
def test_a_log_whose_answer_was_lost_is_written(
    repeating: "DynamoDBClient", decisions_table: str, decisions: DecisionsTable, lost: int
) -> None:
    with answers_lost(repeating, "PutItem", lost) as sent:
        DecisionsTable(repeating, decisions_table, TTL_DAYS, NOOP_TTL_DAYS).log(a_decision(), granted(1))
    assert len(sent) == lost + 1
    assert decisions.get("alice", TICK) == a_decision()


def test_what_the_database_left_unprocessed_is_written_again(
    decisions: DecisionsTable, dynamodb: "DynamoDBClient"
) -> None:
    logged = [a_decision(TICK + 30 * number, placed=[]) for number in range(5)]
    with room_for(dynamodb, 2) as asked:
        decisions.log_noops(logged)
    assert asked == [5, 3, 1]
    assert decisions.page("alice", limit=9).items == logged[::-1]


def test_what_the_database_has_no_room_for_is_said_to_be_missing(
    decisions: DecisionsTable, dynamodb: "DynamoDBClient"
) -> None:
    with room_for(dynamodb, 1), pytest.raises(TransientError, match="capacity"):
        decisions.log_noops([a_decision(TICK + 30 * number, placed=[]) for number in range(5)])


@pytest.mark.parametrize(
    ("changes", "is_noop"),
    [
        ({}, True),
        ({"reason": "an order could not be cancelled"}, False),
        ({"outcome": "skipped"}, False),
        ({"canceled": {"1": "too_old"}}, False),
        ({"placed": [{"client_order_id": "1"}]}, False),
    ],
    ids=str,
)
def test_a_decision_that_met_trouble_did_not_change_nothing(changes: dict[str, Any], *, is_noop: bool) -> None:
    assert a_decision(**{"placed": [], **changes}).is_noop is is_noop


def test_a_log_of_another_tick_or_user_is_another_log(decisions: DecisionsTable) -> None:
    assert decisions.log(a_decision(), granted(9))
    assert decisions.log(a_decision(TICK + 30), granted(1))
    assert decisions.log(a_decision(user_id="bob"), granted(1))
    assert decisions.log(a_decision(TICK + 60), None)


def test_another_user_s_decision_is_not_there(decisions: DecisionsTable) -> None:
    decisions.log(a_decision(), granted(1))
    with pytest.raises(NotFoundError):
        decisions.get("bob", TICK)


def test_a_log_expires_after_the_days_set_by_the_table_s_ttl(
    decisions: DecisionsTable, dynamodb: "DynamoDBClient", decisions_table: str
) -> None:
    decisions.log(a_decision(), None)
    decisions.log(a_decision(TICK + 30, outcome="skipped", placed=[], reason="no prices"), granted(1))
    decisions.log_noops([a_decision(TICK + 60, placed=[])])
    kept = {
        int(item["ts_tick"]["N"]): int(item["expires_at"]["N"]) - int(item["ts_tick"]["N"])
        for item in dynamodb.scan(TableName=decisions_table)["Items"]
    }
    day = 24 * 60 * 60
    assert kept == {TICK: TTL_DAYS * day, TICK + 30: TTL_DAYS * day, TICK + 60: NOOP_TTL_DAYS * day}


# too large for an item


def noise(size: int, seed: int = 1) -> str:
    """Text that takes ``size`` bytes, more or less, also when it is compressed."""
    return b85encode(Random(seed).randbytes(size)).decode()


def test_a_decision_is_stored_in_far_fewer_bytes_than_it_is_told_in(
    decisions: DecisionsTable, dynamodb: "DynamoDBClient", decisions_table: str
) -> None:
    prices = {f"ASSET{number}USDT": f"{number}.0001" for number in range(100)}
    decision = a_decision(inputs={"market_prices": prices}, evaluation={"market_prices": prices})
    decisions.log(decision, granted(1))
    [item] = dynamodb.scan(TableName=decisions_table)["Items"]
    assert len(item["document"]["B"]) < len(decision.model_dump_json()) / 4


def test_a_decision_that_just_fits_is_logged_whole(
    decisions: DecisionsTable,
    dynamodb: "DynamoDBClient",
    decisions_table: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Measured as it is stored."""
    decision = a_decision(evaluation={"padding": noise(300_000)})
    decisions.log(decision, granted(1))
    [item] = dynamodb.scan(TableName=decisions_table)["Items"]
    size = len(item["document"]["B"])
    monkeypatch.setattr("botbalance.store.decisions.LARGEST_DOCUMENT", size)
    assert decisions.log(decision, granted(2))
    assert decisions.get("alice", TICK) == decision
    monkeypatch.setattr("botbalance.store.decisions.LARGEST_DOCUMENT", size - 1)
    assert caplog.records == []
    assert decisions.log(decision, granted(3))
    assert decisions.get("alice", TICK).evaluation is None
    assert caplog.records[0].__dict__["bytes"] == size


def test_the_largest_document_is_taken_by_the_database(decisions: DecisionsTable) -> None:
    decision = a_decision(evaluation={"padding": noise(LARGEST_DOCUMENT - 10_000)})
    assert decisions.log(decision, granted(1))
    assert decisions.get("alice", TICK) == decision


@pytest.mark.parametrize(
    ("reason", "logged"),
    [
        (None, "too large to be logged whole"),
        ("the order was refused", "the order was refused; too large to be logged whole"),
        ("€" * 30_000, "€" * 10_000 + "; too large to be logged whole"),
    ],
    ids=["without a reason", "with one", "with a long one"],
)
def test_a_decision_that_is_too_large_is_logged_in_part_and_says_so(
    decisions: DecisionsTable, caplog: pytest.LogCaptureFixture, reason: str | None, logged: str
) -> None:
    decision = a_decision(
        evaluation={"padding": noise(LARGEST_DOCUMENT + 1)}, reason=reason, canceled={"1" * 20: "too_old"}
    )
    assert decisions.log(decision, granted(1))
    part = decisions.get("alice", TICK)
    assert part.reason is not None
    assert part.reason.startswith(logged)
    assert "inputs and evaluation are left out" in part.reason
    assert part == decision.model_copy(update={"inputs": None, "evaluation": None, "reason": part.reason})
    [record] = caplog.records
    assert record.__dict__["alarm"] == "decision_too_large"
    assert record.__dict__["user_id"] == "alice"


def test_a_decision_that_is_too_large_even_in_part_is_not_cut_silently(decisions: DecisionsTable) -> None:
    with pytest.raises(TransientError):
        decisions.log(a_decision(placed=[{"reason": noise(450_000)}]), granted(1))
    assert decisions.page("alice", limit=10).items == []


# other versions of the code


@pytest.mark.parametrize("changes", [{"schema_version": 2}, {"schema_version": "1"}, {"outcome": "dreamed"}], ids=str)
def test_a_decision_of_another_version_is_refused(
    decisions: DecisionsTable, dynamodb: "DynamoDBClient", decisions_table: str, changes: dict[str, Any]
) -> None:
    decisions.log(a_decision(), granted(1))
    [item] = dynamodb.scan(TableName=decisions_table)["Items"]
    document = json.loads(decompress(item["document"]["B"])) | changes
    dynamodb.put_item(
        TableName=decisions_table, Item=item | {"document": {"B": compress(json.dumps(document).encode())}}
    )
    for read in (lambda: decisions.get("alice", TICK), lambda: decisions.page("alice", limit=10)):
        with pytest.raises(TransientError, match=f"Decision is not of a known form .{next(iter(changes))}.") as raised:
            read()
        assert raised.value.code == "unknown_schema"


def test_a_decision_from_before_schemas_had_numbers_is_read(
    decisions: DecisionsTable, dynamodb: "DynamoDBClient", decisions_table: str
) -> None:
    decisions.log(a_decision(), granted(1))
    [item] = dynamodb.scan(TableName=decisions_table)["Items"]
    document = json.loads(decompress(item["document"]["B"]))
    del document["schema_version"]
    dynamodb.put_item(
        TableName=decisions_table, Item=item | {"document": {"B": compress(json.dumps(document).encode())}}
    )
    assert decisions.get("alice", TICK) == a_decision()


# pages


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_pages_hold_every_decision_once_newest_first(decisions: DecisionsTable, limit: int) -> None:
    ticks = [TICK + 30 * number for number in range(5)]
    for tick in ticks:
        decisions.log(a_decision(tick), granted(1))
        decisions.log(a_decision(tick, user_id="bob"), granted(1))
    found, cursor = [], None
    while True:
        page = decisions.page("alice", limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [a_decision(tick) for tick in reversed(ticks)]


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


FORGED = {
    "empty": "",
    "not base64": "%%%",
    "not ASCII": "пять",
    "null": encoded(None),
    "an object": encoded({"ts_tick": "1"}),
    "no parts": encoded([]),
    "a number": encoded([TICK]),
    "text": encoded(["yesterday"]),
    "empty text": encoded([""]),
    "negative": encoded(["-1"]),
    "a fraction": encoded(["1.5"]),
    "an exponent": encoded(["1e400"]),
    "NaN": encoded(["NaN"]),
    "Infinity": encoded(["Infinity"]),
    "blanks": encoded([" 1 "]),
    "other digits": encoded(["١٢٣"]),
    "too long for a number": encoded(["1" * 60]),
    "huge": encoded(["1" * 1_000_000]),
    "an order's": encode_cursor("01700000010#0000", "0" * 20),
}


@pytest.mark.parametrize("cursor", FORGED.values(), ids=FORGED)
def test_a_forged_cursor_is_the_request_s_fault(decisions: DecisionsTable, cursor: str) -> None:
    decisions.log(a_decision(), granted(1))
    with pytest.raises(InvalidRequestError) as raised:
        decisions.page("alice", limit=10, cursor=cursor)
    assert raised.value.code == "invalid_cursor"


def test_a_page_of_one_outcome_is_put_together_of_several_queries(decisions: DecisionsTable) -> None:
    for number in range(6):
        outcome = ("decided", "skipped")[number % 2]
        decisions.log(a_decision(TICK + 30 * number, outcome=outcome, reason="busy"), granted(1))
    page = decisions.page("alice", limit=3, outcome="decided")
    assert [decision.ts_tick for decision in page.items] == [TICK + 120, TICK + 60, TICK]


def test_a_cursor_of_another_user_shows_only_one_s_own_decisions(decisions: DecisionsTable) -> None:
    for number in range(4):
        decisions.log(a_decision(TICK + number, user_id="alice" if number % 2 else "bob"), granted(1))
    bobs = decisions.page("bob", limit=1).cursor
    assert bobs is not None
    assert {one.user_id for one in decisions.page("alice", limit=10, cursor=bobs).items} == {"alice"}
