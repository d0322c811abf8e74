"""Every route of the template answers, to those who may ask."""

import pytest

from tests.integration.http_api.client import Client, newcomer, problem, trader
from workbench.aws.template import Route, read_template
from workbench.local.stack import Stack

ROUTES = sorted(
    (route for route in read_template().routes() if route.method != "HEAD"),
    key=lambda route: (route.path, route.method),
)
SAMPLE = {"client_order_id": "0123456789abcdef0123", "ts_tick": "1700000010", "pause_id": "doubt-BTCUSDT"}

NOT_THERE = {"order_not_found", "decision_not_found", "pause_not_found", "paper_account_not_found", "no_channel"}
"""What may be said of a trader who has nothing of that kind."""


def sample_path(route: Route) -> str:
    return route.path.format(**SAMPLE)


def route_name(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("slash", ["", "/"], ids=["bare", "slash"])
@pytest.mark.parametrize("route", ROUTES, ids=route_name)
def test_every_route_answers_what_its_function_has_to_say(stack: Stack, route: Route, slash: str) -> None:
    """A success, or a problem about this request's own content; never that there is no such route."""
    answer = trader(stack).ask(route.method, sample_path(route) + slash)
    assert answer.status_code < 500, answer.text
    if answer.ok:
        assert answer.headers["Content-Type"] == ("text/csv" if route.path.endswith(".csv") else "application/json")
        assert answer.headers["X-Request-Id"]
    else:
        takes_body = route.method in {"PUT", "PATCH"} or route.path.endswith(("/preview", "/resolve", "/transfers"))
        assert answer.json()["code"] in ({"invalid_request"} if takes_body else NOT_THERE)
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.public], ids=route_name)
@pytest.mark.parametrize("authorization", ["Basic ZGVtbzpkZW1v", "Bearer", "Bearer ", "Bearer a b", "Bearer ../x", "x"])
def test_a_bad_token_is_refused_everywhere(stack: Stack, route: Route, authorization: str) -> None:
    answer = Client(stack.url, None).ask(route.method, sample_path(route), Authorization=authorization)
    problem(answer, 401, "not_authenticated")


def test_no_header_is_the_demo_user_on_one_machine(stack: Stack) -> None:
    anonymous = Client(stack.url, None).get("/api/me/strategies/rebalance").json()
    assert anonymous == Client(stack.url, "demo").get("/api/me/strategies/rebalance").json()


@pytest.mark.parametrize(
    "path", ["/nothing", "/api", "/api/me", "/api/me/nothing", "/api/me/orders/a/b", "/api/me/plan"]
)
def test_an_unknown_path_is_a_404(stack: Stack, path: str) -> None:
    problem(newcomer(stack).get(path), 404, "no_such_route")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/me/balances/", "GET, HEAD"),
        ("GET", "/api/me/strategies/rebalance/execute/", "POST"),
        ("DELETE", "/api/me/strategies/rebalance", "GET, HEAD, PATCH, PUT"),
        ("PUT", "/api/me/orders", "DELETE, GET, HEAD"),
    ],
)
def test_a_wrong_method_is_a_405_that_names_the_right_ones(stack: Stack, method: str, path: str, allowed: str) -> None:
    answer = newcomer(stack).ask(method, path)
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


def test_another_user_sees_nothing(stack: Stack) -> None:
    owner, other = trader(stack), newcomer(stack)
    order = owner.post("/api/me/strategies/rebalance/execute/").json()["orders"][0]["client_order_id"]

    for path in ("plan/", "", "execute/"):
        ask = other.post if path == "execute/" else other.get
        problem(ask(f"/api/me/strategies/rebalance/{path}"), 404, "strategy_not_found")
    problem(other.get("/api/me/balances/"), 404, "strategy_not_found")
    problem(other.get("/api/me/portfolio/summary/"), 404, "strategy_not_found")
    assert other.get("/api/me/exchange/credentials/").json() == {"credentials": []}
    problem(other.delete("/api/me/exchange/credentials/"), 404, "exchange_key_not_found")
    problem(other.delete(f"/api/me/orders/{order}/"), 404, "order_not_found")
    assert other.get("/api/me/orders/").json() == {"orders": [], "cursor": None}
    assert other.delete("/api/me/orders/").json() == {"orders": [], "cursor": None}
    assert other.get("/api/me/decisions/").json() == {"decisions": [], "cursor": None}
    assert {kept["status"] for kept in owner.get("/api/me/orders/").json()["orders"]} == {"OPEN"}


def test_somebody_elses_decision_is_not_there(stack: Stack) -> None:
    owner = trader(stack)
    assert owner.put("/api/me/strategies/rebalance/autopilot/", {"enabled": True}).json()["autopilot_enabled"]
    stack.tick()
    ts_tick = owner.get("/api/me/decisions/").json()["decisions"][0]["ts_tick"]
    assert owner.get(f"/api/me/decisions/{ts_tick}/").json()["outcome"] == "decided"
    problem(newcomer(stack).get(f"/api/me/decisions/{ts_tick}/"), 404, "decision_not_found")
