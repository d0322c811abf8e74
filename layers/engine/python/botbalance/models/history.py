"""The history of a portfolio: one point an hour, of what a look at the account saw."""

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel

from botbalance.engine import hold_value_from_nav
from botbalance.engine.durations import HOUR_S


class HistoryPoint(BaseModel, frozen=True):
    """What a portfolio was worth at ``at`` (epoch seconds), in ``quote_asset``.

    ``exchange`` is the account that it was, as its orders name it: of a paper account, which of its epochs too.
    ``bonus`` is what all fills until then had added, at the prices of then; None where something that was traded had no
    price.
    """

    schema_version: Literal[1] = 1
    at: int
    exchange: str
    quote_asset: str
    nav: Decimal
    bonus: Decimal | None = None

    @property
    def hold(self) -> Decimal | None:
        """What the portfolio would have been worth had nothing been traded; None where ``bonus`` is not known."""
        return None if self.bonus is None else hold_value_from_nav(self.nav, self.bonus)


def hour_start(moment: int) -> int:
    """When the hour of ``moment`` began (both in epoch seconds).

    >>> hour_start(7_201)
    7200
    """
    return moment - moment % HOUR_S
