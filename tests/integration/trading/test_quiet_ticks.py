"""Ticks for whom nothing can have happened: nobody is asked, nothing is missed."""

import random
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from botbalance.engine import RestingOrder, evaluate, review_resting_orders
from botbalance.exchange.adapter import OrderRequest, SubmitResult
from botbalance.trading.no_trade_ticks import users_inside_region, valid_notes
from botbalance.trading.orders import cancel_by_hand
from botbalance.trading.plan import expected_convergence, preview
from botbalance.trading.tick import strategy_tick

from tests.integration.trading.harness import FIRST_PRICES, new_harness
from tests.integration.trading.no_trade_harness import MinuteByMinute, NoTradeHarness
from workbench.candles.recording import read_recording
from workbench.faults.kinds import FaultKind, Where
from workbench.simulated_exchange.binance_api import Request
from workbench.simulated_exchange.market import Market

D = Decimal
RECORDED = Path(__file__).parents[4] / "shared/data/candles"
ON_TARGET = {"BTC": D("0.075"), "ETH": D("1.2"), "XRP": D(4000), "USDT": D(2000)}
"""Of 10,000 at the first prices."""


@pytest.fixture
def settings() -> dict[str, str]:
    return {}


@pytest.fixture
def no_trade_harness(environment: Mapping[str, str], settings: dict[str, str]) -> Iterator[NoTradeHarness]:
    minutes = MinuteByMinute()
    market = Market.with_default_filters(FIRST_PRICES, minutes)
    variables = {"PRICING_USE_CACHE": "false", "PORTFOLIO_MAX_AGE": "3600"} | settings
    with new_harness(environment, f"user-{uuid4().hex[:12]}", market=market, **variables) as harness:
        harness.open_account(harness.user, ON_TARGET)
        harness.set_strategy()
        yield NoTradeHarness(harness, minutes)


@pytest.fixture
def resting(no_trade_harness: NoTradeHarness) -> NoTradeHarness:
    """With a buy of BTC that rests at 38844 for the third tick."""
    assert len(no_trade_harness.tick(BTC="39000").placed) == 1
    assert no_trade_harness.is_quiet()
    (order,) = no_trade_harness.harness.orders()
    assert (order.symbol, order.limit_price) == ("BTCUSDT", D(38844))
    return no_trade_harness


def test_after_a_look_that_changed_nothing_ticks_ask_nobody_about_the_account(no_trade_harness: NoTradeHarness) -> None:
    assert no_trade_harness.tick().outcome == "decided"
    asked, leases = len(no_trade_harness.harness.signed()), no_trade_harness.fencing_token()
    no_trade_harness.tick()  # the lease that this test took has ended what made it quiet
    asked = len(no_trade_harness.harness.signed())
    for _ in range(5):
        assert no_trade_harness.is_quiet()
    assert len(no_trade_harness.harness.signed()) == asked
    assert no_trade_harness.fencing_token() == leases + 2  # that one look, and this question


def test_a_resting_order_stays_quiet_as_long_as_no_trade_reaches_it(resting: NoTradeHarness) -> None:
    assert resting.is_quiet(BTC="38844.01")
    assert resting.is_quiet(BTC="39500")
    asked = len(resting.harness.signed())
    resting.move(BTC="38843.99")  # it fills ...
    resting.move(BTC="39500")  # ... and the price of the next tick does not show it
    decision = resting.tick()
    assert decision.outcome == "decided"
    assert len(resting.harness.signed()) > asked
    *_, bought = resting.harness.orders()
    assert (bought.limit_price, bought.status) == (D(38844), "FILLED")
    assert resting.harness.differences() == []


def test_a_trade_at_the_limit_itself_is_looked_at(resting: NoTradeHarness) -> None:
    assert resting.tick(BTC="38844").outcome == "decided"


def test_an_order_is_looked_at_when_it_is_old_enough_for_its_review(resting: NoTradeHarness) -> None:
    (order,) = resting.harness.orders()
    while resting.harness.now + 30 < order.placed_at + 900:
        assert resting.is_quiet()
    assert resting.tick().outcome == "decided"


@pytest.mark.parametrize("price", ["38000", "42000"])
def test_a_price_that_takes_an_asset_out_of_its_band_is_traded_in_the_same_tick(
    no_trade_harness: NoTradeHarness, price: str
) -> None:
    no_trade_harness.tick()
    assert no_trade_harness.is_quiet()
    assert no_trade_harness.tick(BTC=price).placed


