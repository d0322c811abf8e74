"""What keeps an account, or a part of it, from being traded, with its evidence; and its owner's word that ends it."""

from dataclasses import dataclass

from botbalance.errors import ConflictError, NotFoundError
from botbalance.models.account_state import LastObservation
from botbalance.trading.context import TradingContext
from botbalance.trading.session import open_session


@dataclass(frozen=True, slots=True)
class Pause:
    """One thing that is not believed; ``pause_id`` names it, ``since`` is in epoch seconds.

    ``subject`` is the asset or the symbol that it is about. It holds the whole account.
    """

    pause_id: str
    subject: str
    since: int
    evidence: str


def list_pauses(context: TradingContext, user_id: str) -> list[Pause]:
    """What holds the user's account now, oldest first; asks no exchange."""
    return _pauses(context.accounts.find_state(user_id).last_observation)


def resume(context: TradingContext, user_id: str, pause_id: str) -> Pause:
    """Believe what is doubted, by its owner's word, from the next look on; returns what was doubted.

    Raises NotFoundError where nothing is doubted by that id (any more), ConflictError while a run works on the account.
    """
    with open_session(context, user_id) as session:
        last = session.state.last_observation
        pause = next((pause for pause in _pauses(last) if pause.pause_id == pause_id), None)
        if last is None or pause is None:
            raise NotFoundError("pause_not_found", f"nothing is held by {pause_id}; GET pauses/ lists what is")
        if pause.subject in last.accepted:
            raise ConflictError("pause_resumed", f"{pause_id} ends with the next look")
        accepted = (*last.accepted, pause.subject)
        session.remember(last_observation=last.model_copy(update={"accepted": accepted}))
    return pause


def _pauses(last: LastObservation | None) -> list[Pause]:
    anomalies = {} if last is None else last.anomalies
    pauses = [
        Pause(f"doubt-{subject}", subject, anomaly.since, anomaly.evidence) for subject, anomaly in anomalies.items()
    ]
    return sorted(pauses, key=lambda pause: (pause.since, pause.subject))
