"""Who asks is whom the token names, and an exchange key leaves in no word that is said, logged or stored."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import boto3
import pytest
from botbalance import bootstrap
from botbalance.api.request_limits import A_CHANGE, STOPS_A_MINUTE
from botbalance.api.resolver import CLIENTS_VARIABLE
from botbalance.log import logger
from botbalance.models.strategy import Strategy

from tests.integration.http_api.client import GOOD_STRATEGY
from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness
from workbench.aws.template import Route, read_template
from workbench.faults.kinds import KINDS, FaultKind
from workbench.local.lambda_runtime import LambdaRuntime

STRATEGY, PLAN = "/api/me/strategies/rebalance", "/api/me/strategies/rebalance/plan"
SAMPLE = {"client_order_id": "0123456789abcdef0123", "ts_tick": "1700000010", "pause_id": "doubt-BTCUSDT"}
BODIES: Mapping[str, Any] = {
    "/api/me/strategies/rebalance/preview": GOOD_STRATEGY | {"target_allocations": {"BTC": "80", "USDT": "20"}},
    "/api/me/orders/{client_order_id}/resolve": {"outcome": "canceled"},
    "/api/me/strategies/rebalance": GOOD_STRATEGY | {"target_allocations": {"BTC": "80", "USDT": "20"}},
    "/api/me/strategies/rebalance/autopilot": {"enabled": False},
    "/api/me/exchange/credentials": {"api_key": "k" * 64, "secret": "s" * 64},
    "/api/me/exchange/paper": {"balances": {"USDT": "10000"}},
    "/api/me/exchange/paper/transfers": {"asset": "USDT", "quantity": "1"},
    "/api/me/notifications": {"channels": {}},
}
ROUTES = [route for route in read_template().routes() if not route.public and route.method != "HEAD"]


@pytest.fixture
def served(harness: TradingHarness) -> Iterator[TradingHarness]:
    """The deployed functions work for this harness."""
    bootstrap.use(harness.services)
    yield harness
    bootstrap.use(None)


def make_event(route: Route, authorizer: Any, **more: Any) -> dict[str, Any]:
    """What the gateway hands a function, of whoever ``authorizer`` says."""
    path = route.path.format(**SAMPLE)
    return {
        "resource": route.path,
        "path": path,
        "httpMethod": route.method,
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {name: value for name, value in SAMPLE.items() if f"{{{name}}}" in route.path} or None,
        "requestContext": {"authorizer": authorizer, "httpMethod": route.method, "path": path, "requestId": "1"},
        "body": json.dumps(BODIES[route.path]) if takes_body(route) else None,
        "isBase64Encoded": False,
        **more,
    }


OF_EVERYBODY = {"/api/me/exchange/markets", "/api/me/overview"}
"""Whose answer has what is true for anybody: the markets, and the time."""


def takes_body(route: Route) -> bool:
    return route.path in BODIES and route.method in {"PUT", "PATCH", "POST"}


def test_a_request_that_no_authorizer_vouches_for_is_a_401_without_a_hint(served: TradingHarness) -> None:
    """The gateway lets none of these through. Were it set up wrongly, the functions would still serve nobody."""
    served.tick()
    served.requests.clear()
    nobody: list[Any] = [None, {}, {"claims": None}, {"claims": {}}, {"claims": {"sub": ""}}, {"claims": {"sub": None}}]
    for route in ROUTES:
        for authorizer in nobody:
            answer = LambdaRuntime().invoke(route.handler, make_event(route, authorizer))
            assert answer["statusCode"] == 401, (route, authorizer)
            assert json.loads(answer["body"])["code"] == "not_authenticated"
            assert served.user not in answer["body"]
    assert served.requests == []


def test_changes_of_one_user_are_bounded_and_a_stop_is_counted_apart(served: TradingHarness) -> None:
    """A run on an account takes up to half a minute: without end, one user's would be all that the functions do."""
    claims = {"claims": {"sub": f"{served.user}-stranger"}}
    change, stop, preview, read = (
        next(route for route in ROUTES if (route.method, route.path.rpartition("/")[2]) == wanted)
        for wanted in (("PUT", "autopilot"), ("POST", "stop"), ("POST", "preview"), ("GET", "overview"))
    )

    def until_refused(route: Route) -> int:
        for sent in range(1000):
            if LambdaRuntime().invoke(route.handler, make_event(route, claims))["statusCode"] == 429:
                return sent
        raise AssertionError("it was never refused")

    allowed = served.services.settings.user_requests_per_minute // A_CHANGE
    assert LambdaRuntime().invoke(preview.handler, make_event(preview, claims))["statusCode"] != 429
    assert until_refused(change) == allowed - 1
    assert until_refused(read) == A_CHANGE - 1
    assert until_refused(stop) == STOPS_A_MINUTE


