"""What is not believed is listed with its evidence, and ended by its owner's word."""

from decimal import Decimal

import pytest
from botbalance.errors import ConflictError, NotFoundError
from botbalance.trading.autopilot import switch_autopilot
from botbalance.trading.pauses import list_pauses, resume

from tests.integration.trading.harness import TradingHarness


def test_a_doubt_is_listed_with_its_evidence_and_ends_with_its_owner_s_word(harness: TradingHarness) -> None:
    harness.tick()
    assert list_pauses(harness.context, harness.user) == []
    harness.market.set_price("BTCUSDT", Decimal(4_000))
    assert [harness.tick().reason_code for _ in range(3)] == ["doubtful_picture"] * 3
    [pause] = list_pauses(harness.context, harness.user)
    assert (pause.pause_id, pause.since) == ("doubt-BTCUSDT", harness.now - 60)
    assert "4000" in pause.evidence
    assert "owner's word" in pause.evidence
    assert resume(harness.context, harness.user, pause.pause_id) == pause
    with pytest.raises(ConflictError):
        resume(harness.context, harness.user, pause.pause_id)
    assert harness.tick().outcome == "decided"
    [fall] = list_pauses(harness.context, harness.user)  # what is believed now is a collapse
    assert (fall.kind, fall.scope, fall.subject) == ("fall", "buys", "BTCUSDT")


def test_switching_off_and_on_is_no_word_on_what_is_doubted(harness: TradingHarness) -> None:
    harness.tick()
    harness.market.set_price("BTCUSDT", Decimal(4_000))
    assert [harness.tick().reason_code for _ in range(3)] == ["doubtful_picture"] * 3
    switch_autopilot(harness.context, harness.user, enabled=True)
    assert harness.tick().reason_code == "doubtful_picture", "it was on already"
    for enabled in (False, True):
        switch_autopilot(harness.context, harness.user, enabled=enabled)
    assert harness.tick().reason_code == "doubtful_picture"
    assert [pause.pause_id for pause in list_pauses(harness.context, harness.user)] == ["doubt-BTCUSDT"]


def test_a_coin_that_was_held_all_along_has_not_appeared_when_it_is_managed(harness: TradingHarness) -> None:
    harness.user = f"holds-eth-{harness.user}"
    harness.open_account(harness.user, {"USDT": Decimal(5000), "ETH": Decimal(1)})
    harness.set_strategy({"BTC": "50", "USDT": "50"})
    assert harness.tick().outcome == "decided"
    harness.set_strategy({"BTC": "40", "ETH": "30", "USDT": "30"})
    assert harness.tick().outcome == "decided"


def test_what_is_not_held_cannot_be_resumed(harness: TradingHarness) -> None:
    harness.tick()
    with pytest.raises(NotFoundError):
        resume(harness.context, harness.user, "doubt-BTCUSDT")
