"""HEAD is answered wherever GET is, with the same status and headers, and without a body."""

from contextlib import closing
from socket import create_connection
from urllib.parse import urlsplit

import pytest
import requests
from openapi.document import openapi_document

from tests.integration.http_api.client import EXECUTE, STRATEGY, Client, newcomer, trader
from tests.integration.http_api.test_routes import route_name, sample_path
from workbench.aws.template import Route, read_template
from workbench.local.lambda_runtime import LambdaRuntime
from workbench.local.stack import Stack

READ = sorted((route for route in read_template().routes() if route.method == "GET"), key=lambda route: route.path)
OF_ONE_ANSWER = {"Date", "X-Request-Id", "Content-Length"}


@pytest.fixture(scope="module")
def owner(stack: Stack) -> Client:
    """Somebody with orders, so that there is something to answer."""
    user = trader(stack)
    assert user.post(EXECUTE).ok
    return user


def stable_headers(answer: requests.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in OF_ONE_ANSWER}


def test_every_path_that_is_read_takes_head() -> None:
    assert {route.path for route in read_template().routes() if route.method == "HEAD"} == {one.path for one in READ}
    paths = openapi_document()["paths"]
    assert {path for path in paths if "head" in paths[path]} == {path for path in paths if "get" in paths[path]}


@pytest.mark.parametrize("route", READ, ids=route_name)
def test_it_has_the_status_and_headers_of_get(stack: Stack, owner: Client, route: Route) -> None:
    for user in (owner, newcomer(stack), Client(stack.url, "no token at all")):
        read, head = user.get(sample_path(route)), user.ask("HEAD", sample_path(route))
        assert (head.status_code, stable_headers(head)) == (read.status_code, stable_headers(read))
        assert head.headers["X-Request-Id"] != read.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("path", "status"),
    [(STRATEGY, 200), (f"{STRATEGY}?nothing=1", 422), ("/api/nothing", 404), ("/docs", 200), ("/config.json", 200)],
)
def test_no_byte_follows_the_headers(stack: Stack, path: str, status: int) -> None:
    where = urlsplit(stack.url)
    with closing(create_connection((where.hostname, where.port), timeout=60)) as connection:
        connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            answered = stream.read()
    assert answered.startswith(f"HTTP/1.1 {status} ".encode())
    assert answered.endswith(b"\r\n\r\n")
    assert answered.count(b"\r\n\r\n") == 1


def test_the_function_itself_answers_without_a_body(stack: Stack, owner: Client) -> None:
    """A gateway may pass on whatever it is given."""
    assert owner.get(STRATEGY).ok
    (route,) = [one for one in READ if one.path == STRATEGY.removesuffix("/")]
    event = {
        "httpMethod": "HEAD",
        "path": route.path,
        "resource": route.path,
        "headers": {},
        "requestContext": {"authorizer": {"claims": {"sub": owner.token}}, "requestId": "1"},
        "body": None,
    }
    answer = LambdaRuntime().invoke(route.handler, event)
    assert answer["statusCode"] == 200
    assert answer["multiValueHeaders"]["ETag"]
    assert answer["body"] == ""
