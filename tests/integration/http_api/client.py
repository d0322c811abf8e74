"""The API as its users see it: over HTTP, with a token, in JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

import requests

from workbench.local.stack import Stack
from workbench.simulated_exchange.matching_engine import Account

STRATEGY = "/api/me/strategies/rebalance/"
PLAN = "/api/me/strategies/rebalance/plan/"
EXECUTE = "/api/me/strategies/rebalance/execute/"
AUTOPILOT = "/api/me/strategies/rebalance/autopilot/"
BALANCES = "/api/me/balances/"
SUMMARY = "/api/me/portfolio/summary/"
ORDERS = "/api/me/orders/"
DECISIONS = "/api/me/decisions/"
CREDENTIALS = "/api/me/exchange/credentials/"
CHECK = "/api/me/exchange/check/"
STOP = "/api/me/strategies/rebalance/stop/"
FILLS = "/api/me/fills.csv"
PERFORMANCE = "/api/me/portfolio/performance/"
HISTORY = "/api/me/portfolio/history/"
PAPER = "/api/me/exchange/paper/"

TARGETS = {"BTC": "30", "ETH": "30", "SOL": "20", "USDT": "20"}
GOOD_STRATEGY: dict[str, Any] = {
    "target_allocations": TARGETS,
    "order_size_pct": "2",
    "order_step_pct": "0.4",
    "min_delta_quote": "50",
}


@dataclass(frozen=True)
class Client:
    """Somebody with a token (None: no header at all)."""

    url: str
    token: str | None

    def ask(self, method: str, path: str, body: str | bytes | None = None, **headers: str) -> requests.Response:
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if isinstance(body, str):
            body = body.encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        return requests.request(method, self.url + path, data=body, headers=headers, timeout=60)

    def get(self, path: str) -> requests.Response:
        return self.ask("GET", path)

    def put(self, path: str, document: Any, **headers: str) -> requests.Response:
        """As whoever has read what is there: it is overwritten, whichever version it is."""
        if path == STRATEGY and self.get(STRATEGY).ok:
            headers.setdefault("If-Match", "*")
        return self.ask("PUT", path, json.dumps(document), **headers)

    def patch(self, path: str, document: Any, **headers: str) -> requests.Response:
        return self.ask("PATCH", path, json.dumps(document), **{"If-Match": "*", **headers})

    def post(self, path: str) -> requests.Response:
        return self.ask("POST", path)

    def delete(self, path: str) -> requests.Response:
        return self.ask("DELETE", path)


def newcomer(stack: Stack) -> Client:
    """Somebody of whom nothing is stored."""
    return Client(stack.url, f"user-{uuid4().hex[:12]}")


def key_body(client: Client) -> dict[str, str]:
    return {"api_key": f"key-of-{client.token}", "secret": f"secret-of-{client.token}"}


def exchange_account(stack: Stack, client: Client) -> Account:
    """The client's account on the exchange, for whoever must rig it."""
    account = stack.books.account(key_body(client)["api_key"])
    assert account is not None
    return account


def trader(stack: Stack, balances: Mapping[str, Decimal] | None = None) -> Client:
    """Somebody with an account on the exchange (10,000 USDT), a stored key and a strategy; the autopilot is off."""
    client = newcomer(stack)
    key = key_body(client)
    stack.books.open_account(key["api_key"], key["secret"], balances or {"USDT": Decimal(10_000)})
    assert client.put(CREDENTIALS, key).status_code == 200
    assert client.put(STRATEGY, GOOD_STRATEGY).status_code == 200
    return client


def problem(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of ``answer``, which must be one with that status and code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["code"] == code, document
    assert document["title"]
    assert document["detail"]
    assert "Traceback" not in answer.text
    return document
