"""Manners and acts that a test sets itself, in a world without chance."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from hmac import digest
from itertools import count
from typing import Any

import pytest
from botbalance.engine import Balance
from botbalance.models.order import NOT_ON_EXCHANGE, Order, OrderStatus
from botbalance.store.accounts import LEASE_S
from botbalance.store.orders import parse_order

from workbench.simulated_exchange.binance_api import Request
from workbench.simulation.episode import Episode
from workbench.simulation.exchange import PAGE, Manner
from workbench.simulation.invariants import Invariant
from workbench.simulation.owners import Act, Owners
from workbench.simulation.scheduler import Run
from workbench.simulation.world import CALM, User, World


@pytest.fixture
def episode() -> Episode:
    return Episode("scripted", users=1)


@pytest.fixture
def world(episode: Episode) -> Iterator[World]:
    world = episode.world
    world.rates, world.injector.active = CALM, False
    with world.entered():
        yield world


@pytest.fixture
def owners(world: World) -> Owners:
    """Of one user, whose autopilot is on."""
    owners = Owners(world)
    owners.open(world.users[0])
    for act in (Act.STORE_KEY, Act.CHANGE_STRATEGY, Act.AUTOPILOT_ON):
        do(world, owners, act)
    return owners


@pytest.fixture
def user(world: World) -> User:
    return world.users[0]


def do(world: World, owners: Owners, act: Act) -> None:
    """One act, until it is answered."""
    owners.do(act, world.users[0])
    settle(world)


def settle(world: World) -> None:
    """Until nobody works any more."""
    while world.scheduler.runs or any(user.busy for user in world.users):
        world.run_until(world.clock.now_ms + 1000)


def tick(world: World) -> int:
    """One tick of everybody; returns its time."""
    ts_tick = world.clock.seconds() // 30 * 30 + 30
    world.run_until(ts_tick * 1000)
    world.dispatch(ts_tick)
    world.run_until((ts_tick + 2) * 1000)
    settle(world)
    return ts_tick


def look_at_orders(world: World) -> None:
    """Ask the API for the orders, which it brings up to date first where the autopilot is off."""
    world.call(world.users[0], "GET", "/api/me/orders")
    settle(world)


def ask(world: World, path: str) -> Any:
    """What the exchange says to the user's signed request, beside all processes."""
    user = world.users[0]
    signed = f"timestamp={world.clock.now_ms}"
    signature = digest(user.key.secret.encode(), signed.encode(), "sha256").hex()
    request = Request("GET", path, f"{signed}&signature={signature}", headers={"x-mbx-apikey": user.key.api_key})
    return json.loads(world.exchange.answer(request).text)


def our_orders(world: World) -> list[Order]:
    items = world.database.tables[world.settings.orders_table].items.values()
    return [parse_order(item) for item in items]


def test_a_tick_places_orders_and_nothing_is_wrong(world: World, owners: Owners) -> None:
    tick(world)
    assert world.witness.intents > 3
    assert world.findings.found == []


def test_whoever_has_just_switched_on_is_ticked_though_the_batch_read_is_stale(world: World, owners: Owners) -> None:
    do(world, owners, Act.AUTOPILOT_OFF)
    do(world, owners, Act.AUTOPILOT_ON)
    world.rates = replace(CALM, stale_read=1)
    ts_tick = world.clock.seconds() // 30 * 30
    world.dispatch(ts_tick)
    settle(world)
    world.run_until(world.clock.now_ms + 2_000)
    settle(world)
    keys = world.database.tables[world.settings.decisions_table].items
    assert (b"user-0", Decimal(ts_tick)) in keys
    assert world.findings.found == []


def test_negative_dust_of_a_stranger_is_told(world: World, owners: Owners) -> None:
    world.exchange.manners = {Manner.NEGATIVE_DUST}
    told = {one["asset"]: one["free"] for one in ask(world, "/api/v3/account")["balances"]}
    assert told["SHIB2"] == "-0.00000001"


def test_a_stop_leaves_nothing_resting(world: World, owners: Owners, user: User) -> None:
    tick(world)
    assert world.books.open_orders(user.key.api_key)
    do(world, owners, Act.STOP)
    assert world.books.open_orders(user.key.api_key) == []
    assert user.user_id in world.witness.autopilot_off
    assert world.findings.found == []


def test_a_coin_moves_into_earn_and_back(world: World, owners: Owners, user: User) -> None:
    account = world.books.account(user.key.api_key)
    assert account is not None
    asset = next(asset for asset in account.balances if account.free_balance(asset) and asset not in {"USDT", "BNB"})
    held = account.free_balance(asset)
    assert world.exchange.wrap(user.key.api_key, asset)
    assert (account.free_balance(asset), account.free_balance(f"LD{asset}")) == (Decimal(0), held)
    assert world.exchange.wrap(user.key.api_key, asset)
    assert account.free_balance(asset) == held


