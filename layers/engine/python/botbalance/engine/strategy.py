"""How a strategy trades: its parameters, and which values they may have."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine.arithmetic import HUNDRED, PERCENT, ZERO, ExactArithmetic
from botbalance.engine.errors import InvalidStrategyError, raise_together
from botbalance.engine.valuation import validate_targets


@dataclass(frozen=True, slots=True)
class StrategyConfig:
    """How a strategy trades. Raises InvalidStrategyError, naming the field, for values that cannot be.

    ``order_size_pct``: what one order is worth, in percent of NAV, over 0 up to 100.
    ``order_step_pct``: how far from the market a limit price is, in percent, over 0 up to 50.
    ``min_delta_quote``: the band, in quote: an asset nearer to its target than this is left alone.
    ``min_delta_pct``: the band in percent of NAV, over 0 up to 100, so that it grows with the portfolio as an
    order does; the larger of the two counts. None: the amount alone.
    ``quote_reserve_pct``: quote that buys leave untouched, in percent of NAV, from 0 up to the quote's own target.
    ``order_max_age_s``: seconds that a resting order stays before it is reviewed.
    ``reprice_tolerance_pct``: how far, in percent of the new price, a reviewed order may be from where it
    would be placed now and still stay, over 0 up to 50; None means twice ``order_step_pct``, at most 50.
    ``post_only``: whether an order that would trade at once is refused by the exchange.
    """

    quote_asset: str
    order_size_pct: Decimal
    order_step_pct: Decimal
    min_delta_quote: Decimal
    min_delta_pct: Decimal | None = None
    quote_reserve_pct: Decimal = ZERO
    order_max_age_s: int = 900
    reprice_tolerance_pct: Decimal | None = None
    post_only: bool = True

    def __post_init__(self) -> None:
        raise_together(list(self._errors()))

    def _errors(self) -> Iterator[InvalidStrategyError]:
        if not self.quote_asset:
            yield InvalidStrategyError("quote_asset", repr(self.quote_asset), "the name of an asset")
        yield from _check_range(
            "order_size_pct", self.order_size_pct, HUNDRED, "a number over 0 and at most 100 (percent)"
        )
        yield from _check_range(
            "order_step_pct", self.order_step_pct, Decimal(50), "a number over 0 and at most 50 (percent)"
        )
        yield from _check_range("min_delta_quote", self.min_delta_quote, None, "a finite number over 0 (in quote)")
        if self.min_delta_pct is not None:
            yield from _check_range(
                "min_delta_pct", self.min_delta_pct, HUNDRED, "a number over 0 and at most 100 (percent)"
            )
        if not isinstance(self.quote_reserve_pct, Decimal) or self.quote_reserve_pct:
            yield from _check_range(
                "quote_reserve_pct", self.quote_reserve_pct, HUNDRED, "a number from 0 to 100 (percent)"
            )
        if self.order_max_age_s < 0:
            yield InvalidStrategyError("order_max_age_s", self.order_max_age_s, "seconds >= 0")
        if self.reprice_tolerance_pct is not None:
            yield from _check_range(
                "reprice_tolerance_pct", self.reprice_tolerance_pct, Decimal(50), "a number over 0 and at most 50"
            )


def band_quote(config: StrategyConfig, nav: Decimal) -> Decimal:
    """The band of a portfolio worth ``nav``, in quote: the larger of the amount and the share. In exact arithmetic.

    >>> config = StrategyConfig("USDT", Decimal(1), Decimal("0.4"), Decimal(50), min_delta_pct=Decimal(2))
    >>> band_quote(config, Decimal(10000)), band_quote(config, Decimal(1000))
    (Decimal('200.00'), Decimal('50'))
    """
    if config.min_delta_pct is None:
        return config.min_delta_quote
    return max(config.min_delta_quote, nav * PERCENT * config.min_delta_pct)


def validate_strategy(target_allocations: Mapping[str, Decimal], config: StrategyConfig) -> None:
    """Raise InvalidStrategyError unless targets are percentages that sum to exactly 100 and leave room for the
    reserve, whatever is held.

    >>> validate_strategy({"BTC": Decimal(60)}, StrategyConfig("USDT", Decimal(1), Decimal("0.4"), Decimal(50)))
    Traceback (most recent call last):
    ...
    botbalance.engine.errors.InvalidStrategyError: target_allocations is a sum of 60, expected a sum of exactly 100
    """
    with ExactArithmetic():
        validate_targets(target_allocations)
        validate_reserve(target_allocations, config)


def validate_reserve(target_allocations: Mapping[str, Decimal], config: StrategyConfig) -> None:
    """Raise InvalidStrategyError for a reserve above the quote's own target: it would never be reached."""
    target = target_allocations.get(config.quote_asset, ZERO)
    if config.quote_reserve_pct > target:
        expected = f"at most the target of {config.quote_asset}, {target:f} (percent)"
        raise InvalidStrategyError("quote_reserve_pct", config.quote_reserve_pct, expected)


def _check_range(field: str, value: object, most: Decimal | None, expected: str) -> Iterator[InvalidStrategyError]:
    if not isinstance(value, Decimal) or not value.is_finite():
        yield InvalidStrategyError(field, repr(value), expected)
    elif value <= ZERO or (most is not None and value > most):
        yield InvalidStrategyError(field, value, expected)
