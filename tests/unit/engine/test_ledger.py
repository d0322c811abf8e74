"""What orders lock and release and what fills move: nothing is lost, made, rounded or overdrawn."""

from decimal import Decimal
from fractions import Fraction

import pytest
from botbalance.engine import (
    Balance,
    Fill,
    InsufficientBalanceError,
    InvalidInputError,
    Side,
    book_fill,
    fillable_qty,
    lock,
    release,
    transfer,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thorough import examples

D = Decimal
every_case = settings(max_examples=examples(60, 200), deadline=None, derandomize=True)
amounts = st.integers(0, 10**30).map(lambda n: D(n).scaleb(-12))
balances_of_three = st.fixed_dictionaries({a: st.builds(Balance, amounts, amounts) for a in ("BTC", "USDT", "BNB")})


def total(balances: dict[str, Balance], asset: str) -> Fraction:
    return Fraction(balances[asset].free) + Fraction(balances[asset].locked)


def test_a_resting_buy_locks_fills_and_frees_what_it_did_not_take() -> None:
    # 1,000 USDT; a buy of 0.5 at 100 with 0.1 % on top locks 50.05; it fills at 100 and pays 0.05
    start = {"USDT": Balance(D(1000)), "BTC": Balance()}
    resting = start | lock(start, "USDT", D("50.05"))
    assert resting["USDT"] == Balance(D("949.95"), D("50.05"))
    filled = resting | book_fill(
        resting, Fill("BTC", "USDT", "buy", D(100), D("0.5"), D("0.05"), "USDT"), unlocked=D("50.05")
    )
    assert filled == {"USDT": Balance(D(950 - 0) - D("0.05"), D(0)), "BTC": Balance(D("0.5"), D(0))}
    assert start["USDT"] == Balance(D(1000))  # what went in is as it was


@pytest.mark.parametrize(
    ("side", "fee_asset", "wanted"),
    [
        ("buy", "BTC", {"USDT": "800", "BTC": "11.99", "BNB": "3"}),
        ("buy", "USDT", {"USDT": "799.99", "BTC": "12", "BNB": "3"}),
        ("buy", "BNB", {"USDT": "800", "BTC": "12", "BNB": "2.99"}),
        ("sell", "BTC", {"USDT": "1200", "BTC": "7.99", "BNB": "3"}),
        ("sell", "USDT", {"USDT": "1199.99", "BTC": "8", "BNB": "3"}),
        ("sell", "BNB", {"USDT": "1200", "BTC": "8", "BNB": "2.99"}),
    ],
)
def test_the_fee_is_in_either_coin_or_in_a_third(side: Side, fee_asset: str, wanted: dict[str, str]) -> None:
    before = {"USDT": Balance(D(1000)), "BTC": Balance(D(10)), "BNB": Balance(D(3))}
    after = before | book_fill(before, Fill("BTC", "USDT", side, D(100), D(2), D("0.01"), fee_asset))
    assert {asset: balance.free for asset, balance in after.items()} == {a: D(free) for a, free in wanted.items()}


@every_case
@given(balances_of_three, amounts)
def test_locking_and_releasing_moves_and_leaves_the_sum(balances: dict[str, Balance], amount: Decimal) -> None:
    if amount > balances["USDT"].free:
        with pytest.raises(InsufficientBalanceError, match=r"balances\.USDT\.free is -"):
            lock(balances, "USDT", amount)
        return
    locked = balances | lock(balances, "USDT", amount)
    assert total(locked, "USDT") == total(balances, "USDT")
    assert Fraction(locked["USDT"].locked) == Fraction(balances["USDT"].locked) + Fraction(amount)
    assert locked | release(locked, "USDT", amount) == balances


@every_case
@given(
    balances_of_three,
    st.sampled_from(["buy", "sell"]),
    amounts,
    amounts,
    amounts,
    st.sampled_from(["BTC", "USDT", "BNB"]),
    amounts,
)
def test_a_fill_moves_exactly_its_two_sides_and_its_fee_or_nothing_at_all(
    balances: dict[str, Balance],
    side: Side,
    price: Decimal,
    qty: Decimal,
    fee: Decimal,
    fee_asset: str,
    unlocked: Decimal,
) -> None:
    price, qty = price / 10**9, qty / 10**9
    fill = Fill("BTC", "USDT", side, price, qty, fee, fee_asset)
    sign = 1 if side == "buy" else -1
    moved = {"BTC": sign * Fraction(qty), "USDT": -sign * Fraction(price) * Fraction(qty), "BNB": Fraction(0)}
    moved[fee_asset] -= Fraction(fee)
    try:
        after = balances | book_fill(balances, fill, unlocked=unlocked)
    except InsufficientBalanceError:
        spent = "USDT" if side == "buy" else "BTC"
        freed = Fraction(unlocked)
        left = {a: Fraction(b.free) + moved[a] + (freed if a == spent else 0) for a, b in balances.items()}
        assert min(left.values()) < 0 or freed > Fraction(balances[spent].locked)
        return
    assert all(total(after, asset) == total(balances, asset) + moved[asset] for asset in balances)
    assert all(balance.free >= 0 and balance.locked >= 0 for balance in after.values())


@every_case
@given(balances_of_three, amounts)
def test_more_than_there_is_is_refused(balances: dict[str, Balance], amount: Decimal) -> None:
    more = balances["BTC"].locked + amount + 1
    with pytest.raises(InsufficientBalanceError, match="locked"):
        release(balances, "BTC", more)
    with pytest.raises(InsufficientBalanceError, match="free"):
        transfer(balances, "BTC", -(balances["BTC"].free + amount + 1))


@pytest.mark.parametrize("amount", ["-1", "NaN"])
def test_an_amount_that_cannot_be_is_refused(amount: str) -> None:
    for move in (lock, release):
        with pytest.raises(InvalidInputError, match="amount is"):
            move({"BTC": Balance(D(5), D(5))}, "BTC", D(amount))


@pytest.mark.parametrize(
    ("low", "volume", "fraction", "lot", "filled"),
    [
        ("99", None, None, None, "3"),
        ("99", "10", None, None, "3"),  # no bound: all of it
        ("99", "10", "0.1", None, "1"),
        ("99", "10.57", "0.1", "0.05", "1.05"),
        ("99", "100", "0.1", "0.05", "3"),
        ("99", "0", "0.1", "0.05", "0"),
        ("100", "100", "0.1", "0.05", "0"),  # touched, not traded through
    ],
)
def test_of_an_intervals_volume_only_a_part_may_be_ours(
    low: str, volume: str | None, fraction: str | None, lot: str | None, filled: str
) -> None:
    found = fillable_qty(
        "buy",
        D(100),
        D(3),
        D(low),
        D(101),
        volume=None if volume is None else D(volume),
        max_volume_fraction=None if fraction is None else D(fraction),
        lot_size=None if lot is None else D(lot),
    )
    assert found == D(filled)
