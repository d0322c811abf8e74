"""Budgets of an account: what its trading has come to pauses it, or a pair of it, until its owner resumes it.

Reviewed by each run of the autopilot, before it decides. What a person executes by hand is counted, and not held.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from botbalance.accounts.portfolio import Snapshot
from botbalance.engine import (
    BudgetFinding,
    BudgetRule,
    finding_id,
    observe,
    observed_nav,
    review_budgets,
    review_falls,
)
from botbalance.engine.budgets import MONTH_HOURS
from botbalance.engine.durations import HOUR_S
from botbalance.errors import ConflictError
from botbalance.log import logger
from botbalance.models.account_state import BudgetPause, BudgetState, RefusedPair
from botbalance.models.activity import ActivityKind
from botbalance.models.strategy import Strategy
from botbalance.trading.session import MOST_TOLD_AT_ONCE, AccountSession

ACCOUNT_PAUSED = "account_paused"
UNFILLED_PAUSE_S = HOUR_S


class AccountPausedError(ConflictError):
    """A budget has paused the whole account: nothing of it is traded until its owner resumes it."""

    def __init__(self, pause: BudgetPause) -> None:
        super().__init__(ACCOUNT_PAUSED, f"{pause.evidence}; see it, then POST pauses/{pause.pause_id}/resume/")


def require_not_paused(budgets: BudgetState) -> None:
    """Raise AccountPausedError while a budget has paused the whole account."""
    for pause in budgets.pauses.values():
        if pause.symbol is None:
            raise AccountPausedError(pause)


@dataclass(frozen=True, slots=True)
class PausedPairs:
    """What a decision is told to leave alone: pairs, those of which nothing is bought, and when (epoch seconds) any of
    that ends by itself."""

    symbols: frozenset[str]
    buys: frozenset[str]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, waiting: Mapping[str, RefusedPair], budgets: BudgetState, now: int) -> "PausedPairs":
        """Those of pairs that are ``waiting`` since they were refused, and of ``budgets``."""
        pauses = budgets.pauses.values()
        of_pairs = [(pause, pause.symbol) for pause in pauses if pause.symbol is not None]
        held = [symbol for pause, symbol in of_pairs if pause.rule is not BudgetRule.FALL and not _is_over(pause, now)]
        return cls(
            symbols=frozenset([*waiting, *held]),
            buys=frozenset(symbol for pause, symbol in of_pairs if pause.rule is BudgetRule.FALL),
            ends=(
                *(pair.retry_at for pair in waiting.values()),
                *(pause.until for pause in pauses if pause.until is not None),
            ),
        )


def review(session: AccountSession, strategy: Strategy, snapshot: Snapshot, now: int) -> None:
    """Pause what the limits ask for after all that was traded until ``now`` (epoch seconds), and tell of it.

    Raises AccountPausedError where the whole account is paused.
    """
    _drop_the_old(session, now)
    account = session.account(strategy.exchange)
    budgets = session.state.account_budgets(account)
    held = observe(snapshot.balances, snapshot.prices, {strategy.quote_asset, *strategy.target_allocations})
    findings = review_budgets(
        budgets.tallies,
        strategy.budgets,
        now,
        nav=observed_nav(held, strategy.quote_asset),
        symbols=strategy.symbols(),
        resumed=budgets.resumed,
    )
    _warn(session, account, [finding for finding in findings if not finding.exceeded], now)
    _pause(session, account, [finding for finding in findings if finding.exceeded], now)
    require_not_paused(session.state.account_budgets(account))


def review_prices(
    session: AccountSession, strategy: Strategy, prices: Mapping[str, Decimal], bought: Collection[str], now: int
) -> bool:
    """Remember, and tell, which of the pairs that are being ``bought`` have fallen too far; whether any has just now.

    Their highs are asked for, once an hour at most. Where an exchange does not tell them, buying goes on.
    """
    account = session.account(strategy.exchange)
    budgets = session.state.account_budgets(account)
    asked = {
        symbol: _next_hour(budgets.resumed.get(finding_id(BudgetRule.FALL, symbol), 0))
        for symbol in bought
        if finding_id(BudgetRule.FALL, symbol) not in budgets.pauses
    }
    if not asked:
        return False
    highs = session.context.highs.of_week(strategy.exchange, asked)
    findings = review_falls(prices, highs, strategy.budgets)
    _pause(session, account, findings, now)
    return bool(findings)


def end_account(session: AccountSession, account: str) -> None:
    """Forget what ``account``, which is over, has traded, and end its pauses; later runs may tell of some of them."""
    budgets, now = session.state.account_budgets(account), session.context.clock()
    untold = _tell_ends(session, budgets.pauses, "the account starts anew")
    over = {key: pause.model_copy(update={"until": now}) for key, pause in untold.items()}
    session.remember_budgets(account, BudgetState(pauses=over))


def _drop_the_old(session: AccountSession, now: int) -> None:
    """Of all accounts, end the pauses whose time is over, and forget ends that no limit asks for any more."""
    kept: dict[str, BudgetState] = {}
    for account, budgets in session.state.budgets.items():
        over = {key: pause for key, pause in budgets.pauses.items() if _is_over(pause, now)}
        resumed = {key: at for key, at in budgets.resumed.items() if now - at < MONTH_HOURS * HOUR_S}
        ended = over.keys() - _tell_ends(session, over, "its time is over").keys()
        pauses = {key: pause for key, pause in budgets.pauses.items() if key not in ended}
        ends = {"pauses": pauses, "resumed": resumed | dict.fromkeys(ended, now)}
        kept[account] = budgets.model_copy(update=ends)
    session.remember(budgets=kept)


def _tell_ends(session: AccountSession, pauses: Mapping[str, BudgetPause], reason: str) -> dict[str, BudgetPause]:
    """Tell that ``pauses`` are over; returns those that are too many to be told in one write."""
    untold = dict(pauses)
    for key, pause in pauses.items():
        if len(session.told) >= MOST_TOLD_AT_ONCE:
            break
        del untold[key]
        before = {"pause_id": pause.pause_id}
        session.tell(ActivityKind.TRADING_RESUMED, subject=pause.symbol, before=before, reason=reason)
    return untold


def _warn(session: AccountSession, account: str, findings: Iterable[BudgetFinding], now: int) -> None:
    """Tell of what is new among ``findings``; what is no longer found is forgotten, and told anew when it is again."""
    budgets = session.state.account_budgets(account)
    before = budgets.warned
    warned: dict[str, int] = {}
    for finding in findings:
        key = finding.finding_id
        if key in before:
            warned[key] = before[key]
        elif len(session.told) < MOST_TOLD_AT_ONCE:
            warned[key] = now
            after = {"rule": str(finding.rule)}
            session.tell(ActivityKind.BUDGET_WARNED, subject=finding.symbol, after=after, reason=finding.evidence)
    session.remember_budgets(account, budgets.model_copy(update={"warned": warned}))


def _pause(session: AccountSession, account: str, findings: Iterable[BudgetFinding], now: int) -> None:
    budgets = session.state.account_budgets(account)
    pauses = dict(budgets.pauses)
    for finding in findings:
        key = finding.finding_id
        if key in pauses or len(session.told) >= MOST_TOLD_AT_ONCE:
            continue
        until = now + UNFILLED_PAUSE_S if finding.rule is BudgetRule.UNFILLED_ORDERS else None
        pause = BudgetPause(rule=finding.rule, symbol=finding.symbol, since=now, until=until, evidence=finding.evidence)
        pauses[key] = pause
        after = {"pause_id": pause.pause_id, "rule": str(pause.rule), "until": until}
        session.tell(ActivityKind.TRADING_PAUSED, subject=finding.symbol, after=after, reason=finding.evidence)
        logger.warning("paused by a budget", user_id=session.user_id, pause_id=pause.pause_id, reason=pause.evidence)
    session.remember_budgets(account, budgets.model_copy(update={"pauses": pauses}))


def _is_over(pause: BudgetPause, now: int) -> bool:
    return pause.until is not None and now >= pause.until


def _next_hour(moment: int) -> int:
    return (moment // HOUR_S + 1) * HOUR_S if moment else 0
