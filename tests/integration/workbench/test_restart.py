"""A run on an exchange and a database that were there before it goes on where the last one ended."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from botbalance import bootstrap
from botbalance.errors import TransientError

from tests.integration.http_api.client import AUTOPILOT, ORDERS, STRATEGY, Client
from workbench.aws.emulator import AwsEmulator
from workbench.local.stack import DEMO_KEY, Options, Stack
from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.control_api import ControlApi
from workbench.simulated_exchange.server import ExchangeServer
from workbench.simulated_exchange.simulation import Simulation

SPEED = 20


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(seed=3, speed=SPEED)


@pytest.fixture
def exchange(simulation: Simulation) -> Iterator[str]:
    with ExchangeServer(BinanceApi(simulation.books), more=ControlApi(simulation).routes()) as server:
        yield server.url


@pytest.fixture
def options(exchange: str) -> Iterator[Options]:
    """Those of a run on that exchange, and on a database of its own."""
    cloud = AwsEmulator()
    try:
        url = cloud.start()
        cloud.wait()
        yield Options(exchange=exchange, dynamodb=url)
    finally:
        cloud.stop()


def test_time_orders_and_account_go_on_where_they_were(options: Options, simulation: Simulation) -> None:
    with Stack(options) as first:
        for _ in range(5):
            last_tick = first.tick()["ts_tick"]
        assert first.book_differences() == []
        orders, tables = first.standing().orders, bootstrap.services().settings.orders_table
        start = first.standing().hold_quote, first.standing().bonus_quote
    assert orders
    assert tables == f"botbalance-{simulation.id}-OrdersTable"
    assert len(simulation.market.candles("BTCUSDT")) == 1 + 5 * SPEED

    with Stack(options) as second:
        assert second.clock() == last_tick
        standing = second.standing()
        assert standing.orders == orders
        assert (standing.hold_quote, standing.bonus_quote) == start
        assert second.tick()["ts_tick"] == last_tick + 30
        for _ in range(4):
            second.tick()
        assert second.book_differences() == []
        standing = second.standing()
    assert len(standing.orders) > len(orders)
    assert standing.plan.evaluation.nav == standing.hold_quote + standing.bonus_quote
    assert simulation.books.api_keys() == [DEMO_KEY.api_key]


def test_what_was_changed_over_the_api_is_kept(options: Options) -> None:
    wanted = {
        "target_allocations": {"BTC": "70", "USDT": "30"},
        "order_size_pct": "3",
        "order_step_pct": "0.5",
        "min_delta_quote": "150",
    }
    with Stack(options) as first:
        assert Client(first.url, None).put(STRATEGY, wanted).status_code == 200
    with Stack(options) as second:
        found = Client(second.url, None).get(STRATEGY).json()
    assert {name: found[name] for name in wanted} == wanted
    assert found["autopilot_enabled"]


def test_a_key_that_an_earlier_cloud_encrypted_is_written_anew(options: Options) -> None:
    with Stack(options) as first:
        first.tick()
    with Stack(options) as second:
        user = Client(second.url, None)
        assert user.put(AUTOPILOT, {"enabled": False}).status_code == 200
        assert user.delete(ORDERS).status_code == 200
        assert second.book_differences() == []


def test_another_exchange_on_the_same_database_starts_anew(options: Options) -> None:
    with Stack(options) as first:
        first.tick()
        assert first.standing().orders
    with Stack(Options(dynamodb=options.dynamodb)) as second:
        assert second.standing().orders == []


def test_the_market_of_another_process_cannot_be_rigged(options: Options) -> None:
    with Stack(options) as stack, pytest.raises(RuntimeError, match="another process"):
        stack.market.set_price("BTCUSDT", Decimal(1))


def test_an_exchange_that_is_gone_ends_the_run_with_its_address(options: Options) -> None:
    gone = Options(exchange="http://127.0.0.1:9", dynamodb=options.dynamodb)
    with pytest.raises(TransientError, match="no simulated exchange is at"), Stack(gone):
        pass


def test_options_of_the_market_belong_to_the_exchange(simulation: Simulation, options: Options) -> None:
    with Stack(Options(exchange=options.exchange, dynamodb=options.dynamodb, speed=7, candles=Path("nowhere"))) as run:
        run.tick()
    assert len(simulation.market.candles("BTCUSDT")) == 1 + SPEED
