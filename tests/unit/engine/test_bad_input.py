"""Bad input is refused with one clear error that names the field and its value, before anything is decided."""

from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Context, Decimal
from typing import Any

import pytest
from botbalance.engine import (
    Balance,
    InvalidInputError,
    InvalidStrategyError,
    MarketRules,
    PriceUnavailableError,
    SkipReason,
    StrategyConfig,
    compute_rebalance_actions,
    evaluate,
)

D = Decimal

CONFIG = StrategyConfig("USDT", D(1), D("0.4"), D(10))
BALANCES = {"BTC": Balance(D("0.1")), "ETH": Balance(D(1)), "USDT": Balance(D(1000))}
TARGETS = {"BTC": D(40), "ETH": D(30), "USDT": D(30)}
PRICES = {"BTCUSDT": D(43000), "ETHUSDT": D(2600)}
RULES = {f"{base}USDT": MarketRules(f"{base}USDT", base, "USDT", D("0.01"), D("0.00001")) for base in ("BTC", "ETH")}

NOT_NUMBERS = ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity"]
NOT_DECIMALS = [1.5, 1, 0, 0.0, "1", None, True]


def altered(original: Any, **values: Any) -> Any:
    """``original`` with other values, of whatever types."""
    return replace(original, **values)


def refused(
    expected: type[InvalidInputError],
    *,
    balances: Any = BALANCES,
    targets: Any = TARGETS,
    prices: Any = PRICES,
    config: StrategyConfig = CONFIG,
    rules: Any = RULES,
) -> InvalidInputError:
    """The error that both entrances raise, the same from both."""
    messages = []
    decide: Callable[..., object]
    for decide in (compute_rebalance_actions, evaluate):
        with pytest.raises(InvalidInputError) as caught:
            decide(balances, targets, prices, config, market_rules=rules)
        assert type(caught.value) is expected, caught.value
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    return caught.value


def test_the_input_that_the_cases_below_spoil_is_good() -> None:
    assert len(compute_rebalance_actions(BALANCES, TARGETS, PRICES, CONFIG, market_rules=RULES)) == 2


# ---------------------------------------------------------------------------------- target allocations


@pytest.mark.parametrize(
    ("btc", "total"),
    [("39.99", "99.99"), ("40.01", "100.01"), ("40.0000000000000000000000000001", "100.0"), ("0", "60")],
)
def test_targets_that_do_not_sum_to_100_are_refused_with_their_sum(btc: str, total: str) -> None:
    error = refused(InvalidStrategyError, targets=TARGETS | {"BTC": D(btc)})
    assert error.field == "target_allocations"
    assert str(error).startswith(f"target_allocations is a sum of {total}")
    assert str(error).endswith("expected a sum of exactly 100")


def test_no_targets_are_refused() -> None:
    assert "a sum of 0," in str(refused(InvalidStrategyError, targets={}))


@pytest.mark.parametrize("asset", ["BTC", "USDT"])
@pytest.mark.parametrize("value", ["-0.01", "-40", "100.01", "130"])
def test_a_target_outside_0_to_100_is_refused_even_where_the_sum_is_100(asset: str, value: str) -> None:
    rest = 100 - D(value)
    error = refused(InvalidStrategyError, targets={asset: D(value), "ETH": rest})
    assert (error.field, error.value) == (f"target_allocations.{asset}", value)


def test_a_negative_quote_target_is_refused_although_the_others_make_up_for_it() -> None:
    error = refused(InvalidStrategyError, targets={"BTC": D(60), "ETH": D(60), "USDT": D(-20)})
    assert (error.field, error.value) == ("target_allocations.USDT", "-20")


@pytest.mark.parametrize("asset", ["BTC", "USDT"])
@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_a_target_that_is_no_number_is_refused(asset: str, value: str) -> None:
    error = refused(InvalidStrategyError, targets=TARGETS | {asset: D(value)})
    assert error.field == f"target_allocations.{asset}"
    assert value in error.value


@pytest.mark.parametrize("asset", ["BTC", "USDT"])
@pytest.mark.parametrize("value", [40, 40.0, "40", None, True])
def test_a_target_that_is_no_decimal_is_refused(asset: str, value: object) -> None:
    error = refused(InvalidStrategyError, targets=TARGETS | {asset: value})
    assert (error.field, error.value) == (f"target_allocations.{asset}", repr(value))


def test_integer_targets_that_sum_to_100_are_refused_too() -> None:
    assert refused(InvalidStrategyError, targets={"BTC": 40, "ETH": 30, "USDT": 30}).field == "target_allocations.BTC"


@pytest.mark.parametrize("twin", ["btc", "Btc", " BTC", "usdt"])
def test_an_asset_named_twice_in_another_spelling_is_refused(twin: str) -> None:
    error = refused(InvalidStrategyError, targets={"BTC": D(20), twin: D(20), "ETH": D(30), "USDT": D(30)})
    assert str(error) == f"target_allocations is {twin!r}, expected each asset once"


