"""What makes a picture of an account doubtful beside the last one, and for how long it is not traded on."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Context, Decimal, getcontext, localcontext
from fractions import Fraction
from typing import Any

import pytest
from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import Balance, Observation, jumped_symbols, missing_balances, observe
from botbalance.engine.anomalies import bound_after, round_factor
from botbalance.models.account_state import LastObservation
from botbalance.models.order import Order
from botbalance.models.strategy import Strategy
from botbalance.trading.anomaly_guard import (
    assets_own_orders_may_have_spent,
    find_anomalies,
    movable_quantities,
    observe_account,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thorough import examples
from tests.unit.store.test_orders import an_order

D = Decimal
every_case = settings(max_examples=examples(80, 250), deadline=None, derandomize=True)


def free(**quantities: str) -> dict[str, Balance]:
    return {asset: Balance(D(quantity), D(0)) for asset, quantity in quantities.items()}


# prices, by hand


@pytest.mark.parametrize(
    ("before", "now", "jumped"),
    [
        ("40000", "40000", False),
        ("40000", "44000", False),  # exactly 10 % up
        ("40000", "44000.01", True),
        ("40000", "36000", False),  # exactly 10 % down
        ("40000", "35999.99", True),
        ("100", "110", False),
        ("110", "100", False),  # and back: 9.09… % of what it was before
        ("100", "111", True),
        ("111", "100", False),
        ("100", "90", False),
        ("90", "100", True),  # 11.1 %
        ("0.000000000000000010", "0.000000000000000011", False),
        ("0.000000000000000010", "0.000000000000000012", True),
        ("123456789012345678901234567890", "135802467913580246791358024679", False),  # to the last of 30 digits
        ("123456789012345678901234567890", "135802467913580246791358024680", True),
    ],
)
def test_a_price_jumps_by_more_than_a_tenth_of_what_it_was(before: str, now: str, jumped: bool) -> None:
    assert jumped_symbols({"X": D(now)}, {"X": D(before)}, D(10)) == (["X"] if jumped else [])


@pytest.mark.parametrize(
    ("bound_pct", "jumped"), [("0.5", ["A", "B", "C"]), ("1", ["B", "C"]), ("19.99", ["C"]), ("20", [])]
)
def test_every_symbol_is_measured_by_itself(bound_pct: str, jumped: list[str]) -> None:
    before = {"C": D(1000), "B": D("0.05"), "A": D(2)}
    now = {"C": D(1200), "B": D("0.0491"), "A": D("2.02")}  # +20 %, −1.8 %, +1 %
    assert jumped_symbols(now, before, D(bound_pct)) == jumped


def test_what_has_no_price_on_one_side_did_not_jump() -> None:
    assert jumped_symbols({"NEW": D(1)}, {"OLD": D(1)}, D(10)) == []
    assert jumped_symbols({}, {"OLD": D(1)}, D(10)) == []
    assert jumped_symbols({"NEW": D(1)}, {}, D(10)) == []


# holdings, by hand

BEFORE = Observation(
    prices={"BTCUSDT": D(40_000), "ETHUSDT": D(2_500)},
    held={"USDT": D(1_000), "ETH": D(4), "BTC": D("0.5")},  # worth 1,000, 10,000 and 20,000
)


def vanished(
    balances: Mapping[str, Balance],
    worth_at_least: str = "60",
    spent: Collection[str] = (),
    before: Observation = BEFORE,
) -> list[str]:
    return missing_balances(
        balances, before, quote_asset="USDT", worth_at_least=D(worth_at_least), spent=frozenset(spent)
    )


def test_an_account_as_it_was_has_lost_nothing() -> None:
    assert vanished(free(BTC="0.5", ETH="4", USDT="1000")) == []
    assert vanished(free(BTC="0.6", ETH="5", USDT="1001", SOL="1")) == []


def test_an_account_that_comes_back_empty_has_lost_everything() -> None:
    assert vanished({}) == ["BTC", "ETH", "USDT"]
    assert vanished(free(BTC="0", ETH="0", USDT="0")) == ["BTC", "ETH", "USDT"]


@pytest.mark.parametrize(
    ("left", "gone"), [("0.25", False), ("0.005", False), ("0.004999999999999999", True), ("0", True)]
)
def test_less_than_a_hundredth_of_what_was_held_is_next_to_nothing(left: str, gone: bool) -> None:
    """A hundredth of 0.5 BTC is 0.005: exactly that is still something."""
    assert vanished(free(BTC=left, ETH="4", USDT="1000")) == (["BTC"] if gone else [])


@pytest.mark.parametrize(
    ("quantity", "locked", "gone"),
    [("0", "0.5", False), ("0", "0.005", False), ("0.0025", "0.0025", False), ("0.0025", "0.0024", True)],
)
def test_what_resting_orders_tie_up_is_there(quantity: str, locked: str, gone: bool) -> None:
    balances = free(ETH="4", USDT="1000") | {"BTC": Balance(D(quantity), D(locked))}
    assert vanished(balances) == (["BTC"] if gone else [])


@pytest.mark.parametrize(
    ("worth_at_least", "gone"),
    [
        ("60", ["BTC", "ETH", "USDT"]),
        ("1000", ["BTC", "ETH", "USDT"]),  # exactly what the quote was worth
        ("1000.01", ["BTC", "ETH"]),
        ("10000", ["BTC", "ETH"]),
        ("20000", ["BTC"]),
        ("20000.000000000000000001", []),
    ],
)
def test_what_was_worth_less_may_vanish_unnoticed(worth_at_least: str, gone: list[str]) -> None:
    assert vanished({}, worth_at_least) == gone


def test_what_own_orders_may_have_spent_has_not_vanished() -> None:
    assert vanished({}, spent=["USDT"]) == ["BTC", "ETH"]
    assert vanished({}, spent=["USDT", "BTC", "ETH", "SOL"]) == []


def test_what_had_no_price_or_was_not_held_was_worth_nothing() -> None:
    before = Observation(prices={"BTCUSDT": D(40_000)}, held={"BTC": D(0), "ETH": D(4), "USDT": D(0)})
    assert vanished({}, "0.000001", before=before) == []


# a look


def test_a_look_shows_what_is_held_of_the_assets_free_and_locked() -> None:
    balances = {
        "BTC": Balance(D("0.1"), D("0.2")),
        "ETH": Balance(D("123456789012345678901234567890"), D("0.000000000000000001")),
        "DOGE": Balance(D(1), D(1)),
    }
    prices = {"BTCUSDT": D(1)}
    look = observe(balances, prices, {"USDT", "ETH", "BTC"})
    assert look == Observation(
        {"BTCUSDT": D(1)}, {"BTC": D("0.3"), "ETH": D("123456789012345678901234567890." + "0" * 17 + "1"), "USDT": D(0)}
    )
    prices["BTCUSDT"] = D(2)
    assert look.prices == {"BTCUSDT": D(1)}


# properties

WIDE = Context(prec=300)


def numbers(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    """Decimals from ``low`` to ``high`` with ``places`` digits after the point."""
    unit = 10**places
    return st.integers(int(D(low) * unit), int(D(high) * unit)).map(lambda n: D(n).scaleb(-places, WIDE))


SYMBOLS = st.sampled_from(["ADAUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT"])
# Coarse ones too, so that changes of exactly the bound come up.
PRICES = st.one_of(numbers("0.00000001", "0.001", 8), numbers("0.5", "90", 2), st.integers(1, 40).map(D))
QUOTES = st.dictionaries(SYMBOLS, PRICES)
BOUNDS = st.one_of(numbers("0.1", "90", 2), st.sampled_from([D(10), D(20), D(25), D(50), D(100)]))
FACTORS = st.one_of(numbers("0.000001", "1000000", 6), st.sampled_from([D("1e-18"), D("1e12"), D(3), D(7)]))

ASSETS = st.sampled_from(["ADA", "BTC", "ETH", "USDT"])
QUANTITIES = st.one_of(st.just(D(0)), st.integers(1, 300).map(D), numbers("0.000001", "90", 6))
BALANCES = st.dictionaries(ASSETS, st.builds(Balance, QUANTITIES, QUANTITIES))
LOOKS = st.builds(Observation, QUOTES, st.dictionaries(ASSETS, QUANTITIES))
WORTHS = st.one_of(numbers("0.000001", "500", 6), st.integers(1, 900).map(D))
SPENT = st.frozensets(ASSETS)


@dataclass(frozen=True)
class Case:
    balances: dict[str, Balance]
    before: Observation
    worth_at_least: Decimal
    spent: frozenset[str]

    def vanished(self) -> list[str]:
        return vanished(self.balances, str(self.worth_at_least), self.spent, self.before)


CASES = st.builds(Case, BALANCES, LOOKS, WORTHS, SPENT)


@every_case
@given(QUOTES, QUOTES, BOUNDS)
def test_jumps_are_those_of_exact_fractions(
    now: dict[str, Decimal], before: dict[str, Decimal], bound: Decimal
) -> None:
    expected = [
        symbol
        for symbol in sorted(now.keys() & before.keys())
        if abs(Fraction(now[symbol]) / Fraction(before[symbol]) - 1) > Fraction(bound) / 100
    ]
    assert jumped_symbols(now, before, bound) == expected


@every_case
@given(QUOTES, QUOTES, BOUNDS, st.integers(0, 86_400))
def test_jumps_after_a_while_are_those_over_the_bound_of_that_while(
    now: dict[str, Decimal], before: dict[str, Decimal], bound: Decimal, seconds: int
) -> None:
    assert jumped_symbols(now, before, bound, seconds) == jumped_symbols(now, before, bound_after(bound, seconds))


@every_case
@given(
    PRICES,
    st.sampled_from(["0.0001", "0.001", "0.01", "0.1", "1", "10", "100", "1000", "10000"]),
    st.one_of(st.integers(-3_000, 3_000), st.sampled_from([-2_500, -2_499, -1_000, 999, 1_000, 2_499, 2_500, 9_000])),
    BOUNDS,
)
def test_a_round_factor_is_what_exact_fractions_say(before: Decimal, factor: str, off: int, bound: Decimal) -> None:
    now = WIDE.multiply(WIDE.multiply(before, D(factor)), 1 + D(off) / 10_000)
    most = 1 + Fraction(min(bound, D(25))) / 100
    expected = [
        D(one)
        for one in ("10", "0.1", "100", "0.01", "1000", "0.001")
        if 1 / most <= Fraction(now) / (Fraction(before) * Fraction(one)) <= most
    ]
    assert round_factor(now, before, bound) == (expected[0] if expected else None)


@every_case
@given(QUOTES, QUOTES, BOUNDS, FACTORS)
def test_jumps_are_the_same_in_any_currency(
    now: dict[str, Decimal], before: dict[str, Decimal], bound: Decimal, factor: Decimal
) -> None:
    now_scaled, before_scaled = (
        {symbol: WIDE.multiply(price, factor) for symbol, price in prices.items()} for prices in (now, before)
    )
    assert jumped_symbols(now_scaled, before_scaled, bound) == jumped_symbols(now, before, bound)


@every_case
@given(QUOTES, QUOTES, BOUNDS, BOUNDS)
def test_a_wider_bound_only_ever_lets_more_through(
    now: dict[str, Decimal], before: dict[str, Decimal], one: Decimal, other: Decimal
) -> None:
    narrow, wide = sorted((one, other))
    assert set(jumped_symbols(now, before, wide)) <= set(jumped_symbols(now, before, narrow))


@every_case
@given(PRICES, BOUNDS, st.integers(0, 10**6 - 1), st.integers(0, 10**6 - 1))
def test_a_price_farther_away_jumps_where_a_nearer_one_does(
    before: Decimal, bound: Decimal, one: int, other: int
) -> None:
    near, far = sorted((one, other))
    for sign in (1, -1):
        jumps = [
            bool(jumped_symbols({"X": WIDE.multiply(before, D(1) + D(sign * way) / 10**6)}, {"X": before}, bound))
            for way in (near, far)
        ]
        assert jumps == sorted(jumps)


@every_case
@given(PRICES, BOUNDS)
def test_exactly_the_bound_is_no_jump_and_the_least_more_is_one(before: Decimal, bound: Decimal) -> None:
    with localcontext(WIDE):
        least = D("1e-40")
        for sign in (1, -1):
            edge = before * (1 + sign * bound / 100)
            assert jumped_symbols({"X": edge}, {"X": before}, bound) == []
            assert jumped_symbols({"X": edge + sign * least}, {"X": before}, bound) == ["X"]


@every_case
@given(CASES)
def test_what_vanished_is_what_exact_fractions_say(case: Case) -> None:
    prices = {symbol.removesuffix("USDT"): Fraction(price) for symbol, price in case.before.prices.items()}
    prices["USDT"] = Fraction(1)
    expected = []
    for asset, held in sorted(case.before.held.items()):
        balance = case.balances.get(asset, Balance(D(0), D(0)))
        left = Fraction(balance.free) + Fraction(balance.locked)
        worth = Fraction(held) * prices.get(asset, Fraction(0))
        if asset not in case.spent and worth >= Fraction(case.worth_at_least) and left < Fraction(held) / 100:
            expected.append(asset)
    assert case.vanished() == expected


@every_case
@given(CASES, FACTORS)
def test_what_vanished_does_not_depend_on_the_unit_of_account(case: Case, factor: Decimal) -> None:
    """In smaller units there are more of them, then and now, and all is worth as many times more."""
    scaled = Case(
        {
            asset: Balance(WIDE.multiply(balance.free, factor), WIDE.multiply(balance.locked, factor))
            for asset, balance in case.balances.items()
        },
        Observation(
            case.before.prices, {asset: WIDE.multiply(held, factor) for asset, held in case.before.held.items()}
        ),
        WIDE.multiply(case.worth_at_least, factor),
        case.spent,
    )
    assert scaled.vanished() == case.vanished()


@every_case
@given(CASES, WORTHS, ASSETS, QUANTITIES)
def test_less_is_doubted_the_less_is_asked_the_more_is_there_and_the_more_was_spent(
    case: Case, worth: Decimal, asset: str, more: Decimal
) -> None:
    gone = set(case.vanished())
    balance = case.balances.get(asset, Balance(D(0), D(0)))
    richer = case.balances | {asset: Balance(balance.free + more, balance.locked)}
    assert set(Case(richer, case.before, case.worth_at_least, case.spent).vanished()) <= gone
    assert set(Case(case.balances, case.before, case.worth_at_least + worth, case.spent).vanished()) <= gone
    assert Case(case.balances, case.before, case.worth_at_least, case.spent | {asset}).vanished() == sorted(
        gone - {asset}
    )


@every_case
@given(CASES, QUOTES, QUOTES, BOUNDS, st.integers(1, 4))
def test_nothing_depends_on_the_ambient_decimal_context(
    case: Case, now: dict[str, Decimal], before: dict[str, Decimal], bound: Decimal, precision: int
) -> None:
    expected = (
        jumped_symbols(now, before, bound),
        case.vanished(),
        observe(case.balances, now, ["BTC", "ETH"]),
    )
    with localcontext(Context(prec=precision, rounding=ROUND_CEILING, Emax=9, Emin=-9)):
        ambient = getcontext().copy()
        worth = case.worth_at_least
        found = (
            jumped_symbols(now, before, bound),
            missing_balances(case.balances, case.before, quote_asset="USDT", worth_at_least=worth, spent=case.spent),
            observe(case.balances, now, ["BTC", "ETH"]),
        )
        assert repr(getcontext()) == repr(ambient)  # flags and all
    assert found == expected


# what a run may believe

T = 1_700_000_000
STRATEGY = Strategy(
    user_id="alice",
    exchange="binance",
    quote_asset="USDT",
    target_allocations={"BTC": D(60), "ETH": D(40)},
    order_size_pct=D(1),
    order_step_pct=D("0.4"),
    min_delta_quote=D(60),
)
TENTH = D(10)
PICTURE = {"BTCUSDT": "40000", "ETHUSDT": "2500"}
HOLDINGS = {"BTC": "0.5", "ETH": "4", "USDT": "1000"}


@dataclass
class Account:
    """Looks at one account, each by a run that finds what the last one noted."""

    strategy: Strategy = STRATEGY
    price_jump_pct: Decimal = TENTH
    memory: LastObservation | None = None
    doubts: list[str] = field(default_factory=list)

    def look(
        self,
        now: int,
        *,
        prices: Mapping[str, str] = {},
        holdings: Mapping[str, str] = {},
        spent: Collection[str] = (),
        received: Mapping[str, str] = {},
    ) -> bool:
        """Whether the picture at ``T + now``, PICTURE and HOLDINGS but for what is given, is believed."""
        snapshot = Snapshot(
            open_orders=(),
            balances=free(**{**HOLDINGS, **holdings}),
            prices={symbol: D(price) for symbol, price in {**PICTURE, **prices}.items()},
            prices_expire_at=T + now,
            rules={},
        )
        if self.memory is None:
            remembered = observe_account(self.strategy, snapshot, T + now)
        else:
            remembered = find_anomalies(
                self.memory,
                self.strategy,
                snapshot,
                spent=frozenset(spent),
                received={asset: D(quantity) for asset, quantity in received.items()},
                now=T + now,
                price_jump_pct=self.price_jump_pct,
            )
        doubts = [anomaly.evidence.partition(";")[0] for anomaly in remembered.anomalies.values()]
        self.memory = LastObservation.model_validate_json(remembered.model_dump_json())
        self.doubts += ["; ".join(doubts)] if doubts else []
        return not doubts

    def noted(self) -> dict[str, Any]:
        assert self.memory is not None
        noted: dict[str, Any] = self.memory.model_dump(mode="json")
        return noted


def btc_looks(*prices: str) -> list[bool]:
    """Whether each of BTC's prices, one a tick, is believed."""
    account = Account()
    return [account.look(30 * number, prices={"BTCUSDT": price}) for number, price in enumerate(prices)]


