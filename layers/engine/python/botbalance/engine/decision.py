"""What a decision is made of: the orders to place, and for each pair outside its band that gets none, why."""

from decimal import Decimal
from typing import NamedTuple

from botbalance.engine.market_rules import Side, SkipReason
from botbalance.engine.record import record
from botbalance.engine.valuation import Holding


@record
class Action:
    """One order to place, final: nothing downstream rounds or re-prices it.

    ``limit_price`` and ``market_price`` in quote per base, ``base_qty`` in base, ``quote_amount`` (what an
    order of this decision is worth before rounding and caps) and ``notional`` (limit_price × base_qty) in
    quote. ``capped``: the free balance or the market's maximum made it smaller than ``quote_amount``.
    """

    symbol: str
    side: Side
    limit_price: Decimal
    base_qty: Decimal
    quote_amount: Decimal
    market_price: Decimal
    notional: Decimal
    capped: bool


type WantedOrder = tuple[Side, Decimal | None]
"""What would be traded of a pair: the side and the limit price, None where the market takes no such price."""


class Skipped(NamedTuple):
    """Why an asset outside its band is not traded; ``free`` is what could have paid for the order."""

    side: Side
    limit_price: Decimal | None
    free: Decimal
    reason: SkipReason


class RebalanceDecision(NamedTuple):
    """What was decided for each pair outside its band, in placing order, and what it was decided on (in quote)."""

    nav: Decimal
    quote_amount: Decimal
    band: Decimal
    holdings: list[Holding]
    outcomes: dict[str, Action | Skipped]

    def actions(self) -> list[Action]:
        """The orders to place now, each ready to send, largest deviation first."""
        return [outcome for outcome in self.outcomes.values() if isinstance(outcome, Action)]

    def wanted_orders(self) -> dict[str, WantedOrder | None]:
        """What would be traded of each pair if nothing stood in the way; None within the band."""
        outcomes = self.outcomes
        wanted: dict[str, WantedOrder | None] = {symbol: None for _, symbol, *_ in self.holdings}
        return wanted | {symbol: (outcome.side, outcome.limit_price) for symbol, outcome in outcomes.items()}