def test_an_asset_without_a_market_is_refused_even_at_a_target_of_zero() -> None:
    for target in (D(0), D(10)):
        error = refused(InvalidStrategyError, targets={"BTC": 100 - target, "DOGE": target})
        assert str(error) == "target_allocations is 'DOGE', expected an asset whose pair DOGEUSDT has market rules"


def test_minus_zero_is_zero() -> None:
    nothing = D("-0")
    evaluation = evaluate(
        {"BTC": Balance(D("0.1"), nothing), "ETH": Balance(nothing, nothing), "USDT": Balance(D(1000), nothing)},
        {"BTC": D(100), "ETH": nothing, "USDT": nothing},
        {"BTCUSDT": D(43000), "ETHUSDT": nothing},
        CONFIG,
        market_rules=RULES,
    )
    assert evaluation.nav == 5300


# ---------------------------------------------------------------------------------- balances


@pytest.mark.parametrize("asset", ["BTC", "USDT", "LUNA"])
@pytest.mark.parametrize("part", ["free", "locked"])
@pytest.mark.parametrize("value", [*NOT_NUMBERS, "-0.0001", "-5"])
def test_a_balance_that_cannot_be_is_refused(asset: str, part: str, value: str) -> None:
    """Also one that the other part makes up for; what is not managed may be below zero, as a speck or a debt is."""
    if asset == "LUNA" and value.startswith("-") and value not in NOT_NUMBERS:
        debt = altered(Balance(D(7), D(7)), **{part: D(value)})
        with_debt = compute_rebalance_actions(BALANCES | {asset: debt}, TARGETS, PRICES, CONFIG, market_rules=RULES)
        assert with_debt == compute_rebalance_actions(BALANCES, TARGETS, PRICES, CONFIG, market_rules=RULES)
        return
    spoilt = altered(Balance(D(7), D(7)), **{part: D(value)})
    error = refused(InvalidInputError, balances=BALANCES | {asset: spoilt})
    assert error.field == f"current_balances.{asset}.{part}"
    assert value in error.value


@pytest.mark.parametrize("asset", ["BTC", "USDT", "LUNA"])
@pytest.mark.parametrize("part", ["free", "locked"])
@pytest.mark.parametrize("value", NOT_DECIMALS)
def test_a_balance_that_is_no_decimal_is_refused(asset: str, part: str, value: object) -> None:
    spoilt: Any = {"free": D(1), "locked": D(1)} | {part: value}
    error = refused(InvalidInputError, balances=BALANCES | {asset: Balance(**spoilt)})
    assert (error.field, error.value) == (f"current_balances.{asset}.{part}", repr(value))


def test_a_portfolio_worth_nothing_is_refused() -> None:
    for balances in ({}, {"USDT": Balance()}, {"LUNA": Balance(D(5))}, {"BTC": Balance(D("0E-8"))}):
        error = refused(InvalidInputError, balances=balances)
        assert str(error) == "current_balances is worth 0 in managed assets, expected a portfolio with a NAV > 0"


# ---------------------------------------------------------------------------------- prices


@pytest.mark.parametrize("bad", [None, "0", "-0", "-43000", "NaN", "-NaN", "sNaN"])
def test_every_missing_price_is_named(bad: str | None) -> None:
    """BTC has the bad price, ETH none at all, SOL is wanted but not held and has none, ADA needs none."""
    rules = RULES | dict.fromkeys(("SOLUSDT", "ADAUSDT", "XRPUSDT"), RULES["BTCUSDT"])
    targets = {"BTC": D(40), "ETH": D(0), "SOL": D(30), "ADA": D(0), "XRP": D(0), "USDT": D(30)}
    balances = BALANCES | {"XRP": Balance(D(0), D(1))}
    prices = {} if bad is None else {"BTCUSDT": D(bad)}
    error = refused(PriceUnavailableError, targets=targets, prices=prices, rules=rules, balances=balances)
    assert isinstance(error, PriceUnavailableError)
    assert error.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
    assert str(error) == (
        "market_prices is without a usable price for BTCUSDT, ETHUSDT, SOLUSDT, XRPUSDT, expected a price > 0"
    )


