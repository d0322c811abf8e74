"""What the engine refuses. Every message names the field, its value and what would be right."""

from collections.abc import Sequence


class InvalidInputError(ValueError):
    """A number or name that no decision can be based on. Mend the input; trying again changes nothing.

    ``field`` is the path of the offending value (``current_balances.BTC.free``), ``value`` what was
    found there and ``expected`` what would have been right, both as text.
    """

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field = field
        self.value = str(value)
        self.expected = expected
        super().__init__(f"{field} is {self.value}, expected {expected}")


class InvalidStrategyError(InvalidInputError):
    """A strategy parameter or target allocation is out of range. The owner has to change the strategy.

    ``errors`` are all that is known to be wrong, this one first.
    """

    def __init__(
        self, field: str, value: object, expected: str, *, further: Sequence["InvalidStrategyError"] = ()
    ) -> None:
        super().__init__(field, value, expected)
        self.errors = (self, *further)

    def __str__(self) -> str:
        return "; ".join(f"{one.field} is {one.value}, expected {one.expected}" for one in self.errors)


def raise_together(errors: Sequence[InvalidStrategyError]) -> None:
    """Raise one InvalidStrategyError for all of ``errors``; nothing where there are none."""
    if errors:
        first, *further = errors
        raise InvalidStrategyError(first.field, first.value, first.expected, further=further)


class PriceUnavailableError(InvalidInputError):
    """A managed asset that is held or wanted has no price, so NAV is unknown. Wait for the price.

    ``symbols`` names every pair whose price is missing, not only the first.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        super().__init__("market_prices", f"without a usable price for {', '.join(self.symbols)}", "a price > 0")
