"""What a path of the API is, and how its requests name symbols."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workbench.simulated_exchange import errors
from workbench.simulated_exchange.errors import ExchangeError
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.matching_engine import Account
from workbench.simulated_exchange.parameters import Parameters

SIGNED_NAMES = frozenset({"recvWindow", "timestamp", "signature"})
"""The parameters that every signed request may have."""
DAY_MS = 86_400_000

type Weight = Callable[[Parameters], int]
type Routes = Mapping[tuple[str, str], Route]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a method and a path: ``handler`` is given the account that signed, None on public routes.

    ``names`` are the parameters that it knows; any other is refused. ``places_orders``: whether a request counts
    against the limits of orders.
    """

    handler: Callable[[Parameters, Account], object] | Callable[[Parameters], object]
    weight: Weight
    names: frozenset[str]
    signed: bool
    places_orders: bool = False


def public(handler: Callable[[Parameters], object], weight: int | Weight, names: str = "") -> Route:
    """A route for everybody; ``names`` with blanks between them."""
    return Route(handler, _weight(weight), frozenset(names.split()), signed=False)


def signed(
    handler: Callable[[Parameters, Account], object],
    weight: int | Weight,
    names: str = "",
    *,
    places_orders: bool = False,
) -> Route:
    """A route for whoever has a key; ``names`` with blanks between them, without those of every signed request."""
    known = frozenset(names.split()) | SIGNED_NAMES
    return Route(handler, _weight(weight), known, signed=True, places_orders=places_orders)


def _weight(weight: int | Weight) -> Weight:
    return weight if callable(weight) else lambda _: weight


def known_symbol(market: Market, parameters: Parameters) -> str:
    """The ``symbol`` that has to be there, as one that is listed."""
    symbol = parameters.symbol()
    if symbol not in market.specs:
        raise errors.invalid_symbol()
    return symbol


def wanted_symbols(market: Market, parameters: Parameters) -> list[str]:
    """The one of ``symbol``, those of ``symbols``, or all."""
    symbols = parameters.symbols()
    if parameters.text("symbol") is not None:
        if symbols is not None:
            raise errors.invalid_combination()
        return [known_symbol(market, parameters)]
    if symbols is None:
        return list(market.specs)
    if not set(symbols) <= market.specs.keys():
        raise errors.invalid_symbol()
    return symbols


def parse_time_span(parameters: Parameters, *, longest_ms: int | None = None) -> tuple[int | None, int | None]:
    """``startTime`` and ``endTime`` in epoch ms; both together at most ``longest_ms`` apart."""
    start, end = parameters.integer("startTime"), parameters.integer("endTime")
    if longest_ms is not None and start is not None and end is not None and end - start > longest_ms:
        raise ExchangeError(-1127, f"More than {longest_ms // 3_600_000} hours between startTime and endTime.")
    return start, end


def page[Entry](entries: list[Entry], limit: int, *, from_the_start: bool) -> list[Entry]:
    """The first ``limit`` of them, or the last."""
    return entries[:limit] if from_the_start else entries[-limit:]


def generated_id() -> str:
    """A client id, of a request that names none."""
    return secrets.token_urlsafe(16)
