"""Exchange keys: proven before they are stored, and never shown again."""

import json
from decimal import Decimal

import boto3
import pytest
from botbalance import bootstrap

from tests.integration.http_api.client import (
    BALANCES,
    CREDENTIALS,
    GOOD_STRATEGY,
    STRATEGY,
    key_body,
    newcomer,
    problem,
    trader,
)
from workbench.local.stack import Stack

NO_KEYS: dict[str, list[str]] = {"credentials": []}


def test_a_key_that_works_is_stored_and_masked(stack: Stack) -> None:
    user = newcomer(stack)
    key = key_body(user)
    stack.books.open_account(key["api_key"], key["secret"], {"USDT": Decimal(1)})
    expected = {"exchange": "binance", "hint": key["api_key"][-4:]}
    assert user.put(CREDENTIALS, key).json() == expected
    assert user.get(CREDENTIALS).json() == {"credentials": [expected]}
    assert user.delete(CREDENTIALS).json() == expected
    assert user.get(CREDENTIALS).json() == NO_KEYS
    problem(user.delete(CREDENTIALS), 404, "exchange_key_not_found")


def test_a_key_that_the_exchange_refuses_is_not_stored(stack: Stack) -> None:
    user = newcomer(stack)
    document = problem(user.put(CREDENTIALS, {"api_key": "k" * 64, "secret": "s" * 64}), 422, "exchange_key_refused")
    assert "API key" in document["detail"]
    assert user.get(CREDENTIALS).json() == NO_KEYS


def test_a_wrong_secret_leaves_the_key_that_was_stored(stack: Stack) -> None:
    user = trader(stack)
    wrong = key_body(user) | {"secret": "another secret"}
    answer = user.put(CREDENTIALS, wrong)
    problem(answer, 422, "exchange_key_refused")
    assert wrong["secret"] not in answer.text
    assert user.get(BALANCES).status_code == 200


def test_a_replaced_key_is_used_from_then_on(stack: Stack) -> None:
    user = trader(stack)
    assert user.get(BALANCES).json()["nav"] == "10000"
    stack.books.open_account(f"second-{user.token}", "its secret", {"USDT": Decimal(42)})
    assert user.put(CREDENTIALS, {"api_key": f"second-{user.token}", "secret": "its secret"}).status_code == 200
    assert user.get(BALANCES).json()["nav"] == "42"


def test_after_the_key_is_deleted_nothing_is_read_with_it(stack: Stack) -> None:
    user = trader(stack)
    assert user.get(BALANCES).status_code == 200
    user.delete(CREDENTIALS)
    problem(user.get(BALANCES), 404, "exchange_key_not_found")


@pytest.mark.parametrize(
    "document",
    [
        {"api_key": 123456789, "secret": "top-secret-value"},
        {"api_key": "short", "secret": "top-secret-value"},
        {"api_key": "with space here", "secret": "top-secret-value"},
        {"api_key": "k" * 64, "secret": "top\tsecret-value"},
        {"api_key": "k" * 64, "secret": ["top-secret-value"]},
        {"api_key": "k" * 64, "apiSecret": "top-secret-value"},
        {"api_key": "k" * 64, "secret": "top-secret-value", "password": "top-secret-value" * 20},
    ],
)
def test_a_refusal_never_repeats_what_might_be_a_secret(stack: Stack, document: dict[str, object]) -> None:
    answer = newcomer(stack).put(CREDENTIALS, document)
    problem(answer, 422, "invalid_request")
    for secret in ("top-secret", "secret-value", "123456789", "k" * 64, "with space"):
        assert secret not in answer.text


def test_an_exchange_that_nobody_knows_is_refused(stack: Stack) -> None:
    document = {"exchange": "mtgox", "api_key": "k" * 64, "secret": "s" * 64}
    problem(newcomer(stack).put(CREDENTIALS, document), 422, "invalid_request")


def test_keys_are_encrypted_where_they_are_stored_and_appear_in_no_answer_and_no_log(
    stack: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    user = trader(stack)
    key = key_body(user)
    answers = [user.get(path).text for path in (BALANCES, CREDENTIALS, STRATEGY, f"{STRATEGY}plan/")]
    answers.append(user.put(CREDENTIALS, key).text)
    answers.append(user.put(STRATEGY, GOOD_STRATEGY).text)
    settings = bootstrap.services().settings
    client = boto3.client("dynamodb", endpoint_url=settings.dynamodb_endpoint)
    stored = [
        json.dumps(client.scan(TableName=table)["Items"], default=repr)
        for table in (settings.credentials_table, settings.strategies_table, settings.cache_table)
    ]
    client.close()
    output = capfd.readouterr()
    for secret in key.values():
        assert all(secret not in text for text in [*answers, *stored, output.out, output.err])
