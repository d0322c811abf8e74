"""One canonical id an intent, and a form of it that each exchange accepts."""

import re
from hashlib import new as new_hash

import pytest
from botbalance.exchange.client_order_ids import (
    canonical_client_order_id,
    client_id_on_exchange,
    client_id_params,
)
from botbalance.exchange.profiles import PROFILES

INTENT = ("demo", "BTCUSDT", "buy", 1_700_000_010, 0)
ACCEPTED = {
    "binance": r"[\.A-Z\:/a-z0-9_-]{1,36}",
    "okx": r"[A-Za-z0-9]{1,32}",
    "bybit": r".{1,36}",
    "kraken": r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|.{1,18}",
    "kucoin": r".{1,40}",
    "gate": r"t-[0-9A-Za-z_.-]{1,28}",
    "coinbase": r".{1,128}",
    "bitget": r".{1,40}",
    "htx": r".{1,64}",
    "mexc": r".{1,32}",
}


def expected_id(user_id: str, symbol: str, side: str, ts_tick: int, order_index: int) -> str:
    hashed = new_hash("sha1", usedforsecurity=False)
    for number, part in enumerate((user_id, symbol, side, str(ts_tick), str(order_index))):
        hashed.update((":" * bool(number) + part).encode("utf-8"))
    return "".join(f"{byte:02x}" for byte in hashed.digest())[:20]


@pytest.mark.parametrize(
    "intent",
    [INTENT, ("a" * 64, "ETHUSDT", "sell", 0, 12), ("пользователь-ß-你", "1000SATSUSDT", "buy", 2_000_000_010, 9999)],
)
def test_the_canonical_id_is_the_start_of_the_sha1_of_the_intent(intent: tuple[str, str, str, int, int]) -> None:
    assert canonical_client_order_id(*intent) == expected_id(*intent)


def test_an_id_once_made_never_changes() -> None:
    assert canonical_client_order_id(*INTENT) == "374dd1cd7e74c79cdbf1"


@pytest.mark.parametrize(
    "other",
    [
        ("demo2", "BTCUSDT", "buy", 1_700_000_010, 0),
        ("demo", "ETHUSDT", "buy", 1_700_000_010, 0),
        ("demo", "BTCUSDT", "sell", 1_700_000_010, 0),
        ("demo", "BTCUSDT", "buy", 1_700_000_040, 0),
        ("demo", "BTCUSDT", "buy", 1_700_000_010, 1),
    ],
)
def test_any_other_intent_has_another_id(other: tuple[str, str, str, int, int]) -> None:
    assert canonical_client_order_id(*other) != canonical_client_order_id(*INTENT)


@pytest.mark.parametrize("exchange", ACCEPTED)
def test_every_exchange_accepts_the_form_it_is_sent(exchange: str) -> None:
    canonical = canonical_client_order_id(*INTENT)
    assert re.fullmatch(ACCEPTED[exchange], client_id_on_exchange(PROFILES[exchange], canonical))


@pytest.mark.parametrize("exchange", sorted(ACCEPTED.keys() - {"kraken", "gate"}))
def test_the_canonical_id_is_sent_as_it_is_nearly_everywhere(exchange: str) -> None:
    canonical = canonical_client_order_id(*INTENT)
    assert client_id_on_exchange(PROFILES[exchange], canonical) == canonical


def test_kraken_is_sent_the_first_18_characters_because_it_refuses_20() -> None:
    canonical = canonical_client_order_id(*INTENT)
    assert not re.fullmatch(ACCEPTED["kraken"], canonical)
    assert client_id_on_exchange(PROFILES["kraken"], canonical) == canonical[:18]


def test_gate_is_sent_the_prefix_that_it_reports_too() -> None:
    assert client_id_on_exchange(PROFILES["gate"], "0123456789abcdef0123") == "t-0123456789abcdef0123"


@pytest.mark.parametrize("exchange", ACCEPTED)
def test_the_id_travels_under_the_unified_name_except_on_coinbase_where_ccxt_drops_it(exchange: str) -> None:
    canonical = canonical_client_order_id(*INTENT)
    name = "client_order_id" if exchange == "coinbase" else "clientOrderId"
    assert client_id_params(PROFILES[exchange], canonical) == {
        name: client_id_on_exchange(PROFILES[exchange], canonical)
    }


def test_every_exchange_is_asked_by_the_id_or_for_lists_that_hold_what_rests_and_what_ended() -> None:
    """Binance alone tells by the id whatever became of an order."""
    for exchange in ACCEPTED:
        first, *others = PROFILES[exchange].lookup.methods
        assert first in {"fetch_order", "fetch_open_orders"}
        assert bool(others) is (exchange != "binance"), exchange
        assert "fetch_open_orders" not in others[1:], "what ends meanwhile is in neither list"
