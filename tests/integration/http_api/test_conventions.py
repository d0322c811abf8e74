"""What holds for every route: names of requests, versions, idempotency keys, pages of other origins."""

import json
from collections.abc import Iterator
from io import StringIO
from logging import StreamHandler, getLogger

import pytest
import requests
from botbalance.log import logger

from tests.integration.http_api.client import (
    AUTOPILOT,
    EXECUTE,
    GOOD_STRATEGY,
    ORDERS,
    STRATEGY,
    TARGETS,
    Client,
    newcomer,
    problem,
    trader,
)
from workbench.local.stack import Options, Stack

ORIGIN = "https://app.example.com"
BODY = json.dumps(GOOD_STRATEGY)


@pytest.fixture(scope="module")
def open_to_a_page() -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORS_ORIGIN", ORIGIN)
        with Stack(Options(freeze_prices=True, autopilot=False)) as stack:
            yield stack


# names


@pytest.mark.parametrize("path", [STRATEGY, ORDERS, "/api/health", "/api/me/decisions/x/", "/nothing"])
def test_every_answer_has_a_name_of_its_own_and_is_never_cached(stack: Stack, path: str) -> None:
    answers = [newcomer(stack).get(path) for _ in range(2)]
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == 2
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


def test_the_name_of_a_request_is_on_every_line_of_the_log_about_it(stack: Stack, user: Client) -> None:
    user.post(EXECUTE)
    stack.books.revoke_key(f"key-of-{user.token}")
    log = StringIO()
    handler = StreamHandler(log)
    handler.setFormatter(logger.registered_formatter)
    log_of_ours = getLogger(logger.service)
    log_of_ours.addHandler(handler)
    answer = user.get(ORDERS)
    log_of_ours.removeHandler(handler)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["orders not brought up to date"]
    assert {line["request_id"] for line in lines} == {answer.headers["X-Request-Id"]}


# versions


def test_a_first_strategy_needs_no_version_and_every_other_does(stack: Stack) -> None:
    user = newcomer(stack)
    first = user.ask("PUT", STRATEGY, BODY)
    assert first.ok
    assert first.headers["ETag"] == user.get(STRATEGY).headers["ETag"] == '"1"'
    problem(user.ask("PUT", STRATEGY, BODY), 428, "version_needed")
    problem(user.ask("PATCH", STRATEGY, "{}"), 428, "version_needed")
    second = user.ask("PUT", STRATEGY, BODY, **{"If-Match": first.headers["ETag"]})
    assert second.headers["ETag"] == '"2"'


@pytest.mark.parametrize("stale", ['"1"', 'W/"2"', '"22"', '"1", "3"', '""'])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_whoever_read_another_version_changes_nothing(stack: Stack, method: str, stale: str) -> None:
    user = newcomer(stack)
    for _ in range(2):
        user.put(STRATEGY, GOOD_STRATEGY)
    before = user.get(STRATEGY).json()
    document = problem(user.ask(method, STRATEGY, BODY, **{"If-Match": stale}), 412, "version_stale")
    assert 'expected "2"' in document["detail"]
    assert user.get(STRATEGY).json() == before


@pytest.mark.parametrize("current", ['"2"', "*", '"1", "2"', '"2" , W/"1"'])
def test_any_of_several_versions_may_be_the_current_one(stack: Stack, current: str) -> None:
    user = newcomer(stack)
    for _ in range(2):
        user.put(STRATEGY, GOOD_STRATEGY)
    assert user.ask("PUT", STRATEGY, BODY, **{"If-Match": current}).headers["ETag"] == '"3"'


def test_there_is_no_version_of_what_is_not_there(stack: Stack) -> None:
    problem(newcomer(stack).ask("PUT", STRATEGY, BODY, **{"If-Match": '"1"'}), 412, "version_stale")
    problem(newcomer(stack).ask("PATCH", STRATEGY, BODY, **{"If-Match": "*"}), 404, "strategy_not_found")


def test_switching_the_autopilot_is_a_new_version_too(user: Client) -> None:
    before = user.get(STRATEGY).headers["ETag"]
    switched = user.put(AUTOPILOT, {"enabled": True})
    assert switched.headers["ETag"] == user.get(STRATEGY).headers["ETag"] != before
    problem(user.ask("PUT", STRATEGY, BODY, **{"If-Match": before}), 412, "version_stale")
    user.put(AUTOPILOT, {"enabled": False})


# patches


def test_a_patch_changes_what_it_names_and_nothing_else(user: Client) -> None:
    before = user.get(STRATEGY).json()
    patched = user.patch(STRATEGY, {"order_size_pct": "1.5", "reprice_tolerance_pct": "0.2"}).json()
    assert (patched["order_size_pct"], patched["reprice_tolerance_pct"]) == ("1.5", "0.2")
    same = {name: before[name] for name in before if name not in {"order_size_pct", "reprice_tolerance_pct", "version"}}
    assert {name: patched[name] for name in same} == same
    assert user.patch(STRATEGY, {"reprice_tolerance_pct": None}).json()["reprice_tolerance_pct"] is None
    assert user.get(STRATEGY).json()["order_size_pct"] == "1.5"


