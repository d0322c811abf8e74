"""What keeps an account, or a part of it, from being traded, with its evidence; and its owner's word that ends it."""

from dataclasses import dataclass
from typing import Literal

from botbalance.engine import BudgetRule
from botbalance.errors import ConflictError, NotFoundError
from botbalance.models.account_state import AccountState, BudgetPause, BudgetState
from botbalance.models.activity import ActivityKind
from botbalance.trading.context import TradingContext
from botbalance.trading.session import AccountSession, open_session

type Scope = Literal["account", "pair", "buys"]
"""What a pause holds: everything, one pair, or what would be bought of one pair."""
DOUBT = "doubt"
ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Pause:
    """One thing that is held; ``pause_id`` names it, times are in epoch seconds.

    ``kind`` is the rule of a budget, or ``doubt`` for what is not believed. ``subject`` is the asset or the symbol that
    it is about, or ``account``. ``until`` is None for what its owner alone ends.
    """

    pause_id: str
    kind: str
    scope: Scope
    subject: str
    since: int
    until: int | None
    evidence: str


def list_pauses(context: TradingContext, user_id: str) -> list[Pause]:
    """What holds the user's account now, oldest first; asks no exchange."""
    state = context.accounts.find_state(user_id)
    return build_pauses(state, state.account_budgets(_traded_account(context, user_id)))


def resume(context: TradingContext, user_id: str, pause_id: str) -> Pause:
    """End a pause by its owner's word; returns what it was.

    What was doubted is believed from the next look on. What a budget has paused is traded again, and its limit counts
    from the next full hour on; the autopilot, where that was switched off, stays off until its owner switches it on.
    Raises NotFoundError where nothing is held by that id (any more), ConflictError while a run works on the account.
    """
    with open_session(context, user_id) as session:
        account = _traded_account(context, user_id)
        held = build_pauses(session.state, session.state.account_budgets(account))
        pause = next((pause for pause in held if pause.pause_id == pause_id), None)
        if pause is None:
            raise NotFoundError("pause_not_found", f"nothing is held by {pause_id}; GET pauses/ lists what is")
        if pause.kind == DOUBT:
            _believe(session, pause)
        else:
            _end(session, account, pause_id)
        subject = None if pause.subject == ACCOUNT else pause.subject
        before = {"pause_id": pause_id}
        session.tell(ActivityKind.TRADING_RESUMED, subject=subject, before=before, reason=pause.evidence)
    return pause


def _traded_account(context: TradingContext, user_id: str) -> str:
    """The account that the user's strategy trades; nobody's without one."""
    strategy = context.strategies.find(user_id)
    return "" if strategy is None else context.find_account(user_id, strategy.exchange)


def _believe(session: AccountSession, pause: Pause) -> None:
    last = session.state.last_observation
    if last is None:
        raise AssertionError(pause.pause_id)  # there is no doubt without it
    if pause.subject in last.accepted:
        raise ConflictError("pause_resumed", f"{pause.pause_id} ends with the next look")
    accepted = (*last.accepted, pause.subject)
    session.remember(last_observation=last.model_copy(update={"accepted": accepted}))


def _end(session: AccountSession, account: str, pause_id: str) -> None:
    budgets = session.state.account_budgets(account)
    [key] = [key for key, pause in budgets.pauses.items() if pause.pause_id == pause_id]
    pauses = {other: pause for other, pause in budgets.pauses.items() if other != key}
    resumed = budgets.resumed | {key: session.context.clock()}
    session.remember_budgets(account, budgets.model_copy(update={"pauses": pauses, "resumed": resumed}))


def build_pauses(state: AccountState, budgets: BudgetState) -> list[Pause]:
    """What holds an account with that state and those budgets, oldest first."""
    last = state.last_observation
    doubts = [
        Pause(f"{DOUBT}-{subject}", DOUBT, "account", subject, anomaly.since, None, anomaly.evidence)
        for subject, anomaly in ({} if last is None else last.anomalies).items()
    ]
    by_budgets = [
        Pause(
            pause.pause_id,
            str(pause.rule),
            _scope(pause),
            pause.symbol or ACCOUNT,
            pause.since,
            pause.until,
            pause.evidence,
        )
        for pause in budgets.pauses.values()
    ]
    return sorted([*doubts, *by_budgets], key=lambda pause: (pause.since, pause.subject, pause.kind))


def _scope(pause: BudgetPause) -> Scope:
    if pause.symbol is None:
        return "account"
    return "buys" if pause.rule is BudgetRule.FALL else "pair"
