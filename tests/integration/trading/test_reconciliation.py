"""What became of our orders: the exchange's word, booked once."""

from decimal import Decimal

import pytest
from botbalance.errors import ConflictError, TransientError
from botbalance.exchange.adapter import ExchangeOrder, ExchangeOrderStatus, OrderRequest
from botbalance.models.order import Order, OrderStatus
from botbalance.trading.order_updates import apply_order_report
from botbalance.trading.orders import cancel_by_hand, cancel_one
from botbalance.trading.strategy import patch_strategy

from tests.integration.trading.harness import TradingHarness
from workbench.faults.kinds import FaultKind, Where


def fill_part_of_btc(harness: TradingHarness) -> Decimal:
    """Trade through the resting buy with a book that fills only part; returns how much."""
    harness.books.partial_fill_probability = Decimal(1)
    harness.market.set_price("BTCUSDT", Decimal(39_800))
    harness.books.partial_fill_probability = Decimal(0)
    (booked,) = [order for order in harness.booked() if order.symbol == "BTCUSDT"]
    assert ZERO < booked.executed_qty < booked.qty
    return booked.executed_qty


ZERO = Decimal(0)


def test_a_partial_fill_then_a_cancel_is_booked_once(harness: TradingHarness) -> None:
    harness.tick()
    filled = fill_part_of_btc(harness)
    harness.tick()
    assert harness.order_on("BTCUSDT").status is OrderStatus.PARTIALLY_FILLED
    before = harness.order_on("BTCUSDT")

    canceled = cancel_one(harness.context, harness.user, before.client_order_id)
    harness.tick()
    harness.tick()

    after = harness.context.orders.get(harness.user, before.client_order_id)
    assert canceled.status is after.status is OrderStatus.CANCELED
    assert after.reason == "canceled_by_user"
    assert after.filled_qty == filled
    assert [fill.base_qty for fill in after.fills] == [filled]


def test_a_partial_fill_between_two_ticks_and_a_cancel_is_booked_by_the_cancel(harness: TradingHarness) -> None:
    harness.tick()
    filled = fill_part_of_btc(harness)
    order = cancel_one(harness.context, harness.user, harness.order_on("BTCUSDT").client_order_id)
    assert order.status is OrderStatus.CANCELED
    assert order.filled_qty == filled == sum(fill.base_qty for fill in order.fills)


def test_reading_the_same_answer_twice_changes_nothing(harness: TradingHarness) -> None:
    harness.tick()
    fill_part_of_btc(harness)
    harness.tick()
    before = harness.order_on("BTCUSDT")
    harness.tick()
    assert harness.order_on("BTCUSDT") == before


def test_the_filled_quantity_never_goes_down(harness: TradingHarness) -> None:
    harness.tick()
    filled = fill_part_of_btc(harness)
    harness.tick()
    order = harness.order_on("BTCUSDT")
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

    with harness.session() as session:
        after = apply_order_report(session, order, late)

    assert after.filled_qty == filled
    assert after.status is OrderStatus.PARTIALLY_FILLED
    assert len(after.fills) == 1


def test_a_cancel_that_finds_the_order_filled_books_it_filled(harness: TradingHarness) -> None:
    harness.tick()
    harness.market.set_price("BTCUSDT", Decimal(39_000))
    order = cancel_one(harness.context, harness.user, harness.order_on("BTCUSDT").client_order_id)
    assert order.status is OrderStatus.FILLED
    assert order.fills_complete
    assert order.filled_qty == order.base_qty


def test_a_cancel_of_an_order_cancelled_elsewhere_books_it_cancelled(harness: TradingHarness) -> None:
    harness.tick()
    ours = harness.order_on("BTCUSDT")
    harness.books.cancel(harness.key, "BTCUSDT", client_order_id=ours.client_order_id)
    assert cancel_one(harness.context, harness.user, ours.client_order_id).status is OrderStatus.CANCELED


def test_cancelling_an_order_of_unknown_fate_leaves_it_pending_until_two_minutes_have_passed(
    harness: TradingHarness,
) -> None:
    intent = harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502")
    harness.create(intent)
    for _ in range(3):
        assert cancel_one(harness.context, harness.user, intent.client_order_id).status is OrderStatus.PENDING
    harness.now += 121
    given_up = cancel_one(harness.context, harness.user, intent.client_order_id)
    assert given_up.status is OrderStatus.CANCELED
    assert given_up.reason == "never_placed"


def test_a_lost_reply_to_a_cancel_is_settled_by_a_look_at_the_order(harness: TradingHarness) -> None:
    harness.tick()
    order = harness.order_on("BTCUSDT")
    harness.injector.script(FaultKind.RESET_AFTER, Where.CANCEL_ORDER)
    assert cancel_one(harness.context, harness.user, order.client_order_id).status is OrderStatus.CANCELED
    assert len(harness.asked("DELETE")) == 1


def test_a_cancel_that_was_lost_leaves_the_order_resting_and_says_so(harness: TradingHarness) -> None:
    harness.tick()
    order = harness.order_on("BTCUSDT")
    harness.injector.script(FaultKind.NOT_RECEIVED, Where.CANCEL_ORDER)
    with pytest.raises(TransientError, match="did not answer"):
        cancel_one(harness.context, harness.user, order.client_order_id)
    assert harness.order_on("BTCUSDT").status is OrderStatus.OPEN
    assert cancel_one(harness.context, harness.user, order.client_order_id).status is OrderStatus.CANCELED


