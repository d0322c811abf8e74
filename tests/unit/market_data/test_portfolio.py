"""PortfolioService: one consistent set of facts, read in the order that cannot double an order."""

from decimal import Decimal

import pytest
from botbalance.engine import Balance
from botbalance.errors import TransientError

from tests.integration.exchange.simulated import KEY, Exchange, Fault
from tests.unit.market_data.conftest import Process
from workbench.simulated_exchange.matching_engine import NewOrder, OrderType

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


def test_a_snapshot_is_orders_balances_prices_and_rules(process: Process, exchange: Exchange) -> None:
    exchange.books.place(
        KEY, NewOrder("BTCUSDT", "buy", OrderType.LIMIT, "by-hand", qty=Decimal("0.01"), price=Decimal(39_000))
    )
    snapshot = process.portfolio.snapshot(exchange.connect(), SYMBOLS, fresh=False)
    assert snapshot.active_symbols() == {"BTCUSDT"}
    assert snapshot.balances["USDT"] == Balance(Decimal(9_610), Decimal(390))
    assert snapshot.prices == {"BTCUSDT": Decimal(40_000), "ETHUSDT": Decimal(2_500)}
    assert snapshot.rules.keys() == set(SYMBOLS)


def test_open_orders_are_read_before_balances(process: Process, exchange: Exchange) -> None:
    process.portfolio.snapshot(exchange.connect(), SYMBOLS, fresh=False)
    read = [request.path for request in exchange.api.requests]
    assert read.index("/api/v3/openOrders") < read.index("/api/v3/account")
    assert (read.count("/api/v3/openOrders"), read.count("/api/v3/account")) == (1, 1)


@pytest.mark.parametrize("path", ["/api/v3/openOrders", "/api/v3/account", "/api/v3/ticker/24hr"])
def test_one_doubtful_read_and_there_is_no_snapshot(process: Process, exchange: Exchange, path: str) -> None:
    exchange.api.faults["GET", path] = Fault.body("{}")
    with pytest.raises(TransientError):
        process.portfolio.snapshot(exchange.connect(), SYMBOLS, fresh=True)


def test_fresh_takes_the_prices_from_the_exchange(process: Process, exchange: Exchange) -> None:
    account = exchange.connect()
    process.portfolio.snapshot(account, SYMBOLS, fresh=False)
    exchange.market.set_price("BTCUSDT", Decimal(50_000))
    assert process.portfolio.snapshot(account, SYMBOLS, fresh=False).prices["BTCUSDT"] == Decimal(40_000)
    assert process.portfolio.snapshot(account, SYMBOLS, fresh=True).prices["BTCUSDT"] == Decimal(50_000)
