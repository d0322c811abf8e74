"""An exchange in trouble, or one that wants to be left alone, gets quiet; a key that fails is its owner's alone."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botbalance.models.order import OrderStatus
from botbalance.store.dynamodb import shard_name
from botbalance.trading.plan import preview

from tests.integration.trading.harness import TradingHarness
from workbench.faults.kinds import KINDS, FaultKind, Where

K = FaultKind
BTC = "BTCUSDT"
REPEATED_AFTER_S = [0.25, 1.0]


# limits


def test_a_key_that_asked_too_much_is_silent_until_it_may_ask_again_in_every_process(
    harness: TradingHarness, neighbour: str
) -> None:
    harness.injector.script(K.LIMITED, Where.OPEN_ORDERS, of=harness.key)
    assert "limits requests for 60 s" in (harness.tick().reason or "")
    told = harness.services
    asked = len(harness.signed())

    harness.services = harness.another_process()
    assert "this key for 30 s" in (harness.tick(seconds=30).reason or "")
    harness.services = told
    assert "this key for 1 s" in (harness.tick(seconds=29).reason or "")
    harness.work(harness.message(harness.user, neighbour))
    assert len(harness.booked(neighbour)) == 3
    assert len(harness.signed()) == asked

    harness.services = harness.another_process()
    assert len(harness.tick(seconds=1).placed) == 3
    assert harness.exchange.violations() == []
    assert harness.differences() == []


def test_a_banned_host_is_silent_for_everybody_in_every_process_until_the_ban_has_ended(
    harness: TradingHarness, neighbour: str
) -> None:
    harness.injector.script(K.BANNED, Where.OPEN_ORDERS, of=harness.key)
    harness.tick()
    asked = len(harness.requests)
    for seconds, process in ((30, harness.another_process()), (29, harness.services)):
        harness.services = process
        harness.now += seconds
        assert harness.work(harness.message(harness.user, neighbour)) == []
        for user in (harness.user, neighbour):
            assert "this host" in (harness.context.decisions.get(user, harness.now).reason or "")
    assert len(harness.requests) == asked

    harness.services = harness.another_process()
    harness.now += 1
    harness.work(harness.message(harness.user, neighbour))
    assert len(harness.booked()) == len(harness.booked(neighbour)) == 3
    assert harness.exchange.violations() == []


def test_a_limit_on_what_is_asked_without_a_key_leaves_out_everybodys_tick_until_it_has_ended(
    harness: TradingHarness, neighbour: str
) -> None:
    harness.injector.script(K.LIMITED, Where.QUOTES)
    for seconds in (30, 30):
        harness.now += seconds
        assert harness.work(harness.message(harness.user, neighbour)) == []
        assert harness.booked() == harness.booked(neighbour) == []
    harness.services = harness.another_process()
    harness.now += 30
    assert harness.work(harness.message(harness.user, neighbour)) == []
    assert len(harness.booked()) == len(harness.booked(neighbour)) == 3
    assert harness.exchange.violations() == []


@pytest.mark.parametrize("kind", [K.LIMITED, K.BANNED])
def test_an_order_that_meets_a_limit_is_looked_up_only_when_requests_are_allowed_again(
    harness: TradingHarness, kind: FaultKind
) -> None:
    harness.injector.script(kind, Where.PLACE_ORDER, about=BTC)
    harness.tick()
    assert (harness.order_on(BTC).status, len(harness.orders())) == (OrderStatus.PENDING, 1)
    assert harness.slept == []
    asked = len(harness.signed())
    harness.tick()
    assert len(harness.signed()) == asked
    for _ in range(5):
        harness.tick()
    assert sorted(order.symbol for order in harness.booked()) == [BTC, "ETHUSDT", "XRPUSDT"]
    assert harness.exchange.violations() == []
    assert harness.differences() == []


# trouble of the exchange's own

TROUBLE = [
    *((K.SERVER_ERROR, variant) for variant in KINDS[K.SERVER_ERROR].variants),
    (K.SERVER_ERROR_AFTER, "504"),
    *((K.MAINTENANCE, variant) for variant in KINDS[K.MAINTENANCE].variants),
]


@pytest.mark.parametrize(("kind", "variant"), TROUBLE, ids=str)
def test_a_read_that_meets_server_trouble_is_repeated_twice_and_then_the_tick_left_out(
    harness: TradingHarness, kind: FaultKind, variant: str
) -> None:
    harness.requests.clear()
    harness.injector.script(kind, Where.BALANCES, variant=variant, times=3)
    decision = harness.tick()
    assert (decision.outcome, len(harness.orders()), len(harness.booked())) == ("skipped", 0, 0)
    assert "did not answer as expected" in (decision.reason or "")
    assert len(harness.requests_to("/account")) == 3
    assert harness.slept == REPEATED_AFTER_S
    assert harness.context.strategies.get(harness.user).autopilot_enabled

    harness.injector.script(kind, Where.BALANCES, variant=variant, times=2)
    assert len(harness.tick().placed) == 3
    assert len(harness.requests_to("/account")) == 6
    assert harness.slept == REPEATED_AFTER_S * 2


def test_an_exchange_that_is_down_gets_three_requests_from_each_user_and_no_more(
    harness: TradingHarness, neighbour: str
) -> None:
    harness.requests.clear()
    for where in (Where.OPEN_ORDERS, Where.BALANCES, Where.QUOTES):
        harness.injector.script(K.MAINTENANCE, where, times=99)
    harness.now += 30
    harness.work(harness.message(harness.user, neighbour))
    for user in (harness.user, neighbour):
        assert [request.path for request in harness.signed(user)] == ["/api/v3/openOrders"] * 3
    assert len(harness.requests_to("/ticker/24hr")) <= 3


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
    harness: TradingHarness, kind: FaultKind, variant: str
) -> None:
    harness.injector.script(kind, Where.PLACE_ORDER, about=BTC, variant=variant)
    harness.injector.script(kind, Where.FIND_ORDER, about=BTC, variant=variant, times=99)
    for _ in range(3):
        harness.tick()
        assert harness.order_on(BTC).status is OrderStatus.PENDING
        assert len(harness.asked("POST", BTC)) == 1
    harness.injector.active = False
    for _ in range(4):
        harness.tick()
    assert [order.symbol for order in harness.booked()].count(BTC) == 1
    assert len(harness.asked("POST", BTC)) == 2
    assert harness.differences() == []


# the clock


def test_a_clock_that_is_off_is_set_once_and_the_tick_goes_on(harness: TradingHarness) -> None:
    harness.requests.clear()
    harness.injector.script(K.CLOCK_SKEW, Where.BALANCES)
    assert len(harness.tick().placed) == 3
    assert (len(harness.requests_to("/time")), len(harness.requests_to("/account"))) == (1, 2)
    assert harness.slept == []


def test_a_clock_that_stays_off_leaves_out_the_tick_and_is_not_set_for_ever(harness: TradingHarness) -> None:
    harness.requests.clear()
    harness.injector.script(K.CLOCK_SKEW, Where.BALANCES, times=99)
    assert harness.tick().outcome == "skipped"
    assert (len(harness.requests_to("/time")), len(harness.requests_to("/account"))) == (1, 2)
    assert harness.orders() == []


# the key


def nothing_yet(harness: TradingHarness) -> None:
    """Its first request of all is refused."""
    harness.services = harness.another_process()


def has_worked(harness: TradingHarness) -> None:
    """In showing what would be done."""
    preview(harness.context, harness.user)


def has_orders(harness: TradingHarness) -> None:
    harness.tick()


def has_an_order_to_look_up(harness: TradingHarness) -> None:
    harness.tick()
    harness.books.cancel(harness.key, BTC, client_order_id=harness.order_on(BTC).client_order_id)


def has_an_order_to_cancel(harness: TradingHarness) -> None:
    harness.set_strategy(order_max_age_s=0)
    harness.tick()
    harness.market.set_price(BTC, Decimal(41_000))


@pytest.mark.parametrize(
    ("before", "kind", "where"),
    [
        (nothing_yet, K.REVOKED, Where.OPEN_ORDERS),
        (has_worked, K.REVOKED, Where.OPEN_ORDERS),
        (has_worked, K.REVOKED, Where.BALANCES),
        (has_worked, K.REVOKED, Where.PLACE_ORDER),
        (has_worked, K.NO_PERMISSION, Where.PLACE_ORDER),
        (has_an_order_to_look_up, K.REVOKED, Where.FIND_ORDER),
        (has_an_order_to_cancel, K.NO_PERMISSION, Where.CANCEL_ORDER),
    ],
)
def test_a_key_that_is_refused_switches_its_owners_autopilot_off_with_the_reason_and_nobody_elses(
    harness: TradingHarness,
    neighbour: str,
    alarms: Callable[[], list[Any]],
    before: Callable[[TradingHarness], None],
    kind: FaultKind,
    where: Where,
) -> None:
    before(harness)
    placed = len(harness.booked())
    harness.injector.script(kind, where, of=harness.key)
    harness.now += 30
    assert harness.work(harness.message(harness.user, neighbour)) == []

    assert harness.injector.unplayed() == []
    strategy = harness.context.strategies.get(harness.user)
    assert not strategy.autopilot_enabled
    assert (strategy.disabled_reason or "").startswith("the exchange refuses the API key: ")
    assert "switched off" in (harness.context.decisions.get(harness.user, harness.now).reason or "")
    assert alarms() == [("autopilot_switched_off", harness.user)]
    assert len(harness.booked()) == placed
    assert harness.exchange.violations() == []
    assert harness.context.strategies.get(neighbour).autopilot_enabled
    assert len(harness.booked(neighbour)) == 3

    asked = len(harness.signed())
    harness.now += 30
    assert harness.work(harness.message(harness.user, neighbour)) == []
    assert len(harness.signed()) == asked
    assert harness.context.decisions.get(neighbour, harness.now).outcome == "decided"


def test_an_autopilot_that_cannot_be_switched_off_yet_is_switched_off_by_the_next_tick(harness: TradingHarness) -> None:
    strategies = harness.services.settings.strategies_table
    harness.injector.script(K.REVOKED, Where.OPEN_ORDERS, times=2)
    harness.injector.script(K.THROTTLED, Where.TRANSACTION, about=strategies, attempts=3)
    assert "not switched off yet" in (harness.tick().reason or "")
    assert harness.context.strategies.get(harness.user).autopilot_enabled
    assert (harness.tick().reason or "").startswith("autopilot switched off")
    assert not harness.context.strategies.get(harness.user).autopilot_enabled
    assert harness.booked() == []


# the key service


@pytest.mark.parametrize("variant", KINDS[K.KMS_FAILED].variants)
def test_a_key_that_cannot_be_decrypted_leaves_out_its_owners_tick_which_is_tried_again_at_the_next(
    harness: TradingHarness,
    neighbour: str,
    variant: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    harness.services = harness.another_process()  # it has decrypted nothing yet
    harness.requests.clear()
    shard = f"shard#{shard_name(harness.user)}"
    harness.injector.script(K.KMS_FAILED, Where.DECRYPTION, of=shard, variant=variant, attempts=3)
    harness.now += 30
    assert harness.work(harness.message(harness.user, neighbour)) == []

    decision = harness.context.decisions.get(harness.user, harness.now)
    assert decision.outcome == "skipped"
    assert f"the key service did not do what it was asked to ({variant})" in (decision.reason or "")
    assert harness.signed() == []
    assert harness.orders() == []
    assert len(harness.booked(neighbour)) == 3

    harness.now += 30
    assert harness.work(harness.message(harness.user, neighbour)) == []
    assert len(harness.booked()) == 3
    assert harness.differences() == []
    said = [caplog.text, *capfd.readouterr(), str([record.__dict__ for record in caplog.records]), str(decision)]
    for secret in (harness.key, f"secret-of-{harness.user}", f"key-of-{neighbour}", f"secret-of-{neighbour}"):
        assert all(secret not in text for text in said)
