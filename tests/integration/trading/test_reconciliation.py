"""What became of our orders: the exchange's word, booked once."""

from decimal import Decimal

import pytest
from botbalance.errors import Conflict, TryAgainLater
from botbalance.exchange.adapter import ExchangeOrder, ExchangeOrderStatus
from botbalance.store.orders import Order, OrderStatus
from botbalance.trading.orders import cancel_every, cancel_one
from botbalance.trading.reconcile import book
from botbalance.trading.strategy import amend_strategy

from tests.integration.trading.world import World
from workbench.faults.kinds import FaultKind, Where


def fill_part_of_btc(world: World) -> Decimal:
    """Trade through the resting buy with a book that fills only part; returns how much."""
    world.books.partial_fill_probability = Decimal(1)
    world.market.set_price("BTCUSDT", Decimal(39_800))
    world.books.partial_fill_probability = Decimal(0)
    (booked,) = [order for order in world.booked() if order.symbol == "BTCUSDT"]
    assert ZERO < booked.executed_qty < booked.qty
    return booked.executed_qty


ZERO = Decimal(0)


def test_a_partial_fill_then_a_cancel_is_booked_once(world: World) -> None:
    world.tick()
    filled = fill_part_of_btc(world)
    world.tick()
    assert world.order_on("BTCUSDT").status is OrderStatus.PARTIALLY_FILLED
    before = world.order_on("BTCUSDT")

    canceled = cancel_one(world.desk, world.user, before.client_order_id)
    world.tick()
    world.tick()

    after = world.desk.orders.get(world.user, before.client_order_id)
    assert canceled.status is after.status is OrderStatus.CANCELED
    assert after.reason == "canceled_by_user"
    assert after.filled_qty == filled
    assert [fill.base_qty for fill in after.fills] == [filled]


def test_a_partial_fill_between_two_ticks_and_a_cancel_is_booked_by_the_cancel(world: World) -> None:
    world.tick()
    filled = fill_part_of_btc(world)
    order = cancel_one(world.desk, world.user, world.order_on("BTCUSDT").client_order_id)
    assert order.status is OrderStatus.CANCELED
    assert order.filled_qty == filled == sum(fill.base_qty for fill in order.fills)


def test_reading_the_same_answer_twice_changes_nothing(world: World) -> None:
    world.tick()
    fill_part_of_btc(world)
    world.tick()
    before = world.order_on("BTCUSDT")
    world.tick()
    assert world.order_on("BTCUSDT") == before


def test_the_filled_quantity_never_goes_down(world: World) -> None:
    world.tick()
    filled = fill_part_of_btc(world)
    world.tick()
    order = world.order_on("BTCUSDT")
    account = world.desk.accounts.of(world.user, "binance")
    assert order.exchange_order_id is not None
    late = ExchangeOrder(
        exchange_order_id=order.exchange_order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        limit_price=order.limit_price,
        base_qty=order.base_qty,
        filled_qty=ZERO,
        status=ExchangeOrderStatus.OPEN,
    )

    with world.lease() as lease:
        after = book(world.desk, lease, account, order, late)

    assert after.filled_qty == filled
    assert after.status is OrderStatus.PARTIALLY_FILLED
    assert len(after.fills) == 1


def test_a_cancel_that_finds_the_order_filled_books_it_filled(world: World) -> None:
    world.tick()
    world.market.set_price("BTCUSDT", Decimal(39_000))
    order = cancel_one(world.desk, world.user, world.order_on("BTCUSDT").client_order_id)
    assert order.status is OrderStatus.FILLED
    assert order.fills_complete
    assert order.filled_qty == order.base_qty


def test_a_cancel_of_an_order_cancelled_elsewhere_books_it_cancelled(world: World) -> None:
    world.tick()
    ours = world.order_on("BTCUSDT")
    world.books.cancel(world.key, "BTCUSDT", client_order_id=ours.client_order_id)
    assert cancel_one(world.desk, world.user, ours.client_order_id).status is OrderStatus.CANCELED


def test_cancelling_an_order_of_unknown_fate_leaves_it_pending_until_two_minutes_have_passed(world: World) -> None:
    intent = world.intent("BTCUSDT", limit_price="39840", base_qty="0.00502")
    with world.lease() as lease:
        world.desk.orders.create(intent, lease)
    for _ in range(3):
        assert cancel_one(world.desk, world.user, intent.client_order_id).status is OrderStatus.PENDING
    world.now += 121
    given_up = cancel_one(world.desk, world.user, intent.client_order_id)
    assert given_up.status is OrderStatus.CANCELED
    assert given_up.reason == "never_placed"


def test_a_lost_reply_to_a_cancel_is_settled_by_a_look_at_the_order(world: World) -> None:
    world.tick()
    order = world.order_on("BTCUSDT")
    world.injector.script(FaultKind.RESET_AFTER, Where.CANCEL_ORDER)
    assert cancel_one(world.desk, world.user, order.client_order_id).status is OrderStatus.CANCELED
    assert len(world.asked("DELETE")) == 1


def test_a_cancel_that_was_lost_leaves_the_order_resting_and_says_so(world: World) -> None:
    world.tick()
    order = world.order_on("BTCUSDT")
    world.injector.script(FaultKind.NOT_RECEIVED, Where.CANCEL_ORDER)
    with pytest.raises(TryAgainLater, match="did not answer"):
        cancel_one(world.desk, world.user, order.client_order_id)
    assert world.order_on("BTCUSDT").status is OrderStatus.OPEN
    assert cancel_one(world.desk, world.user, order.client_order_id).status is OrderStatus.CANCELED


