"""The rebalancing bonus: the contributions of all fills add up to V − V_hold, exactly."""

from collections.abc import Iterator
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from random import Random

import pytest
from botbalance.engine import (
    Fill,
    PriceUnavailableError,
    bonus_by_asset,
    compute_bonus,
    fill_contribution,
    hold_value,
    hold_value_from_nav,
    net_quantities,
    rebalancing_bonus,
    sum_exactly,
)
from hypothesis import given
from hypothesis import strategies as st

D = Decimal

PRICES = {"BTC": D("67215.43"), "ETH": D("3127.58"), "BNB": D("598.41"), "USDT": D(1), "EUR": D("1.0837")}


def test_a_buy_that_rose_earned_the_rise_less_its_fee() -> None:
    # 2 × (110 − 100) − 0.002 × 110 = 20 − 0.22
    fill = Fill("SOL", "USDT", "buy", D(100), D(2), D("0.002"), "SOL")
    assert fill_contribution(fill, {"SOL": D(110), "USDT": D(1)}) == D("19.78")


def test_a_sell_that_rose_lost_the_rise_and_its_fee() -> None:
    # −2 × (110 − 100) − 0.2 × 1
    fill = Fill("SOL", "USDT", "sell", D(100), D(2), D("0.2"), "USDT")
    assert fill_contribution(fill, {"SOL": D(110), "USDT": D(1)}) == D("-20.2")


def test_a_fee_in_a_third_coin_is_worth_what_that_coin_is_worth_today() -> None:
    # 2 × (110 − 100 × 1.1) − 0.01 × 600, the pair's quote being worth 1.1
    fill = Fill("SOL", "EUR", "buy", D(100), D(2), D("0.01"), "BNB")
    assert fill_contribution(fill, {"SOL": D(110), "EUR": D("1.1"), "BNB": D(600)}) == D("-6")


def test_what_was_earned_is_told_by_fill_by_asset_and_by_day() -> None:
    # 19.78 and −20.2 as above, and 1 × (50 − 40) − 0
    fills = [
        ("monday", Fill("SOL", "USDT", "buy", D(100), D(2), D("0.002"), "SOL")),
        ("monday", Fill("ETH", "USDT", "buy", D(40), D(1), D(0), "BNB")),
        ("tuesday", Fill("SOL", "USDT", "sell", D(100), D(2), D("0.2"), "USDT")),
    ]
    bonus = compute_bonus(fills, {"SOL": D(110), "ETH": D(50), "USDT": D(1)})
    assert bonus.by_fill == (D("19.78"), D(10), D("-20.2"))
    assert bonus.by_asset == {"SOL": D("-0.42"), "ETH": D(10)}
    assert bonus.by_day == {"monday": D("29.78"), "tuesday": D("-20.2")}
    assert bonus.total == D("9.58")
    assert hold_value_from_nav(D(1000), bonus.total) == D("990.42")


def test_every_asset_without_a_price_is_named() -> None:
    fills = [
        ("", Fill("SOL", "USDT", "buy", D(100), D(2), D(1), "BNB")),
        ("", Fill("XRP", "USDT", "buy", D(1), D(2), D(0), "X")),
    ]
    with pytest.raises(PriceUnavailableError, match="BNB, XRP"):
        compute_bonus(fills, {"SOL": D(1), "USDT": D(1)})


def test_a_rebate_is_a_negative_fee() -> None:
    fill = Fill("SOL", "USDT", "buy", D(110), D(2), D("-0.05"), "USDT")
    assert fill_contribution(fill, {"SOL": D(110), "USDT": D(1)}) == D("0.05")


