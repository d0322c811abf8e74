"""Attackers with a token, with and without a key, flat out: what they may use, and what is left to everybody else.

The exchange counts request weight as Binance does. Its clock stands still during a test: all is one minute's.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from itertools import count

import pytest
from botbalance.accounts.weight_budgets import BOUNDS, Purpose

from tests.integration.http_api.client import (
    AUTOPILOT,
    CHECK,
    CREDENTIALS,
    DECISIONS,
    EXECUTE,
    GOOD_STRATEGY,
    PAPER,
    PLAN,
    STOP,
    STRATEGY,
    Client,
    key_body,
    problem,
)
from tests.thorough import thorough_only
from workbench.local.stack import Options, Stack
from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.control_api import ControlApi
from workbench.simulated_exchange.limits import REQUEST_WEIGHT_LIMIT
from workbench.simulated_exchange.server import ExchangeServer
from workbench.simulated_exchange.simulation import Simulation

ATTACK_S = float(os.environ.get("BOTBALANCE_TEST_ATTACK_S", "0"))
"""For how long attackers go on at least; once what people may use is used up, a longer attack changes nothing."""
MOST_ROUNDS = 100
PREVIEW = "/api/me/strategies/rebalance/preview/"
ON_PAPER = "binance-paper"
FOUR = {"BTC": "20", "ETH": "20", "SOL": "20", "BNB": "20", "USDT": "20"}
TRIES = 20
NONSENSE_KEYS = 30
"""Without a budget these would be a tenth of what the exchange allows; and people may use half."""
LISTINGS = 40
"""The weight of the listing of one market, and of all of them."""
PRICES_AND_MINUTES = 4
"""The weight of what a plan is made of, beside the account: everybody shares it for seconds."""

type Attack = Callable[[Client, int], object]


@dataclass(frozen=True)
class World:
    stack: Stack
    simulation: Simulation
    api: BinanceApi

    def open_user(self, name: str) -> Client:
        """A user with an account on the exchange, a stored key and a strategy of four orders."""
        user = Client(self.stack.url, name)
        self.simulation.open_account(**key_body(user), balances={"USDT": Decimal(10_000)})
        user.put(CREDENTIALS, key_body(user)).raise_for_status()
        user.put(STRATEGY, GOOD_STRATEGY | {"target_allocations": FOUR}).raise_for_status()
        return user

    def begin_minute(self) -> None:
        """Go on to the first half of a minute before which nobody asked the exchange for anything."""
        now = self.stack.clock.next_tick(candles=1)
        for _ in range(3 if now % 60 else 4):
            now = self.stack.clock.next_tick(candles=1)
        assert now % 60 == 0


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    simulation = Simulation()
    api = BinanceApi(simulation.books, weight_limit=REQUEST_WEIGHT_LIMIT)
    with (
        ExchangeServer(api, more=ControlApi(simulation).routes()) as server,
        Stack(Options(exchange=server.url, autopilot=False)) as stack,
    ):
        yield World(stack, simulation, api)


def send_nonsense_key(attacker: Client, number: int) -> None:
    attacker.put(CREDENTIALS, {"api_key": f"nonsense-{number}", "secret": f"nonsense-{number}"})


def invent_asset(attacker: Client, number: int) -> None:
    invented = GOOD_STRATEGY | {"target_allocations": {f"NOPE{number}": "50", "USDT": "50"}}
    attacker.put(STRATEGY, invented)


def look(attacker: Client, _: int) -> None:
    attacker.get(PLAN)


def preview_on_paper(attacker: Client, number: int) -> None:
    attacker.ask("POST", PREVIEW, json.dumps(GOOD_STRATEGY | {"exchange": ON_PAPER, "order_size_pct": f"1.{number}"}))


def execute(attacker: Client, number: int) -> None:
    attacker.ask("POST", EXECUTE, **{"Idempotency-Key": f"execution-{number}"})


def share(purpose: Purpose) -> int:
    """The weight that one user may use in a minute."""
    return REQUEST_WEIGHT_LIMIT * (BOUNDS[purpose].user_pct or 0) // 100


@pytest.mark.parametrize(
    ("attack", "most"),
    [
        (send_nonsense_key, share(Purpose.TRIAL)),
        (invent_asset, LISTINGS),
        (preview_on_paper, PRICES_AND_MINUTES),
        (look, share(Purpose.PERSON)),
    ],
)
def test_one_user_uses_no_more_than_one_may(world: World, attack: Attack, most: int) -> None:
    world.begin_minute()
    name: str = attack.__name__
    attacker = world.open_user(name) if attack is look else Client(world.stack.url, name)
    if "paper" in name:
        body = {"exchange": ON_PAPER, "balances": {"USDT": "10000"}}
        attacker.put(PAPER, body).raise_for_status()
        attacker.put(STRATEGY, GOOD_STRATEGY | {"exchange": ON_PAPER}).raise_for_status()
    world.begin_minute()
    before = world.api.weight_used_total
    for number in range(TRIES):
        attack(attacker, number)
    assert 0 < world.api.weight_used_total - before <= most


def flat_out(attackers: Sequence[Client], seconds: float) -> None:
    """Everything that leads to the exchange, all at once, for so long and until nobody is shown a plan."""
    numbers, ends = count(), time.monotonic() + seconds

    def attack(attacker: Client) -> None:
        for _ in range(MOST_ROUNDS):
            number = next(numbers)
            send_nonsense_key(attacker, number)
            invent_asset(attacker, number)
            execute(attacker, number)
            attacker.get(CHECK)
            if attacker.get(PLAN).status_code != HTTPStatus.OK and time.monotonic() > ends:
                break

    with ThreadPoolExecutor(len(attackers)) as pool:
        list(pool.map(attack, attackers))


@thorough_only
def test_an_attacker_without_a_key_leaves_people_their_share_and_the_victim_all_it_needs(world: World) -> None:
    world.begin_minute()
    attacker, victim = Client(world.stack.url, "keyless-alone"), world.open_user("victim-of-one")
    victim.put(AUTOPILOT, {"enabled": True}).raise_for_status()
    books = world.simulation.books
    world.begin_minute()
    world.api._minute.count("", REQUEST_WEIGHT_LIMIT * 41 // 100)  # others', of the 50 percent that people may use

    invent_asset(attacker, 0)
    ends = time.monotonic() + ATTACK_S
    for number in count():
        send_nonsense_key(attacker, number)
        if number >= NONSENSE_KEYS and time.monotonic() > ends:
            break
    victim.get(PLAN).raise_for_status()
    world.stack.tick()
    assert victim.get(DECISIONS).json()["decisions"][0]["outcome"] == "decided"
    resting = [order for order in books.orders(key_body(victim)["api_key"]) if order.status.is_open]
    assert len(resting) == 4
    assert [order["status"] for order in victim.post(STOP).json()["orders"]] == ["CANCELED"] * 4
    assert not [order for order in books.orders(key_body(victim)["api_key"]) if order.status.is_open]


def test_many_together_stop_nobody_s_trading(world: World) -> None:
    """People's share is used up, so that nobody sees a plan; the victim's tick and stop have their own."""
    world.begin_minute()
    attackers = [world.open_user(f"attacker-{number}") for number in range(3)] + [Client(world.stack.url, "keyless")]
    victim = world.open_user("victim")
    victim.put(AUTOPILOT, {"enabled": True}).raise_for_status()
    books = world.simulation.books
    world.begin_minute()
    world.api._minute.count("", 2 * share(Purpose.PERSON))  # others', who have used theirs

    flat_out(attackers, ATTACK_S)
    problem(victim.get(PLAN), 429, "exchange_rate_limit")
    world.stack.tick()
    newest = victim.get(DECISIONS).json()["decisions"][0]
    assert newest["outcome"] == "decided", newest
    resting = [order for order in books.orders(key_body(victim)["api_key"]) if order.status.is_open]
    assert len(resting) == 4

    flat_out(attackers, ATTACK_S / 2)
    problem(victim.get(PLAN), 429, "exchange_rate_limit")
    stopped = victim.post(STOP)
    assert stopped.ok, stopped.text
    assert [order["status"] for order in stopped.json()["orders"]] == ["CANCELED"] * 4
    assert not [order for order in books.orders(key_body(victim)["api_key"]) if order.status.is_open]
