"""Whatever is sent, the answer is a problem document that begins with a 4."""

import json

import pytest

from tests.integration.http_api.client import AUTOPILOT, CREDENTIALS, GOOD_STRATEGY, STRATEGY, Client, newcomer, problem
from workbench.local.stack import Stack

PUTS = [STRATEGY, AUTOPILOT, CREDENTIALS]
BODIES: dict[str, bytes] = {
    "huge": b'{"target_allocations": {' + b",".join(b'"A%d":"1"' % n for n in range(20_000)) + b"}}",
    "megabytes": b"[" + b"1," * 2_000_000 + b"1]",
    "deep": b"[" * 20_000,
    "deep and closed": b"[" * 20_000 + b"]" * 20_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "not JSON": b"enabled=true",
    "half": b'{"enabled": tr',
    "two documents": b"{}{}",
    "not UTF-8": b'{"enabled": "\xff\xfe"}',
    "UTF-16": '{"enabled": true}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "nothing": b"",
    "spaces": b"   ",
    "null": b"null",
    "a string": b'"enabled"',
    "a number": b"1",
    "a list": b'[{"enabled": true}]',
    "lone surrogate": b'{"\\ud800": "\\udfff"}',
    "control characters": b'{"enabled\\u0000": "\\u0007"}',
    "raw control character": b'{"enabled": "\x01"}',
    "odd names": '{"__proto__": {}, "": 1, "\u202eenabled": true}'.encode(),
    "1e999": b'{"enabled": 1e999, "order_size_pct": 1e999}',
    "endless exponent": b'{"enabled": 1e99999999999999999999999}',
    "many digits": b'{"enabled": ' + b"9" * 6_000 + b"}",
    "many decimals": b'{"order_size_pct": 0.' + b"3" * 6_000 + b"}",
    "duplicate names": b'{"enabled": true, "enabled": true}',
}


@pytest.mark.parametrize("path", PUTS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_makes_no_sense_is_a_4xx(stack: Stack, path: str, body: bytes) -> None:
    answer = newcomer(stack).ask("PUT", path, body, **{"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    problem(answer, answer.status_code, answer.json()["code"])


def test_a_body_over_64_k_is_refused_for_its_size(stack: Stack) -> None:
    problem(newcomer(stack).ask("PUT", STRATEGY, BODIES["huge"]), 413, "body_too_large")


@pytest.mark.parametrize("value", ["\\ud800", "\\u0000", "💰", "a" * 300, "../..", "' OR 1=1"])
@pytest.mark.parametrize("field", ["order_size_pct", "quote_asset", "exchange", "target_allocations"])
def test_odd_text_in_any_field_is_a_4xx(user: Client, field: str, value: str) -> None:
    known = {name: text for name, text in GOOD_STRATEGY.items() if name != field}
    odd = f'{{"{value}": "100"}}' if field == "target_allocations" else f'"{value}"'
    body = json.dumps(known)[:-1] + f', "{field}": {odd}}}'
    answer = user.ask("PUT", STRATEGY, body)
    assert 400 <= answer.status_code < 500, answer.text
    problem(answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x"])
def test_another_content_type_is_refused(user: Client, content_type: str) -> None:
    answer = user.ask("PUT", AUTOPILOT, '{"enabled": false}', **{"Content-Type": content_type})
    assert answer.status_code in {415, 422}, answer.text
    problem(answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("path", ["/api/me/orders/", "/api/me/decisions/"])
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "limit=1e3", "limit=%ff", "limit="]
)
def test_a_limit_outside_1_to_200_is_refused(user: Client, path: str, query: str) -> None:
    document = problem(user.get(f"{path}?{query}"), 422, "invalid_request")
    assert document["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/me/decisions/soon/"),
        ("GET", "/api/me/decisions/-30/"),
        ("GET", "/api/me/decisions/99999999999999999999/"),
        ("DELETE", "/api/me/orders/0123456789ABCDEF0123/"),
        ("DELETE", "/api/me/orders/x/"),
        ("DELETE", "/api/me/exchange/credentials/?exchange=../x"),
        ("DELETE", "/api/me/exchange/credentials/?exchange=%00"),
    ],
)
def test_odd_paths_and_queries_are_refused(user: Client, method: str, path: str) -> None:
    problem(user.ask(method, path), 422, "invalid_request")


@pytest.mark.parametrize("path", ["/%0A", "/api/me/orders/f%06%0A%14g/", "/api/%0A/orders", "/%0D%0A%0D%0A"])
def test_a_path_with_a_line_end_is_answered_like_any_other(user: Client, path: str) -> None:
    answer = user.delete(path)
    assert answer.status_code in {404, 422}
    problem(answer, answer.status_code, {404: "no_such_route", 422: "invalid_request"}[answer.status_code])
