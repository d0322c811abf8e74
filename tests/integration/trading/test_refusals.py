"""What the exchange definitely refuses is final, and one user's trouble stops nobody else."""

import json
from decimal import Decimal
from typing import Any

import pytest
from botbalance.deadline import OUT_OF_TIME
from botbalance.errors import CredentialsRejectedError, RateLimitedError, TransientError
from botbalance.exchange.adapter import KEY_REFUSED, RATE_LIMITED, WOULD_TAKE, OrderRejected, OrderUnknown, SubmitResult
from botbalance.models.order import OrderStatus
from botbalance.models.strategy import Strategy
from botbalance.trading.autopilot import switch_autopilot, switch_off, switch_off_for_key
from botbalance.trading.plan import Plan, preview
from botbalance.trading.strategy import patch_strategy
from botbalance.trading.submission import reason_to_stop

from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness


def place(harness: TradingHarness, plan: Plan) -> list[Any]:
    return harness.place(plan)


def test_a_revoked_key_switches_the_autopilot_off_with_the_reason_and_affects_nobody_else(
    harness: TradingHarness,
) -> None:
    neighbour = f"{harness.user}-neighbour"
    harness.open_account(neighbour, TEN_THOUSAND_USDT)
    harness.set_strategy(user=neighbour)
    harness.tick()
    harness.books.revoke_key(harness.key)
    harness.now += 30

    assert harness.work(harness.message(harness.user, neighbour)) == []

    strategy: Strategy = harness.context.strategies.get(harness.user)
    assert not strategy.autopilot_enabled
    assert "API key" in (strategy.disabled_reason or "")
    assert "switched off" in (harness.context.decisions.get(harness.user, harness.now).reason or "")
    assert harness.user not in dict(harness.context.strategies.users_to_tick())
    assert harness.context.strategies.get(neighbour).autopilot_enabled
    assert len(harness.orders(neighbour)) == len(harness.booked(neighbour)) == 3


def test_why_the_autopilot_is_off_outlives_a_change_of_the_strategy(harness: TradingHarness) -> None:
    harness.books.revoke_key(harness.key)
    harness.tick()
    stored = harness.context.strategies.get(harness.user)
    assert "API key" in (stored.disabled_reason or "")
    saved = patch_strategy(harness.context, harness.user, {"post_only": False}, stored).strategy
    assert (saved.post_only, saved.disabled_reason) == (False, stored.disabled_reason)


def test_an_autopilot_that_two_runs_switch_off_for_the_same_reason_is_switched_off_once(
    harness: TradingHarness,
) -> None:
    refused = CredentialsRejectedError(KEY_REFUSED, "the exchange refuses the API key")
    versions = []
    for _ in range(2):
        switch_off_for_key(harness.context, harness.user, refused)
        versions.append(harness.context.strategies.get(harness.user).version)
    assert versions[0] == versions[1]


def test_an_autopilot_is_switched_off_although_its_owner_changes_the_strategy_at_that_moment(
    harness: TradingHarness,
) -> None:
    overtaken: list[Strategy] = []

    def change_before_it_is_written(boundary: str) -> None:
        if boundary == "before dynamodb.TransactWriteItems" and not overtaken:
            overtaken.append(harness.context.strategies.get(harness.user))
            harness.context.strategies.save(overtaken[0].model_copy(update={"post_only": False}))

    harness.services.on_boundary = change_before_it_is_written
    switch_off_for_key(harness.context, harness.user, CredentialsRejectedError(KEY_REFUSED, "no such key"))
    stored = harness.context.strategies.get(harness.user)
    assert (len(overtaken), stored.autopilot_enabled, stored.post_only) == (1, False, False)


def test_an_autopilot_that_is_switched_off_beside_a_stop_goes_on_stopping(harness: TradingHarness) -> None:
    stopped = {"autopilot_enabled": False, "stopping": True}
    harness.context.strategies.save(harness.context.strategies.get(harness.user).model_copy(update=stopped))
    assert switch_off(harness.context, harness.user, "a budget has paused the account")
    assert harness.context.strategies.get(harness.user).stopping


def test_switching_on_again_after_a_refused_key_takes_a_key_that_works(harness: TradingHarness) -> None:
    harness.books.revoke_key(harness.key)
    harness.tick()
    with pytest.raises(Exception, match="API key"):
        switch_autopilot(harness.context, harness.user, enabled=True)
    harness.books.open_account(harness.key, f"secret-of-{harness.user}", TEN_THOUSAND_USDT)
    strategy = switch_autopilot(harness.context, harness.user, enabled=True)
    assert strategy.autopilot_enabled
    assert strategy.disabled_reason is None


