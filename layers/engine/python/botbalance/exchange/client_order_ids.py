"""Client order ids: the canonical one, and the form that each exchange accepts.

The canonical id is the database's and the logs'. An exchange sees it in the form that its profile tells, and an id that
it reports is compared in that form, because Kraken's cannot be turned back.
"""

from hashlib import sha1

from botbalance.exchange.profiles import ExchangeProfile


def canonical_client_order_id(user_id: str, symbol: str, side: str, ts_tick: int, order_index: int) -> str:
    """20 hex digits that name one intent; ``ts_tick`` in epoch seconds on the tick's 30-second grid.

    >>> canonical_client_order_id("demo", "BTCUSDT", "buy", 1_700_000_010, 0)
    '374dd1cd7e74c79cdbf1'
    """
    text = f"{user_id}:{symbol}:{side}:{ts_tick}:{order_index}"
    return sha1(text.encode(), usedforsecurity=False).hexdigest()[:20]


def client_id_on_exchange(profile: ExchangeProfile, client_order_id: str) -> str:
    """The form in which the exchange is sent ``client_order_id`` (20 hex digits), and reports it."""
    return profile.client_id_prefix + client_order_id[: profile.client_id_length]


def client_id_params(profile: ExchangeProfile, client_order_id: str) -> dict[str, str]:
    """The request parameters that carry the id when an order is placed through ccxt."""
    return {profile.client_id_parameter: client_id_on_exchange(profile, client_order_id)}
