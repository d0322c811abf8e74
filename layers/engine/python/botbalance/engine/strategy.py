"""How a strategy trades: its parameters, and which values they may have."""

from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine.arithmetic import HUNDRED, ZERO
from botbalance.engine.errors import InvalidStrategyError


@dataclass(frozen=True, slots=True)
class StrategyConfig:
    """How a strategy trades. Raises InvalidStrategyError, naming the field, for values that cannot be.

    ``order_size_pct``: what one order is worth, in percent of NAV, over 0 up to 100.
    ``order_step_pct``: how far from the market a limit price is, in percent, over 0 up to 50.
    ``min_delta_quote``: the band, in quote: an asset nearer to its target than this is left alone.
    ``order_max_age_s``: seconds that a resting order stays before it is reviewed.
    ``reprice_tolerance_pct``: how far, in percent of the new price, a reviewed order may be from where it
    would be placed now and still stay, over 0 up to 50; None means twice ``order_step_pct``, at most 50.
    ``post_only``: whether an order that would trade at once is refused by the exchange.
    """

    quote_asset: str
    order_size_pct: Decimal
    order_step_pct: Decimal
    min_delta_quote: Decimal
    order_max_age_s: int = 900
    reprice_tolerance_pct: Decimal | None = None
    post_only: bool = True

    def __post_init__(self) -> None:
        if not self.quote_asset:
            raise InvalidStrategyError("quote_asset", repr(self.quote_asset), "the name of an asset")
        _require_in("order_size_pct", self.order_size_pct, HUNDRED, "a Decimal over 0 and at most 100 (percent)")
        _require_in("order_step_pct", self.order_step_pct, Decimal(50), "a Decimal over 0 and at most 50 (percent)")
        _require_in("min_delta_quote", self.min_delta_quote, None, "a finite Decimal > 0 (in quote)")
        if self.order_max_age_s < 0:
            raise InvalidStrategyError("order_max_age_s", self.order_max_age_s, "seconds >= 0")
        if self.reprice_tolerance_pct is not None:
            _require_in(
                "reprice_tolerance_pct",
                self.reprice_tolerance_pct,
                Decimal(50),
                "a Decimal over 0 and at most 50",
            )


def _require_in(field: str, value: object, most: Decimal | None, expected: str) -> None:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise InvalidStrategyError(field, repr(value), expected)
    if value <= ZERO or (most is not None and value > most):
        raise InvalidStrategyError(field, value, expected)
