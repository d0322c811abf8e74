"""Client order ids: the canonical one, the form that each exchange accepts, and how it finds an order by it.

The canonical id is the database's and the logs'. An exchange sees it through its codec, and an id that an
exchange reports is compared in that exchange's form, because Kraken's cannot be turned back.
"""

from dataclasses import dataclass
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
    """The form in which ``exchange`` is sent ``client_order_id`` (20 hex digits), and reports it."""
    if exchange == "kraken":
        return client_order_id[:KRAKEN_FREE_TEXT_LENGTH]
    if exchange == "gate":  # its own prefix for what users choose
        return f"t-{client_order_id}"
    return client_order_id


def client_id_params(exchange: str, client_order_id: str) -> dict[str, str]:
    """The request parameters that carry the id when an order is placed through ccxt."""
    sent = client_id_on_exchange(exchange, client_order_id)
    if exchange == "coinbase":  # ccxt drops the unified name there
        return {"client_order_id": sent}
    return {"clientOrderId": sent}


@dataclass(frozen=True, slots=True)
class Lookup:
    """How an exchange finds an order by its client id, in ccxt's names.

    ``methods`` are asked in turn until one knows the order: ``fetch_order`` by the id, the others are lists in
    which the id is looked for. ``narrowed_by`` is the parameter by which the lists hold that order alone; other
    lists are read page by page, ``days`` back. ``canceled_by`` is the parameter by which an order is cancelled,
    ``id`` where the client id takes the place of the exchange's own id, and None where only the exchange's own
    will do. ``fills_by`` is the parameter by which the list of fills holds those of one order alone, as many as
    ``most_fills``; None where ccxt has a way of its own for the fills of an order.
    """

    methods: tuple[str, ...] = ("fetch_order",)
    narrowed_by: str | None = None
    days: int = 7
    canceled_by: str | None = "clientOrderId"
    fills_by: str | None = "orderId"
    most_fills: int = 100


_LOOKUPS = {
    # Filled orders are told by id; of those cancelled without a fill all traces are gone after two hours.
    "okx": Lookup(("fetch_order", "fetch_closed_orders", "fetch_canceled_orders"), fills_by="ordId"),
    # By id only the last 500, and only after ccxt has asked what kind of account this is.
    "bybit": Lookup(
        ("fetch_open_orders", "fetch_canceled_and_closed_orders"),
        narrowed_by="orderLinkId",
        canceled_by="orderLinkId",
    ),
    "kraken": Lookup(("fetch_open_orders", "fetch_closed_orders"), narrowed_by="clientOrderId", fills_by=None),
    # By id only what still rests.
    "kucoin": Lookup(("fetch_order", "fetch_closed_orders"), most_fills=500),
    # By id what rests, and what ended for an hour.
    "gate": Lookup(("fetch_order", "fetch_closed_orders"), canceled_by="id", fills_by="order_id", most_fills=1000),
    "coinbase": Lookup(("fetch_open_orders", "fetch_orders"), canceled_by=None, fills_by="order_ids"),
    # By id only what still rests.
    "bitget": Lookup(("fetch_order", "fetch_canceled_and_closed_orders")),
    # The id counts for two hours after an order was placed, and for eight while it rests.
    "htx": Lookup(("fetch_order", "fetch_open_orders", "fetch_orders"), days=2, canceled_by=None, fills_by=None),
    "mexc": Lookup(("fetch_order", "fetch_orders")),
}
"""Binance, where an order is told by its id whatever became of it, needs no line of its own."""


def lookup_on(exchange: str) -> Lookup:
    """How ``exchange`` finds an order by its client id."""
    return _LOOKUPS.get(exchange, Lookup(most_fills=1000))
