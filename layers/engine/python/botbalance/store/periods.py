"""Periods of time by which orders and decisions are looked for."""

from dataclasses import dataclass

from botbalance.errors import InvalidRequestError

END_OF_TIME = 99_999_999_999
"""In epoch seconds: no time is later."""


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since`` to ``until``, both in epoch seconds and included; raises InvalidRequestError where the end is
    first."""

    since: int = 0
    until: int = END_OF_TIME

    def __post_init__(self) -> None:
        if self.until < self.since:
            raise InvalidRequestError(
                "invalid_period", f"until is {self.until}, expected a time not before since {self.since}"
            )

    def require(self, cursor: str, moment: int) -> None:
        """Raise InvalidRequestError for a cursor that stands at a ``moment`` outside of this period: it is another
        list's."""
        if not self.since <= moment <= self.until:
            raise InvalidRequestError(
                "invalid_cursor", f"cursor is {cursor[:40]!r}, expected one of the same since and until"
            )


ALWAYS = Period()