def test_a_lost_reply_to_a_cancel_that_cannot_be_looked_at_is_settled_by_the_next_tick(world: World) -> None:
    world.tick()
    order = world.order_on("BTCUSDT")
    world.injector.script(FaultKind.RESET_AFTER, Where.CANCEL_ORDER)
    world.injector.script(FaultKind.SERVER_ERROR, Where.FIND_ORDER, times=3)
    with pytest.raises(TryAgainLater, match="did not answer"):
        cancel_one(world.desk, world.user, order.client_order_id)
    world.tick()
    assert world.desk.orders.get(world.user, order.client_order_id).status is OrderStatus.CANCELED


def test_old_orders_are_cancelled_where_they_would_be_priced_anew(world: World) -> None:
    world.set_strategy(order_max_age_s=60)
    world.tick()
    old = world.order_on("BTCUSDT")
    world.market.set_price("BTCUSDT", Decimal(41_000))
    decision = world.tick(seconds=60)
    assert decision.canceled == {old.client_order_id: "stale_price"}
    assert world.desk.orders.get(world.user, old.client_order_id).reason == "stale_price"


def test_orders_of_a_dropped_asset_are_still_booked_and_given_up(world: World) -> None:
    world.set_strategy(order_max_age_s=60)
    world.tick()
    btc, xrp = world.order_on("BTCUSDT"), world.order_on("XRPUSDT")
    world.market.set_price("BTCUSDT", Decimal(39_000))

    world.set_strategy({"ETH": "50", "USDT": "50"}, order_max_age_s=60)
    decision = world.tick(seconds=60)

    assert decision.outcome == "decided", decision.reason
    assert world.desk.orders.get(world.user, btc.client_order_id).fills_complete
    assert world.desk.orders.get(world.user, btc.client_order_id).status is OrderStatus.FILLED
    assert decision.canceled == {xrp.client_order_id: "unmanaged"}
    assert world.desk.orders.get(world.user, xrp.client_order_id).status is OrderStatus.CANCELED


def test_the_exchange_cannot_be_changed_while_orders_rest_on_the_old_one(world: World) -> None:
    world.tick()
    with pytest.raises(Conflict, match="binance"):
        amend_strategy(world.desk, world.user, {"exchange": "kraken"}, world.desk.strategies.get(world.user))
    assert world.desk.strategies.get(world.user).exchange == "binance"


def test_orders_that_others_placed_on_the_account_block_their_pair_and_are_left_alone(world: World) -> None:
    stranger = world.intent("BTCUSDT", limit_price="30000", base_qty="0.001")
    account = world.desk.accounts.of(world.user, "binance")
    world.desk.portfolio.make_known(account, ["BTCUSDT"])
    account.place_order("BTCUSDT", "buy", stranger.limit_price, stranger.base_qty, "someone-else", post_only=True)
    world.set_strategy(order_max_age_s=0)

    decision = world.tick()

    assert sorted(order["symbol"] for order in decision.placed) == ["ETHUSDT", "XRPUSDT"]
    assert cancel_every(world.desk, world.user)
    assert [order.client_order_id for order in world.books.open_orders(world.key)] == ["someone-else"]


def test_every_order_can_be_cancelled_at_once(world: World) -> None:
    world.tick()
    world.market.set_price("BTCUSDT", Decimal(39_000))
    ended: list[Order] = cancel_every(world.desk, world.user)
    assert sorted(order.status for order in ended) == ["CANCELED", "CANCELED", "FILLED"]
    assert world.books.open_orders(world.key) == []
    assert cancel_every(world.desk, world.user) == []


def test_a_resting_order_that_the_exchange_forgot_says_so_and_blocks_its_own_pair_only(world: World) -> None:
    world.tick()
    forgotten = world.order_on("BTCUSDT")
    account = world.books.account(world.key)
    assert account is not None
    account.orders.clear()
    account.open_ids.clear()
    account.newest_ids.clear()

    for _ in range(2):
        decision = world.tick()

    found = world.desk.orders.get(world.user, forgotten.client_order_id)
    assert (found.status, found.reason) == (OrderStatus.OPEN, "not_on_exchange")
    assert decision.outcome == "decided"
    assert "BTCUSDT" in (decision.inputs or {})["active_symbols"]


def test_an_order_that_the_exchange_forgot_for_a_while_is_in_no_doubt_any_more(world: World) -> None:
    world.tick()
    ours = world.order_on("BTCUSDT")
    account = world.books.account(world.key)
    assert account is not None
    kept = account.orders, account.open_ids, account.newest_ids
    account.orders, account.open_ids, account.newest_ids = {}, {}, {}
    for _ in range(2):
        world.tick()
    assert world.desk.orders.get(world.user, ours.client_order_id).reason == "not_on_exchange"

    account.orders, account.open_ids, account.newest_ids = kept
    world.tick()

    again = world.desk.orders.get(world.user, ours.client_order_id)
    assert (again.status, again.reason, again.times_not_found) == (OrderStatus.OPEN, None, 0)
    assert world.differences() == []


def test_one_order_that_cannot_be_looked_up_blocks_its_own_pair_only(world: World) -> None:
    intent = world.intent("BTCUSDT", limit_price="39840", base_qty="0.00502")
    with world.lease() as lease:
        world.desk.orders.create(intent, lease)
    world.injector.script(FaultKind.NOT_RECEIVED, Where.FIND_ORDER, about="BTCUSDT", times=9)

    decision = world.tick()

    assert decision.outcome == "decided"
    assert "BTCUSDT" not in {order["symbol"] for order in decision.placed}
    assert len(decision.placed) == 2