def test_a_first_look_has_nothing_to_be_doubted_by() -> None:
    account = Account()
    assert account.look(0)
    assert account.noted() == {
        "seen_at": T,
        "prices": PICTURE,
        "held": HOLDINGS,
        "unconfirmed_prices": {},
        "committed": {},
        "receivable": {},
        "anomalies": {},
        "accepted": [],
    }


def test_what_orders_may_have_spent_and_brought_is_kept_while_holdings_are_doubted_and_forgotten_after() -> None:
    orders = {"committed": {"BTC": D("0.5")}, "receivable": {"ETH": D(4)}}
    account = Account()
    account.look(0)
    assert account.memory is not None
    account.memory = account.memory.model_copy(update=orders)
    assert not account.look(30, holdings={"USDT": "0"})
    assert account.memory.model_dump(include={"committed", "receivable"}) == orders
    assert account.look(60)
    assert account.memory.model_dump(include={"committed", "receivable"}) == {"committed": {}, "receivable": {}}


def test_a_price_that_jumped_and_stays_is_believed_at_the_second_look() -> None:
    assert btc_looks("40000", "50000", "50000", "50000") == [True, False, True, True]
    assert btc_looks("40000", "30000", "30000", "30000") == [True, False, True, True]


def test_a_price_that_jumped_and_is_back_is_the_one_that_was_believed_all_along() -> None:
    assert btc_looks("40000", "50000", "40000", "40000") == [True, False, True, True]
    assert btc_looks("40000", "50000", "44000", "44000") == [True, False, True, True]


