"""Return and risk a year, against figures computed by Python's own statistics; the largest asset by hand."""

import itertools
import math
import statistics
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from workbench.backtest.backtest import BacktestFiles, prepare, run
from workbench.backtest.result import BacktestResult

DAY = 86_400_000
START = 1_735_689_600_000  # 2025-01-01
STRATEGY = """{"target_allocations": {"BTC": "60", "ETH": "30", "USDT": "10"}, "order_size_pct": "1",
"order_step_pct": "0.4", "min_delta_quote": "100000"}"""


def held(folder: Path, days: int) -> tuple[BacktestResult, list[float]]:
    """A strategy whose band is never left, so that NAV is that of holding; and NAV at the end of each day."""
    source = Random(3)
    closes = {"BTC": [100.0], "ETH": [50.0]}
    for asset, of_asset in closes.items():
        for _ in range(days):
            of_asset.append(round(of_asset[-1] * math.exp(source.gauss(0.001, 0.03)), 4))
        rows = (f"{START + at * DAY},{p},{p},{p},{p},1\n" for at, p in enumerate(of_asset))
        (folder / f"{asset}USDT.csv").write_text("".join(rows))
    (folder / "strategy.json").write_text(STRATEGY)
    result = run(prepare(BacktestFiles(folder, folder / "strategy.json")))
    nav = [1_000 + 60 * btc + 60 * eth for btc, eth in zip(closes["BTC"], closes["ETH"], strict=True)]
    return result, nav


def test_return_sharpe_and_sortino_are_those_of_the_daily_returns(tmp_path: Path) -> None:
    result, nav = held(tmp_path, 200)
    assert not result.fills
    returns = [math.log(after / before) for before, after in itertools.pairwise(nav)]
    mean, root = statistics.mean(returns), math.sqrt(365)
    losses = math.sqrt(sum(min(one, 0) ** 2 for one in returns) / len(returns))
    assert result.sharpe is not None
    assert result.sortino is not None
    assert result.return_a_year_pct is not None
    assert float(result.sharpe) == pytest.approx(mean / statistics.stdev(returns) * root, abs=1e-5)
    assert float(result.sortino) == pytest.approx(mean / losses * root, abs=1e-5)
    assert float(result.return_a_year_pct) == pytest.approx(100 * ((nav[-1] / nav[0]) ** (365 / 200) - 1), abs=1e-4)


def test_less_than_thirty_days_say_nothing_of_a_year(tmp_path: Path) -> None:
    result, _ = held(tmp_path, 20)
    assert (result.return_a_year_pct, result.sharpe, result.sortino) == (None, None, None)


def test_the_largest_asset_alone_is_all_of_the_start_less_one_fee(tmp_path: Path) -> None:
    result, _ = held(tmp_path, 40)
    assert result.largest_asset == "BTC"
    expected = Decimal(10_000) * Decimal("0.999") * result.end_prices["BTCUSDT"] / result.start_prices["BTCUSDT"]
    assert result.largest.nav_end == pytest.approx(expected, abs=Decimal("1e-20"))
    assert (result.turnover_of_nav, result.fees_of_nav_pct) == (Decimal(0), Decimal(0))
