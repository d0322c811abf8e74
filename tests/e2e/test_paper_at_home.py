"""`botbalance local --paper`, killed in the middle of ticks again and again: the books go on, and nothing twice.

BOTBALANCE_KILLS=10 kills it ten times.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from botbalance.models.order import Order
from botbalance.models.paper import PaperAccount
from botbalance.store.orders import OrdersTable
from botbalance.store.paper import PaperTable

from tests.e2e.command import finish, only_line, parse_summary, read_until, run, start
from tests.thorough import thorough_only
from workbench.aws.template import read_template
from workbench.local.api_gateway import DEMO_USER
from workbench.local.durable_tables import durable_tables
from workbench.simulated_exchange.control_client import ControlClient

KILLS = int(os.environ.get("BOTBALANCE_KILLS", "2"))
TICKS_BEFORE_A_KILL = 9
"""A lease that was left behind ends after three ticks."""
MOST_LOOKS = 40
BUSY = {
    "target_allocations": {"BTC": "35", "ETH": "25", "SOL": "15", "XRP": "15", "USDT": "10"},
    "order_size_pct": "0.5",
    "order_step_pct": "0.2",
    "min_delta_quote": "20",
    "order_max_age_s": 120,
    "reprice_tolerance_pct": "0.01",
}


@pytest.fixture
def strategy(tmp_path: Path) -> Path:
    path = tmp_path / "busy.json"
    path.write_text(json.dumps(BUSY))
    return path


@pytest.fixture
def door(strategy: Path) -> Iterator[ControlClient]:
    """An exchange in a process of its own."""
    process = start("exchange", "--port", "0", "--seed", "5", "--speed", "10", "--strategy", str(strategy))
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split(" runs at ")[1].split(". ")[0]
        with closing(ControlClient(url)) as client:
            yield client
        process.terminate()
        assert finish(process) == (0, "", "")
    finally:
        process.kill()
        process.communicate()


def read_state(folder: Path) -> tuple[PaperAccount, dict[str, Order]]:
    """The books and our orders, as the file has them."""
    with durable_tables(read_template(), folder, 0) as tables:
        client: Any = tables
        account = PaperTable(client, "PaperTable").get(DEMO_USER, "binance-paper")
        orders = OrdersTable(client, "OrdersTable").iter_all(DEMO_USER)
        return account, {order.client_order_id: order for order in orders}


@pytest.mark.timeout(150 * max(KILLS, 2))
@thorough_only
def test_kills_in_the_middle_of_ticks_lose_nothing_and_double_nothing(
    door: ControlClient, strategy: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    same = ("--paper", "binance", "--exchange", door.url, "--data", str(data), "--port", "0", "--tick-seconds", "0")
    random = Random(7)
    before: dict[str, Order] = {}
    for kill in range(KILLS):
        process = start("local", *same, *(() if kill else ("--strategy", str(strategy))))
        try:
            read_until(process, f"tick {TICKS_BEFORE_A_KILL}:")
            for _ in range(random.randrange(MOST_LOOKS)):
                door.about()
        finally:
            process.kill()
            errors = process.communicate()[1]
        assert process.returncode == -signal.SIGKILL
        assert "Traceback" not in errors
        account, orders = read_state(data)
        assert account.epoch == 1
        assert before.keys() <= orders.keys()
        for client_order_id, order in before.items():
            now = orders[client_order_id]
            assert now.fills[: len(order.fills)] == order.fills
        fills = [fill.trade_id for order in orders.values() for fill in order.fills]
        assert len(set(fills)) == len(fills)
        before = orders

    summary = parse_summary(*run("local", *same, "--json", "--ticks", str(TICKS_BEFORE_A_KILL)))
    assert summary["orders_filled"] > KILLS
    account, orders = read_state(data)
    assert before.keys() <= orders.keys()
    assert {order.client_order_id for order in account.orders} == {
        key for key, order in orders.items() if order.is_active
    }


def test_where_the_exchange_is_not_there_one_line_says_which_why_and_what_to_do(tmp_path: Path) -> None:
    line = only_line(*run("local", "--paper", "binance", "--exchange", "http://127.0.0.1:9", "--data", str(tmp_path)))
    assert "binance cannot be reached at http://127.0.0.1:9: no connection comes about; check the connection" in line
    assert list(tmp_path.iterdir()) == []
