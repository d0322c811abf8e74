"""Paper accounts in the whole stack: the same ticks, plans and performance, on books of our own."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from uuid import uuid4

import pytest
from botbalance.api.tax_exports import export_csv
from botbalance.engine import Balance, BudgetLimits
from botbalance.errors import ConflictError, InvalidRequestError, NotFoundError
from botbalance.models.activity import ActivityKind
from botbalance.models.exchange_key import ExchangeKey
from botbalance.models.order import Order
from botbalance.store.accounts import LEASE_S
from botbalance.trading.autopilot import emergency_stop, switch_autopilot
from botbalance.trading.credentials import store_key
from botbalance.trading.execute import execute_once
from botbalance.trading.orders import cancel_by_hand, list_fills, list_orders
from botbalance.trading.overview import overview
from botbalance.trading.paper import find_paper, open_paper, transfer_on_paper
from botbalance.trading.pauses import list_pauses, resume
from botbalance.trading.performance import performance
from botbalance.trading.plan import preview
from botbalance.trading.preflight import CheckStatus, check_account
from botbalance.trading.strategy import save_strategy

from tests.integration.trading.harness import FIRST_PRICES, TEN_THOUSAND_USDT, TradingHarness, new_harness
from tests.integration.trading.no_trade_harness import MinuteByMinute, NoTradeHarness
from tests.integration.trading.test_exchanges_as_they_are import delist
from workbench.simulated_exchange.market import Market

D = Decimal
PAPER = "binance-paper"


@pytest.fixture
def minutes(environment: Mapping[str, str]) -> Iterator[NoTradeHarness]:
    """A user without account and strategy, on a market whose minutes pass."""
    source = MinuteByMinute()
    market = Market.with_default_filters(FIRST_PRICES, source)
    variables = {"PRICING_USE_CACHE": "false", "PORTFOLIO_MAX_AGE": "3600"}
    with new_harness(environment, f"user-{uuid4().hex[:12]}", market=market, **variables) as harness:
        yield NoTradeHarness(harness, source)


@pytest.fixture
def harness(minutes: NoTradeHarness) -> TradingHarness:
    """The user has 10,000 USDT on paper, and the autopilot is on."""
    harness = minutes.harness
    open_paper(harness.context, harness.user, PAPER, TEN_THOUSAND_USDT)
    harness.set_strategy(exchange=PAPER)
    return harness


def fall(minutes: NoTradeHarness, pct: int) -> None:
    """Let every price fall by so many percent for a moment, and come back."""
    for symbol, price in FIRST_PRICES.items():
        asset = symbol.removesuffix("USDT")
        minutes.move(**{asset: str(price * (100 - pct) / 100)})
        minutes.move(**{asset: str(price)})


def bought(minutes: NoTradeHarness) -> list[Order]:
    """Tick until the first orders rest, let them fill, and tick until that is booked."""
    assert len(minutes.tick().placed) == 3
    minutes.go_on(60)
    fall(minutes, 1)
    minutes.tick(60)
    return [order for order in minutes.harness.orders() if order.fills]


def test_a_paper_account_is_ticked_without_a_key_or_a_signed_request(
    minutes: NoTradeHarness, harness: TradingHarness
) -> None:
    filled = bought(minutes)
    assert {(order.symbol, order.status, order.exchange) for order in filled} == {
        (symbol, "FILLED", PAPER) for symbol in FIRST_PRICES
    }
    assert [request for request in harness.requests if request.api_key] == []
    account = find_paper(harness.context, harness.user, PAPER).account
    spent = sum((order.fills[0].price * order.fills[0].base_qty for order in filled), D(0))
    held = {asset: balance.free + balance.locked for asset, balance in account.balances.items()}
    assert held["USDT"] == D(10_000) - spent
    for order in filled:
        assert held[order.base] == order.base_qty - order.fills[0].fee


def test_what_rests_stays_quiet_until_a_minute_trades_through_it(
    minutes: NoTradeHarness, harness: TradingHarness
) -> None:
    while not minutes.is_quiet():
        pass
    for _ in range(4):
        assert minutes.is_quiet()
    fall(minutes, 1)
    assert minutes.tick().outcome == "decided"
    for _ in range(2):
        minutes.is_quiet()
    assert any(order.fills for order in harness.orders())


def test_execute_orders_cancels_and_a_stop_work_by_hand(minutes: NoTradeHarness, harness: TradingHarness) -> None:
    context, user = harness.context, harness.user
    switch_autopilot(context, user, enabled=False)
    orders = execute_once(context, user).orders
    assert [order.status for order in orders] == ["OPEN"] * 3
    minutes.go_on(60)
    fall(minutes, 1)
    minutes.go_on(60)
    page = list_orders(context, user, limit=10, cursor=None)
    assert [order.status for order in page.items] == ["FILLED"] * 3
    execute_once(context, user)
    assert {order.status for order in cancel_by_hand(context, user)} == {"CANCELED"}
    assert emergency_stop(context, user).not_canceled() == {}
    balances = find_paper(context, user, PAPER).account.balances
    assert all(not balance.locked for balance in balances.values())


def test_without_an_account_the_way_to_one_is_named(minutes: NoTradeHarness) -> None:
    harness = minutes.harness
    harness.set_strategy(exchange=PAPER, autopilot=False)
    with pytest.raises(NotFoundError, match="PUT exchange/paper/ first"):
        preview(harness.context, harness.user)
    assert not overview(harness.context, harness.user).has_key
    with pytest.raises(InvalidRequestError, match="needs no key"):
        store_key(harness.context, harness.user, PAPER, ExchangeKey("x" * 8, "y" * 8))
    with pytest.raises(InvalidRequestError, match="binance-paper"):
        open_paper(harness.context, harness.user, "binance", TEN_THOUSAND_USDT)
    with pytest.raises(InvalidRequestError, match="balances"):
        open_paper(harness.context, harness.user, PAPER, {"USDT": D(-1)})


def test_the_check_says_that_paper_is_optimistic_and_asks_for_no_key(harness: TradingHarness) -> None:
    items = {item.name: item for item in check_account(harness.context, harness.user)}
    assert "Paper is optimistic" in items["account"].found
    assert not any(name.startswith("key_") for name in items)
    assert "egress_address" not in items
    assert items["fees"].found == "a resting order in BTCUSDT pays 0.1 %, one that trades at once 0.1 %"
    assert {item.verdict for item in items.values()} <= {CheckStatus.PASS, CheckStatus.WARN}


def test_deposits_and_withdrawals_are_no_profit(minutes: NoTradeHarness, harness: TradingHarness) -> None:
    context, user = harness.context, harness.user
    bought(minutes)
    before = performance(context, user)
    assert before.bonus_quote == before.plan.evaluation.nav - before.hold_quote
    transfer_on_paper(context, user, PAPER, "USDT", D(500))
    state = transfer_on_paper(context, user, PAPER, "XRP", D("-1"))
    assert state.account.transfers == {"USDT": D(500), "XRP": D(-1)}
    after = performance(context, user)
    assert after.bonus_quote == before.bonus_quote
    assert after.plan.evaluation.nav == before.plan.evaluation.nav + 500 - FIRST_PRICES["XRPUSDT"]
    with pytest.raises(InvalidRequestError, match="USDT"):
        transfer_on_paper(context, user, PAPER, "USDT", D(-1_000_000))
    assert minutes.tick().outcome == "decided"  # and no alarm for what came and went


def test_an_order_on_a_market_that_goes_holds_up_no_paper_account(
    minutes: NoTradeHarness, harness: TradingHarness
) -> None:
    context, user = harness.context, harness.user
    assert len(minutes.tick().placed) == 3
    delist(harness, "XRPUSDT")
    minutes.go_on(60)
    fall(minutes, 1)
    harness.now += 7_200
    assert minutes.tick(60).outcome == "decided"
    assert {order.symbol for order in harness.orders() if order.fills} == {"BTCUSDT", "ETHUSDT"}
    state = transfer_on_paper(context, user, PAPER, "USDT", D(500))
    assert {gap.symbol for gap in state.account.gaps} == {"XRPUSDT"}
    cancel_by_hand(context, user)
    assert [order for order in harness.orders() if order.is_active] == []
    assert open_paper(context, user, PAPER, TEN_THOUSAND_USDT).account.epoch == 2


def test_trap_8_doubts_after_a_reset_nothing_has_vanished(minutes: NoTradeHarness, harness: TradingHarness) -> None:
    bought(minutes)
    state = open_paper(harness.context, harness.user, PAPER, {"USDT": D(300)})
    assert (state.account.epoch, state.account.balances) == (2, {"USDT": Balance(D(300))})
    decision = minutes.tick()
    assert (decision.outcome, decision.reason) == ("decided", None)


def test_after_a_reset_old_results_stay_and_do_not_count(minutes: NoTradeHarness, harness: TradingHarness) -> None:
    context, user = harness.context, harness.user
    filled = bought(minutes)
    assert overview(context, user).seen is not None
    balances = find_paper(context, user, PAPER).account.balances
    state = open_paper(context, user, PAPER, TEN_THOUSAND_USDT)
    (ended,) = state.earlier
    assert (ended.epoch, ended.start_balances) == (1, TEN_THOUSAND_USDT)
    assert ended.balances == {asset: balance.free + balance.locked for asset, balance in balances.items()}
    assert {order.client_order_id for order in filled} <= {order.client_order_id for order in harness.orders()}
    assert not [order for order in harness.orders() if order.is_active]
    anew = performance(context, user)
    assert not anew.newest
    assert anew.bonus_quote == 0
    minutes.tick()
    seen = overview(context, user).seen
    assert seen is not None
    assert seen.bonus_quote == 0


def pause_by_budget(minutes: NoTradeHarness, harness: TradingHarness) -> None:
    """Let the paper account place more orders than its budget has."""
    harness.set_strategy(exchange=PAPER, budgets=BudgetLimits(orders_per_pair=1))
    for _ in range(2):
        assert len(minutes.tick().placed) == 3
        cancel_by_hand(harness.context, harness.user)
    assert minutes.tick().reason_code == "account_paused"
    assert [pause.kind for pause in list_pauses(harness.context, harness.user)] == ["orders_placed"]


def test_after_a_reset_no_budget_counts_what_was_before(minutes: NoTradeHarness, harness: TradingHarness) -> None:
    context, user = harness.context, harness.user
    pause_by_budget(minutes, harness)
    open_paper(context, user, PAPER, TEN_THOUSAND_USDT)
    assert list_pauses(context, user) == []
    told = {activity.action: activity.reason for activity in context.activity.page(user, limit=50).items}
    assert told[ActivityKind.TRADING_RESUMED] == "the account starts anew"
    harness.now += 60
    assert switch_autopilot(context, user, enabled=True).autopilot_enabled
    assert len(minutes.tick().placed) == 3
    with harness.session() as session:
        session.remember(fill_totals=None)  # all is counted anew
    assert minutes.tick().outcome == "decided"


def test_after_a_withdrawal_what_was_traded_is_measured_by_what_there_was(
    minutes: NoTradeHarness, harness: TradingHarness
) -> None:
    context, user = harness.context, harness.user
    bought(minutes)
    minutes.tick()  # 6 % of the NAV were traded; over 15 % are told
    transfer_on_paper(context, user, PAPER, "USDT", D(-8_000))
    with harness.session() as session:
        session.remember(fill_totals=None)  # and counting anew keeps it so
    assert minutes.tick().outcome == "decided"
    actions = {activity.action for activity in context.activity.page(user, limit=50).items}
    assert ActivityKind.ORDER_FILLED in actions
    assert ActivityKind.BUDGET_WARNED not in actions


def test_what_is_paused_on_paper_is_not_paused_live(minutes: NoTradeHarness, harness: TradingHarness) -> None:
    context, user = harness.context, harness.user
    pause_by_budget(minutes, harness)
    harness.open_account(user, {"USDT": D(5_000)})
    harness.set_strategy(exchange="binance", budgets=BudgetLimits(orders_per_pair=1))
    assert list_pauses(context, user) == []
    assert overview(context, user).pauses == []
    assert len(minutes.tick().placed) == 3
    cancel_by_hand(context, user)
    minutes.tick()
    assert minutes.tick().reason_code == "account_paused"  # by its own six
    harness.set_strategy(exchange=PAPER)
    [on_paper] = list_pauses(context, user)
    resume(context, user, on_paper.pause_id)
    harness.set_strategy(exchange="binance")
    [live] = list_pauses(context, user)
    assert live.kind == on_paper.kind


def test_trap_7_mixing_live_and_paper_have_a_performance_each_and_only_live_is_exported(
    minutes: NoTradeHarness, harness: TradingHarness
) -> None:
    context, user = harness.context, harness.user
    filled = bought(minutes)
    with pytest.raises(ConflictError, match="never happened"):
        list_fills(context, user, year=None, cursor=None)
    cancel_by_hand(context, user)
    harness.open_account(user, {"USDT": D(5_000)})
    going_live = harness.context.strategies.get(user)
    parameters = going_live.model_dump(exclude={"version", "autopilot_enabled", "stopping", "disabled_reason"})
    save_strategy(context, user, parameters | {"exchange": "binance"}, going_live)
    live = performance(context, user)
    assert not live.newest
    assert live.bonus_quote == 0
    assert live.plan.evaluation.nav == 5_000
    seen = overview(context, user)
    assert (seen.has_key, seen.seen) == (True, None)  # what was seen on paper is not shown as live
    decision = minutes.tick()
    assert (decision.outcome, len(decision.placed)) == ("decided", 3)  # nor is it compared with
    fall(minutes, 1)
    minutes.tick(60)
    live = performance(context, user)
    assert {one.order.exchange for one in live.newest} == {"binance"}
    exported = export_csv("koinly", list_fills(context, user, year=None, cursor=None).items, None, header=True)
    assert len(exported.splitlines()) == 1 + len(live.newest)
    assert not any(order.client_order_id in exported for order in filled)


def test_going_live_with_the_autopilot_on_has_to_pass_the_check(
    minutes: NoTradeHarness, harness: TradingHarness
) -> None:
    context, user = harness.context, harness.user
    harness.books.open_account(f"key-of-{user}", f"secret-of-{user}", TEN_THOUSAND_USDT, can_withdraw=True)
    harness.services.credentials.save(user, "binance", ExchangeKey(f"key-of-{user}", f"secret-of-{user}"), harness.now)
    stored = context.strategies.get(user)
    parameters = stored.model_dump(exclude={"version", "autopilot_enabled", "stopping", "disabled_reason"})
    with pytest.raises(ConflictError, match="key_withdraws"):
        save_strategy(context, user, parameters | {"exchange": "binance"}, stored)
    minutes.tick()
    assert [order.exchange for order in harness.orders() if order.is_active] == [PAPER] * 3
    with pytest.raises(ConflictError, match="orders rest on binance-paper"):
        save_strategy(context, user, parameters | {"exchange": "binance"}, context.strategies.get(user))


def test_trap_9_paper_over_the_simulator_fills_as_its_real_books_do(
    minutes: NoTradeHarness, harness: TradingHarness
) -> None:
    live = f"{harness.user}-live"
    harness.open_account(live, TEN_THOUSAND_USDT)
    harness.set_strategy(user=live)
    minutes.go_on(30)
    assert harness.now % 60 == 0  # the exchange fills at once, paper when the minute is over: ticks are there
    for step in range(12):
        assert harness.work(harness.message(harness.user, live)) == []
        if step % 3 != 2:
            fall(minutes, 1)
        minutes.go_on(60)
    assert harness.work(harness.message(harness.user, live)) == []
    on_paper, on_exchange = (
        sorted(
            (o.placed_at, o.symbol, o.side, o.limit_price, o.status, o.filled_qty, f.fee, f.fee_asset)
            for o in harness.orders(user)
            for f in o.fills
        )
        for user in (harness.user, live)
    )
    assert len(on_paper) >= 6
    assert on_paper == on_exchange
    held = find_paper(harness.context, harness.user, PAPER).account.balances
    assert {asset: balance for asset, balance in held.items() if balance != Balance()} == {
        asset: balance for asset, balance in harness.books.balances(f"key-of-{live}").items() if balance != Balance()
    }


def test_a_run_that_died_after_the_books_were_written_places_nothing_twice(
    minutes: NoTradeHarness, harness: TradingHarness
) -> None:
    """Between the paper books and the orders table: the intent is there, and is found."""
    struck: list[str] = []

    def die(name: str) -> None:
        if name == "after dynamodb.TransactWriteItems" and not struck:
            open_now = harness.context.paper.get(harness.user, PAPER).orders
            if open_now:
                struck.append(name)
                raise KeyboardInterrupt

    harness.services.on_boundary = die
    with pytest.raises(KeyboardInterrupt):
        minutes.tick()
    harness.services = harness.another_process()
    harness.now += LEASE_S
    minutes.tick()
    minutes.tick()
    orders = [order for order in harness.orders() if order.is_active]
    on_paper = harness.context.paper.get(harness.user, PAPER).orders
    assert sorted(order.client_order_id for order in orders) == sorted(order.client_order_id for order in on_paper)
    assert sorted(order.symbol for order in on_paper) == sorted(FIRST_PRICES)