def test_a_key_that_may_read_but_not_trade_switches_the_autopilot_off_at_the_first_order(
    newcomer: TradingHarness,
) -> None:
    harness = newcomer
    harness.open_account(harness.user, TEN_THOUSAND_USDT)
    harness.set_strategy()
    account = harness.books.account(harness.key)
    assert account is not None
    account.can_trade = False

    decision = harness.tick()

    assert "refuses the API key" in (decision.reason or "")
    assert not harness.context.strategies.get(harness.user).autopilot_enabled
    (order,) = harness.orders()
    assert [placed["client_order_id"] for placed in decision.placed] == [order.client_order_id]
    assert order.status is OrderStatus.REJECTED
    assert (order.reason or "").startswith("exchange_key_refused: ")


def test_a_user_whose_tick_breaks_stops_nobody_in_the_same_message(harness: TradingHarness) -> None:
    broken = f"{harness.user}-broken"
    harness.open_account(broken, TEN_THOUSAND_USDT)
    harness.set_strategy(user=broken)
    harness.services.dynamodb.update_item(
        TableName=harness.services.settings.strategies_table,
        Key={"user_id": {"S": broken}},
        UpdateExpression="SET document = :nonsense",
        ExpressionAttributeValues={":nonsense": {"S": "{}"}},
    )
    harness.now += 30
    assert harness.work(harness.message(broken, harness.user)) == []
    assert len(harness.orders()) == 3


def test_a_message_delivered_twice_trades_once(harness: TradingHarness) -> None:
    harness.now += 30
    for _ in range(2):
        assert harness.work(harness.message(harness.user)) == []
    assert len(harness.asked("POST")) == len(harness.booked()) == 3


def test_a_message_that_cannot_be_read_is_reported_so_that_it_ends_in_the_dead_letters(harness: TradingHarness) -> None:
    assert harness.work(json.dumps({"ts_tick": "soon", "users": harness.versions(harness.user)})) == [0]


def test_insufficient_funds_are_final_with_the_exchanges_reason(harness: TradingHarness) -> None:
    plan = preview(harness.context, harness.user)
    harness.books.transfer(harness.key, "USDT", Decimal(-9_700))

    orders = place(harness, plan)

    assert [order.status for order in orders] == [OrderStatus.OPEN, OrderStatus.REJECTED, OrderStatus.REJECTED]
    assert orders[1].reason.startswith("insufficient_funds: ")
    assert "insufficient balance" in orders[1].reason
    assert len(harness.asked("POST")) == 3
    assert harness.slept == []
    assert [order.client_order_id for order in harness.context.orders.unreconciled(harness.user)] == [
        orders[0].client_order_id
    ]


def test_an_order_outside_the_price_band_is_refused_for_good_and_priced_anew_by_the_next_tick(
    harness: TradingHarness,
) -> None:
    for enabled in (False, True):  # with a look at the prices as they are
        switch_autopilot(harness.context, harness.user, enabled=enabled)
    plan = preview(harness.context, harness.user)
    harness.market.set_price("BTCUSDT", Decimal(400_000))

    orders = place(harness, plan)

    assert orders[0].status is OrderStatus.REJECTED
    assert "PERCENT_PRICE_BY_SIDE" in orders[0].reason
    assert len(harness.asked("POST")) == 3
    assert "jumped" in (harness.tick().reason or "")
    assert "BTCUSDT" in [order["symbol"] for order in harness.tick().placed]


def test_a_post_only_order_that_would_take_is_refused_for_good(harness: TradingHarness) -> None:
    plan = preview(harness.context, harness.user)
    harness.market.set_price("BTCUSDT", Decimal(39_000))
    orders = place(harness, plan)
    assert [order.status for order in orders] == [OrderStatus.REJECTED, OrderStatus.OPEN, OrderStatus.OPEN]
    assert "immediately" in orders[0].reason


def test_a_market_that_was_halted_meanwhile_refuses_for_good(harness: TradingHarness) -> None:
    plan = preview(harness.context, harness.user)
    harness.market.halt("BTCUSDT")
    orders = place(harness, plan)
    assert [order.status for order in orders] == [OrderStatus.REJECTED, OrderStatus.OPEN, OrderStatus.OPEN]


@pytest.mark.parametrize(
    ("submitted", "raised"),
    [
        (OrderRejected(KEY_REFUSED, "no such key"), CredentialsRejectedError),
        (OrderRejected(RATE_LIMITED, "nothing for 60 s"), TransientError),
        (OrderRejected(OUT_OF_TIME, "3 s are left"), TransientError),
        (OrderUnknown("429", 60), RateLimitedError),
        (OrderUnknown("no answer"), None),
        (OrderRejected(WOULD_TAKE, "it would trade at once"), None),
    ],
    ids=str,
)
def test_nothing_more_is_sent_where_nothing_more_would_be_taken(
    submitted: SubmitResult, raised: type[Exception] | None
) -> None:
    assert type(reason_to_stop(submitted)) is (raised or type(None))
