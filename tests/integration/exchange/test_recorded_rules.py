"""The rules of every market that Binance listed in 2025, parsed by the adapter, against the recorded filters."""

import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.simulated import Fault, running_exchange

SHARED_DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
RECORDED = SHARED_DATA / "binance" / "api_v3_exchangeInfo_GET.json"
PARSED_BY_CCXT = SHARED_DATA / "markets" / "binance.json"


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, Any]]:
    """The recorded spot markets by symbol."""
    if not RECORDED.is_file():
        pytest.skip("the recorded data beside the repository (../shared/data) is not here")
    symbols = _exchange_info(json.loads(RECORDED.read_text()))["symbols"]
    return {f"{_name(market['baseAsset'])}{market['quoteAsset']}": market for market in symbols}


@pytest.fixture(scope="module")
def adapter(recorded: dict[str, dict[str, Any]]) -> Iterator[CcxtAdapter]:
    with running_exchange() as exchange:
        body = json.dumps({"timezone": "UTC", "serverTime": 1, "symbols": list(recorded.values())})
        exchange.api.faults["GET", "/api/v3/exchangeInfo"] = Fault.body(body)
        with closing(CcxtAdapter("binance", base_url=exchange.url)) as adapter:
            yield adapter


def test_every_recorded_filter_is_a_rule(adapter: CcxtAdapter, recorded: dict[str, dict[str, Any]]) -> None:
    listings = adapter.market_listings(recorded)
    assert len(recorded) > 0
    assert listings.keys() == recorded.keys()
    for symbol, market in recorded.items():
        rules = listings[symbol].rules
        found = {name: getattr(rules, name) for name in expected_rules(market)}
        assert found == expected_rules(market), symbol


def test_the_rules_are_those_of_the_markets_that_ccxt_parsed_when_they_were_recorded(
    adapter: CcxtAdapter, recorded: dict[str, dict[str, Any]]
) -> None:
    if not PARSED_BY_CCXT.is_file():
        pytest.skip("ccxt's parsed markets beside the repository (../shared/data) are not here")
    parsed = json.loads(PARSED_BY_CCXT.read_text(), parse_float=Decimal, parse_int=Decimal)
    markets = parsed.values() if isinstance(parsed, dict) else parsed
    by_symbol = {f"{one['base']}{one['quote']}": one for one in markets if one.get("spot")}
    listings = adapter.market_listings(recorded)
    shared = sorted(listings.keys() & by_symbol.keys())
    assert shared
    for symbol in shared:
        precision, rules = by_symbol[symbol]["precision"], listings[symbol].rules
        grid = Decimal(str(precision["price"])), Decimal(str(precision["amount"]))
        assert (rules.tick_size, rules.lot_size) == grid, symbol


def expected_rules(market: dict[str, Any]) -> dict[str, Any]:
    """Binance's own words for the rules, a filter each; a maximum of 0 is none."""
    filters = {entry["filterType"]: entry for entry in market["filters"]}
    price, lot, band = filters["PRICE_FILTER"], filters["LOT_SIZE"], filters["PERCENT_PRICE_BY_SIDE"]
    notional = filters.get("NOTIONAL") or filters["MIN_NOTIONAL"]
    return {
        "base": _name(market["baseAsset"]),
        "quote": market["quoteAsset"],
        "tick_size": Decimal(price["tickSize"]),
        "min_price": Decimal(price["minPrice"]),
        "max_price": Decimal(price["maxPrice"]) or None,
        "lot_size": Decimal(lot["stepSize"]),
        "min_qty": Decimal(lot["minQty"]),
        "max_qty": Decimal(lot["maxQty"]) or None,
        "min_notional": Decimal(notional["minNotional"]),
        "max_notional": Decimal(notional["maxNotional"]) if "maxNotional" in notional else None,
        "bid_multiplier_up": Decimal(band["bidMultiplierUp"]),
        "bid_multiplier_down": Decimal(band["bidMultiplierDown"]),
        "ask_multiplier_up": Decimal(band["askMultiplierUp"]),
        "ask_multiplier_down": Decimal(band["askMultiplierDown"]),
        "trading": market["status"] == "TRADING",
        "quote_fee_pct": Decimal(0),
    }


def _name(asset: str) -> str:
    """The asset's name: ccxt calls this one, here and in balances, as other exchanges do."""
    return {"YOYO": "YOYOW"}.get(asset, asset)


def _exchange_info(document: Any) -> dict[str, Any]:
    """The first exchangeInfo in a recording, however deep it is wrapped."""
    if isinstance(document, dict) and "symbols" in document:
        return document
    for inner in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        found = _exchange_info(inner)
        if found:
            return found
    return {}