def test_what_is_wanted_needs_no_price_while_its_market_does_not_trade_and_nothing_of_it_is_held() -> None:
    """The others are decided on: 70 of 100 in BTC, of which 0 are held, so an order of 1 %; ETH is named as closed."""
    rules = RULES | {"ETHUSDT": replace(RULES["ETHUSDT"], trading=False)}
    targets = {"BTC": D(70), "ETH": D(20), "USDT": D(10)}
    prices = {"BTCUSDT": PRICES["BTCUSDT"]}
    evaluation = evaluate({"USDT": Balance(D(10_000))}, targets, prices, CONFIG, market_rules=rules)
    assert [action.symbol for action in evaluation.actions] == ["BTCUSDT"]
    (row,) = [row for row in evaluation.rows if row.asset == "ETH"]
    assert (row.price, row.limit_price, row.hold) == (None, None, SkipReason.MARKET_CLOSED)
    assert row.delta_quote == 2_000
    held = {"USDT": Balance(D(10_000)), "ETH": Balance(D("1e-8"))}
    error = refused(PriceUnavailableError, balances=held, targets=targets, prices=prices, rules=rules)
    assert isinstance(error, PriceUnavailableError)
    assert error.symbols == ("ETHUSDT",)


@pytest.mark.parametrize("bad", ["NaN", "-NaN", "sNaN"])
def test_a_managed_price_that_is_no_number_is_refused_even_where_none_is_needed(bad: str) -> None:
    targets = {"BTC": D(70), "ETH": D(0), "USDT": D(30)}
    balances = {"BTC": Balance(D(1))}
    error = refused(PriceUnavailableError, targets=targets, balances=balances, prices=PRICES | {"ETHUSDT": D(bad)})
    assert isinstance(error, PriceUnavailableError)
    assert error.symbols == ("ETHUSDT",)


@pytest.mark.parametrize("value", ["Infinity", "-Infinity"])
def test_an_infinite_price_is_refused(value: str) -> None:
    error = refused(InvalidInputError, prices=PRICES | {"BTCUSDT": D(value)})
    assert error.field == "market_prices.BTCUSDT"
    assert value in error.value


@pytest.mark.parametrize("value", [43000, 43000.5, 0, 0.0, "43000", True])
def test_a_price_that_is_no_decimal_is_refused(value: object) -> None:
    error = refused(InvalidInputError, prices=PRICES | {"BTCUSDT": value})
    assert (error.field, error.value) == ("market_prices.BTCUSDT", repr(value))


def test_the_targets_are_judged_before_the_prices() -> None:
    assert "99.99" in str(refused(InvalidStrategyError, targets=TARGETS | {"BTC": D("39.99")}, prices={}))


def test_a_price_of_an_asset_that_is_not_managed_does_not_matter() -> None:
    strange = PRICES | {"LUNAUSDT": D("NaN")}
    assert len(compute_rebalance_actions(BALANCES, TARGETS, strange, CONFIG, market_rules=RULES)) == 2
    error = refused(PriceUnavailableError, prices={"LUNAUSDT": D("NaN"), "BTCUSDT": D(43000)})
    assert isinstance(error, PriceUnavailableError)
    assert error.symbols == ("ETHUSDT",)


# ---------------------------------------------------------------------------------- absurdly many digits


STRATEGY = {"min_delta_quote", "order_step_pct", "target"}
LONG = ["1" * 250, "0." + "3" * 250, "1E+150", "1E-250", "7" * 120 + "." + "7" * 120, "1E-90", "1E-60", "1E+60"]


@pytest.mark.parametrize("number", LONG)
@pytest.mark.parametrize("decide", [compute_rebalance_actions, lambda *a, **k: evaluate(*a, **k).actions])
@pytest.mark.parametrize("place", ["balance", "price", "tick_size", "min_delta_quote", "order_step_pct", "target"])
def test_numbers_with_absurdly_many_digits_are_refused_or_computed_exactly(
    decide: Any, place: str, number: str
) -> None:
    """Never a bare decimal exception, never a rounded decision."""
    value = D(number)
    balances, targets, prices, config, rules = dict(BALANCES), dict(TARGETS), dict(PRICES), CONFIG, dict(RULES)
    if place == "balance":
        balances["BTC"] = Balance(value)
    elif place == "price":
        prices["BTCUSDT"] = value
    elif place == "tick_size":
        rules["BTCUSDT"] = altered(rules["BTCUSDT"], tick_size=value)
    elif place == "target":
        targets["BTC"] = value
    elif place == "order_step_pct" and value > 50:
        return
    else:
        config = altered(config, **{place: value})
    try:
        actions = decide(balances, targets, prices, config, market_rules=rules)
    except InvalidInputError as error:
        assert type(error) is (InvalidStrategyError if place in STRATEGY else InvalidInputError)  # noqa: PT017
        assert place in error.field or place in {"balance", "price", "target"}  # noqa: PT017
    else:
        for action in actions:
            assert action.limit_price >= D("2000")


def test_a_number_with_too_many_digits_is_named() -> None:
    long = D("0." + "3" * 190)
    error = refused(
        InvalidInputError, balances=BALANCES | {"BTC": Balance(long)}, prices=PRICES | {"BTCUSDT": D("0." + "7" * 30)}
    )
    assert (error.field, error.value) == ("current_balances.BTC.free", str(long))
    assert str(error).endswith("expected at most 30 digits before and after the point")