def test_a_redenomination_comes_in_two_halves(world: World, owners: Owners, user: User) -> None:
    account = world.books.account(user.key.api_key)
    assert account is not None
    account.balances["XRP"] = Balance(Decimal(100))
    price = world.market.last_price("XRPUSDT")
    world.exchange.redenominate_balances("XRP", 10)
    assert account.free_balance("XRP") == 1000
    assert world.market.last_price("XRPUSDT") == price
    world.exchange.redenominate_price("XRPUSDT", 10)
    assert world.market.last_price("XRPUSDT") == price / 10


def test_fees_are_taken_in_a_third_coin(world: World, owners: Owners, user: User) -> None:
    world.books.fees_in_third_coin = True
    tick(world)
    order = world.books.open_orders(user.key.api_key)[0]
    trade = world.books.fill_now(user.key.api_key, order.order_id, whole=True)
    assert world.books.trades(user.key.api_key)[-1].commission_asset == "BNB"
    assert trade.order_id == order.order_id


def test_time_is_virtual(world: World) -> None:
    assert time.time() == world.clock.now_ms / 1000
    began = time.time()
    world.run_until(world.clock.now_ms + 60_000)
    assert time.time() == began + 60


def test_the_order_in_a_market_that_is_gone_is_named_and_the_others_go_on(
    world: World, owners: Owners, user: User
) -> None:
    tick(world)
    gone = world.books.open_orders(user.key.api_key)[0]
    world.exchange.delist(gone.symbol)
    for _ in range(4):
        tick(world)
    (named,) = [order for order in our_orders(world) if order.client_order_id == gone.client_order_id]
    assert named.reason == NOT_ON_EXCHANGE
    last = max(key for key in world.database.tables[world.settings.decisions_table].items)
    assert world.database.tables[world.settings.decisions_table].items[last]["outcome"]["S"] != "skipped"


def test_a_bonus_counts_a_coin_whose_market_is_gone_at_the_price_that_was_seen_last(
    episode: Episode, world: World, owners: Owners, user: User
) -> None:
    tick(world)
    order = world.books.open_orders(user.key.api_key)[0]
    world.books.fill_now(user.key.api_key, order.order_id, whole=True)
    tick(world)
    do(world, owners, Act.STOP)
    world.exchange.delist(order.symbol)
    world.market.set_price(order.symbol, world.market.last_price(order.symbol) * 2)  # which nobody is told
    world.call(user, "GET", "/api/me/portfolio/performance")  # whose process finds that it is gone
    settle(world)
    world.run_until(world.clock.now_ms + 3_000)  # and asks no more for two seconds
    episode.check_bonus(user, our_orders(world))
    assert world.findings.found == []
    episode.check_bonus(user, [])  # as if nothing had been traded
    assert [one.invariant for one in world.findings.found] == [Invariant.BONUS_IS_SUM]


def before(world: World, what: str, act: Callable[[Run], None], *, nth: int = 1) -> None:
    """Let ``act`` happen before the ``nth`` request of ticks in which ``what`` is asked."""
    seen = count(1)

    def script(run: Run, asked: Callable[[], tuple[str, str]]) -> None:
        if run.name.startswith("tick") and what in asked()[1] and next(seen) == nth:
            act(run)

    world.before_request = script


def test_an_order_that_is_acknowledged_late_is_adopted_once_it_is_known(
    world: World, owners: Owners, user: User
) -> None:
    world.exchange.manners = {Manner.ACKNOWLEDGES_LATE}
    world.exchange.chances[Manner.ACKNOWLEDGES_LATE] = 1
    world.exchange.unknown_s = (80,)
    tick(world)
    sent = our_orders(world)  # how many depends on how long the answers took that did not come
    assert {order.status for order in sent} == {OrderStatus.PENDING}
    assert ask(world, "/api/v3/openOrders") == []
    resting = {one.client_order_id for one in world.books.open_orders(user.key.api_key)}
    assert resting == {order.client_order_id for order in sent} != set()
    world.exchange.manners = set()
    do(world, owners, Act.AUTOPILOT_OFF)
    for _ in range(2):
        world.run_until(world.clock.now_ms + 30_000)
        look_at_orders(world)
        assert {order.status for order in our_orders(world)} == {OrderStatus.PENDING}
    world.run_until(world.clock.now_ms + 30_000)
    look_at_orders(world)
    known = our_orders(world)
    assert {order.client_order_id for order in known} == resting
    assert {(order.status, order.exchange_order_id is not None) for order in known} == {(OrderStatus.OPEN, True)}
    assert world.findings.found == []


