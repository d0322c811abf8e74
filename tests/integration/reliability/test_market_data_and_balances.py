"""Nothing is traded on a doubtful picture: not on a price that cannot be right, nor on holdings that have vanished."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from botbalance.engine import SkipReason
from botbalance.errors import TransientError
from botbalance.models.decision import Decision
from botbalance.models.order import OrderStatus
from botbalance.trading.anomaly_guard import CHANGE_BELIEVED_S
from botbalance.trading.execute import execute_once
from botbalance.trading.orders import cancel_one
from botbalance.trading.plan import preview

from tests.integration.trading.harness import TradingHarness, new_harness
from workbench.faults.kinds import KINDS, FaultKind, Where

K = FaultKind
D = Decimal
BTC = "BTCUSDT"
ON_TARGET = {"BTC": D("0.075"), "ETH": D("1.2"), "XRP": D(4_000), "USDT": D(2_000)}
"""10,000 USDT, shared out as the strategy wants it."""


@pytest.fixture
def balanced(newcomer: TradingHarness) -> TradingHarness:
    """A user who holds just what the strategy wants, and whose orders are judged anew in each tick."""
    newcomer.open_account(newcomer.user, ON_TARGET)
    newcomer.set_strategy(order_max_age_s=0)
    return newcomer


@pytest.fixture
def forgetful(environment: Mapping[str, str]) -> Iterator[TradingHarness]:
    """A user with 10,000 USDT in a harness where market rules are looked up again after a minute."""
    user = f"user-{uuid4().hex[:12]}"
    with new_harness(environment, user, PRICING_USE_CACHE="false", MARKET_RULES_TTL="60") as harness:
        harness.open_account(harness.user, {"USDT": D(10_000)})
        harness.set_strategy()
        yield harness


def rows(decision: Decision) -> dict[str, Any]:
    """What was decided about each asset."""
    assert decision.evaluation is not None, decision.reason
    return {row["asset"]: row for row in decision.evaluation["rows"]}


def nav(decision: Decision) -> Decimal:
    """What the account was taken to be worth, in quote."""
    assert decision.evaluation is not None, decision.reason
    return D(decision.evaluation["nav"])


def orders_touched(harness: TradingHarness) -> int:
    """How many requests to place or to cancel have been sent."""
    return len(harness.asked("POST")) + len(harness.asked("DELETE"))


# prices


@pytest.mark.parametrize("variant", KINDS[K.DOUBTFUL_QUOTE].variants)
def test_a_quote_that_cannot_be_right_leaves_out_the_decision_which_says_why(
    harness: TradingHarness, variant: str
) -> None:
    harness.injector.script(K.DOUBTFUL_QUOTE, Where.QUOTES, variant=variant, times=99)
    decision = harness.tick()
    assert (decision.outcome, decision.evaluation) == ("skipped", None)
    assert (BTC if variant != "nan" else "the exchange's tickers cannot be right") in (decision.reason or "")
    assert (harness.booked(), harness.orders()) == ([], []), "no weight is rescaled onto the others"

    harness.injector.active = False
    assert len(harness.tick().placed) == 3


@pytest.mark.parametrize("variant", KINDS[K.PRICE_JUMP].variants)
def test_a_price_that_jumps_for_a_moment_holds_a_tick_and_raises_an_alarm(
    balanced: TradingHarness, alarms: Callable[[], list[Any]], variant: str
) -> None:
    harness = balanced
    assert harness.tick().outcome == "decided"
    harness.injector.script(K.PRICE_JUMP, Where.QUOTES, variant=variant, times=99)
    decision = harness.tick()
    assert decision.outcome == "skipped"
    assert f"{BTC} jumped by more than 10 %, from 40000" in (decision.reason or "")
    assert alarms() == [("doubtful_picture", harness.user)]

    harness.injector.active = False
    decision = harness.tick()
    assert decision.outcome == "decided"
    assert D(rows(decision)["BTC"]["price"]) == 40_000
    assert orders_touched(harness) == 0


def test_a_price_that_stays_where_it_jumped_to_is_believed_by_the_next_tick(balanced: TradingHarness) -> None:
    harness = balanced
    harness.tick()
    harness.market.set_price(BTC, D(48_000))
    assert harness.tick().outcome == "skipped"
    assert orders_touched(harness) == 0
    decision = harness.tick()
    assert (decision.placed[0]["symbol"], decision.placed[0]["side"]) == (BTC, "sell")
    assert D(decision.placed[0]["limit_price"]) > 48_000


def test_a_price_that_jumps_holds_the_orders_that_rest_too(harness: TradingHarness) -> None:
    harness.set_strategy(order_max_age_s=0)
    harness.tick()
    harness.injector.script(K.PRICE_JUMP, Where.QUOTES, times=99)
    assert harness.tick().outcome == "skipped"
    assert harness.asked("DELETE") == []
    assert [order.status for order in harness.orders()] == [OrderStatus.OPEN] * 3


def test_a_trade_by_hand_is_refused_on_a_price_that_jumped(balanced: TradingHarness) -> None:
    harness = balanced
    harness.tick()
    harness.set_strategy(autopilot=False)
    harness.market.set_price(BTC, D(48_000))
    with pytest.raises(TransientError) as refused:
        execute_once(harness.context, harness.user)
    assert refused.value.code == "doubtful_picture"
    assert orders_touched(harness) == 0
    harness.now += 30
    assert execute_once(harness.context, harness.user).orders


# markets


def test_a_market_that_is_halted_gets_no_order_and_the_decision_says_so(forgetful: TradingHarness) -> None:
    harness = forgetful
    harness.market.halt(BTC)
    decision = harness.tick(seconds=60)
    assert rows(decision)["BTC"]["hold"] == SkipReason.MARKET_CLOSED
    assert rows(decision)["BTC"]["target_pct"] == "30"
    assert nav(decision) == 10_000
    assert {order.symbol: order.qty * order.price for order in harness.booked()} == {
        "ETHUSDT": D("199.947"),
        "XRPUSDT": D("199.698"),
    }
    harness.market.resume(BTC)
    assert [placed["symbol"] for placed in harness.tick(seconds=60).placed] == [BTC]


def test_a_market_that_is_gone_gets_no_order_and_the_others_do_where_nothing_of_it_is_held(
    forgetful: TradingHarness,
) -> None:
    harness = forgetful
    harness.context.portfolio.market_rules("binance", [BTC, "ETHUSDT", "XRPUSDT"])
    del harness.market.specs["XRPUSDT"]
    decision = harness.tick()
    assert (decision.outcome, decision.evaluation) == ("skipped", None), "the rules at hand say that it trades"
    assert "XRPUSDT" in (decision.reason or "")
    assert (harness.booked(), harness.orders()) == ([], [])

    decision = harness.tick()  # by now they are looked up again
    assert decision.outcome == "decided", decision.reason
    assert (rows(decision)["XRP"]["price"], rows(decision)["XRP"]["hold"]) == (None, SkipReason.MARKET_CLOSED)
    assert rows(decision)["XRP"]["target_pct"] == "20", "no weight is rescaled onto the others"
    assert nav(decision) == 10_000
    assert {order.symbol: order.qty * order.price for order in harness.booked()} == {
        BTC: D("199.9968"),
        "ETHUSDT": D("199.947"),
    }
    assert harness.context.strategies.get(harness.user).autopilot_enabled


@pytest.mark.parametrize("seconds", [30, 60], ids=["while its rules are at hand", "when they are looked up again"])
def test_a_market_that_is_gone_leaves_out_the_decision_which_says_so_where_any_of_it_is_held(
    forgetful: TradingHarness, seconds: int
) -> None:
    """It has never been seen with a price, so what the account is worth is unknown."""
    harness = forgetful
    harness.books.transfer(harness.key, "XRP", D(1))
    harness.context.portfolio.market_rules("binance", [BTC, "ETHUSDT", "XRPUSDT"])
    del harness.market.specs["XRPUSDT"]
    decision = harness.tick(seconds)
    assert (decision.outcome, decision.evaluation) == ("skipped", None)
    assert "XRPUSDT" in (decision.reason or "")
    assert (harness.booked(), harness.orders()) == ([], [])
    assert harness.context.strategies.get(harness.user).autopilot_enabled


def test_rules_that_change_during_a_tick_refuse_the_order_which_is_planned_anew_by_the_new_ones(
    forgetful: TradingHarness,
) -> None:
    harness = forgetful
    old = harness.market.specs[BTC]

    def change(name: str) -> None:
        if name == "before POST /api/v3/order":
            harness.market.specs[BTC] = replace(old, tick_size=D(50))

    harness.services.on_boundary = change
    decision = harness.tick()
    refused = harness.order_on(BTC)
    assert (refused.status, refused.limit_price % 50 != 0) == (OrderStatus.REJECTED, True)
    assert "PRICE_FILTER" in (refused.reason or "")
    assert D((decision.inputs or {})["market_rules"][BTC]["tick_size"]) == old.tick_size
    assert {order.symbol for order in harness.context.orders.unreconciled(harness.user)} == {"ETHUSDT", "XRPUSDT"}

    (anew,) = harness.tick(seconds=60).placed
    assert (anew["symbol"], anew["status"], D(anew["limit_price"])) == (BTC, OrderStatus.OPEN, D(39_800))
    assert harness.differences() == []


# balances


@pytest.mark.parametrize("variant", KINDS[K.VANISHED_BALANCES].variants)
def test_balances_that_vanish_for_a_moment_are_not_traded_on_and_raise_an_alarm(
    balanced: TradingHarness, alarms: Callable[[], list[Any]], variant: str
) -> None:
    harness = balanced
    assert harness.tick().outcome == "decided"
    harness.injector.script(K.VANISHED_BALANCES, Where.BALANCES, variant=variant)
    decision = harness.tick()
    assert harness.injector.unplayed() == []
    assert decision.outcome == "skipped"
    assert "holdings vanished: " in (decision.reason or "")
    assert alarms() == [("doubtful_picture", harness.user)]
    decision = harness.tick()
    assert nav(decision) == 10_000
    assert orders_touched(harness) == 0


def test_quote_that_vanishes_while_buys_rest_is_not_traded_on(
    newcomer: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    """They may have spent a part of it, and not all."""
    harness = newcomer
    harness.open_account(harness.user, {"BTC": D("0.075"), "USDT": D(7_000)})
    harness.set_strategy()
    assert [placed["side"] for placed in harness.tick().placed] == ["buy", "buy"]
    harness.injector.script(K.VANISHED_BALANCES, Where.BALANCES, variant="shrunken")  # BTC is left
    decision = harness.tick()
    assert decision.outcome == "skipped"
    assert "USDT" in (decision.reason or "")
    assert alarms() == [("doubtful_picture", harness.user)]
    assert orders_touched(harness) == 2
    assert harness.tick().outcome == "decided"


def test_holdings_that_stay_away_are_believed_gone_in_the_end(balanced: TradingHarness) -> None:
    harness = balanced
    harness.tick()
    harness.books.transfer(harness.key, "ETH", D("-1.2"))
    for _ in range(CHANGE_BELIEVED_S // 30):
        assert harness.tick().outcome == "skipped"
    assert orders_touched(harness) == 0
    decision = harness.tick()
    assert decision.outcome == "decided"
    assert ("ETHUSDT", "buy") in {(placed["symbol"], placed["side"]) for placed in decision.placed}


def sell_everything(harness: TradingHarness) -> None:
    """The account holds coins alone and wants none; what it offers is sold before the next look."""
    harness.open_account(harness.user, {"BTC": D("0.25")})
    harness.set_strategy({"BTC": "0", "USDT": "100"}, order_size_pct=D(100))
    harness.tick()
    harness.market.set_price(BTC, D(41_000))


def test_holdings_that_own_orders_have_sold_are_no_doubt(
    newcomer: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    harness = newcomer
    sell_everything(harness)
    assert harness.books.balances(harness.key)["BTC"].free == D("0.001")
    assert [harness.tick().outcome, harness.tick().outcome] == ["decided", "decided"]
    assert alarms() == []


def test_holdings_that_an_order_has_sold_whose_end_somebody_else_has_booked_are_no_doubt(
    newcomer: TradingHarness, alarms: Callable[[], list[Any]]
) -> None:
    harness = newcomer
    sell_everything(harness)
    order = cancel_one(harness.context, harness.user, harness.order_on(BTC).client_order_id)
    assert order.status is OrderStatus.FILLED
    assert harness.tick().outcome == "decided"
    assert alarms() == []


def test_what_rests_in_orders_counts_as_held_and_is_not_spent_again(harness: TradingHarness) -> None:
    harness.set_strategy({"BTC": "50", "ETH": "30", "XRP": "20"}, order_size_pct=D(45))
    assert [placed["symbol"] for placed in harness.tick().placed] == [BTC, "ETHUSDT", "XRPUSDT"]
    resting = harness.books.balances(harness.key)["USDT"]
    assert resting.free < 10 < 9_990 < resting.locked
    canceled = harness.books.cancel(harness.key, BTC, client_order_id=harness.order_on(BTC).client_order_id)
    assert harness.tick().placed == [], "its pair has just changed"
    decision = harness.tick()
    assert nav(decision) == 10_000
    (placed,) = decision.placed
    assert (placed["symbol"], placed["status"]) == (BTC, OrderStatus.OPEN)
    assert D(placed["limit_price"]) * D(placed["base_qty"]) <= resting.free + canceled.price * canceled.qty
    assert harness.differences() == []


def test_assets_that_are_unknown_or_lent_are_reported_and_neither_counted_nor_traded(newcomer: TradingHarness) -> None:
    harness = newcomer
    """What is lent of a managed coin counts as held, and cannot be spent."""
    strangers = {"LDBTC": D("0.01"), "LDUSDT": D(600), "LDDOGE": D(900), "MYSTERY": D(7)}
    harness.open_account(harness.user, {"USDT": D(9_000), **strangers})
    harness.set_strategy()
    plan = preview(harness.context, harness.user)
    assert plan.evaluation.nav == 10_000
    assert plan.evaluation.unmanaged.keys() == {"DOGE", "MYSTERY"}
    assert {row.asset: row.locked for row in plan.evaluation.rows if row.locked} == {"BTC": D("0.01"), "USDT": D(600)}
    harness.tick()
    assert {order.symbol for order in harness.booked()} == {BTC, "ETHUSDT", "XRPUSDT"}
    assert {asset: harness.books.balances(harness.key)[asset].free for asset in strangers} == strangers


@pytest.mark.parametrize(
    ("band", "hold"), [("50", SkipReason.WITHIN_BAND), ("0.01", SkipReason.BELOW_MIN_NOTIONAL)], ids=["within", "below"]
)
def test_dust_is_left_alone_tick_after_tick(newcomer: TradingHarness, band: str, hold: SkipReason) -> None:
    harness = newcomer
    harness.open_account(harness.user, {"BTC": D("0.00003"), "USDT": D(10_000)})
    harness.set_strategy({"BTC": "0", "USDT": "100"}, min_delta_quote=D(band))
    for _ in range(3):
        assert rows(harness.tick())["BTC"]["hold"] == hold
    assert orders_touched(harness) == 0
