"""The life of an order on every exchange: placed, looked up, cancelled, its fills booked; ccxt's classes over HTTP."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from botbalance.engine import Balance, Fill
from botbalance.exchange.adapter import ExchangeOrderStatus, OrderAccepted, OrderRequest, Trade
from botbalance.exchange.ccxt_adapter import KRAKEN_TRADES, CcxtAdapter
from botbalance.exchange.profiles import PROFILES

from tests.integration.exchange.fake_exchanges import (
    CANCELED,
    CLIENT_ID,
    NOW,
    OPEN,
    OWN_ID,
    STAND_INS,
    Door,
    run_stand_in,
)
from tests.integration.exchange.life_cycle_replies import LIVES, PRICES, QUANTITIES, TRADES
from tests.integration.exchange.simulated import Exchange

D = Decimal


@pytest.fixture
def door_and_adapter(exchange: Exchange, name: str) -> Iterator[tuple[Door, CcxtAdapter]]:
    """The exchange of that name, which holds no order yet."""
    with run_stand_in(exchange, name) as (door, adapter):
        life = LIVES[name]
        door.replies |= {life.place: (200, life.placed), life.fills: (200, life.filled)}
        door.replies |= {request: (200, reply) for request, reply in life.before_fills.items()}
        door.replies |= {life.balance: (200, life.held)}
        yield door, adapter


def place(adapter: CcxtAdapter) -> OrderAccepted:
    placement = adapter.place_order(OrderRequest("BTCUSDT", "buy", D(39_000), D("0.01"), CLIENT_ID, post_only=True))
    assert isinstance(placement, OrderAccepted), placement
    return placement


def test_every_exchange_that_is_accepted_has_its_life_tested() -> None:
    assert {name.partition(",")[0] for name in LIVES} == {profile.family for profile in PROFILES.values()}
    assert set(LIVES) == set(STAND_INS)


@pytest.mark.parametrize("name", LIVES)
def test_an_order_is_sent_once_as_it_was_decided(door_and_adapter: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = door_and_adapter
    order = place(adapter).order
    [request] = door.requests_to(LIVES[name].place)
    sent = f"{request.query}&{request.body}&"
    for part in LIVES[name].sent:
        assert part in sent
    assert (order.exchange_order_id, order.symbol, order.side) == (OWN_ID, "BTCUSDT", "buy")
    assert (order.limit_price, order.base_qty, order.filled_qty) == (D(39_000), D("0.01"), D(0))
    assert order.status is ExchangeOrderStatus.OPEN
    assert [asked for asked, made in door.asked if made.method != "GET"].count(LIVES[name].place) == 1


@pytest.mark.parametrize("name", LIVES)
def test_a_life_from_placing_to_the_last_fill(door_and_adapter: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = door_and_adapter
    stand_in = STAND_INS[name]
    assert adapter.find_order("BTCUSDT", CLIENT_ID) is None
    placed = place(adapter).order

    open_place = next(place for place in stand_in.places if OPEN in place.tells)
    door.replies[open_place.request] = (200, open_place.holding([stand_in.order(OPEN)]))
    resting = adapter.find_order("BTCUSDT", CLIENT_ID)
    assert resting is not None
    assert resting.exchange_order_id == placed.exchange_order_id
    assert resting.client_order_id == adapter.exchange_client_order_id(CLIENT_ID)
    assert (resting.status, resting.filled_qty) == (ExchangeOrderStatus.OPEN, D(0))

    cancel, named = stand_in.cancel
    door.replies[cancel] = (200, stand_in.canceled)
    adapter.cancel_order("BTCUSDT", CLIENT_ID)
    [request] = door.requests_to(cancel)
    assert named in f"{request.query}{request.body}"

    door.replies[open_place.request] = open_place.empty
    ended_place = next(place for place in reversed(stand_in.places) if CANCELED in place.tells)
    door.replies[ended_place.request] = (200, ended_place.holding([stand_in.order(CANCELED)]))
    ended = adapter.find_order("BTCUSDT", CLIENT_ID)
    assert ended is not None
    assert (ended.status, ended.filled_qty) == (ExchangeOrderStatus.CANCELED, D("0.004"))

    fills = adapter.trades("BTCUSDT", ended.exchange_order_id)
    assert [trade.exchange_order_id for trade in fills] == [OWN_ID, OWN_ID]


@pytest.mark.parametrize("has_ended", [True, False], ids=["ended", "not there"])
@pytest.mark.parametrize("name", ["coinbase", "htx"])
def test_an_order_that_does_not_rest_is_not_cancelled_by_the_exchange_s_own_id(
    door_and_adapter: tuple[Door, CcxtAdapter], name: str, has_ended: bool
) -> None:
    door, adapter = door_and_adapter
    stand_in = STAND_INS[name]
    cancel, _ = stand_in.cancel
    if has_ended:
        place = next(place for place in reversed(stand_in.places) if CANCELED in place.tells)
        door.replies[place.request] = (200, place.holding([stand_in.order(CANCELED)]))
    adapter.cancel_order("BTCUSDT", CLIENT_ID)
    assert door.requests_to(cancel) == []


@pytest.mark.parametrize("name", LIVES)
def test_every_fill_is_booked_with_its_fee_in_the_coin_that_paid_it(
    door_and_adapter: tuple[Door, CcxtAdapter], name: str
) -> None:
    door, adapter = door_and_adapter
    life = LIVES[name]
    expected = [
        Trade(trade, OWN_ID, "BTCUSDT", Fill("BTC", "USDT", "buy", D(price), D(qty), D(fee), life.fee_asset), NOW)
        for trade, price, qty, fee in zip(TRADES, PRICES, QUANTITIES, life.fees, strict=True)
    ]
    assert sorted(adapter.trades("BTCUSDT", OWN_ID), key=lambda trade: trade.trade_id) == expected
    [request] = door.requests_to(life.fills)
    assert life.narrowed in f"{request.query}{request.body}"


@pytest.mark.parametrize("name", LIVES)
def test_what_is_held_is_free_and_locked_to_the_last_digit(
    door_and_adapter: tuple[Door, CcxtAdapter], name: str
) -> None:
    _, adapter = door_and_adapter
    assert adapter.balances() == {"BTC": Balance(D(1), D("0.5")), "USDT": Balance(D("50.5"), D(10))}


@pytest.mark.parametrize(
    "name", sorted(set(LIVES) - {"htx", "kraken"})
)  # whose fills are asked for by the order itself
def test_a_fill_of_another_order_is_not_booked_for_ours(door_and_adapter: tuple[Door, CcxtAdapter], name: str) -> None:
    _, adapter = door_and_adapter
    assert adapter.trades("BTCUSDT", "8000002") == []


@pytest.mark.parametrize("number", [0, 1, KRAKEN_TRADES, KRAKEN_TRADES + 1, 2 * KRAKEN_TRADES])
def test_krakens_fills_are_asked_for_by_their_ids_and_never_by_none(exchange: Exchange, number: int) -> None:
    with run_stand_in(exchange, "kraken") as (door, adapter):
        life = LIVES["kraken"]
        [(request, order)] = life.before_fills.items()
        ids = [f"T{at}" for at in range(number)]
        assert isinstance(order, dict)
        one = order["result"][OWN_ID] | {"trades": ids}
        door.replies |= {request: (200, {"error": [], "result": {OWN_ID: one}}), life.fills: (200, life.filled)}
        adapter.trades("BTCUSDT", OWN_ID)
        asked = [made.body.partition("txid=")[2].split("%2C") for made in door.requests_to(life.fills)]
        assert [trade_id for request_ids in asked for trade_id in request_ids] == ids