def test_a_market_of_another_base_that_has_the_same_symbol_is_not_traded() -> None:
    """BTCUSD in T and BTC in USDT are both BTCUSDT."""
    other = {"BTCUSDT": MarketRules("BTCUSDT", "BTCUSD", "T", D("0.01"), D("0.00001"))}
    error = refused(InvalidStrategyError, rules=RULES | other)
    assert (error.field, error.value) == ("target_allocations", "'BTC'")
    assert str(error).endswith("expected the base of BTCUSDT, which is BTCUSD")


def test_the_most_digits_that_are_promised_are_exact_everywhere() -> None:
    """30 digits before and after every point: no intermediate result outgrows the arithmetic."""
    most, least = D("9" * 30 + "." + "9" * 30), D("1e-30")
    pct = D("33." + "3" * 29 + "1")
    rules = MarketRules(
        "BTCUSDT", "BTC", "USDT", least, least, min_notional=most, max_qty=most, quote_fee_pct=D("0." + "7" * 30)
    )
    for price in (most, least, D("7" * 12 + "." + "3" * 30)):
        for balances in ({"BTC": Balance(most, most)}, {"USDT": Balance(most, most)}, {"BTC": Balance(least)}):
            for btc in (pct, 100 - D("33.333"), D("1e-26")):
                evaluation = evaluate(
                    balances,
                    {"BTC": btc, "USDT": Context(prec=100).subtract(D(100), btc)},
                    {"BTCUSDT": price},
                    StrategyConfig("USDT", pct, pct, least),
                    market_rules={"BTCUSDT": rules},
                )
                assert evaluation.nav > 0


# ---------------------------------------------------------------------------------- strategy parameters


PARAMETERS = ["order_size_pct", "order_step_pct", "min_delta_quote", "min_delta_pct", "reprice_tolerance_pct"]


@pytest.mark.parametrize("field", PARAMETERS)
@pytest.mark.parametrize("value", ["0", "-0", "-1", *NOT_NUMBERS])
def test_a_parameter_that_cannot_be_is_refused(field: str, value: str) -> None:
    with pytest.raises(InvalidStrategyError, match=field) as caught:
        altered(CONFIG, **{field: D(value)})
    assert caught.value.field == field
    assert value in caught.value.value


@pytest.mark.parametrize(
    ("field", "most"), [("order_size_pct", "100"), ("order_step_pct", "50"), ("reprice_tolerance_pct", "50")]
)
def test_a_parameter_has_a_maximum_which_is_allowed_itself(field: str, most: str) -> None:
    altered(CONFIG, **{field: D(most)})
    with pytest.raises(InvalidStrategyError, match=f"{field} is {most}.00000001, expected .*{most}"):
        altered(CONFIG, **{field: D(most + ".00000001")})


@pytest.mark.parametrize("field", [*PARAMETERS, "quote_reserve_pct"])
@pytest.mark.parametrize("value", [1, 1.0, "1", True])
def test_a_parameter_that_is_no_decimal_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidStrategyError) as caught:
        altered(CONFIG, **{field: value})
    assert (caught.value.field, caught.value.value) == (field, repr(value))


def test_a_strategy_needs_a_quote_asset_and_an_age_that_is_not_negative() -> None:
    with pytest.raises(InvalidStrategyError, match="quote_asset is '', expected"):
        altered(CONFIG, quote_asset="")
    with pytest.raises(InvalidStrategyError, match="order_max_age_s is -1, expected"):
        altered(CONFIG, order_max_age_s=-1)


# ---------------------------------------------------------------------------------- market rules

NUMBERS = [field.name for field in fields(MarketRules) if "Decimal" in str(field.type)]


def test_the_numbers_of_market_rules_are_all_among_the_cases_below() -> None:
    assert len(NUMBERS) == 13


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", ["-1", *NOT_NUMBERS])
def test_market_rules_that_cannot_be_are_refused(field: str, value: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        altered(RULES["BTCUSDT"], **{field: D(value)})
    assert caught.value.field == f"market_rules.BTCUSDT.{field}"
    assert value in caught.value.value


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", [1, 1.5, "1"])
def test_market_rules_that_are_no_decimals_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        altered(RULES["BTCUSDT"], **{field: value})
    assert (caught.value.field, caught.value.value) == (f"market_rules.BTCUSDT.{field}", repr(value))


@pytest.mark.parametrize(
    "field", ["tick_size", "lot_size", "max_qty", "max_price", "max_notional", "bid_multiplier_up"]
)
def test_a_grid_or_maximum_of_zero_is_refused(field: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"market_rules\.BTCUSDT\.{field} is 0, expected a Decimal > 0"):
        altered(RULES["BTCUSDT"], **{field: D(0)})
