"""An attacker with a token and no key, flat out: the victim's tick is decided, STOP cancels all, and the books say so.

The exchange counts request weight as Binance does, all of it in one minute of its clock, which stands still meanwhile.
"""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from itertools import count

import pytest

from tests.integration.http_api.client import (
    AUTOPILOT,
    CHECK,
    CREDENTIALS,
    DECISIONS,
    GOOD_STRATEGY,
    PLAN,
    STOP,
    STRATEGY,
    Client,
    key_body,
)
from workbench.local.stack import Options, Stack
from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.control_api import ControlApi
from workbench.simulated_exchange.limits import REQUEST_WEIGHT_LIMIT
from workbench.simulated_exchange.server import ExchangeServer
from workbench.simulated_exchange.simulation import Simulation

ATTACK_S = float(os.environ.get("BOTBALANCE_TEST_ATTACK_S", "2"))
"""What an attacker may use is used up within the first second; a longer attack changes nothing."""
FOUR = {"BTC": "20", "ETH": "20", "SOL": "20", "BNB": "20", "USDT": "20"}


@dataclass(frozen=True)
class World:
    stack: Stack
    simulation: Simulation
    api: BinanceApi


@pytest.fixture
def world() -> Iterator[World]:
    simulation = Simulation(freeze_prices=True)
    api = BinanceApi(simulation.books, weight_limit=REQUEST_WEIGHT_LIMIT)
    with (
        ExchangeServer(api, more=ControlApi(simulation).routes()) as server,
        Stack(Options(exchange=server.url, autopilot=False)) as stack,
    ):
        yield World(stack, simulation, api)


def flat_out(attacker: Client, seconds: float) -> int:
    """Every request that leads to the exchange, by eight threads, for so long; returns how many were sent."""
    numbers, ends = count(), time.monotonic() + seconds

    def attack(_: int) -> int:
        sent = 0
        while time.monotonic() < ends:
            number = next(numbers)
            invented = GOOD_STRATEGY | {"target_allocations": {f"NOPE{number}": "50", "USDT": "50"}}
            attacker.put(CREDENTIALS, {"api_key": f"nonsense-{number}", "secret": f"nonsense-{number}"})
            attacker.ask("PUT", STRATEGY, json.dumps(invented), **{"If-Match": "*"})
            attacker.get(PLAN)
            attacker.get(CHECK)
            sent += 4
        return sent

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(attack, range(8)))


@pytest.mark.parametrize("has_key", [False, True], ids=["without a key", "with a key"])
def test_nobody_stops_another_s_trading(world: World, has_key: bool) -> None:
    stack, books = world.stack, world.simulation.books
    victim, attacker = Client(stack.url, "victim"), Client(stack.url, "attacker")
    for user in (victim, attacker) if has_key else (victim,):
        world.simulation.open_account(**key_body(user), balances={"USDT": Decimal(10_000)})
        user.put(CREDENTIALS, key_body(user)).raise_for_status()
    if has_key:
        attacker.put(STRATEGY, GOOD_STRATEGY).raise_for_status()
    victim.put(STRATEGY, GOOD_STRATEGY | {"target_allocations": FOUR}).raise_for_status()
    victim.put(AUTOPILOT, {"enabled": True}).raise_for_status()
    before = world.api.weight_used_total

    assert flat_out(attacker, ATTACK_S) > 20
    assert world.api.weight_used_total - before < REQUEST_WEIGHT_LIMIT // 2
    stack.tick()
    newest = victim.get(DECISIONS).json()["decisions"][0]
    assert newest["outcome"] == "decided", newest
    resting = [order for order in books.orders(key_body(victim)["api_key"]) if order.status.is_open]
    assert len(resting) == 4

    flat_out(attacker, ATTACK_S / 2)
    stopped = victim.post(STOP)
    assert stopped.ok, stopped.text
    assert [order["status"] for order in stopped.json()["orders"]] == ["CANCELED"] * 4
    assert not [order for order in books.orders(key_body(victim)["api_key"]) if order.status.is_open]
