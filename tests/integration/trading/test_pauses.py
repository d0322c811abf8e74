"""What is not believed is listed with its evidence, and ended by its owner's word."""

from decimal import Decimal

import pytest
from botbalance.errors import ConflictError, NotFoundError
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


def test_what_is_not_held_cannot_be_resumed(harness: TradingHarness) -> None:
    harness.tick()
    with pytest.raises(NotFoundError):
        resume(harness.context, harness.user, "doubt-BTCUSDT")
