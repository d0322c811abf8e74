"""What paper trading gets wrong elsewhere, a trap each; 5, 7, 8 and 9 are about more than one account's books."""

from dataclasses import replace
from decimal import Decimal

import pytest
from botbalance.engine import Balance
from botbalance.errors import ConflictError, TransientError
from botbalance.exchange.adapter import OrderAccepted, OrderRejected, OrderRequest, Quote
from botbalance.exchange.paper_adapter import MAX_VOLUME_FRACTION
from botbalance.models.paper import PaperGap, PaperStatus

from tests.unit.exchange.paper_world import EXCHANGE, START, USER, PaperWorld

D = Decimal
MINUTE = 60
ORDER = "a" * 20


@pytest.fixture
def world() -> PaperWorld:
    return PaperWorld({"USDT": D(10_000), "BTC": D(1)})


def test_trap_1_look_ahead_no_minute_fills_an_order_that_was_placed_in_it(world: PaperWorld) -> None:
    world.now = START + 30
    world.trade(START, low="39000", high="40000")  # some of it before the order, some after: who can say
    world.rests("buy", "39800", "0.1")
    world.now = START + MINUTE
    assert world.filled() == 0
    world.trade(START + MINUTE, low="39799.99", high="40000")
    world.now = START + 2 * MINUTE
    assert world.filled() == D("0.1")


def test_trap_1_look_ahead_a_clock_that_is_behind_the_exchange_s_fills_nothing_either(world: PaperWorld) -> None:
    world.now = START - 4  # the exchange may be in the next minute already
    placed = world.adapter(margin_s=5).place_order(
        OrderRequest("BTCUSDT", "buy", D(39_800), D("0.1"), ORDER, post_only=True)
    )
    assert isinstance(placed, OrderAccepted)
    world.trade(START, low="39000", high="40000")
    world.now = START + MINUTE + 5
    assert world.adapter(margin_s=5).balances()["BTC"] == Balance(D(1))


