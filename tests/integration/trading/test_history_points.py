"""A point of the history is of one moment: everything booked that it shows, once an hour, and never in a tick's way."""

from decimal import Decimal
from typing import Any

from botbalance.models.history import HistoryPoint
from botbalance.store.pagination import ALWAYS
from botbalance.trading.execute import execute_once
from botocore.exceptions import ReadTimeoutError

from tests.integration.trading.harness import FIRST_PRICES, TradingHarness
from workbench.faults.kinds import FaultKind, Where

HOUR_S = 3_600


def points(harness: TradingHarness) -> list[HistoryPoint]:
    return harness.context.history.last_of_each(harness.user, ALWAYS, str)


def next_hour(harness: TradingHarness) -> None:
    """Tick at the beginning of the next hour."""
    harness.tick(HOUR_S - harness.now % HOUR_S)


def test_the_first_look_of_an_hour_writes_its_point(harness: TradingHarness) -> None:
    next_hour(harness)
    first = harness.now
    harness.tick()
    next_hour(harness)
    assert [(point.at, point.nav, point.bonus) for point in points(harness)] == [
        (first, Decimal(10_000), Decimal(0)),
        (first + HOUR_S, Decimal(10_000), Decimal(0)),
    ]


def test_an_execution_by_hand_writes_one_too(harness: TradingHarness) -> None:
    harness.set_strategy(autopilot=False)
    execute_once(harness.context, harness.user)
    assert [point.at for point in points(harness)] == [harness.now]


def test_while_a_fill_is_not_booked_there_is_no_point_yet(harness: TradingHarness) -> None:
    harness.tick()
    harness.market.set_price("BTCUSDT", FIRST_PRICES["BTCUSDT"] * Decimal("0.99"))
    harness.injector.script(FaultKind.NOT_RECEIVED, Where.TRADES, times=9)
    next_hour(harness)
    hour = harness.now
    assert [point.at for point in points(harness) if point.at >= hour] == []
    harness.injector.active = False
    harness.tick()
    assert [point.at for point in points(harness) if point.at >= hour] == [hour + 30]


def test_a_point_that_cannot_be_written_keeps_no_tick_from_trading(harness: TradingHarness) -> None:
    table = harness.services.settings.history_table

    def refuse(params: dict[str, Any], **_: Any) -> None:
        if params["TableName"] == table:
            raise ReadTimeoutError(endpoint_url="http://127.0.0.1")

    events = harness.services.dynamodb.meta.events
    events.register("provide-client-params.dynamodb.UpdateItem", refuse)
    assert len(harness.tick().placed) == 3
    assert points(harness) == []
    events.unregister("provide-client-params.dynamodb.UpdateItem", refuse)
    harness.tick()
    assert [point.at for point in points(harness)] == [harness.now]


def test_a_traded_asset_without_a_price_leaves_the_bonus_open(harness: TradingHarness) -> None:
    harness.tick()
    harness.market.set_price("XRPUSDT", FIRST_PRICES["XRPUSDT"] * Decimal("0.99"))
    harness.tick()
    harness.set_strategy({"BTC": "60", "USDT": "40"})
    harness.injector.script(FaultKind.NOT_RECEIVED, Where.QUOTES, about="XRPUSDT", times=9)
    next_hour(harness)
    assert [(point.bonus, point.hold) for point in points(harness)[-1:]] == [(None, None)]
