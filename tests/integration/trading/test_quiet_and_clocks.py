"""Quiet ticks over an hour, and where our clock and the exchange's are not the same."""

from collections.abc import Mapping
from decimal import Decimal
from uuid import uuid4

import pytest
from botbalance.models.order import OrderStatus

from tests.integration.trading.harness import FIRST_PRICES, new_harness
from tests.integration.trading.no_trade_harness import MinuteByMinute, NoTradeHarness
from workbench.simulated_exchange.market import Market

D = Decimal


def test_an_ordinary_hour_is_no_jump_after_quiet_ticks(environment: Mapping[str, str]) -> None:
    """XRP climbs evenly until it leaves its band: 22 % in fifty minutes without a look."""
    minutes = MinuteByMinute()
    market = Market.with_default_filters(FIRST_PRICES, minutes)
    settings = {"PRICING_USE_CACHE": "false", "PORTFOLIO_MAX_AGE": "3600"}
    with new_harness(environment, f"user-{uuid4().hex[:12]}", market=market, **settings) as harness:
        held = {"BTC": D("0.075"), "ETH": D("1.6"), "XRP": D(1000), "USDT": D(2500)}
        harness.open_account(harness.user, held)
        targets = {"BTC": "30", "ETH": "40", "XRP": "5", "USDT": "25"}
        harness.set_strategy(targets, min_delta_quote=D(100), order_size_pct=D(1))
        ticks, price, looks = NoTradeHarness(harness, minutes), D("0.5"), []
        for number in range(30):
            price = (price * D("1.0073")).quantize(D("0.0001"))
            if ticks.is_quiet(120, XRP=str(price)):
                continue
            looks.append((number, harness.context.decisions.get(harness.user, harness.now)))
            if looks[-1][1].placed:
                break
        assert [decision.outcome for _, decision in looks] == ["decided"] * len(looks)
        assert [(number, decision.placed[0]["side"]) for number, decision in looks if decision.placed] == [(26, "sell")]
        assert len(looks) <= 3, "the first, the one that sells, and one in between where the user's turn comes earlier"


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_a_fill_at_the_turn_of_a_minute_is_booked_at_the_next_tick(environment: Mapping[str, str], ahead: int) -> None:
    """Our clock is ahead of the exchange's: what is filled in our new minute is filled in its old one."""
    minutes = MinuteByMinute()
    market = Market.with_default_filters(FIRST_PRICES, minutes)
    settings = {"PRICING_USE_CACHE": "false", "PORTFOLIO_MAX_AGE": "3600"}
    with new_harness(environment, f"user-{uuid4().hex[:12]}", market=market, **settings) as harness:
        held = {"BTC": D("0.075"), "ETH": D("1.2"), "XRP": D(4000), "USDT": D(2000)}
        harness.open_account(harness.user, held)
        harness.set_strategy()
        ticks = NoTradeHarness(harness, minutes)
        while (harness.now + 30) % 60:
            ticks.tick()
        harness.now += 30
        if not ahead:  # else the exchange is still in the minute before
            minutes.now = harness.now
            market.advance()
        ticks.move(BTC="39000")
        assert harness.work(harness.message(harness.user)) == []
        assert len(harness.context.decisions.get(harness.user, harness.now).placed) == 1
        ticks.move(BTC="38843")
        ticks.move(BTC="39000")
        if ahead:
            minutes.now = harness.now
            market.advance()
        ticks.tick()
        assert harness.order_on("BTCUSDT").status is OrderStatus.FILLED