def test_an_order_is_shown_as_before_its_last_trade_and_what_is_booked_stays(
    world: World, owners: Owners, user: User
) -> None:
    tick(world)
    do(world, owners, Act.AUTOPILOT_OFF)
    order = world.books.open_orders(user.key.api_key)[0]
    trade = world.books.fill_now(user.key.api_key, order.order_id, whole=False)
    look_at_orders(world)
    world.exchange.manners = {Manner.ORDERS_LAG}
    world.exchange.chances[Manner.ORDERS_LAG] = 1
    shown = {one["orderId"]: Decimal(one["executedQty"]) for one in ask(world, "/api/v3/openOrders")}
    assert shown[order.order_id] == 0
    look_at_orders(world)
    (booked,) = [one for one in our_orders(world) if one.client_order_id == order.client_order_id]
    assert booked.filled_qty == trade.qty
    assert world.findings.found == []


def test_lists_come_in_pages_and_all_of_them_are_read(world: World, user: User) -> None:
    world.use_pages()
    owners = Owners(world)
    owners.open(user)
    for act in (Act.STORE_KEY, Act.CHANGE_STRATEGY, Act.AUTOPILOT_ON):
        do(world, owners, act)
    tick(world)
    resting = len(world.books.open_orders(user.key.api_key))
    assert resting > PAGE
    assert len(ask(world, "/api/v3/openOrders")) == PAGE
    do(world, owners, Act.AUTOPILOT_OFF)
    look_at_orders(world)
    assert {order.status for order in our_orders(world)} == {OrderStatus.OPEN}
    assert world.choices.counts[f"manner:{Manner.PAGES}"] >= 1 + (resting - 1) // PAGE
    assert world.findings.found == []


def test_an_owner_stops_in_the_middle_of_a_tick(world: World, owners: Owners, user: User) -> None:
    stop = lambda _: world.at(0, lambda: owners.do(Act.STOP, user))  # noqa: E731
    before(world, "POST /api/v3/order", stop, nth=2)
    tick(world)
    assert 2 <= world.witness.intents <= 3, "one may be on its way already"
    assert world.books.open_orders(user.key.api_key) == []
    assert not world.autopilot_is_on(user.user_id)
    assert world.findings.found == []


def test_whose_autopilot_a_tick_found_off_is_owed_no_trace_of_it_though_they_stop_meanwhile() -> None:
    world = World("scripted", users=2)
    world.rates, world.injector.active = CALM, False
    owners, one = Owners(world), world.users[0]
    with world.entered():
        for user in world.users:
            owners.open(user)
            for act in (Act.STORE_KEY, Act.CHANGE_STRATEGY, Act.AUTOPILOT_ON):
                owners.do(act, user)
                settle(world)
        world.exchange.manners = {Manner.ACKNOWLEDGES_LATE}
        world.exchange.chances[Manner.ACKNOWLEDGES_LATE] = 1
        world.exchange.unknown_s = (80,)
        tick(world)  # an order whose fate is not known, and so a stop that will not be done at once
        world.exchange.manners = set()
        ts_tick = world.clock.seconds() // 30 * 30 + 30
        world.run_until(ts_tick * 1000)
        world.dispatch(ts_tick)
        owners.do(Act.AUTOPILOT_OFF, one)
        before(world, "POST /api/v3/order", lambda _: world.at(0, lambda: owners.do(Act.STOP, one)))
        settle(world)
        assert world.autopilot_is_on(one.user_id), "ticks are to finish the stop"
        decisions = world.database.tables[world.settings.decisions_table].items
        assert (one.user_id.encode(), Decimal(ts_tick)) not in decisions
        assert world.findings.found == []


def test_an_owner_stops_beside_an_execution_of_theirs(world: World, owners: Owners, user: User) -> None:
    do(world, owners, Act.AUTOPILOT_OFF)
    owners.do(Act.EXECUTE, user)
    world.run_until(world.clock.now_ms + 300)
    assert user.busy
    owners.do(Act.STOP, user)
    settle(world)
    assert world.books.open_orders(user.key.api_key) == []
    assert world.findings.found == []


def test_a_process_that_was_paused_past_its_lease_writes_nothing_more(world: World, owners: Owners, user: User) -> None:
    before(world, "TransactWriteItems", lambda run: world.pause(run, LEASE_S + 10), nth=2)
    first = world.clock.seconds() // 30 * 30 + 30
    world.run_until(first * 1000)
    world.dispatch(first)
    world.run_until((first + LEASE_S + 5) * 1000)
    assert world.witness.intents == 1, "the second one is about to be written"
    world.dispatch(world.clock.seconds() // 30 * 30)
    settle(world)
    orders = our_orders(world)
    by_tick = Counter(order.ts_tick for order in orders)
    assert len(by_tick) == 2, "another run has taken over"
    assert by_tick[first] == 1
    assert len({order.fencing_token for order in orders}) == 1, "and has booked the other's order, too"
    assert world.findings.found == []