def test_a_price_that_was_believed_after_its_jump_is_doubted_once_more_on_its_way_back() -> None:
    assert btc_looks("40000", "50000", "50000", "40000", "40000") == [True, False, True, False, True]


def test_a_price_that_jumps_up_and_down_in_turn_is_never_believed_away_from_where_it_was() -> None:
    assert btc_looks("40000", "50000", "40000", "50000", "40000", "30000") == [True, False, True, False, True, False]


def test_a_price_that_keeps_jumping_is_not_believed_until_it_rests() -> None:
    assert btc_looks("40000", "50000", "60000", "70000", "70001", "70000") == [True, False, False, False, True, True]
    assert btc_looks("40000", "50000", "30000", "30000") == [True, False, False, True]


def test_what_is_near_a_doubted_price_counts_as_the_same() -> None:
    """50000 and up to 10 % from it."""
    assert btc_looks("40000", "50000", "55000") == [True, False, True]
    assert btc_looks("40000", "50000", "45000") == [True, False, True]
    assert btc_looks("40000", "50000", "55000.01") == [True, False, False]


def test_a_price_that_moves_far_in_steps_within_the_bound_is_believed_all_the_way() -> None:
    assert btc_looks("40000", "44000", "48400", "53240", "58564", "52707.6") == [True] * 6


