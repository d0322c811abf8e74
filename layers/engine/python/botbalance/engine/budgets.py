"""What trading may cost before it is paused: turnover to and fro, fees, losing round trips, orders, and falls. Pure.

What an account trades is counted in hours, by pair. Limits and a moment then tell what to warn of and what to pause.
Only trading that lost is ever paused by what it cost: swings that paid for themselves are what a strategy is for.
A convergence to the targets, or a deposit, is one-way, and adds nothing to any limit that pauses.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from enum import StrEnum
from typing import NamedTuple

from botbalance.engine.arithmetic import HUNDRED, NEAREST, PERCENT, ZERO, ExactArithmetic, format_decimal
from botbalance.engine.durations import HOUR_S
from botbalance.engine.errors import InvalidStrategyError
from botbalance.engine.fills import Fill
from botbalance.engine.record import record
from botbalance.engine.valuation import pair_symbol

DAY_HOURS = 24
WEEK_HOURS = 168
MONTH_HOURS = 720
USUAL_FEE_PCT = Decimal("0.1")
"""The fee for which ``fees_pct`` is said, and which is assumed of a fee in a coin whose price is not known."""
_WARNED_AT, _WARNED_OF = 2, 3
"""Over two thirds of a limit."""
_FOLDED_HOURS = 5 * DAY_HOURS
_LEAST_ROUND_TRIPS = 2
"""One there and back is no pattern."""


class BudgetRule(StrEnum):
    """What is limited."""

    CHURN = "churn"
    FEES = "fees"
    LOSING_ROUND_TRIPS = "losing_round_trips"
    UNFILLED_ORDERS = "unfilled_orders"
    ORDERS_PLACED = "orders_placed"
    TURNOVER = "turnover"
    FALL = "fall"


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """What a strategy's trading may come to. Raises InvalidStrategyError, naming the field, for values that cannot be.

    Over two thirds of a limit is a warning, over the limit a pause; turnover only ever warns.
    ``churn_pct``: of a pair, twice the smaller of what was bought and sold, in percent of NAV a day, mean of 7 days.
    ``fees_pct``: fees of trading to and fro in 30 days, in percent of NAV, at a fee of 0.1 %; at a higher fee it is in
    proportion. ``losing_round_trips``: of a pair within 24 hours. ``unfilled_orders``: placed on a pair within a clock
    hour in which none filled. ``orders_per_pair``: placed within 24 hours, on average of the pairs.
    ``turnover_pct``: of everything traded within 24 hours, in percent of NAV. ``fall_pct``: how far, in percent, a pair
    may be below its high of 7 days and still be bought; 100 is no limit.
    """

    churn_pct: Decimal = Decimal(3)
    fees_pct: Decimal = Decimal("0.2")
    losing_round_trips: int = 2
    unfilled_orders: int = 40
    orders_per_pair: int = 100
    turnover_pct: Decimal = Decimal(15)
    fall_pct: Decimal = Decimal(50)

    def __post_init__(self) -> None:
        for name, most in (("churn_pct", 1_000), ("fees_pct", 100), ("turnover_pct", 10_000), ("fall_pct", 100)):
            value = getattr(self, name)
            if not (isinstance(value, Decimal) and value.is_finite() and 0 < value <= most):
                expected = f"a number over 0 and at most {most} (percent)"
                raise InvalidStrategyError(f"budgets.{name}", repr(value), expected)
        for name in ("losing_round_trips", "unfilled_orders", "orders_per_pair"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100_000:
                raise InvalidStrategyError(f"budgets.{name}", repr(value), "a whole number from 1 to 100000")


@record
class Tally:
    """What was traded and placed on one pair in a while.

    ``bought`` and ``sold`` in base, ``paid`` and ``received`` in quote without fees, the fees of both sides in quote;
    ``buys`` and ``sells`` count the orders that filled, in whole or in part, ``placed`` those that were sent. ``nav``,
    in quote and to twelve digits, is the NAV of that while, a mean by what was traded; 0 where it was not known.
    """

    bought: Decimal = ZERO
    sold: Decimal = ZERO
    paid: Decimal = ZERO
    received: Decimal = ZERO
    buy_fees: Decimal = ZERO
    sell_fees: Decimal = ZERO
    buys: int = 0
    sells: int = 0
    placed: int = 0
    nav: Decimal = ZERO

    @property
    def traded(self) -> Decimal:
        """What was bought and sold, in quote."""
        return self.paid + self.received

    @property
    def both_ways(self) -> Decimal:
        """Twice what was traded to and fro, in quote: what was only bought or only sold adds nothing."""
        return 2 * min(self.paid, self.received)

    @property
    def lost(self) -> bool:
        """Whether what was sold brought less a unit, after fees, than what was bought cost."""
        return (self.received - self.sell_fees) * self.bought < (self.paid + self.buy_fees) * self.sold


type Hours = Mapping[int, Tally]
"""A pair's tallies by the hour: whole hours since the epoch."""
type Tallies = Mapping[str, Hours]
"""By symbol."""
_SHOWN = Context(prec=6)
"""Digits of a quotient in words."""
_NAV_DIGITS = Context(prec=12)
_NO_HOURS: Hours = {}
_NO_TALLY = Tally()
_NONE: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class BudgetFinding:
    """A limit that is nearly reached, or ``exceeded``; ``symbol`` is None where it is about the whole account.

    ``evidence`` says in words what was found, and what the limit is.
    """

    rule: BudgetRule
    symbol: str | None
    exceeded: bool
    evidence: str

    @property
    def finding_id(self) -> str:
        """``churn-BTCUSDT``, ``fees-account``."""
        return finding_id(self.rule, self.symbol)


