"""What holds an account, as the API shows it."""

from collections.abc import Sequence

from botbalance.api.fields import ResponseModel, example
from botbalance.trading.pauses import Pause, Scope

_EVIDENCE = (
    "BTCUSDT was traded to and fro for 3.6 % of NAV a day, mean of 7 days (limit 3), and lost by it: "
    "8 buys at 40315.01 and 7 sells at 40214.09, after fees"
)
_EXAMPLE = {
    "pause_id": "churn-BTCUSDT-1700000010",
    "kind": "churn",
    "scope": "pair",
    "subject": "BTCUSDT",
    "since": 1_700_000_010,
    "until": None,
    "evidence": _EVIDENCE,
}


class PauseView(ResponseModel):
    """Something that is held until its owner resumes it, or until `until` (epoch seconds) where that is set.

    `kind` is the budget whose limit was exceeded, or `doubt` for what is not believed: nothing of the account is traded
    on a doubt. `scope` says what is held: the `account`, the `pair`, or what would be bought of the pair (`buys`).
    """

    model_config = example(**_EXAMPLE)

    pause_id: str
    kind: str
    scope: Scope
    subject: str
    since: int
    until: int | None
    evidence: str


class PausesView(ResponseModel):
    """All that holds the account now, oldest first."""

    model_config = example(pauses=[_EXAMPLE])

    pauses: list[PauseView]

    @classmethod
    def of(cls, pauses: Sequence[Pause]) -> "PausesView":
        """Tell of everything that is held now, with its evidence."""
        return cls(pauses=pause_views(pauses))


def pause_views(pauses: Sequence[Pause]) -> list[PauseView]:
    """Pauses as the API shows them."""
    return [PauseView.model_validate(pause) for pause in pauses]
