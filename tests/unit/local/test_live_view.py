"""The live view: the outcome first, every number whole, and never more lines than the terminal has."""

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from botbalance.engine import SkipReason
from botbalance.models.order import OrderStatus
from rich.console import Console

from workbench.cli.words import ORDER_STATES, SKIP_REASONS
from workbench.local.live_view import LiveStatus, LiveView

HUGE = "123456789.12345678"


def asset(name: str, *, hold: str | None = "within_band", price: str = "43250.52") -> dict[str, Any]:
    action = None if hold else {"side": "buy", "limit_price": "43077.51", "base_qty": "0.00464", "capped": False}
    return {
        "asset": name,
        "symbol": f"{name}USDT",
        "price": price,
        "held": "0.5",
        "weight_pct": "59.81",
        "target_pct": "40",
        "delta_quote": "-1973.17",
        "action": action,
        "hold": hold,
        "buy_trigger": "41000",
        "sell_trigger": None,
    }


def order(symbol: str, status: str, fills: int = 0) -> dict[str, Any]:
    fill = {"traded_at_ms": 1_769_860_831_250, "base_qty": "0.01", "price": "43000", "fee": "0.1", "fee_asset": "USDT"}
    return {"symbol": symbol, "side": "sell", "status": status, "limit_price": "43423.52", "fills": [fill] * fills}


def status(**changed: Any) -> LiveStatus:
    plan: dict[str, Any] = {"mode": "autopilot", "quote_asset": "USDT", "drift_pct": "20.9", "warnings": []}
    plan["assets"] = changed.pop("assets", [asset("BTC", hold="active_order"), asset("ETH"), asset("SOL", hold=None)])
    decisions: list[dict[str, Any]] = [
        {"ts_tick": 1_769_860_830 - 30 * i, "outcome": "decided", "placed": [], "canceled": [], "reason": None}
        for i in range(40)
    ]
    given: dict[str, Any] = {
        "ticks": 1,
        "url": "http://127.0.0.1:8787",
        "orders": [order("BTCUSDT", "OPEN"), order("ETHUSDT", "FILLED", fills=1)],
        "decisions": decisions,
        "start_worth": Decimal(10_000),
        "worth": Decimal("9944.25"),
        "hold": Decimal("9944.81"),
        "left": {},
    }
    return LiveStatus(plan=plan, **given | changed)


def lines(found: LiveStatus, width: int, height: int) -> list[str]:
    output = StringIO()
    Console(file=output, width=width, height=height, force_terminal=False).print(LiveView(found))
    return output.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (140, 45)])
def test_the_outcome_comes_first_and_everything_fits(width: int, height: int) -> None:
    shown = lines(status(assets=[asset(f"C{i}") for i in range(8)]), width, height)
    assert "1 tick ·" in shown[0]
    assert shown[1].split()[:3] == ["Worth", "9,944.25", "USDT"]
    assert shown[2].split()[:4] == ["Just", "holding", "9,944.81", "USDT"]
    assert shown[3].split()[:4] == ["Rebalancing", "cost", "-0.56", "USDT"]
    assert len(shown) < height
    assert max(map(len, shown)) <= width


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_number_of_an_asset_is_cut(width: int) -> None:
    rows = [asset("BTC") | {"delta_quote": HUGE, "price": HUGE, "held": HUGE}, asset("ETH", hold="below_min_notional")]
    shown = "\n".join(lines(status(assets=rows), width, 24))
    assert "59.81 %" in shown
    assert "40.00 %" in shown
    table = [line for line in shown.split("\n") if line.startswith(("BTC", "ETH"))]
    assert len(table) == 2
    assert all("…" not in line for line in table)


def test_an_order_at_rest_says_where_it_is_and_how_far_from_the_market() -> None:
    shown = "\n".join(lines(status(), 100, 30))
    assert "sells at 43,423.52 (+0.4 %)" in shown
    assert "would buy at 43,077.51" in shown
    assert "within the band" in shown


def test_what_left_the_targets_is_named_and_no_loss() -> None:
    shown = lines(status(left={"SOL": Decimal("1234.5")}), 80, 24)
    assert shown[4] == "Of this, 1,234.50 is in SOL, which is no target any more."


def test_ticks_with_nothing_to_do_are_one_line() -> None:
    assert lines(status(), 80, 24)[-1].endswith("nothing to do (40 ticks)")


def test_every_code_has_words() -> None:
    assert set(SKIP_REASONS) == set(SkipReason)
    assert set(ORDER_STATES) == set(OrderStatus)
