"""Odd grids and long numbers are exact down to the exchange's books, and no decision spends more than is free."""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from uuid import uuid4

import pytest
from botbalance.models.order import OrderStatus

from tests.integration.trading.harness import TradingHarness, new_harness
from workbench.simulated_exchange.market import FrozenPrices, Market, MarketSpec
from workbench.simulated_exchange.matching_engine import Order as BookedOrder

D = Decimal


def spec(base: str, tick_size: str, lot_size: str) -> MarketSpec:
    return MarketSpec(
        f"{base}USDT",
        base,
        "USDT",
        tick_size=D(tick_size),
        lot_size=D(lot_size),
        min_price=D(tick_size),
        max_price=D(10**9),
        min_qty=D(lot_size),
        max_qty=D(10**15),
        max_notional=D(10**15),
    )


ODD_GRIDS = (spec("WEI", "0.05", "1e-18"), spec("KILO", "0.0000025", "1000"), spec("QUARTER", "0.25", "0.25"))
PRICES = {"WEIUSDT": D("3333.35"), "KILOUSDT": D("0.0271825"), "QUARTERUSDT": D("101.25")}


def require_on_the_grid_and_away_from_the_market(order: BookedOrder, step_pct: Decimal) -> None:
    """A buy is rounded down and a sell up, by less than a tick; quantities are whole lots."""
    (market,) = [spec for spec in ODD_GRIDS if spec.symbol == order.symbol]
    assert order.price % market.tick_size == order.qty % market.lot_size == 0
    step = step_pct / 100 if order.side == "sell" else -step_pct / 100
    exact = PRICES[order.symbol] * (1 + step)
    away = order.price - exact if order.side == "sell" else exact - order.price
    assert 0 <= away < market.tick_size


def test_odd_grids_and_long_amounts_reach_the_exchange_exact_with_buys_rounded_down_and_sells_up(
    environment: Mapping[str, str],
) -> None:
    held = {"WEI": D("12345678.123456789012345678"), "USDT": D("98765432109.12345678"), "KILO": D(7_000)}
    market = Market(ODD_GRIDS, PRICES, FrozenPrices())
    with new_harness(environment, f"user-{uuid4().hex[:12]}", market=market, PRICING_USE_CACHE="false") as harness:
        harness.open_account(harness.user, held)
        harness.set_strategy({"WEI": "20", "KILO": "30", "QUARTER": "40", "USDT": "10"}, order_step_pct=D("0.37"))
        decision = harness.tick()
        assert {order.symbol: order.side for order in harness.booked()} == {
            "WEIUSDT": "sell",
            "KILOUSDT": "buy",
            "QUARTERUSDT": "buy",
        }
        assert harness.differences() == []
        with localcontext(prec=100):
            for order in harness.booked():
                require_on_the_grid_and_away_from_the_market(order, D("0.37"))
            nav = held["WEI"] * PRICES["WEIUSDT"] + held["KILO"] * PRICES["KILOUSDT"] + held["USDT"]
            assert D((decision.evaluation or {})["nav"]) == nav
            (sold,) = [order for order in harness.booked() if order.side == "sell"]
            assert sold.qty == nav * D("0.02") / sold.price // D("1e-18") * D("1e-18")


@pytest.mark.parametrize(("free", "size_pct"), [("10000", "33.4"), ("1234.56789", "45"), ("100.01", "100")])
def test_the_buys_of_a_decision_never_cost_more_than_the_free_quote(
    newcomer: TradingHarness, free: str, size_pct: str
) -> None:
    harness = newcomer
    harness.open_account(harness.user, {"USDT": D(free)})
    harness.set_strategy(order_size_pct=D(size_pct), min_delta_quote=D(10))
    placed = harness.tick().placed
    assert sum(D(order["limit_price"]) * D(order["base_qty"]) for order in placed) <= D(free)
    assert {order["status"] for order in placed} == {OrderStatus.OPEN}
    left = harness.books.balances(harness.key)["USDT"]
    assert left.free >= 0
    assert left.free + left.locked == D(free)
