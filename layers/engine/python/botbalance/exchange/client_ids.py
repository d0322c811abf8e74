"""Client order ids: the canonical one, and the form that each exchange accepts.

The canonical id is the database's and the logs'. An exchange sees it through its codec, and an id that an
exchange reports is compared in that exchange's form, because Kraken's cannot be turned back.
"""

from hashlib import sha1

KRAKEN_FREE_TEXT_LENGTH = 18
"""Kraken takes a UUID, 32 hex digits or at most 18 free characters: 20 hex digits are refused."""


def canonical_client_order_id(user_id: str, symbol: str, side: str, ts_tick: int, order_index: int) -> str:
    """20 hex digits that name one intent; ``ts_tick`` in epoch seconds on the tick's 30-second grid.

    >>> canonical_client_order_id("demo", "BTCUSDT", "buy", 1_700_000_010, 0)
    '374dd1cd7e74c79cdbf1'
    """
    text = f"{user_id}:{symbol}:{side}:{ts_tick}:{order_index}"
    return sha1(text.encode(), usedforsecurity=False).hexdigest()[:20]


def client_id_on_exchange(exchange: str, client_order_id: str) -> str:
    """The form in which ``exchange`` is sent ``client_order_id`` (20 hex digits)."""
    if exchange == "kraken":
        return client_order_id[:KRAKEN_FREE_TEXT_LENGTH]
    return client_order_id


def client_id_reported_by(exchange: str, reported: str) -> str:
    """The form in which it was sent, from the one in which ``exchange`` reports it back."""
    if exchange == "gate":
        return reported.removeprefix("t-")
    return reported


def client_id_params(exchange: str, client_order_id: str) -> dict[str, str]:
    """The request parameters that carry the id when an order is placed through ccxt."""
    sent = client_id_on_exchange(exchange, client_order_id)
    if exchange == "coinbase":  # ccxt drops the unified name there
        return {"client_order_id": sent}
    return {"clientOrderId": sent}
