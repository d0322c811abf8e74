"""Whatever happens in whatever order: no order is doubled, none is lost, and in the end the books are equal."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from botbalance.exchange.adapter import OrderRequest, OrderUnknown, SubmitResult
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.store.orders import OrdersTable
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.life_cycle.conftest import LONG
from tests.integration.life_cycle.machine import WEIGHTS, LifeOfOrders
from tests.thorough import examples, thorough_only
from workbench.faults.kinds import KINDS

SHORT = settings(
    max_examples=examples(2, 8),
    stateful_step_count=18,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
"""The same lives each time."""
SHORTER = settings(SHORT, max_examples=2)
"""On the slower of two engines."""
UNTIL_FOUND = settings(SHORT, max_examples=100, phases=[Phase.generate], report_multiple_bugs=False)


def live(environment: Mapping[str, str], chosen: settings) -> None:
    class Life(LifeOfOrders):
        def __init__(self) -> None:
            super().__init__(environment)

    run_state_machine_as_test(Life, settings=chosen)


def test_no_order_is_doubled_or_lost(environment: Mapping[str, str], request: pytest.FixtureRequest) -> None:
    if settings.get_current_profile_name() == LONG:
        live(environment, settings())
    else:
        live(environment, SHORT if "embedded" in request.node.callspec.id else SHORTER)


@thorough_only
def test_orders_that_are_sent_without_an_intent_are_found(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OrdersTable, "create", lambda *_: True)
    with pytest.raises(AssertionError, match="on the exchange only"):
        live(environment, UNTIL_FOUND)


@thorough_only
def test_orders_that_are_sent_again_when_their_fate_is_unknown_are_found(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place_order = CcxtAdapter.place_order

    def place_twice(account: CcxtAdapter, order: OrderRequest) -> SubmitResult:
        placement = place_order(account, order)
        if not isinstance(placement, OrderUnknown):
            return placement
        return place_order(account, replace(order, client_order_id=order.client_order_id[::-1]))

    monkeypatch.setattr(CcxtAdapter, "place_order", place_twice)
    with pytest.raises(AssertionError, match=r"on the exchange only|at once"):
        live(environment, UNTIL_FOUND)


def test_every_fault_is_among_the_troubles() -> None:
    assert set(KINDS) == {kind for kind in KINDS if KINDS[kind].where & WEIGHTS.keys()}
