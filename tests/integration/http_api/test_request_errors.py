"""What is wrong with a request is said of every field at once, in our words; nothing is silently ignored."""

import json

import pytest

from tests.integration.http_api.client import GOOD_STRATEGY, STRATEGY, Client, problem

BODY = json.dumps(GOOD_STRATEGY)


@pytest.mark.parametrize("malformed", ["banana", "2", '"2', '2"', '"2" "3"', "* , x", "W/*"])
def test_what_is_no_etag_is_malformed_and_not_changed_meanwhile(user: Client, malformed: str) -> None:
    before = user.get(STRATEGY).json()
    document = problem(user.ask("PUT", STRATEGY, BODY, **{"If-Match": malformed}), 422, "invalid_request")
    assert "double quotes" in document["detail"]
    assert user.get(STRATEGY).json() == before


def test_a_parameter_that_no_route_has_is_refused_by_name(user: Client) -> None:
    document = problem(user.get("/api/me/orders/?symbl=BTCUSDT&limit=5"), 422, "invalid_request")
    assert document["field"] == "symbl"
    assert "symbol" in document["expected"]
    assert document["errors"] == [{"field": "symbl", "expected": document["expected"]}]
    both = problem(user.get("/api/me/balances/?a=1&b=2"), 422, "invalid_request")
    assert [error["field"] for error in both["errors"]] == ["a", "b"]
    assert "field" not in both


def test_a_symbol_in_small_letters_means_the_pair(user: Client) -> None:
    user.post("/api/me/strategies/rebalance/execute/")
    small, capitals = (user.get(f"/api/me/orders/?symbol={symbol}").json() for symbol in ("btcusdt", "BTCUSDT"))
    assert small == capitals
    assert small["orders"]


def test_every_wrong_field_is_named_in_our_words(user: Client) -> None:
    wrong = {"target_allocations": {}, "order_size_pct": "x", "post_only": "yes", "order_step_pct": "0.4", "bogus": 1}
    document = problem(user.put(STRATEGY, wrong), 422, "invalid_request")
    assert {error["field"]: error["expected"] for error in document["errors"]} == {
        "target_allocations": "at least 1 entries",
        "order_size_pct": "a finite number, written without an exponent",
        "min_delta_quote": "it to be there",
        "post_only": "true or false",
        "bogus": "no such field",
    }
