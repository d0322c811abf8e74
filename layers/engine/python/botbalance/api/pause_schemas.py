"""What holds an account, as the API shows it."""

from botbalance.api.fields import ResponseModel, example
from botbalance.trading.pauses import Pause

_EVIDENCE = (
    "the price of BTC went from 40000 to 4000, as in a redenomination of which the other half is not seen; "
    "believed when it is, or by its owner's word"
)
_EXAMPLE = {"pause_id": "doubt-BTCUSDT", "subject": "BTCUSDT", "since": 1_700_000_010, "evidence": _EVIDENCE}


class PauseView(ResponseModel):
    """Something that is not believed: nothing of the account is traded until it is, or its owner resumes it."""

    model_config = example(**_EXAMPLE)

    pause_id: str
    subject: str
    since: int
    evidence: str


class PausesView(ResponseModel):
    """All that holds the account now, oldest first."""

    model_config = example(pauses=[_EXAMPLE])

    pauses: list[PauseView]

    @classmethod
    def of(cls, pauses: list[Pause]) -> "PausesView":
        return cls(pauses=[PauseView.model_validate(pause) for pause in pauses])
