"""What loses by its own trading is paused, told, and traded again only by its owner's word."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from uuid import uuid4

import pytest
from botbalance.engine import BudgetLimits, BudgetRule, Tally, finding_id
from botbalance.errors import ConflictError, NotFoundError
from botbalance.models.account_state import BudgetPause, BudgetState
from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.order import OrderStatus
from botbalance.store.accounts import LEASE_S
from botbalance.trading.autopilot import switch_autopilot
from botbalance.trading.budgets import end_account
from botbalance.trading.execute import execute_once
from botbalance.trading.overview import overview
from botbalance.trading.pauses import list_pauses, resume
from botbalance.trading.plan import preview

from tests.integration.trading.harness import FIRST_PRICES, TradingHarness, new_harness
from tests.integration.trading.no_trade_harness import MinuteByMinute, NoTradeHarness
from workbench.audit.replay import replay
from workbench.simulated_exchange.market import Market

D = Decimal
LOSING = Tally(D(1), D(1), D(4_000), D(3_990), D(4), D(4), 4, 4)
"""A pair that was traded to and fro in one hour, and lost: 80 % of NAV, both ways."""


def remember_trades(harness: TradingHarness, symbol: str, tally: Tally) -> None:
    """As if the account had traded so in this hour."""
    with harness.session() as session:
        session.remember_budgets("binance", BudgetState(tallies={symbol: {harness.now // 3_600: tally}}))


def told(harness: TradingHarness, action: ActivityKind) -> list[Activity]:
    page = harness.context.activity.page(harness.user, limit=50)
    return [activity for activity in page.items if activity.action is action]


def read_budgets(harness: TradingHarness) -> BudgetState:
    return harness.context.accounts.find_state(harness.user).account_budgets("binance")


def test_what_is_placed_and_filled_is_counted_as_the_orders_have_it(harness: TradingHarness) -> None:
    harness.tick()
    harness.market.set_price("BTCUSDT", D(39_000))
    harness.tick()
    harness.tick()
    budgets = read_budgets(harness)
    tally = budgets.tallies["BTCUSDT"]
    assert sum(hour.buys for hour in tally.values()) == 1
    assert sum(hour.paid for hour in tally.values()) == harness.books.trades(harness.key)[0].quote_qty
    assert sum(hour.buy_fees for hour in tally.values()) > 0
    assert {hour.nav for hour in tally.values() if hour.buys} == {D(10_000)}
    harness.context.accounts.acquire(harness.user, harness.now)  # by a run that dies: all is counted anew
    harness.now += LEASE_S
    blank = {symbol: {hour: Tally(nav=one.nav) for hour, one in of.items()} for symbol, of in budgets.tallies.items()}
    with harness.session() as session:
        session.remember_budgets("binance", BudgetState(tallies=blank))
    assert read_budgets(harness).tallies == budgets.tallies


def test_a_losing_pair_is_paused_until_its_owner_resumes_it(harness: TradingHarness) -> None:
    harness.tick()
    remember_trades(harness, "BTCUSDT", LOSING)
    paused = harness.tick()
    assert paused.outcome == "decided"
    assert paused.inputs is not None
    assert paused.inputs["paused_symbols"] == ["BTCUSDT"]
    assert list(paused.canceled.values()) == ["paused"]
    assert replay(paused).differences == []
    assert harness.statuses()["BTCUSDT"] is OrderStatus.CANCELED
    pauses = {pause.kind: pause for pause in list_pauses(harness.context, harness.user)}
    assert set(pauses) == {"churn", "losing_round_trips"}
    assert {(pause.scope, pause.subject, pause.until) for pause in pauses.values()} == {("pair", "BTCUSDT", None)}
    assert "4 buys at 4004 and 4 sells at 3986, after fees" in pauses["churn"].evidence

    for _ in range(2):  # it stays so, and is told once
        assert [order["symbol"] for order in harness.tick().placed] == []
    assert {activity.reason for activity in told(harness, ActivityKind.TRADING_PAUSED)} == {
        pause.evidence for pause in pauses.values()
    }
    assert len(told(harness, ActivityKind.TRADING_PAUSED)) == 2

    for pause in pauses.values():
        assert resume(harness.context, harness.user, pause.pause_id) == pause
    with pytest.raises(NotFoundError):
        resume(harness.context, harness.user, pauses["churn"].pause_id)
    assert [order["symbol"] for order in harness.tick().placed] == ["BTCUSDT"]
    assert list_pauses(harness.context, harness.user) == []
    assert {activity.reason for activity in told(harness, ActivityKind.TRADING_RESUMED)} == {
        pause.evidence for pause in pauses.values()
    }


def test_a_pair_that_earned_its_turnover_is_never_paused(harness: TradingHarness) -> None:
    remember_trades(harness, "BTCUSDT", Tally(D(1), D(1), D(4_000), D(4_009), D(4), D(4), 4, 4))
    assert [order["symbol"] for order in harness.tick().placed].count("BTCUSDT") == 1
    assert list_pauses(harness.context, harness.user) == []


def test_execute_is_a_person_s_act_and_the_plan_shows_the_pause(harness: TradingHarness) -> None:
    remember_trades(harness, "BTCUSDT", LOSING)
    harness.tick()
    harness.set_strategy(autopilot=False)
    harness.now += 30
    plan = preview(harness.context, harness.user)
    assert {pause.kind for pause in plan.pauses} == {"churn", "losing_round_trips"}
    assert [action.symbol for action in plan.evaluation.actions] == ["BTCUSDT"]
    assert [order.symbol for order in execute_once(harness.context, harness.user).orders] == ["BTCUSDT"]
    assert len(overview(harness.context, harness.user).pauses) == 2


def test_an_account_over_its_limit_has_its_autopilot_off_and_its_orders_cancelled(harness: TradingHarness) -> None:
    harness.set_strategy(budgets=BudgetLimits(orders_per_pair=1))
    harness.tick()
    remember_trades(harness, "ETHUSDT", Tally(placed=4))
    decision = harness.tick()
    assert (decision.outcome, decision.reason_code) == ("skipped", "account_paused")
    assert set(harness.statuses().values()) == {OrderStatus.CANCELED}
    strategy = harness.context.strategies.get(harness.user)
    assert (strategy.autopilot_enabled, strategy.stopping) == (False, False)
    evidence = "4 orders were placed within 24 hours (limit 3: 1 a pair)"
    assert evidence in str(strategy.disabled_reason)
    [pause] = list_pauses(harness.context, harness.user)
    assert (pause.scope, pause.subject, pause.evidence) == ("account", "account", evidence)
    assert [activity.subject for activity in told(harness, ActivityKind.TRADING_PAUSED)] == [None]
    [disabled] = told(harness, ActivityKind.AUTOPILOT_DISABLED)
    assert evidence in str(disabled.reason)

    with pytest.raises(ConflictError, match=pause.pause_id) as refused:
        switch_autopilot(harness.context, harness.user, enabled=True)
    assert refused.value.code == "account_paused"
    resume(harness.context, harness.user, pause.pause_id)
    switch_autopilot(harness.context, harness.user, enabled=True)
    assert harness.tick().outcome == "decided"


def test_a_warning_is_told_once_until_it_is_over(harness: TradingHarness) -> None:
    remember_trades(harness, "ETHUSDT", Tally(bought=D(1), paid=D(2_000), buys=1))
    harness.tick()
    harness.tick()
    [warned] = told(harness, ActivityKind.BUDGET_WARNED)
    assert (warned.after, warned.subject) == ({"rule": "turnover"}, None)
    harness.tick(86_400)
    remember_trades(harness, "ETHUSDT", Tally(bought=D(1), paid=D(2_000), buys=1))
    harness.tick()
    assert len(told(harness, ActivityKind.BUDGET_WARNED)) == 2


def test_orders_that_do_not_fill_pause_their_pair_for_an_hour(harness: TradingHarness) -> None:
    harness.tick()
    remember_trades(harness, "ETHUSDT", Tally(placed=41))
    harness.tick()
    [pause] = list_pauses(harness.context, harness.user)
    assert (pause.kind, pause.scope, pause.until) == ("unfilled_orders", "pair", harness.now + 3_600)
    decision = harness.tick(3_600)
    assert list_pauses(harness.context, harness.user) == []
    assert [activity.actor for activity in told(harness, ActivityKind.TRADING_RESUMED)] == ["system"]
    assert "ETHUSDT" in {order["symbol"] for order in decision.placed}


def test_more_ends_of_pauses_than_one_write_takes_are_told_by_the_next_runs(
    harness: TradingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botbalance.trading.budgets.MOST_TOLD_AT_ONCE", 2)
    pauses = {
        finding_id(BudgetRule.UNFILLED_ORDERS, symbol): BudgetPause(
            rule=BudgetRule.UNFILLED_ORDERS, symbol=symbol, since=harness.now - 3_600, until=harness.now, evidence="-"
        )
        for symbol in FIRST_PRICES
    }
    with harness.session() as session:
        session.remember_budgets("binance", BudgetState(pauses=pauses))
    for told_by_then in (2, 3, 3):
        harness.tick()
        assert len(told(harness, ActivityKind.TRADING_RESUMED)) == told_by_then
        assert len(read_budgets(harness).pauses) == 3 - told_by_then
    assert read_budgets(harness).resumed.keys() == pauses.keys()


def test_more_pauses_of_an_account_that_is_over_than_one_write_takes_are_told_by_the_next_runs(
    harness: TradingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botbalance.trading.budgets.MOST_TOLD_AT_ONCE", 2)
    pauses = {
        finding_id(BudgetRule.FALL, symbol): BudgetPause(
            rule=BudgetRule.FALL, symbol=symbol, since=harness.now, evidence="-"
        )
        for symbol in FIRST_PRICES
    }
    with harness.session() as session:
        session.remember_budgets("old", BudgetState(tallies={"BTCUSDT": {harness.now // 3_600: LOSING}}, pauses=pauses))
        end_account(session, "old")
    assert len(told(harness, ActivityKind.TRADING_RESUMED)) == 2
    [left] = harness.context.accounts.find_state(harness.user).budgets.values()
    assert (len(left.pauses), left.tallies) == (1, {})
    harness.tick()
    assert len(told(harness, ActivityKind.TRADING_RESUMED)) == 3
    assert harness.context.accounts.find_state(harness.user).account_budgets("old").pauses == {}


@pytest.fixture
def falling(environment: Mapping[str, str]) -> Iterator[NoTradeHarness]:
    """On its targets, on an exchange whose candles pass with the minutes."""
    minutes = MinuteByMinute()
    market = Market.with_default_filters(FIRST_PRICES, minutes)
    user = f"user-{uuid4().hex[:12]}"
    with new_harness(environment, user, market=market, PRICING_USE_CACHE="false") as harness:
        harness.open_account(user, {"BTC": D("0.075"), "ETH": D("1.2"), "XRP": D(4000), "USDT": D(2000)})
        harness.set_strategy()
        yield NoTradeHarness(harness, minutes)


def test_what_has_collapsed_is_bought_no_more_until_its_owner_says_so(falling: NoTradeHarness) -> None:
    harness = falling.harness
    falling.tick(BTC="39000")
    assert harness.order_on("BTCUSDT").side == "buy"
    falling.move(BTC="19000")  # fills it; the price is believed at the second look
    assert falling.tick().reason_code == "doubtful_picture"
    for _ in range(2):
        decision = falling.tick()
        assert decision.inputs is not None
        assert decision.inputs["buy_paused_symbols"] == ["BTCUSDT"]
        assert not [order for order in decision.placed if order["symbol"] == "BTCUSDT"]
        assert replay(decision).differences == []
    [pause] = list_pauses(harness.context, harness.user)
    assert (pause.kind, pause.scope, pause.subject) == ("fall", "buys", "BTCUSDT")
    assert pause.evidence.startswith("BTCUSDT at 19000 is 52.5 % below its high of 7 days, 40000;")
    assert len(told(harness, ActivityKind.TRADING_PAUSED)) == 1
    klines = [request for request in harness.requests_to("/klines") if "interval=1h" in request.query]
    assert len(klines) <= 3  # an hour's highs are asked for once a pair

    resume(harness.context, harness.user, pause.pause_id)
    placed = {order["symbol"]: order["side"] for order in falling.tick().placed}
    assert placed["BTCUSDT"] == "buy"
    falling.tick(3_600)
    assert list_pauses(harness.context, harness.user) == []  # it has not fallen by half since
