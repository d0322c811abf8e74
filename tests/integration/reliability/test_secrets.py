"""A user's key and secret are nowhere but in the memory of a request and, encrypted, in the credentials table.

Everything that a run says or keeps is searched, failures included: log lines, what is printed, every answer of every
route, decisions, errors with their causes and the variables of their frames' text, every item of every table, and what
waits in the queue.
"""

import json
import traceback
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing
from io import StringIO
from logging import StreamHandler, getLogger
from typing import Any
from urllib.parse import quote, quote_plus

import boto3
import pytest
from botbalance import bootstrap
from botbalance.errors import BotBalanceError
from botbalance.log import logger
from botbalance.store.credentials import ExchangeKey

from tests.integration.http_api.samples import operations
from tests.integration.reliability.test_the_door import event_of
from tests.integration.trading.world import TEN_THOUSAND_USDT, World
from workbench.faults.kinds import KINDS, FaultKind
from workbench.lambda_runtime import LambdaRuntime
from workbench.template import read_template

ROUTES = {(route.method, route.path): route for route in read_template().routes()}
STRUCK = sorted(set(FaultKind) - {FaultKind.TIMEOUT_AFTER})


def forms_of(secret: str) -> set[str]:
    """As a text may show it: plain, encoded for a URL or JSON, in base64 or in hex."""
    raw = secret.encode()
    # Within a longer text that is encoded as a whole, base64 has one of three forms.
    shifted = {b64encode(b"x" * shift + raw).decode()[4:-4] for shift in range(3)}
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], raw.hex(), *shifted}


def found_in(text: str, key: ExchangeKey) -> list[str]:
    """The forms of the key, its secret and its password that ``text`` shows."""
    forms = forms_of(key.api_key) | forms_of(key.secret) | forms_of(key.password)
    return [form for form in forms if form in text]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """Everything that is logged, down to what is for debugging, as the functions write it."""
    ours, written = getLogger(logger.service), StringIO()
    handler = StreamHandler(written)
    handler.setFormatter(logger.registered_formatter)
    monkeypatch.setattr(ours, "disabled", False)
    monkeypatch.setattr(ours.manager, "disable", 0)
    before = ours.level
    ours.setLevel("DEBUG")
    ours.addHandler(handler)
    yield written
    ours.removeHandler(handler)
    ours.setLevel(before)


@pytest.fixture
def served(world: World) -> Iterator[World]:
    bootstrap.use(world.services)
    yield world
    bootstrap.use(None)


def every_item(settings: Any) -> dict[str, str]:
    """By table, everything that is stored, with binary values as they are."""
    with closing(boto3.client("dynamodb", endpoint_url=settings.dynamodb_endpoint)) as client:
        return {
            name: "".join(str(page["Items"]) for page in client.get_paginator("scan").paginate(TableName=table))
            for name, table in settings
            if name.endswith("_table")
        }


class Run:
    """A user's day: every route asked, ticks, and everything failing that can. ``said`` is what came out of it."""

    def __init__(self, world: World, key: ExchangeKey) -> None:
        self.world = world
        self.key = key
        self.said: list[str] = []

    def ask_everything(self) -> None:
        bootstrap.use(self.world.services)  # a tick leaves none
        for operation in operations():
            bodies: Mapping[str, Any] = {
                "/api/me/exchange/credentials": {
                    "api_key": self.key.api_key,
                    "secret": self.key.secret,
                    "password": self.key.password,
                }
            }
            for more in ({}, {"unknown_field": self.key.secret}, {"secret": [self.key.secret]}):
                body = bodies.get(operation.path, operation.body())
                if body is not None:
                    body = json.dumps(body | more)
                event = event_of(
                    ROUTES[operation.method, operation.path],
                    {"claims": {"sub": self.world.user}},
                    headers={"Content-Type": "application/json", "If-Match": "*"},
                    body=body,
                )
                if operation.method == "DELETE" and operation.path.endswith("credentials"):
                    continue  # its owner goes on trading
                self.said.append(str(LambdaRuntime().invoke(ROUTES[operation.method, operation.path].handler, event)))
                if body is None:
                    break

    def tick(self) -> None:
        self.world.now += 90
        self.world.injector.active = False
        if not self.world.desk.strategies.get(self.world.user).autopilot_enabled:
            self.world.set_strategy()
        self.world.injector.active = True
        self.world.work(self.world.message(self.world.user))

    def fail(self) -> None:
        """Errors as whoever catches them may print them, with their causes."""
        world = self.world
        for exchange, user, key in (
            ("binance", None, self.key),
            ("okx", None, self.key),
            ("binance", world.user, ExchangeKey(self.key.api_key, f"not {self.key.secret}")),
        ):
            try:
                with closing(world.services.connect(exchange, user, key)) as account:
                    account.open_orders()
                    account.balances()
            except BotBalanceError as error:
                self.said += traceback.format_exception(error)
                self.said.append(repr(error.__dict__))
        self.said += [repr(self.key), str(self.key)]


def test_the_key_and_its_secret_are_found_nowhere_but_as_ciphertext(
    served: World, log: StringIO, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    world = served
    caplog.set_level("INFO")
    key = ExchangeKey(
        api_key="AkEy+of/the=owner%that&is long?", secret="sEcReT+of/the=owner%that&is long?", password="pAsS+word/1"
    )
    key = ExchangeKey(key.api_key.replace(" ", "_"), key.secret, key.password)
    world.books.open_account(key.api_key, key.secret, TEN_THOUSAND_USDT)
    world.services.credentials.save(world.user, "binance", key, world.now)
    assert world.services.credentials.reveal(world.user, "binance") == key
    run = Run(world, key)
    run.ask_everything()
    run.tick()
    for kind in STRUCK:
        for where in sorted(KINDS[kind].where):
            world.injector.script(kind, where, attempts=3)
        run.tick()
        if kind in {FaultKind.GARBAGE, FaultKind.TRUNCATED}:
            run.ask_everything()
    world.injector.active = False
    run.fail()
    world.books.revoke_key(key.api_key)
    run.tick()
    run.ask_everything()
    assert len(world.injector.counts()) > 20

    stored = every_item(world.services.settings)
    logged = [log.getvalue(), *capfd.readouterr(), caplog.text, *(str(record.__dict__) for record in caplog.records)]
    decisions = [decision.model_dump_json() for decision in world.desk.decisions.page(world.user, limit=200).decisions]
    assert len(decisions) > 5
    assert any("exchange_key_refused" in text or "refuses the API key" in text for text in run.said)
    for text in [*run.said, *logged, *decisions, *stored.values()]:
        assert not found_in(text, key), text[:2000]

    # What was searched is really there, and what was searched for would have been found.
    assert world.user in stored["credentials_table"]
    assert world.user in log.getvalue()
    for form in forms_of(key.secret):
        assert found_in(f"…{form}…", key)
    assert found_in(b64encode(b"{'secret': '" + key.secret.encode() + b"'}").decode(), key)