def test_trap_2_gap_minutes_that_nobody_tells_any_more_are_marked_and_fill_nothing(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    world.trade(START + 5 * MINUTE, low="39000", high="40000")
    world.market.tells_from = START + 10 * MINUTE
    world.now = START + 20 * MINUTE
    assert world.filled() == 0
    gap = PaperGap(symbol="BTCUSDT", since=START, until=START + 10 * MINUTE)
    assert world.stored().gaps == (gap,)
    world.now += MINUTE
    assert world.filled() == 0
    assert world.stored().gaps == (gap,)  # once


def test_trap_2_gap_what_traded_while_nobody_looked_is_booked_page_by_page(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    world.market.page = 100
    world.trade(START + 250 * MINUTE, low="39000", high="40000")
    world.now = START + 300 * MINUTE
    for _ in range(2):
        with pytest.raises(TransientError, match="still being booked"):
            world.adapter().open_orders()
    assert world.adapter().open_orders() == []
    assert world.filled() == D("0.1")


def test_trap_3_volume_a_share_of_a_minute_s_fills_and_the_rest_goes_on_resting() -> None:
    world = PaperWorld({"USDT": D(10_000)}, max_volume_fraction=MAX_VOLUME_FRACTION)
    world.rests("buy", "39800", "0.1")
    world.trade(START, low="39000", high="40000", volume="1.319")  # a twentieth is 0.06595: 65 lots
    world.trade(START + MINUTE, low="39000", high="40000", volume="0.019")  # less than a lot
    world.now = START + 2 * MINUTE
    assert world.filled() == D("0.065")
    assert world.adapter().balances()["USDT"] == Balance(D(10_000) - D(3980), D("0.035") * 39_800)
    world.trade(START + 2 * MINUTE, low="39000", high="40000", volume="1.319")
    world.now += MINUTE
    assert world.filled() == D("0.1")
    assert world.adapter().balances() == {"USDT": Balance(D(6020)), "BTC": Balance(D("0.0999"))}


def test_trap_3_volume_is_not_eaten_twice_by_two_orders_nor_by_two_looks() -> None:
    world = PaperWorld({"USDT": D(10_000)}, max_volume_fraction=D("0.5"))
    world.rests("buy", "39800", "0.06")
    world.rests("buy", "39700", "0.06", "b" * 20)
    world.trade(START, low="39000", high="40000", volume="0.161")
    world.now = START + MINUTE
    assert [world.filled(), world.filled("b" * 20)] == [D("0.06"), D("0.02")]  # 0.0805 in all
    assert [world.filled(), world.filled("b" * 20)] == [D("0.06"), D("0.02")]


def test_trap_3_volume_an_order_that_fills_in_crumbs_is_given_up_before_the_account_outgrows_its_item() -> None:
    world = PaperWorld({"USDT": D(1_000_000)}, max_volume_fraction=D("0.5"))
    for client_id, price in ((ORDER, "39800"), ("b" * 20, "39700")):
        world.rests("buy", price, "10", client_id)
    for number in range(1_300):  # a lot in each of them
        world.trade(START + number * MINUTE, low="39000", high="40000", volume="0.002")
    world.now = START + 1_300 * MINUTE
    balances = world.adapter().balances()
    ended = world.table.find_ended(USER, EXCHANGE, ORDER)
    assert ended is not None
    assert (ended.status, len(ended.fills), ended.filled_qty) == (PaperStatus.CANCELED, 1_000, D(1))
    [resting] = world.stored().orders
    assert (resting.client_order_id, resting.filled_qty) == ("b" * 20, D("0.3"))
    assert balances["BTC"].free == D("1.3") * D("0.999")
    assert balances["USDT"].locked == D("9.7") * 39_700
    assert len(ended.model_dump_json()) < 200 * 1_000


def test_trap_4_post_only_is_refused_where_it_would_trade_at_once_against_bid_and_ask(world: PaperWorld) -> None:
    for side, price in (("buy", "40000.01"), ("sell", "39999.99")):
        refused = world.place(side, price, "0.01")  # type: ignore[arg-type]
        assert isinstance(refused, OrderRejected)
        assert refused.code == "order_immediately_fillable"
    assert world.adapter().open_orders() == []
    world.rests("buy", "40000", "0.01")
    world.rests("sell", "40000", "0.01", "b" * 20)


def test_trap_4_post_only_or_it_takes_whole_at_the_best_price_with_the_taker_s_fee(world: PaperWorld) -> None:
    placed = world.place("buy", "40100", "0.1", post_only=False)
    assert isinstance(placed, OrderAccepted)
    assert (placed.order.status, placed.order.filled_qty) == ("filled", D("0.1"))
    (trade,) = world.adapter().trades("BTCUSDT", placed.order.exchange_order_id)
    assert (trade.fill.price, trade.fill.fee, trade.fill.fee_asset) == (D("40000.01"), D("0.0002"), "BTC")
    assert world.adapter().balances() == {"USDT": Balance(D("5999.999")), "BTC": Balance(D("1.0998"))}


def test_trap_4_post_only_counts_against_the_last_price_where_an_exchange_tells_no_book(world: PaperWorld) -> None:
    world.market.quote = Quote(last=D(40_000), bid=None, ask=None)
    assert isinstance(world.place("buy", "40000", "0.01"), OrderRejected)
    assert isinstance(world.place("buy", "39999.99", "0.01"), OrderAccepted)


@pytest.mark.parametrize(
    ("price", "base_qty", "code", "said"),
    [
        ("39800.005", "0.1", "invalid_order", "multiple of 0.01"),
        ("7999.99", "0.1", "invalid_order", "within the limits"),  # below a fifth of the last price
        ("39800", "0.0005", "invalid_order", "multiple of 0.001"),
        ("39800", "100.001", "invalid_order", "at most 100"),
        ("8000", "0", "invalid_number", "> 0"),
        ("39800", "1", "insufficient_funds", "balances.USDT.free"),
    ],
)
def test_trap_6_filters_of_the_real_market_hold(
    world: PaperWorld, price: str, base_qty: str, code: str, said: str
) -> None:
    refused = world.place("buy", price, base_qty)
    assert isinstance(refused, OrderRejected)
    assert refused.code == code
    assert said in refused.reason
    assert world.stored().balances == {"USDT": Balance(D(10_000)), "BTC": Balance(D(1))}


def test_trap_6_filters_an_order_worth_too_little_and_a_halted_market(world: PaperWorld) -> None:
    world.rules = replace(world.rules, min_notional=D(50))
    refused = world.place("buy", "39800", "0.001")
    assert isinstance(refused, OrderRejected)
    assert "50 or more" in refused.reason
    world.rules = replace(world.rules, trading=False)
    refused = world.place("buy", "39800", "0.1")
    assert isinstance(refused, OrderRejected)
    assert refused.code == "market_closed"


def test_trap_10_partial_minute_waits_until_it_is_over_and_its_last_trades_are_told(world: PaperWorld) -> None:
    world.now = START - 10
    assert isinstance(
        world.adapter(margin_s=5).place_order(
            OrderRequest("BTCUSDT", "buy", D(39_800), D("0.1"), ORDER, post_only=True)
        ),
        OrderAccepted,
    )
    world.trade(START, low="39000", high="40000")
    for seconds in (30, 59, 60, 64):
        world.now = START + seconds
        assert [order.filled_qty for order in world.adapter(margin_s=5).open_orders()] == [0]
    world.now = START + MINUTE + 5
    assert world.adapter(margin_s=5).open_orders() == []


def test_trap_10_partial_minute_settled_again_and_again_books_each_fill_once(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    world.trade(START, low="39000", high="40000")
    world.now = START + MINUTE
    only_looks = world.adapter(writes=False)
    before = world.stored()
    seen = [only_looks.find_order("BTCUSDT", ORDER), only_looks.balances(), only_looks.open_orders()]
    assert world.stored() == before  # whoever only looks writes nothing, and sees what the next write will book
    for _ in range(3):
        adapter = world.adapter()
        assert [adapter.find_order("BTCUSDT", ORDER), adapter.balances(), adapter.open_orders()] == seen
        (trade,) = adapter.trades("BTCUSDT", f"paper-1-{ORDER}")
        assert trade.fill.base_qty == D("0.1")
    assert world.stored().revision == before.revision + 1


def test_a_minute_at_the_limit_itself_fills_nothing(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    world.trade(START, low="39800", high="40000")
    world.now = START + MINUTE
    assert world.filled() == 0


def test_a_cancel_comes_after_the_minutes_that_are_over_and_frees_what_is_left(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    world.rests("buy", "39000", "0.1", "b" * 20)
    world.trade(START, low="39700", high="40000")
    world.now = START + MINUTE
    for client_id in (ORDER, "b" * 20, "c" * 20):
        world.adapter().cancel_order("BTCUSDT", client_id)
    found = [world.adapter().find_order("BTCUSDT", client_id) for client_id in (ORDER, "b" * 20, "c" * 20)]
    assert [order and order.status.value for order in found] == ["filled", "canceled", None]
    assert world.adapter().balances() == {"USDT": Balance(D(6020)), "BTC": Balance(D("1.0999"))}


def test_an_order_that_is_sent_again_is_the_same_one(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    world.rests("buy", "39800", "0.1")
    assert len(world.stored().orders) == 1
    world.adapter().cancel_order("BTCUSDT", ORDER)
    placed = world.place("buy", "39800", "0.1")
    assert isinstance(placed, OrderAccepted)
    assert placed.order.status == "canceled"


def test_two_processes_that_read_the_same_books_write_one_after_the_other(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    stale = world.stored()
    world.rests("buy", "39700", "0.1", "b" * 20)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        world.table.save(stale, world.lease)
    assert len(world.stored().orders) == 2


def test_a_run_whose_lease_somebody_else_has_taken_writes_nothing(world: PaperWorld) -> None:
    adapter = world.adapter()
    world.take_lease()
    refused = adapter.place_order(OrderRequest("BTCUSDT", "buy", D(39_800), D("0.1"), ORDER, post_only=True))
    assert isinstance(refused, OrderRejected)
    assert refused.code == "lease_lost"
    assert world.table.get(USER, EXCHANGE).orders == ()


def test_nothing_is_asked_for_while_no_minute_is_over(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    for _ in range(3):
        world.adapter().open_orders()
    assert world.market.asked == 0
    world.now = START + MINUTE
    world.adapter().open_orders()
    assert world.market.asked == 1


def test_a_pair_whose_minutes_are_not_told_rests_on_and_no_other_waits_for_it(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    world.rests("buy", "39800", "0.1", "b" * 20, symbol="ETHUSDT")
    world.market.halted = {"BTCUSDT"}
    world.trade(START, low="39700", high="40000")
    world.now = START + MINUTE
    assert world.adapter().balances() == {
        "USDT": Balance(D(2040), D(3980)),
        "BTC": Balance(D(1)),
        "ETH": Balance(D("0.0999")),
    }
    assert [order.symbol for order in world.adapter().open_orders()] == ["BTCUSDT"]
    world.market.halted = set()
    world.now += MINUTE
    assert world.filled() == D("0.1")  # seen late, and not lost
    assert world.stored().gaps == ()


def test_of_a_market_that_is_listed_no_more_one_gap_is_noted_and_grows(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    world.market.delisted = {"BTCUSDT"}
    world.trade(START, low="39700", high="40000")
    for _ in range(3):
        world.now += 3_600
        assert [order.filled_qty for order in world.adapter().open_orders()] == [0]
    assert world.stored().gaps == (PaperGap(symbol="BTCUSDT", since=START, until=START + 3 * 3_600),)


def test_an_order_is_cancelled_without_the_minutes_of_its_pair_or_of_others(world: PaperWorld) -> None:
    world.rests("buy", "39800", "0.1")
    world.rests("buy", "39800", "0.1", "b" * 20, symbol="ETHUSDT")
    world.market.halted = {"BTCUSDT", "ETHUSDT"}
    world.now = START + MINUTE
    world.adapter().cancel_order("BTCUSDT", ORDER)
    (left,) = world.stored().orders
    assert (left.symbol, left.settled_until) == ("ETHUSDT", START)
    assert world.stored().gaps == (PaperGap(symbol="BTCUSDT", since=START, until=START + MINUTE),)
    found = world.adapter().find_order("BTCUSDT", ORDER)
    assert found is not None
    assert found.status == "canceled"


def test_a_run_asks_for_minutes_that_are_not_told_once(world: PaperWorld) -> None:
    """An exchange that tells none now may take as long as a request may, each time that it is asked."""
    world.rests("buy", "39800", "0.1")
    world.rests("buy", "39800", "0.1", "b" * 20, symbol="ETHUSDT")
    world.market.halted = {"BTCUSDT", "ETHUSDT"}
    world.now = START + MINUTE
    asked, adapter = world.market.asked, world.adapter()
    for _ in range(3):
        assert len(adapter.open_orders()) == 2
        adapter.balances()
    assert world.market.asked == asked + 2