@pytest.mark.parametrize(("bound_pct", "believed"), [("24.99", False), ("25", True), ("1000", True)])
def test_the_bound_itself_is_no_jump(bound_pct: str, believed: bool) -> None:
    account = Account(price_jump_pct=D(bound_pct))
    account.look(0)
    assert account.look(30, prices={"BTCUSDT": "50000"}) is believed


def test_each_symbol_is_doubted_by_itself_and_holds_all() -> None:
    account = Account()
    assert account.look(0)
    assert not account.look(30, prices={"BTCUSDT": "50000"})
    assert not account.look(60, prices={"BTCUSDT": "50000", "ETHUSDT": "3000"})
    assert account.look(90, prices={"BTCUSDT": "50000", "ETHUSDT": "3000"})
    assert account.doubts == [
        "BTCUSDT jumped by more than 10 %, from 40000 to 50000",
        "ETHUSDT jumped by more than 10 %, from 2500 to 3000",
    ]


def test_what_is_not_doubted_in_a_doubtful_picture_is_noted_as_seen() -> None:
    account = Account()
    account.look(0)
    account.look(30, prices={"BTCUSDT": "50000", "ETHUSDT": "2700"})
    assert account.noted()["prices"] == {"BTCUSDT": "40000", "ETHUSDT": "2700"}
    assert account.noted()["unconfirmed_prices"] == {"BTCUSDT": "50000"}
    assert account.look(60, prices={"BTCUSDT": "50000", "ETHUSDT": "2970"})
    assert account.noted()["unconfirmed_prices"] == {}


