"""Two users with two tokens: whatever one asks for, nothing of the other's is seen and nothing of it moves.

The requests are made from the OpenAPI document, with what belongs to the owner wherever an id can be named.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botbalance import bootstrap

from tests.integration.http_api.client import AUTOPILOT, DECISIONS, EXECUTE, FILLS, PAPER, Client, key_body, trader
from tests.integration.http_api.samples import DOCUMENT, Operation, find_values, operation_name, operations
from workbench.aws.template import read_template
from workbench.local.stack import Options, Stack

OF_A_USER = [operation for operation in operations() if not operation.public]
LONG_ENOUGH = 7
"""Of a text, to be nobody else's by chance."""
READING = [operation for operation in OF_A_USER if operation.method == "GET" and "{" not in operation.path]
JSON_PATHS = [operation.path for operation in READING if not operation.path.endswith(".csv")]

PAPER_BALANCE = "7654.321"
NOTIFICATIONS = "/api/me/notifications/"
NOTHING_IS_HELD = "missing-BTC"
"""Well-formed, and nobody's: nothing of the owner's account is doubted here."""


@dataclass(frozen=True)
class Scene:
    """The owner, of whom everything is known, and the intruder, who has as much of her own."""

    stack: Stack
    owner: Client
    intruder: Client
    known: list[Any]
    """All that the owner is told of herself."""
    known_to_intruder: list[Any]
    marks: frozenset[str]
    """Texts that stand for something of the owner's, and for nothing else."""

    def everything_of_the_owner(self) -> dict[str, Any]:
        """What is stored of her, here and on the exchange."""
        key = key_body(self.owner)["api_key"]
        books = self.stack.books
        stored = [item for item in every_item() if str(self.owner.token) in item]
        return {
            "stored": sorted(stored),
            "orders": books.orders(key),
            "trades": books.trades(key),
            "balances": books.balances(key),
        }

    def request(self, operation: Operation) -> tuple[str, Any]:
        """The path with the owner's ids in it, and the body."""
        ids = {}
        for parameter in operation.select_parameters("path"):
            name = parameter["name"]
            theirs = set(find_values(name, self.known_to_intruder))
            own = (value for value in find_values(name, self.known) if value not in theirs)
            ids[name] = next(own, NOTHING_IS_HELD) if name == "pause_id" else next(own)
        return operation.path.format(**ids), operation.body()


def every_item() -> list[str]:
    """Every item of every table but what is shared by all, as text."""
    settings = bootstrap.services().settings
    tables = [table for name, table in settings if name.endswith("_table")]
    with closing(boto3.client("dynamodb", endpoint_url=settings.dynamodb_endpoint)) as client:
        return [
            repr(sorted(item.items()))
            for table in tables
            for page in client.get_paginator("scan").paginate(TableName=table)
            for item in page["Items"]
        ]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Stack(Options(seed=5, autopilot=False)) as stack:
        owner = trader(stack, {"USDT": Decimal("12345.678"), "SOL": Decimal("3.21")})
        intruder = trader(stack)
        for user in (owner, intruder):
            assert user.put(AUTOPILOT, {"enabled": True}).ok
        stack.tick()
        for symbol in ("BTCUSDT", "ETHUSDT"):
            stack.market.set_price(symbol, stack.market.last_price(symbol) * Decimal("0.97"))  # through their buys
        stack.tick()
        assert intruder.put(AUTOPILOT, {"enabled": False}).ok
        stack.tick()
        assert owner.put(AUTOPILOT, {"enabled": False}).ok
        assert owner.put(PAPER, {"balances": {"USDT": PAPER_BALANCE}}).ok
        assert intruder.put(PAPER, {"balances": {"USDT": "10000"}}).ok
        for user in (owner, intruder):
            assert user.put(NOTIFICATIONS, {"channels": {"webhook": {"url": "http://127.0.0.1:9/"}}}).ok
            assert user.post(f"{NOTIFICATIONS}test/").ok
        known, theirs = ([user.get(path).json() for path in JSON_PATHS] for user in (owner, intruder))
        marks = {str(owner.token), PAPER_BALANCE, f'"hint":"{key_body(owner)["api_key"][-4:]}"'}
        for name in ("client_order_id", "nav", "held", "message_id"):
            marks |= {value for value in find_values(name, known) if value is not None and len(value) >= LONG_ENOUGH}
        yield Scene(stack, owner, intruder, known, theirs, frozenset(marks))


def test_the_document_has_every_route_of_the_template() -> None:
    routes = {(route.method, route.path) for route in read_template().routes()}
    assert {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods} == routes


def test_the_owner_is_told_what_nobody_else_may_see(scene: Scene) -> None:
    """Otherwise the search below would find nothing whatever was shown."""
    assert len(scene.marks) > 5
    shown = {operation.path: scene.owner.get(operation.path).text for operation in READING}
    silent = {path for path, text in shown.items() if not any(mark in text for mark in scene.marks)}
    not_about_them = {"/api/me/exchange/markets", "/api/me/pauses", "/api/me/notifications"}
    no_marks = {"/api/me/strategies/rebalance", "/api/me/exchange/check", "/api/me/activity"}
    assert silent <= not_about_them | no_marks
    assert len(scene.owner.get(FILLS).text.splitlines()) > 1
    assert scene.owner.get(DECISIONS).json()["decisions"]
    assert len(scene.everything_of_the_owner()["stored"]) > 5


@pytest.mark.parametrize("operation", OF_A_USER, ids=operation_name)
def test_nothing_of_somebody_else_is_seen_or_moved(scene: Scene, operation: Operation) -> None:
    before = scene.everything_of_the_owner()
    path, body = scene.request(operation)
    answer = scene.intruder.ask(
        operation.method,
        path,
        None if body is None else json.dumps(body),
        **{"If-Match": "*", "X-User-Id": str(scene.owner.token), "Idempotency-Key": "the same key"},
    )
    assert answer.status_code != 401
    assert answer.status_code < 500, answer.text
    if "{" in operation.path:
        assert answer.status_code == 404, answer.text
    assert not [mark for mark in scene.marks if mark in answer.text and mark not in path], answer.text
    assert scene.everything_of_the_owner() == before


@pytest.mark.parametrize("name", ["user_id", "sub"])
def test_nobody_is_named_in_a_query(scene: Scene, name: str) -> None:
    answer = scene.intruder.get(f"/api/me/strategies/rebalance/?{name}={scene.owner.token}")
    assert answer.status_code == 422
    assert str(scene.owner.token) not in answer.text


@pytest.mark.parametrize("operation", [one for one in OF_A_USER if one.select_parameters("path")], ids=operation_name)
def test_the_owner_reaches_by_the_same_path_what_is_hers(scene: Scene, operation: Operation) -> None:
    path, body = scene.request(operation)
    answer = scene.owner.ask(operation.method, path, None if body is None else json.dumps(body))
    # Hers: an order that the exchange knows, and a pause that there would be only if something were doubted.
    assert answer.ok or answer.json()["code"] in {"order_not_lost", "pause_not_found"}, answer.text


def test_an_idempotency_key_of_one_user_is_nobody_elses(stack: Stack) -> None:
    users = [trader(stack), trader(stack)]
    placed = [user.ask("POST", EXECUTE, **{"Idempotency-Key": "same"}).json()["orders"] for user in users]
    ids = [{order["client_order_id"] for order in orders} for orders in placed]
    assert len(ids[0]) == len(ids[1]) == 3
    assert not ids[0] & ids[1]