def finding_id(rule: BudgetRule, symbol: str | None) -> str:
    """What a rule finds of a pair, or of the account, is called.

    >>> finding_id(BudgetRule.CHURN, "BTCUSDT"), finding_id(BudgetRule.FEES, None)
    ('churn-BTCUSDT', 'fees-account')
    """
    return f"{rule}-{symbol or 'account'}"


def count_fill(
    hours: Hours, fill: Fill, fee_quote: Decimal, traded_at: int, *, is_first: bool, nav: Decimal = ZERO
) -> dict[int, Tally]:
    """``hours`` of a pair with one fill more, in the hour in which it was traded (epoch seconds).

    ``is_first``: whether it is the first one of its order. ``fee_quote`` is its fee in quote, ``nav`` the NAV that it
    is measured by; 0: that of whenever it is reviewed.
    """
    hour = traded_at // HOUR_S
    amount, nav = fill.quote_qty, _NAV_DIGITS.plus(nav)
    if fill.side == "buy":
        added = Tally(bought=fill.base_qty, paid=amount, buy_fees=fee_quote, buys=int(is_first), nav=nav)
    else:
        added = Tally(sold=fill.base_qty, received=amount, sell_fees=fee_quote, sells=int(is_first), nav=nav)
    with ExactArithmetic():
        return {**hours, hour: _sum([hours.get(hour, Tally()), added])}


def count_placed(hours: Hours, placed_at: int) -> dict[int, Tally]:
    """``hours`` of a pair with one order more that was sent at ``placed_at`` (epoch seconds).

    >>> [(hour, tally.placed) for hour, tally in count_placed({}, 7_200).items()]
    [(2, 1)]
    """
    hour = placed_at // HOUR_S
    tally = hours.get(hour, Tally())
    return {**hours, hour: replace(tally, placed=tally.placed + 1)}


def with_navs(hours: Hours, known: Hours) -> dict[int, Tally]:
    """``hours`` of a pair that were counted anew, with the NAV that ``known`` has of the same hour."""
    navs = {hour: tally.nav for hour, tally in known.items() if tally.nav}
    return {hour: replace(tally, nav=navs[hour]) if hour in navs else tally for hour, tally in hours.items()}


def fee_in_quote(fill: Fill, prices: Mapping[str, Decimal]) -> Decimal:
    """A fill's fee in quote: of a third coin at ``prices`` (by symbol), and where it has none there the usual fee.

    >>> fill = Fill("BTC", "USDT", "buy", Decimal(40000), Decimal("0.1"), Decimal("0.02"), "BNB")
    >>> fee_in_quote(fill, {"BNBUSDT": Decimal(300)}), fee_in_quote(fill, {})
    (Decimal('6.00'), Decimal('4.0000'))
    """
    if not fill.fee:
        return ZERO
    with ExactArithmetic():
        if fill.fee_asset == fill.quote:
            return fill.fee
        if fill.fee_asset == fill.base:
            return fill.fee * fill.price
        price = prices.get(pair_symbol(fill.fee_asset, fill.quote))
        return fill.quote_qty * USUAL_FEE_PCT * PERCENT if price is None else fill.fee * price