def test_a_lost_reply_to_a_cancel_that_cannot_be_looked_at_is_settled_by_the_next_tick(harness: TradingHarness) -> None:
    harness.tick()
    order = harness.order_on("BTCUSDT")
    harness.injector.script(FaultKind.RESET_AFTER, Where.CANCEL_ORDER)
    harness.injector.script(FaultKind.SERVER_ERROR, Where.FIND_ORDER, times=3)
    with pytest.raises(TransientError, match="did not answer"):
        cancel_one(harness.context, harness.user, order.client_order_id)
    harness.tick()
    assert harness.context.orders.get(harness.user, order.client_order_id).status is OrderStatus.CANCELED


def test_old_orders_are_cancelled_where_they_would_be_priced_anew(harness: TradingHarness) -> None:
    harness.set_strategy(order_max_age_s=60)
    harness.tick()
    old = harness.order_on("BTCUSDT")
    harness.market.set_price("BTCUSDT", Decimal(41_000))
    decision = harness.tick(seconds=60)
    assert decision.canceled == {old.client_order_id: "stale_price"}
    assert harness.context.orders.get(harness.user, old.client_order_id).reason == "stale_price"


def test_orders_of_a_dropped_asset_are_still_booked_and_given_up(harness: TradingHarness) -> None:
    harness.set_strategy(order_max_age_s=60)
    harness.tick()
    btc, xrp = harness.order_on("BTCUSDT"), harness.order_on("XRPUSDT")
    harness.market.set_price("BTCUSDT", Decimal(39_000))

    harness.set_strategy({"ETH": "50", "USDT": "50"}, order_max_age_s=60)
    decision = harness.tick(seconds=60)

    assert decision.outcome == "decided", decision.reason
    assert harness.context.orders.get(harness.user, btc.client_order_id).fills_complete
    assert harness.context.orders.get(harness.user, btc.client_order_id).status is OrderStatus.FILLED
    assert decision.canceled == {xrp.client_order_id: "unmanaged"}
    assert harness.context.orders.get(harness.user, xrp.client_order_id).status is OrderStatus.CANCELED


def test_the_exchange_cannot_be_changed_while_orders_rest_on_the_old_one(harness: TradingHarness) -> None:
    harness.tick()
    with pytest.raises(ConflictError, match="binance"):
        patch_strategy(
            harness.context, harness.user, {"exchange": "kraken"}, harness.context.strategies.get(harness.user)
        )
    assert harness.context.strategies.get(harness.user).exchange == "binance"


def test_orders_that_others_placed_on_the_account_block_their_pair_and_are_left_alone(harness: TradingHarness) -> None:
    stranger = harness.intent("BTCUSDT", limit_price="30000", base_qty="0.001")
    account = harness.context.clients.get(harness.user, "binance")
    harness.context.portfolio.load_markets(account, ["BTCUSDT"])
    account.place_order(
        OrderRequest("BTCUSDT", "buy", stranger.limit_price, stranger.base_qty, "someone-else", post_only=True)
    )
    harness.set_strategy(order_max_age_s=0)

    decision = harness.tick()

    assert sorted(order["symbol"] for order in decision.placed) == ["ETHUSDT", "XRPUSDT"]
    assert cancel_by_hand(harness.context, harness.user)
    assert [order.client_order_id for order in harness.books.open_orders(harness.key)] == ["someone-else"]


def test_every_order_can_be_cancelled_at_once(harness: TradingHarness) -> None:
    harness.tick()
    harness.market.set_price("BTCUSDT", Decimal(39_000))
    ended: list[Order] = cancel_by_hand(harness.context, harness.user)
    assert sorted(order.status for order in ended) == ["CANCELED", "CANCELED", "FILLED"]
    assert harness.books.open_orders(harness.key) == []
    assert cancel_by_hand(harness.context, harness.user) == []


def test_a_resting_order_that_the_exchange_forgot_says_so_and_blocks_its_own_pair_only(harness: TradingHarness) -> None:
    harness.tick()
    forgotten = harness.order_on("BTCUSDT")
    account = harness.books.account(harness.key)
    assert account is not None
    account.orders.clear()
    account.open_ids.clear()
    account.newest_ids.clear()

    for _ in range(2):
        decision = harness.tick()

    found = harness.context.orders.get(harness.user, forgotten.client_order_id)
    assert (found.status, found.reason) == (OrderStatus.OPEN, "not_on_exchange")
    assert decision.outcome == "decided"
    assert "BTCUSDT" in (decision.inputs or {})["active_symbols"]


def test_an_order_that_the_exchange_forgot_for_a_while_is_in_no_doubt_any_more(harness: TradingHarness) -> None:
    harness.tick()
    ours = harness.order_on("BTCUSDT")
    account = harness.books.account(harness.key)
    assert account is not None
    kept = account.orders, account.open_ids, account.newest_ids
    account.orders, account.open_ids, account.newest_ids = {}, {}, {}
    for _ in range(2):
        harness.tick()
    assert harness.context.orders.get(harness.user, ours.client_order_id).reason == "not_on_exchange"

    account.orders, account.open_ids, account.newest_ids = kept
    harness.tick()

    again = harness.context.orders.get(harness.user, ours.client_order_id)
    assert (again.status, again.reason, again.times_not_found) == (OrderStatus.OPEN, None, 0)
    assert harness.differences() == []


def test_one_order_that_cannot_be_looked_up_blocks_its_own_pair_only(harness: TradingHarness) -> None:
    intent = harness.intent("BTCUSDT", limit_price="39840", base_qty="0.00502")
    harness.create(intent)
    harness.injector.script(FaultKind.NOT_RECEIVED, Where.FIND_ORDER, about="BTCUSDT", times=9)

    decision = harness.tick()

    assert decision.outcome == "decided"
    assert "BTCUSDT" not in {order["symbol"] for order in decision.placed}
    assert len(decision.placed) == 2
