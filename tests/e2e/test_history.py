"""Trying a strategy on history, as a user does: download, backtest, report, search."""

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import run
from tests.integration.exchange.simulated import running_exchange
from tests.thorough import thorough_only
from workbench.cli import app as cli
from workbench.portfolios.demo import FIRST_PRICES
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.random_walk import RandomWalk

RECORDED = Path(__file__).parents[3] / "shared/data/candles"
STRATEGY = {
    "target_allocations": {"BTC": "30", "ETH": "25", "XRP": "20", "BNB": "15", "USDT": "10"},
    "order_size_pct": "1",
    "order_step_pct": "0.4",
    "min_delta_quote": "100",
}
START = 1_600_000_020_000


@pytest.fixture
def strategy(tmp_path: Path) -> Path:
    path = tmp_path / "strategy.json"
    path.write_text(json.dumps(STRATEGY))
    return path


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 minutes of four pairs, downloaded from the simulated exchange."""
    assets = ("BTC", "ETH", "XRP", "BNB")
    market = Market.with_default_filters(
        {f"{asset}USDT": FIRST_PRICES[asset] for asset in assets}, RandomWalk(seed=1, start_ms=START)
    )
    for _ in range(500):
        market.advance()
    folder = tmp_path_factory.mktemp("candles")
    with running_exchange(market) as exchange:
        arguments = ("candles", "fetch", str(folder), *(f"{asset}/USDT" for asset in assets))
        window = ("--start=2020-09-13T12:27:00Z", "--end=2020-09-13T20:47:00Z", f"--base-url={exchange.url}")
        for _ in range(2):  # the second finds everything there
            status, output, errors = run(*arguments, *window)
            assert (status, errors) == (0, "")
            assert output.splitlines() == [f"{folder}/{asset}USDT-1m.csv: whole: 500 candles" for asset in assets]
    return folder


type RunHere = Callable[..., str]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> RunHere:
    """The output of a command in this process, which spares it the imports; it must end well and without a word."""

    def run_command(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["botbalance", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output, errors = capfd.readouterr()
        assert (ended.value.code or 0, errors) == (0, "")
        return output

    return run_command


def backtest(run_here: RunHere, candles: Path, strategy: Path, *more: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(
        run_here("backtest", f"--candles={candles}", f"--strategy={strategy}", "--json", *more)
    )
    return result


def recompute(result: dict[str, Any]) -> None:
    """NAV and bonus from the fills alone: the same digits."""
    held = {asset: Fraction(quantity) for asset, quantity in result["start_balances"].items()}
    prices = {symbol.removesuffix("USDT"): Fraction(price) for symbol, price in result["end_prices"].items()}
    prices["USDT"] = Fraction(1)
    hold = sum(quantity * prices[asset] for asset, quantity in held.items())
    fees = Fraction(0)
    for fill in result["fills"]:
        sign = 1 if fill["side"] == "buy" else -1
        held[fill["base"]] += sign * Fraction(fill["base_qty"])
        held["USDT"] -= sign * Fraction(fill["base_qty"]) * Fraction(fill["price"])
        held[fill["fee_asset"]] -= Fraction(fill["fee"])
        fees += Fraction(fill["fee"]) * (1 if fill["fee_asset"] == "USDT" else Fraction(fill["price"]))
    nav = sum(quantity * prices[asset] for asset, quantity in held.items())
    assert nav == Fraction(result["nav_end"])
    assert hold == Fraction(result["hold_quote"])
    assert nav - hold == Fraction(result["bonus_quote"]) == sum(Fraction(f["bonus_quote"]) for f in result["fills"])
    assert fees == Fraction(result["fees_quote"])


def test_a_strategy_is_tried_on_what_was_downloaded(
    downloaded: Path, strategy: Path, tmp_path: Path, run_here: RunHere
) -> None:
    report, whole = tmp_path / "report.html", tmp_path / "result.json"
    result = backtest(run_here, downloaded, strategy, f"--report={report}", f"--result={whole}", "--nav=20000")
    kept = json.loads(whole.read_text("utf-8"))
    assert {name: kept[name] for name in result} == result
    assert len(kept["series"]["nav"]) == 500
    assert result["candles"] == 500
    assert result["fills"]
    assert float(result["nav_start"]) == 20_000
    recompute(result)
    status, output, errors = run("backtest", f"--candles={downloaded}", f"--strategy={strategy}", "--nav=20000")
    assert (status, errors) == (0, "")
    text = " ".join(output.split())
    assert result["verdict"] in text
    assert f"{result['orders']['placed']} orders: {result['orders']['filled']} filled" in text
    page = report.read_text("utf-8")
    assert result["verdict"] in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/", "")


def test_a_part_of_the_time_with_rules_fee_and_start_of_ones_own(
    downloaded: Path, strategy: Path, tmp_path: Path, run_here: RunHere
) -> None:
    rules, balances = tmp_path / "rules.json", tmp_path / "balances.json"
    market = {"tick_size": "0.05", "lot_size": "0.01", "min_notional": "10"}
    rules.write_text(json.dumps({f"{asset}USDT": market for asset in ("BTC", "ETH", "XRP", "BNB")}))
    balances.write_text(json.dumps({"BTC": "0.5", "USDT": "10000"}))
    result = backtest(
        run_here,
        downloaded,
        strategy,
        *(f"--rules={rules}", f"--balances={balances}", "--fee-pct=0"),
        *("--start=2020-09-13T13:00:00Z", "--end=2020-09-13T20:00:00Z"),
    )
    assert result["candles"] == 420
    assert result["start_balances"] == {"BTC": "0.5", "ETH": "0", "XRP": "0", "BNB": "0", "USDT": "10000"}
    assert Fraction(result["fees_quote"]) == 0
    assert result["rules_source"] == "given: rules.json"
    assert all(Fraction(fill["price"]) % Fraction(1, 20) == 0 for fill in result["fills"])
    recompute(result)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded candles beside the checkout")
@thorough_only
def test_years_of_recorded_hours(strategy: Path, tmp_path: Path, run_here: RunHere) -> None:
    result = backtest(run_here, RECORDED, strategy, f"--report={tmp_path / 'report.html'}")
    assert result["candles"] == 11_181
    assert result["data"]["XRPUSDT"]["leading_zero_rows"] == 8_820
    assert len(result["fills"]) > 1_000
    recompute(result)


def test_a_search_ranks_what_it_tried_and_warns(downloaded: Path, strategy: Path) -> None:
    arguments = (f"--candles={downloaded}", f"--strategy={strategy}", "--size=1,4", "--step=0.1", "--band=100")
    status, output, errors = run("optimize", *arguments, "--folds=2", "--random=3")
    assert (status, errors) == (0, "")
    assert "3 combinations" in output
    assert output.count("2020-09-13") == 2  # steps forward
