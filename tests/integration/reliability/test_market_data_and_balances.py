"""Nothing is traded on a doubtful picture: not on a price that cannot be right, nor on holdings that have vanished."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from botbalance.engine import HoldReason
from botbalance.errors import TryAgainLater
from botbalance.store.decisions import Decision
from botbalance.store.orders import OrderStatus
from botbalance.trading.doubts import VANISHED_BELIEVED_S
from botbalance.trading.execute import execute_once
from botbalance.trading.plan import preview

from tests.integration.trading.world import World, new_world
from workbench.faults.kinds import KINDS, FaultKind, Where

K = FaultKind
D = Decimal
BTC = "BTCUSDT"
ON_TARGET = {"BTC": D("0.075"), "ETH": D("1.2"), "XRP": D(4_000), "USDT": D(2_000)}
"""10,000 USDT, shared out as the strategy wants it."""


@pytest.fixture
def balanced(newcomer: World) -> World:
    """A user who holds just what the strategy wants, and whose orders are judged anew in each tick."""
    newcomer.open_account(newcomer.user, ON_TARGET)
    newcomer.set_strategy(order_max_age_s=0)
    return newcomer


@pytest.fixture
def forgetful(environment: Mapping[str, str]) -> Iterator[World]:
    """A user with 10,000 USDT in a world where market rules are looked up again after a minute."""
    user = f"user-{uuid4().hex[:12]}"
    with new_world(environment, user, PRICING_USE_CACHE="false", MARKET_RULES_TTL="60") as world:
        world.open_account(world.user, {"USDT": D(10_000)})
        world.set_strategy()
        yield world


def rows(decision: Decision) -> dict[str, Any]:
    """What was decided about each asset."""
    assert decision.evaluation is not None, decision.reason
    return {row["asset"]: row for row in decision.evaluation["rows"]}


def nav(decision: Decision) -> Decimal:
    """What the account was taken to be worth, in quote."""
    assert decision.evaluation is not None, decision.reason
    return D(decision.evaluation["nav"])


def orders_touched(world: World) -> int:
    """How many requests to place or to cancel have been sent."""
    return len(world.asked("POST")) + len(world.asked("DELETE"))


# prices


@pytest.mark.parametrize("variant", KINDS[K.DOUBTFUL_QUOTE].variants)
def test_a_quote_that_cannot_be_right_leaves_out_the_decision_which_says_why(world: World, variant: str) -> None:
    world.injector.script(K.DOUBTFUL_QUOTE, Where.QUOTES, variant=variant, times=99)
    decision = world.tick()
    assert (decision.outcome, decision.evaluation) == ("skipped", None)
    assert (BTC if variant != "nan" else "the exchange's tickers cannot be right") in (decision.reason or "")
    assert (world.booked(), world.orders()) == ([], []), "no weight is rescaled onto the others"

    world.injector.active = False
    assert len(world.tick().placed) == 3


@pytest.mark.parametrize("variant", KINDS[K.PRICE_JUMP].variants)
def test_a_price_that_jumps_for_a_moment_holds_a_tick_and_raises_an_alarm(
    balanced: World, alarms: Callable[[], list[Any]], variant: str
) -> None:
    world = balanced
    assert world.tick().outcome == "decided"
    world.injector.script(K.PRICE_JUMP, Where.QUOTES, variant=variant, times=99)
    decision = world.tick()
    assert decision.outcome == "skipped"
    assert f"{BTC} from 40000" in (decision.reason or "")
    assert alarms() == [("doubtful_picture", world.user)]

    world.injector.active = False
    decision = world.tick()
    assert decision.outcome == "decided"
    assert D(rows(decision)["BTC"]["price"]) == 40_000
    assert orders_touched(world) == 0


def test_a_price_that_stays_where_it_jumped_to_is_believed_by_the_next_tick(balanced: World) -> None:
    world = balanced
    world.tick()
    world.market.set_price(BTC, D(48_000))
    assert world.tick().outcome == "skipped"
    assert orders_touched(world) == 0
    decision = world.tick()
    assert (decision.placed[0]["symbol"], decision.placed[0]["side"]) == (BTC, "sell")
    assert D(decision.placed[0]["limit_price"]) > 48_000


def test_a_price_that_jumps_holds_the_orders_that_rest_too(world: World) -> None:
    world.set_strategy(order_max_age_s=0)
    world.tick()
    world.injector.script(K.PRICE_JUMP, Where.QUOTES, times=99)
    assert world.tick().outcome == "skipped"
    assert world.asked("DELETE") == []
    assert [order.status for order in world.orders()] == [OrderStatus.OPEN] * 3


def test_a_trade_by_hand_is_refused_on_a_price_that_jumped(balanced: World) -> None:
    world = balanced
    world.tick()
    world.set_strategy(autopilot=False)
    world.market.set_price(BTC, D(48_000))
    with pytest.raises(TryAgainLater) as refused:
        execute_once(world.desk, world.user)
    assert refused.value.code == "doubtful_picture"
    assert orders_touched(world) == 0
    world.now += 30
    assert execute_once(world.desk, world.user).orders


# markets


def test_a_market_that_is_halted_gets_no_order_and_the_decision_says_so(forgetful: World) -> None:
    world = forgetful
    world.market.halt(BTC)
    decision = world.tick(seconds=60)
    assert rows(decision)["BTC"]["hold"] == HoldReason.MARKET_CLOSED
    assert rows(decision)["BTC"]["target_pct"] == "30"
    assert nav(decision) == 10_000
    assert {order.symbol: order.qty * order.price for order in world.booked()} == {
        "ETHUSDT": D("199.947"),
        "XRPUSDT": D("199.698"),
    }
    world.market.resume(BTC)
    assert [placed["symbol"] for placed in world.tick(seconds=60).placed] == [BTC]


@pytest.mark.parametrize("seconds", [30, 60], ids=["while its rules are at hand", "when they are looked up again"])
def test_a_market_that_is_gone_leaves_out_the_decision_which_says_so(forgetful: World, seconds: int) -> None:
    world = forgetful
    del world.market.specs["XRPUSDT"]
    decision = world.tick(seconds)
    assert (decision.outcome, decision.evaluation) == ("skipped", None)
    assert "XRPUSDT" in (decision.reason or "") or "Invalid symbol" in (decision.reason or "")
    assert (world.booked(), world.orders()) == ([], [])
    assert world.desk.strategies.get(world.user).autopilot_enabled


def test_rules_that_change_during_a_tick_refuse_the_order_which_is_planned_anew_by_the_new_ones(
    forgetful: World,
) -> None:
    world = forgetful
    old = world.market.specs[BTC]

    def change(name: str) -> None:
        if name == "before POST /api/v3/order":
            world.market.specs[BTC] = replace(old, tick_size=D(50))

    world.services.on_boundary = change
    decision = world.tick()
    refused = world.order_on(BTC)
    assert (refused.status, refused.limit_price % 50 != 0) == (OrderStatus.REJECTED, True)
    assert "PRICE_FILTER" in (refused.reason or "")
    assert D((decision.inputs or {})["market_rules"][BTC]["tick_size"]) == old.tick_size
    assert {order.symbol for order in world.desk.orders.watched(world.user)} == {"ETHUSDT", "XRPUSDT"}

    (anew,) = world.tick(seconds=60).placed
    assert (anew["symbol"], anew["status"], D(anew["limit_price"])) == (BTC, OrderStatus.OPEN, D(39_800))
    assert world.differences() == []


# balances


@pytest.mark.parametrize("variant", KINDS[K.VANISHED_BALANCES].variants)
def test_balances_that_vanish_for_a_moment_are_not_traded_on_and_raise_an_alarm(
    balanced: World, alarms: Callable[[], list[Any]], variant: str
) -> None:
    world = balanced
    assert world.tick().outcome == "decided"
    world.injector.script(K.VANISHED_BALANCES, Where.BALANCES, variant=variant)
    decision = world.tick()
    assert world.injector.unplayed() == []
    assert decision.outcome == "skipped"
    assert "holdings vanished: " in (decision.reason or "")
    assert alarms() == [("doubtful_picture", world.user)]
    decision = world.tick()
    assert nav(decision) == 10_000
    assert orders_touched(world) == 0


def test_quote_that_vanishes_while_buys_rest_is_not_traded_on(newcomer: World, alarms: Callable[[], list[Any]]) -> None:
    """They may have spent a part of it, and not all."""
    world = newcomer
    world.open_account(world.user, {"BTC": D("0.075"), "USDT": D(7_000)})
    world.set_strategy()
    assert [placed["side"] for placed in world.tick().placed] == ["buy", "buy"]
    world.injector.script(K.VANISHED_BALANCES, Where.BALANCES, variant="shrunken")  # BTC is left
    decision = world.tick()
    assert decision.outcome == "skipped"
    assert "USDT" in (decision.reason or "")
    assert alarms() == [("doubtful_picture", world.user)]
    assert orders_touched(world) == 2
    assert world.tick().outcome == "decided"


def test_holdings_that_stay_away_are_believed_gone_in_the_end(balanced: World) -> None:
    world = balanced
    world.tick()
    world.books.transfer(world.key, "ETH", D("-1.2"))
    for _ in range(VANISHED_BELIEVED_S // 30):
        assert world.tick().outcome == "skipped"
    assert orders_touched(world) == 0
    decision = world.tick()
    assert decision.outcome == "decided"
    assert ("ETHUSDT", "buy") in {(placed["symbol"], placed["side"]) for placed in decision.placed}


def test_holdings_that_own_orders_have_sold_are_no_doubt(newcomer: World, alarms: Callable[[], list[Any]]) -> None:
    world = newcomer
    world.open_account(world.user, {"BTC": D("0.25")})
    world.set_strategy({"BTC": "0", "USDT": "100"}, order_size_pct=D(100))
    world.tick()
    world.market.set_price(BTC, D(41_000))
    assert world.books.balances(world.key)["BTC"].free == D("0.001")
    assert [world.tick().outcome, world.tick().outcome] == ["decided", "decided"]
    assert alarms() == []


def test_what_rests_in_orders_counts_as_held_and_is_not_spent_again(world: World) -> None:
    world.set_strategy({"BTC": "50", "ETH": "30", "XRP": "20"}, order_size_pct=D(45))
    assert [placed["symbol"] for placed in world.tick().placed] == [BTC, "ETHUSDT", "XRPUSDT"]
    resting = world.books.balances(world.key)["USDT"]
    assert resting.free < 10 < 9_990 < resting.locked
    canceled = world.books.cancel(world.key, BTC, client_order_id=world.order_on(BTC).client_order_id)
    decision = world.tick()
    assert nav(decision) == 10_000
    (placed,) = decision.placed
    assert (placed["symbol"], placed["status"]) == (BTC, OrderStatus.OPEN)
    assert D(placed["limit_price"]) * D(placed["base_qty"]) <= resting.free + canceled.price * canceled.qty
    assert world.differences() == []


def test_assets_that_are_unknown_or_lent_are_reported_and_neither_counted_nor_traded(newcomer: World) -> None:
    world = newcomer
    strangers = {"LDBTC": D(1), "LDUSDT": D(5_000), "MYSTERY": D(7)}
    world.open_account(world.user, {"USDT": D(10_000), **strangers})
    world.set_strategy()
    plan = preview(world.desk, world.user)
    assert plan.evaluation.nav == 10_000
    assert plan.evaluation.unmanaged.keys() == strangers.keys()
    world.tick()
    assert {order.symbol for order in world.booked()} == {BTC, "ETHUSDT", "XRPUSDT"}
    assert {asset: world.books.balances(world.key)[asset].free for asset in strangers} == strangers


@pytest.mark.parametrize(
    ("band", "hold"), [("50", HoldReason.WITHIN_BAND), ("0.01", HoldReason.BELOW_MIN_NOTIONAL)], ids=["within", "below"]
)
def test_dust_is_left_alone_tick_after_tick(newcomer: World, band: str, hold: HoldReason) -> None:
    world = newcomer
    world.open_account(world.user, {"BTC": D("0.00003"), "USDT": D(10_000)})
    world.set_strategy({"BTC": "0", "USDT": "100"}, min_delta_quote=D(band))
    for _ in range(3):
        assert rows(world.tick())["BTC"]["hold"] == hold
    assert orders_touched(world) == 0