def test_targets_are_merged_by_asset_and_null_drops_one(user: Client) -> None:
    patched = user.patch(STRATEGY, {"target_allocations": {"SOL": None, "BTC": "50"}}).json()
    assert patched["target_allocations"] == {"BTC": "50", "ETH": "30", "USDT": "20"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"target_allocations": {"BTC": "31"}}, "invalid_strategy"),
        ({"target_allocations": dict.fromkeys(TARGETS)}, "invalid_strategy"),
        ({"target_allocations": {"SOL": None, "NOPE": "20"}}, "unknown_market"),
        ({"order_size_pct": None}, "invalid_request"),
        ({"quote_asset": None}, "invalid_request"),
        ({"autopilot_enabled": True}, "invalid_request"),
        ({"version": 7}, "invalid_request"),
        ({"order_step_pct": "51"}, "invalid_strategy"),
    ],
)
def test_a_patch_that_leaves_no_valid_strategy_is_refused(user: Client, changes: dict[str, object], code: str) -> None:
    before = user.get(STRATEGY).json()
    problem(user.patch(STRATEGY, changes), 422, code)
    assert user.get(STRATEGY).json() == before


def test_a_merge_patch_may_be_called_by_its_name(user: Client) -> None:
    answer = user.patch(STRATEGY, {"order_size_pct": "3"}, **{"Content-Type": "application/merge-patch+json"})
    assert answer.json()["order_size_pct"] == "3"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/jsonp",
        "x",
        "",
    ],
)
def test_a_body_that_is_called_something_else_is_refused(user: Client, content_type: str) -> None:
    answer = user.ask("PUT", STRATEGY, BODY, **{"Content-Type": content_type, "If-Match": "*"})
    problem(answer, 415, "not_json")


# idempotency


def test_the_same_key_is_answered_with_the_same_orders_and_places_none(stack: Stack) -> None:
    user = trader(stack)
    first = user.ask("POST", EXECUTE, **{"Idempotency-Key": "a"})
    assert len(first.json()["orders"]) == 3
    placed = stack.books.orders(f"key-of-{user.token}")
    user.delete(ORDERS)
    again = user.ask("POST", EXECUTE, **{"Idempotency-Key": "a"})
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(stack.books.orders(f"key-of-{user.token}")) == len(placed)
    assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]


def test_an_error_is_kept_for_nobody(stack: Stack) -> None:
    user = trader(stack)
    user.put(AUTOPILOT, {"enabled": True})
    problem(user.ask("POST", EXECUTE, **{"Idempotency-Key": "b"}), 409, "autopilot_enabled")
    user.put(AUTOPILOT, {"enabled": False})
    assert len(user.ask("POST", EXECUTE, **{"Idempotency-Key": "b"}).json()["orders"]) == 3


@pytest.mark.parametrize("key", ["x" * 256])
def test_a_key_that_is_too_long_is_refused(user: Client, key: str) -> None:
    problem(user.ask("POST", EXECUTE, **{"Idempotency-Key": key}), 422, "invalid_request")


# other origins


def test_no_page_may_call_the_api_unless_it_is_named(stack: Stack) -> None:
    answer = requests.get(f"{stack.url}/api/health", headers={"Origin": ORIGIN}, timeout=60)
    problem(answer, 403, "wrong_origin")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert requests.options(f"{stack.url}/api/me/orders", headers={"Origin": ORIGIN}, timeout=60).status_code == 403


@pytest.mark.parametrize("path", ["/api/health", "/api/me/strategies/rebalance", "/api/me/decisions/x", "/nothing"])
def test_the_page_that_is_named_may_read_every_answer(open_to_a_page: Stack, path: str) -> None:
    assert (
        requests.get(open_to_a_page.url + path, headers={"Origin": "https://evil.example"}, timeout=60).status_code
        == 403
    )
    answer = requests.get(open_to_a_page.url + path, headers={"Origin": ORIGIN}, timeout=60)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN, "and nobody else's"
    if path.startswith("/api"):
        assert {"ETag", "X-Request-Id"} <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))


def test_the_page_is_told_beforehand_what_it_may_send(open_to_a_page: Stack) -> None:
    told = requests.options(f"{open_to_a_page.url}/api/me/strategies/rebalance/", timeout=60)
    assert told.status_code == 200
    assert told.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert {"GET", "PATCH", "PUT"} <= set(told.headers["Access-Control-Allow-Methods"].split(","))
    assert {"Authorization", "Idempotency-Key", "If-Match"} <= set(
        told.headers["Access-Control-Allow-Headers"].split(",")
    )
    assert "Access-Control-Allow-Credentials" not in told.headers