@pytest.mark.parametrize(("later", "believed"), [(3900, False), (3901, True)])
def test_prices_seen_long_ago_say_nothing(later: int, believed: bool) -> None:
    account = Account()
    account.look(0)
    assert account.look(later, prices={"BTCUSDT": "80000"}) is believed


def test_prices_are_compared_with_the_last_look_not_with_the_first() -> None:
    account = Account()
    assert all(account.look(now) for now in (0, 500, 1_000, 1_500))
    assert not account.look(2_000, prices={"BTCUSDT": "80000"})


def test_a_pair_that_the_strategy_has_just_taken_up_has_not_jumped() -> None:
    account = Account()
    account.look(0)
    assert account.look(30, prices={"SOLUSDT": "170"})
    assert not account.look(60, prices={"SOLUSDT": "340"})


# holdings that vanish

NO_BTC = {"BTC": "0"}


def test_holdings_that_vanish_are_believed_gone_when_they_have_stayed_away_for_five_minutes() -> None:
    account = Account()
    assert account.look(0)
    looks = [account.look(now, holdings=NO_BTC) for now in (30, 60, 329, 330, 360)]
    assert looks == [False, False, False, True, True]
    assert account.doubts == ["holdings vanished: 0.5 BTC before, 0 BTC now, and no order of ours explains it"] * 3
    assert account.noted()["held"] == HOLDINGS | NO_BTC


