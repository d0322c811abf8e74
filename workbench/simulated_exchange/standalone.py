"""Runs the exchange as a process of its own, which survives whoever trades on it."""

from collections.abc import Callable

from workbench.cli.stop_signals import stop_signals
from workbench.simulated_exchange.binance_api import BinanceApi
from workbench.simulated_exchange.control_api import ControlApi
from workbench.simulated_exchange.limits import REQUEST_WEIGHT_LIMIT
from workbench.simulated_exchange.matching_engine import epoch_ms
from workbench.simulated_exchange.server import ExchangeServer, port_unusable
from workbench.simulated_exchange.simulation import Simulation


def serve(simulation: Simulation, port: int, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or a polite kill, having said where; raises InvalidRequestError where the port is in use."""
    api = BinanceApi(simulation.books, weight_limit=REQUEST_WEIGHT_LIMIT, wall_clock=epoch_ms)
    server = ExchangeServer(api, more=ControlApi(simulation).routes(), port=port)
    with stop_signals() as stopped:
        try:
            server.start()
        except OSError as error:
            raise port_unusable(port, error) from None
        try:
            say(f"The simulated exchange runs at {server.url}. Ctrl-C ends it, and all that it knows.")
            stopped.wait()
        finally:
            server.stop()
