"""`botbalance local`, killed in the middle of ticks again and again: no order is sent twice, and none is lost."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import boto3
import pytest
from botbalance.models.decision import TICK_SECONDS
from botbalance.models.order import Order
from botbalance.store.orders import OrdersTable

from tests.e2e.command import finish, parse_summary, read_until, run, start
from tests.fixtures.running import running_emulator
from tests.thorough import thorough_only
from workbench.audit.order_books import differences
from workbench.aws.resources import CREDENTIALS
from workbench.local.api_gateway import DEMO_USER
from workbench.local.stack import DEMO_KEY
from workbench.simulated_exchange.control_client import ControlClient
from workbench.simulated_exchange.control_messages import AccountBooks

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KILLS = 3
RECOVERED_AFTER_TICKS = 8
"""A lease that was left behind ends after three ticks, and an order of unknown fate is given up two ticks later."""
MOST_ORDERS, MOST_LOOKS = 6, 12
"""A kill comes within so many orders that the exchange accepts, and within so many looks at it after the last."""
BUSY = {
    "target_allocations": {"BTC": "35", "ETH": "25", "SOL": "15", "XRP": "15", "USDT": "10"},
    "order_size_pct": "0.2",
    "order_step_pct": "0.2",
    "min_delta_quote": "11",
    "order_max_age_s": 30,
    "reprice_tolerance_pct": "0.01",
}
"""At twenty candles a tick, this cancels, fills and places in every tick."""


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[str]:
    """The URL of an exchange in a process of its own."""
    strategy = tmp_path / "busy.json"
    strategy.write_text(json.dumps(BUSY))
    process = start("exchange", "--port", "0", "--seed", "5", "--speed", "20", "--strategy", str(strategy))
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split(" runs at ")[1].split(". ")[0]
        process.terminate()
        assert finish(process) == (0, "", "")
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def dynamodb() -> Iterator[str]:
    """The URL of a DynamoDB that survives: the one that is named for tests, or one of this process."""
    if named := os.environ.get("BOTBALANCE_TEST_DYNAMODB"):
        yield named
        return
    with running_emulator() as url:
        yield url


@pytest.fixture
def door(exchange: str) -> Iterator[ControlClient]:
    with closing(ControlClient(exchange)) as client:
        yield client


@pytest.fixture
def orders(dynamodb: str, door: ControlClient) -> Iterator[OrdersTable]:
    """What the runs write, read from beside them."""
    client: DynamoDBClient = boto3.client(
        "dynamodb",
        endpoint_url=dynamodb,
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    yield OrdersTable(client, f"botbalance-{door.about().id}-OrdersTable")
    client.close()


def untouched(booked: AccountBooks, ours: list[Order], now: int) -> tuple[AccountBooks, list[Order]]:
    """Those orders to which nothing has happened in the last two ticks: a kill can have interrupted nothing there."""
    then = now - 2 * TICK_SECONDS
    touched = {order.client_order_id for order in booked.orders if order.update_time >= then * 1000}
    touched |= {order.client_order_id for order in ours if order.placed_at >= then}
    return (
        AccountBooks(
            orders=[order for order in booked.orders if order.client_order_id not in touched],
            trades=[trade for trade in booked.trades if trade.client_order_id not in touched],
            balances=booked.balances,
        ),
        [order for order in ours if order.client_order_id not in touched],
    )


@thorough_only
def test_kills_in_the_middle_of_ticks_lose_no_order_and_double_none(
    exchange: str, dynamodb: str, door: ControlClient, orders: OrdersTable
) -> None:
    same = ("--exchange", exchange, "--dynamodb", dynamodb, "--port", "0", "--tick-seconds", "0")
    random = Random(5)
    before = door.about().now
    for _ in range(KILLS):
        process = start("local", *same)
        try:
            read_until(process, f"tick {RECOVERED_AFTER_TICKS}:")
            wanted = door.about().orders + random.randint(1, MOST_ORDERS)
            while door.about().orders < wanted:
                assert process.poll() is None
            for _ in range(random.randrange(MOST_LOOKS)):
                door.about()
        finally:
            process.kill()
            errors = process.communicate()[1]
        assert process.returncode == -signal.SIGKILL
        assert "Traceback" not in errors

        now = door.about().now
        assert now >= before + RECOVERED_AFTER_TICKS * TICK_SECONDS
        before = now
        booked, ours = door.account_books(DEMO_KEY.api_key), list(orders.iter_all(DEMO_USER))
        on_exchange = [order.client_order_id for order in booked.orders]
        assert len(set(on_exchange)) == len(on_exchange)
        assert set(on_exchange) <= {order.client_order_id for order in ours}
        assert differences(*untouched(booked, ours, now)) == []

    summary = parse_summary(*run("local", *same, "--json", "--ticks", str(RECOVERED_AFTER_TICKS)))
    assert summary["ticks"] == RECOVERED_AFTER_TICKS
    assert summary["orders_placed"] > KILLS * RECOVERED_AFTER_TICKS