def test_holdings_that_were_away_for_a_moment_were_never_gone() -> None:
    account = Account()
    account.look(0)
    assert not account.look(30, holdings=NO_BTC)
    assert account.look(60)
    assert account.noted()["anomalies"] == {}
    assert not account.look(400, holdings=NO_BTC)  # it counts from now on
    assert not account.look(699, holdings=NO_BTC)
    assert account.look(700, holdings=NO_BTC)


def test_what_vanishes_after_something_else_was_believed_gone_is_doubted_anew() -> None:
    account = Account()
    account.look(0)
    assert not account.look(30, holdings=NO_BTC)
    assert account.look(330, holdings=NO_BTC)
    looks = [account.look(now, holdings=NO_BTC | {"ETH": "0"}) for now in (360, 659, 660)]
    assert looks == [False, False, True]


def test_holdings_that_stay_away_between_two_distant_looks_are_believed_gone() -> None:
    account = Account()
    account.look(0)
    assert not account.look(86_400, holdings=NO_BTC)
    assert account.look(2 * 86_400, holdings=NO_BTC)


def test_what_own_orders_may_have_spent_is_no_doubt() -> None:
    account = Account()
    account.look(0)
    assert account.look(30, holdings={"USDT": "0"}, spent=["USDT"])
    assert not account.look(60, holdings={"USDT": "0", "BTC": "0"}, spent=["USDT", "ETH"])
    assert account.doubts == ["holdings vanished: 0.5 BTC before, 0 BTC now, and no order of ours explains it"]


def test_an_account_that_comes_back_empty_is_doubted_whole() -> None:
    account = Account()
    account.look(0)
    assert not account.look(30, holdings=dict.fromkeys(HOLDINGS, "0"))
    assert account.noted()["anomalies"].keys() == HOLDINGS.keys()


@pytest.mark.parametrize(("worth", "believed"), [("60.01", True), ("60", False)])
def test_what_was_worth_less_than_the_band_may_vanish(worth: str, believed: bool) -> None:
    account = Account(STRATEGY.model_copy(update={"min_delta_quote": D(worth)}))
    account.look(0, holdings={"USDT": "60"})
    assert account.look(30, holdings={"USDT": "0"}) is believed


@pytest.mark.parametrize(("pct", "believed"), [("3.3", True), ("3.2", False)])
def test_the_band_may_be_a_share_of_what_was_held(pct: str, believed: bool) -> None:
    # 20,000 in BTC, 10,000 in ETH and 1,000 in USDT: 3.3 % are 1,023, 3.2 % are 992
    account = Account(STRATEGY.model_copy(update={"min_delta_pct": D(pct)}))
    account.look(0)
    assert account.look(30, holdings=HOLDINGS | {"USDT": "0"}) is believed


def test_what_the_strategy_has_dropped_may_vanish() -> None:
    account = Account()
    account.look(0)
    account.strategy = STRATEGY.model_copy(update={"target_allocations": {"ETH": D(100)}})
    assert account.look(30, holdings=NO_BTC)


def test_what_the_strategy_does_not_manage_may_vanish() -> None:
    account = Account()
    account.look(0, holdings={"DOGE": "1000000"})
    assert account.look(30)
    assert account.noted()["held"] == HOLDINGS


def test_a_sale_by_somebody_else_down_to_a_remainder_is_a_fact() -> None:
    account = Account()
    account.look(0)
    assert account.look(30, holdings={"BTC": "0.0065"})
    assert not account.look(60, holdings={"BTC": "0.00004"})


# holdings that appear, and redenominations


def test_holdings_that_grow_by_less_than_what_was_there_are_a_fact() -> None:
    account = Account()
    account.look(0)
    assert account.look(30, holdings={"BTC": "0.99"})
    assert not account.look(60, holdings={"BTC": "1.98"})


@pytest.mark.parametrize("before", ["0", "0.5"])
def test_holdings_that_come_from_nowhere_are_believed_when_they_have_stayed_for_five_minutes(before: str) -> None:
    account = Account()
    account.look(0, holdings={"BTC": before})
    looks = [account.look(now, holdings={"BTC": "3"}) for now in (30, 60, 329, 330, 360)]
    assert looks == [False, False, False, True, True]


def test_what_own_orders_may_have_brought_has_not_come_from_nowhere() -> None:
    account = Account()
    account.look(0, holdings={"BTC": "0"})
    assert account.look(30, holdings={"BTC": "0.4"}, received={"BTC": "0.4"})
    assert not account.look(60, holdings={"BTC": "1.9"}, received={"BTC": "0.5"})


def test_what_is_worth_less_than_the_band_may_appear() -> None:
    account = Account()
    account.look(0, holdings={"BTC": "0"})
    assert account.look(30, holdings={"BTC": "0.0014"})


