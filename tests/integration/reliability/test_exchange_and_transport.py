"""An exchange in trouble, or one that wants to be left alone, gets quiet; a key that fails is its owner's alone."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botbalance.store.orders import OrderStatus
from botbalance.trading.plan import preview

from tests.integration.trading.world import World
from workbench.faults.kinds import KINDS, FaultKind, Where

K = FaultKind
BTC = "BTCUSDT"
REPEATED_AFTER_S = [0.25, 1.0]


# limits


def test_a_key_that_asked_too_much_is_silent_until_it_may_ask_again_in_every_process(
    world: World, neighbour: str
) -> None:
    world.injector.script(K.LIMITED, Where.OPEN_ORDERS, of=world.key)
    assert "limits requests for 60 s" in (world.tick().reason or "")
    told = world.services
    asked = len(world.signed())

    world.services = world.another_process()
    assert "this key for 30 s" in (world.tick(seconds=30).reason or "")
    world.services = told
    assert "this key for 1 s" in (world.tick(seconds=29).reason or "")
    world.work(world.message(world.user, neighbour))
    assert len(world.booked(neighbour)) == 3
    assert len(world.signed()) == asked

    world.services = world.another_process()
    assert len(world.tick(seconds=1).placed) == 3
    assert world.exchange.violations() == []
    assert world.differences() == []


def test_a_banned_host_is_silent_for_everybody_in_every_process_until_the_ban_has_ended(
    world: World, neighbour: str
) -> None:
    world.injector.script(K.BANNED, Where.OPEN_ORDERS, of=world.key)
    world.tick()
    asked = len(world.requests)
    for seconds, process in ((30, world.another_process()), (29, world.services)):
        world.services = process
        world.now += seconds
        assert world.work(world.message(world.user, neighbour)) == []
        for user in (world.user, neighbour):
            assert "this host" in (world.desk.decisions.get(user, world.now).reason or "")
    assert len(world.requests) == asked

    world.services = world.another_process()
    world.now += 1
    world.work(world.message(world.user, neighbour))
    assert len(world.booked()) == len(world.booked(neighbour)) == 3
    assert world.exchange.violations() == []


def test_a_limit_on_what_is_asked_without_a_key_leaves_out_everybodys_tick_until_it_has_ended(
    world: World, neighbour: str
) -> None:
    world.injector.script(K.LIMITED, Where.QUOTES)
    for seconds in (30, 30):
        world.now += seconds
        assert world.work(world.message(world.user, neighbour)) == []
        assert world.booked() == world.booked(neighbour) == []
    world.services = world.another_process()
    world.now += 30
    assert world.work(world.message(world.user, neighbour)) == []
    assert len(world.booked()) == len(world.booked(neighbour)) == 3
    assert world.exchange.violations() == []


@pytest.mark.parametrize("kind", [K.LIMITED, K.BANNED])
def test_an_order_that_meets_a_limit_is_looked_up_only_when_requests_are_allowed_again(
    world: World, kind: FaultKind
) -> None:
    world.injector.script(kind, Where.PLACE_ORDER, about=BTC)
    world.tick()
    assert (world.order_on(BTC).status, len(world.orders())) == (OrderStatus.PENDING, 1)
    assert world.slept == []
    asked = len(world.signed())
    world.tick()
    assert len(world.signed()) == asked
    for _ in range(4):
        world.tick()
    assert sorted(order.symbol for order in world.booked()) == [BTC, "ETHUSDT", "XRPUSDT"]
    assert world.exchange.violations() == []
    assert world.differences() == []


# trouble of the exchange's own

TROUBLE = [
    *((K.SERVER_ERROR, variant) for variant in KINDS[K.SERVER_ERROR].variants),
    (K.SERVER_ERROR_AFTER, "504"),
    *((K.MAINTENANCE, variant) for variant in KINDS[K.MAINTENANCE].variants),
]


@pytest.mark.parametrize(("kind", "variant"), TROUBLE, ids=str)
def test_a_read_that_meets_server_trouble_is_repeated_twice_and_then_the_tick_left_out(
    world: World, kind: FaultKind, variant: str
) -> None:
    world.requests.clear()
    world.injector.script(kind, Where.BALANCES, variant=variant, times=3)
    decision = world.tick()
    assert (decision.outcome, len(world.orders()), len(world.booked())) == ("skipped", 0, 0)
    assert "did not answer as expected" in (decision.reason or "")
    assert len(world.requests_to("/account")) == 3
    assert world.slept == REPEATED_AFTER_S
    assert world.desk.strategies.get(world.user).autopilot_enabled

    world.injector.script(kind, Where.BALANCES, variant=variant, times=2)
    assert len(world.tick().placed) == 3
    assert len(world.requests_to("/account")) == 6
    assert world.slept == REPEATED_AFTER_S * 2


def test_an_exchange_that_is_down_gets_three_requests_from_each_user_and_no_more(world: World, neighbour: str) -> None:
    world.requests.clear()
    for where in (Where.OPEN_ORDERS, Where.BALANCES, Where.QUOTES):
        world.injector.script(K.MAINTENANCE, where, times=99)
    world.now += 30
    world.work(world.message(world.user, neighbour))
    for user in (world.user, neighbour):
        assert [request.path for request in world.signed(user)] == ["/api/v3/openOrders"] * 3
    assert len(world.requests_to("/ticker/24hr")) <= 3


@pytest.mark.parametrize(
    ("kind", "variant"),
    [
        (K.SERVER_ERROR, "500"),
        (K.SERVER_ERROR, "503"),
        (K.MAINTENANCE, "page"),
        (K.MAINTENANCE, "message"),
    ],
    ids=str,
)
def test_an_order_that_meets_server_trouble_is_unknown_and_never_repeated(
    world: World, kind: FaultKind, variant: str
) -> None:
    world.injector.script(kind, Where.PLACE_ORDER, about=BTC, variant=variant)
    world.injector.script(kind, Where.FIND_ORDER, about=BTC, variant=variant, times=99)
    for _ in range(3):
        world.tick()
        assert world.order_on(BTC).status is OrderStatus.PENDING
        assert len(world.asked("POST", BTC)) == 1
    world.injector.active = False
    for _ in range(3):
        world.tick()
    assert [order.symbol for order in world.booked()].count(BTC) == 1
    assert len(world.asked("POST", BTC)) == 2
    assert world.differences() == []


# the clock


def test_a_clock_that_is_off_is_set_once_and_the_tick_goes_on(world: World) -> None:
    world.requests.clear()
    world.injector.script(K.CLOCK_SKEW, Where.BALANCES)
    assert len(world.tick().placed) == 3
    assert (len(world.requests_to("/time")), len(world.requests_to("/account"))) == (1, 2)
    assert world.slept == []


def test_a_clock_that_stays_off_leaves_out_the_tick_and_is_not_set_for_ever(world: World) -> None:
    world.requests.clear()
    world.injector.script(K.CLOCK_SKEW, Where.BALANCES, times=99)
    assert world.tick().outcome == "skipped"
    assert (len(world.requests_to("/time")), len(world.requests_to("/account"))) == (1, 2)
    assert world.orders() == []


# the key


def nothing_yet(world: World) -> None:
    """Its first request of all is refused."""
    world.services = world.another_process()


def has_worked(world: World) -> None:
    """In showing what would be done."""
    preview(world.desk, world.user)


def has_orders(world: World) -> None:
    world.tick()


def has_an_order_to_look_up(world: World) -> None:
    world.tick()
    world.books.cancel(world.key, BTC, client_order_id=world.order_on(BTC).client_order_id)


def has_an_order_to_cancel(world: World) -> None:
    world.set_strategy(order_max_age_s=0)
    world.tick()
    world.market.set_price(BTC, Decimal(41_000))


@pytest.mark.parametrize(
    ("before", "kind", "where", "shown_as"),
    [
        (nothing_yet, K.REVOKED, Where.OPEN_ORDERS, "AuthenticationError"),
        (has_worked, K.REVOKED, Where.OPEN_ORDERS, "DDoSProtection"),
        (has_worked, K.REVOKED, Where.BALANCES, "DDoSProtection"),
        (has_worked, K.REVOKED, Where.PLACE_ORDER, "DDoSProtection"),
        (has_worked, K.NO_PERMISSION, Where.PLACE_ORDER, "DDoSProtection"),
        (has_an_order_to_look_up, K.REVOKED, Where.FIND_ORDER, "DDoSProtection"),
        (has_an_order_to_cancel, K.NO_PERMISSION, Where.CANCEL_ORDER, "DDoSProtection"),
    ],
)
def test_a_key_that_is_refused_switches_its_owners_autopilot_off_with_the_reason_and_nobody_elses(
    world: World,
    neighbour: str,
    alarms: Callable[[], list[Any]],
    before: Callable[[World], None],
    kind: FaultKind,
    where: Where,
    shown_as: str,
) -> None:
    before(world)
    placed = len(world.booked())
    world.injector.script(kind, where, of=world.key)
    world.now += 30
    assert world.work(world.message(world.user, neighbour)) == []

    assert world.injector.unplayed() == []
    strategy = world.desk.strategies.get(world.user)
    assert not strategy.autopilot_enabled
    assert (strategy.disabled_reason or "").startswith(f"the exchange refuses the API key: {shown_as}")
    assert "switched off" in (world.desk.decisions.get(world.user, world.now).reason or "")
    assert alarms() == [("autopilot_switched_off", world.user)]
    assert len(world.booked()) == placed
    assert world.exchange.violations() == []
    assert world.desk.strategies.get(neighbour).autopilot_enabled
    assert len(world.booked(neighbour)) == 3

    asked = len(world.signed())
    world.now += 30
    assert world.work(world.message(world.user, neighbour)) == []
    assert len(world.signed()) == asked
    assert world.desk.decisions.get(neighbour, world.now).outcome == "decided"


def test_an_autopilot_that_cannot_be_switched_off_yet_is_switched_off_by_the_next_tick(world: World) -> None:
    strategies = world.services.settings.strategies_table
    world.injector.script(K.REVOKED, Where.OPEN_ORDERS, times=2)
    world.injector.script(K.THROTTLED, Where.DATABASE_WRITE, about=strategies, attempts=3)
    assert "not switched off yet" in (world.tick().reason or "")
    assert world.desk.strategies.get(world.user).autopilot_enabled
    assert (world.tick().reason or "").startswith("autopilot switched off")
    assert not world.desk.strategies.get(world.user).autopilot_enabled
    assert world.booked() == []


# the key service


@pytest.mark.parametrize("variant", KINDS[K.KMS_FAILED].variants)
def test_a_key_that_cannot_be_decrypted_leaves_out_its_owners_tick_which_is_tried_again_at_the_next(
    world: World,
    neighbour: str,
    variant: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    world.services = world.another_process()  # it has decrypted nothing yet
    world.requests.clear()
    world.injector.script(K.KMS_FAILED, Where.DECRYPTION, of=world.user, variant=variant, attempts=3)
    world.now += 30
    assert world.work(world.message(world.user, neighbour)) == []

    decision = world.desk.decisions.get(world.user, world.now)
    assert decision.outcome == "skipped"
    assert f"the key service did not do what it was asked to ({variant})" in (decision.reason or "")
    assert world.signed() == []
    assert world.orders() == []
    assert len(world.booked(neighbour)) == 3

    world.now += 30
    assert world.work(world.message(world.user, neighbour)) == []
    assert len(world.booked()) == 3
    assert world.differences() == []
    said = [caplog.text, *capfd.readouterr(), str([record.__dict__ for record in caplog.records]), str(decision)]
    for secret in (world.key, f"secret-of-{world.user}", f"key-of-{neighbour}", f"secret-of-{neighbour}"):
        assert all(secret not in text for text in said)
