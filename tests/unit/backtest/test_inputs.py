"""What a backtest is given beside candles is read exactly, or refused by name."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botbalance.api.account_schemas import StrategyRequest
from botbalance.engine import MarketRules
from botbalance.errors import InvalidRequestError

from workbench.backtest.inputs import balances_at_targets, moment, read_balances, read_rules, with_fee

D = Decimal
STRATEGY = StrategyRequest.model_validate(
    {
        "target_allocations": {"BTC": D(60), "USDT": D(10), "ETH": D(30)},
        "order_size_pct": D(1),
        "order_step_pct": D(1),
        "min_delta_quote": D(10),
    }
)
RULES: dict[str, Any] = {
    "BTCUSDT": {"tick_size": "0.01", "lot_size": "0.00001", "min_notional": 5},
    "ETHUSDT": {"tick_size": 0.05, "lot_size": "0.1", "quote_fee_pct": "0.4"},
}


def test_rules_are_read_to_the_digit(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(RULES))
    assert read_rules(path, STRATEGY) == {
        "BTCUSDT": MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.00001"), min_notional=D(5)),
        "ETHUSDT": MarketRules("ETHUSDT", "ETH", "USDT", D("0.05"), D("0.1"), quote_fee_pct=D("0.4")),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ETHUSDT": None}, "ETHUSDT is None, expected an object"),
        ({"BTCUSDT": {"tick_size": "0.01"}}, "BTCUSDT.lot_size"),
        ({"BTCUSDT": {"tick_size": "0", "lot_size": "1"}}, "tick_size is 0, expected a Decimal > 0"),
        ({"BTCUSDT": {"tick_size": "x", "lot_size": "1"}}, "BTCUSDT.tick_size"),
        ({"BTCUSDT": {"tick_size": "1", "lot_size": "1", "colour": "red"}}, "BTCUSDT has colour"),
    ],
)
def test_rules_that_cannot_be_are_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(RULES | change))
    with pytest.raises(InvalidRequestError, match=message):
        read_rules(path, STRATEGY)


def test_the_backtests_own_fee_is_what_buys_pay_in_quote(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(RULES))
    charged = with_fee(read_rules(path, STRATEGY), D("0.1"))
    assert (charged["BTCUSDT"].quote_fee_pct, charged["ETHUSDT"].quote_fee_pct) == (D(0), D("0.1"))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"DOGE": "1"}', "DOGE is none of the strategy's assets: BTC, USDT, ETH"),
        ('{"BTC": "-1"}', "BTC is -1, expected a quantity >= 0"),
        ('{"BTC": true}', "BTC is True, expected a quantity"),
        ('{"BTC": "many"}', "BTC is many"),
        ("[]", "it is no JSON object"),
        ("{", "it is not JSON: .* at line 1, column 2"),
    ],
)
def test_balances_that_cannot_be_are_refused_by_name(tmp_path: Path, document: str, message: str) -> None:
    path = tmp_path / "balances.json"
    path.write_text(document)
    with pytest.raises(InvalidRequestError, match=message):
        read_balances(path, STRATEGY)


def test_a_start_on_the_targets_is_worth_what_it_should_be_to_the_last_digit() -> None:
    prices = {"BTCUSDT": D("43250.52"), "ETHUSDT": D(3)}
    balances = balances_at_targets(STRATEGY, prices, D(10_000))
    assert balances["BTC"] == D("0.13872665")  # 6000 / 43250.52, cut
    assert balances["ETH"] == 1000
    assert balances["USDT"] == 10_000 - D("0.13872665") * D("43250.52") - 3000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02", 86_400_000),
        ("2018-01-31T12:00:00Z", 1_517_400_000_000),
        ("2018-01-31T13:00+01:00", 1_517_400_000_000),
    ],
)
def test_moments_are_in_utc_unless_they_say_otherwise(text: str, expected: int) -> None:
    assert moment(text, "--start") == expected