def test_the_account_is_looked_at_within_the_hour_and_users_at_different_times(
    no_trade_harness: NoTradeHarness,
) -> None:
    no_trade_harness.tick()
    looked_at, ages = no_trade_harness.harness.now, []
    for _ in range(2):
        while no_trade_harness.is_quiet():
            pass
        ages.append(no_trade_harness.harness.now - looked_at)
        looked_at = no_trade_harness.harness.now
    assert len(set(ages)) == 1
    assert 1800 <= ages[0] <= 3630


def test_a_change_of_the_strategy_is_looked_at(no_trade_harness: NoTradeHarness) -> None:
    no_trade_harness.tick()
    no_trade_harness.harness.set_strategy(min_delta_quote=D(49))
    assert no_trade_harness.tick().outcome == "decided"
    assert no_trade_harness.is_quiet()


def test_whatever_else_works_on_the_account_ends_what_was_quiet(resting: NoTradeHarness) -> None:
    assert resting.is_quiet()
    cancel_by_hand(resting.harness.context, resting.harness.user)
    assert resting.tick().placed


def test_a_price_that_jumped_is_looked_at_and_held_for_a_tick(no_trade_harness: NoTradeHarness) -> None:
    no_trade_harness.harness.set_strategy({"BTC": "30", "ETH": "30", "XRP": "0", "USDT": "40"}, min_delta_quote=D(9000))
    no_trade_harness.tick()
    assert no_trade_harness.is_quiet()
    decision = no_trade_harness.tick(XRP="0.9")
    assert decision.outcome == "skipped"
    assert "jumped by more than 10 %" in str(decision.reason)


def test_beside_somebody_elses_order_nothing_is_quiet(no_trade_harness: NoTradeHarness) -> None:
    account = no_trade_harness.harness.context.clients.get(no_trade_harness.harness.user, "binance")
    no_trade_harness.harness.context.portfolio.load_markets(account, ["ETHUSDT"])
    placed: SubmitResult = account.place_order(
        OrderRequest("ETHUSDT", "buy", D(2000), D("0.1"), "somebody-else", post_only=True)
    )
    assert placed
    assert [no_trade_harness.tick().outcome for _ in range(3)] == ["decided"] * 3


def test_somebody_elses_order_on_a_pair_that_is_not_managed_disturbs_nobody(no_trade_harness: NoTradeHarness) -> None:
    harness = no_trade_harness.harness
    harness.set_strategy({"BTC": "60", "USDT": "40"})
    account = harness.context.clients.get(harness.user, "binance")
    harness.context.portfolio.load_markets(account, ["ETHUSDT"])
    account.place_order(OrderRequest("ETHUSDT", "buy", D(2000), D("0.1"), "somebody-else", post_only=True))
    assert no_trade_harness.tick().outcome == "decided"
    assert no_trade_harness.is_quiet()


def test_where_ranges_cannot_be_had_accounts_with_orders_are_looked_at(resting: NoTradeHarness) -> None:
    resting.harness.exchange.books.market.halt("XRPUSDT")  # others go on
    assert resting.is_quiet()
    resting._minutes.now = 0
    resting.harness.now += 86_400  # no candle of today: it has not traded
    asked = len(resting.harness.signed())
    assert resting.harness.work(resting.harness.message(resting.harness.user)) == []
    assert len(resting.harness.signed()) > asked


def test_after_an_order_that_does_not_rest_as_it_was_placed_the_next_tick_looks(
    no_trade_harness: NoTradeHarness,
) -> None:
    no_trade_harness.harness.injector.script(FaultKind.PRICE_BAND, Where.PLACE_ORDER)
    (refused,) = no_trade_harness.tick(BTC="39000").placed
    assert refused["status"] == "REJECTED"
    assert not no_trade_harness.is_quiet()


def test_after_a_cancel_the_next_tick_looks(resting: NoTradeHarness) -> None:
    (order,) = resting.harness.orders()
    assert order.client_order_id in resting.tick(900, BTC="39400").canceled
    assert not resting.is_quiet(BTC="39000")  # where the order would have kept its place
    assert sorted(one.status for one in resting.harness.orders()) == ["CANCELED", "OPEN"]


def test_after_an_order_that_could_not_be_brought_up_to_date_the_next_tick_looks(
    no_trade_harness: NoTradeHarness,
) -> None:
    injector = no_trade_harness.harness.injector
    injector.script(FaultKind.RESET_AFTER, Where.PLACE_ORDER)
    injector.script(FaultKind.NOT_YET_SHOWN, Where.FIND_ORDER, times=3)
    (unknown,) = no_trade_harness.tick(BTC="39000").placed
    assert unknown["status"] == "PENDING"
    injector.script(FaultKind.THROTTLED, Where.TRANSACTION, attempts=10)
    assert no_trade_harness.tick().outcome == "decided"
    (order,) = no_trade_harness.harness.orders()
    assert order.status == "PENDING"
    assert not no_trade_harness.is_quiet()
    (order,) = no_trade_harness.harness.orders()
    assert order.status == "OPEN"


