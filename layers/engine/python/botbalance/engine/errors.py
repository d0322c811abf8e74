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
    """A strategy parameter or target allocation is out of range. The owner has to change the strategy."""


class PriceUnavailableError(InvalidInputError):
    """A managed asset that is held or wanted has no price, so NAV is unknown. Wait for the price.

    ``symbols`` names every pair whose price is missing, not only the first.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        super().__init__("market_prices", f"without a usable price for {', '.join(self.symbols)}", "a price > 0")
