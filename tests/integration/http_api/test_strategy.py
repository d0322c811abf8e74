"""The strategy: what is stored is what was sent, and what is refused is refused with what would be right."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.http_api.client import (
    AUTOPILOT,
    GOOD_STRATEGY,
    STRATEGY,
    TARGETS,
    Client,
    key_body,
    newcomer,
    problem,
    trader,
)
from workbench.local.stack import Stack

WHICHEVER = {"If-Match": "*"}


def with_targets(**targets: str) -> dict[str, Any]:
    return GOOD_STRATEGY | {"target_allocations": targets}


def text_with(old: str, new: str) -> str:
    """The good strategy as text with one thing changed."""
    text = json.dumps(GOOD_STRATEGY)
    assert text.count(old) == 1
    return text.replace(old, new)


def test_what_was_put_is_what_is_got(user: Client) -> None:
    wanted = GOOD_STRATEGY | {
        "quote_asset": "USDT",
        "exchange": "binance",
        "min_delta_pct": "1.5",
        "quote_reserve_pct": "5",
        "order_max_age_s": 600,
        "reprice_tolerance_pct": "0.05",
        "post_only": False,
    }
    stored = user.put(STRATEGY, wanted).json()
    assert [warning["code"] for warning in stored.pop("warnings")] == ["oscillation"]
    assert stored.pop("not_checked") is None
    assert user.get(STRATEGY).json() == stored
    assert {name: stored[name] for name in wanted} == wanted
    assert stored["autopilot_enabled"] is False
    assert stored["version"] == 2


def test_a_limit_of_the_budgets_that_cannot_be_is_refused_by_name(user: Client) -> None:
    wrong = GOOD_STRATEGY | {"budgets": {"fall_pct": "101"}}
    for answer in (
        user.put(STRATEGY, wrong),
        user.patch(STRATEGY, {"budgets": {"fall_pct": "101"}}),
        user.ask("POST", f"{STRATEGY}preview/", json.dumps(wrong)),
    ):
        assert "budgets.fall_pct" in problem(answer, 422, "invalid_strategy")["detail"]


def test_the_rest_has_defaults(user: Client) -> None:
    stored = user.get(STRATEGY).json()
    assert (stored["quote_asset"], stored["exchange"]) == ("USDT", "binance")
    assert (stored["order_max_age_s"], stored["reprice_tolerance_pct"], stored["post_only"]) == (900, None, True)
    assert (stored["min_delta_pct"], stored["quote_reserve_pct"]) == (None, "0")


def test_the_band_as_a_share_is_patched_shown_in_the_plan_and_taken_away_by_null(user: Client) -> None:
    assert user.patch(STRATEGY, {"min_delta_pct": "2"}).json()["warnings"] == []
    plan = user.get(f"{STRATEGY}plan/").json()
    assert Decimal(plan["band_quote"]) == Decimal(plan["nav"]) * 2 / 100
    assert Decimal(plan["band_pct"]) == 2
    without = user.patch(STRATEGY, {"min_delta_pct": None}).json()
    [warning] = without["warnings"]
    assert without["min_delta_pct"] is None
    assert (warning["code"], warning["min_delta_pct"], warning["from_nav"]) == ("oscillation", "2", "2500")


@pytest.mark.parametrize(
    ("field", "value"),
    [("min_delta_pct", "0"), ("min_delta_pct", "100.1"), ("quote_reserve_pct", "101"), ("quote_reserve_pct", "-1")],
)
def test_a_band_or_reserve_that_cannot_be_is_refused(user: Client, field: str, value: str) -> None:
    refused = user.patch(STRATEGY, {field: value})
    assert refused.status_code == 422
    assert field in refused.text


@pytest.mark.parametrize(("old", "new"), [('"2"', "2"), ('"2"', "2.0"), ('"0.4"', "0.4"), ('"50"', "5e1")])
def test_numbers_may_be_json_numbers_and_come_back_as_plain_strings(user: Client, old: str, new: str) -> None:
    assert user.ask("PUT", STRATEGY, text_with(old, new), **WHICHEVER).status_code == 200
    stored = user.get(STRATEGY).json()
    assert (stored["order_size_pct"], stored["order_step_pct"], stored["min_delta_quote"]) == ("2", "0.4", "50")


def test_not_a_digit_of_a_json_number_is_lost(user: Client) -> None:
    text = text_with('"0.4"', "0.40000000000000000000123")
    assert user.ask("PUT", STRATEGY, text, **WHICHEVER).status_code == 200
    assert user.get(STRATEGY).json()["order_step_pct"] == "0.40000000000000000000123"


@pytest.mark.parametrize(
    ("targets", "sum_"),
    [
        ({"BTC": "79.99", "USDT": "20"}, "99.99"),
        ({"BTC": "80.01", "USDT": "20"}, "100.01"),
        ({"BTC": "80.000000000000000000001", "USDT": "20"}, "100.000000000000000000001"),
        ({"BTC": "0", "USDT": "0"}, "0"),
    ],
)
def test_targets_that_do_not_sum_to_100_are_refused_with_their_sum(
    user: Client, targets: dict[str, str], sum_: str
) -> None:
    document = problem(user.put(STRATEGY, with_targets(**targets)), 422, "invalid_strategy")
    assert document["field"] == "target_allocations"
    assert f"a sum of {sum_}," in document["detail"]
    assert "100" in document["expected"]
    assert user.get(STRATEGY).json()["target_allocations"] == TARGETS


@pytest.mark.parametrize("targets", [{"BTC": "-10", "USDT": "110"}, {"BTC": "110", "USDT": "-10"}])
def test_a_negative_target_is_refused_by_its_name(user: Client, targets: dict[str, str]) -> None:
    document = problem(user.put(STRATEGY, with_targets(**targets)), 422, "invalid_strategy")
    assert document["field"].startswith("target_allocations.")
    assert document["value"] in targets.values()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_size_pct", "0"),
        ("order_size_pct", "-1"),
        ("order_size_pct", "100.1"),
        ("order_step_pct", "0"),
        ("order_step_pct", "100"),
        ("min_delta_quote", "-0.01"),
        ("reprice_tolerance_pct", "-1"),
    ],
)
def test_a_parameter_out_of_range_is_refused_with_field_value_and_range(user: Client, field: str, value: str) -> None:
    document = problem(user.put(STRATEGY, GOOD_STRATEGY | {field: value}), 422, "invalid_strategy")
    assert document["field"] == field
    assert document["value"] == value
    assert f"{field} is {value}, expected " in document["detail"]


@pytest.mark.parametrize("text", ['"NaN"', '"Infinity"', '"-Infinity"', "NaN", "Infinity", "1e999", '"1e999"', '"x"'])
def test_what_is_no_number_is_refused_by_field_and_value(user: Client, text: str) -> None:
    document = problem(user.ask("PUT", STRATEGY, text_with('"2"', text)), 422, "invalid_request")
    (error,) = document["errors"]
    assert error["field"] == "order_size_pct"
    assert error["value"].lower().replace("+", "") == text.strip('"').lower()
    assert error["expected"]


def test_a_target_that_is_no_number_is_refused_by_its_asset(user: Client) -> None:
    document = problem(user.put(STRATEGY, with_targets(BTC="NaN", USDT="20")), 422, "invalid_request")
    assert document["detail"].startswith("target_allocations.BTC is NaN, expected ")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"order_sise_pct": "2"}, "order_sise_pct"),
        ({"target_allocations": ["BTC", "80"]}, "target_allocations"),
        ({"target_allocations": {}}, "target_allocations"),
        ({"target_allocations": {"BTC": None, "USDT": "100"}}, "target_allocations.BTC"),
        ({"order_size_pct": True}, "order_size_pct"),
        ({"order_size_pct": {"of": "nav"}}, "order_size_pct"),
        ({"order_max_age_s": 1.5}, "order_max_age_s"),
        ({"order_max_age_s": -1}, "order_max_age_s"),
        ({"post_only": "perhaps"}, "post_only"),
        ({"quote_asset": ""}, "quote_asset"),
        ({"quote_asset": "BTC/USDT"}, "quote_asset"),
        ({"exchange": "Binance"}, "exchange"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(user: Client, change: dict[str, Any], field: str) -> None:
    document = problem(user.put(STRATEGY, GOOD_STRATEGY | change), 422, "invalid_request")
    assert [error["field"] for error in document["errors"]] == [field]
    assert all(error["expected"] for error in document["errors"])


def test_what_is_missing_is_named(user: Client) -> None:
    document = problem(user.put(STRATEGY, {}), 422, "invalid_request")
    assert sorted(error["field"] for error in document["errors"]) == sorted(GOOD_STRATEGY)


@pytest.mark.parametrize("asset", ["NOPE", "btc", "BTCUSDT", "\u0000", "💰", "ＢＴＣ", "\u202eCTB"])
def test_an_asset_without_a_market_is_refused_by_its_pair(user: Client, asset: str) -> None:
    document = problem(user.put(STRATEGY, with_targets(**{asset: "80", "USDT": "20"})), 422, "unknown_market")
    assert f"{asset}USDT" in document["detail"]
    assert "binance" in document["detail"]


def test_beside_a_simulated_exchange_no_other_is_reached(user: Client) -> None:
    problem(user.put(STRATEGY, GOOD_STRATEGY | {"exchange": "kraken"}), 422, "exchange_not_simulated")


@pytest.mark.parametrize("exchange", ["mtgox", "base", "Binance"])
def test_an_exchange_that_nobody_knows_is_refused(user: Client, exchange: str) -> None:
    document = problem(user.put(STRATEGY, GOOD_STRATEGY | {"exchange": exchange}), 422, "invalid_request")
    assert "exchange" in document["detail"]
    assert "binance" in document["detail"]


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ('"BTC": "30"', '"BTC": "20", "BTC": "30"', "BTC"),
        ('"order_size_pct"', '"order_size_pct": 9, "order_size_pct"', "order_size_pct"),
    ],
)
def test_a_name_that_is_there_twice_is_refused(user: Client, old: str, new: str, name: str) -> None:
    document = problem(user.ask("PUT", STRATEGY, text_with(old, new)), 400, "invalid_json")
    assert name in document["detail"]


def test_the_autopilot_is_switched_and_stays_on_through_a_new_strategy(user: Client) -> None:
    assert user.put(AUTOPILOT, {"enabled": True}).json()["autopilot_enabled"] is True
    assert user.put(STRATEGY, GOOD_STRATEGY).json()["autopilot_enabled"] is True
    assert user.get(f"{STRATEGY}plan/").json()["mode"] == "autopilot"
    assert user.get(f"{STRATEGY}plan/").json()["can_execute"] is False
    problem(user.post(f"{STRATEGY}execute/"), 409, "autopilot_enabled")
    assert user.put(AUTOPILOT, {"enabled": False}).json()["autopilot_enabled"] is False
    assert user.post(f"{STRATEGY}execute/").status_code == 200


def test_the_autopilot_does_not_go_on_without_strategy_or_key(stack: Stack) -> None:
    somebody = newcomer(stack)
    problem(somebody.put(AUTOPILOT, {"enabled": True}), 404, "strategy_not_found")
    somebody.put(STRATEGY, GOOD_STRATEGY)
    problem(somebody.put(AUTOPILOT, {"enabled": True}), 404, "exchange_key_not_found")
    assert somebody.get(STRATEGY).json()["autopilot_enabled"] is False


def test_the_autopilot_does_not_go_on_with_a_key_that_was_revoked(stack: Stack) -> None:
    user = trader(stack)
    stack.books.revoke_key(key_body(user)["api_key"])
    problem(user.put(AUTOPILOT, {"enabled": True}), 409, "exchange_key_refused")


@pytest.mark.parametrize("body", ["{}", '{"enabled": 1}', '{"enabled": "true"}', '{"enabled": null}', "true", "[]"])
def test_the_autopilots_switch_takes_nothing_but_true_and_false(user: Client, body: str) -> None:
    problem(user.ask("PUT", AUTOPILOT, body), 422, "invalid_request")


def test_every_parameter_that_cannot_be_is_named_at_once(stack: Stack) -> None:
    wrong = {
        "target_allocations": {"BTC": "60", "USDT": "30"},
        "order_size_pct": "-1",
        "order_step_pct": "101",
        "min_delta_quote": "0",
    }
    told = problem(trader(stack).put(STRATEGY, wrong), 422, "invalid_strategy")
    assert [one["field"] for one in told["errors"]] == [
        "target_allocations",
        "order_size_pct",
        "order_step_pct",
        "min_delta_quote",
    ]
    assert "field" not in told
    for one in told["errors"]:
        assert f"{one['field']} is {one['value']}, expected {one['expected']}" in told["detail"]


def test_a_size_that_no_market_takes_is_refused_with_one_that_they_take(stack: Stack) -> None:
    user = trader(stack)
    told = problem(user.put(STRATEGY, GOOD_STRATEGY | {"order_size_pct": "0.0001"}), 422, "invalid_strategy")
    assert (told["field"], told["value"]) == ("order_size_pct", "0.0001")
    assert user.get(STRATEGY).json()["order_size_pct"] == GOOD_STRATEGY["order_size_pct"]
    needed = told["expected"].split()[0]
    assert user.put(STRATEGY, GOOD_STRATEGY | {"order_size_pct": needed}).ok


def test_whoever_has_no_money_yet_may_choose_a_size(stack: Stack) -> None:
    user = trader(stack, {"USDT": Decimal("0.01")})
    assert user.put(STRATEGY, GOOD_STRATEGY).ok


def test_no_number_in_a_warning_has_digits_that_say_nothing(stack: Stack) -> None:
    warnings = trader(stack).put(STRATEGY, GOOD_STRATEGY | {"order_size_pct": "0.07"}).json()["warnings"]
    assert warnings
    for warning in warnings:
        assert not re.search(r"\d\.\d*0(?!\d)", warning["message"]), warning["message"]