def test_what_trades_during_a_look_in_the_minute_before_its_end_is_looked_at(resting: NoTradeHarness) -> None:
    harness = resting.harness
    resting.fencing_token()  # a lease, which ends what is quiet
    resting.go_on(60)
    message = harness.message(harness.user)
    harness.now += 25

    def trade_and_let_a_minute_begin(request: Request) -> None:
        if request.path.endswith("/openOrders"):
            harness.on_request = lambda _: None
            resting.move(BTC="38843.99")
            resting.move(BTC="39500")
            resting.go_on(30)

    harness.on_request = trade_and_let_a_minute_begin
    assert harness.work(message) == []
    assert [order.status for order in harness.orders()] == ["OPEN"]
    harness.now = harness.now // 30 * 30
    assert not resting.is_quiet()
    assert harness.orders()[-1].status == "FILLED"


def test_a_halt_reaches_everybody(resting: NoTradeHarness) -> None:
    assert resting.is_quiet()
    table = resting.harness.environment["OPERATOR_TABLE"]
    key = {"setting": {"S": "trading_halt"}}
    dynamodb = resting.harness.services.dynamodb
    dynamodb.put_item(TableName=table, Item={**key, "reason": {"S": "a drill"}})
    try:
        decision = resting.tick()
    finally:
        dynamodb.delete_item(TableName=table, Key=key)
    assert "a drill" in str(decision.reason)
    assert decision.canceled


@pytest.mark.parametrize("settings", [{"PORTFOLIO_MAX_AGE": "0"}])
def test_where_no_look_may_age_every_tick_looks(no_trade_harness: NoTradeHarness) -> None:
    assert [no_trade_harness.tick().outcome for _ in range(3)] == ["decided"] * 3


@pytest.mark.parametrize("settings", [{"DECISION_LOG": "changes"}])
def test_a_log_of_changes_has_only_what_was_placed_cancelled_or_skipped(no_trade_harness: NoTradeHarness) -> None:
    for prices in ({}, {}, {"BTC": "39000"}, {}, {}, {"BTC": "60000"}):
        no_trade_harness.go_on(30, **prices)
        no_trade_harness.harness.work(no_trade_harness.harness.message(no_trade_harness.harness.user))
    logged = no_trade_harness.harness.context.decisions.page(no_trade_harness.harness.user, limit=50).items
    assert [(decision.outcome, len(decision.placed)) for decision in logged] == [("skipped", 0), ("decided", 1)]


def test_the_decision_after_quiet_ticks_tells_of_them(no_trade_harness: NoTradeHarness) -> None:
    """Ten looks are ten items, whatever lies between them; and each run of quiet ticks has its beginning and number."""
    first = no_trade_harness.tick()
    assert (first.quiet_since, first.quiet_ticks) == (None, 0)
    assert [no_trade_harness.is_quiet() for _ in range(4)] == [True] * 4
    traded = no_trade_harness.tick(BTC="39000")
    assert (traded.quiet_since, traded.quiet_ticks) == (first.decided_at, 4)
    at_once = no_trade_harness.tick(BTC="38844")
    assert (at_once.quiet_since, at_once.quiet_ticks) == (traded.decided_at, 0)
    page = no_trade_harness.harness.context.decisions.page(no_trade_harness.harness.user, limit=50)
    assert page.items == [at_once, traded, first]


def test_ticks_after_somebody_else_has_worked_on_the_account_are_not_told_as_quiet(resting: NoTradeHarness) -> None:
    assert resting.is_quiet()
    cancel_by_hand(resting.harness.context, resting.harness.user)
    assert resting.tick().quiet_since is None


def moves(seed: int) -> Iterator[dict[str, list[str]]]:
    """Per tick, where each price goes on its way: wicks now and then."""
    source = random.Random(seed)
    now = {symbol.removesuffix("USDT"): float(price) for symbol, price in FIRST_PRICES.items()}
    while True:
        paths = {}
        for asset, price in now.items():
            now[asset] = price * (1 + source.gauss(0, 0.0012))
            path = [now[asset]]
            if source.random() < 0.1:
                path.insert(0, price * (1 + source.choice((-1, 1)) * 0.006))
            paths[asset] = [f"{step:.4f}" for step in path]
        yield paths