@pytest.mark.parametrize("factor", [10, 100, 1000])
@pytest.mark.parametrize("later", [30, 7_200])
def test_half_a_redenomination_in_the_price_waits_for_the_other_half(factor: int, later: int) -> None:
    for up, price in ((True, D(40_000) * factor), (False, D(40_000) / factor)):
        account = Account()
        account.look(0)
        looks = [account.look(later + 30 * tick, prices={"BTCUSDT": str(price)}) for tick in range(40)]
        assert looks == [False] * 40
        held = D("0.5") / factor if up else D("0.5") * factor
        assert account.look(later + 1200, prices={"BTCUSDT": str(price)}, holdings={"BTC": str(held)})


def test_half_a_redenomination_in_the_quantity_is_a_deposit_when_it_grew_and_stays() -> None:
    account = Account()
    account.look(0)
    assert [account.look(now, holdings={"BTC": "5"}) for now in (30, 329, 330)] == [False, False, True]
    account = Account()
    account.look(0)
    assert [account.look(now, holdings={"BTC": "0.05"}) for now in (30, 330, 3_000)] == [False] * 3


def test_both_halves_at_once_are_a_fact() -> None:
    account = Account()
    account.look(0)
    assert not account.look(30, prices={"BTCUSDT": "400"}, holdings={"BTC": "5"})  # 100 and 10 do not make one
    account = Account()
    account.look(0)
    assert account.look(4_000, prices={"BTCUSDT": "400"}, holdings={"BTC": "50"})


def test_its_owner_s_word_ends_a_doubt() -> None:
    account = Account()
    account.look(0)
    assert not account.look(30, prices={"BTCUSDT": "4000"})
    assert account.memory is not None
    assert list(account.memory.anomalies) == ["BTCUSDT"]
    account.memory = account.memory.model_copy(update={"accepted": ("BTCUSDT",)})
    assert account.look(60, prices={"BTCUSDT": "4000"})
    assert account.look(90, prices={"BTCUSDT": "4000"})


@pytest.mark.parametrize(("seconds", "most"), [(0, "10"), (600, "10"), (2_400, "21.0"), (3_600, "26.29")], ids=str)
def test_a_price_may_move_farther_the_longer_nobody_looked(seconds: int, most: str) -> None:
    """1.1 ** sqrt(seconds / 600), worked by hand."""
    assert abs(bound_after(D(10), seconds) - D(most)) < D("0.01")
    below, over = D(100) + D(most) - D("0.01"), D(100) + D(most) + D("0.01")
    assert jumped_symbols({"X": below, "Y": over}, {"X": D(100), "Y": D(100)}, D(10), seconds) == ["Y"]


@pytest.mark.parametrize("btc", ["0", "0.5"], ids=["while another is away", "as another comes back"])
def test_each_asset_has_to_stay_away_for_five_minutes_itself(btc: str) -> None:
    account = Account()
    account.look(0)
    assert not account.look(30, holdings=NO_BTC)
    assert not account.look(300, holdings={"BTC": btc, "ETH": "0"})
    assert not account.look(330, holdings={"BTC": btc, "ETH": "0"})


# what own orders may have spent


def spent_by(*orders: Order, held: Mapping[str, str] = HOLDINGS) -> frozenset[str]:
    last = LastObservation(seen_at=T, prices={}, held={asset: D(quantity) for asset, quantity in held.items()})
    return assets_own_orders_may_have_spent(last, orders)


def a_buy(base_qty: str, limit_price: str, filled_qty: str = "0") -> Order:
    return an_order(side="buy", base_qty=D(base_qty), limit_price=D(limit_price), filled_qty=D(filled_qty))


def a_sell(base_qty: str, filled_qty: str = "0") -> Order:
    return an_order(side="sell", base_qty=D(base_qty), limit_price=D(40_000), filled_qty=D(filled_qty))


def test_no_orders_spend_nothing() -> None:
    assert spent_by() == frozenset()


@pytest.mark.parametrize(
    ("base_qty", "all_of_it"),
    [("0.02500", True), ("0.02375", True), ("0.02374999", False), ("0.01", False), ("0.00025", False)],
)
def test_a_buy_may_spend_quote_for_what_is_not_filled_yet(base_qty: str, all_of_it: bool) -> None:
    """0.02375 × 40000 is 950, which is 95 % of the 1000 USDT held."""
    assert spent_by(a_buy(base_qty, "40000")) == ({"USDT"} if all_of_it else frozenset())


@pytest.mark.parametrize(("base_qty", "all_of_it"), [("0.5", True), ("0.475", True), ("0.47499999", False)])
def test_a_sell_may_spend_the_base(base_qty: str, all_of_it: bool) -> None:
    """0.475 is 95 % of the 0.5 BTC held."""
    assert spent_by(a_sell(base_qty)) == ({"BTC"} if all_of_it else frozenset())


