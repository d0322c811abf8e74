"""Whatever fails, no signed address reaches a log, neither in an exception nor in what it was raised from."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botbalance import bootstrap
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.log import logger
from ccxt.base.errors import NetworkError

from tests.integration.reliability.test_api_boundary import make_event
from tests.integration.trading.harness import TradingHarness
from workbench.aws.template import read_template
from workbench.local.lambda_runtime import LambdaRuntime

ROOT = Path(__file__).parents[3]
SIGNATURE = "5ae15ad9signed0by0a0secret"
QUERY = f"/api/v3/account?timestamp=1700000000000&recvWindow=5000&signature={SIGNATURE}"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the functions write to their log, as they write it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger.registered_formatter)
    ours = logging.getLogger(logger.name)
    ours.addHandler(handler)
    yield stream
    ours.removeHandler(handler)


@pytest.fixture
def signed_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at balances ends in what requests says of a connection that failed, as ccxt raises it."""

    def fail(*_: object) -> Any:
        cause = ConnectionError(f"HTTPSConnectionPool(host='api.binance.com', port=443): url: {QUERY} (refused)")
        raise NetworkError(f"binance GET https://api.binance.com{QUERY}") from cause

    monkeypatch.setattr(CcxtAdapter, "balances", fail)


def test_a_tick_that_fails_tells_no_signed_address(
    harness: TradingHarness, written: io.StringIO, signed_failure: None
) -> None:
    harness.set_strategy()
    assert harness.work(harness.message(harness.user)) == []
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    (told,) = [line for line in lines if line.get("alarm") == "tick_failed"]
    assert "NetworkError" in told["exception"]
    assert "ConnectionError" in told["exception"]
    assert SIGNATURE not in written.getvalue()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/me/balances"),
        ("POST", "/api/me/strategies/rebalance/execute"),
        ("PUT", "/api/me/exchange/credentials"),
    ],
    ids=["plan", "execute", "account"],
)
def test_a_request_that_fails_tells_no_signed_address(
    harness: TradingHarness, written: io.StringIO, signed_failure: None, method: str, path: str
) -> None:
    harness.set_strategy(autopilot=False)
    (route,) = [route for route in read_template().routes() if (route.method, route.path) == (method, path)]
    body = None if method == "GET" else "{}"
    if path.endswith("credentials"):
        body = json.dumps({"exchange": "binance", "api_key": "a" * 64, "secret": "b" * 64})
    headers = {"Content-Type": "application/json"}
    bootstrap.use(harness.services)
    try:
        event = make_event(route, {"claims": {"sub": harness.user}}, headers=headers, body=body)
        answer = LambdaRuntime().invoke(route.handler, event)
    finally:
        bootstrap.use(None)
    assert answer["statusCode"] == 500
    assert "request failed" in written.getvalue()
    assert SIGNATURE not in written.getvalue() + str(answer)


def test_no_function_logs_its_event_whatever_the_environment_says() -> None:
    entries = [
        call
        for folder in ("functions", "layers/engine/python/botbalance")
        for source in (ROOT / folder).rglob("*.py")
        for call in re.findall(r"inject_lambda_context\([^)]*\)", source.read_text())
    ]
    assert len(entries) >= 6
    assert all("log_event=False" in call for call in entries), entries
