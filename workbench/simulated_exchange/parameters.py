"""A request's parameters, read the way Binance reads them: every malformed one has its own refusal."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Self, overload
from urllib.parse import unquote_plus

from botbalance.engine.arithmetic import ZERO

from workbench.simulated_exchange import errors
from workbench.simulated_exchange.errors import ExchangeError

DECIMAL_LEGAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
INTEGER_LEGAL = r"^[0-9]{1,20}$"
SYMBOL_LEGAL = r"^[A-Z0-9-_.]{1,20}$"
SYMBOLS_LEGAL = r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$'
CLIENT_ID_LEGAL = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"


class Parameters:
    """The decoded parameters of one request. Readers raise ExchangeError for what is missing or malformed."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def read(cls, query: Iterable[tuple[str, str]], body: Iterable[tuple[str, str]]) -> Self:
        """From the decoded pairs of query string and form body; a parameter in both counts as the query's."""
        return cls(_once_each(body) | _once_each(query))

    def require_only(self, names: Collection[str]) -> None:
        """Refuse a request with any other parameter, so that a wrong one is noticed."""
        if names and not self._values.keys() <= set(names):
            raise errors.unread_parameters(len(self._values.keys() & set(names)), len(self._values))
        if self._values and not names:
            raise errors.too_many_parameters(len(self._values))

    @overload
    def text(self, name: str) -> str | None: ...
    @overload
    def text(self, name: str, default: str) -> str: ...
    def text(self, name: str, default: str | None = None) -> str | None:
        """A parameter as it was sent."""
        return self._values.get(name, default)

    def word(self, name: str, legal: Collection[str], refusal: ExchangeError) -> str:
        """One of ``legal``, or ``refusal``."""
        value = self._values.get(name)
        if not value:
            raise errors.mandatory(name)
        if value not in legal:
            raise refusal
        return value

    def matching(self, name: str, legal: str) -> str | None:
        """A parameter that has only ``legal`` characters; None where it was not sent."""
        value = self._values.get(name)
        if value is None:
            return None
        if not value:
            raise ExchangeError(-1105, f"Parameter '{name}' was empty.")
        if not re.fullmatch(legal, value):
            raise errors.illegal_characters(name, legal)
        return value

    def symbol(self) -> str:
        """The pair that is asked for."""
        value = self.matching("symbol", SYMBOL_LEGAL)
        if value is None:
            raise errors.mandatory("symbol")
        return value

    def symbols(self) -> list[str] | None:
        """The list in ``symbols=["A","B"]``, without blanks, as Binance wants it."""
        value = self.matching("symbols", SYMBOLS_LEGAL)
        if value is None:
            return None
        names: list[str] = json.loads(value)
        if len(set(names)) < len(names):
            raise ExchangeError(-1151, "Symbol is present multiple times in the list.")
        return names

    def integer(self, name: str) -> int | None:
        """A whole number; None where it was not sent."""
        value = self.matching(name, INTEGER_LEGAL)
        return None if value is None else int(value)

    def limit(self, default: int, most: int) -> int:
        """``limit``, silently capped at ``most`` as Binance does."""
        value = self.integer("limit")
        return default if not value else min(value, most)

    def decimal(self, name: str, decimals: int) -> Decimal | None:
        """A plain decimal > 0 with at most ``decimals`` digits after the point."""
        value = self.matching(name, DECIMAL_LEGAL)
        if value is None:
            return None
        if len(value.partition(".")[2]) > decimals:
            raise errors.too_precise(name)
        number = Decimal(value)
        if number <= ZERO:
            raise ExchangeError(-1013, f"Invalid {name}.")
        return number

    def wanted_decimal(self, name: str, decimals: int) -> Decimal:
        """A number with at most so many decimals, which has to be sent."""
        number = self.decimal(name, decimals)
        if number is None:
            raise errors.mandatory(name)
        return number

    def absent(self, *names: str) -> None:
        """Refuse parameters that do not belong to this type of order."""
        for name in names:
            if name in self._values:
                raise ExchangeError(-1106, f"Parameter '{name}' sent when not required.")

    def flag(self, name: str) -> bool:
        """``true`` or ``false``, which is also meant where it is not there."""
        value = self._values.get(name, "false").lower()
        if value not in {"true", "false"}:
            raise errors.illegal_characters(name, "^(true|false)$")
        return value == "true"


def decode_pairs(encoded: str) -> Iterator[tuple[str, str]]:
    """The names and values of a query string or a form body, as often as they are there."""
    for pair in filter(None, encoded.split("&")):
        name, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            name, value = unquote_plus(name), unquote_plus(value)
        yield name, value


def _once_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise ExchangeError(-1101, "Duplicate values for a parameter detected.")
        values[name] = value
    return values