def recorded_moves() -> Iterator[dict[str, list[str]]]:
    """Recorded hours, each in two ticks: to the low and half-way, to the high and the close; BTC, ETH and XRP."""
    recordings = {asset: read_recording(RECORDED, f"{asset}USDT") for asset in ("BTC", "ETH", "XRP")}
    begin = max(recording.times_ms[0] for recording in recordings.values())
    columns = {
        asset: [
            [recording.price(int(column[at])) for column in (recording.low, recording.high, recording.close)]
            for at in range(int((recording.times_ms < begin).sum()), len(recording.times_ms))
        ]
        for asset, recording in recordings.items()
    }
    scale = {asset: FIRST_PRICES[f"{asset}USDT"] / candles[0][2] for asset, candles in columns.items()}
    for hour in range(1, 400):
        candles = {asset: [price * scale[asset] for price in rows[hour]] for asset, rows in columns.items()}
        yield {asset: [f"{low:.4f}", f"{(low + close) / 2:.4f}"] for asset, (low, _, close) in candles.items()}
        yield {asset: [f"{high:.4f}", f"{close:.4f}"] for asset, (_, high, close) in candles.items()}


def whole_tick_would(no_trade_harness: NoTradeHarness) -> list[object]:
    """What a whole tick would do now, on the exchange's own facts."""
    harness = no_trade_harness.harness
    strategy = harness.context.strategies.get(harness.user)
    account = harness.context.clients.get(harness.user, "binance")
    snapshot = harness.context.portfolio.snapshot(account, strategy.symbols(), fresh=False)
    evaluation = evaluate(
        snapshot.balances,
        strategy.target_allocations,
        snapshot.prices,
        strategy.config(),
        market_rules=snapshot.rules,
        active_symbols=snapshot.active_symbols(),
    )
    ours = [order for order in harness.orders() if order.is_active]
    resting = [RestingOrder(o.client_order_id, o.symbol, o.side, o.limit_price, o.placed_at) for o in ours]
    cancels = review_resting_orders(resting, evaluation, strategy.config(), harness.now)
    gone = {order.client_order_id for order in ours} ^ {order.client_order_id for order in snapshot.open_orders}
    return [*evaluation.actions, *cancels, *gone]


@pytest.mark.parametrize("source", [1, "recorded"])
def test_a_quiet_tick_misses_nothing_that_the_whole_tick_would_have_done(
    no_trade_harness: NoTradeHarness, source: int | str
) -> None:
    if source == "recorded" and not RECORDED.is_dir():
        pytest.skip("no recorded candles beside the checkout")
    harness = no_trade_harness.harness
    harness.set_strategy(min_delta_quote=D(25), order_max_age_s=120)
    path = recorded_moves() if source == "recorded" else moves(int(source))
    quiet_ticks = whole_ticks = 0
    for _ in range(60):
        no_trade_harness.go_on(30)
        for asset, prices in next(path).items():
            for price in prices:
                no_trade_harness.move(**{asset: price})
        runs = harness.context.accounts.last_runs([harness.user])
        notes = valid_notes(harness.context, harness.versions(harness.user), runs)
        if users_inside_region(harness.context, "binance", notes):
            assert whole_tick_would(no_trade_harness) == []
            quiet_ticks += 1
        else:
            strategy_tick(harness.context, harness.job(), harness.now)
            whole_ticks += 1
    assert harness.orders()
    assert min(quiet_ticks, whole_ticks) >= 3


def test_the_note_of_another_version_is_not_believed(no_trade_harness: NoTradeHarness) -> None:
    no_trade_harness.tick()
    harness = no_trade_harness.harness
    note = harness.context.accounts.last_runs([harness.user])[harness.user].note()
    assert note is not None
    with harness.session() as session:
        session.remember(no_trade_note=note.model_copy(update={"engine_version": "0"}))
    assert no_trade_harness.tick().outcome == "decided"


def test_the_plan_says_how_long_convergence_takes_once_it_knows_an_hour_of_prices(
    no_trade_harness: NoTradeHarness,
) -> None:
    harness = no_trade_harness.harness
    harness.set_strategy({"BTC": "90", "USDT": "10"})
    before = expected_convergence(harness.context, preview(harness.context, harness.user))
    assert (before.symbol is not None, before.hours, before.hourly_volatility_pct) == (True, None, None)
    for price in ("40000", "40400", "40100", "39900"):
        no_trade_harness.go_on(1200, BTC=price)
    after = expected_convergence(harness.context, preview(harness.context, harness.user))
    assert after.symbol == "BTCUSDT"
    assert after.hourly_volatility_pct is not None
    assert D("0.5") < after.hourly_volatility_pct < D("1")  # ln(404 / 399) = 1.25 % over 1.67
    assert after.hours is not None
    assert after.hours > 0