@pytest.mark.parametrize(
    ("token", "is_taken"),
    [
        ({"token_use": "id", "aud": "one"}, True),
        ({"token_use": "id", "aud": "two"}, True),
        ({"token_use": "id", "aud": "another"}, False),
        ({"token_use": "id", "aud": ""}, False),
        ({"token_use": "id"}, False),
        ({"token_use": "access", "client_id": "one"}, False),
        ({"token_use": "access", "client_id": "one", "aud": "one"}, False),
        ({"aud": "one"}, False),
    ],
)
def test_only_id_tokens_of_clients_that_may_call_are_taken(
    served: TradingHarness, token: dict[str, str], is_taken: bool
) -> None:
    """The gateway takes those of every client of the pool, which may be another application's."""
    stage = {"stageVariables": {CLIENTS_VARIABLE: "one,two"}}
    claims = {"claims": {"sub": served.user, **token}}
    for route in ROUTES:
        if is_taken and route.path not in {STRATEGY, PLAN}:
            continue
        answer = LambdaRuntime().invoke(route.handler, make_event(route, claims, **stage))
        assert (answer["statusCode"] != 401) is is_taken, (route, token)
        assert ("not_authenticated" in answer["body"]) is not is_taken


def test_every_route_but_the_public_ones_is_behind_the_gateways_own_check_of_tokens() -> None:
    """Which also refuses those that have expired, or that somebody else has signed."""
    (api,) = read_template().resources("AWS::Serverless::Api").values()
    authorizer = api["Auth"]["Authorizers"][api["Auth"]["DefaultAuthorizer"]]
    ours, theirs = {"Fn::GetAtt": "Users.Arn"}, {"Ref": "ExistingUserPoolArn"}
    assert authorizer == {"UserPoolArn": {"Fn::If": ["OwnUserPool", ours, theirs]}}
    assert "Users" in read_template().resources("AWS::Cognito::UserPool")


def test_a_user_that_a_request_names_counts_for_nothing_beside_the_tokens(served: TradingHarness) -> None:
    harness = served
    harness.tick()
    whose = {"user_id": harness.user, "sub": harness.user}
    claims = {"claims": {"sub": f"{harness.user}-stranger", "user_id": harness.user}}
    for route in ROUTES:
        body = json.dumps(BODIES[route.path] | whose) if takes_body(route) else None
        more = {"queryStringParameters": whose, "headers": {"Content-Type": "application/json", **whose}, "body": body}
        answer = LambdaRuntime().invoke(route.handler, make_event(route, claims, **more))
        assert harness.key not in answer["body"]
        nothing: dict[str, Any] = {
            "orders": [],
            "not_canceled": [],
            "decisions": [],
            "credentials": [],
            "cursor": None,
            "autopilot_enabled": False,
        }
        if answer["statusCode"] not in {404, 422}:
            if route.path.endswith(".csv"):
                assert len(answer["body"].splitlines()) == 1, answer
            else:
                told = {name: value for name, value in json.loads(answer["body"]).items() if value or name in nothing}
                assert told.items() <= nothing.items() or route.path in OF_EVERYBODY, (route, answer)
    strategy: Strategy = harness.context.strategies.get(harness.user)
    assert strategy.autopilot_enabled
    assert strategy.target_allocations.keys() == {"BTC", "ETH", "XRP", "USDT"}
    assert len(harness.books.open_orders(harness.key)) == 3
    assert harness.services.credentials.find(harness.user, "binance") is not None


def test_a_key_that_may_withdraw_is_refused_when_it_is_stored(served: TradingHarness) -> None:
    harness = served
    rich = f"{harness.user}-rich"
    harness.books.open_account(f"key-of-{rich}", f"secret-of-{rich}", TEN_THOUSAND_USDT, can_withdraw=True)
    (route,) = [route for route in ROUTES if (route.method, route.path) == ("PUT", "/api/me/exchange/credentials")]
    body = json.dumps({"api_key": f"key-of-{rich}", "secret": f"secret-of-{rich}"})
    answer = LambdaRuntime().invoke(route.handler, make_event(route, {"claims": {"sub": rich}}, body=body))
    assert 400 <= answer["statusCode"] < 500
    assert "withdraw" in answer["body"]
    assert harness.services.credentials.find(rich, "binance") is None


def test_no_key_and_no_signature_is_in_any_log_line_or_table_whatever_goes_wrong(
    harness: TradingHarness, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO", logger=logger.name)
    for kind in sorted(set(FaultKind) - {FaultKind.TIMEOUT_AFTER}):
        for where in sorted(KINDS[kind].where):
            harness.injector.script(kind, where, attempts=3)
        harness.now += 90
        harness.work(harness.message(harness.user))
        for order in harness.books.open_orders(harness.key):
            harness.books.cancel(harness.key, order.symbol, order_id=order.order_id)
        harness.injector.active = False
        if not harness.context.strategies.get(harness.user).autopilot_enabled:
            harness.now += 90
            harness.set_strategy()
        harness.injector.active = True
    assert len(harness.injector.counts()) > 20
    assert len(caplog.records) > 10

    said = [*capfd.readouterr(), caplog.text, str([record.__dict__ for record in caplog.records])]
    settings = harness.services.settings
    with closing(boto3.client("dynamodb", endpoint_url=settings.dynamodb_endpoint)) as client:
        for name, table in settings:
            if name.endswith("_table"):
                said += [str(page["Items"]) for page in client.get_paginator("scan").paginate(TableName=table)]
    assert any(harness.user in text for text in said)
    for secret in (harness.key, f"secret-of-{harness.user}", "signature="):
        assert not any(secret in text for text in said)
