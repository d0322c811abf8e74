"""Rules of a market that ccxt leaves in the exchange's own words."""

from decimal import Decimal
from typing import Any

import pytest
from botbalance.engine import MarketRules
from botbalance.exchange.ccxt_parsing import parse_listings
from botbalance.exchange.profiles import PROFILES

D = Decimal


def rules(exchange: str, info: dict[str, Any], **limits: dict[str, str]) -> MarketRules:
    """What is made of BTC/USDT with these fields of the exchange's and these limits of ccxt's."""
    market = {
        "symbol": "BTC/USDT",
        "base": "BTC",
        "quote": "USDT",
        "spot": True,
        "info": info,
        "precision": {"price": "0.01", "amount": "0.00001"},
        "limits": {"amount": {}, "price": {}, "cost": {}} | limits,
    }
    return parse_listings(PROFILES[exchange], {"BTC/USDT": market}, ["BTCUSDT"])["BTCUSDT"].rules


@pytest.mark.parametrize(
    ("exchange", "info", "rule", "value"),
    [
        ("okx", {"maxLmtSz": "9999"}, "max_qty", D(9999)),
        ("okx", {"maxLmtAmt": "1000000", "maxMktAmt": "5"}, "max_notional", D(1_000_000)),
        ("kraken", {"costmin": "0.5"}, "min_notional", D("0.5")),
        ("kucoin", {"minFunds": "0.1"}, "min_notional", D("0.1")),
        ("gate", {"max_base_amount": "50"}, "max_qty", D(50)),
        ("gate", {"max_quote_amount": "5000000"}, "max_notional", D(5_000_000)),
        ("htx", {"limit-order-max-order-amt": "1000"}, "max_qty", D(1000)),
        ("gate", {"max_base_amount": "0"}, "max_qty", None),
        ("gate", {"max_base_amount": "unlimited"}, "max_qty", None),
    ],
)
def test_a_limit_in_the_exchange_s_own_words(exchange: str, info: dict[str, str], rule: str, value: Decimal) -> None:
    assert getattr(rules(exchange, info), rule) == value


def test_of_two_limits_the_one_that_leaves_less_counts() -> None:
    found = rules("kraken", {"costmin": "0.5"}, cost={"min": "5", "max": "100"})
    assert (found.min_notional, found.max_notional) == (D(5), D(100))
    assert rules("okx", {"maxLmtSz": "10"}, amount={"max": "20"}).max_qty == 10
    assert rules("okx", {"maxLmtSz": "20"}, amount={"max": "10"}).max_qty == 10


@pytest.mark.parametrize(
    ("info", "down", "up"),
    [
        ({"down_rate": "0.1", "up_rate": "0.25"}, D("0.9"), D("1.25")),
        ({"up_rate": "0.25"}, None, D("1.25")),
        ({"down_rate": "0", "up_rate": "0"}, None, None),
        ({"down_rate": "NaN", "up_rate": ""}, None, None),
        ({"down_rate": "1.5", "up_rate": "9"}, None, D(10)),
        ({}, None, None),
    ],
)
def test_gate_bounds_an_order_s_price_by_rates(info: dict[str, str], down: Decimal | None, up: Decimal | None) -> None:
    found = rules("gate", info)
    assert (found.bid_multiplier_down, found.ask_multiplier_down) == (down, down)
    assert (found.bid_multiplier_up, found.ask_multiplier_up) == (up, up)


def test_others_have_no_such_rates() -> None:
    assert rules("okx", {"down_rate": "0.1", "up_rate": "0.1"}).bid_multiplier_down is None
