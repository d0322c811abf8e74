"""Replies of each exchange in its own documented form, through ccxt's class over HTTP, against what is right.

``tests/fixtures/exchanges/NAME/METHOD.json`` holds cases: what the exchange replies to which request (a list: one reply
after the other; an object with ``status`` and ``body``: with that HTTP status), and what the adapter has to make of it,
worked out by hand.
"""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import Any

import pytest
from botbalance.errors import BotBalanceError
from botbalance.exchange.adapter import OrderRejected, OrderRequest
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.exchange.profiles import PROFILES

from tests.fixtures.documented import DOCUMENT, FIXTURES, METHODS, document_with, tables
from tests.integration.exchange.fake_exchanges import CLIENT_ID, OWN_ID, Broken, Door, run_stand_in
from tests.integration.exchange.simulated import Exchange
from tests.integration.exchange.test_markets_and_prices import BESIDES

_BARE_LISTS = {"gate", "binance", "mexc"}
"""Exchanges whose one reply may be a list."""
FAMILIES = {profile.family for profile in PROFILES.values()}


def cases(method: str) -> list[Any]:
    found = []
    for path in sorted(FIXTURES.glob(f"*/{method}.json")):
        for case in json.loads(path.read_text())["cases"]:
            found.append(pytest.param(path.parent.name, case, id=f"{path.parent.name}: {case['case']}"))
    return found


@contextmanager
def replying(exchange: Exchange, name: str, replies: dict[str, Any]) -> Iterator[tuple[Door, CcxtAdapter]]:
    """An adapter whose exchange says ``replies``."""
    with run_stand_in(exchange, name) as (door, adapter):
        for request, reply in replies.items():
            if isinstance(reply, dict) and reply.keys() == {"status", "body"}:
                body = reply["body"] if isinstance(reply["body"], str) else json.dumps(reply["body"])
                door.broken[request] = Broken(body, reply["status"])
            elif isinstance(reply, list) and (name not in _BARE_LISTS or (reply and isinstance(reply[0], list))):
                door.replies[request] = (200, reply[-1])
                door.pages[request] = reply[:-1]
            else:
                door.replies[request] = (200, reply)
        yield door, adapter


def test_every_exchange_has_every_method() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == FAMILIES
    for name in FAMILIES:
        assert {path.stem for path in (FIXTURES / name).iterdir()} == set(METHODS), name


def test_every_file_names_the_page_that_documents_it() -> None:
    for path in FIXTURES.glob("*/*.json"):
        assert json.loads(path.read_text())["documented_at"].startswith("https://"), path


def test_the_tables_of_the_documentation_are_those_of_profiles_and_fixtures() -> None:
    document = DOCUMENT.read_text()
    assert "\n### kraken\n" in document
    assert document == document_with(tables(), document), "make exchange-tables"


@pytest.mark.parametrize(("name", "case"), cases("balances"))
def test_balances(exchange: Exchange, name: str, case: dict[str, Any]) -> None:
    with replying(exchange, name, case["replies"]) as (_, adapter):
        found = adapter.balances()
    assert {asset: (balance.free, balance.locked) for asset, balance in found.items()} == {
        asset: tuple(map(Decimal, amounts)) for asset, amounts in case["expected"].items()
    }


@pytest.mark.parametrize(("name", "case"), cases("open_orders"))
def test_open_orders(exchange: Exchange, name: str, case: dict[str, Any]) -> None:
    with replying(exchange, name, case["replies"]) as (_, adapter):
        orders = adapter.open_orders()
    found = [[one.exchange_order_id, one.client_order_id, one.symbol, one.status.value] for one in orders]
    expected = case["expected"]
    if isinstance(expected, dict):
        assert expected["contains"] in found
        assert len(found) == len({one[0] for one in found}) == expected["count"]
    else:
        assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(("name", "case"), cases("order"))
def test_what_became_of_an_order(exchange: Exchange, name: str, case: dict[str, Any]) -> None:
    with replying(exchange, name, case["replies"]) as (_, adapter):
        found = adapter.find_order("BTCUSDT", CLIENT_ID)
    assert found is not None
    expected = case["expected"]
    assert {"status": found.status.value, **({"reason": found.reason} if "reason" in expected else {})} == expected


@pytest.mark.parametrize(("name", "case"), cases("fills"))
def test_fills_and_their_fees(exchange: Exchange, name: str, case: dict[str, Any]) -> None:
    with replying(exchange, name, case["replies"]) as (_, adapter):
        trades = adapter.trades("BTCUSDT", OWN_ID)
    found = [(one.trade_id, one.fill.base_qty, one.fill.fee, one.fill.fee_asset) for one in trades]
    assert found == [(trade, Decimal(qty), Decimal(fee), asset) for trade, qty, fee, asset in case["expected"]]


@pytest.mark.parametrize(("name", "case"), cases("refusals"))
def test_refusals(exchange: Exchange, name: str, case: dict[str, Any]) -> None:
    with replying(exchange, name, case["replies"]) as (_, adapter):
        if "balances" in case["expected"]:
            with pytest.raises(BotBalanceError) as raised:
                adapter.balances()
            code = raised.value.code
            assert code == case["expected"]["balances"], str(raised.value)
            if code == "exchange_refuses_region":
                assert "another AWS region" in str(raised.value)
        else:
            sent = adapter.place_order(
                OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True)
            )
            assert isinstance(sent, OrderRejected), sent
            assert sent.code == case["expected"]["place"], sent


@pytest.mark.parametrize(("name", "case"), cases("markets"))
def test_on_which_sides_a_market_trades(exchange: Exchange, name: str, case: dict[str, Any]) -> None:
    with replying(exchange, name, case["replies"]) as (door, trader):
        door.replies |= {request: (200, reply) for request, reply in BESIDES.items()}
        with closing(CcxtAdapter(name, base_url=trader._client.rerouted_to, sleep=lambda _: None)) as adapter:
            [listing] = adapter.market_listings(["BTCUSDT"]).values()
    sides = {side for side in ("buy", "sell") if listing.rules.takes(side)}
    assert sides == {"both": {"buy", "sell"}, "none": set()}.get(case["expected"], {case["expected"]})
