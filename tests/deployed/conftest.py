"""The account, the exchange and the copy of the checkout that the deployment is tried on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployed.documented import OperatorsShell
from tests.deployed.emulated_account import EmulatedAccount
from workbench.aws.build import ROOT
from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.matching_engine import MatchingEngine
from workbench.simulated_exchange.server import ExchangeServer
from workbench.simulated_exchange.simulation import Simulation

KEY, SECRET = "key-of-the-deployed-user", "secret-of-the-deployed-user"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is released, to be changed between two deployments."""
    for folder in ("functions", "layers", "infra"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def account(tmp_path: Path) -> Iterator[EmulatedAccount]:
    account = EmulatedAccount(tmp_path)
    try:
        account.wait()
        yield account
    finally:
        account.stop()


@pytest.fixture
def operators_shell(account: EmulatedAccount, simulation: Simulation, tmp_path: Path) -> Iterator[OperatorsShell]:
    """Where an operator does what the pages say: with this exchange's key, and the simulation's strategy."""
    written = {"binance-testnet": "binance", "YOUR-KEY": KEY, "YOUR-SECRET": SECRET}
    shell = account.shell(tmp_path / "shell", written)
    (tmp_path / "shell/my-strategy.json").write_text(simulation.strategy.model_dump_json())
    yield shell
    shell.close()


@pytest.fixture
def simulation() -> Simulation:
    """Prices stand still: orders rest until somebody cancels them."""
    return Simulation(freeze_prices=True)


@pytest.fixture
def books(simulation: Simulation) -> MatchingEngine:
    """The exchange's accounts, whose time is the real one."""
    return MatchingEngine(simulation.market, seed=0)


@pytest.fixture
def exchange(books: MatchingEngine) -> Iterator[ExchangeServer]:
    server = ExchangeServer(BinanceApi(books)).start()
    yield server
    server.stop()
