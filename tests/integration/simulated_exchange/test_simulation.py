"""The exchange of local runs: what it lists, and its time."""

from decimal import Decimal
from pathlib import Path

from workbench.simulated_exchange.random_walk import RandomWalk
from workbench.simulated_exchange.simulation import Simulation

HOUR_MS = 3_600_000
START_MS = 1_600_000_000_000 - 1_600_000_000_000 % HOUR_MS


def recording(folder: Path, symbols: tuple[str, ...] = ("BTCUSDT",), hours: int = 5) -> Path:
    for symbol in symbols:
        rows = (f"{START_MS + HOUR_MS * hour},100,101,99,100,1" for hour in range(hours))
        (folder / f"{symbol}.csv").write_text("\n".join(rows))
    return folder


def test_on_recorded_candles_time_is_the_recordings_and_a_tick_is_a_candle_long(tmp_path: Path) -> None:
    simulation = Simulation(candles=recording(tmp_path))
    assert simulation.clock.milliseconds() == START_MS
    assert simulation.next_tick(1) * 1000 == START_MS + HOUR_MS
    assert simulation.next_tick(2) * 1000 == START_MS + 3 * HOUR_MS


def test_at_random_prices_a_tick_is_thirty_seconds_whatever_the_speed() -> None:
    simulation = Simulation()
    start = simulation.clock()
    assert [simulation.next_tick(candles) - start for candles in (1, 5, 0)] == [30, 60, 90]


def test_a_symbols_prices_do_not_depend_on_what_else_is_listed() -> None:
    alone, among_others = RandomWalk(seed=4), RandomWalk(seed=4)
    btc, xrp = {"BTCUSDT": Decimal(40_000)}, {"XRPUSDT": Decimal("0.6")}
    assert alone.next_candles(btc)["BTCUSDT"] == among_others.next_candles(xrp | btc)["BTCUSDT"]