@pytest.mark.parametrize("seed", range(40))
def test_contributions_add_up_exactly_to_what_the_account_is_worth_over_having_held(seed: int) -> None:
    random = Random(seed)

    def number(places: int, most: int) -> Decimal:
        return Decimal(random.randrange(1, most * 10**places)).scaleb(-places, Context(prec=60))

    start = {asset: number(18, 1000) for asset in PRICES}
    deposits = {asset: number(8, 50) for asset in random.sample(sorted(PRICES), 2)}
    account = {asset: Fraction(quantity) for asset, quantity in start.items()}
    for asset, quantity in deposits.items():
        account[asset] += Fraction(quantity)
    fills = []
    for _ in range(random.randint(1, 30)):
        base, quote = random.sample(["BTC", "ETH", "USDT", "EUR"], 2)
        fill = Fill(
            base,
            quote,
            random.choice(["buy", "sell"]),
            number(random.choice([2, 8, 12]), 5000),
            number(random.choice([0, 8, 18]), 90),
            number(18, 2) if random.random() < 0.8 else D(0),
            random.choice([base, quote, "BNB"]),
        )
        fills.append(fill)
        sign = 1 if fill.side == "buy" else -1
        account[base] += sign * Fraction(fill.base_qty)
        account[quote] -= sign * Fraction(fill.base_qty) * Fraction(fill.price)
        account[fill.fee_asset] -= Fraction(fill.fee)

    held = {asset: start[asset] + deposits.get(asset, D(0)) for asset in PRICES}
    worth = sum(quantity * Fraction(PRICES[asset]) for asset, quantity in account.items())
    with localcontext(Context(prec=random.choice([2, 9, 28]))):
        bonus, hold = rebalancing_bonus(fills, PRICES), hold_value(held, PRICES)
    assert Fraction(bonus) == worth - Fraction(hold)


def test_without_fills_there_is_no_bonus() -> None:
    assert rebalancing_bonus([], {}) == 0
    assert hold_value({}, {}) == 0


def test_fills_may_come_from_a_caller_that_computes_in_its_own_context() -> None:
    def averaged() -> Iterator[Fill]:
        yield Fill("ETH", "USDT", "buy", D(1) / D(3), D(3), D(0), "USDT")  # inexact, which is the caller's business

    assert rebalancing_bonus(averaged(), {"ETH": D(1), "USDT": D(1)}) == D("2.0000000000000000000000000001")


def test_a_missing_price_is_an_error_that_names_every_asset_and_not_a_number() -> None:
    fill = Fill("ETH", "USDT", "buy", D(100), D(1), D("0.1"), "BNB")
    for prices in ({"USDT": D(1)}, {"USDT": D(1), "ETH": D("NaN")}, {"USDT": D(1), "ETH": D(0)}):
        with pytest.raises(PriceUnavailableError) as caught:
            fill_contribution(fill, prices)
        assert caught.value.symbols == ("BNB", "ETH")
    with pytest.raises(PriceUnavailableError, match="BNB"):
        rebalancing_bonus([fill], {"USDT": D(1), "ETH": D(1)})
    with pytest.raises(PriceUnavailableError, match="BTC, SOL"):
        hold_value({"SOL": D(1), "BTC": D(1), "ETH": D(1), "ADA": D(0)}, {"ETH": D(5), "BTC": D("-1")})


def test_a_fee_of_nothing_needs_no_price() -> None:
    fill = Fill("ETH", "USDT", "buy", D(100), D(1), D(0), "BNB")
    assert fill_contribution(fill, {"USDT": D(1), "ETH": D(101)}) == 1


QUANTITIES = st.decimals("0.00000001", "1e6", places=8)
SOME_PRICES = st.decimals("0.00000001", "1e6", places=8)
FILLS = st.builds(
    Fill,
    base=st.sampled_from(["BTC", "ETH", "SOL"]),
    quote=st.sampled_from(["USDT", "EUR"]),
    side=st.sampled_from(["buy", "sell"]),
    price=SOME_PRICES,
    base_qty=QUANTITIES,
    fee=st.one_of(st.just(D(0)), QUANTITIES),
    fee_asset=st.sampled_from(["BNB", "USDT", "SOL"]),
)


@given(
    batches=st.lists(st.lists(FILLS, max_size=8), max_size=6),
    prices=st.fixed_dictionaries(dict.fromkeys(("BTC", "ETH", "SOL", "USDT", "EUR", "BNB"), SOME_PRICES)),
)
def test_net_quantities_give_the_same_digits_as_the_sum_over_all_fills(
    batches: list[list[Fill]], prices: dict[str, Decimal]
) -> None:
    net: dict[str, dict[str, Decimal]] = {}
    for batch in batches:  # as they are booked: some at a time, each asset's by itself
        for base in {fill.base for fill in batch}:
            net[base] = net_quantities([fill for fill in batch if fill.base == base], net.get(base))
    fills = [fill for batch in batches for fill in batch]
    by_asset = bonus_by_asset(net, prices)
    assert sum_exactly(by_asset.values()) == rebalancing_bonus(fills, prices)
    assert by_asset == compute_bonus([("", fill) for fill in fills], prices).by_asset
