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
from botbalance.models.exchange_key import ExchangeKey

from tests.integration.http_api.samples import operations
from tests.integration.reliability.test_api_boundary import make_event
from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness
from workbench.aws.template import read_template
from workbench.faults.kinds import KINDS, FaultKind
from workbench.local.lambda_runtime import LambdaRuntime

ROUTES = {(route.method, route.path): route for route in read_template().routes()}
STRUCK = sorted(set(FaultKind) - {FaultKind.TIMEOUT_AFTER})


def encodings(secret: str) -> set[str]:
    """As a text may show it: plain, encoded for a URL or JSON, in base64 or in hex."""
    raw = secret.encode()
    # Within a longer text that is encoded as a whole, base64 has one of three forms.
    shifted = {b64encode(b"x" * shift + raw).decode()[4:-4] for shift in range(3)}
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], raw.hex(), *shifted}


def find_forms(text: str, key: ExchangeKey) -> list[str]:
    """The forms of the key, its secret and its password that ``text`` shows."""
    forms = encodings(key.api_key) | encodings(key.secret) | encodings(key.password)
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
def served(harness: TradingHarness) -> Iterator[TradingHarness]:
    bootstrap.use(harness.services)
    yield harness
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

    def __init__(self, harness: TradingHarness, key: ExchangeKey) -> None:
        self.harness = harness
        self.key = key
        self.said: list[str] = []

    def ask_everything(self) -> None:
        bootstrap.use(self.harness.services)  # a tick leaves none
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
                event = make_event(
                    ROUTES[operation.method, operation.path],
                    {"claims": {"sub": self.harness.user}},
                    headers={"Content-Type": "application/json", "If-Match": "*"},
                    body=body,
                )
                if operation.method == "DELETE" and operation.path.endswith("credentials"):
                    continue  # its owner goes on trading
                self.said.append(str(LambdaRuntime().invoke(ROUTES[operation.method, operation.path].handler, event)))
                if body is None:
                    break

    def tick(self) -> None:
        self.harness.now += 90
        self.harness.injector.active = False
        if not self.harness.context.strategies.get(self.harness.user).autopilot_enabled:
            self.harness.set_strategy()
        self.harness.injector.active = True
        self.harness.work(self.harness.message(self.harness.user))

    def fail(self) -> None:
        """Errors as whoever catches them may print them, with their causes."""
        harness = self.harness
        for exchange, user, key in (
            ("binance", None, self.key),
            ("okx", None, self.key),
            ("binance", harness.user, ExchangeKey(self.key.api_key, f"not {self.key.secret}")),
        ):
            try:
                with closing(harness.services.connect(exchange, user, key)) as account:
                    account.open_orders()
                    account.balances()
            except BotBalanceError as error:
                self.said += traceback.format_exception(error)
                self.said.append(repr(error.__dict__))
        self.said += [repr(self.key), str(self.key)]


def test_the_key_and_its_secret_are_found_nowhere_but_as_ciphertext(
    served: TradingHarness, log: StringIO, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    harness = served
    caplog.set_level("INFO", logger=logger.name)
    key = ExchangeKey(
        api_key="AkEy+of/the=owner%that&is long?", secret="sEcReT+of/the=owner%that&is long?", password="pAsS+word/1"
    )
    key = ExchangeKey(key.api_key.replace(" ", "_"), key.secret, key.password)
    harness.books.open_account(key.api_key, key.secret, TEN_THOUSAND_USDT)
    harness.services.credentials.save(harness.user, "binance", key, harness.now)
    assert harness.services.credentials.decrypt(harness.user, "binance") == key
    run = Run(harness, key)
    run.ask_everything()
    run.tick()
    for kind in STRUCK:
        for where in sorted(KINDS[kind].where):
            harness.injector.script(kind, where, attempts=3)
        run.tick()
        if kind in {FaultKind.GARBAGE, FaultKind.TRUNCATED}:
            run.ask_everything()
    harness.injector.active = False
    run.fail()
    harness.books.revoke_key(key.api_key)
    run.tick()
    run.ask_everything()
    assert len(harness.injector.counts()) > 20

    stored = every_item(harness.services.settings)
    logged = [log.getvalue(), *capfd.readouterr(), caplog.text, *(str(record.__dict__) for record in caplog.records)]
    decisions = [
        decision.model_dump_json() for decision in harness.context.decisions.page(harness.user, limit=200).items
    ]
    assert len(decisions) > 5
    assert any("exchange_key_refused" in text or "refuses the API key" in text for text in run.said)
    for text in [*run.said, *logged, *decisions, *stored.values()]:
        assert not find_forms(text, key), text[:2000]

    # What was searched is really there, and what was searched for would have been found.
    assert harness.user in stored["credentials_table"]
    assert harness.user in log.getvalue()
    for form in encodings(key.secret):
        assert find_forms(f"…{form}…", key)
    assert find_forms(b64encode(b"{'secret': '" + key.secret.encode() + b"'}").decode(), key)
