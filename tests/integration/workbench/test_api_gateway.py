"""What a handler is given looks like what API Gateway's REST API gives it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import requests
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from tests.integration.http_api.client import BALANCES, EXECUTE, ORDERS, Client, trader
from workbench.aws.template import Route
from workbench.local.api_gateway import ApiGateway
from workbench.local.lambda_runtime import LambdaRuntime
from workbench.local.stack import Options, Stack

ECHO = "tests.integration.workbench.echo.lambda_handler"
FIELDS_OF_A_REST_EVENT = {
    "resource",
    "path",
    "httpMethod",
    "headers",
    "multiValueHeaders",
    "queryStringParameters",
    "multiValueQueryStringParameters",
    "pathParameters",
    "stageVariables",
    "requestContext",
    "body",
    "isBase64Encoded",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    routes = [
        Route("GET", "/things", ECHO, public=False),
        Route("PUT", "/things/{name}", ECHO, public=False),
        Route("GET", "/open", ECHO, public=True),
    ]
    gateway = ApiGateway(routes, LambdaRuntime(), dict, port=0, preflight={})
    gateway.start()
    yield gateway.url
    gateway.stop()


def make_event(method: str, url: str, **options: Any) -> dict[str, Any]:
    event: dict[str, Any] = requests.request(method, url, timeout=60, **options).json()
    return event


def test_the_event_has_the_fields_of_payload_format_1_0(url: str) -> None:
    event = make_event(
        "GET", f"{url}/things/?a=1&a=2&b=%C3%A9", headers={"Authorization": "Bearer alice", "X-Odd": "1"}
    )

    assert set(event) == FIELDS_OF_A_REST_EVENT
    assert (event["httpMethod"], event["resource"], event["path"]) == ("GET", "/things", "/things/")
    assert event["queryStringParameters"] == {"a": "2", "b": "é"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["é"]}
    assert event["headers"]["X-Odd"] == "1"
    assert event["multiValueHeaders"]["X-Odd"] == ["1"]
    assert event["pathParameters"] is event["stageVariables"] is event["body"] is None
    assert event["isBase64Encoded"] is False
    assert event["requestContext"]["authorizer"] == {"claims": {"sub": "alice"}}


def test_path_parameters_and_body_arrive(url: str) -> None:
    event = make_event("PUT", f"{url}/things/a%20b/", data='{"x": "é"}'.encode())
    assert event["pathParameters"] == {"name": "a b"}
    assert event["resource"] == "/things/{name}"
    assert event["body"] == '{"x": "é"}'
    assert event["queryStringParameters"] is event["multiValueQueryStringParameters"] is None


def test_powertools_reads_the_event(url: str) -> None:
    event = APIGatewayProxyEvent(make_event("PUT", f"{url}/things/x?limit=5", data=b'{"a": 1}'))
    assert event.http_method == "PUT"
    assert event.json_body == {"a": 1}
    assert event.query_string_parameters == {"limit": "5"}
    assert event.request_context.authorizer.claims == {"sub": "demo"}
    assert event.request_context.stage == "live"
    assert event.request_context.request_id


def test_the_user_comes_from_the_token_and_from_nowhere_else(url: str) -> None:
    event = make_event("PUT", f"{url}/things/x?user_id=alice", json={"user_id": "alice"}, headers={"sub": "alice"})
    assert event["requestContext"]["authorizer"]["claims"]["sub"] == "demo"


def test_a_public_route_takes_a_token_that_nobody_understands(url: str) -> None:
    event = make_event("GET", f"{url}/open", headers={"Authorization": "?"})
    assert event["requestContext"]["authorizer"] is None
    assert requests.get(f"{url}/things", headers={"Authorization": "?"}, timeout=60).status_code == 401


def test_parallel_requests_of_two_users_are_never_mixed_up() -> None:
    with Stack(Options(freeze_prices=True, autopilot=False)) as stack:
        users = [
            trader(stack, {"USDT": Decimal(10_000)}),
            trader(stack, {"USDT": Decimal(20_000)}),
        ]
        placed = [{order["client_order_id"] for order in user.post(EXECUTE).json()["orders"]} for user in users]
        assert not placed[0] & placed[1]

        def ask(number: int) -> tuple[str, set[str]]:
            user: Client = users[number % 2]
            nav = user.get(BALANCES).json()["nav"]
            return nav, {order["client_order_id"] for order in user.get(ORDERS).json()["orders"]}

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(ask, range(20)))

        assert answers == [("10000", placed[0]), ("20000", placed[1])] * 10


def test_parallel_executes_of_one_user_place_once() -> None:
    with Stack(Options(freeze_prices=True, autopilot=False)) as stack:
        user = trader(stack)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: user.post(EXECUTE), range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(stack.books.orders(f"key-of-{user.token}")) == len(user.get(ORDERS).json()["orders"]) == 3
