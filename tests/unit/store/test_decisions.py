"""Decisions: one worker claims a tick, and its log is read newest first."""

import json
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import MendRequest, NotThere
from botbalance.store.cursors import encode_cursor
from botbalance.store.decisions import Decision, DecisionsTable

from tests.unit.store.conftest import TTL_DAYS, MakeTable

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


def test_a_tick_is_claimed_once(decisions: DecisionsTable) -> None:
    assert decisions.claim("alice", TICK)
    assert not decisions.claim("alice", TICK)
    assert decisions.claim("alice", TICK + 30)
    assert decisions.claim("bob", TICK)


def test_a_logged_tick_cannot_be_claimed_again(decisions: DecisionsTable) -> None:
    decisions.claim("alice", TICK)
    decisions.log(a_decision())
    assert not decisions.claim("alice", TICK)
    assert decisions.get("alice", TICK) == a_decision()


def test_of_many_workers_one_gets_the_claim(decisions: DecisionsTable) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda _: decisions.claim("alice", TICK), range(16)))
    assert won.count(True) == 1


def test_a_log_is_read_back_whole(decisions: DecisionsTable) -> None:
    decisions.claim("alice", TICK)
    logged = a_decision(canceled={"1" * 20: "too_old"}, reason="x")
    decisions.log(logged)
    assert decisions.get("alice", TICK) == logged


def test_a_claim_without_a_log_is_no_decision(decisions: DecisionsTable) -> None:
    decisions.claim("alice", TICK)
    with pytest.raises(NotThere):
        decisions.get("alice", TICK)
    assert decisions.page("alice", limit=10).decisions == []


def test_another_user_s_decision_is_not_there(decisions: DecisionsTable) -> None:
    decisions.log(a_decision())
    with pytest.raises(NotThere):
        decisions.get("bob", TICK)


def test_claim_and_log_expire_after_the_days_set_by_the_table_s_ttl(
    dynamodb: "DynamoDBClient", table: MakeTable
) -> None:
    name = table("DecisionsTable")
    decisions = DecisionsTable(dynamodb, name, TTL_DAYS)
    decisions.claim("alice", TICK)
    decisions.log(a_decision(TICK + 30))
    for item in dynamodb.scan(TableName=name)["Items"]:
        assert int(item["expires_at"]["N"]) == int(item["ts_tick"]["N"]) + TTL_DAYS * 24 * 60 * 60


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_pages_hold_every_decision_once_newest_first(decisions: DecisionsTable, limit: int) -> None:
    ticks = [TICK + 30 * number for number in range(5)]
    for tick in ticks:
        decisions.log(a_decision(tick))
        decisions.log(a_decision(tick, user_id="bob"))
        decisions.claim("alice", tick + 15)
    found, cursor = [], None
    while True:
        page = decisions.page("alice", limit=limit, cursor=cursor)
        assert len(page.decisions) <= limit
        found += page.decisions
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
    decisions.log(a_decision())
    with pytest.raises(MendRequest) as raised:
        decisions.page("alice", limit=10, cursor=cursor)
    assert raised.value.code == "invalid_cursor"


def test_a_cursor_of_another_user_shows_only_one_s_own_decisions(decisions: DecisionsTable) -> None:
    for number in range(4):
        decisions.log(a_decision(TICK + number, user_id="alice" if number % 2 else "bob"))
    bobs = decisions.page("bob", limit=1).cursor
    assert bobs is not None
    assert {one.user_id for one in decisions.page("alice", limit=10, cursor=bobs).decisions} == {"alice"}