def kept_hours(hours: Hours, now: int, resumed: Collection[int] = (), *, by_day: bool = False) -> dict[int, Tally]:
    """What of ``hours`` any limit still asks for at ``now`` (epoch seconds).

    What is older than 7 days is added up by five days, in their first hour (UTC), so that an account remembers little.
    It is dropped once that is 30 days ago, so that of 30 days 25 to 30 are there. ``by_day``: what is older than a day
    is added up by days, in their first hour. Windows of 7 days then begin up to a day late. At the hours that follow a
    moment of ``resumed`` (epoch seconds) sums begin anew: what came after it still counts, and what was before not.
    """
    this_hour = now // HOUR_S
    first_hours = [moment // HOUR_S + 1 for moment in resumed]
    kept: dict[int, Tally] = {}
    with ExactArithmetic():
        for hour, tally in hours.items():
            place = hour
            if hour <= this_hour - (DAY_HOURS if by_day else WEEK_HOURS):
                width = DAY_HOURS if hour > this_hour - WEEK_HOURS else _FOLDED_HOURS
                place = max([hour - hour % width, *[first for first in first_hours if first <= hour]])
            if place > this_hour - MONTH_HOURS:
                kept[place] = _sum([kept[place], tally]) if place in kept else tally
    return kept


def review_budgets(
    tallies: Tallies,
    limits: BudgetLimits,
    now: int,
    *,
    nav: Decimal,
    symbols: Collection[str],
    resumed: Mapping[str, int] = _NONE,
) -> list[BudgetFinding]:
    """What the trading of ``symbols`` has come to at ``now`` (epoch seconds), where that is worth a word.

    ``nav`` in quote, of now: what an hour traded is in percent of the NAV that it was counted with, and of this one
    where none was known. ``resumed``: when (epoch seconds) the owner ended a pause, by its finding's id; that limit
    then counts from the next full hour on. A window of n hours is the clock hour of ``now`` and the n − 1 before it.
    """
    if nav <= ZERO:
        return []
    window = _Windows(tallies, now, resumed, nav)
    pairs = len(symbols)
    symbols = [symbol for symbol in symbols if symbol in tallies]  # limits are over 0: without trades none is reached
    found: list[BudgetFinding | None] = []
    with ExactArithmetic():
        for symbol in symbols:
            found.append(_churn(window.of(BudgetRule.CHURN, symbol, WEEK_HOURS), symbol, limits, nav))
            day = window.of(BudgetRule.LOSING_ROUND_TRIPS, symbol, DAY_HOURS).total
            found.append(_round_trips(day, symbol, limits))
            found.append(_unfilled(window.of(BudgetRule.UNFILLED_ORDERS, symbol, 1).total, symbol, limits))
        found.append(_fees(window.of_account(BudgetRule.FEES, symbols, MONTH_HOURS), limits, nav))
        found.append(_orders(window.of_account(BudgetRule.ORDERS_PLACED, symbols, DAY_HOURS), limits, pairs))
        found.append(_turnover(window.of_account(BudgetRule.TURNOVER, symbols, DAY_HOURS), limits, nav))
    return [finding for finding in found if finding is not None]


def review_falls(
    prices: Mapping[str, Decimal], highs: Mapping[str, Decimal], limits: BudgetLimits
) -> list[BudgetFinding]:
    """The pairs that are so far below their ``highs`` (of 7 days, by symbol) that they are bought no more."""
    found = []
    with ExactArithmetic():
        for symbol, high in highs.items():
            price = prices.get(symbol)
            if price is None or limits.fall_pct >= HUNDRED or price * HUNDRED > high * (HUNDRED - limits.fall_pct):
                continue
            fall = _shown(HUNDRED - NEAREST.divide(price * HUNDRED, high))
            said = (
                f"{symbol} at {format_decimal(price)} is {fall} % below its high of 7 days, {format_decimal(high)}; "
                f"from {format_decimal(limits.fall_pct)} % on nothing more of it is bought"
            )
            found.append(BudgetFinding(BudgetRule.FALL, symbol, exceeded=True, evidence=said))
    return found


class _Window(NamedTuple):
    """What was traded of a pair in some hours, and what it ``paid`` and ``received`` at a NAV as now.

    An hour in which the NAV was twice as large counts there half as much: its share of the NAV is what is limited.
    """

    total: Tally
    paid: Decimal
    received: Decimal

    @property
    def both_ways(self) -> Decimal:
        """As a tally's."""
        return 2 * min(self.paid, self.received)


class _Windows:
    """Sums over the last hours before a moment, each from where its owner last resumed it on, at the NAV of then."""

    def __init__(self, tallies: Tallies, now: int, resumed: Mapping[str, int], nav: Decimal) -> None:
        self._tallies = tallies
        self._this_hour = now // HOUR_S
        self._resumed = resumed
        self._nav = nav

    def of(self, rule: BudgetRule, symbol: str, hours: int, resumed_as: str | None = None) -> _Window:
        """What was traded of a pair in so many hours."""
        resumed_at = self._resumed.get(resumed_as or finding_id(rule, symbol))
        after = self._this_hour - hours
        if resumed_at is not None:
            after = max(after, resumed_at // HOUR_S)
        kept = self._tallies.get(symbol, _NO_HOURS)
        found = [tally for hour, tally in kept.items() if after < hour <= self._this_hour]
        total = _sum(found)
        if not total.nav or total.nav == self._nav:
            return _Window(total, total.paid, total.received)
        paid = sum([self._at_nav_of_now(tally.paid, tally.nav) for tally in found], ZERO)
        return _Window(total, paid, sum([self._at_nav_of_now(tally.received, tally.nav) for tally in found], ZERO))

    def _at_nav_of_now(self, amount: Decimal, nav: Decimal) -> Decimal:
        return NEAREST.divide(amount * self._nav, nav) if amount and nav else amount

    def of_account(self, rule: BudgetRule, symbols: Collection[str], hours: int) -> list[_Window]:
        """The same of each of ``symbols``, for a limit of the whole account."""
        account = finding_id(rule, None)
        return [self.of(rule, symbol, hours, account) for symbol in symbols]


def _sum(tallies: Sequence[Tally]) -> Tally:
    """All together, field by field: several times as fast as one after the other."""
    if len(tallies) <= 1:
        return tallies[0] if tallies else _NO_TALLY
    return Tally(
        sum([tally.bought for tally in tallies], ZERO),
        sum([tally.sold for tally in tallies], ZERO),
        sum([tally.paid for tally in tallies], ZERO),
        sum([tally.received for tally in tallies], ZERO),
        sum([tally.buy_fees for tally in tallies], ZERO),
        sum([tally.sell_fees for tally in tallies], ZERO),
        sum([tally.buys for tally in tallies]),
        sum([tally.sells for tally in tallies]),
        sum([tally.placed for tally in tallies]),
        _mean_nav(tallies),
    )


def _mean_nav(tallies: Sequence[Tally]) -> Decimal:
    """The NAV of which what was traded together is as large a share as it was one by one."""
    known = [tally for tally in tallies if tally.nav and tally.traded]
    navs = {tally.nav for tally in known}
    if len(navs) < 2:
        return navs.pop() if navs else ZERO
    shares = sum([NEAREST.divide(tally.traded, tally.nav) for tally in known], ZERO)
    return _NAV_DIGITS.divide(sum([tally.traded for tally in known], ZERO), shares)


def _churn(week: _Window, symbol: str, limits: BudgetLimits, nav: Decimal) -> BudgetFinding | None:
    days = WEEK_HOURS // DAY_HOURS
    level = _level(week.both_ways * HUNDRED, limits.churn_pct * days * nav)
    if level is None or not week.total.lost:
        return None
    said = (
        f"{symbol} was traded to and fro for {_shown(NEAREST.divide(week.both_ways * HUNDRED, nav * days))} % of NAV "
        f"a day, mean of 7 days (limit {format_decimal(limits.churn_pct)}), and lost by it: {_both_prices(week.total)}"
    )
    return BudgetFinding(BudgetRule.CHURN, symbol, level, said)


def _round_trips(day: Tally, symbol: str, limits: BudgetLimits) -> BudgetFinding | None:
    trips = min(day.buys, day.sells)
    if trips < _LEAST_ROUND_TRIPS or not day.lost:
        return None
    is_round = abs(day.bought - day.sold) * 5 < day.bought + day.sold
    level = _level(Decimal(trips), Decimal(limits.losing_round_trips))
    if level is None or not is_round:
        return None
    said = (
        f"{symbol} was bought {day.buys} times and sold {day.sells} times within 24 hours (limit: "
        f"{limits.losing_round_trips} losing round trips), and lost by it: {_both_prices(day)}"
    )
    return BudgetFinding(BudgetRule.LOSING_ROUND_TRIPS, symbol, level, said)


def _unfilled(hour: Tally, symbol: str, limits: BudgetLimits) -> BudgetFinding | None:
    level = _level(Decimal(hour.placed), Decimal(limits.unfilled_orders))
    if level is None or hour.buys or hour.sells:
        return None
    said = f"{hour.placed} orders of {symbol} were placed in this hour (limit {limits.unfilled_orders}), none filled"
    return BudgetFinding(BudgetRule.UNFILLED_ORDERS, symbol, level, said)


def _fees(pairs: Iterable[_Window], limits: BudgetLimits, nav: Decimal) -> BudgetFinding | None:
    """Both the fees and what they would be at the usual fee are over it: the turnover is at fault, not the fee."""
    losing = [pair for pair in pairs if pair.both_ways and pair.total.lost]
    limit = limits.fees_pct * nav
    at_usual_fee = _level(sum((pair.both_ways for pair in losing), ZERO) * USUAL_FEE_PCT, limit)
    if at_usual_fee is None:
        return None
    fees = sum((_fees_both_ways(pair) for pair in losing), ZERO) * HUNDRED
    paid = _level(fees, limit)
    if paid is None:
        return None
    shown = _shown(NEAREST.divide(fees, nav))
    said = (
        f"fees of losing trades to and fro took {shown} % of NAV in 30 days (limit {format_decimal(limits.fees_pct)} "
        f"at a fee of {format_decimal(USUAL_FEE_PCT)} %)"
    )
    return BudgetFinding(BudgetRule.FEES, None, at_usual_fee and paid, said)


def _fees_both_ways(pair: _Window) -> Decimal:
    """The part of a pair's fees that fell on what was both bought and sold, at a NAV as now."""
    tally = pair.total
    matched = min(tally.bought, tally.sold)
    of_buys = NEAREST.divide(matched * tally.buy_fees, tally.bought)
    fees = of_buys + NEAREST.divide(matched * tally.sell_fees, tally.sold)
    if pair.both_ways == tally.both_ways:
        return fees
    return NEAREST.divide(fees * pair.both_ways, tally.both_ways)


def _orders(traded: list[_Window], limits: BudgetLimits, pairs: int) -> BudgetFinding | None:
    placed = sum(pair.total.placed for pair in traded)
    limit = limits.orders_per_pair * pairs
    level = _level(Decimal(placed), Decimal(limit))
    if level is None:
        return None
    said = f"{placed} orders were placed within 24 hours (limit {limit}: {limits.orders_per_pair} a pair)"
    return BudgetFinding(BudgetRule.ORDERS_PLACED, None, level, said)


def _turnover(pairs: list[_Window], limits: BudgetLimits, nav: Decimal) -> BudgetFinding | None:
    traded = sum((pair.paid + pair.received for pair in pairs), ZERO) * HUNDRED
    if traded <= limits.turnover_pct * nav:
        return None
    shown, usual = _shown(NEAREST.divide(traded, nav)), format_decimal(limits.turnover_pct)
    said = f"{shown} % of NAV were traded within 24 hours (usual are up to {usual})"
    return BudgetFinding(BudgetRule.TURNOVER, None, exceeded=False, evidence=said)


def _level(value: Decimal, limit: Decimal) -> bool | None:
    """Whether ``value`` is over ``limit``; None where it is not even worth a warning."""
    if value > limit:
        return True
    return False if value * _WARNED_OF > limit * _WARNED_AT else None


def _both_prices(tally: Tally) -> str:
    bought = _shown(NEAREST.divide(tally.paid + tally.buy_fees, tally.bought))
    sold = _shown(NEAREST.divide(tally.received - tally.sell_fees, tally.sold))
    return f"{tally.buys} buys at {bought} and {tally.sells} sells at {sold}, after fees"


def _shown(number: Decimal) -> str:
    return format_decimal(_SHOWN.plus(number))
