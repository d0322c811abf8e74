"""Budgets: what is paused, what is not, and that the hours add up to what the fills themselves say."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from botbalance.engine import (
    BudgetFinding,
    BudgetLimits,
    BudgetRule,
    Fill,
    InvalidStrategyError,
    Side,
    Tally,
    count_fill,
    count_placed,
    fee_in_quote,
    kept_hours,
    review_budgets,
    review_falls,
)
from hypothesis import given, settings
from hypothesis import strategies as st

HOUR = 3_600
DAY = 24 * HOUR
NOW = 1_700_000_000
NAV = Decimal(10_000)
type Hours = dict[int, Tally]


def fill(side: Side, price: str, quantity: str, fee: str = "0") -> Fill:
    return Fill("BTC", "USDT", side, Decimal(price), Decimal(quantity), Decimal(fee), "USDT")


def counted(*fills: tuple[int, Fill]) -> Hours:
    """The hours after fills of an order each, at so many seconds before now."""
    hours: Hours = {}
    for ago, each in fills:
        hours = count_fill(hours, each, each.fee, NOW - ago, is_first=True)
    return hours


def reviewed(hours: Hours, limits: BudgetLimits | None = None, **more: Any) -> dict[BudgetRule, BudgetFinding]:
    found = review_budgets(
        {"BTCUSDT": hours}, limits or BudgetLimits(), NOW, nav=more.pop("nav", NAV), symbols=["BTCUSDT"], **more
    )
    return {finding.rule: finding for finding in found}


def to_and_fro(times: int, *, bought_at: str, sold_at: str, hours_apart: int = 12) -> Hours:
    """So many buys and sells of 0.1 each, one after the other."""
    fills = [
        (number * hours_apart * HOUR, fill(side, price, "0.1"))
        for number in range(times)
        for side, price in _sides(bought_at, sold_at)
    ]
    return counted(*fills)


def _sides(bought_at: str, sold_at: str) -> list[tuple[Side, str]]:
    return [("buy", bought_at), ("sell", sold_at)]


def test_churn_that_loses_is_paused_with_its_evidence() -> None:
    # 12 × 0.1 × about 1,000, twice, in 7 days, of 10,000: 24 % / 7 = 3.4 % a day.
    found = reviewed(to_and_fro(12, bought_at="1001", sold_at="1000"))
    assert found[BudgetRule.CHURN].exceeded
    assert found[BudgetRule.CHURN].finding_id == "churn-BTCUSDT"
    assert found[BudgetRule.CHURN].evidence == (
        "BTCUSDT was traded to and fro for 3.42857 % of NAV a day, mean of 7 days (limit 3), and lost by it: "
        "12 buys at 1001 and 12 sells at 1000, after fees"
    )


def test_churn_that_earned_its_fees_is_nobody_s_business() -> None:
    assert BudgetRule.CHURN not in reviewed(to_and_fro(12, bought_at="1000", sold_at="1001"))


@pytest.mark.parametrize(("fee", "is_paused"), [("0.49", False), ("0.5", False), ("0.51", True)])
def test_fees_decide_whether_a_swing_paid(fee: str, *, is_paused: bool) -> None:
    fills = [
        (number * HOUR, fill(side, price, "0.5", fee))
        for number in range(0, 140, 10)
        for side, price in _sides("1000", "1002")
    ]
    assert (BudgetRule.CHURN in reviewed(counted(*fills))) is is_paused


def test_a_limit_is_exceeded_over_it_and_warned_of_over_two_thirds() -> None:
    def level(nav: str) -> bool | None:
        # Both ways 21,000 in 7 days: 3,000 a day.
        hours = counted((0, fill("buy", "1050", "10")), (0, fill("sell", "1049", "10.009532888")))
        found = reviewed(hours, nav=Decimal(nav))
        return found[BudgetRule.CHURN].exceeded if BudgetRule.CHURN in found else None

    assert level("99999") is True
    assert level("100000") is False
    assert level("149998") is False
    assert level("150000") is None


def test_convergence_and_deposits_pause_nothing() -> None:
    bought = counted(*[(hour * HOUR, fill("buy", "1000", "0.2", "0.2")) for hour in range(50)])
    found = reviewed(bought)
    assert list(found) == [BudgetRule.TURNOVER]
    assert not found[BudgetRule.TURNOVER].exceeded


def test_losing_round_trips_within_a_day() -> None:
    def level(times: int, sold_at: str, hours_apart: int) -> bool | None:
        hours = to_and_fro(times, bought_at="1001", sold_at=sold_at, hours_apart=hours_apart)
        found = reviewed(hours).get(BudgetRule.LOSING_ROUND_TRIPS)
        return None if found is None else found.exceeded

    assert level(3, "1000", 7) is True
    assert level(2, "1000", 7) is False
    assert level(3, "1002", 7) is None
    assert level(3, "1000", 24) is None


def test_an_order_that_fills_in_many_parts_is_one_trip() -> None:
    hours: Hours = {}
    for part in range(10):
        hours = count_fill(hours, fill("buy", "1001", "0.01"), Decimal(0), NOW, is_first=part == 0)
        hours = count_fill(hours, fill("sell", "1000", "0.01"), Decimal(0), NOW, is_first=part == 0)
    assert BudgetRule.LOSING_ROUND_TRIPS not in reviewed(hours)


def test_orders_without_a_fill_pause_their_pair_and_a_fill_clears_them() -> None:
    hours: Hours = {}
    for _ in range(41):
        hours = count_placed(hours, NOW)
    assert reviewed(hours)[BudgetRule.UNFILLED_ORDERS].exceeded
    assert BudgetRule.UNFILLED_ORDERS not in reviewed(
        count_fill(hours, fill("buy", "1000", "0.001"), Decimal(0), NOW, is_first=True)
    )


def test_orders_a_day_are_counted_over_all_pairs() -> None:
    hours: Hours = {}
    for number in range(201):
        hours = count_placed(hours, NOW - number * 400)
    both = {"BTCUSDT": hours, "ETHUSDT": {}}
    [found] = review_budgets(both, BudgetLimits(), NOW, nav=NAV, symbols=["BTCUSDT", "ETHUSDT"])
    assert (found.rule, found.symbol, found.exceeded) == (BudgetRule.ORDERS_PLACED, None, True)
    [found] = review_budgets(both, BudgetLimits(orders_per_pair=101), NOW, nav=NAV, symbols=["BTCUSDT", "ETHUSDT"])
    assert not found.exceeded


def test_fees_are_paused_where_the_turnover_is_at_fault_and_not_the_fee() -> None:
    def fees(price_each: str, fee_each: str) -> bool | None:
        fills = [
            (number * DAY, fill(side, price, "1", fee_each))
            for number in range(20)
            for side, price in _sides(price_each, price_each)
        ]
        found = reviewed(counted(*fills), BudgetLimits(churn_pct=Decimal(1_000)))
        return found[BudgetRule.FEES].exceeded if BudgetRule.FEES in found else None

    assert fees("600", "0.6") is True  # 24,000 to and fro at 0.1 %: 0.24 % of NAV
    assert fees("300", "1.2") is None  # half of that at 0.4 %: 0.48 % of NAV, for turnover that is usual
    assert fees("600", "0.12") is None  # at 0.02 %


def test_what_was_resumed_counts_from_the_next_hour_on() -> None:
    hours = to_and_fro(12, bought_at="1001", sold_at="1000")
    assert BudgetRule.CHURN in reviewed(hours, resumed={"churn-BTCUSDT": NOW - 8 * DAY})
    assert BudgetRule.CHURN not in reviewed(hours, resumed={"churn-BTCUSDT": NOW})
    assert BudgetRule.CHURN in reviewed(hours, resumed={"churn-ETHUSDT": NOW})


def test_what_comes_after_a_resume_still_counts_when_it_is_added_up_by_days() -> None:
    """Of trades on both sides of a resume, within the same five days, those after it, however old they have become."""
    resumed_at = NOW - NOW % (5 * DAY) + 2 * DAY
    limits = BudgetLimits(fees_pct=Decimal("0.02"))

    def fees(traded_at: int) -> str | None:
        hours: Hours = {}
        for side, price in _sides("1001", "1000"):
            hours = count_fill(hours, fill(side, price, "2"), Decimal(2), traded_at, is_first=True)
        for day in range(1, 26):
            hours = kept_hours(hours, resumed_at + day * DAY, [resumed_at])
        found = review_budgets(
            {"BTCUSDT": hours},
            limits,
            resumed_at + 25 * DAY,
            nav=NAV,
            symbols=["BTCUSDT"],
            resumed={"fees-account": resumed_at},
        )
        return next((finding.evidence for finding in found if finding.rule is BudgetRule.FEES), None)

    assert fees(resumed_at - HOUR) is None
    assert "took 0.04 % of NAV" in str(fees(resumed_at + HOUR))
    assert "took 0.04 % of NAV" in str(fees(resumed_at + 2 * DAY))


@pytest.mark.parametrize(("days_ago", "churn", "turnover"), [(1, "6.28571", "44.022"), (9, "5.71429", "40.02")])
def test_what_was_traded_before_a_withdrawal_is_a_share_of_what_there_was(
    days_ago: int, churn: str, turnover: str
) -> None:
    limits = BudgetLimits(churn_pct=Decimal(1), fees_pct=Decimal("0.04"), turnover_pct=Decimal(5))

    def traded(hours: Hours, at: int, nav: str) -> Hours:
        """To and fro for 200 each, at a fee of 0.1 %; as an account remembers it."""
        for side, price in _sides("1001", "1000"):
            hours = count_fill(hours, fill(side, price, "0.2"), Decimal("0.2"), at, is_first=True, nav=Decimal(nav))
        return kept_hours(hours, NOW)

    before = traded({}, NOW - days_ago * DAY + HOUR, "10000")
    assert reviewed(before, limits, nav=Decimal(1_000)) == {}  # 4 % of 10,000, and 40 % of what is left
    after = traded(before, NOW, "1000")
    found = reviewed(after, limits, nav=Decimal(1_000))
    assert f"for {churn} % of NAV a day" in found[BudgetRule.CHURN].evidence
    assert f"{turnover} % of NAV were traded within 24 hours" in found[BudgetRule.TURNOVER].evidence
    assert "took 0.044 % of NAV in 30 days" in found[BudgetRule.FEES].evidence


def test_an_hour_with_two_navs_has_the_mean_by_what_was_traded() -> None:
    hours: Hours = {}
    for nav, quantity in (("10000", "1"), ("10000", "2"), ("1000", "0.3")):
        hours = count_fill(hours, fill("buy", "100", quantity), Decimal(0), NOW, is_first=True, nav=Decimal(nav))
    assert hours[NOW // HOUR].nav == Decimal(330) / Decimal("0.06")  # 300 of 10,000 and 30 of 1,000


@pytest.mark.parametrize(("price", "is_paused"), [("50.01", False), ("50", True), ("1", True)])
def test_a_pair_far_below_its_high_is_bought_no_more(price: str, *, is_paused: bool) -> None:
    found = review_falls({"BTCUSDT": Decimal(price)}, {"BTCUSDT": Decimal(100)}, BudgetLimits())
    assert [finding.symbol for finding in found] == (["BTCUSDT"] if is_paused else [])
    off = BudgetLimits(fall_pct=Decimal(100))
    assert review_falls({"BTCUSDT": Decimal(price)}, {"BTCUSDT": Decimal(100)}, off) == []


def test_a_fee_is_valued_in_quote() -> None:
    def fee(asset: str, quantity: str) -> Decimal:
        paid = Fill("BTC", "USDT", "buy", Decimal(1_000), Decimal(2), Decimal(quantity), asset)
        return fee_in_quote(paid, {"BNBUSDT": Decimal(300)})

    assert fee("USDT", "2") == 2
    assert fee("BTC", "0.002") == 2
    assert fee("BNB", "0.01") == 3
    assert fee("GT", "9") == 2  # its price is not known: the usual fee
    assert fee("GT", "0") == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"churn_pct": Decimal(0)},
        {"fall_pct": Decimal(101)},
        {"fees_pct": Decimal("NaN")},
        {"losing_round_trips": 0},
        {"orders_per_pair": True},
    ],
)
def test_limits_that_cannot_be_are_named(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidStrategyError, match=f"budgets.{next(iter(changed))}"):
        BudgetLimits(**changed)


type Trade = tuple[int, Side, Decimal, Decimal, Decimal]
TRADES: st.SearchStrategy[list[Trade]] = st.lists(
    st.tuples(
        st.integers(0, 40 * DAY),
        st.sampled_from(["buy", "sell"]),
        st.decimals("0.01", 5_000, places=2),
        st.decimals("0.001", 9, places=3),
        st.decimals(0, "0.5", places=3),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(trades=TRADES, later=st.integers(0, 40 * DAY))
def test_the_hours_say_what_the_fills_themselves_do(trades: list[Trade], later: int) -> None:
    """Against sums over all fills, written without any bucket; also after hours were folded and dropped on the way."""
    start = NOW - NOW % DAY
    hours: Hours = {}
    for at, side, price, quantity, fee in sorted(trades):
        traded = Fill("BTC", "USDT", side, price, quantity, fee, "USDT")
        hours = kept_hours(count_fill(hours, traded, fee, start + at, is_first=True), start + at)
    now = start + max([later, *[trade[0] for trade in trades]])
    limits = BudgetLimits(Decimal(1), Decimal("0.02"), losing_round_trips=1, turnover_pct=Decimal(5))
    found = review_budgets({"BTCUSDT": hours}, limits, now, nav=NAV, symbols=["BTCUSDT"])
    got = {finding.rule: finding.exceeded for finding in found}

    def last_hours(count: int) -> list[Trade]:
        return [trade for trade in trades if now // HOUR - count < (start + trade[0]) // HOUR]

    week, day = last_hours(168), last_hours(24)
    month = [trade for trade in trades if trade in week or (start + trade[0]) // (5 * DAY) * 120 > now // HOUR - 720]
    assert got.get(BudgetRule.CHURN) == level(both_ways(week) * 100 if loses(week) else 0, Decimal(1) * 7 * NAV)
    assert (BudgetRule.TURNOVER in got) == (sum(amounts(day)) * 100 > 5 * NAV)
    trips = min(sum(trade[1] == side for trade in day) for side in ("buy", "sell"))
    is_round = abs(sum_quantity(day, "buy") - sum_quantity(day, "sell")) * 5 < sum(trade[3] for trade in day)
    expected = level(trips, Decimal(1)) if trips >= 2 and loses(day) and is_round else None
    assert got.get(BudgetRule.LOSING_ROUND_TRIPS) == expected
    at_usual_fee = level(both_ways(month) / 10 if loses(month) else 0, limits.fees_pct * NAV)
    paid = level(fees_both_ways(month) * 100 if loses(month) else 0, limits.fees_pct * NAV)
    both = None if at_usual_fee is None or paid is None else at_usual_fee and paid
    assert got.get(BudgetRule.FEES) == both


def level(value: Decimal | Fraction | int, limit: Decimal) -> bool | None:
    return True if value > limit else False if 3 * value > 2 * limit else None


def amounts(trades: Sequence[Trade]) -> list[Decimal]:
    return [price * quantity for _, _, price, quantity, _ in trades]


def sum_quantity(trades: Sequence[Trade], side: Side) -> Decimal:
    return sum((quantity for _, its_side, _, quantity, _ in trades if its_side == side), Decimal(0))


def sum_amount(trades: Sequence[Trade], side: Side) -> Decimal:
    return sum((price * quantity for _, its_side, price, quantity, _ in trades if its_side == side), Decimal(0))


def fees_both_ways(trades: Sequence[Trade]) -> Fraction:
    bought, sold = Fraction(sum_quantity(trades, "buy")), Fraction(sum_quantity(trades, "sell"))
    share = {"buy": min(bought, sold) / bought, "sell": min(bought, sold) / sold}
    return sum((Fraction(fee) * share[side] for _, side, _, _, fee in trades), Fraction(0))


def both_ways(trades: Sequence[Trade]) -> Decimal:
    return 2 * min(sum_amount(trades, "buy"), sum_amount(trades, "sell"))


def loses(trades: Sequence[Trade]) -> bool:
    fees = {side: sum((trade[4] for trade in trades if trade[1] == side), Decimal(0)) for side in ("buy", "sell")}
    bought, sold = sum_quantity(trades, "buy"), sum_quantity(trades, "sell")
    brought, cost = sum_amount(trades, "sell") - fees["sell"], sum_amount(trades, "buy") + fees["buy"]
    return bool(bought and sold) and brought * bought < cost * sold