def test_what_was_filled_before_was_spent_before() -> None:
    assert spent_by(a_sell("0.6", filled_qty="0.125")) == {"BTC"}  # 0.475 are left to fill
    assert spent_by(a_sell("0.6", filled_qty="0.12500001")) == frozenset()
    assert spent_by(a_buy("0.1", "40000", filled_qty="0.07625")) == {"USDT"}  # 0.02375 are
    assert spent_by(a_buy("0.1", "40000", filled_qty="0.07625001")) == frozenset()


def test_orders_spend_together() -> None:
    sells = [a_sell("0.25"), a_sell("0.225")]
    assert [spent_by(sell) for sell in sells] == [frozenset(), frozenset()]
    assert spent_by(*sells) == {"BTC"}
    assert spent_by(*sells, a_buy("0.01", "40000"), a_buy("0.01", "55000")) == {"BTC", "USDT"}
    assert spent_by(*sells, a_buy("0.01", "40000"), a_buy("0.01", "54999")) == {"BTC"}


def test_a_resting_order_for_a_part_does_not_let_everything_vanish() -> None:
    account = Account()
    account.look(0)
    spent = spent_by(a_buy("0.01", "40000"), a_sell("0.1"))
    assert not account.look(30, holdings={"BTC": "0", "USDT": "0"}, spent=spent)


def test_an_order_for_everything_may_leave_nothing() -> None:
    account = Account()
    account.look(0)
    assert account.look(30, holdings={"BTC": "0"}, spent=spent_by(a_sell("0.5")))


def test_what_may_be_spent_is_exact_in_any_decimal_context() -> None:
    held = {"BTC": "123456789012345678901234567890"}
    enough, too_little = "117283949561728394956172839495.5", "117283949561728394956172839495.4"
    with localcontext(Context(prec=3)):
        assert spent_by(a_sell(enough), held=held) == {"BTC"}
        assert spent_by(a_sell(too_little), held=held) == frozenset()


def test_an_order_that_filled_in_the_run_that_placed_it_may_have_spent_everything() -> None:
    """It is settled and watched no more when the next look comes."""
    last = LastObservation(seen_at=T, prices={}, held={"BTC": D("0.5"), "USDT": D(1000)})

    def spent_after(resting: list[Order], placed: list[Order]) -> frozenset[str]:
        committed = movable_quantities(resting, placed, "spends")
        return assets_own_orders_may_have_spent(last.model_copy(update={"committed": committed}), [])

    assert spent_after([a_buy("0.02", "40000")], [a_sell("0.5", filled_qty="0.5")]) == {"BTC"}
    assert spent_after([a_buy("0.02", "40000"), a_buy("0.01", "40000")], []) == {"USDT"}
    assert spent_after([], []) == frozenset()


# both, and how it is noted and told


def test_all_doubts_are_told_at_once() -> None:
    account = Account()
    account.look(0)
    assert not account.look(30, prices={"ETHUSDT": "2000.5"}, holdings=NO_BTC)
    [doubts] = account.doubts
    assert doubts == (
        "ETHUSDT jumped by more than 10 %, from 2500 to 2000.5; "
        "holdings vanished: 0.5 BTC before, 0 BTC now, and no order of ours explains it"
    )


def test_a_price_is_believed_while_holdings_are_not() -> None:
    account = Account()
    account.look(0)
    assert not account.look(30, prices={"ETHUSDT": "2000"}, holdings=NO_BTC)
    assert not account.look(60, prices={"ETHUSDT": "2000"}, holdings=NO_BTC)
    assert account.noted()["prices"]["ETHUSDT"] == "2000"
    assert account.look(90, prices={"ETHUSDT": "2000"})


@pytest.mark.parametrize(
    "quantity", ["0.1", "0.500", "1E+3", "1E-18", "123456789012345678901234567890.000000000000000001"]
)
def test_what_is_noted_is_exact_to_the_last_digit(quantity: str) -> None:
    account = Account()
    account.look(0, prices={"BTCUSDT": quantity}, holdings={"BTC": quantity})
    with localcontext(Context(prec=3)):
        account.look(30, prices={"BTCUSDT": quantity}, holdings={"BTC": quantity})
    assert account.noted()["prices"]["BTCUSDT"] == quantity
    assert D(account.noted()["held"]["BTC"]) == D(quantity)


def test_a_long_quantity_is_compared_to_the_last_digit_after_it_was_noted() -> None:
    exactly, more = "44000." + "0" * 30, "44000." + "0" * 29 + "1"
    assert btc_looks("40000." + "0" * 30, exactly) == [True, True]
    assert btc_looks("40000." + "0" * 30, more) == [True, False]
