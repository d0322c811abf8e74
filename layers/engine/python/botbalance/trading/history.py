"""The history of a portfolio: a point an hour, by the look that happens anyway, and what is shown of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import Evaluation, sum_exactly
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.engine.durations import DAY_S
from botbalance.errors import InvalidRequestError, TransientError
from botbalance.log import logger
from botbalance.models.history import HistoryPoint, hour_start
from botbalance.models.order import Order
from botbalance.models.strategy import Strategy
from botbalance.store.pagination import TimeRange
from botbalance.trading.bonus import bonus_of_totals, first_unbooked, prices_in_quote, traded_assets
from botbalance.trading.context import TradingContext
from botbalance.trading.session import AccountSession

Step = Literal["hour", "day", "month"]
"""Hours, days and months of UTC."""

_LONGEST_DAYS: dict[Step, int] = {"hour": 31, "day": 366, "month": 366}
_DEFAULT_DAYS: dict[Step, int] = {"hour": 7, "day": 90, "month": 365}
_BEFORE_DAYS: dict[Step, int] = {"hour": 1, "day": 2, "month": 62}
"""How far before the first step one is looked for that it can be compared with."""
_NAMES: dict[Step, str] = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}


@dataclass(frozen=True, slots=True)
class Change:
    """A point, and what was added to the bonus since the one before; None where either is not known."""

    point: HistoryPoint
    added: Decimal | None


@dataclass(frozen=True, slots=True)
class History:
    """The last point of every step, oldest first; only those of the strategy's account and quote asset."""

    strategy: Strategy
    step: Step
    changes: list[Change]


def missing_point(
    session: AccountSession,
    strategy: Strategy,
    snapshot: Snapshot,
    evaluation: Evaluation,
    orders: Sequence[Order],
    now: int,
) -> HistoryPoint | None:
    """The point of this hour, where the history has none yet and everything is booked that ``snapshot`` may show.

    ``orders`` are those whose end is not known. It has to be made before the run sends anything: what is booked later
    is not in the snapshot.
    """
    totals = session.state.fill_totals
    if totals is None or hour_start(now) <= session.state.history_hour:
        return None
    if first_unbooked(session.exchange(strategy.exchange), snapshot.open_orders, orders) is not None:
        return None
    account = session.account(strategy.exchange)
    of_account = totals.get(account, {})
    bonus = None
    try:
        prices = prices_in_quote(session.context, strategy, evaluation, traded_assets(of_account))
        bonus = sum_exactly(bonus_of_totals(of_account, prices).values())
    except InvalidRequestError as error:
        logger.info("history without a bonus", user_id=strategy.user_id, reason=str(error))
    return HistoryPoint(at=now, exchange=account, quote_asset=strategy.quote_asset, nav=evaluation.nav, bonus=bonus)


def record(session: AccountSession, point: HistoryPoint | None) -> None:
    """Write ``point``, if there is one; where that fails, the next look makes another."""
    if point is None:
        return
    try:
        session.context.history.write(session.user_id, point)
    except TransientError as error:
        logger.warning("history not written", user_id=session.user_id, reason=str(error))
        return
    session.remember(history_hour=hour_start(point.at))


def history(context: TradingContext, user_id: str, *, since: int | None, until: int | None, step: Step) -> History:
    """The user's history from ``since`` to ``until`` (epoch seconds), a point a ``step``.

    Without ``since`` a week, a quarter or a year, by the step. Raises InvalidRequestError for a period that is longer
    than a month of hours or a year, NotFoundError without a strategy.
    """
    strategy = context.strategies.get(user_id)
    until = context.clock() if until is None else until
    since = max(0, until - _DEFAULT_DAYS[step] * DAY_S) if since is None else since
    longest = _LONGEST_DAYS[step]
    if not 0 <= until - since <= longest * DAY_S:
        raise InvalidRequestError(
            "invalid_period",
            f"from is {since} and until is {until}, expected 0 to {longest} days between them where step is {step}",
        )
    account = context.find_account(user_id, strategy.exchange)
    hours = TimeRange(max(0, hour_start(since) - _BEFORE_DAYS[step] * DAY_S), until)
    points = [
        point
        for point in context.history.last_of_each(user_id, hours, lambda hour: _name(hour, step))
        if (point.exchange, point.quote_asset) == (account, strategy.quote_asset)
    ]
    compared = [Change(after, _added(before, after)) for before, after in zip([None, *points], points, strict=False)]
    first = _name(since, step)
    return History(strategy, step, [one for one in compared if _name(one.point.at, step) >= first])


def _name(moment: int, step: Step) -> str:
    """The hour, day or month of a moment; names sort as they follow each other."""
    return datetime.fromtimestamp(moment, UTC).strftime(_NAMES[step])


def _added(before: HistoryPoint | None, after: HistoryPoint) -> Decimal | None:
    if before is None or before.bonus is None or after.bonus is None:
        return None
    with ExactArithmetic():
        return after.bonus - before.bonus
